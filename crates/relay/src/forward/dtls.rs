//! DTLS (RFC 5764): handed to whoever does the handshake, and sent on its behalf. The packet path only sees to it that what is
//! handed out can be the party's, and that it is not too much.

use core::net::SocketAddr;

use crate::datagram::{Datagram, Hop, Verdict};
use crate::ids::{AssociationId, Component, LegId, PortId};
use crate::leg::Slot;
use crate::outbox::Seal;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

impl Shard {
    /// What becomes of a datagram that begins as DTLS does. Nothing is learned from it: before there are keys, whoever sends from
    /// where the party can be looks like the party.
    #[cold]
    pub(super) fn hand_out(&mut self, datagram: &Datagram<'_>, now: MonoTime) -> Verdict {
        let cold = &mut self.legs.cold[datagram.port.slot() as usize];
        let takes = cold.takes_dtls_from(datagram.from);
        let association = cold.dtls.as_ref().and_then(|dtls| dtls.association);
        let is_rtp = datagram.port.component() == Component::Rtp;
        let (Some(dtls), Some(association), true) = (&mut cold.dtls, association, is_rtp) else {
            return Verdict::Dropped(DropReason::UnexpectedProtocol);
        };
        if !takes {
            return Verdict::Dropped(DropReason::ForeignSource);
        }
        if !dtls.allows(now) {
            return Verdict::Dropped(DropReason::DtlsLimited);
        }
        dtls.received += 1;
        let handed_out = self.outbox.hand_out(cold.id, association, datagram.from, datagram.packet());
        if handed_out { Verdict::Consumed } else { Verdict::Dropped(DropReason::OutboxFull) }
    }

    /// Sends a datagram of a handshake. One that has nowhere to go, or no room, is lost as on any network: DTLS sends it again.
    pub(crate) fn send_dtls(&mut self, slot: Slot, to: Option<SocketAddr>, bytes: &[u8]) {
        let Some(to) = to.or_else(|| self.legs.cold[slot as usize].latch.remote()) else { return };
        let hop = Hop { port: PortId::new(slot, Component::Rtp), to };
        self.outbox.push(hop, bytes.len(), Seal::Unsealed, |room| {
            room.copy_from_slice(bytes);
            bytes.len()
        });
    }

    /// The association that the leg has at present.
    pub(crate) fn association_of(&self, leg: LegId) -> Option<AssociationId> {
        let slot = self.legs.slot(leg)?;
        self.legs.cold[slot as usize].dtls.as_ref()?.association
    }
}
