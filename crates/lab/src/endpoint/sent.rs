//! What an endpoint sent: enough of it to recognise a packet at the other end, though a relay has given it other numbers.

use patchcord_rtp::{RtpHeader, RtpPacket};

/// Notes on the packets that an endpoint sent, in order, up to a limit.
#[derive(Debug, Clone, Default)]
pub struct SentLog {
    name: String,
    packets_max: usize,
    /// The packets noted.
    pub packets: Vec<SentPacket>,
    /// Packets that were sent after the limit was reached.
    pub beyond_limit: u64,
}

/// One sent packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentPacket {
    /// When it was handed to the kernel, on the clock of [`crate::clock::now_ns`].
    pub at_ns: u64,
    /// Its header as sent.
    pub header: RtpHeader,
    /// What a relay must not change.
    pub fingerprint: Fingerprint,
}

/// Length and hash of a payload: the same at both ends of a relay that does not transcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint {
    len: usize,
    hash: u64,
}

impl Fingerprint {
    /// The fingerprint of a payload (FNV-1a, 64 bits).
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        let hash = payload
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { len: payload.len(), hash }
    }
}

impl SentLog {
    /// An empty log of a named party that keeps so many packets.
    #[must_use]
    pub fn new(name: &str, packets_max: usize) -> Self {
        Self { name: name.to_owned(), packets_max, ..Self::default() }
    }

    /// The name of the party.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Notes a packet that was sent at a time.
    pub fn push(&mut self, at_ns: u64, header: RtpHeader, bytes: &[u8]) {
        if self.packets.len() >= self.packets_max {
            self.beyond_limit += 1;
            return;
        }
        let payload = RtpPacket::parse(bytes).map_or(&[][..], |packet| packet.payload());
        self.packets.push(SentPacket { at_ns, header, fingerprint: Fingerprint::of(payload) });
    }
}
