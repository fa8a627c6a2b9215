//! Copies of what comes and goes, for whoever dumps a call.

use std::collections::BTreeMap;

use patchcord_relay::command::Command;
use patchcord_relay::exchange::{Reply, Tapped};
use patchcord_relay::ids::{LegId, PortId};
use patchcord_relay::time::MonoTime;
use patchcord_relay::{Datagram, Shard, Transmit};

use super::replies::Replies;
use crate::counters::{Counters, Io};

/// The legs that are tapped, by their slots.
#[derive(Debug, Default)]
pub(super) struct Taps(BTreeMap<u32, LegId>);

impl Taps {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes notice of commands that the shard has applied.
    pub(super) fn note(&mut self, commands: &[Command], shard: &Shard) {
        for command in commands {
            let Command::SetTapped { leg, tapped } = *command else { continue };
            match shard.slot(leg) {
                Some(slot) if tapped => drop(self.0.insert(slot, leg)),
                Some(slot) => drop(self.0.remove(&slot)),
                // Removed by the same batch.
                None => {}
            }
        }
    }

    /// Forgets legs that are gone, before their slots have others.
    pub(super) fn forget(&mut self, slots: &[u32]) {
        for slot in slots {
            self.0.remove(slot);
        }
    }

    /// Copies what came, as it came.
    pub(super) fn received(&self, batch: &[Datagram<'_>], replies: &mut Replies, counters: &mut Counters) {
        for datagram in batch {
            self.copy(datagram.port, true, datagram.from, datagram.arrived, datagram.packet(), replies, counters);
        }
    }

    /// Copies what leaves.
    pub(super) fn sent<'p>(
        &self,
        packets: impl Iterator<Item = Transmit<'p>>,
        at: MonoTime,
        replies: &mut Replies,
        counters: &mut Counters,
    ) {
        for Transmit { port, to, bytes } in packets {
            self.copy(port, false, to, at, bytes, replies, counters);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one copy, and where it goes")]
    fn copy(
        &self,
        port: PortId,
        received: bool,
        remote: core::net::SocketAddr,
        at: MonoTime,
        bytes: &[u8],
        replies: &mut Replies,
        counters: &mut Counters,
    ) {
        let Some(&leg) = self.0.get(&port.slot()) else { return };
        if !replies.has_room_for_copies() {
            return counters.count(Io::TapsLost);
        }
        let (component, datagram) = (port.component(), bytes.into());
        replies.send(Reply::Tapped(Box::new(Tapped { leg, component, received, remote, at, datagram })), counters);
    }
}
