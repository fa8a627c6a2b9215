//! What a recording has each peer do, in the order in which the pivot saw it.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::bundle::{Recording, ReplayError, Said};
use super::message::{Message, parts_of, settling};
use super::sdp;

/// Peers of one call: more than any call has, and each costs a socket.
const PEERS_MAX: usize = 64;

/// A whole day: longer calls are no regression tests.
const LENGTH_MAX_MS: f64 = 86_400_000.0;

/// Packets of one stream: an hour of it.
const PACKETS_MAX: u64 = 180_000;

/// The recording as steps.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Where the pivot was.
    pub pivot: BTreeSet<SocketAddr>,
    /// Where the others were; a step names one by its index.
    pub peers: Vec<SocketAddr>,
    /// What was done, in this order.
    pub steps: Vec<Step>,
    /// The parties that have media, with the peer that speaks for each.
    pub parties: BTreeMap<String, usize>,
    /// Hosts of no trunk that the pivot has called, with the peers that they are.
    pub named: BTreeMap<String, usize>,
    /// Messages that are not played, and why.
    pub notes: Vec<String>,
    /// Where the pivot's requests within a dialog go, by its Call-ID.
    pub requests_at: BTreeMap<String, usize>,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of the message in the trace, from 1; of a stream that of the message before it.
    pub number: usize,
    /// When, since the first message.
    pub at: Duration,
    /// The peer.
    pub peer: usize,
    /// The party whose dialog it is of.
    pub party: String,
    /// What.
    pub deed: Deed,
}

/// What was done.
#[derive(Clone, Debug)]
pub enum Deed {
    /// The peer sends a message. `answers`: the step whose request it answers.
    Send {
        /// As recorded.
        message: Message,
        /// The step with the request, if it is a response.
        answers: Option<usize>,
    },
    /// It sends once more what it sent in this step.
    Again(usize),
    /// The pivot sends it a message.
    Await(Message),
    /// It begins to speak.
    Speak(Stream),
    /// The target takes the place, which no message need tell.
    Connect,
}

/// What a party sends as RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its payload type.
    pub payload_type: u8,
    /// How many packets, 20 ms apart.
    pub packets: u64,
}

impl Script {
    /// The script of a recording.
    ///
    /// # Errors
    /// A message cannot be understood, or something in the recording cannot be had again.
    pub fn of(recording: &Recording) -> Result<Self, ReplayError> {
        let by = match recording.transfer.chosen_by.as_str() {
            "controller" => Some("a webhook has decided about it, whose answer is not in the bundle"),
            "command" => Some("it was begun over HTTP, and what was commanded when is not in the bundle"),
            _ => None,
        };
        if let Some(why) = by {
            let text = format!("this transfer cannot be played again: {why}. Transfers by REFER or INVITE can be");
            return Err(ReplayError::NotPlayable(text));
        }
        let mut writer = Writer::default();
        for (index, said) in recording.trace.messages.iter().enumerate() {
            writer.take(index + 1, said)?;
        }
        writer.script.requests_at = writer.requests_at();
        writer.script.named = writer.named(recording);
        writer.streams(recording);
        writer.connection(recording);
        if !writer.script.steps.iter().any(|step| matches!(step.deed, Deed::Send { .. })) {
            return Err(ReplayError::NotPlayable(
                "no peer has sent anything in this trace: there is nothing to play".to_owned(),
            ));
        }
        Ok(writer.script)
    }

    /// The INVITEs with which the pivot begins dialogs: to which peer, and with which request URI.
    pub fn invites(&self) -> impl Iterator<Item = (usize, &str)> {
        self.steps.iter().filter_map(|step| match &step.deed {
            Deed::Await(message) if message.method() == "INVITE" && message.tag("To").is_none() => {
                Some((step.peer, message.request_uri()?))
            }
            _ => None,
        })
    }

    /// How long the recording lasted.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.steps.last().map(|step| step.at).unwrap_or_default()
    }
}

#[derive(Default)]
struct Writer {
    script: Script,
    at: Duration,
    /// What each peer has sent: the step of the first time.
    sent: BTreeMap<(usize, String), usize>,
    /// What the pivot has sent.
    awaited: BTreeSet<(usize, String)>,
    settled: BTreeSet<(String, String)>,
}

impl Writer {
    fn take(&mut self, number: usize, said: &Said) -> Result<(), ReplayError> {
        let bad = |why: String| ReplayError::Message { number, why };
        if !(0.0..=LENGTH_MAX_MS).contains(&said.at_ms) {
            return Err(bad(format!("`at_ms` is {}: it is 0 to {LENGTH_MAX_MS}", said.at_ms)));
        }
        // What was seen later cannot have been earlier.
        self.at = self.at.max(Duration::from_micros((said.at_ms * 1000.0).round() as u64));
        let is_sent = match said.direction.as_str() {
            "in" => true,
            "out" => false,
            other => return Err(bad(format!("`direction` is {other:?}: it is \"in\" or \"out\""))),
        };
        let message = match Message::parse(&said.text) {
            Ok(message) => message,
            // The pivot has made nothing of it either.
            Err(why) if is_sent => {
                self.script.notes.push(format!("message {number} of {} is left out: {why}", said.remote));
                return Ok(());
            }
            Err(why) => return Err(bad(why)),
        };
        playable(&message, is_sent).map_err(bad)?;
        self.script.pivot.insert(said.local);
        let peer = self.peer(said.remote)?;
        let step = |deed| Step { number, at: self.at, peer, party: said.party.clone(), deed };
        let key = (peer, said.text.clone());
        if !is_sent {
            // Retransmissions of the pivot, and 100 (RFC 3261 17.2.1), depend on timing: they may come, and are not waited for.
            let is_trying = message.status().is_some_and(|(code, _)| code == 100);
            let is_settled = settling(&message).is_some_and(|settles| !self.settled.insert(settles));
            if !is_trying && !is_settled && self.awaited.insert(key) {
                let step = step(Deed::Await(message));
                self.script.steps.push(step);
            }
            return Ok(());
        }
        let deed = match self.sent.get(&key) {
            Some(first) => Deed::Again(*first),
            None => {
                let answers = message.status().is_some().then(|| self.request_of(&message));
                if answers == Some(None) {
                    let short = message.in_short();
                    self.script
                        .notes
                        .push(format!("message {number} ({short}) is left out: its request is not in the trace"));
                    return Ok(());
                }
                self.sent.insert(key, self.script.steps.len());
                if message.sdp().is_some() {
                    self.script.parties.entry(said.party.clone()).or_insert(peer);
                }
                Deed::Send { message, answers: answers.flatten() }
            }
        };
        let step = Step { number, at: self.at, peer, party: said.party.clone(), deed };
        self.script.steps.push(step);
        Ok(())
    }

    fn peer(&mut self, remote: SocketAddr) -> Result<usize, ReplayError> {
        if let Some(known) = self.script.peers.iter().position(|peer| *peer == remote) {
            return Ok(known);
        }
        if self.script.peers.len() >= PEERS_MAX {
            return Err(ReplayError::NotPlayable(format!(
                "the call has more than {PEERS_MAX} peers: that is no transfer"
            )));
        }
        self.script.peers.push(remote);
        Ok(self.script.peers.len() - 1)
    }

    /// The step in which the pivot sent the request that a response answers.
    fn request_of(&self, response: &Message) -> Option<usize> {
        let is_it = |step: &Step| match &step.deed {
            Deed::Await(request) => {
                let same = |name| request.first(name) == response.first(name);
                request.status().is_none() && request.branch() == response.branch() && same("Call-ID") && same("CSeq")
            }
            _ => false,
        };
        self.script.steps.iter().rposition(is_it)
    }

    /// A peer's Contact may be a name, or an address that only its own network knows: what the pivot sent there tells which peer it is.
    fn requests_at(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for step in &self.script.steps {
            let Deed::Await(message) = &step.deed else { continue };
            if message.status().is_none() && message.tag("To").is_some() {
                found.entry(message.call_id().to_owned()).or_insert(step.peer);
            }
        }
        found
    }

    /// Nobody resolves a name of the recording now.
    fn named(&self, recording: &Recording) -> BTreeMap<String, usize> {
        let trunks = &recording.setup.trunks;
        let invites = self
            .script
            .invites()
            .filter_map(|(peer, uri)| Some((parts_of(uri).1, peer)).filter(|(host, _)| !host.is_empty()));
        invites
            .filter(|(host, _)| {
                let is_of_trunk = trunks.values().any(|trunk| trunk.domain == *host || trunk.numbers_at == *host);
                let is_name =
                    host.split(':').next().is_some_and(|name| name.contains(|char: char| char.is_ascii_alphabetic()));
                is_name && !host.starts_with('[') && !is_of_trunk
            })
            .map(|(host, peer)| (host.to_owned(), peer))
            .collect()
    }

    /// Puts the parties' streams between the messages.
    fn streams(&mut self, recording: &Recording) {
        let media = recording.transfer.media.as_ref();
        let facts = media.and_then(|media| media.at_call_end.as_ref().or(media.when_over.as_ref()));
        for (party, peer) in self.script.parties.clone() {
            let of_party = facts.into_iter().flat_map(|facts| &facts.parties).filter(|facts| facts.party == party);
            let packets = of_party.map(|facts| facts.received).max().unwrap_or_default();
            let first = recording.marks.first_packets_ms.get(&party).filter(|_| packets > 0);
            // Nobody can send before both have described their media.
            let (Some(first), Some((ready, payload_type))) = (first, self.described(&party)) else { continue };
            let stream = Stream { payload_type, packets: packets.min(PACKETS_MAX) };
            self.insert(ready, *first, peer, &party, Deed::Speak(stream));
        }
    }

    /// Puts the target's taking the place between the messages.
    fn connection(&mut self, recording: &Recording) {
        let (Some(at), Some(party)) = (recording.marks.connected_ms, &recording.transfer.target) else { return };
        let peer = self.script.parties.get(party).copied().unwrap_or_default();
        let ready = self.described(party).map_or(0, |(ready, _)| ready);
        self.insert(ready, at, peer, party, Deed::Connect);
    }

    /// The step from which on a party can send: it has described its media and been told the pivot's. With the payload type that both have.
    fn described(&self, party: &str) -> Option<(usize, u8)> {
        let (mut own, mut theirs): (Option<&str>, Option<&str>) = (None, None);
        for (index, step) in self.script.steps.iter().enumerate().filter(|(_, step)| step.party == party) {
            match &step.deed {
                Deed::Send { message, .. } => own = message.sdp().or(own),
                Deed::Await(message) => theirs = message.sdp().or(theirs),
                _ => {}
            }
            if let (Some(own), Some(theirs)) = (own, theirs) {
                let (own, theirs) = (sdp::payload_types(own), sdp::payload_types(theirs));
                let both = own.iter().find(|payload_type| theirs.contains(payload_type));
                return Some((index + 1, both.or(own.first()).copied()?));
            }
        }
        None
    }

    /// Puts a step where it was in time, but not in front of the step `ready`. Steps name others by their index.
    fn insert(&mut self, ready: usize, at_ms: f64, peer: usize, party: &str, deed: Deed) {
        let at = Duration::from_micros((at_ms.clamp(0.0, LENGTH_MAX_MS) * 1000.0).round() as u64);
        let later = self.script.steps.iter().skip(ready).position(|step| step.at > at);
        let place = later.map_or(self.script.steps.len(), |later| ready + later);
        let before = place.checked_sub(1).and_then(|before| self.script.steps.get(before));
        let (number, at) = before.map_or((0, at), |before| (before.number, at.max(before.at)));
        for step in &mut self.script.steps {
            match &mut step.deed {
                Deed::Again(other) | Deed::Send { answers: Some(other), .. } if *other >= place => *other += 1,
                _ => {}
            }
        }
        self.script.steps.insert(place, Step { number, at, peer, party: party.to_owned(), deed });
    }
}

/// What a bundle does not hold cannot be sent again.
fn playable(message: &Message, is_sent: bool) -> Result<(), String> {
    if is_sent && message.fields().any(|(name, _)| name.eq_ignore_ascii_case("Authorization")) {
        return Err(
            "its sender has proved who it is, and bundles hold no credentials: calls of trunks with `challenge` cannot be played again"
                .to_owned(),
        );
    }
    if message.sdp().is_some_and(sdp::is_secure) {
        return Err(
            "its media is SRTP, and bundles hold no keys: record the transfer with `srtp` off to have it as a regression test".to_owned()
        );
    }
    Ok(())
}
