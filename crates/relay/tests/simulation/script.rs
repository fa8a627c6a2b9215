//! What the signalling side does: random commands, most of them sensible.

use patchcord_relay::command::{Command, DtmfHow, DtmfStep, EgressMode, RelatchGate, Trigger};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Direction, Repeat};

use crate::dialled::TONES;
use crate::party::KEY_OF_PARTIES;
use crate::support::rng::Rng;
use crate::support::{MS, World, add, clip, cut_over, leg, on_first_packet_of, play, spec};
use patchcord_relay::command::Source;

/// The signalling side.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) live: Vec<u64>,
    next_leg: u64,
    next_cut_over: u64,
    /// Translators, which are sent nothing of the relay's own here.
    translators: Vec<u64>,
}

/// Parties at a time.
const LEGS_MIN: usize = 2;
const LEGS_MAX: usize = 6;

impl Script {
    pub(crate) const fn new() -> Self {
        Self { live: Vec::new(), next_leg: 1, next_cut_over: 1, translators: Vec::new() }
    }

    /// The next batch of commands.
    pub(crate) fn next(&mut self, world: &World, rng: &mut Rng) -> Vec<Command> {
        if self.live.len() < LEGS_MIN {
            return vec![self.create(rng)];
        }
        let (a, b, c) = (self.some(rng), self.some(rng), self.some(rng));
        match rng.below(100) {
            0..=4 if self.live.len() < LEGS_MAX => {
                // Create and bridge in one batch.
                let id = self.next_leg;
                vec![self.create(rng), self.cut(Trigger::Immediate, &[(id, leg(a)), (a, leg(id))])]
            }
            5..=8 if self.live.len() > LEGS_MIN => {
                self.live.retain(|&id| id != a);
                vec![Command::RemoveLeg { leg: LegId(a) }]
            }
            9..=23 => vec![self.cut(Trigger::Immediate, &[(a, leg(b)), (b, leg(a))])],
            24..=43 => {
                let trigger = trigger(world, a, b, rng);
                vec![self.cut(trigger, &[(a, leg(b)), (b, leg(a)), (c, after(rng))])]
            }
            44..=53 => vec![self.cut(Trigger::Immediate, &[(a, hold(rng)), (b, Source::Silence)])],
            54..=60 => {
                let frames = rng.between(5, 40) as u32;
                let prompt = play(clip(rng.below(4) as u32, frames), Repeat::Times(rng.between(1, 3) as u32));
                let start = self.cut(Trigger::Immediate, &[(a, prompt)]);
                vec![start, self.cut(Trigger::AfterPrompt { leg: LegId(a) }, &[(a, leg(b)), (b, leg(a))])]
            }
            61..=64 => vec![self.cut(Trigger::Immediate, &[(c, leg(a))])],
            65..=66 => vec![self.cut(Trigger::Immediate, &[(a, leg(a))])],
            67..=76 => vec![Command::SetMuted { leg: LegId(a), muted: rng.chance(400) }],
            77..=84 => {
                let directions = [Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
                let other = rng.pick(&directions).filter(|_| rng.chance(400));
                vec![Command::SetDirection { leg: LegId(a), direction: other.unwrap_or_default() }]
            }
            85..=86 if !self.translators.contains(&a) => vec![dial(a, rng)],
            87 => vec![Command::StopDtmf { leg: LegId(a) }],
            85..=94 => {
                let id = CutOverId(self.next_cut_over.saturating_sub(rng.between(1, 5)));
                self.next_cut_over += 1;
                vec![Command::Rollback { id, by: CutOverId(self.next_cut_over) }]
            }
            95 => vec![Command::SetTapped { leg: LegId(a), tapped: rng.chance(300) }],
            96 => vec![Command::Relatch { leg: LegId(a), gate: RelatchGate::Signalled }],
            // Nonsense, in the middle of a batch: it must undo nothing and leave nothing behind.
            _ => vec![
                Command::SetMuted { leg: LegId(a), muted: true },
                self.cut(Trigger::Immediate, &[(b, hold(rng))]),
                Command::RemoveLeg { leg: LegId(u64::MAX) },
            ],
        }
    }

    pub(crate) fn create(&mut self, rng: &mut Rng) -> Command {
        let mut spec = spec(self.next_leg);
        spec.egress_mode = match rng.below(10) {
            0 => EgressMode::Transparent,
            1 | 2 => EgressMode::NewSsrc,
            _ => EgressMode::Continuity,
        };
        if spec.egress_mode == EgressMode::Transparent {
            self.translators.push(self.next_leg);
        }
        self.live.push(self.next_leg);
        self.next_leg += 1;
        add(spec)
    }

    fn cut(&mut self, trigger: Trigger, changes: &[(u64, Source)]) -> Command {
        self.next_cut_over += 1;
        // Each leg once: of two wishes the first one counts.
        let first = |(at, change): (usize, &(u64, Source))| {
            let repeated = changes[..at].iter().any(|(sink, _)| *sink == change.0);
            (!repeated).then(|| change.clone())
        };
        let changes: Vec<_> = changes.iter().enumerate().filter_map(first).collect();
        cut_over(self.next_cut_over, trigger, &changes)
    }

    fn some(&self, rng: &mut Rng) -> u64 {
        rng.pick(&self.live).expect("there are legs")
    }
}

fn trigger(world: &World, survivor: u64, target: u64, rng: &mut Rng) -> Trigger {
    match rng.below(10) {
        0..=4 => on_first_packet_of(target),
        5 | 6 => Trigger::At(world.now.after_nanos(rng.below(400) * MS)),
        7 | 8 => Trigger::Immediate,
        _ => Trigger::AfterPrompt { leg: LegId(survivor) },
    }
}

/// Keys of the relay's own: others than those that parties press.
fn dial(leg: u64, rng: &mut Rng) -> Command {
    let step = |_| {
        let event = rng.below(u64::from(KEY_OF_PARTIES)) as u8;
        let duration_ms = rng.between(30, 300) as u16;
        let how = if rng.chance(400) {
            DtmfHow::Tone(clip(TONES + u32::from(event), u32::from(duration_ms).div_ceil(20)))
        } else {
            DtmfHow::Event
        };
        DtmfStep::Key { event, volume: 10, duration_ms, pause_ms: rng.between(30, 200) as u16, how }
    };
    Command::SendDtmf { leg: LegId(leg), steps: (0..3).map(step).collect() }
}

fn after(rng: &mut Rng) -> Source {
    if rng.chance(500) { hold(rng) } else { Source::Silence }
}

fn hold(rng: &mut Rng) -> Source {
    play(clip(rng.below(4) as u32, rng.between(1, 50) as u32), Repeat::Forever)
}
