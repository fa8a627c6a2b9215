//! Players: hold audio, ringback and prompts, from frames encoded once and shared by all calls.
//!
//! A player is a source like any other: it has an SSRC, sequence and timestamps of its own, which the listener's egress
//! moves by its offsets. Only headers are written; no codec runs. What is to follow its frames lies beside the legs, since few have any:
//! it is the same player that goes on with it.

mod wheel;

use std::collections::VecDeque;

use patchcord_rtp::{PayloadType, RTP_HEADER_LEN, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

pub(crate) use wheel::Wheel;

use crate::command::Source;
use crate::event::Event;
use crate::forward::SourcePacket;
use crate::leg::egress::Hearing;
use crate::leg::formats::payload_type_for;
use crate::leg::{Slot, SourceSlot};
use crate::media::{Codec, Frames, Repeat};
use crate::shard::Shard;
use crate::time::MonoTime;

/// A player that is late by more frames than this leaves them out: its audio keeps its pace, and the listener is not
/// flooded after a stall.
const LATE_FRAMES_MAX: u64 = 5;

/// One leg's player.
#[derive(Debug)]
pub(crate) struct Player {
    frames: Frames,
    repeat: Repeat,
    /// Rounds still to go, the present one included; meaningless where it repeats for ever.
    rounds_left: u32,
    index: u32,
    payload_type: PayloadType,
    /// Frames of a packet, if as many lie one after the other.
    per_packet: u32,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    timestamp: RtpTimestamp,
    due: MonoTime,
}

impl Player {
    pub(crate) fn as_source(&self) -> Source {
        Source::Player { frames: self.frames.clone(), repeat: self.repeat }
    }

    pub(crate) fn clock_rate(&self) -> u32 {
        self.frames.clock_rate()
    }

    /// When it began with these frames, if it plays them without an end.
    pub(crate) fn since(&self, frames: &Frames) -> Option<MonoTime> {
        let played = u64::from(self.index).saturating_mul(self.frames.ptime().as_nanos() as u64);
        let plays = self.repeat == Repeat::Forever && self.frames == *frames;
        plays.then(|| MonoTime::from_nanos(self.due.as_nanos().saturating_sub(played)))
    }

    /// Goes on by so many frames, to the end of a round at most; `false` when the last one has been played.
    fn advance(&mut self, frames: u32) -> bool {
        self.due = self.due.after(self.frames.ptime() * frames);
        self.timestamp = self.timestamp.wrapping_add(self.frames.frame_ts_units() * frames);
        self.index += frames;
        if self.index < self.frames.count() {
            return true;
        }
        self.index = 0;
        if self.repeat == Repeat::Forever {
            return true;
        }
        self.rounds_left = self.rounds_left.saturating_sub(1);
        self.rounds_left > 0
    }

    /// Leaves out `late` frames, however many rounds these are; `false` when the last one would have been played.
    fn leave_out(&mut self, late: u64) -> bool {
        let ptime_nanos = self.frames.ptime().as_nanos() as u64;
        self.due = self.due.after_nanos(late.saturating_mul(ptime_nanos));
        self.timestamp = self.timestamp.wrapping_add(self.frames.frame_ts_units().wrapping_mul(late as u32));
        let at = u64::from(self.index) + late;
        let count = u64::from(self.frames.count());
        self.index = (at % count) as u32;
        if self.repeat == Repeat::Forever {
            return true;
        }
        let rounds = u32::try_from(at / count).unwrap_or(u32::MAX);
        self.rounds_left = self.rounds_left.saturating_sub(rounds);
        self.rounds_left > 0
    }
}

/// Rounds to go at the beginning.
const fn rounds(repeat: Repeat) -> u32 {
    match repeat {
        Repeat::Times(0) | Repeat::Forever => 1,
        Repeat::Times(times) => times,
    }
}

/// Frames of a packet for a party of these formats.
fn per_packet(frames: &Frames, codecs: &[Codec]) -> u32 {
    let codec = codecs.iter().find(|codec| frames.are_in(codec));
    frames.per_packet(codec.map_or(0, |codec| codec.sending.ptime_ms()))
}

impl Shard {
    /// Makes a player the source of a leg, that goes on where it would be if it had begun at `since`. `false` if the leg has no format for the frames (any more), and is silent.
    #[must_use]
    pub(crate) fn start_player(
        &mut self,
        sink: Slot,
        frames: Frames,
        repeat: Repeat,
        since: MonoTime,
        now: MonoTime,
    ) -> bool {
        let at = sink as usize;
        let codecs = &self.legs.cold[at].codecs;
        let Some(payload_type) = payload_type_for(&frames, codecs) else { return false };
        let per_packet = per_packet(&frames, codecs);
        let egress = &mut self.legs.egress[at];
        // One frame after the last packet: the listener hears no break. At once, if that is past or never was.
        let due = if egress.ssrc().is_some() { egress.last_sent_at.after(frames.ptime()).max(now) } else { now };
        egress.source = SourceSlot::Player;
        egress.hearing = Hearing::AsIs;
        let frame_count = frames.count();
        let played = now.nanos_since(since) / frames.ptime().as_nanos().max(1) as u64;
        self.legs.cold[at].player = Some(Player {
            frames,
            repeat,
            rounds_left: rounds(repeat),
            index: (played % u64::from(frame_count)) as u32,
            payload_type,
            per_packet,
            ssrc: Ssrc(self.rng.next_u32()),
            sequence: SequenceNumber(self.rng.next_u32() as u16),
            timestamp: RtpTimestamp(self.rng.next_u32()),
            due,
        });
        self.legs.cold[at].next_report_at = now;
        // A prompt of a single packet must not be over before the commands behind it, which may wait for its end.
        let lasts = frame_count > per_packet || !matches!(repeat, Repeat::Times(0 | 1));
        if due <= now && lasts && self.outbox.has_room(RTP_HEADER_LEN + Frames::FRAME_LEN_MAX) {
            // The wheel would round up to its next tick.
            self.play_frame(sink, now);
        } else {
            self.wheel.insert(sink, due);
        }
        true
    }

    /// Ends a leg's player without further ado.
    pub(crate) fn stop_player(&mut self, sink: Slot) {
        self.wheel.remove(sink);
        self.legs.queues.remove(&sink);
        self.legs.cold[sink as usize].player = None;
    }

    /// What is played last of all that plays, and waits to be played, to a leg; `None`: nothing plays.
    pub(crate) fn last_played(&self, sink: Slot) -> Option<Repeat> {
        let player = self.legs.cold[sink as usize].player.as_ref()?;
        let waiting = self.legs.queues.get(&sink).and_then(|queue| queue.back());
        Some(waiting.map_or(player.repeat, |(_, repeat)| *repeat))
    }

    /// Has a player go on with these frames when it has played everything before them.
    pub(crate) fn play_next(&mut self, sink: Slot, frames: Frames, repeat: Repeat) {
        // A command before this one in the batch may have fired something that took the player away.
        if self.legs.cold[sink as usize].player.is_some() {
            self.legs.queues.entry(sink).or_default().push_back((frames, repeat));
        }
    }

    /// Ends a player as if it had come to its end.
    pub(crate) fn end_play(&mut self, sink: Slot, now: MonoTime) {
        if self.legs.cold[sink as usize].player.is_some() {
            self.stop_player(sink);
            self.finish_player(sink, now);
        } else {
            self.end_prompt_now(sink, now);
        }
    }

    /// Gives a player that has come to its end what comes next, in its own time; `false` if nothing does.
    fn go_on_with_next(&mut self, sink: Slot, player: &mut Player) -> bool {
        // None of the legs has any, mostly.
        if self.legs.queues.is_empty() {
            return false;
        }
        let codecs = &self.legs.cold[sink as usize].codecs;
        while let Some((frames, repeat)) = self.legs.queues.get_mut(&sink).and_then(VecDeque::pop_front) {
            // The leg's codecs may have been replaced while it waited.
            let Some(payload_type) = payload_type_for(&frames, codecs) else { continue };
            (player.index, player.rounds_left, player.payload_type) = (0, rounds(repeat), payload_type);
            player.per_packet = per_packet(&frames, codecs);
            (player.frames, player.repeat) = (frames, repeat);
            return true;
        }
        false
    }

    /// Sends every frame that is due by `now`, as far as the outbox has room; the rest comes with the next call.
    pub(crate) fn play_due(&mut self, now: MonoTime) {
        while self.outbox.has_room(RTP_HEADER_LEN + Frames::FRAME_LEN_MAX) {
            let Some(sink) = self.wheel.pop_due(now) else { return };
            self.play_frame(sink, now);
        }
    }

    fn play_frame(&mut self, sink: Slot, now: MonoTime) {
        // Taken out while it plays: the packet path borrows the leg.
        let Some(mut player) = self.legs.cold[sink as usize].player.take() else { return };
        if player.due > now {
            // After a stall the wheel cannot see as far ahead as this is, and served it early.
            self.wheel.insert(sink, player.due);
            self.legs.cold[sink as usize].player = Some(player);
            return;
        }
        let mut goes_on = true;
        let late_frames = now.nanos_since(player.due) / player.frames.ptime().as_nanos().max(1) as u64;
        if late_frames > LATE_FRAMES_MAX {
            goes_on = player.leave_out(late_frames) || self.go_on_with_next(sink, &mut player);
        }
        if goes_on {
            let frames = self.send_frames(sink, &player, now);
            player.sequence = player.sequence.wrapping_add(1);
            goes_on = player.advance(frames) || self.go_on_with_next(sink, &mut player);
        }
        if goes_on {
            self.wheel.insert(sink, player.due.max(now));
            self.legs.cold[sink as usize].player = Some(player);
        } else {
            self.legs.queues.remove(&sink);
            self.finish_player(sink, now);
        }
    }

    /// Sends a packet; gives how many frames it has.
    fn send_frames(&mut self, sink: Slot, player: &Player, now: MonoTime) -> u32 {
        let (payload, frames) = player.frames.payload_of(player.index, player.per_packet);
        let packet = SourcePacket {
            header: RtpHeader {
                marker: false,
                payload_type: player.payload_type,
                sequence: player.sequence,
                timestamp: player.timestamp,
                ssrc: player.ssrc,
            },
            bytes: &[],
            len: RTP_HEADER_LEN + payload.len(),
            is_telephone_event: false,
            clock_rate: Some(player.frames.clock_rate()),
            leg: None,
            is_made: false,
            now,
        };
        if let Ok((header, hop, seal)) = self.pass_to(sink, &packet) {
            self.outbox.push(hop, packet.len, seal, |room| {
                let header_len = header.build(room);
                room[header_len..header_len + payload.len()].copy_from_slice(payload);
                header_len + payload.len()
            });
        }
        frames
    }

    /// The prompt is over: whoever waited for that goes on; else the leg falls silent.
    fn finish_player(&mut self, sink: Slot, now: MonoTime) {
        let cold = &self.legs.cold[sink as usize];
        let (leg, awaited_by) = (cold.id, cold.prompt_awaited_by);
        self.outbox.event(Event::PlayFinished { leg });
        if let Some(id) = awaited_by {
            self.fire(id, now);
        }
        if self.legs.cold[sink as usize].player.is_none()
            && self.legs.egress[sink as usize].source == SourceSlot::Player
        {
            self.detach(sink, None);
        }
    }
}
