//! Telephone-events (RFC 4733) over a cut-over: one that a listener has begun to hear is ended properly, one that it
//! has not heard the start of is not joined in its middle.

use patchcord_rtp::{RTP_HEADER_LEN, RtpHeader, RtpPacket, TelephoneEvent};

use crate::datagram::Hop;
use crate::forward::rtp::SourcePacket;
use crate::ids::{Component, PortId};
use crate::leg::{EventInFlight, Slot};
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// RFC 4733 2.5.1.4: the final packet is sent three times.
pub(crate) const END_PACKETS: usize = 3;
/// Events are reported every packet time, 50 ms at most (RFC 4733 2.5.1.2): the listener has given up one that it has
/// not heard of for so long, and would take an end packet for another key press.
const FORGOTTEN_NANOS: u64 = 500_000_000;
/// RTP header and one event.
pub(crate) const EVENT_PACKET_LEN: usize = RTP_HEADER_LEN + TelephoneEvent::LEN;

impl Shard {
    /// Refuses a packet of an event if the listener missed its start.
    pub(super) fn mind_event_before(&mut self, sink: Slot, packet: &SourcePacket<'_>) -> Result<(), DropReason> {
        self.claim_event(sink, packet, false)?;
        let joins = self.legs.egress[sink as usize].joins_another_source();
        let cold = &mut self.legs.cold[sink as usize];
        if joins && !packet.header.marker {
            // RFC 4733 2.5.1.2: the marker is on an event's first packet.
            cold.event_skipped = Some(packet.header.timestamp);
        }
        if cold.event_skipped == Some(packet.header.timestamp) && !packet.header.marker {
            return Err(DropReason::MidEvent);
        }
        cold.event_skipped = None;
        Ok(())
    }

    /// Remembers what it would take to end this event.
    pub(super) fn mind_event_after(&mut self, sink: Slot, packet: &SourcePacket<'_>, sent: &RtpHeader) {
        let payload = RtpPacket::parse(packet.bytes).ok().map(|packet| packet.payload());
        let Some(event) = payload.and_then(TelephoneEvent::read) else { return };
        self.legs.cold[sink as usize].event_in_flight = (!event.end).then_some(EventInFlight {
            event: event.event,
            volume: event.volume,
            duration: event.duration,
            payload_type: sent.payload_type,
            timestamp: sent.timestamp,
            heard_at: packet.now,
        });
    }

    /// Ends the event that the listener is hearing, before its source changes: three end packets on its own timestamp.
    pub(crate) fn end_event_in_flight(&mut self, sink: Slot, now: MonoTime) {
        let at = sink as usize;
        let Some(in_flight) = self.legs.cold[at].event_in_flight.take() else { return };
        self.legs.cold[at].event_skipped = None;
        if !is_event_remembered(&in_flight, now) || self.legs.egress[at].obstacle().is_some() {
            return;
        }
        let Some(to) = self.legs.egress[at].remote() else { return };
        let hop = Hop { port: PortId::new(sink, Component::Rtp), to };
        let event = TelephoneEvent {
            event: in_flight.event,
            end: true,
            volume: in_flight.volume,
            duration: in_flight.duration,
        };
        for _ in 0..END_PACKETS {
            if !self.outbox.has_room(EVENT_PACKET_LEN) {
                return;
            }
            let Some((sequence, ssrc)) = self.legs.egress[at].insert(EVENT_PACKET_LEN, now) else { return };
            let header = RtpHeader {
                marker: false,
                payload_type: in_flight.payload_type,
                sequence,
                timestamp: in_flight.timestamp,
                ssrc,
            };
            let Ok(seal) = self.seal(sink, &header) else { return };
            self.outbox.push(hop, EVENT_PACKET_LEN, seal, |room| build_event(room, &header, &event));
        }
    }
}

/// Whether a listener has not given up an event that it hears.
pub(crate) const fn is_event_remembered(event: &EventInFlight, now: MonoTime) -> bool {
    now.nanos_since(event.heard_at) <= FORGOTTEN_NANOS
}

/// Writes a packet of one event; gives its length.
pub(crate) fn build_event(room: &mut [u8], header: &RtpHeader, event: &TelephoneEvent) -> usize {
    let header_len = header.build(room);
    let mut payload = [0; TelephoneEvent::LEN];
    event.write(&mut payload);
    room[header_len..header_len + payload.len()].copy_from_slice(&payload);
    header_len + payload.len()
}
