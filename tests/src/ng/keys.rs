//! Key presses that a party hears (RFC 4733), whatever their packets' number and times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use patchcord_rtp::{RtpPacket, TelephoneEvent};

use crate::ng::party::Party;

/// Payload type of telephone-events in scenarios.
const EVENTS: u8 = 101;

/// What a party has heard so far.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By the timestamp at which each went down.
    presses: BTreeMap<u32, Press>,
    sequences: BTreeSet<u16>,
    ssrcs: BTreeSet<u32>,
    twice: usize,
}

#[derive(Debug)]
struct Press {
    event: TelephoneEvent,
    markers: usize,
    ends: usize,
}

impl Keys {
    pub(super) fn take(&mut self, party: &Party) {
        for (_, _, bytes) in party.take() {
            let Ok(packet) = RtpPacket::parse(&bytes) else { continue };
            let header = packet.header();
            self.ssrcs.insert(header.ssrc.0);
            self.twice += usize::from(!self.sequences.insert(header.sequence.0));
            if header.payload_type.get() != EVENTS {
                continue;
            }
            let Some(event) = TelephoneEvent::read(packet.payload()) else { continue };
            let press = self.presses.entry(header.timestamp.0).or_insert(Press { event, markers: 0, ends: 0 });
            press.markers += usize::from(header.marker);
            press.ends += usize::from(event.end);
        }
    }

    /// Presses whose last packet has come.
    pub(super) fn ended(&self) -> usize {
        self.presses.values().filter(|press| press.ends >= 3).count()
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for press in self.presses.values() {
            let key = press.event.key().unwrap_or('?');
            let (volume, markers, ends) = (press.event.volume, press.markers, press.ends);
            write!(f, "key {key} at -{volume} dBm0 with {markers} marker and {ends} ends, ")?;
        }
        let (ssrcs, twice) = (self.ssrcs.len(), self.twice);
        write!(f, "under {ssrcs} SSRC, {twice} numbers twice,")
    }
}
