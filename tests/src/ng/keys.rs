//! Key presses that a party hears (RFC 4733), whatever their packets' number and times. Markers are left out: whether rtpengine
//! sets that of a key behind a pause depends on when the audio between them comes.

use std::collections::BTreeSet;
use std::fmt;

use patchcord_rtp::{RtpPacket, TelephoneEvent};

use crate::ng::party::Party;

/// Payload type of telephone-events in scenarios.
const EVENTS: u8 = 101;

/// What a party has heard so far.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// As they came, with the timestamp at which each went down.
    presses: Vec<(u32, Press)>,
    sequences: BTreeSet<u16>,
    ssrcs: BTreeSet<u32>,
    twice: usize,
}

#[derive(Debug)]
struct Press {
    event: TelephoneEvent,
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
            let at = header.timestamp.0;
            let known = self.presses.iter().position(|(other, _)| *other == at);
            let index = known.unwrap_or_else(|| {
                self.presses.push((at, Press { event, ends: 0 }));
                self.presses.len() - 1
            });
            let press = &mut self.presses[index].1;
            press.ends += usize::from(event.end);
        }
    }

    /// Presses whose last packet has come.
    pub(super) fn ended(&self) -> usize {
        self.presses.iter().filter(|(_, press)| press.ends >= 3).count()
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, press) in &self.presses {
            let key = press.event.key().unwrap_or('?');
            let (volume, ends) = (press.event.volume, press.ends);
            write!(f, "key {key} at -{volume} dBm0 with {ends} ends, ")?;
        }
        let (ssrcs, twice) = (self.ssrcs.len(), self.twice);
        write!(f, "under {ssrcs} SSRC, {twice} numbers twice,")
    }
}
