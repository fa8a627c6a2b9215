//! What is the same in all packets of a stream.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::netns::Mac;
use crate::sys::layout::{FIRST_PORT, FRAME_LEN, HEAD_LEN, Stream};

/// Of stream 0.
const SSRC: u32 = 0x1ab0_0000;
/// A sample of G.711 that is nearly silence.
const SAMPLE: u8 = 0xd5;
const UDP_PROTOCOL: u8 = 17;
const IP_AT: usize = 14;
const UDP_AT: usize = 34;
const RTP_AT: usize = 42;

/// A party or a relay on its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its address.
    pub ip: Ipv4Addr,
}

/// One direction of a call: who sends what to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPlan {
    /// The party that sends.
    pub from: Host,
    /// The number of the party's port; see [`port`].
    pub number: u32,
    /// The Ethernet address of the relay, or of whoever is next on the way to it.
    pub next_hop: Mac,
    /// Where the relay receives.
    pub to: SocketAddrV4,
    /// By which of the generator's devices.
    pub device: u16,
}

/// The port of a party's stream: 10,000 and its number. `None` for more than there are ports.
#[must_use]
pub fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok()?.checked_add(FIRST_PORT)
}

impl StreamPlan {
    /// The stream as the generator wants it; `None` if the number is too high.
    pub(super) fn stream(&self) -> Option<Stream> {
        let frame = self.frame()?;
        let mut head = [0; HEAD_LEN];
        head.copy_from_slice(&frame[..HEAD_LEN]);
        Some(Stream { head, sequence: 0, device: self.device, sum: udp_sum(&frame) })
    }

    /// A frame without sequence number, timestamp and UDP checksum.
    pub(super) fn frame(&self) -> Option<[u8; FRAME_LEN]> {
        const IP_LEN: u16 = (FRAME_LEN - IP_AT) as u16;
        const UDP_LEN: u16 = (FRAME_LEN - UDP_AT) as u16;
        let mut frame = [SAMPLE; FRAME_LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            frame[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.next_hop.0);
        put(&self.from.mac.0);
        put(&[0x08, 0x00]);
        // Version 4, five words, a class of service as telephones have it (RFC 2474: EF), no fragments, TTL 64.
        put(&[0x45, 0xb8]);
        put(&IP_LEN.to_be_bytes());
        put(&[0, 0, 0x40, 0, 64, UDP_PROTOCOL, 0, 0]);
        put(&self.from.ip.octets());
        put(&self.to.ip().octets());
        put(&port(self.number)?.to_be_bytes());
        put(&self.to.port().to_be_bytes());
        put(&UDP_LEN.to_be_bytes());
        put(&[0, 0]);
        // RTP version 2, PCMU.
        put(&[0x80, 0, 0, 0, 0, 0, 0, 0]);
        put(&(SSRC ^ self.number ^ u32::from(self.device) << 16).to_be_bytes());
        let check = !folded(sum(&frame[IP_AT..UDP_AT]));
        frame[IP_AT + 10..IP_AT + 12].copy_from_slice(&check.to_be_bytes());
        Some(frame)
    }
}

/// Sum of what a frame's UDP checksum covers (RFC 768), folded once so that the generator can add to it.
fn udp_sum(frame: &[u8; FRAME_LEN]) -> u32 {
    let addresses = sum(&frame[IP_AT + 12..UDP_AT]);
    let length = (FRAME_LEN - UDP_AT) as u32;
    u32::from(folded(
        addresses + u32::from(UDP_PROTOCOL) + length + sum(&frame[UDP_AT..RTP_AT]) + sum(&frame[RTP_AT..]),
    ))
}

/// Sum of 16-bit words in network order; the bytes are even in number.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

const fn folded(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_a_stream_is_what_rfcs_say() {
        let plan = StreamPlan {
            from: Host { mac: Mac([2, 0, 0, 0, 0, 1]), ip: Ipv4Addr::new(10, 0, 0, 2) },
            number: 7,
            next_hop: Mac([2, 0, 0, 0, 0, 2]),
            to: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 20_000),
            device: 0,
        };
        let frame = plan.frame().expect("there is such a port");
        assert_eq!(frame[..14], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        assert_eq!(folded(sum(&frame[IP_AT..UDP_AT])), 0xffff, "the IP checksum is right");
        assert_eq!(frame[UDP_AT..UDP_AT + 4], [0x27, 0x17, 0x4e, 0x20]);
        let header = patchcord_rtp::RtpHeader::read(&frame[RTP_AT..]).expect("it is RTP");
        assert_eq!((header.ssrc.0, header.payload_type), (SSRC ^ 7, patchcord_rtp::PayloadType::default()));

        // What the generator does with the sum.
        let stream = plan.stream().expect("there is such a port");
        let (sequence, timestamp) = (0x1234_u16, 0xfedc_ba98_u32);
        let total = stream.sum + u32::from(sequence) + (timestamp >> 16) + (timestamp & 0xffff);
        let mut complete = frame;
        complete[RTP_AT + 2..RTP_AT + 4].copy_from_slice(&sequence.to_be_bytes());
        complete[RTP_AT + 4..RTP_AT + 8].copy_from_slice(&timestamp.to_be_bytes());
        complete[UDP_AT + 6..RTP_AT].copy_from_slice(&(!folded(total)).to_be_bytes());
        assert_eq!(udp_sum(&complete), 0xffff, "the UDP checksum is right");
    }

    #[test]
    fn ports_end() {
        assert_eq!((port(0), port(55_535), port(55_536), port(70_000)), (Some(10_000), Some(65_535), None, None));
    }
}
