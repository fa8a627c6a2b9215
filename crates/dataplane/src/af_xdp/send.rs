//! Sending: frames by the interface's own sockets where the way is known, else as the steered backend does it.

#![allow(unsafe_code, reason = "runs borrow their packets by hand")]

use patchcord_relay::Transmit;

use super::xsks::Xsks;
use crate::backend::Sender;
use crate::counters::Counters;
use crate::steered;

/// See the module's documentation.
pub(crate) struct Outbound {
    pub(super) steered: steered::Outbound,
    /// By interfaces.
    pub(super) xsks: Vec<Xsks>,
}

impl Outbound {
    fn put(&mut self, packet: &Transmit<'_>) -> bool {
        let Some((interface, header)) = self.steered.frame(packet) else { return false };
        let xsks = self.xsks.iter_mut().find(|xsks| xsks.umem.interface == *interface);
        xsks.is_some_and(|xsks| xsks.put(header, packet.bytes))
    }
}

impl Sender for Outbound {
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>) {
        for packet in packets {
            if !self.put(&packet) {
                // SAFETY: flushed below, while the packet is still borrowed.
                unsafe { self.steered.put(&packet) };
            }
        }
        for xsks in &mut self.xsks {
            xsks.flush(&mut self.steered.counters);
        }
        self.steered.flush();
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.steered.counters
    }
}
