//! Plays a script: says what is to be sent and when, is given what comes, and finds the first difference.
//!
//! A step is done when all that was before it in the recording is done, and not before the recorded time has passed since the step before it.
//! What the pivot sends is taken whenever it comes: between two messages of peers its order is the system's. Deterministic is thereby what
//! the pivot is sent, and in which order.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::compare::{Difference, differs};
use super::message::{Message, settling};
use super::names::{Names, Stage};
use super::script::{Deed, Script, Step, Stream};
use super::sdp;

/// How fast it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Pauses between messages are so many times as short; none: there are no pauses.
    pub speed: Option<f64>,
    /// How much longer than in the recording a message may take.
    pub patience: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A peer sends the pivot a datagram.
    Send {
        /// Which.
        peer: usize,
        /// What.
        datagram: Vec<u8>,
    },
    /// A party sends its RTP there from now on.
    Media {
        /// Whose.
        party: String,
        /// Where to.
        to: SocketAddr,
    },
    /// A party begins to speak.
    Speak {
        /// Whose.
        party: String,
        /// What.
        stream: Stream,
    },
    /// It is to be found out whether the target has the place: [`Player::connected`]. Until then the peers wait.
    Connect,
    /// Nothing until then, unless something comes.
    Wait(Duration),
    /// Everything was as recorded.
    Same,
    /// Something was not.
    Different(Box<Difference>),
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages of peers.
    pub sent: usize,
    /// Of these, sent once more as recorded.
    pub sent_again: usize,
    /// Messages of the pivot that were compared.
    pub compared: usize,
    /// Messages of the pivot that were there already, or a 100.
    pub tolerated: usize,
}

/// Which messages are of a kind: they come in the order in which they were sent.
type Kind = (String, String);

/// Plays one script once.
#[derive(Debug)]
pub struct Player {
    script: Script,
    names: Names,
    pace: Pace,
    next: usize,
    /// When the latest step was done.
    latest: Duration,
    done: BTreeMap<usize, Duration>,
    /// By Call-ID and kind: the steps that wait for them.
    awaited: BTreeMap<Kind, Vec<usize>>,
    /// What came, for the answers to it.
    came: BTreeMap<usize, Message>,
    /// What was sent.
    sent: BTreeMap<usize, Vec<u8>>,
    seen: BTreeSet<(usize, Vec<u8>)>,
    /// Final responses and ACKs that came: they come again until they are taken in.
    settled: BTreeSet<(String, String)>,
    media: Vec<(String, SocketAddr)>,
    found: Option<Box<Difference>>,
    tally: Tally,
}

impl Player {
    /// Plays a script on a stage. The same seed gives the peers' names the same values.
    #[must_use]
    pub fn new(script: Script, stage: Stage, seed: u64, pace: Pace) -> Self {
        let mut awaited: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (index, step) in script.steps.iter().enumerate() {
            if let Deed::Await(message) = &step.deed {
                awaited.entry((message.call_id().to_owned(), kind(message))).or_default().push(index);
            }
        }
        // They are taken from the end.
        awaited.values_mut().for_each(|steps| steps.reverse());
        Self {
            names: Names::new(&script, stage, seed),
            script,
            pace,
            next: 0,
            latest: Duration::ZERO,
            done: BTreeMap::new(),
            awaited,
            came: BTreeMap::new(),
            sent: BTreeMap::new(),
            seen: BTreeSet::new(),
            settled: BTreeSet::new(),
            media: Vec::new(),
            found: None,
            tally: Tally::default(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The Call-ID of now of a recorded one.
    #[must_use]
    pub fn call_id(&self, recorded: &str) -> Option<&str> {
        self.names.call_id(recorded)
    }

    /// What is to be done now. It is asked until it says to wait.
    pub fn turn(&mut self, now: Duration) -> Turn {
        loop {
            if let Some(found) = &self.found {
                return Turn::Different(found.clone());
            }
            if let Some((party, to)) = self.media.pop() {
                return Turn::Media { party, to };
            }
            let Some(step) = self.script.steps.get(self.next) else { return Turn::Same };
            let since = self
                .next
                .checked_sub(1)
                .map_or(Duration::ZERO, |before| step.at.saturating_sub(self.script.steps[before].at));
            if matches!(step.deed, Deed::Await(_) | Deed::Connect) {
                if let Some(came) = self.done.get(&self.next) {
                    self.latest = self.latest.max(*came);
                    self.next += 1;
                    continue;
                }
                let end = self.latest + since + self.pace.patience;
                if now < end {
                    return if matches!(step.deed, Deed::Connect) { Turn::Connect } else { Turn::Wait(end) };
                }
                self.found = Some(Box::new(self.missing(step, end - self.latest)));
                continue;
            }
            let pause = self.pace.speed.map_or(Duration::ZERO, |speed| since.div_f64(speed));
            if now < self.latest + pause {
                return Turn::Wait(self.latest + pause);
            }
            let (index, step) = (self.next, step.clone());
            self.next += 1;
            self.latest = now;
            match step.deed {
                Deed::Speak(stream) => return Turn::Speak { party: step.party, stream },
                Deed::Again(first) => {
                    let Some(datagram) = self.sent.get(&first).cloned() else { continue };
                    self.tally.sent += 1;
                    self.tally.sent_again += 1;
                    return Turn::Send { peer: step.peer, datagram };
                }
                Deed::Send { ref message, answers } => {
                    let datagram = self.message_of_now(&step, message, answers).to_bytes();
                    self.sent.insert(index, datagram.clone());
                    self.tally.sent += 1;
                    return Turn::Send { peer: step.peer, datagram };
                }
                Deed::Await(_) | Deed::Connect => {}
            }
        }
    }

    /// The target has the place.
    pub fn connected(&mut self, now: Duration) {
        self.done.insert(self.next, now);
    }

    /// A peer was sent this.
    pub fn received(&mut self, peer: usize, datagram: &[u8], now: Duration) {
        if self.found.is_some() {
            return;
        }
        let text = String::from_utf8_lossy(datagram);
        let message = match Message::parse(&text) {
            Ok(message) => message,
            // Keep-alives are no messages.
            Err(_) if text.trim_matches(['\r', '\n', '\0', ' ']).is_empty() => return,
            Err(why) => return self.unexpected(peer, &format!("what is no SIP: {why}")),
        };
        let key = settling(&message);
        let is_known = key.as_ref().is_some_and(|key| self.settled.contains(key));
        let is_trying = message.status().is_some_and(|(code, _)| code == 100);
        if is_known || is_trying || !self.seen.insert((peer, datagram.to_vec())) {
            self.tally.tolerated += 1;
            return;
        }
        self.settled.extend(key);
        let Some(call_id) = self.dialog_of(peer, &message) else {
            // It looks whether somebody is there, or registers: that is of no call.
            if !matches!(message.method(), "OPTIONS" | "REGISTER") {
                self.unexpected(peer, &message.in_short());
            }
            return;
        };
        let awaited = self.awaited.get_mut(&(call_id, kind(&message)));
        let Some(index) = awaited.and_then(Vec::pop) else { return self.unexpected(peer, &message.in_short()) };
        self.compare(index, peer, message, now);
    }

    fn compare(&mut self, index: usize, peer: usize, message: Message, now: Duration) {
        let Some(step) = self.script.steps.get(index) else { return };
        let Deed::Await(recorded) = &step.deed else { return };
        if peer != step.peer {
            let at = |peer: usize| self.script.peers.get(peer).map(ToString::to_string).unwrap_or_default();
            self.found = Some(Box::new(Difference {
                part: "where it was sent".to_owned(),
                expected: at(step.peer),
                got: at(peer),
                look_at: "the trunk's proxy, and Contact and Record-Route of the dialog".to_owned(),
                ..about(&self.script, step)
            }));
            return;
        }
        self.names.learn(recorded, &message);
        if let Some(part) = differs(recorded, &message, |value| self.names.naming_dialogs(value)) {
            self.found = Some(Box::new(Difference {
                part: format!("{} of {}", part.part, recorded.in_short()),
                expected: part.expected,
                got: part.got,
                look_at: part.look_at.to_owned(),
                ..about(&self.script, step)
            }));
            return;
        }
        if let Some(to) = message.sdp().and_then(sdp::media_of) {
            self.media.push((step.party.clone(), to));
        }
        self.tally.compared += 1;
        self.done.insert(index, now);
        self.came.insert(index, message);
    }

    /// The recorded Call-ID of a message. A request that begins a dialog is the first of the recorded ones that fits it.
    fn dialog_of(&mut self, peer: usize, message: &Message) -> Option<String> {
        if let Some(known) = self.names.recorded_call_id(message.call_id()) {
            return Some(known.to_owned());
        }
        if message.status().is_some() || message.tag("To").is_some() {
            return None;
        }
        let begins = |step: &&Step| match &step.deed {
            Deed::Await(recorded) => {
                recorded.status().is_none()
                    && recorded.method() == message.method()
                    && self.names.call_id(recorded.call_id()).is_none()
            }
            _ => false,
        };
        let fits = |step: &&Step| matches!(&step.deed, Deed::Await(recorded) if step.peer == peer && recorded.called() == message.called());
        let steps = || self.script.steps.iter().filter(begins);
        let found = steps().find(fits).or_else(|| steps().next())?;
        let Deed::Await(recorded) = &found.deed else { return None };
        let recorded = recorded.call_id().to_owned();
        self.names.bind(&recorded, message.call_id());
        Some(recorded)
    }

    fn message_of_now(&mut self, step: &Step, message: &Message, answers: Option<usize>) -> Message {
        let from = self.names.stage().peers.get(step.peer).copied();
        let home = self.script.requests_at.get(message.call_id()).and_then(|peer| self.names.stage().peers.get(*peer));
        let from = from.unwrap_or(self.names.stage().pivot);
        let home = home.copied().unwrap_or(from);
        match answers.and_then(|request| self.came.get(&request)) {
            Some(request) => self.names.response(message, request, home, &step.party),
            None => self.names.request(message, from, home, &step.party),
        }
    }

    fn missing(&self, step: &Step, waited: Duration) -> Difference {
        let expected = match &step.deed {
            Deed::Await(message) => message.in_short(),
            _ => "the target takes the transferor's place".to_owned(),
        };
        let last = self.script.steps[..self.next].iter().next_back().map_or(0, |step| step.number);
        Difference {
            part: "it did not come".to_owned(),
            expected,
            got: format!("nothing for {} ms", waited.as_millis()),
            look_at: format!("the pivot's log; everything up to message {last} was as recorded"),
            ..about(&self.script, step)
        }
    }

    fn unexpected(&mut self, peer: usize, what: &str) {
        // Where in the recording it came: behind what is done.
        let waits = self.script.steps.get(self.next);
        let expected = match waits.map(|step| (step.number, &step.deed)) {
            Some((number, Deed::Await(message))) => format!("message {number}, {}", message.in_short()),
            Some((number, _)) => format!("nothing before message {number} of a peer"),
            None => "nothing more".to_owned(),
        };
        self.found = Some(Box::new(Difference {
            message: None,
            peer: self.script.peers.get(peer).map(ToString::to_string),
            party: None,
            part: "a message that the recording does not have".to_owned(),
            expected,
            got: what.to_owned(),
            look_at: "what the pivot decides there that it did not decide then".to_owned(),
        }));
    }
}

fn about(script: &Script, step: &Step) -> Difference {
    Difference {
        message: Some(step.number),
        peer: script.peers.get(step.peer).map(ToString::to_string),
        party: Some(step.party.clone()),
        part: String::new(),
        expected: String::new(),
        got: String::new(),
        look_at: String::new(),
    }
}

/// Requests of a method, or responses to one request.
fn kind(message: &Message) -> String {
    match (message.status(), message.cseq()) {
        (Some(_), Some((number, method))) => format!("response {number} {method}"),
        _ => format!("request {}", message.method()),
    }
}
