//! Parties of a scenario: an RTP port with the RTCP port beside it.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// How often a pair of ports is looked for.
const TRIES: u32 = 1_000;

/// A party's sockets.
#[derive(Debug)]
pub struct Party {
    /// What scenarios call it.
    pub name: &'static str,
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    ssrc: u32,
    sequence: u16,
}

/// Something that a party sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The next RTP packet with this payload type, from the RTP port.
    Rtp(u8),
    /// A sender report from the RTCP port.
    Rtcp,
    /// A sender report from the RTP port (RFC 5761).
    MuxedRtcp,
    /// Anything, from the RTP port.
    Bytes(&'static [u8]),
}

impl Party {
    /// A party with free ports at an address; the RTP port is even.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn new(name: &'static str, ip: IpAddr) -> Self {
        let pair = (0..TRIES).find_map(|_| {
            let rtp = UdpSocket::bind((ip, 0)).ok()?;
            let port = rtp.local_addr().ok()?.port();
            let rtcp = UdpSocket::bind((ip, port.checked_add(1).filter(|_| port % 2 == 0)?)).ok()?;
            Some((rtp, rtcp))
        });
        let (rtp, rtcp) = pair.unwrap_or_else(|| panic!("no two free ports in a row at {ip}"));
        for socket in [&rtp, &rtcp] {
            socket.set_nonblocking(true).expect("a socket can be that");
        }
        let ssrc = name.bytes().fold(0x5eed, |ssrc: u32, byte| ssrc.wrapping_mul(31) + u32::from(byte));
        Self { name, rtp, rtcp, ssrc, sequence: 0 }
    }

    /// Its RTP address.
    ///
    /// # Panics
    /// Never: the socket is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.rtp.local_addr().expect("the socket is bound")
    }

    /// Its RTCP address.
    pub(super) fn rtcp_address(&self) -> SocketAddr {
        self.rtcp.local_addr().expect("the socket is bound")
    }

    /// Sends a packet; gives its bytes.
    pub(super) fn send(&mut self, packet: Packet, to: SocketAddr) -> Vec<u8> {
        let socket = if packet == Packet::Rtcp { &self.rtcp } else { &self.rtp };
        let bytes = match packet {
            Packet::Rtp(payload_type) => {
                self.sequence += 1;
                rtp(self.ssrc, self.sequence, payload_type)
            }
            Packet::Rtcp | Packet::MuxedRtcp => sender_report(self.ssrc, self.sequence),
            Packet::Bytes(bytes) => bytes.to_vec(),
        };
        // What cannot be sent does not arrive.
        let _ = socket.send_to(&bytes, to);
        bytes
    }

    /// What has arrived: at the RTCP port or not, from where, and what.
    pub(super) fn take(&self) -> Vec<(bool, SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        for (rtcp, socket) in [(false, &self.rtp), (true, &self.rtcp)] {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                all.push((rtcp, from, buffer[..len].to_vec()));
            }
        }
        all
    }
}

/// What is different in a packet that was forwarded; empty if nothing is.
pub(super) fn changes(sent: &[u8], got: &[u8]) -> String {
    if sent == got {
        return String::new();
    }
    let rtp = |bytes: &[u8]| bytes.len() > 12 && bytes[0] == 0x80;
    if !rtp(sent) || !rtp(got) {
        return " other bytes".to_owned();
    }
    let fields = [
        ("marker", 1..2, 0x80),
        ("payload type", 1..2, 0x7f),
        ("sequence", 2..4, 0xff),
        ("timestamp", 4..8, 0xff),
        ("SSRC", 8..12, 0xff),
    ];
    let mut changed: Vec<&str> = fields
        .into_iter()
        .filter(|(_, range, mask)| {
            let (sent, got) = (&sent[range.clone()], &got[range.clone()]);
            sent.iter().zip(got).any(|(sent, got)| sent & mask != got & mask)
        })
        .map(|(name, ..)| name)
        .collect();
    if sent[12..] != got[12..] {
        changed.push("payload");
    }
    format!(" with another {}", changed.join(", "))
}

fn rtp(ssrc: u32, sequence: u16, payload_type: u8) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend((u32::from(sequence) * 160).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.resize(12 + 160, 0xd5);
    bytes
}

/// RFC 3550 section 6.4.1, without report blocks.
fn sender_report(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend((u32::from(sequence) * 160).to_be_bytes());
    bytes.extend(u32::from(sequence).to_be_bytes());
    bytes.extend((u32::from(sequence) * 160).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named() {
        let sent = rtp(7, 1, 0);
        assert_eq!(changes(&sent, &sent), "");
        assert_eq!(changes(&sent, &rtp(8, 2, 8)), " with another payload type, sequence, timestamp, SSRC");
        let mut silent = sent.clone();
        silent[20] = 0xff;
        silent[1] |= 0x80;
        assert_eq!(changes(&sent, &silent), " with another marker, payload");
        assert_eq!(changes(&sent, b"x"), " other bytes");
    }
}
