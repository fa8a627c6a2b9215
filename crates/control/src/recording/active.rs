//! What the writer was told so far.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use patchcord_recording::{RecordingId, Spec, TrackFormat, TrackSpec, Writer};
use patchcord_relay::exchange::Overheard;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Codec;
use patchcord_relay::time::MonoTime;

use crate::call::{CallModel, CallName, Leg};

/// Packets of legs that are not known yet which are kept: what comes between the engine's taking a leg and the model's.
const EARLY_MAX: usize = 256;
/// RFC 3551 4.5 and 5: video is at 90 kHz.
const VIDEO_CLOCK_RATE: u32 = 90_000;

/// All of it.
#[derive(Default)]
pub(super) struct State {
    /// None: nothing is recorded, or no longer.
    pub(super) writer: Option<Writer>,
    pub(super) active: BTreeMap<RecordingId, Active>,
    /// Where packets of legs go.
    legs: HashMap<LegId, (RecordingId, u16)>,
    early: VecDeque<Overheard>,
}

/// A recording.
pub(super) struct Active {
    /// The call that it is of.
    pub(super) serial: u64,
    pub(super) call: Arc<str>,
    /// Where it lies.
    pub(super) name: Arc<str>,
    pub(super) step: Step,
    paused: bool,
    tracks: BTreeMap<LegId, Track>,
    tracks_made: u16,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Runs,
    /// The writer was told to end it, and has not answered yet.
    Ends,
    /// The writer has given it up, and the model does not know yet.
    Failed,
}

struct Track {
    number: u16,
    party: Arc<str>,
    codecs: Arc<[Codec]>,
}

impl Active {
    pub(super) fn new(call: &CallName, name: Arc<str>) -> Self {
        Self {
            serial: call.serial,
            call: Arc::clone(&call.name),
            name,
            step: Step::Runs,
            paused: false,
            tracks: BTreeMap::new(),
            tracks_made: 0,
        }
    }
}

impl State {
    pub(super) fn begin(&mut self, id: RecordingId, active: Active, spec: Spec) {
        if let Some(writer) = &self.writer {
            writer.begin(id, spec);
            self.active.insert(id, active);
        }
    }

    /// Ends whatever is recorded of a call, but for one; the files of one may be thrown away.
    pub(super) fn end_others(
        &mut self,
        serial: u64,
        but: Option<RecordingId>,
        discards: Option<RecordingId>,
        at: MonoTime,
    ) {
        let of_call = self.active.iter().filter(|(id, active)| active.serial == serial && Some(**id) != but);
        let over: Vec<RecordingId> = of_call.map(|(&id, _)| id).collect();
        for id in over {
            let Some(active) = self.active.get_mut(&id) else { continue };
            for leg in core::mem::take(&mut active.tracks).into_keys() {
                self.legs.remove(&leg);
            }
            match (active.step, &self.writer) {
                (Step::Runs, Some(writer)) => {
                    active.step = Step::Ends;
                    if discards == Some(id) {
                        writer.discard(id, at.as_nanos());
                    } else {
                        writer.stop(id, at.as_nanos());
                    }
                }
                (Step::Ends, Some(_)) => {}
                _ => drop(self.active.remove(&id)),
            }
        }
    }

    /// Brings the tracks of a recording into line with the legs of its call.
    pub(super) fn follow(&mut self, id: RecordingId, call: &CallName, model: &CallModel, paused: bool, at: MonoTime) {
        let Self { writer: Some(writer), active, legs, early } = self else { return };
        let Some(active) = active.get_mut(&id).filter(|active| active.step == Step::Runs) else { return };
        (active.serial, active.call) = (call.serial, Arc::clone(&call.name));
        let at_ns = at.as_nanos();
        let recorded: Vec<&Leg> = model.legs.0.iter().filter(|leg| leg.ears.recorder && !is_video(leg)).collect();
        active.tracks.retain(|&leg, track| {
            let stays = recorded.iter().any(|recorded| recorded.id == leg);
            if !stays {
                legs.remove(&leg);
                writer.end_track(id, at_ns, track.number);
            }
            stays
        });
        for leg in recorded {
            let known = active.tracks.get(&leg.id);
            if known.is_some_and(|track| track.party == leg.party && track.codecs == leg.codecs) {
                continue;
            }
            let number = known.map_or(active.tracks_made, |track| track.number);
            let is_new = known.is_none();
            active.tracks_made = active.tracks_made.saturating_add(u16::from(is_new));
            let (party, codecs) = (Arc::clone(&leg.party), Arc::clone(&leg.codecs));
            writer.track(id, at_ns, TrackSpec { number, party: Arc::clone(&party), formats: formats(&codecs) });
            active.tracks.insert(leg.id, Track { number, party, codecs });
            if is_new {
                legs.insert(leg.id, (id, number));
                for packet in early.iter().filter(|packet| packet.leg == leg.id) {
                    writer.packet(id, number, packet.at.as_nanos(), packet.rtp.clone());
                }
            }
        }
        early.retain(|packet| !legs.contains_key(&packet.leg));
        match (active.paused, paused) {
            (false, true) => writer.pause(id, at_ns),
            (true, false) => writer.resume(id, at_ns),
            _ => {}
        }
        active.paused = paused;
    }

    pub(super) fn packet(&mut self, overheard: Overheard) {
        let Some(writer) = &self.writer else { return };
        match self.legs.get(&overheard.leg) {
            Some(&(id, track)) => writer.packet(id, track, overheard.at.as_nanos(), overheard.rtp),
            None => {
                if self.early.len() == EARLY_MAX {
                    self.early.pop_front();
                }
                self.early.push_back(overheard);
            }
        }
    }

    pub(super) fn mark(&self, call: &str, at: MonoTime, text: impl FnOnce() -> String) {
        let Some(writer) = &self.writer else { return };
        let is_it = |active: &Active| *active.call == *call && active.step == Step::Runs;
        if let Some((&id, _)) = self.active.iter().find(|(_, active)| is_it(active)) {
            writer.mark(id, at.as_nanos(), text());
        }
    }

    /// The writer has given a recording up. It is kept until the model has.
    pub(super) fn fail(&mut self, id: RecordingId) -> Option<&Active> {
        let active = self.active.get_mut(&id)?;
        active.step = Step::Failed;
        for leg in core::mem::take(&mut active.tracks).into_keys() {
            self.legs.remove(&leg);
        }
        Some(active)
    }
}

fn is_video(leg: &Leg) -> bool {
    !leg.codecs.is_empty() && leg.codecs.iter().all(|codec| codec.clock_rate == VIDEO_CLOCK_RATE)
}

/// What the payload types of a leg stand for; without a list, what they always do (RFC 3551 6).
fn formats(codecs: &[Codec]) -> Vec<TrackFormat> {
    let always = |(payload_type, encoding): (u8, &str)| TrackFormat {
        payload_type,
        encoding: encoding.to_owned(),
        clock_rate: 8000,
        channels: 1,
        fmtp: None,
    };
    let said = |codec: &Codec| TrackFormat {
        payload_type: codec.payload_type.get(),
        encoding: codec.encoding.to_string(),
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        fmtp: codec.fmtp.as_deref().map(str::to_owned),
    };
    if codecs.is_empty() {
        return [(0, "PCMU"), (8, "PCMA"), (9, "G722")].map(always).into();
    }
    codecs.iter().map(said).collect()
}
