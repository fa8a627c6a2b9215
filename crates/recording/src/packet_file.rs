//! Parties' packets as they came, as pcapng.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use crate::metadata::FileEntry;
use crate::pcapng::{Capture, Packet};

/// So many bytes wait at most until they are written.
const WAITING_MAX: usize = 256 * 1024;
/// Addresses for documentation (RFC 5737): the relay's, and the network of the parties'.
const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const PARTIES: [u8; 3] = [192, 0, 2];
/// Ports of parties, the first of those for dynamic use (RFC 6335 6).
const FIRST_PORT: u16 = 49_152;

/// One file.
pub(crate) struct PacketFile {
    file: File,
    capture: Capture,
    waiting: Vec<u8>,
    written: u64,
    entry: FileEntry,
}

impl PacketFile {
    pub(crate) fn new(name: String, file: File, begins_ms: u64, call: &str, producer: &str) -> Self {
        let capture = Capture::new(call, producer);
        let entry = FileEntry { name, begins_ms, ..FileEntry::default() };
        Self { file, capture, waiting: Vec::new(), written: 0, entry }
    }

    /// Says what a party's payload types stand for.
    pub(crate) fn describe(&mut self, party: &Arc<str>, formats: &str) {
        self.capture.describe(party, formats);
    }

    /// Adds a packet that came at `at` since 1970.
    pub(crate) fn add(&mut self, number: u16, party: &Arc<str>, at: Duration, rtp: &[u8]) -> io::Result<()> {
        let [a, b, c] = PARTIES;
        let host = Ipv4Addr::new(a, b, c, (number % 254) as u8 + 1);
        let port = FIRST_PORT + number % 8192 * 2;
        self.capture.add(&Packet {
            party,
            local: SocketAddr::new(RELAY, port),
            remote: SocketAddr::new(host.into(), port),
            received: true,
            at,
            datagram: rtp,
        });
        self.waiting.append(&mut self.capture.take());
        if self.waiting.len() > WAITING_MAX { self.flush() } else { Ok(()) }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.waiting.append(&mut self.capture.take());
        self.file.write_all(&self.waiting)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// What there is of it, at a place of the recording.
    pub(crate) fn entry(&self, at_ms: u64) -> FileEntry {
        let duration_ms = Some(at_ms.saturating_sub(self.entry.begins_ms));
        FileEntry { duration_ms, bytes: Some(self.written), ..self.entry.clone() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.entry.name
    }
}
