//! What signalling has said of a call: parties by tag, their media by index, and who is in dialogue with whom.
//!
//! The call model knows legs and what they hear; a session knows SDP's side of it. It belongs to one call and changes only
//! together with it: a request works on a copy, which takes the place of the original when the engine has obeyed.

use core::fmt::Write as _;
use core::hash::{Hash, Hasher};
use core::net::SocketAddr;
use std::collections::hash_map::DefaultHasher;
use std::sync::Arc;

use crate::interfaces::AddressFamily;
use patchcord_relay::media::Codec;
use patchcord_sdp::Sdp;

use super::codecs::Negotiation;
use super::codecs::Settings;
use super::keying::Keys;
use super::packing::Packets;
use crate::api::{Direction, LatchSpec, RelayingName};

/// Number of a party within its session, never used again.
pub(super) type PartyId = u32;

/// The signalling state of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(super) parties: Vec<Party>,
    parties_made: PartyId,
    /// When the first offer came, microseconds of Unix time.
    pub(super) created_us: u64,
    /// When the last offer or answer came, microseconds of Unix time.
    pub(super) signalled_us: u64,
    /// Counts offers and answers: one in between cancels a delayed deletion.
    pub(super) signalled: u64,
}

/// What a party is in the call for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// It talks to another one.
    #[default]
    Dialogue,
    /// It sends, and others may subscribe.
    Publisher,
    /// It hears others, who do not hear it.
    Subscriber,
}

/// One side of a dialogue, a publisher or a subscriber: what SIP tells apart by a tag.
#[derive(Clone, Debug)]
pub(super) struct Party {
    pub(super) id: PartyId,
    pub(super) role: Role,
    /// What the call model calls it.
    pub(super) name: Arc<str>,
    /// Unknown until it answers.
    pub(super) tag: Option<Arc<str>>,
    /// Tags of other branches that answered the same offer before.
    pub(super) former_tags: Vec<Arc<str>>,
    pub(super) via_branch: Option<Arc<str>>,
    pub(super) label: Option<Arc<str>>,
    pub(super) peer: Option<PartyId>,
    /// Interface that its legs are opened on.
    pub(super) interface: Option<Arc<str>>,
    pub(super) family: Option<AddressFamily>,
    pub(super) created_s: u64,
    /// [`Session::signalled`] at its last offer or answer; counts on with each subscription.
    pub(super) signalled: u64,
    /// A digest of the last SDP that it was sent, and the version of its `o=`.
    pub(super) told: Option<(u64, u64)>,
    /// It has sent an SDP.
    pub(super) described: bool,
    /// The proxy does not want it recorded.
    pub(super) unrecorded: bool,
    /// The last SDP that it sent: a subscriber's offer is made of it.
    pub(super) sdp: Option<Arc<str>>,
    /// By the index of the m= line.
    pub(super) media: Vec<Media>,
}

/// One m= line of a party.
#[derive(Clone, Debug, Default)]
pub(super) struct Media {
    /// `audio`, `video`, `image`.
    pub(super) kind: String,
    /// What its own SDP says: `RTP/AVP`.
    pub(super) protocol: String,
    /// What its own SDP says.
    pub(super) codecs: Vec<Codec>,
    /// What the relay has made of the latest offer to the party, where that is other formats.
    pub(super) negotiation: Option<Arc<Negotiation>>,
    /// Formats of the relay's own that the party has been offered: they keep their numbers.
    pub(super) given: Vec<Codec>,
    /// What it hears, and what its peer hears of it, was agreed on in formats that have to be transcoded.
    pub(super) transcodes: bool,
    /// What its own SDP says: `a=mid`.
    pub(super) mid: Option<String>,
    /// A `a=mid` of the relay's own that the party was offered.
    pub(super) given_mid: Option<String>,
    pub(super) packets: Packets,
    /// How formats are to be encoded, where the proxy says that.
    pub(super) settings: Option<Arc<Settings>>,
    pub(super) mux: Mux,
    /// It is read though everything else may pass unread: keys are, or will be, put into it.
    pub(super) read: bool,
    pub(super) ice: Ice,
    pub(super) keys: Keys,
    /// The leg that relays it; `None` while the media is disabled.
    pub(super) leg: Option<Leg>,
    /// Legs of other addresses of the other side, where ports follow these.
    pub(super) spare: Vec<Leg>,
    /// Whose media a subscriber hears here.
    pub(super) hears: Option<Source>,
}

/// Media that is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) party: PartyId,
    /// The index of its m= line.
    pub(super) media: usize,
    /// The number of the leg that it is received by.
    pub(super) leg: usize,
}

/// RTCP on the RTP port (RFC 5761), as far as a party and the relay have agreed on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mux {
    /// The party's latest SDP has it.
    pub(super) said: bool,
    /// The party was offered it.
    pub(super) offered: bool,
    /// What the party gets if it offers it; `None`: what the other side says.
    pub(super) granted: Option<bool>,
    /// It is in force.
    pub(super) agreed: bool,
}

/// ICE, as far as a party and the relay have agreed on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ice {
    /// The party has sent an SDP with this line.
    pub(super) described: bool,
    /// What its latest SDP has.
    pub(super) said: Option<Box<RemoteIce>>,
    /// What its SDP had when it was told our present credentials, or answered to them: others are a restart.
    pub(super) paired_with: Option<Box<RemoteIce>>,
    /// It was offered ICE.
    pub(super) offered: bool,
    /// Its own offer is to be answered without.
    pub(super) rejected: bool,
    /// Its latest SDP says that candidates may follow (RFC 8840).
    pub(super) trickles: bool,
}

impl Ice {
    /// Nobody has said anything of it.
    pub(super) const fn is_unused(&self) -> bool {
        self.said.is_none() && self.paired_with.is_none() && !self.offered
    }
}

/// A party's credentials. The password serves only to notice that it is another one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RemoteIce {
    pub(super) ufrag: String,
    pub(super) pwd: String,
}

impl core::fmt::Debug for RemoteIce {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RemoteIce").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// What a leg has been told.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    /// Its number in the name that the call model has for it; the index of the media but for spare legs.
    pub(super) number: usize,
    /// The other side's address that this local port was told to, where ports follow that.
    pub(super) told_to: Option<SocketAddr>,
    /// As the party must be told.
    pub(super) advertised: SocketAddr,
    pub(super) advertised_rtcp: SocketAddr,
    pub(super) remote: Option<SocketAddr>,
    pub(super) remote_rtcp: Option<SocketAddr>,
    pub(super) direction: Direction,
    pub(super) latch: LatchSpec,
    pub(super) relaying: RelayingName,
    pub(super) muxed: bool,
    pub(super) codecs: Vec<Codec>,
    /// Every codec that a payload type has named: it must not come to mean anything else.
    pub(super) codecs_ever: Vec<Codec>,
    /// Whose leg of the same index it was bridged with by signalling.
    pub(super) bridged_with: Option<PartyId>,
    /// Its m= line has port 0 at present.
    pub(super) disabled: bool,
    /// Packets leave it as they came, so that none can be made for it.
    pub(super) transparent: bool,
}

/// A line `o=` with another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VersionLine {
    pub(super) was: String,
    pub(super) is: String,
}

/// Why tags cannot be what they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTags {
    /// No party has the tag of the offerer.
    Unknown,
    /// The two are not in dialogue.
    Association,
}

impl Session {
    pub(super) fn party(&self, id: PartyId) -> Option<&Party> {
        self.parties.iter().find(|party| party.id == id)
    }

    pub(super) fn party_mut(&mut self, id: PartyId) -> Option<&mut Party> {
        self.parties.iter_mut().find(|party| party.id == id)
    }

    /// The party with this tag, now or in another branch.
    pub(super) fn tagged(&self, tag: &str) -> Option<&Party> {
        let present = self.parties.iter().find(|party| party.tag.as_deref() == Some(tag));
        present.or_else(|| self.parties.iter().find(|party| party.former_tags.iter().any(|former| **former == *tag)))
    }

    /// All but subscribers.
    pub(super) fn speakers(&self) -> impl Iterator<Item = &Party> {
        self.parties.iter().filter(|party| party.role != Role::Subscriber)
    }

    /// The two sides of an offer: who sent it and who will get it. Whoever is not known yet is made.
    pub(super) fn of_offer(
        &mut self,
        from_tag: &str,
        to_tag: Option<&str>,
        via_branch: Option<&str>,
        now_s: u64,
    ) -> Result<(PartyId, PartyId), BadTags> {
        let listens = |tag: &str| self.tagged(tag).is_some_and(|party| party.role == Role::Subscriber);
        if to_tag == Some(from_tag) || listens(from_tag) || to_tag.is_some_and(listens) {
            return Err(BadTags::Association);
        }
        let from = match self.tagged(from_tag) {
            Some(party) => party.id,
            None => self.make(Some(from_tag), None, now_s),
        };
        let branch = via_branch.and_then(|branch| self.of_branch(branch)).filter(|&party| party != from);
        let waits = |party: &&Party| party.id != from && party.peer == Some(from) && party.via_branch.is_none();
        // Offered again, as after a challenge, it is for the same party, whether that has answered or not.
        let again = self.party(from).and_then(|party| party.peer).and_then(|peer| self.party(peer)).filter(waits);
        let to = match to_tag {
            Some(tag) => match (self.tagged(tag), branch) {
                (Some(party), _) => party.id,
                (None, Some(party)) => party,
                (None, None) => self.make(Some(tag), via_branch, now_s),
            },
            None => {
                let again = again.filter(|_| via_branch.is_none());
                match branch.or(again.map(|party| party.id)) {
                    Some(party) => party,
                    None => self.make(None, via_branch, now_s),
                }
            }
        };
        let peer_gone = self.party(from).and_then(|party| party.peer).is_none_or(|peer| self.party(peer).is_none());
        let answered = self.party(to).is_some_and(|party| party.tag.is_some());
        if let Some(party) = self.party_mut(from)
            && (peer_gone || answered)
        {
            party.peer = Some(to);
        }
        if let Some(party) = self.party_mut(to)
            && (party.peer.is_none() || answered)
        {
            party.peer = Some(from);
        }
        for id in [from, to] {
            if let Some(party) = self.party_mut(id) {
                party.role = Role::Dialogue;
            }
        }
        Ok((from, to))
    }

    /// The two sides of an answer: who made the offer and who answers it. The answerer gets its tag by it.
    pub(super) fn of_answer(
        &mut self,
        from_tag: &str,
        to_tag: &str,
        via_branch: Option<&str>,
    ) -> Result<(PartyId, PartyId), BadTags> {
        let offerer = self.tagged(from_tag).ok_or(BadTags::Unknown)?;
        let (offerer, present_peer) = (offerer.id, offerer.peer);
        let with_offerer = |party: &&Party| party.id != offerer && party.peer == Some(offerer);
        let by_tag = self.tagged(to_tag).filter(with_offerer).map(|party| party.id);
        let by_branch = via_branch
            .and_then(|branch| self.of_branch(branch))
            .and_then(|party| self.party(party))
            .filter(with_offerer)
            .map(|party| party.id);
        let unanswered = self.parties.iter().filter(with_offerer).rfind(|party| party.tag.is_none());
        // The answer of another branch to the same offer: it takes the place of the branch before.
        let forked = present_peer.and_then(|peer| self.party(peer)).filter(with_offerer);
        let answerer = by_tag
            .or(by_branch)
            .or(unanswered.map(|party| party.id))
            .or(forked.map(|party| party.id))
            .ok_or(BadTags::Association)?;
        if self.tagged(to_tag).is_some_and(|party| party.id != answerer) {
            return Err(BadTags::Association);
        }
        if let Some(party) = self.party_mut(answerer) {
            party.take_tag(to_tag);
        }
        if let Some(party) = self.party_mut(offerer) {
            party.peer = Some(answerer);
        }
        Ok((offerer, answerer))
    }

    /// Notes an offer or answer between the two.
    pub(super) fn note_signal(&mut self, parties: (PartyId, PartyId), now_us: u64) {
        self.signalled += 1;
        self.signalled_us = now_us;
        if self.created_us == 0 {
            self.created_us = now_us;
        }
        for id in [parties.0, parties.1] {
            let signalled = self.signalled;
            if let Some(party) = self.party_mut(id) {
                party.signalled = signalled;
            }
        }
    }

    /// Keeps the SDP that a party has sent, and the name that came with it.
    pub(super) fn note_description(&mut self, party: PartyId, sdp: &str, label: Option<&str>) {
        let Some(party) = self.party_mut(party) else { return };
        if party.sdp.as_deref() != Some(sdp) {
            party.sdp = Some(sdp.into());
        }
        if let Some(label) = label.filter(|label| party.label.as_deref() != Some(label)) {
            party.label = Some(label.into());
        }
    }

    /// The line `o=` of an SDP for this party, as it is and as it must be: RFC 3264 8 wants the version to count up when the
    /// SDP is another one than the last, and not to change otherwise. `None`: it is right as it is.
    pub(super) fn version_of(&mut self, party: PartyId, text: &str, sdp: &Sdp) -> Option<VersionLine> {
        let own = sdp.session().origin_version?;
        let start = if text.starts_with("o=") { 0 } else { text.find("\no=")? + 1 };
        let was = text[start..].lines().next()?;
        let mut digest = DefaultHasher::new();
        (&text[..start], &text[start + was.len()..]).hash(&mut digest);
        let digest = digest.finish();
        let party = self.party_mut(party)?;
        let version = match party.told {
            None => own,
            Some((told, version)) if told == digest => version,
            Some((_, version)) => version + 1,
        };
        party.told = Some((digest, version));
        let mut is = String::with_capacity(was.len());
        for (index, word) in was.split_ascii_whitespace().enumerate() {
            match index {
                // Writing to a string cannot fail.
                2 => drop(write!(is, " {version}")),
                0 => is.push_str(word),
                _ => is.extend([" ", word]),
            }
        }
        let has_version = was.split_ascii_whitespace().nth(2).is_some();
        (has_version && is != was).then(|| VersionLine { was: was.to_owned(), is })
    }

    /// Takes over the parties of another session, whose names are unlike its own.
    pub(super) fn absorb(&mut self, other: Self) {
        let offset = self.parties_made;
        let moved = |id: PartyId| id + offset;
        for mut party in other.parties {
            party.id = moved(party.id);
            party.peer = party.peer.map(moved);
            for hears in party.media.iter_mut().filter_map(|media| media.hears.as_mut()) {
                hears.party = moved(hears.party);
            }
            let legs = party.media.iter_mut().flat_map(|media| media.leg.iter_mut().chain(&mut media.spare));
            legs.for_each(|leg| leg.bridged_with = leg.bridged_with.map(moved));
            party.signalled = self.signalled;
            self.parties.push(party);
        }
        self.parties_made += other.parties_made;
    }

    /// Whether signalling has said anything of the call.
    pub(crate) fn is_signalled(&self) -> bool {
        self.signalled > 0
    }

    /// The party of a branch.
    pub(super) fn of_branch(&self, branch: &str) -> Option<PartyId> {
        self.parties.iter().find(|party| party.via_branch.as_deref() == Some(branch)).map(|party| party.id)
    }

    pub(super) fn make(&mut self, tag: Option<&str>, via_branch: Option<&str>, now_s: u64) -> PartyId {
        self.parties_made += 1;
        let id = self.parties_made;
        let name = self.free_name(tag.unwrap_or("callee"));
        self.parties.push(Party {
            id,
            role: Role::Dialogue,
            name,
            tag: tag.map(Into::into),
            former_tags: Vec::new(),
            via_branch: via_branch.map(Into::into),
            label: None,
            peer: None,
            interface: None,
            family: None,
            created_s: now_s,
            signalled: self.signalled,
            told: None,
            described: false,
            unrecorded: false,
            sdp: None,
            media: Vec::new(),
        });
        id
    }

    /// A name for the call model: the tag as far as it can be one, and unlike the others.
    pub(super) fn free_name(&self, wanted: &str) -> Arc<str> {
        /// Room for the number of a media and one that tells equal names apart.
        const LEN_MAX: usize = 200;
        let plain: String =
            wanted.chars().map(|c| if c.is_control() || c == '/' { '_' } else { c }).take(LEN_MAX / 4).collect();
        let plain = if plain.is_empty() { "party".to_owned() } else { plain };
        let taken = |name: &str| self.parties.iter().any(|party| *party.name == *name);
        if !taken(&plain) {
            return plain.into();
        }
        let numbered = (2_u32..).map(|number| format!("{plain}-{number}")).find(|name| !taken(name));
        numbered.unwrap_or(plain).into()
    }
}

impl Party {
    /// What the call model calls the leg of a media.
    pub(super) fn leg_name(&self, media: usize) -> String {
        let leg = self.media.get(media).and_then(|media| media.leg.as_ref());
        leg_name(&self.name, leg.map_or(media, |leg| leg.number))
    }

    /// What the call model calls its legs, spare ones included.
    pub(super) fn leg_names(&self) -> impl Iterator<Item = String> {
        let legs = self.media.iter().flat_map(|media| media.leg.iter().chain(&media.spare));
        legs.map(|leg| leg_name(&self.name, leg.number))
    }

    /// The party is known by this tag from now on.
    fn take_tag(&mut self, tag: &str) {
        if self.tag.as_deref() == Some(tag) {
            return;
        }
        self.former_tags.retain(|former| **former != *tag);
        self.former_tags.extend(self.tag.take());
        self.tag = Some(tag.into());
    }

    /// The media of an index; those before it are made too.
    pub(super) fn media_mut(&mut self, index: usize) -> &mut Media {
        if self.media.len() <= index {
            // Most parties have one media for life.
            self.media.reserve_exact(index + 1 - self.media.len());
            self.media.resize_with(index + 1, Media::default);
        }
        &mut self.media[index]
    }
}

pub(super) fn leg_name(party: &str, media: usize) -> String {
    if media == 0 { party.to_owned() } else { format!("{party}/{media}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(session: &mut Session, from: &str, to: Option<&str>, branch: Option<&str>) -> (PartyId, PartyId) {
        session.of_offer(from, to, branch, 0).expect("the tags are right")
    }

    #[test]
    fn a_call_is_offered_answered_and_changed_from_both_sides() {
        let mut session = Session::default();
        let (a, b) = offer(&mut session, "a", None, None);
        assert_eq!(offer(&mut session, "a", None, None), (a, b), "the same offer with credentials");
        assert_eq!(session.of_answer("a", "b", None), Ok((a, b)));
        assert_eq!(offer(&mut session, "a", None, None), (a, b), "and once more");
        assert_eq!(offer(&mut session, "b", Some("a"), None), (b, a));
        assert_eq!(session.of_answer("b", "a", None), Ok((b, a)));
        assert_eq!(session.parties.len(), 2);
    }

    #[test]
    fn a_second_answer_to_one_offer_takes_the_place_of_the_first() {
        let mut session = Session::default();
        let (a, b) = offer(&mut session, "a", None, None);
        for tag in ["b1", "b2", "b1"] {
            assert_eq!(session.of_answer("a", tag, None), Ok((a, b)), "{tag}");
            assert_eq!(session.party(b).and_then(|party| party.tag.as_deref()), Some(tag));
        }
        assert_eq!(session.tagged("b2").map(|party| party.id), Some(b));
    }

    #[test]
    fn branches_are_kept_apart() {
        let mut session = Session::default();
        let (a, first) = offer(&mut session, "a", None, Some("z1"));
        let (_, second) = offer(&mut session, "a", None, Some("z2"));
        assert_ne!(first, second);
        assert_eq!(session.of_answer("a", "b2", Some("z2")), Ok((a, second)));
        assert_eq!(session.party(a).and_then(|party| party.peer), Some(second));
        assert_eq!(session.of_answer("a", "b1", Some("z1")), Ok((a, first)));
    }

    #[test]
    fn a_late_offer_comes_from_the_callee() {
        let mut session = Session::default();
        let (b, a) = offer(&mut session, "b", Some("a"), None);
        assert_eq!(session.of_answer("b", "a", None), Ok((b, a)));
    }

    #[test]
    fn tags_that_cannot_be_are_refused() {
        let mut session = Session::default();
        assert_eq!(session.of_offer("a", Some("a"), None, 0), Err(BadTags::Association));
        let (a, b) = offer(&mut session, "a", None, None);
        assert_eq!(session.of_answer("x", "b", None), Err(BadTags::Unknown));
        assert_eq!(session.of_answer("a", "a", None), Err(BadTags::Association));
        assert_eq!(session.of_answer("a", "b", None), Ok((a, b)));
        offer(&mut session, "c", Some("d"), None);
        assert_eq!(session.of_answer("a", "d", None), Err(BadTags::Association));
    }

    #[test]
    fn the_version_counts_up_with_every_change_and_stays_without_one() {
        let mut session = Session::default();
        let party = session.make(Some("a"), None, 0);
        let mut version = |text: &str| {
            let text = format!("v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns={text}\r\n");
            let sdp = Sdp::parse(text.as_bytes()).expect("it is SDP");
            session.version_of(party, &text, &sdp).map(|line| line.is)
        };
        let is = |version: u32| Some(format!("o=- 7 {version} IN IP4 192.0.2.1"));
        assert_eq!(
            [version("x"), version("x"), version("y"), version("y"), version("x")],
            [None, None, is(2), is(2), is(3)]
        );
    }

    #[test]
    fn names_fit_the_call_model() {
        let mut session = Session::default();
        session.make(Some("a/b\n"), None, 0);
        session.make(Some("a_b_"), None, 0);
        session.make(Some(""), None, 0);
        let names: Vec<_> = session.parties.iter().map(|party| &*party.name).collect();
        assert_eq!(names, ["a_b_", "a_b_-2", "party"]);
    }
}
