//! What an endpoint received.

use std::net::SocketAddr;

use patchcord_rtp::{Protocol, RtpHeader, RtpPacket, classify};

/// Everything that arrived at an endpoint, in the order of arrival, up to a limit.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    name: String,
    packets_max: usize,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    /// Datagrams that arrived after the limit was reached: they are counted, not kept.
    pub beyond_limit: u64,
}

/// One received datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// When the kernel got it, on the clock of [`crate::clock::now_ns`].
    pub at_ns: u64,
    /// Who sent it.
    pub from: SocketAddr,
    /// The whole datagram.
    pub bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at_ns: u64,
    from: SocketAddr,
    start: usize,
    len: usize,
}

impl Recording {
    /// An empty recording of a named party that keeps so many datagrams.
    #[must_use]
    pub fn new(name: &str, packets_max: usize) -> Self {
        Self { name: name.to_owned(), packets_max, ..Self::default() }
    }

    /// The name of the party.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Appends a datagram, or counts it if the recording is full.
    pub fn push(&mut self, received: Received<'_>) {
        if self.entries.len() >= self.packets_max {
            self.beyond_limit += 1;
            return;
        }
        let Received { at_ns, from, bytes } = received;
        self.entries.push(Entry { at_ns, from, start: self.bytes.len(), len: bytes.len() });
        self.bytes.extend_from_slice(bytes);
    }

    /// The datagrams kept.
    pub fn datagrams(&self) -> impl DoubleEndedIterator<Item = Received<'_>> + ExactSizeIterator {
        self.entries.iter().map(|entry| self.received(entry))
    }

    /// The RTP packets among them, with their headers.
    pub fn rtp(&self) -> impl Iterator<Item = (RtpHeader, Received<'_>)> {
        self.datagrams().filter_map(|received| Some((received.header()?, received)))
    }

    /// How many datagrams are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn received(&self, entry: &Entry) -> Received<'_> {
        Received { at_ns: entry.at_ns, from: entry.from, bytes: &self.bytes[entry.start..entry.start + entry.len] }
    }
}

impl<'a> Received<'a> {
    /// The RTP header; `None` if it is something else.
    #[must_use]
    pub fn header(&self) -> Option<RtpHeader> {
        if classify(self.bytes) == Protocol::Rtp { RtpHeader::read(self.bytes).ok() } else { None }
    }

    /// The RTP payload without padding; empty if it is something else.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        RtpPacket::parse(self.bytes).map_or(&[], |packet| packet.payload())
    }

    /// Whether it is RTCP.
    #[must_use]
    pub fn is_rtcp(&self) -> bool {
        classify(self.bytes) == Protocol::Rtcp
    }
}
