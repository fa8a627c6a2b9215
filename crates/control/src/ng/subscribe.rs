//! `subscribe request`, `subscribe answer` and `unsubscribe`: somebody hears parties of a call, who notice nothing.

use std::hash::{BuildHasher as _, RandomState};

use patchcord_ng::{Dict, Options, Value, reason};
use patchcord_sdp::Sdp;

use super::Ng;
use super::call::{said, unix_s};
use super::control::ok;
use super::describe::described;
use super::media::{Exchange, Phase, Told};
use super::own_sdp::{Author, Line, Published, offer};
use super::refuse::Refused;
use super::session::{BadTags, Party, PartyId, Role, Session};
use crate::api::{Command, OneParty};
use crate::call::{Call, Plan};

impl Ng {
    /// Offers the selected parties' media to a subscriber, who hears them once it has answered. One that has subscribed before
    /// hears these instead.
    pub(super) async fn subscribe(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        let _gate = call.gate.lock().await;
        let before = call.session().clone();
        let publishers = before.publishers(options)?;
        let sdps = before.descriptions_of(&publishers)?;
        let lines: Vec<_> = publishers.iter().zip(&sdps).map(|(&id, sdp)| (id, sdp.media().len())).collect();
        let to_tag = said(options.to_tag.as_ref()).map_or_else(random_tag, str::to_owned);
        let mut told = None;
        let mut add = |plan: &mut Plan<'_>| {
            let mut session = before.clone();
            let subscriber = session.of_subscriber(&to_tag)?;
            if let (Some(label), Some(party)) = (&options.set_label, session.party_mut(subscriber)) {
                party.label = Some(label.as_str().into());
            }
            let mut exchange = self.exchange_with(subscriber, options, Phase::Offer, &mut session, plan);
            let lines = exchange.subscribe(&lines)?;
            session.leave_out_of_recording(plan);
            told = Some((session, subscriber, lines));
            Ok(())
        };
        self.0.control.run(&call, None, &mut add).await?;
        let (mut session, subscriber, told) = told.ok_or("nothing was planned")?;
        let text = self.offer_to(&call, &mut session, subscriber, (&publishers, &sdps), &told, options);
        let reply = reply(&session, &publishers, &sdps, &to_tag);
        *call.session() = session;
        Ok(reply.with("sdp", text))
    }

    /// Takes a subscriber's answer: it hears from now on what it was offered.
    pub(super) async fn subscribe_answer(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        let to_tag = said(options.to_tag.as_ref()).ok_or(reason::NO_TO_TAG)?;
        let bytes = options.sdp.as_deref().ok_or(reason::NO_SDP)?;
        let sdp =
            Sdp::parse(bytes).map_err(|error| Refused::Known { reason: reason::BAD_SDP, detail: error.to_string() })?;
        let lines = described(&sdp, options)?;
        let _gate = call.gate.lock().await;
        let before = call.session().clone();
        let subscriber = before.subscriber(to_tag)?.ok_or(reason::UNKNOWN_TO_TAG)?;
        before.must_be_answer(subscriber, &lines, options.flags.allow_transcoding)?;
        let mut next = None;
        let mut add = |plan: &mut Plan<'_>| {
            let mut session = before.clone();
            self.exchange_with(subscriber, options, Phase::Answer, &mut session, plan).take_answer(&lines)?;
            next = Some(session);
            Ok(())
        };
        self.0.control.run(&call, None, &mut add).await?;
        if let Some(session) = next {
            *call.session() = session;
        }
        Ok(ok())
    }

    /// Ends a subscription and frees its ports.
    pub(super) async fn unsubscribe(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        let to_tag = said(options.to_tag.as_ref()).ok_or(reason::NO_TO_TAG)?;
        let _gate = call.gate.lock().await;
        let mut session = call.session().clone();
        let Ok(Some(subscriber)) = session.subscriber(to_tag) else {
            return Ok(ok().with("warning", reason::UNKNOWN_TO_TAG));
        };
        let legs: Vec<_> = session.party(subscriber).map_or_else(Vec::new, |party| party.leg_names().collect());
        session.remove(&[subscriber]);
        let mut add = |plan: &mut Plan<'_>| {
            let alive: Vec<_> = legs.iter().filter(|leg| plan.model.legs.named(leg).is_some()).cloned().collect();
            alive.into_iter().try_for_each(|party| plan.add(&Command::LegDelete(OneParty { party })))
        };
        self.0.control.run(&call, None, &mut add).await?;
        *call.session() = session;
        Ok(ok())
    }

    /// An exchange with one party, both of whose sides it is.
    pub(super) fn exchange_with<'a, 'p>(
        &'a self,
        party: PartyId,
        options: &'a Options,
        phase: Phase,
        session: &'a mut Session,
        plan: &'a mut Plan<'p>,
    ) -> Exchange<'a, 'p> {
        Exchange { config: &self.0.config, options, settings: None, phase, from: party, to: party, session, plan }
    }

    fn offer_to(
        &self,
        call: &Call,
        session: &mut Session,
        subscriber: PartyId,
        (publishers, sdps): (&[PartyId], &[Sdp]),
        told: &[Told],
        options: &Options,
    ) -> String {
        let mut told = told.iter().cloned();
        let mut at = 0;
        let published: Vec<_> = publishers
            .iter()
            .zip(sdps)
            .map(|(&publisher, sdp)| {
                let lines = told.by_ref().take(sdp.media().len());
                let lines = lines.enumerate().map(|(index, told)| {
                    let number = at + index + 1;
                    let own_mid = || options.flags.generate_mid.then(|| number.to_string());
                    Line {
                        told,
                        without: session.unheard_formats(publisher, index, sdp),
                        mid: session.peers_mid(publisher, index).or_else(own_mid),
                    }
                });
                let lines: Vec<_> = lines.collect();
                at += lines.len();
                Published { sdp, lines }
            })
            .collect();
        let author = self.author(call, session, subscriber, told_address(&published), options);
        let text = offer(&published, options, &self.0.config, author);
        let counts = published.len() > 1 || options.replace.sdp_version;
        self.versioned(text, session, subscriber, counts)
    }

    /// Who writes a description of the relay's own to a party.
    pub(super) fn author(
        &self,
        call: &Call,
        session: &Session,
        party: PartyId,
        here: Option<core::net::IpAddr>,
        options: &Options,
    ) -> Author {
        let nowhere = core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);
        let address = options.media_address.or(here).or_else(|| self.0.control.any_address()).unwrap_or(nowhere);
        let created_us = session.party(party).map_or(0, |party| party.created_s);
        Author::new(&call.name.name, created_us, party, address)
    }

    /// The text with the version that its o= must have, if it is one that counts.
    pub(super) fn versioned(&self, text: String, session: &mut Session, party: PartyId, counts: bool) -> String {
        let parsed = Sdp::parse(text.as_bytes()).ok();
        match parsed.and_then(|sdp| session.version_of(party, &text, &sdp)).filter(|_| counts) {
            Some(version) => text.replacen(&version.was, &version.is, 1),
            None => text,
        }
    }
}

fn told_address(published: &[Published<'_>]) -> Option<core::net::IpAddr> {
    published.iter().flat_map(|one| &one.lines).find_map(|line| match line.told {
        Told::Here { rtp, .. } => Some(rtp.ip()),
        Told::Disabled => None,
    })
}

/// What was subscribed to: tags, and each of their media by its m= line in the offer, from 1.
fn reply(session: &Session, publishers: &[PartyId], sdps: &[Sdp], to_tag: &str) -> Dict {
    let parties: Vec<&Party> = publishers.iter().filter_map(|&id| session.party(id)).collect();
    let tags: Vec<&str> = parties.iter().filter_map(|party| party.tag.as_deref()).collect();
    let mut number = 0_u64;
    let mut tag_medias = Vec::new();
    for (party, sdp) in parties.iter().zip(sdps) {
        let mut entry = Dict::new();
        entry.set("tag", party.tag.as_deref().unwrap_or_default());
        if let Some(label) = &party.label {
            entry.set("label", &**label);
        }
        let medias = sdp.media().iter().map(|media| {
            number += 1;
            let mut entry = Dict::new().with("index", number).with("type", media.kind.as_str());
            if let Some(label) = media.attribute("label") {
                entry.set("label", label);
            }
            Value::Dict(entry.with("mode", media.direction.as_str()))
        });
        tag_medias.push(Value::Dict(entry.with("medias", medias.collect::<Vec<_>>())));
    }
    let mut reply = ok().with("to-tag", to_tag).with("from-tags", tags.clone());
    if let [tag] = tags[..] {
        reply.set("from-tag", tag);
    }
    reply.with("tag-medias", tag_medias)
}

/// A tag that nobody has (RFC 3261 19.3 wants 32 random bits at least).
fn random_tag() -> String {
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

impl Session {
    /// The parties that a request selects, of which at least one has described its media.
    fn publishers(&self, options: &Options) -> Result<Vec<PartyId>, Refused> {
        let tags = &options.from_tags;
        let one = said(options.from_tag.as_ref()).is_some();
        let parties: Vec<&Party> = if options.flags.all && !one {
            let all: Vec<_> = self.parties.iter().filter(|party| party.role == Role::Dialogue).collect();
            if all.is_empty() {
                return Err(reason::NO_PARTICIPANT.into());
            }
            all
        } else if !tags.is_empty() && !one {
            tags.iter().filter_map(|tag| self.tagged(tag)).collect()
        } else {
            self.selected(options)?.unwrap_or_default()
        };
        if let Some(party) = parties.iter().find(|party| party.role == Role::Subscriber) {
            let tag = party.tag.as_deref().unwrap_or_default();
            let detail = format!("{tag} is a subscriber and sends nothing; subscribe to whom it hears");
            return Err(Refused::Known { reason: reason::NO_PUBLISHER, detail });
        }
        let mut publishers: Vec<PartyId> = Vec::new();
        for party in parties.iter().filter(|party| party.sdp.is_some()) {
            if !publishers.contains(&party.id) {
                publishers.push(party.id);
            }
        }
        if publishers.is_empty() { Err(reason::NO_PUBLISHER.into()) } else { Ok(publishers) }
    }

    fn descriptions_of(&self, publishers: &[PartyId]) -> Result<Vec<Sdp>, Refused> {
        let sdp = |&id: &PartyId| {
            let text = self.party(id).and_then(|party| party.sdp.clone()).unwrap_or_default();
            Sdp::parse(text.as_bytes())
                .map_err(|error| Refused::Known { reason: reason::BAD_SDP, detail: error.to_string() })
        };
        publishers.iter().map(sdp).collect()
    }

    /// The subscriber of this tag, made if nobody has the tag.
    fn of_subscriber(&mut self, tag: &str) -> Result<PartyId, BadTags> {
        let id = match self.tagged(tag) {
            Some(party) if party.role == Role::Subscriber => party.id,
            Some(_) => return Err(BadTags::Association),
            None => self.make(Some(tag), None, unix_s()),
        };
        if let Some(party) = self.party_mut(id) {
            party.role = Role::Subscriber;
            party.signalled += 1;
        }
        Ok(id)
    }

    /// The subscriber of this tag; `None`: nobody has it.
    fn subscriber(&self, tag: &str) -> Result<Option<PartyId>, Refused> {
        match self.tagged(tag) {
            Some(party) if party.role != Role::Subscriber => {
                let detail = format!("{tag} is in the call without a subscription");
                Err(Refused::Known { reason: reason::BAD_SUBSCRIPTION_ANSWER, detail })
            }
            party => Ok(party.map(|party| party.id)),
        }
    }

    /// The formats of a publisher's m= line that its peer does not take: it will not send them.
    fn unheard_formats(&self, publisher: PartyId, media: usize, sdp: &Sdp) -> Vec<String> {
        let heard = self.understood(publisher, media);
        let Some(media) = sdp.media().get(media) else { return Vec::new() };
        let is_heard =
            |codec: &&patchcord_sdp::Codec| heard.iter().any(|other| other.payload_type.get() == codec.payload_type);
        media.codecs.iter().filter(|codec| !is_heard(codec)).map(|codec| codec.payload_type.to_string()).collect()
    }

    fn peers_mid(&self, publisher: PartyId, media: usize) -> Option<String> {
        let peer = self.party(publisher)?.peer.and_then(|peer| self.party(peer))?;
        peer.media.get(media)?.mid.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_no_side_of_a_dialogue() {
        let mut session = Session::default();
        session.of_offer("a", None, None, 0).expect("new tags");
        session.of_answer("a", "b", None).expect("it was offered");
        let subscriber = session.of_subscriber("r").expect("a new tag");
        assert_eq!(session.of_subscriber("r"), Ok(subscriber));
        assert_eq!(session.of_subscriber("a"), Err(BadTags::Association));
        for (from, to) in [("r", None), ("r", Some("a")), ("a", Some("r"))] {
            assert_eq!(session.of_offer(from, to, None, 0), Err(BadTags::Association), "{from} {to:?}");
        }
        assert!(session.subscriber("a").is_err());
        assert_eq!(session.subscriber("nobody"), Ok(None));
        assert_eq!(session.speakers().count(), 2);
    }

    #[test]
    fn generated_tags_differ() {
        assert_ne!(random_tag(), random_tag());
        assert_eq!(random_tag().len(), 32);
    }
}
