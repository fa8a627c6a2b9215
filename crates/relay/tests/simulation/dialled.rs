//! The keys that a leg is sent by the relay, held against what it was told to send.

use std::collections::VecDeque;

use patchcord_relay::command::{DtmfHow, DtmfStep};
use patchcord_relay::time::MonoTime;
use patchcord_rtp::TelephoneEvent;

use crate::support::wire::{HeardRtp, Payload};
use crate::support::{FRAME, MS, PLAYER};

/// Packets that say that a key has come up (RFC 4733 2.5.1.4).
const END_PACKETS: u32 = 3;

/// Clips from here on are tones of the keys of these numbers.
pub(crate) const TONES: u32 = 1000;

/// The key whose tone a payload is of.
pub(crate) fn tone_of(payload: &Payload) -> Option<u8> {
    payload.origin.checked_sub(PLAYER + TONES).map(|event| event as u8)
}

#[derive(Debug)]
pub(crate) struct Dialled {
    /// Codes and durations, in timestamp units, of keys that are to come, and whether they are tones.
    expected: VecDeque<(u8, u16, bool)>,
    down: Option<Down>,
    /// Of the present batch: it is the last in which the key that is down is heard of.
    finished: bool,
    /// Of the present batch: the source was replaced, before which a key comes up.
    replaced: bool,
    pub(crate) cut_short: u64,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    event: u8,
    timestamp: u32,
    told: u16,
    duration: u16,
    ends: u32,
    is_tone: bool,
    at: MonoTime,
}

impl Dialled {
    pub(crate) const fn new() -> Self {
        Self { expected: VecDeque::new(), down: None, finished: false, replaced: false, cut_short: 0 }
    }

    pub(crate) fn expect(&mut self, steps: &[DtmfStep]) {
        self.expected.extend(steps.iter().filter_map(|step| match *step {
            DtmfStep::Key { event, duration_ms, how: DtmfHow::Event, .. } => Some((event, duration_ms * 8, false)),
            // A tone lasts for whole frames.
            DtmfStep::Key { event, duration_ms, .. } => {
                Some((event, (duration_ms * 8).next_multiple_of(FRAME as u16), true))
            }
            DtmfStep::Pause { .. } => None,
        }));
    }

    pub(crate) fn is_expected(&self) -> bool {
        !self.expected.is_empty() || self.down.is_some()
    }

    pub(crate) fn finish(&mut self, dropped: u16) {
        // A key whose first packets are in this very batch is not known yet.
        let known = self.expected.len();
        assert!((usize::from(dropped)..=usize::from(dropped) + 1).contains(&known), "{dropped} dropped: {self:?}");
        self.expected.truncate(known - usize::from(dropped));
        self.finished = true;
    }

    /// A tone has no end of its own: it is cut short by a switch or a stop, or where its time was over by `now` in a stall. Gives
    /// whether one was.
    fn cut_tone_short(&mut self, now: Option<MonoTime>) -> bool {
        let may_end = self.replaced || self.finished;
        let is_over = |down: &Down| {
            let nanos = u64::from(down.duration) * MS / 8;
            now.is_some_and(|now| now.nanos_since(down.at) >= nanos)
        };
        let cut = self.down.take_if(|down| down.is_tone && (may_end || is_over(down))).is_some();
        self.cut_short += u64::from(cut);
        cut
    }

    pub(crate) const fn source_is_replaced(&mut self) {
        self.replaced = true;
    }

    /// Gives whether a tone was cut short.
    pub(crate) fn end_of_batch(&mut self) -> bool {
        let cut_short = self.cut_tone_short(None);
        assert!(!core::mem::take(&mut self.replaced) || self.down.is_none(), "down over a switch: {self:?}");
        if core::mem::take(&mut self.finished) {
            self.down = None;
            assert!(self.expected.is_empty(), "not sent: {self:?}");
        }
        cut_short
    }

    /// The source is not heard while a key is down. Gives whether a tone was cut short before it.
    pub(crate) fn assert_up(&mut self, packet: &HeardRtp) -> bool {
        let cut_short = self.cut_tone_short(Some(packet.at));
        assert!(self.down.is_none(), "in the middle of a key: {packet:?} in {self:?}");
        cut_short
    }

    /// Takes a packet; gives whether the key is up by it. It is up before its time if it `may_be_short`, or was stopped.
    pub(crate) fn receive(&mut self, packet: &HeardRtp, event: &TelephoneEvent, may_be_short: bool) -> bool {
        if packet.marker {
            self.cut_tone_short(Some(packet.at));
            assert!(self.down.is_none(), "one key at a time: {packet:?} in {self:?}");
            // One that goes down in the very step of a switch goes down behind it: had it been down already, it would be up.
            self.replaced = false;
            let (code, duration, is_tone) = self.expected.pop_front().expect("the relay was told to send it");
            assert_eq!((event.event, event.end, is_tone), (code, false, false), "{packet:?}");
            self.down = Some(Down {
                event: code,
                timestamp: packet.timestamp,
                told: 0,
                duration,
                ends: 0,
                is_tone,
                at: packet.at,
            });
        }
        let Some(down) = &mut self.down else { panic!("no key is down: {packet:?}") };
        assert_eq!((event.event, packet.timestamp), (down.event, down.timestamp), "{packet:?} in {down:?}");
        assert!((down.told..=down.duration).contains(&event.duration) && event.duration > 0, "{packet:?} in {down:?}");
        assert!(event.end || down.ends == 0, "it is up: {packet:?} in {down:?}");
        down.told = event.duration;
        down.ends += u32::from(event.end);
        if down.ends < END_PACKETS {
            return false;
        }
        let short = down.told < down.duration;
        assert!(!short || may_be_short || self.finished, "up too early: {down:?}");
        self.cut_short += u64::from(short);
        self.down = None;
        true
    }

    /// Takes a packet of a tone; gives whether it is the last.
    pub(crate) fn receive_tone(&mut self, packet: &HeardRtp, code: u8, number: u32) -> bool {
        if packet.marker {
            self.cut_tone_short(Some(packet.at));
            assert!(self.down.is_none(), "one key at a time: {packet:?} in {self:?}");
            self.replaced = false;
            let (event, duration, is_tone) = self.expected.pop_front().expect("the relay was told to send it");
            assert_eq!((event, is_tone, number), (code, true, 0), "{packet:?}");
            self.down =
                Some(Down { event, timestamp: packet.timestamp, told: 0, duration, ends: 0, is_tone, at: packet.at });
        }
        let Some(down) = &mut self.down else { panic!("no key is down: {packet:?}") };
        let told = packet.timestamp.wrapping_sub(down.timestamp);
        assert_eq!((down.event, told), (code, number * FRAME), "{packet:?} in {down:?}");
        down.told = (told + FRAME) as u16;
        assert!(down.told <= down.duration, "{packet:?} in {down:?}");
        let whole = down.told == down.duration;
        if whole {
            self.down = None;
        }
        whole
    }
}
