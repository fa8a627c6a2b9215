//! Random sequences of commands, packets and time against a simple model of what each party hears.
//!
//! The model knows what a command means, not how it is done: a swap that waits is remembered as a swap and carried out on
//! whatever the call is like when it happens. After each step every source in the engine is compared with what the control
//! plane says (by [`Relay::state`]) and that with the model; no port may leak, and what is refused must change nothing.

use std::collections::BTreeMap;

use patchcord_control::api::{CommandAnswer, CutOverState, Detail, EventKind, Outcome, PlayEnd};
use patchcord_control::{ApiError, ErrorCode};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::relay::{Phone, Relay, config, told};

const NAMES: [&str; 5] = ["a", "b", "x", "y", "nobody"];
const PORTS: u32 = 8;

#[derive(Clone, Debug)]
enum Step {
    Create {
        party: &'static str,
        muxed: bool,
    },
    Delete(&'static str),
    Bridge {
        a: &'static str,
        b: &'static str,
        trigger: Option<Value>,
    },
    Unbridge {
        a: &'static str,
        b: &'static str,
    },
    Swap {
        parties: [&'static str; 3],
        trigger: Option<Value>,
        keep_old: Option<Value>,
    },
    Hold(&'static str),
    Resume(&'static str),
    Play {
        party: &'static str,
        forever: bool,
        queue: bool,
        overlay: bool,
    },
    Ringback(&'static str),
    Stop(&'static str),
    Monitor {
        party: &'static str,
        of: &'static str,
    },
    Unmonitor(&'static str),
    Conference(Vec<&'static str>),
    Leave(&'static str),
    Whisper {
        party: &'static str,
        by: &'static str,
        gain_db: i8,
    },
    Unwhisper(&'static str),
    Gain {
        party: &'static str,
        gain_db: i8,
    },
    Mute {
        party: &'static str,
        muted: bool,
    },
    Rollback(usize),
    /// The same command under the same id once more.
    Repeat(usize),
    /// A batch.
    Pair(Box<Step>, Box<Step>),
    /// Two commands of which the second is refused.
    HalfBad(&'static str),
    Talk(&'static str),
    Pass(u64),
}

/// Stands for a prompt that is over.
const ENDED: &str = "ended";
/// One over what the party hears, and what it is when it has ended.
const OVERLAY: &str = "overlay";
const ENDED_OVERLAY: &str = "ended overlay";
/// A party that was deleted, whoever comes to have its name: whom another one monitors, or whom a swap was to leave.
const GONE: &str = "gone";

/// What a party hears, in the model.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ears {
    peer: Option<&'static str>,
    conference: Option<usize>,
    monitors: Option<&'static str>,
    whisperer: Option<&'static str>,
    /// How much louder it is heard; no bridge changes that.
    gain_db: i8,
    held: bool,
    /// What is played, and whether it goes on for ever.
    play: Option<(&'static str, bool)>,
}

type Ears4 = BTreeMap<&'static str, Ears>;

/// Something that takes the step when its time comes.
#[derive(Clone, Debug)]
enum Meaning {
    Bridge { a: &'static str, b: &'static str },
    Swap { parties: [&'static str; 3], old: Old },
}

impl Meaning {
    fn parties(&self) -> Vec<&'static str> {
        match *self {
            Self::Bridge { a, b } => vec![a, b],
            Self::Swap { parties, .. } => parties.to_vec(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Old {
    Hold,
    Mute,
    Drop,
}

/// A command that changed something, for rollback.
#[derive(Clone, Debug)]
struct Done {
    id: String,
    before: Ears4,
    after: Ears4,
}

#[derive(Debug, Default)]
struct Model {
    ears: Ears4,
    waiting: BTreeMap<u64, (String, Meaning)>,
    done: Vec<Done>,
    conferences: usize,
}

fn party() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..])
}

fn trigger() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        3 => Just(None),
        3 => Just(Some(json!("immediate"))),
        2 => Just(Some(json!("on-first-packet"))),
        1 => Just(Some(json!("after-prompt"))),
        1 => (1..200_u32).prop_map(|ms| Some(json!({"after_ms": ms}))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => command(),
        2 => (command(), command()).prop_map(|(one, other)| Step::Pair(Box::new(one), Box::new(other))),
        1 => (0..6_usize).prop_map(Step::Repeat),
        1 => party().prop_map(Step::HalfBad),
        3 => party().prop_map(Step::Talk),
        1 => (1..700_u64).prop_map(Step::Pass),
    ]
}

fn command() -> impl Strategy<Value = Step> {
    let keep_old =
        prop_oneof![Just(None), Just(Some(json!("mute"))), Just(Some(json!("drop"))), Just(Some(json!("hold"))),];
    prop_oneof![
        4 => (party(), any::<bool>()).prop_map(|(party, muxed)| Step::Create { party, muxed }),
        1 => party().prop_map(Step::Delete),
        4 => (party(), party(), trigger()).prop_map(|(a, b, trigger)| Step::Bridge { a, b, trigger }),
        1 => (party(), party()).prop_map(|(a, b)| Step::Unbridge { a, b }),
        6 => (party(), party(), party(), trigger(), keep_old)
            .prop_map(|(survivor, old, new, trigger, keep_old)| Step::Swap { parties: [survivor, old, new], trigger, keep_old }),
        2 => party().prop_map(Step::Hold),
        2 => party().prop_map(Step::Resume),
        4 => (party(), any::<[bool; 3]>())
            .prop_map(|(party, [forever, queue, overlay])| Step::Play { party, forever, queue: queue && !overlay, overlay }),
        1 => party().prop_map(Step::Ringback),
        1 => party().prop_map(Step::Stop),
        3 => (party(), party()).prop_map(|(party, of)| Step::Monitor { party, of }),
        1 => party().prop_map(Step::Unmonitor),
        3 => proptest::collection::vec(party(), 2..5).prop_map(Step::Conference),
        1 => party().prop_map(Step::Leave),
        2 => (party(), party(), 0..2_i8).prop_map(|(party, by, gain)| Step::Whisper { party, by, gain_db: gain * 6 }),
        1 => party().prop_map(Step::Unwhisper),
        2 => (party(), 0..3_i8).prop_map(|(party, gain)| Step::Gain { party, gain_db: gain * 6 - 6 }),
        1 => (party(), any::<bool>()).prop_map(|(party, muted)| Step::Mute { party, muted }),
        2 => (0..6_usize).prop_map(Step::Rollback),
    ]
}

impl Step {
    fn command(&self, asked: &[Asked]) -> Option<Value> {
        let with = |mut command: Value, field: &str, value: &Option<Value>| {
            if let Some(value) = value {
                command[field] = value.clone();
            }
            command
        };
        Some(match self {
            Self::Create { party, muxed } => {
                json!({"command": "leg-create", "party": party, "codecs": ["PCMU"], "rtcp_mux": muxed})
            }
            Self::Delete(party) => json!({"command": "leg-delete", "party": party}),
            Self::Bridge { a, b, trigger } => with(json!({"command": "bridge", "a": a, "b": b}), "trigger", trigger),
            Self::Unbridge { a, b } => json!({"command": "unbridge", "a": a, "b": b}),
            Self::Swap { parties: [survivor, old, new], trigger, keep_old } => {
                let swap = json!({"command": "swap", "survivor": survivor, "old": old, "new": new});
                with(with(swap, "trigger", trigger), "keep_old", keep_old)
            }
            Self::Hold(party) => json!({"command": "hold", "party": party}),
            Self::Resume(party) => json!({"command": "resume", "party": party}),
            Self::Play { party, forever, queue, overlay } => {
                let repeat = if *forever { json!("forever") } else { json!(1) };
                let audio = "silence";
                let mut play =
                    json!({"command": "play", "party": party, "audio": audio, "repeat": repeat, "queue": queue});
                if *overlay {
                    play["overlay"] = json!(true);
                    // Else the engine hears no difference at the end of one over a conference.
                    play["duck_db"] = json!(if *forever { -12 } else { 0 });
                }
                play
            }
            Self::Ringback(party) => json!({"command": "ringback", "party": party, "country": "us"}),
            Self::Stop(party) => json!({"command": "stop", "party": party}),
            Self::Monitor { party, of } => json!({"command": "monitor", "party": party, "of": of}),
            Self::Unmonitor(party) => json!({"command": "unmonitor", "party": party}),
            Self::Conference(parties) => json!({"command": "conference", "parties": parties}),
            Self::Leave(party) => json!({"command": "leave", "party": party}),
            Self::Whisper { party, by, gain_db } => {
                json!({"command": "whisper", "party": party, "by": by, "gain_db": gain_db})
            }
            Self::Unwhisper(party) => json!({"command": "unwhisper", "party": party}),
            Self::Gain { party, gain_db } => json!({"command": "gain", "party": party, "gain_db": gain_db}),
            Self::Mute { party, muted } => json!({"command": if *muted { "mute" } else { "unmute" }, "party": party}),
            Self::Rollback(back) => {
                let of = asked.iter().rev().nth(*back)?;
                json!({"command": "rollback", "of": of.id})
            }
            Self::Pair(..) | Self::Repeat(_) | Self::HalfBad(_) | Self::Talk(_) | Self::Pass(_) => return None,
        })
    }
}

impl Model {
    /// What everybody hears, in the words of the API.
    fn heard(&self) -> BTreeMap<String, String> {
        self.ears.iter().map(|(name, ears)| ((*name).to_owned(), self.heard_by(name, ears))).collect()
    }

    fn heard_by(&self, name: &str, ears: &Ears) -> String {
        match ears {
            Ears { play: Some((ENDED, _)), .. } => "silence".to_owned(),
            Ears { play: Some((OVERLAY, _)), .. } => {
                let others = Ears { play: None, ..ears.clone() };
                in_order(&format!("{} + play:silence", self.heard_by(name, &others)))
            }
            Ears { play: Some((ENDED_OVERLAY, _)), .. } => self.heard_by(name, &Ears { play: None, ..ears.clone() }),
            Ears { play: Some(("us", _)), .. } => "ringback:us".to_owned(),
            Ears { play: Some((audio, _)), .. } => format!("play:{audio}"),
            Ears { held: true, .. } => "hold:hold".to_owned(),
            Ears { .. } => self.parties_heard(name, ears),
        }
    }

    fn parties_heard(&self, name: &str, ears: &Ears) -> String {
        let with = |other: &str| self.ears.get(other).filter(|other| !other.held);
        let mut heard: Vec<_> = match *ears {
            Ears { monitors: Some(GONE), .. } => Vec::new(),
            Ears { monitors: Some(of), .. } => vec![of],
            Ears { conference: Some(conference), .. } => {
                let others = self.ears.keys().copied().filter(|other| *other != name);
                others.filter(|other| with(other).is_some_and(|other| other.conference == Some(conference))).collect()
            }
            Ears { peer: Some(peer), .. } if with(peer).is_some_and(|other| other.peer == Some(name)) => vec![peer],
            Ears { .. } => Vec::new(),
        };
        heard.extend(ears.whisperer.filter(|by| *by != GONE));
        heard.sort_unstable();
        heard.dedup();
        if heard.is_empty() { "silence".to_owned() } else { heard.join(" + ") }
    }

    /// The party turns away from its peer, which has nobody then, unless it is on hold.
    fn part(&mut self, name: &'static str) {
        let Some(peer) = self.ears.get(name).and_then(|ears| ears.peer) else { return };
        if let Some(other) = self.ears.get_mut(peer)
            && other.peer == Some(name)
            && !other.held
        {
            other.peer = None;
        }
    }

    fn bridge(&mut self, a: &'static str, b: &'static str) {
        self.part(a);
        self.part(b);
        for (one, other) in [(a, b), (b, a)] {
            self.reset(one, Ears { peer: Some(other), ..Ears::default() });
        }
    }

    /// The party hears just this from now on; its gain stays.
    fn reset(&mut self, name: &'static str, mut ears: Ears) {
        ears.gain_db = self.ears.get(name).map_or(0, |ears| ears.gain_db);
        self.ears.insert(name, ears);
    }

    fn remove(&mut self, name: &str) {
        self.ears.remove(name);
        for ears in self.ears.values_mut() {
            ears.peer = ears.peer.filter(|peer| *peer != name);
            ears.monitors = ears.monitors.map(|of| if of == name { GONE } else { of });
            ears.whisperer = ears.whisperer.map(|by| if by == name { GONE } else { by });
        }
        for (_, meaning) in self.waiting.values_mut() {
            if let Meaning::Swap { parties: [_, old, _], .. } = meaning
                && *old == name
            {
                *old = GONE;
            }
        }
    }

    fn carry_out(&mut self, meaning: &Meaning) {
        match *meaning {
            Meaning::Bridge { a, b } => self.bridge(a, b),
            Meaning::Swap { parties: [survivor, old, new], old: becomes } => {
                self.bridge(survivor, new);
                if old != GONE {
                    self.part(old);
                    self.reset(old, Ears { held: becomes == Old::Hold, ..Ears::default() });
                }
            }
        }
    }

    fn note(&mut self, id: &str, before: Ears4) {
        self.done.push(Done { id: id.to_owned(), before, after: self.ears.clone() });
    }

    /// A command was accepted.
    fn accept(&mut self, id: &str, step: &Step, outcome: &Outcome) {
        if let Detail::CutOver(result) = &outcome.detail
            && result.state == CutOverState::Cancelled
        {
            // A later command of its batch has cancelled it.
            return;
        }
        let before = self.ears.clone();
        let pending = match &outcome.detail {
            Detail::CutOver(result) if result.state == CutOverState::Pending => result.cut_over,
            _ => None,
        };
        let meaning = match *step {
            Step::Bridge { a, b, .. } => Some(Meaning::Bridge { a, b }),
            Step::Swap { parties, ref keep_old, .. } => {
                let old = match keep_old.as_ref().and_then(Value::as_str) {
                    Some("mute") => Old::Mute,
                    Some("drop") => Old::Drop,
                    _ => Old::Hold,
                };
                Some(Meaning::Swap { parties, old })
            }
            _ => None,
        };
        match (meaning, pending) {
            (Some(meaning), Some(cut_over)) => {
                self.waiting.insert(cut_over, (id.to_owned(), meaning));
                return;
            }
            (Some(meaning), None) => self.carry_out(&meaning),
            (None, _) => self.obey(step),
        }
        if matches!(&outcome.detail, Detail::CutOver(result) if result.cut_over.is_some()) {
            self.note(id, before);
        }
    }

    fn obey(&mut self, step: &Step) {
        match *step {
            Step::Create { party, .. } => {
                self.ears.insert(party, Ears::default());
            }
            Step::Delete(party) => self.remove(party),
            Step::Unbridge { a, b } => {
                for (one, other) in [(a, b), (b, a)] {
                    let ears = self.ears.entry(one).or_default();
                    ears.peer = ears.peer.filter(|peer| *peer != other);
                }
            }
            Step::Hold(party) => {
                let ears = self.ears.entry(party).or_default();
                (ears.held, ears.play) = (true, None);
            }
            Step::Resume(party) => {
                let ears = self.ears.entry(party).or_default();
                (ears.held, ears.play) = (false, None);
                if let Some(peer) = ears.peer {
                    if self.ears[peer].peer != Some(party) {
                        self.part(peer);
                    }
                    self.ears.entry(peer).or_default().peer = Some(party);
                }
            }
            Step::Play { party, forever, queue, overlay } => {
                let audio = if overlay { OVERLAY } else { "silence" };
                let play = &mut self.ears.entry(party).or_default().play;
                assert!(!queue || play.is_none_or(|(_, forever)| !forever), "nothing follows what repeats for ever");
                *play = Some((audio, forever));
            }
            Step::Ringback(party) => self.ears.entry(party).or_default().play = Some(("us", true)),
            Step::Stop(party) => self.ears.entry(party).or_default().play = None,
            Step::Monitor { party, of } => self.ears.entry(party).or_default().monitors = Some(of),
            Step::Unmonitor(party) => self.ears.entry(party).or_default().monitors = None,
            Step::Conference(ref parties) => {
                self.conferences += 1;
                for &party in parties {
                    self.part(party);
                    let conference = Some(self.conferences);
                    self.reset(party, Ears { conference, ..Ears::default() });
                }
            }
            Step::Leave(party) => self.ears.entry(party).or_default().conference = None,
            Step::Whisper { party, by, .. } => self.ears.entry(party).or_default().whisperer = Some(by),
            Step::Unwhisper(party) => self.ears.entry(party).or_default().whisperer = None,
            Step::Gain { party, gain_db } => self.ears.entry(party).or_default().gain_db = gain_db,
            _ => {}
        }
    }

    /// A rollback of `of` was accepted.
    fn undo(&mut self, of: &str) {
        self.waiting.retain(|_, (id, _)| id != of);
        while let Some(at) = self.done.iter().rposition(|done| done.id == of) {
            let Done { before, after, .. } = self.done.remove(at);
            for (name, ears) in before {
                let changed = after.get(name) != Some(&ears);
                if changed && self.ears.contains_key(name) {
                    self.ears.insert(name, ears);
                }
            }
            let alive: Vec<_> = self.ears.keys().copied().collect();
            for ears in self.ears.values_mut() {
                ears.peer = ears.peer.filter(|peer| alive.contains(peer));
                ears.monitors = ears.monitors.map(|of| if alive.contains(&of) { of } else { GONE });
                ears.whisperer = ears.whisperer.map(|by| if alive.contains(&by) { by } else { GONE });
            }
        }
    }
}

/// A request, and what came of it.
#[derive(Clone, Debug)]
struct Asked {
    id: String,
    steps: Vec<Step>,
    commands: Value,
    answer: Result<CommandAnswer, ApiError>,
}

/// A relay, its model, and what has been asked so far.
struct Run {
    relay: Relay,
    model: Model,
    phones: BTreeMap<&'static str, Phone>,
    asked: Vec<Asked>,
    events: broadcast::Receiver<std::sync::Arc<patchcord_control::api::CallEvent>>,
}

impl Run {
    fn new() -> Self {
        let relay = Relay::with(config(30000..=30000 + PORTS as u16 - 1), 1);
        relay.control.create_call(Some("c"), None).unwrap();
        let events = relay.control.subscribe();
        Self { relay, model: Model::default(), phones: BTreeMap::new(), asked: Vec::new(), events }
    }

    async fn take(&mut self, step: &Step) {
        let steps = match step {
            Step::Pair(one, other) => vec![Step::clone(one), Step::clone(other)],
            step => vec![step.clone()],
        };
        let commands: Option<Vec<_>> = steps.iter().map(|step| step.command(&self.asked)).collect();
        if let Some(commands) = commands {
            let (id, commands) = (format!("id-{}", self.asked.len()), Value::Array(commands));
            let answer = self.relay.batch_as(&id, commands.clone()).await;
            if let Err(error) = &answer {
                assert_ne!(error.code, ErrorCode::Refused, "{commands}: {error}");
            }
            let asked = Asked { id, steps, commands, answer };
            self.answered(&asked);
            self.asked.push(asked);
        }
        match *step {
            Step::Repeat(back) => {
                if let Some(at) = self.asked.len().checked_sub(back + 1) {
                    let asked = self.asked[at].clone();
                    let again = self.relay.batch_as(&asked.id, asked.commands.clone()).await;
                    if asked.answer.as_ref().is_err_and(|error| error.code == ErrorCode::PortsExhausted) {
                        // Want of room is not remembered: this time there may be some.
                        let asked = Asked { answer: again, ..asked };
                        self.answered(&asked);
                        self.asked[at] = asked;
                    } else {
                        assert_eq!(again, asked.answer);
                    }
                }
            }
            Step::HalfBad(party) => {
                let bad = json!({"command": "hold", "party": "nobody at all"});
                let batch = json!([{"command": "ringback", "party": party, "country": "us"}, bad]);
                let create = json!([{"command": "leg-create", "party": "new", "codecs": []}, bad]);
                for batch in [batch, create] {
                    assert!(self.relay.batch(batch).await.is_err());
                }
            }
            Step::Talk(party) => {
                if let Some(phone) = self.phones.get_mut(party) {
                    self.relay.talk(phone);
                }
            }
            Step::Pass(ms) => self.relay.pass(ms),
            _ => {}
        }
        self.relay.settle().await;
        self.catch_up().await;
    }

    fn answered(&mut self, asked: &Asked) {
        let Ok(answer) = &asked.answer else { return };
        for (index, (step, outcome)) in asked.steps.iter().zip(&answer.results).enumerate() {
            if let (Step::Create { party, .. }, Detail::Created(created)) = (step, &outcome.detail) {
                let number = NAMES.iter().position(|name| name == party).unwrap() as u16;
                self.phones.insert(party, Phone::new(([10, 0, 0, 9], 4000 + number).into(), created.local));
            }
            match step {
                Step::Rollback(_) => self.model.undo(asked.commands[index]["of"].as_str().unwrap()),
                _ => self.model.accept(&asked.id, step, outcome),
            }
        }
    }

    /// Tells the model when something happened that it knew would happen at some time.
    async fn catch_up(&mut self) {
        for event in told(&mut self.events) {
            if event.kind == (EventKind::PlayFinished { ended: PlayEnd::Finished })
                && let Some(ears) = event.party.and_then(|party| self.model.ears.get_mut(&*party))
            {
                let overlay = matches!(ears.play, Some((OVERLAY, _)));
                ears.play = Some((if overlay { ENDED_OVERLAY } else { ENDED }, false));
            }
        }
        let state = self.relay.state().await;
        for record in &state.cut_overs {
            if record.state == CutOverState::Pending {
                continue;
            }
            let Some((id, meaning)) = self.model.waiting.remove(&record.cut_over) else { continue };
            if record.state == CutOverState::Done {
                let before = self.model.ears.clone();
                self.model.carry_out(&meaning);
                self.model.note(&id, before);
            }
        }
        // What a prompt covered comes back, except for a party whose peer is about to leave it.
        let about_to_leave: Vec<_> = self.model.waiting.values().flat_map(|(_, meaning)| meaning.parties()).collect();
        let leaving: Vec<_> = about_to_leave.iter().filter_map(|name| self.model.ears.get(name)?.conference).collect();
        for (name, ears) in &mut self.model.ears {
            let loses_peer = ears.peer.is_some_and(|peer| about_to_leave.contains(&peer));
            let loses_others = ears.conference.is_some_and(|conference| leaving.contains(&conference));
            let left = (loses_peer || loses_others) && !about_to_leave.contains(name);
            if matches!(ears.play, Some((ENDED | ENDED_OVERLAY, _))) && !left {
                ears.play = None;
            }
        }
        // The old leg of a swap that drops it goes by itself.
        let gone: Vec<_> =
            self.model.ears.keys().copied().filter(|name| !state.parties.contains(&(*name).into())).collect();
        for name in gone {
            self.model.remove(name);
        }
        self.phones.retain(|name, _| state.parties.contains(&(*name).into()));
    }

    async fn check(&self) {
        let (leased, total) = {
            let counts = self.relay.control.ports()[0].1;
            (counts.leased, counts.leased + counts.busy + counts.free)
        };
        assert_eq!(total, PORTS);
        assert_eq!(leased as usize, self.relay.workers[0].open_ports(), "leases and open ports");
        let heard: BTreeMap<_, _> =
            self.relay.hears().await.into_iter().map(|(name, hears)| (name, in_order(&hears))).collect();
        assert_eq!(heard, self.model.heard());
        let gains: BTreeMap<_, _> = self
            .relay
            .state()
            .await
            .legs
            .iter()
            .map(|leg| (leg.party.to_string(), leg.gain_db.unwrap_or_default()))
            .collect();
        let expected = self.model.ears.iter().map(|(name, ears)| ((*name).to_owned(), ears.gain_db)).collect();
        assert_eq!(gains, expected);
    }
}

fn in_order(hears: &str) -> String {
    if hears.starts_with("play:") {
        // However much is queued, all of it is the same.
        return hears.split(", ").next().unwrap_or_default().to_owned();
    }
    let mut names: Vec<_> = hears.split(" + ").collect();
    names.sort_unstable();
    names.join(" + ")
}

proptest! {
    #[test]
    fn the_call_is_what_the_commands_say(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new();
            for name in ["a", "b", "x"] {
                run.take(&Step::Create { party: name, muxed: true }).await;
            }
            for step in &steps {
                run.take(step).await;
                run.check().await;
            }
            run.relay.control.delete_call("c", None).await.unwrap();
            assert_eq!(run.relay.control.ports()[0].1.leased, 0);
            assert_eq!(run.relay.workers[0].open_ports(), 0);
        });
    }
}
