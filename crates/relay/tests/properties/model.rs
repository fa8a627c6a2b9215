//! What the relay should know about its legs and cut-overs, in the plainest possible way: a batch is done command by
//! command on a copy, and the copy is thrown away if one of them cannot be done.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use patchcord_relay::command::{
    CUT_OVER_CHANGES_MAX, Command, CutOver, LegSpec, PLAY_NEXT_MAX, Refusal, Source, Trigger,
};
use patchcord_relay::media::{Codec, Direction, Frames, Repeat};
use patchcord_relay::time::MonoTime;

use crate::steps::can_transcode;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Hears {
    Silence,
    Leg(u64),
    Player { frames: Frames, repeat: Repeat },
}

#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) hears: Hears,
    pub(crate) pending: Option<u64>,
    pub(crate) muted: bool,
    pub(crate) direction: Direction,
    codecs: Vec<Codec>,
    codecs_ever: Vec<Codec>,
    address: SocketAddr,
    /// What is to follow what it is played has an end each; these are as many.
    queued: usize,
    /// Its latest cut-over, and what it heard before.
    undo: Option<(u64, Hears)>,
}

#[derive(Clone, Debug)]
struct Waiting {
    changes: Vec<(u64, Hears)>,
    trigger: Trigger,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    capacity: usize,
    legs: BTreeMap<u64, Leg>,
    waiting: BTreeMap<u64, Waiting>,
    /// Done cut-overs that can be undone: none of their legs has moved on.
    done: BTreeMap<u64, Vec<u64>>,
}

/// Why the model refuses: the index, and which refusals would be right.
#[derive(Debug)]
pub(crate) struct Expected {
    index: usize,
    kinds: Vec<&'static str>,
}

impl Expected {
    pub(crate) fn is(&self, index: usize, refusal: &Refusal) -> bool {
        self.index == index && self.kinds.contains(&kind(refusal))
    }
}

/// Ids are taken for the whole of a batch, even if what had them is gone by its end.
#[derive(Default)]
struct Taken {
    removed: Vec<u64>,
    cut_overs: Vec<u64>,
    /// Begun in this batch: cannot be rolled back in it.
    begun: Vec<u64>,
    cancelled: Vec<(u64, Option<u64>)>,
}

type Judged<T> = Result<T, Vec<&'static str>>;

impl Model {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { capacity, legs: BTreeMap::new(), waiting: BTreeMap::new(), done: BTreeMap::new() }
    }

    /// The model after a batch and the cut-overs that the batch cancels, or why the batch cannot be done.
    #[expect(clippy::type_complexity, reason = "a name would say less")]
    pub(crate) fn judge(&self, commands: &[Command]) -> Result<(Self, Vec<(u64, Option<u64>)>), Expected> {
        let mut after = self.clone();
        let mut taken = Taken::default();
        taken.cut_overs.extend(self.waiting.keys().chain(self.done.keys()));
        for (index, command) in commands.iter().enumerate() {
            after.obey(command, &mut taken).map_err(|kinds| Expected { index, kinds })?;
        }
        Ok((after, taken.cancelled))
    }

    pub(crate) fn legs(&self) -> impl Iterator<Item = (u64, &Leg)> {
        self.legs.iter().map(|(&id, leg)| (id, leg))
    }

    pub(crate) fn address(&self, leg: u64) -> SocketAddr {
        self.legs[&leg].address
    }

    /// The payload type of a format of a leg's party; `None` if there is no such leg, or nothing that it can say.
    pub(crate) fn speaks(&self, leg: u64, format: usize) -> Option<u8> {
        let leg = self.legs.get(&leg)?;
        if leg.codecs.is_empty() {
            return Some(0);
        }
        leg.spoken(format).map(|codec| codec.payload_type.get())
    }

    /// The cut-over that a packet of this leg triggers.
    pub(crate) fn fires_on(&self, speaker: u64, format: usize) -> Option<u64> {
        if !self.may_be_heard(speaker) {
            return None;
        }
        let waits = |waiting: &Waiting| matches!(waiting.trigger, Trigger::OnFirstPacket { leg } if leg.0 == speaker);
        let (&id, waiting) = self.waiting.iter().find(|(_, waiting)| waits(waiting))?;
        let joins =
            |(sink, hears): &(u64, Hears)| *hears == Hears::Leg(speaker) && self.can_hear(*sink, speaker, format);
        waiting.changes.iter().any(joins).then_some(id)
    }

    /// Who hears a packet of this leg.
    pub(crate) fn listeners(&self, speaker: u64, format: usize) -> Vec<u64> {
        if !self.may_be_heard(speaker) {
            return Vec::new();
        }
        let hears = |(_, leg): &(&u64, &Leg)| leg.hears == Hears::Leg(speaker);
        self.legs.iter().filter(hears).map(|(&id, _)| id).filter(|&id| self.can_hear(id, speaker, format)).collect()
    }

    pub(crate) fn fire(&mut self, id: u64) {
        let waiting = self.waiting.remove(&id).expect("what fires has waited");
        self.end_waiting(id);
        self.switch(id, waiting.changes);
    }

    pub(crate) fn fire_in_time(&mut self, id: u64, at: MonoTime) {
        match self.waiting.get(&id).map(|waiting| waiting.trigger) {
            Some(Trigger::At(due)) => assert!(due <= at, "cut-over {id} is too early"),
            Some(Trigger::AfterPrompt { leg }) => {
                let heard = &self.legs[&leg.0].hears;
                assert_eq!(*heard, Hears::Silence, "cut-over {id} has not waited for the prompt");
            }
            other => panic!("cut-over {id} must not fire in time: {other:?}"),
        }
        self.fire(id);
    }

    pub(crate) fn finish_prompt(&mut self, leg: u64) {
        let found = self.legs.get_mut(&leg).expect("the leg exists");
        let ends = matches!(found.hears, Hears::Player { repeat: Repeat::Times(_), .. });
        assert!(ends, "leg {leg} hears no prompt but {:?}", found.hears);
        (found.hears, found.queued) = (Hears::Silence, 0);
    }

    pub(crate) fn assert_nothing_overdue(&self, now: MonoTime) {
        for (id, waiting) in &self.waiting {
            let due = if let Trigger::At(at) = waiting.trigger { Some(at) } else { None };
            assert!(due.is_none_or(|due| due > now), "cut-over {id} was due at {due:?}");
        }
    }

    fn obey(&mut self, command: &Command, taken: &mut Taken) -> Judged<()> {
        match command {
            Command::AddLeg(spec) => self.add(spec, taken),
            Command::RemoveLeg { leg } => self.remove(leg.0, taken),
            Command::SetRemote { leg, rtp, .. } => {
                let leg = self.leg(leg.0)?;
                if rtp.port() == 0 {
                    return Err(vec!["BadAddress"]);
                }
                leg.address = *rtp;
                Ok(())
            }
            Command::SetCodecs { leg, codecs } => {
                let leg = self.leg(leg.0)?;
                for codec in codecs {
                    let known = leg.codecs_ever.iter().find(|known| known.payload_type == codec.payload_type);
                    match known {
                        Some(known) if !known.same_format(codec) => return Err(vec!["PayloadTypeChanged"]),
                        Some(_) => {}
                        None => leg.codecs_ever.push(codec.clone()),
                    }
                }
                leg.codecs.clone_from(codecs);
                Ok(())
            }
            Command::SetDirection { leg, direction } => {
                self.leg(leg.0)?.direction = *direction;
                Ok(())
            }
            Command::SetMuted { leg, muted } => {
                self.leg(leg.0)?.muted = *muted;
                Ok(())
            }
            Command::SetSrtp { leg, .. }
            // Nobody may be able to tell.
            | Command::SetTapped { leg, .. }
            | Command::SetOverheard { leg, .. }
            | Command::SetDtls { leg, .. }
            // Not among the steps.
            | Command::SendDtls { leg, .. }
            | Command::SetDtlsKeys { leg, .. }
            | Command::Relatch { leg, .. }
            | Command::SetRtcpMux { leg, .. }
            | Command::SetLatch { leg, .. }
            | Command::SetRelaying { leg, .. }
            | Command::SetIce { leg, .. }
            // Not among the steps: where a door leads is the latch's affair, which the model leaves out.
            | Command::SetDoor { leg, .. }
            | Command::BlockDtmf { leg, .. }
            | Command::SendDtmf { leg, .. }
            | Command::StopDtmf { leg } => self.leg(leg.0).map(drop),
            Command::PlayNext { leg, frames, repeat } => {
                assert_ne!(*repeat, Repeat::Forever, "not among the steps");
                let found = self.leg(leg.0)?;
                if !matches!(found.hears, Hears::Player { repeat: Repeat::Times(_), .. }) || found.queued >= PLAY_NEXT_MAX {
                    return Err(vec!["NotPlaying"]);
                }
                self.judge_change(leg.0, &Hears::Player { frames: frames.clone(), repeat: *repeat })?;
                self.leg(leg.0)?.queued += 1;
                Ok(())
            }
            // Alone in its batch: that it has ended is told afterwards.
            Command::EndPlay { leg } => match &mut self.leg(leg.0)?.hears {
                Hears::Player { repeat, .. } => {
                    *repeat = Repeat::Times(1);
                    Ok(())
                }
                _ => Err(vec!["NotPlaying"]),
            },
            Command::CutOver(cut_over) => self.cut_over(cut_over, taken),
            // Not among the steps: no cut-over waits for a command.
            Command::Fire { .. } => Err(vec!["NotWaiting"]),
            Command::Rollback { id, by } => self.rollback(id.0, by.0, taken),
        }
    }

    fn add(&mut self, spec: &LegSpec, taken: &Taken) -> Judged<()> {
        let id = spec.id.0;
        if self.legs.contains_key(&id) || taken.removed.contains(&id) {
            return Err(vec!["DuplicateLeg"]);
        }
        if self.legs.len() >= self.capacity {
            return Err(vec!["ShardFull"]);
        }
        let address = spec.remote_rtp.expect("every leg here has one");
        if address.port() == 0 {
            return Err(vec!["BadAddress"]);
        }
        let leg = Leg {
            hears: Hears::Silence,
            pending: None,
            muted: false,
            direction: spec.direction,
            codecs: spec.codecs.clone(),
            codecs_ever: spec.codecs.clone(),
            address,
            queued: 0,
            undo: None,
        };
        self.legs.insert(id, leg);
        Ok(())
    }

    fn remove(&mut self, gone: u64, taken: &mut Taken) -> Judged<()> {
        self.leg(gone)?;
        taken.removed.push(gone);
        for (id, mut waiting) in core::mem::take(&mut self.waiting) {
            waiting.changes.retain(|(sink, _)| *sink != gone);
            let feeds = |leg| waiting.changes.iter().any(|(_, hears)| *hears == Hears::Leg(leg));
            let void = match waiting.trigger {
                Trigger::OnFirstPacket { leg } => leg.0 == gone || !feeds(leg.0),
                Trigger::AfterPrompt { leg } => leg.0 == gone,
                Trigger::Immediate | Trigger::At(_) | Trigger::OnCommand => false,
            };
            if void || feeds(gone) || waiting.changes.is_empty() {
                self.end_waiting(id);
                taken.cancelled.push((id, Some(gone)));
                // Whoever began it in this batch may use the id again: nobody has seen it.
                if taken.begun.contains(&id) {
                    taken.cut_overs.retain(|other| *other != id);
                }
            } else {
                self.waiting.insert(id, waiting);
            }
        }
        self.legs.remove(&gone);
        self.done.retain(|_, sinks| !sinks.contains(&gone));
        for leg in self.legs.values_mut().filter(|leg| leg.hears == Hears::Leg(gone)) {
            leg.hears = Hears::Silence;
        }
        Ok(())
    }

    fn cut_over(&mut self, cut_over: &CutOver, taken: &mut Taken) -> Judged<()> {
        let id = cut_over.id.0;
        if taken.cut_overs.contains(&id) {
            return Err(vec!["DuplicateCutOver"]);
        }
        if !(1..=CUT_OVER_CHANGES_MAX).contains(&cut_over.changes.len()) {
            return Err(vec!["BadChanges"]);
        }
        let mut changes: Vec<(u64, Hears)> = Vec::new();
        for change in &cut_over.changes {
            let sink = change.sink.0;
            if changes.iter().any(|(other, _)| *other == sink) {
                return Err(vec!["BadChanges"]);
            }
            let hears = match &change.source {
                Source::Silence => Hears::Silence,
                Source::Leg(leg) => Hears::Leg(leg.0),
                // Here nobody mixes.
                Source::Mix(_) | Source::Overlay(_) => return Err(vec!["BadMix"]),
                Source::Player { frames, repeat } => Hears::Player { frames: frames.clone(), repeat: *repeat },
            };
            self.judge_change(sink, &hears)?;
            changes.push((sink, hears));
        }
        self.judge_trigger(cut_over.trigger, &changes)?;
        taken.cut_overs.push(id);
        taken.begun.push(id);
        if cut_over.trigger == Trigger::Immediate {
            self.switch(id, changes);
        } else {
            for (sink, _) in &changes {
                self.leg(*sink)?.pending = Some(id);
            }
            self.waiting.insert(id, Waiting { changes, trigger: cut_over.trigger });
        }
        Ok(())
    }

    fn rollback(&mut self, id: u64, by: u64, taken: &mut Taken) -> Judged<()> {
        if taken.cut_overs.contains(&by) {
            return Err(vec!["DuplicateCutOver"]);
        }
        if taken.begun.contains(&id) {
            return Err(vec!["NotTheLatest"]);
        }
        if self.waiting.remove(&id).is_some() {
            self.end_waiting(id);
            taken.cancelled.push((id, None));
            return Ok(());
        }
        let sinks = self.done.get(&id).ok_or(vec!["NotTheLatest"])?;
        let back = |sink: &u64| (*sink, self.legs[sink].undo.clone().expect("its latest cut-over").1);
        let changes: Vec<_> = sinks.iter().map(back).collect();
        for (sink, hears) in &changes {
            // Which of several faults is named first is of no matter.
            self.judge_change(*sink, hears).map_err(|_| vec!["UnknownLeg", "Incompatible"])?;
        }
        taken.cut_overs.push(by);
        taken.begun.push(by);
        self.switch(by, changes);
        Ok(())
    }

    fn judge_change(&self, sink: u64, hears: &Hears) -> Judged<()> {
        let sink = &self.legs.get(&sink).ok_or(vec!["UnknownLeg"])?.codecs;
        let fits = match hears {
            Hears::Silence => true,
            Hears::Leg(source) => {
                let source = &self.legs.get(source).ok_or(vec!["UnknownLeg"])?.codecs;
                let carries = |codec: &&Codec| !codec.is_telephone_event();
                let shared = |codec: &Codec| sink.iter().any(|other| other.same_format(codec));
                let is_transcoded = source.iter().any(can_transcode) && sink.iter().any(can_transcode);
                source.is_empty() || sink.is_empty() || is_transcoded || source.iter().filter(carries).any(shared)
            }
            // All clips are PCMU, which has a number even where there is no list.
            Hears::Player { .. } => sink.is_empty() || sink.iter().any(|codec| *codec.encoding == *"PCMU"),
        };
        if fits { Ok(()) } else { Err(vec!["Incompatible"]) }
    }

    fn judge_trigger(&self, trigger: Trigger, changes: &[(u64, Hears)]) -> Judged<()> {
        if trigger == Trigger::Immediate {
            return Ok(());
        }
        if changes.iter().any(|(sink, _)| self.legs[sink].pending.is_some()) {
            return Err(vec!["Pending"]);
        }
        match trigger {
            Trigger::Immediate | Trigger::At(_) | Trigger::OnCommand => return Ok(()),
            Trigger::OnFirstPacket { leg } => {
                if !changes.iter().any(|(_, hears)| *hears == Hears::Leg(leg.0)) {
                    return Err(vec!["BadTrigger"]);
                }
            }
            Trigger::AfterPrompt { leg } => {
                let leg = self.legs.get(&leg.0).ok_or(vec!["UnknownLeg"])?;
                if !matches!(leg.hears, Hears::Player { repeat: Repeat::Times(_), .. }) {
                    return Err(vec!["BadTrigger"]);
                }
            }
        }
        if self.waiting.values().any(|waiting| waiting.trigger == trigger) {
            return Err(vec!["Pending"]);
        }
        Ok(())
    }

    fn switch(&mut self, id: u64, changes: Vec<(u64, Hears)>) {
        let sinks: Vec<_> = changes.iter().map(|(sink, _)| *sink).collect();
        for (sink, mut hears) in changes {
            if matches!(hears, Hears::Player { .. }) && self.judge_change(sink, &hears).is_err() {
                // Its format has gone while it waited.
                hears = Hears::Silence;
            }
            let leg = self.legs.get_mut(&sink).expect("judged before");
            let before = core::mem::replace(&mut leg.hears, hears);
            leg.queued = 0;
            if let Some((moved_on, _)) = leg.undo.replace((id, before)) {
                self.done.remove(&moved_on);
            }
        }
        self.done.insert(id, sinks);
    }

    fn end_waiting(&mut self, id: u64) {
        for leg in self.legs.values_mut().filter(|leg| leg.pending == Some(id)) {
            leg.pending = None;
        }
    }

    fn may_be_heard(&self, speaker: u64) -> bool {
        self.legs.get(&speaker).is_some_and(|leg| leg.direction.party_sends() && !leg.muted)
    }

    /// Whether a listener may receive, and has what the speaker speaks, or can have it transcoded.
    fn can_hear(&self, sink: u64, speaker: u64, format: usize) -> bool {
        let known = match self.legs[&speaker].spoken(format) {
            Some(spoken) if self.is_transcoded(sink, speaker, format) => can_transcode(spoken),
            Some(spoken) => self.has(sink, spoken),
            None => true,
        };
        self.legs[&sink].direction.party_receives() && known
    }

    fn has(&self, sink: u64, spoken: &Codec) -> bool {
        let codecs = &self.legs[&sink].codecs;
        codecs.is_empty() || codecs.iter().any(|codec| codec.same_format(spoken))
    }

    /// Whether a listener hears a format of a speaker transcoded, if it hears it.
    pub(crate) fn is_transcoded(&self, sink: u64, speaker: u64, format: usize) -> bool {
        let (from, to) = (&self.legs[&speaker].codecs, &self.legs[&sink].codecs);
        let (Some(first), Some(into)) =
            (from.iter().find(|one| can_transcode(one)), to.iter().find(|one| can_transcode(one)))
        else {
            return false;
        };
        let mut media = from.iter().filter(|codec| !codec.is_telephone_event());
        if !media.clone().any(|codec| self.has(sink, codec)) {
            return true;
        }
        let ms = |codec: &Codec| if codec.sending.ptime_ms() == 0 { 20 } else { codec.sending.ptime_ms() };
        let is_cut_anew = into.sending.is_exact() && ms(first) != ms(into);
        let events = |codecs: &[Codec]| codecs.iter().find(|codec| codec.is_telephone_event()).cloned();
        let converts_keys = match (events(from), events(to)) {
            (Some(known), None) | (None, Some(known)) => known.sending.is_exact(),
            _ => false,
        };
        (is_cut_anew || converts_keys) && media.all(can_transcode)
            || self.legs[&speaker].spoken(format).is_some_and(|spoken| can_transcode(spoken) && !self.has(sink, spoken))
    }

    fn leg(&mut self, leg: u64) -> Judged<&mut Leg> {
        self.legs.get_mut(&leg).ok_or(vec!["UnknownLeg"])
    }
}

impl Leg {
    /// A format of its list that is more than key presses.
    fn spoken(&self, format: usize) -> Option<&Codec> {
        let media: Vec<_> = self.codecs.iter().filter(|codec| !codec.is_telephone_event()).collect();
        media.get(format % media.len().max(1)).copied()
    }
}

const fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ShardFull { .. } => "ShardFull",
        Refusal::UnknownLeg(_) => "UnknownLeg",
        Refusal::DuplicateLeg(_) => "DuplicateLeg",
        Refusal::NotTheLatest(_) => "NotTheLatest",
        Refusal::DuplicateCutOver(_) => "DuplicateCutOver",
        Refusal::Pending { .. } => "Pending",
        Refusal::BadChanges(_) => "BadChanges",
        Refusal::BadTrigger(_) => "BadTrigger",
        Refusal::Incompatible { .. } => "Incompatible",
        Refusal::NotPlaying { .. } => "NotPlaying",
        Refusal::PayloadTypeChanged { .. } => "PayloadTypeChanged",
        Refusal::BadAddress { .. } => "BadAddress",
        _ => "another",
    }
}
