//! The keys that a leg is sent by the relay, held against what it was told to send.

use std::collections::VecDeque;

use patchcord_relay::command::DtmfStep;
use patchcord_rtp::TelephoneEvent;

use crate::support::wire::HeardRtp;

/// Packets that say that a key has come up (RFC 4733 2.5.1.4).
const END_PACKETS: u32 = 3;

#[derive(Debug)]
pub(crate) struct Dialled {
    /// Codes and durations, in timestamp units, of keys that are to come.
    expected: VecDeque<(u8, u16)>,
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
}

impl Dialled {
    pub(crate) const fn new() -> Self {
        Self { expected: VecDeque::new(), down: None, finished: false, replaced: false, cut_short: 0 }
    }

    pub(crate) fn expect(&mut self, steps: &[DtmfStep]) {
        self.expected.extend(steps.iter().filter_map(|step| match *step {
            DtmfStep::Key { event, duration_ms, .. } => Some((event, duration_ms * 8)),
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

    pub(crate) const fn source_is_replaced(&mut self) {
        self.replaced = true;
    }

    pub(crate) fn end_of_batch(&mut self) {
        assert!(!core::mem::take(&mut self.replaced) || self.down.is_none(), "down over a switch: {self:?}");
        if core::mem::take(&mut self.finished) {
            self.down = None;
            assert!(self.expected.is_empty(), "not sent: {self:?}");
        }
    }

    /// The source is not heard while a key is down.
    pub(crate) fn assert_up(&self, packet: &HeardRtp) {
        assert!(self.down.is_none(), "in the middle of a key: {packet:?} in {self:?}");
    }

    /// Takes a packet; gives whether the key is up by it. It is up before its time if it `may_be_short`, or was stopped.
    pub(crate) fn receive(&mut self, packet: &HeardRtp, event: &TelephoneEvent, may_be_short: bool) -> bool {
        if packet.marker {
            assert!(self.down.is_none(), "one key at a time: {packet:?} in {self:?}");
            // One that goes down in the very step of a switch goes down behind it: had it been down already, it would be up.
            self.replaced = false;
            let (code, duration) = self.expected.pop_front().expect("the relay was told to send it");
            assert_eq!((event.event, event.end), (code, false), "{packet:?}");
            self.down = Some(Down { event: code, timestamp: packet.timestamp, told: 0, duration, ends: 0 });
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
}
