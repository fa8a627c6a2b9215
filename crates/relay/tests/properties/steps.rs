//! Random commands, valid and invalid: few names, so that they meet.

use patchcord_relay::command::{Command, LegSpec, RelatchGate, Source, Trigger};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Codec, Direction, Repeat, Sending};
use patchcord_relay::time::MonoTime;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{MS, add, clip, codec, cut_over, leg, party, play, spec};

/// Legs are numbered from 1; number 0 never exists.
pub(crate) const LEGS: u64 = 6;
const CUT_OVERS: u64 = 12;

/// Codec lists by number: they share a format, or none, or some, or everything, or give a number another meaning.
pub(crate) const LISTS: [&[(u8, &str)]; 8] = [
    &[(0, "PCMU"), (101, "telephone-event")],
    &[(8, "PCMA"), (101, "telephone-event")],
    &[(96, "PCMU"), (8, "PCMA")],
    &[],
    &[(101, "telephone-event")],
    &[(0, "PCMA")],
    &[(8, "PCMA"), (18, "G729"), (0, "PCMU")],
    &[(18, "G729")],
];

/// Lists whose parties are to be sent packets of so many milliseconds and no others.
pub(crate) const EXACT: [(usize, u8); 3] = [(1, 20), (2, 40), (5, 60)];

pub(crate) fn list(number: usize) -> Vec<Codec> {
    let exact = EXACT.iter().find(|(list, _)| *list == number);
    let sending = exact.map_or(Sending::default(), |&(_, ms)| Sending::default().with_ptime(ms).exactly());
    let codecs = LISTS[number].iter().map(|&(number, encoding)| codec(number, encoding, 8000));
    codecs.map(|codec| Codec { sending, ..codec }).collect()
}

/// What is transcoded here.
pub(crate) fn can_transcode(codec: &Codec) -> bool {
    codec.encoding.starts_with("PCM")
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Batch(Vec<Wish>),
    /// The party of a leg says one packet, in one of its formats: by number, which starts over at the end of its list.
    Speak(u64, usize),
    /// Milliseconds pass.
    Pass(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Add { leg: u64, codecs: usize, remote: u8 },
    Remove { leg: u64 },
    Remote { leg: u64, remote: u8 },
    Codecs { leg: u64, codecs: usize },
    Direct { leg: u64, direction: Direction },
    Mute { leg: u64, muted: bool },
    Tap { leg: u64, tapped: bool },
    Relatch { leg: u64 },
    Next { leg: u64, frames: u32, rounds: u32 },
    EndPlay { leg: u64 },
    CutOver { id: u64, trigger: When, changes: Vec<(u64, What)> },
    Rollback { id: u64, by: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Silence,
    Leg(u64),
    Hold,
    Prompt { frames: u32, rounds: u32 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Now,
    Spoken(u64),
    /// Milliseconds from now.
    In(u64),
    AfterPrompt(u64),
}

impl Wish {
    pub(crate) fn command(&self, now: MonoTime) -> Command {
        match *self {
            Self::Add { leg, codecs, remote } => {
                add(LegSpec { codecs: list(codecs), remote_rtp: Some(address(remote)), ..spec(leg) })
            }
            Self::Remove { leg } => Command::RemoveLeg { leg: LegId(leg) },
            Self::Remote { leg, remote } => Command::SetRemote { leg: LegId(leg), rtp: address(remote), rtcp: None },
            Self::Codecs { leg, codecs } => Command::SetCodecs { leg: LegId(leg), codecs: list(codecs) },
            Self::Direct { leg, direction } => Command::SetDirection { leg: LegId(leg), direction },
            Self::Mute { leg, muted } => Command::SetMuted { leg: LegId(leg), muted },
            Self::Tap { leg, tapped } => Command::SetTapped { leg: LegId(leg), tapped },
            Self::Relatch { leg } => Command::Relatch { leg: LegId(leg), gate: RelatchGate::Packets(3) },
            Self::Next { leg, frames, rounds } => {
                Command::PlayNext { leg: LegId(leg), frames: clip(2, frames), repeat: Repeat::Times(rounds) }
            }
            Self::EndPlay { leg } => Command::EndPlay { leg: LegId(leg) },
            Self::CutOver { id, trigger, ref changes } => {
                let trigger = match trigger {
                    When::Now => Trigger::Immediate,
                    When::Spoken(leg) => Trigger::OnFirstPacket { leg: LegId(leg) },
                    When::In(ms) => Trigger::At(now.after_nanos(ms * MS)),
                    When::AfterPrompt(leg) => Trigger::AfterPrompt { leg: LegId(leg) },
                };
                let changes: Vec<_> = changes.iter().map(|&(sink, what)| (sink, what.source())).collect();
                cut_over(id, trigger, &changes)
            }
            Self::Rollback { id, by } => Command::Rollback { id: CutOverId(id), by: CutOverId(by) },
        }
    }
}

impl What {
    pub(crate) fn source(self) -> Source {
        match self {
            Self::Silence => Source::Silence,
            Self::Leg(source) => leg(source),
            Self::Hold => play(clip(0, 10), Repeat::Forever),
            Self::Prompt { frames, rounds } => play(clip(1, frames), Repeat::Times(rounds)),
        }
    }
}

/// Where a party is; number 0 cannot be an address.
fn address(number: u8) -> std::net::SocketAddr {
    let mut address = party(number.into());
    if number == 0 {
        address.set_port(0);
    }
    address
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // Of several commands most batches would be refused for one of them.
        4 => vec(wish(), 1..=1).prop_map(Step::Batch),
        2 => vec(wish(), 2..=4).prop_map(Step::Batch),
        1 => (1..=LEGS).prop_map(|leg| Step::Batch(vec![Wish::EndPlay { leg }])),
        3 => (1..=LEGS, 0..3_usize).prop_map(|(leg, format)| Step::Speak(leg, format)),
        1 => prop_oneof![0..50_u64, 50..400_u64].prop_map(Step::Pass),
    ];
    // Each run begins with some legs in it; the rest is chance.
    vec(step, 1..most).prop_map(|mut steps| {
        let wishes = (1..=3).map(|leg| Wish::Add { leg, codecs: 0, remote: leg as u8 }).collect();
        steps.insert(0, Step::Batch(wishes));
        steps
    })
}

fn wish() -> impl Strategy<Value = Wish> {
    let some_leg = || prop_oneof![30 => 1..=LEGS, 1 => Just(0_u64)];
    let some_list = || prop_oneof![8 => Just(0_usize), 6 => 1..LISTS.len()];
    let remote = || prop_oneof![20 => 1..=40_u8, 1 => Just(0_u8)];
    let direction = prop_oneof![
        3 => Just(Direction::SendRecv),
        1 => Just(Direction::SendOnly),
        1 => Just(Direction::RecvOnly),
        1 => Just(Direction::Inactive),
    ];
    prop_oneof![
        3 => (some_leg(), some_list(), remote()).prop_map(|(leg, codecs, remote)| Wish::Add { leg, codecs, remote }),
        2 => some_leg().prop_map(|leg| Wish::Remove { leg }),
        1 => (some_leg(), remote()).prop_map(|(leg, remote)| Wish::Remote { leg, remote }),
        1 => (some_leg(), some_list()).prop_map(|(leg, codecs)| Wish::Codecs { leg, codecs }),
        1 => (some_leg(), direction).prop_map(|(leg, direction)| Wish::Direct { leg, direction }),
        1 => (some_leg(), any::<bool>()).prop_map(|(leg, muted)| Wish::Mute { leg, muted }),
        1 => (some_leg(), any::<bool>()).prop_map(|(leg, tapped)| Wish::Tap { leg, tapped }),
        1 => some_leg().prop_map(|leg| Wish::Relatch { leg }),
        2 => (some_leg(), 1..8_u32, 0..3_u32).prop_map(|(leg, frames, rounds)| Wish::Next { leg, frames, rounds }),
        12 => cut(),
        4 => (0..CUT_OVERS, 0..CUT_OVERS * 4).prop_map(|(id, by)| Wish::Rollback { id, by }),
    ]
}

fn cut() -> impl Strategy<Value = Wish> {
    let trigger = prop_oneof![
        4 => Just(When::Now),
        3 => (1..=LEGS).prop_map(When::Spoken),
        1 => (0..300_u64).prop_map(When::In),
        2 => (1..=LEGS).prop_map(When::AfterPrompt),
    ];
    let what = prop_oneof![
        2 => Just(What::Silence),
        8 => (1..=LEGS).prop_map(What::Leg),
        2 => Just(What::Hold),
        2 => (1..8_u32, 0..3_u32).prop_map(|(frames, rounds)| What::Prompt { frames, rounds }),
        1 => Just(What::Leg(0)),
    ];
    let changes = prop_oneof![20 => vec((1..=LEGS, what.clone()), 1..4), 1 => vec((0..=LEGS + 4, what), 0..10)];
    (0..CUT_OVERS * 3, trigger, changes).prop_map(|(id, trigger, changes)| Wish::CutOver { id, trigger, changes })
}
