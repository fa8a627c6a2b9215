//! Random batches of commands against a model of what each leg hears, and random bytes as datagrams.
//!
//! A failure prints the smallest steps that fail; nothing is written to disk.

mod bytes;
mod model;
mod steps;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::env;

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, LegSpec, Source};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{LegId, MadeId};
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::transcoding::Transcoding;
use proptest::prelude::*;
use proptest::test_runner::Config;

use model::{Hears, Model};
use steps::{LEGS, Step, can_transcode, steps};
use support::wire::{self, Stream};
use support::{Given, World, party};

/// Worlds have an offload where a test gives them one.
const OFFLOADED: bool = false;

/// Room for fewer legs than the commands know, so that a full shard is met too.
const CAPACITY: u32 = LEGS as u32 - 2;

/// `PROPTEST_CASES` in the environment beats the number given here.
fn config(cases: u32) -> Config {
    let default = Config::default();
    let cases = if env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    Config { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn relay_does_what_the_model_does(steps in steps(60)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
    }

    #[test]
    fn relay_with_an_offload_does_what_the_model_does(steps in steps(60)) {
        let mut run = Run::new();
        run.world.offload();
        for step in &steps {
            run.step(step);
        }
    }
}

/// The relay and its model, side by side.
struct Run {
    world: World,
    model: Model,
    /// One for each leg that has ever been, by its number.
    streams: Vec<Stream>,
    /// By listener: the latest name, what becomes of what, and the next sequence number.
    made: BTreeMap<u32, (MadeId, Transcoding, u16)>,
}

impl Run {
    fn new() -> Self {
        let streams = (0..=LEGS).map(Stream::of).collect();
        let mut world = World::with_room(CAPACITY, 7);
        world.shard.set_transcoder(can_transcode);
        Self { world, model: Model::new(CAPACITY as usize), streams, made: BTreeMap::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Batch(wishes) => {
                let now = self.world.now;
                let commands: Vec<_> = wishes.iter().map(|wish| wish.command(now)).collect();
                self.batch(&commands);
            }
            Step::Speak(leg, format) => self.speak(*leg, *format),
            Step::Pass(ms) => {
                self.world.pass(*ms);
                self.follow_events();
                self.model.assert_nothing_overdue(self.world.now);
            }
        }
        self.compare();
    }

    /// Does what whoever transcodes does; says whether a packet was handed out.
    fn transcode(&mut self) -> bool {
        let mut is_given = false;
        for given in core::mem::take(&mut self.world.given) {
            match given {
                Given::Transcode(begun) => {
                    let listener = begun.id.listener();
                    let former = self.made.insert(listener, (begun.id, begun, 0));
                    assert!(former.is_none(), "{former:?} has not ended");
                }
                Given::End(id) => {
                    let ended = self.made.remove(&id.listener()).expect("it has begun");
                    assert_eq!(ended.0, id, "it ends under its latest name");
                }
                Given::Packet(id, packet) => {
                    is_given = true;
                    let (name, begun, sequence) = self.made.get_mut(&id.listener()).expect("it has begun");
                    assert!(id == *name || id.is_later_than(*name), "{id:?} is older than {name:?}");
                    *name = id;
                    let mut header = patchcord_rtp::RtpHeader::read(&packet).expect("RTP");
                    if !begun.from.iter().any(|codec| codec.payload_type == header.payload_type && can_transcode(codec))
                    {
                        continue;
                    }
                    let into = begun.to.iter().find(|codec| can_transcode(codec)).expect("else it has not begun");
                    header.payload_type = into.payload_type;
                    header.ssrc.0 = begun.seed as u32;
                    (header.sequence.0, *sequence) = (*sequence, sequence.wrapping_add(1));
                    self.world.made(id, &wire::packet(&header, &packet[12..]));
                }
                other => panic!("{other:?}"),
            }
        }
        is_given
    }

    fn batch(&mut self, commands: &[Command]) {
        let before = self.world.fingerprint();
        let expected = self.model.judge(commands);
        match (self.world.apply(commands), expected) {
            (Ok(()), Ok((after, cancelled))) => {
                self.model = after;
                // Alone in its batch, it brings about what the end of a prompt does.
                let ends_play = matches!(commands, [Command::EndPlay { .. }]);
                let now = self.world.now;
                let told = self.world.events().into_iter().filter_map(|event| match event {
                    Event::CutOverCancelled { id, gone } => Some((id.0, gone.map(|leg| leg.0))),
                    Event::PlayFinished { leg } if ends_play => {
                        self.model.finish_prompt(leg.0);
                        None
                    }
                    Event::Switched { id } if ends_play => {
                        self.model.fire_in_time(id.0, now);
                        None
                    }
                    Event::Switched { id } => panic!("{id} has switched without a trigger"),
                    _ => None,
                });
                assert_eq!(told.collect::<Vec<_>>(), cancelled, "what {commands:?} cancels");
                for command in commands {
                    if let Command::AddLeg(spec) = command {
                        self.begin_stream(spec);
                    }
                }
            }
            (Err((index, refusal)), Err(expected)) => {
                assert!(expected.is(index, &refusal), "{index}: {refusal:?} instead of {expected:?} for {commands:?}");
                assert_eq!(self.world.fingerprint(), before, "a refused batch has changed something: {commands:?}");
            }
            (Ok(()), Err(expected)) => panic!("{commands:?} was accepted instead of {expected:?}"),
            (Err(refused), Ok(_)) => panic!("{commands:?} was refused: {refused:?}"),
        }
    }

    /// A leg's party says one packet in a format of its list.
    fn speak(&mut self, leg: u64, format: usize) {
        self.world.pass(20);
        self.follow_events();
        let Some(payload_type) = self.model.speaks(leg, format) else { return };
        let stream = &mut self.streams[leg as usize];
        stream.payload_type = payload_type;
        let packet = stream.packet();
        let from = self.model.address(leg);
        let verdict = self.world.deliver(leg, patchcord_relay::ids::Component::Rtp, from, &packet);
        let is_given = self.transcode();
        let fires = self.model.fires_on(leg, format);
        let events = self.world.events();
        let switched =
            events.iter().find_map(|event| if let Event::Switched { id } = event { Some(id.0) } else { None });
        assert_eq!(switched, fires, "leg {leg} speaks");
        if let Some(id) = fires {
            self.model.fire(id);
        }
        let listeners = self.model.listeners(leg, format);
        for id in 1..=LEGS {
            let heard = self
                .world
                .rtp(id)
                .iter()
                .filter(|heard| heard.payload.is_some_and(|payload| u64::from(payload.origin) == leg))
                .count();
            assert_eq!(heard, usize::from(listeners.contains(&id)), "leg {id} hears leg {leg}, which says {verdict:?}");
            if heard > 0 {
                let is_transcoded = self.world.leg(id).transcoded;
                assert_eq!(is_transcoded, self.model.is_transcoded(id, leg, format), "leg {id} hears leg {leg}");
            }
        }
        // What cannot be decoded is handed out all the same: whoever transcodes counts what is lost.
        assert_eq!(listeners.is_empty() && !is_given, matches!(verdict, Verdict::Dropped(_)), "{verdict:?}");
    }

    /// What time has brought about must have been due.
    fn follow_events(&mut self) {
        for (at, event) in self.world.timed_events() {
            match event {
                Event::Switched { id } => self.model.fire_in_time(id.0, at),
                Event::PlayFinished { leg } => self.model.finish_prompt(leg.0),
                Event::CutOverCancelled { id, .. } => panic!("{id} was cancelled by nobody"),
                _ => {}
            }
        }
    }

    fn begin_stream(&mut self, spec: &LegSpec) {
        let stream = &mut self.streams[spec.id.0 as usize];
        *stream = stream.clone().under(stream.ssrc.wrapping_add(0x100));
    }

    fn compare(&mut self) {
        assert!(!self.transcode(), "packets come by speaking");
        self.world.assert_balanced();
        assert_eq!(self.world.shard.worker().legs as usize, self.model.legs().count());
        for id in 0..=LEGS {
            let known = self.model.legs().find(|(leg, _)| *leg == id).map(|(_, leg)| leg);
            let snapshot = self.world.shard.leg(LegId(id), self.world.now);
            assert_eq!(snapshot.is_some(), known.is_some(), "leg {id}");
            let (Some(snapshot), Some(leg)) = (snapshot, known) else { continue };
            let source = match leg.hears {
                Hears::Silence => SourceSnapshot::Silence,
                Hears::Leg(source) => SourceSnapshot::Leg(LegId(source)),
                Hears::Player { .. } => SourceSnapshot::Player,
            };
            assert_eq!(snapshot.source, source, "what leg {id} hears");
            assert_eq!(snapshot.pending.map(|id| id.0), leg.pending, "what leg {id} waits for");
            assert_eq!((snapshot.muted, snapshot.direction), (leg.muted, leg.direction), "leg {id}");
            assert_eq!(snapshot.local_rtp, support::local(id));
        }
    }
}

/// The repertoire is of use only if most of it can be done at times.
#[test]
fn model_and_relay_agree_on_a_whole_transfer() {
    use steps::{What, Wish};
    let batch = |wishes: Vec<Wish>| Step::Batch(wishes);
    let cut = |id, trigger, changes: &[(u64, What)]| Wish::CutOver { id, trigger, changes: changes.to_vec() };
    let mut run = Run::new();
    let transfer = [
        batch(vec![Wish::Add { leg: 1, codecs: 0, remote: 1 }, Wish::Add { leg: 2, codecs: 0, remote: 2 }]),
        batch(vec![cut(1, steps::When::Now, &[(1, What::Leg(2)), (2, What::Leg(1))])]),
        Step::Speak(1, 0),
        Step::Speak(2, 0),
        batch(vec![Wish::Add { leg: 3, codecs: 0, remote: 3 }]),
        batch(vec![cut(2, steps::When::Spoken(3), &[(1, What::Leg(3)), (3, What::Leg(1)), (2, What::Hold)])]),
        Step::Pass(100),
        Step::Speak(3, 0),
        Step::Speak(1, 0),
        batch(vec![Wish::Rollback { id: 2, by: 3 }]),
        Step::Speak(2, 0),
        batch(vec![Wish::Remove { leg: 3 }]),
    ];
    for step in &transfer {
        run.step(step);
    }
    assert_eq!(run.model.listeners(2, 0), [1]);
    assert!(matches!(What::Hold.source(), Source::Player { .. }));
    assert_eq!(party(1), run.model.address(1));
}
