//! Packets and events that the engine makes itself: players, fan-out copies, RTCP.
//!
//! All room is taken at start. A full outbox refuses; it never grows.

use core::net::SocketAddr;
use core::ops::Range;

use patchcord_srtp::{OVERHEAD_MAX, PacketIndex};

use crate::datagram::Hop;
use crate::event::Event;
use crate::hand_out::{HandOut, Heard};
use crate::ids::{AssociationId, LegId, MadeId, PortId};
use crate::mixing::Mixing;
use crate::overhearing::{Ears, Overhearing};
use crate::time::MonoTime;
use crate::transcoding::Transcoding;

/// Packets that one call into the engine can produce, beside the datagrams it rewrites in place. A worker's batch is
/// smaller, and ticks stop at this number and go on at the next call.
const PACKETS_MAX: usize = 1024;
/// Bytes for these packets: the usual 172-byte packet needs a third of it.
const ARENA_BYTES: usize = 512 * 1024;
/// Events that one call can produce. Only latching, SSRC changes, timeouts and cut-overs make events.
const EVENTS_MAX: usize = 4096;

/// Packets that one call can hand out to be transcoded, mixed and overheard.
const HAND_OUTS_MAX: usize = 1024;
/// Datagrams of DTLS that one call can hand out.
const HANDSHAKES_MAX: usize = 64;

/// What one call into the engine produced. Dropping it discards whatever was not taken.
#[must_use = "packets and events that are not taken are lost"]
#[derive(Debug)]
pub struct Outputs<'a> {
    outbox: &'a mut Outbox,
}

/// A packet that the engine made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// The local port to send from.
    pub port: PortId,
    /// The remote address to send to.
    pub to: SocketAddr,
    /// UDP payload.
    pub bytes: &'a [u8],
}

/// A datagram of DTLS that has come from where a leg's party can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// The leg.
    pub leg: LegId,
    /// The leg's association.
    pub association: AssociationId,
    /// Who sent it.
    pub from: SocketAddr,
    /// UDP payload.
    pub bytes: &'a [u8],
}

impl<'a> Outputs<'a> {
    pub(crate) const fn new(outbox: &'a mut Outbox) -> Self {
        Self { outbox }
    }

    /// Packets to send, in this order, after the datagrams of the batch that produced them.
    pub fn transmits(&self) -> impl ExactSizeIterator<Item = Transmit<'_>> + Clone {
        self.outbox.packets.iter().map(|packet| Transmit {
            port: packet.hop.port,
            to: packet.hop.to,
            bytes: &self.outbox.arena[packet.start..packet.start + packet.len],
        })
    }

    /// Events, oldest first; each is given once.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.outbox.events.drain(..)
    }

    /// Datagrams for whoever does the handshakes, oldest first.
    pub fn handshakes(&self) -> impl ExactSizeIterator<Item = Handshake<'_>> {
        self.outbox.handshakes.iter().map(|(leg, association, from, bytes)| Handshake {
            leg: *leg,
            association: *association,
            from: *from,
            bytes: &self.outbox.arena[bytes.clone()],
        })
    }

    /// For whoever has the codecs, in this order; each is given once.
    pub fn hand_outs(&mut self) -> impl Iterator<Item = HandOut<'_>> {
        let arena = &self.outbox.arena;
        self.outbox.hand_outs.drain(..).map(|kept| match kept {
            Kept::Transcode(transcoding) => HandOut::Transcode(*transcoding),
            Kept::Packet(id, bytes) => HandOut::Packet { id, bytes: &arena[bytes] },
            Kept::Mix(mixing) => HandOut::Mix(*mixing),
            Kept::End(id) => HandOut::End(id),
            Kept::Overhear(overhearing) => HandOut::Overhear(*overhearing),
            Kept::Heard(leg, by, at, bytes) => HandOut::Heard(Heard { leg, by, at, bytes: &arena[bytes] }),
        })
    }

    /// Legs that were added, with their slots: open their ports.
    #[must_use]
    pub fn opened(&self) -> &[(LegId, u32)] {
        &self.outbox.opened
    }

    /// Slots of legs that were removed: close their ports, and do it before opening any, for a slot may be used again
    /// within one batch.
    #[must_use]
    pub fn closed(&self) -> &[u32] {
        &self.outbox.closed
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        self.outbox.clear();
    }
}

/// A packet on its way out.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) hop: Hop,
    start: usize,
    pub(crate) len: usize,
    pub(crate) seal: Seal,
}

/// Whether a packet is yet to be protected (RFC 3711), and under which index. The room for it lies behind the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It leaves as it is.
    Unsealed,
    Rtp(PacketIndex),
    Rtcp(u32),
}

/// [`HandOut`], with the packets in the arena.
#[derive(Debug)]
enum Kept {
    Transcode(Box<Transcoding>),
    Packet(MadeId, Range<usize>),
    Mix(Box<Mixing>),
    End(MadeId),
    Overhear(Box<Overhearing>),
    Heard(LegId, Ears, MonoTime, Range<usize>),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    packets: Vec<Packet>,
    arena: Box<[u8]>,
    arena_used: usize,
    handshakes: Vec<(LegId, AssociationId, SocketAddr, Range<usize>)>,
    hand_outs: Vec<Kept>,
    events: Vec<Event>,
    events_lost: u64,
    /// A packet is yet to be protected.
    has_unsealed: bool,
    opened: Vec<(LegId, u32)>,
    closed: Vec<u32>,
    packets_total: u64,
    bytes_total: u64,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            packets: Vec::with_capacity(PACKETS_MAX),
            arena: vec![0; ARENA_BYTES].into_boxed_slice(),
            arena_used: 0,
            handshakes: Vec::with_capacity(HANDSHAKES_MAX),
            hand_outs: Vec::with_capacity(HAND_OUTS_MAX),
            events: Vec::with_capacity(EVENTS_MAX),
            events_lost: 0,
            has_unsealed: false,
            opened: Vec::new(),
            closed: Vec::new(),
            packets_total: 0,
            bytes_total: 0,
        }
    }

    /// Whether a packet of up to `len` bytes can be taken, protected or not.
    pub(crate) const fn has_room(&self, len: usize) -> bool {
        self.has_room_for(1, len)
    }

    /// Whether so many packets of up to `len` bytes each can be taken.
    pub(crate) const fn has_room_for(&self, packets: usize, len: usize) -> bool {
        self.packets.len() + packets <= PACKETS_MAX
            && self.arena.len() - self.arena_used >= packets * (len + OVERHEAD_MAX)
    }

    /// Lets `fill` write a packet of at most `room` bytes and say how long it became; 0 means no packet after all.
    /// `false` if there is no room, and then `fill` is not called.
    pub(crate) fn push(&mut self, hop: Hop, room: usize, seal: Seal, fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if !self.has_room(room) {
            return false;
        }
        let start = self.arena_used;
        let len = fill(&mut self.arena[start..start + room]);
        debug_assert!(len <= room, "a packet of {len} bytes in a room of {room}");
        if len > 0 {
            self.packets.push(Packet { hop, start, len, seal });
            self.arena_used += if seal == Seal::Unsealed { len } else { len + OVERHEAD_MAX };
            self.has_unsealed |= seal != Seal::Unsealed;
            self.packets_total += 1;
            self.bytes_total += len as u64;
        }
        true
    }

    pub(crate) const fn has_unsealed(&self) -> bool {
        self.has_unsealed
    }

    /// Packets that are yet to be protected, each with its bytes and the room behind it, in their order.
    pub(crate) fn unsealed(&mut self) -> impl Iterator<Item = (&mut Packet, &mut [u8])> {
        self.has_unsealed = false;
        let (mut rest, mut passed) = (&mut self.arena[..], 0);
        self.packets.iter_mut().filter(|packet| packet.seal != Seal::Unsealed).map(move |packet| {
            let (_, from_here) = core::mem::take(&mut rest).split_at_mut(packet.start - passed);
            let (bytes, behind) = from_here.split_at_mut(packet.len + OVERHEAD_MAX);
            passed = packet.start + bytes.len();
            rest = behind;
            (packet, bytes)
        })
    }

    /// Counts what protecting has added to packets, and leaves out those that could not be protected after all, whose length is 0:
    /// so many, of so many bytes before.
    pub(crate) fn note_sealed(&mut self, added: usize, (failed, failed_bytes): (usize, usize)) {
        self.bytes_total += added as u64;
        if failed > 0 {
            self.packets.retain(|packet| packet.len > 0);
            self.packets_total -= failed as u64;
            self.bytes_total -= failed_bytes as u64;
        }
    }

    /// Takes back what was to leave from a slot: its ports are going to be closed first, and may be another leg's then.
    pub(crate) fn withdraw(&mut self, slot: u32) {
        let (packets_total, bytes_total) = (&mut self.packets_total, &mut self.bytes_total);
        self.packets.retain(|packet| {
            let stays = packet.hop.port.slot() != slot;
            if !stays {
                *packets_total -= 1;
                *bytes_total -= packet.len as u64;
            }
            stays
        });
    }

    /// Takes a datagram of DTLS for whoever does the handshake. `false` if there is no room.
    pub(crate) fn hand_out(&mut self, leg: LegId, association: AssociationId, from: SocketAddr, bytes: &[u8]) -> bool {
        if self.handshakes.len() == HANDSHAKES_MAX {
            return false;
        }
        let Some(room) = self.store(bytes) else { return false };
        self.handshakes.push((leg, association, from, room));
        true
    }

    pub(crate) fn transcode(&mut self, transcoding: Box<Transcoding>) {
        self.hand_outs.push(Kept::Transcode(transcoding));
    }

    pub(crate) fn mix(&mut self, mixing: Mixing) {
        self.hand_outs.push(Kept::Mix(Box::new(mixing)));
    }

    pub(crate) fn overhear(&mut self, overhearing: Overhearing) {
        self.hand_outs.push(Kept::Overhear(Box::new(overhearing)));
    }

    pub(crate) fn end_made(&mut self, id: MadeId) {
        self.hand_outs.push(Kept::End(id));
    }

    /// Takes a packet for whoever transcodes. `false` if there is no room.
    pub(crate) fn source_packet(&mut self, id: MadeId, bytes: &[u8]) -> bool {
        self.keep(bytes, |room| Kept::Packet(id, room))
    }

    /// Takes a packet for whoever overhears. `false` if there is no room.
    pub(crate) fn heard(&mut self, heard: &Heard<'_>) -> bool {
        self.keep(heard.bytes, |room| Kept::Heard(heard.leg, heard.by, heard.at, room))
    }

    fn keep(&mut self, bytes: &[u8], kept: impl FnOnce(Range<usize>) -> Kept) -> bool {
        if self.hand_outs.len() >= HAND_OUTS_MAX {
            return false;
        }
        let Some(room) = self.store(bytes) else { return false };
        self.hand_outs.push(kept(room));
        true
    }

    /// Keeps bytes until they are taken, if there is room.
    fn store(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        if self.arena.len() - self.arena_used < bytes.len() {
            return None;
        }
        let room = self.arena_used..self.arena_used + bytes.len();
        self.arena[room.clone()].copy_from_slice(bytes);
        self.arena_used = room.end;
        Some(room)
    }

    pub(crate) fn event(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        } else {
            self.events_lost += 1;
        }
    }

    pub(crate) fn opened(&mut self, leg: LegId, slot: u32) {
        self.opened.push((leg, slot));
    }

    pub(crate) fn closed(&mut self, slot: u32) {
        self.closed.push(slot);
    }

    pub(crate) const fn events_lost(&self) -> u64 {
        self.events_lost
    }

    /// Packets and bytes ever pushed.
    pub(crate) const fn totals(&self) -> (u64, u64) {
        (self.packets_total, self.bytes_total)
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.arena_used = 0;
        self.has_unsealed = false;
        self.handshakes.clear();
        self.hand_outs.clear();
        self.events.clear();
        self.opened.clear();
        self.closed.clear();
    }
}
