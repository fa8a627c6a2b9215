//! Packets whose payload says where they come from.

use core::net::SocketAddr;

use patchcord_relay::time::MonoTime;
use patchcord_rtp::{PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc, TelephoneEvent};

use super::{FRAME, Heard};

/// What a packet carries: who made it, and how its source numbered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The leg that the packet was sent to, or a player's clip.
    pub(crate) origin: u32,
    /// Unique within the origin.
    pub(crate) number: u32,
    /// Counts the new starts of the source: other SSRC, other numbering.
    pub(crate) epoch: u32,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// The source itself set the marker bit.
    pub(crate) marker: bool,
}

impl Payload {
    pub(crate) const LEN: usize = 23;

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (room, word) in bytes.chunks_exact_mut(4).zip(self.words()) {
            room.copy_from_slice(&word.to_be_bytes());
        }
        bytes[20..22].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[22] = self.marker.into();
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self {
            origin: word(0),
            number: word(4),
            epoch: word(8),
            ssrc: word(12),
            timestamp: word(16),
            sequence: u16::from_be_bytes([bytes[20], bytes[21]]),
            marker: bytes[22] != 0,
        })
    }

    const fn words(self) -> [u32; 5] {
        [self.origin, self.number, self.epoch, self.ssrc, self.timestamp]
    }
}

/// The packets of one source, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) origin: u32,
    pub(crate) epoch: u32,
    pub(crate) number: u32,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) frame_ts_units: u32,
    /// The next packet begins a talk spurt.
    pub(crate) marker: bool,
}

impl Stream {
    /// Numbers that differ from leg to leg, so that nothing fits by chance.
    pub(crate) const fn of(leg: u64) -> Self {
        let leg = leg as u32;
        Self {
            origin: leg,
            epoch: 0,
            number: 0,
            ssrc: 0x5000_0000 + leg,
            sequence: (leg as u16).wrapping_mul(5003),
            timestamp: leg.wrapping_mul(0x1234_5678),
            payload_type: 0,
            frame_ts_units: FRAME,
            marker: false,
        }
    }

    pub(crate) const fn numbered(mut self, sequence: u16, timestamp: u32) -> Self {
        self.sequence = sequence;
        self.timestamp = timestamp;
        self
    }

    pub(crate) const fn under(mut self, ssrc: u32) -> Self {
        self.ssrc = ssrc;
        self.epoch += 1;
        self
    }

    /// The header of the next packet.
    pub(crate) fn header(&self) -> RtpHeader {
        RtpHeader {
            marker: self.marker,
            payload_type: PayloadType::new(self.payload_type).expect("below 128"),
            sequence: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(self.timestamp),
            ssrc: Ssrc(self.ssrc),
        }
    }

    /// The next packet.
    pub(crate) fn packet(&mut self) -> Vec<u8> {
        let packet = packet(&self.header(), &self.payload().to_bytes());
        self.skip(1);
        self.marker = false;
        packet
    }

    /// The payload of the next packet.
    pub(crate) const fn payload(&self) -> Payload {
        Payload {
            origin: self.origin,
            number: self.number,
            epoch: self.epoch,
            ssrc: self.ssrc,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
        }
    }

    /// The next `count` packets.
    pub(crate) fn packets(&mut self, count: u32) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.packet()).collect()
    }

    /// Packets that never arrive.
    pub(crate) const fn skip(&mut self, count: u32) {
        self.number += count;
        self.sequence = self.sequence.wrapping_add(count as u16);
        self.timestamp = self.timestamp.wrapping_add(self.frame_ts_units.wrapping_mul(count));
    }
}

/// A whole RTP packet.
pub(crate) fn packet(header: &RtpHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    header.build(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// The next packet of an event that began at `stream`'s timestamp, `frames` ago: sequence goes on, timestamp does not.
pub(crate) fn event(stream: &mut Stream, frames: u16, end: bool) -> Vec<u8> {
    let header = RtpHeader {
        marker: frames == 1,
        payload_type: PayloadType::new(101).expect("below 128"),
        sequence: SequenceNumber(stream.sequence),
        timestamp: RtpTimestamp(stream.timestamp),
        ssrc: Ssrc(stream.ssrc),
    };
    stream.sequence = stream.sequence.wrapping_add(1);
    let mut payload = [0; 4];
    TelephoneEvent { event: 5, end, volume: 10, duration: frames * FRAME as u16 }.write(&mut payload);
    packet(&header, &payload)
}

/// An RTP packet that a party received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeardRtp {
    pub(crate) at: MonoTime,
    pub(crate) to: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    /// `None`: none of ours, a telephone-event for instance.
    pub(crate) payload: Option<Payload>,
    pub(crate) bytes: Vec<u8>,
}

impl HeardRtp {
    pub(crate) fn read(heard: &Heard) -> Self {
        let packet = RtpPacket::parse(&heard.bytes).expect("the relay sends well-formed RTP");
        let header = packet.header();
        Self {
            at: heard.at,
            to: heard.to,
            ssrc: header.ssrc.0,
            sequence: header.sequence.0,
            timestamp: header.timestamp.0,
            marker: header.marker,
            payload_type: header.payload_type.get(),
            payload: Payload::read(packet.payload()),
            bytes: heard.bytes.clone(),
        }
    }

    /// Who made the packet, by its payload.
    pub(crate) fn origin(&self) -> u32 {
        self.payload.expect("a payload of ours").origin
    }

    /// How its source numbered it.
    pub(crate) fn number(&self) -> u32 {
        self.payload.expect("a payload of ours").number
    }
}

/// Origins in order, each run of the same one once.
pub(crate) fn origins(heard: &[HeardRtp]) -> Vec<u32> {
    let mut origins: Vec<_> = heard.iter().filter_map(|packet| packet.payload).map(|payload| payload.origin).collect();
    origins.dedup();
    origins
}

/// The numbers that the sources gave the packets, in the order of their arrival.
pub(crate) fn numbers(heard: &[HeardRtp]) -> Vec<u32> {
    heard.iter().map(HeardRtp::number).collect()
}

/// Holds what a listener may expect of one stream without loss: one SSRC, each sequence number the next one, timestamps
/// that never go back.
pub(crate) fn assert_continuous(heard: &[HeardRtp]) {
    for pair in heard.windows(2) {
        let [before, after] = pair else { continue };
        assert_eq!(after.ssrc, before.ssrc, "one SSRC");
        assert_eq!(after.sequence, before.sequence.wrapping_add(1), "the next number: {before:?} {after:?}");
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!(step < 1 << 31, "timestamps go forward: {before:?} {after:?}");
    }
}
