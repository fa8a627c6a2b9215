//! Packets of a call as a file of pcapng (draft-ietf-opsawg-pcapng): an interface for each party, and all that came to its ports and
//! left from there, with addresses, direction and time.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness};

use crate::internet;

/// Times are in nanoseconds: 10^-9.
const NANOSECONDS: u8 = 9;
/// `epb_flags`: received, sent (section 4.3.1).
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A packet of a party.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Whose it is.
    pub party: &'a Arc<str>,
    /// Where it came to or left from: an address of the relay.
    pub local: SocketAddr,
    /// Where it came from or went to.
    pub remote: SocketAddr,
    /// Whether it came.
    pub received: bool,
    /// When, since 1970.
    pub at: Duration,
    /// What was in it behind the UDP header.
    pub datagram: &'a [u8],
}

/// A packet as the file has it: with IP and UDP headers, and as much behind them as is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    data: Box<[u8]>,
    /// Octets that it had.
    len: u32,
}

impl Frame {
    /// The first `kept` octets behind the UDP header. `None`: its addresses fit no packet.
    #[must_use]
    pub fn new(packet: &Packet<'_>, kept: usize) -> Option<Self> {
        let Packet { local, remote, received, datagram, .. } = *packet;
        let (from, to) = if received { (remote, local) } else { (local, remote) };
        let mut data = internet::packet(from, to, datagram)?;
        let len = data.len() as u32;
        data.truncate((data.len() - datagram.len()).saturating_add(kept));
        Some(Self { data: data.into(), len })
    }

    /// Octets that are kept of it.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.data.len()
    }
}

/// The file as far as it has been written.
pub struct Capture {
    writer: PcapNgWriter<Vec<u8>>,
    /// In the order of their interfaces.
    parties: Vec<Arc<str>>,
}

impl core::fmt::Debug for Capture {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Capture").field("parties", &self.parties).finish_non_exhaustive()
    }
}

impl Capture {
    /// A file of what happens in `call`, made by `producer`.
    #[must_use]
    pub fn new(call: &str, producer: &str) -> Self {
        let options = vec![
            SectionHeaderOption::UserApplication(producer.to_owned().into()),
            SectionHeaderOption::Comment(format!("call {call}").into()),
        ];
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            major_version: 1,
            minor_version: 0,
            // Unknown: it is written as it comes.
            section_length: -1,
            options,
        };
        let writer = PcapNgWriter::with_section_header(Vec::new(), section).expect("memory takes everything");
        Self { writer, parties: Vec::new() }
    }

    /// Adds a packet. One whose addresses fit no packet is left out.
    pub fn add(&mut self, packet: &Packet<'_>) {
        if let Some(frame) = Frame::new(packet, usize::MAX) {
            self.add_frame(packet.party, packet.received, packet.at, &frame);
        }
    }

    /// Adds a packet that a party has sent (`received`) or was sent, at `at` since 1970.
    pub fn add_frame(&mut self, party: &Arc<str>, received: bool, at: Duration, frame: &Frame) {
        let interface = self.interface(party);
        let block = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: at,
            original_len: frame.len,
            data: (&*frame.data).into(),
            options: vec![EnhancedPacketOption::Flags(if received { INBOUND } else { OUTBOUND })],
        };
        self.writer.write_pcapng_block(block).expect("memory takes everything, and the interface is there");
    }

    /// Says that packets are missing, how many and where.
    pub fn missed(&mut self, count: u64, at: Duration) {
        let interface = self.interface(&Arc::from("missed"));
        let block = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: at,
            original_len: 0,
            data: Vec::new().into(),
            options: vec![
                EnhancedPacketOption::DropCount(count),
                EnhancedPacketOption::Comment(format!("{count} packets are missing here").into()),
            ],
        };
        self.writer.write_pcapng_block(block).expect("memory takes everything, and the interface is there");
    }

    /// Gives a party its interface before its first packet, with a description.
    pub fn describe(&mut self, party: &Arc<str>, description: &str) {
        if !self.parties.contains(party) {
            self.add_interface(party, Some(description));
        }
    }

    /// What has been written since the last call.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(self.writer.get_mut())
    }

    fn interface(&mut self, party: &Arc<str>) -> u32 {
        if let Some(index) = self.parties.iter().position(|known| known == party) {
            return index as u32;
        }
        self.add_interface(party, None)
    }

    fn add_interface(&mut self, party: &Arc<str>, description: Option<&str>) -> u32 {
        let description = description.map(|text| InterfaceDescriptionOption::IfDescription(text.to_owned().into()));
        let name = InterfaceDescriptionOption::IfName(party.to_string().into());
        let resolution = InterfaceDescriptionOption::IfTsResol(NANOSECONDS);
        let block = InterfaceDescriptionBlock {
            // IP without anything in front of it.
            linktype: DataLink::RAW,
            snaplen: 0,
            options: [name].into_iter().chain(description).chain([resolution]).collect(),
        };
        self.writer.write_pcapng_block(block).expect("memory takes everything");
        self.parties.push(Arc::clone(party));
        self.parties.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn a_reader_finds_parties_packets_directions_and_times() {
        let mut file = Capture::new("c1", "patchcord 1.2.3");
        let (alice, bob) = (Arc::from("alice"), Arc::from("bob"));
        let (local, remote) = ("192.0.2.1:30000".parse().expect("one"), "192.0.2.9:4000".parse().expect("one"));
        let at = Duration::new(1_700_000_000, 123_456_789);
        let mut bytes = file.take();
        for (party, received) in [(&alice, true), (&bob, false), (&alice, true)] {
            file.add(&Packet { party, local, remote, received, at, datagram: &[7; 20] });
            bytes.extend(file.take());
        }
        file.missed(5, at);
        bytes.extend(file.take());
        let mut reader = PcapNgReader::new(Cursor::new(bytes)).expect("a section");
        let (mut names, mut packets) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block() {
            match block.expect("a block") {
                Block::InterfaceDescription(interface) => {
                    assert_eq!(interface.linktype, DataLink::RAW);
                    names.extend(interface.options.iter().find_map(|option| match option {
                        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                        _ => None,
                    }));
                }
                Block::EnhancedPacket(packet) => {
                    let flags = packet.options.iter().find_map(|option| match option {
                        EnhancedPacketOption::Flags(flags) => Some(*flags),
                        _ => None,
                    });
                    assert_eq!(packet.timestamp, at);
                    packets.push((packet.interface_id, flags, packet.data.len()));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(names, ["alice", "bob", "missed"]);
        assert_eq!(packets, [(0, Some(INBOUND), 48), (1, Some(OUTBOUND), 48), (0, Some(INBOUND), 48), (2, None, 0)]);
    }
    #[test]
    fn a_frame_that_is_cut_says_how_long_it_was() {
        let (local, remote) = ("192.0.2.1:30000".parse().expect("one"), "192.0.2.9:4000".parse().expect("one"));
        let party = Arc::from("alice");
        let packet = Packet { party: &party, local, remote, received: true, at: Duration::ZERO, datagram: &[7; 20] };
        let (whole, cut) = (Frame::new(&packet, usize::MAX), Frame::new(&packet, 12));
        let (whole, cut) = (whole.expect("one family"), cut.expect("one family"));
        assert_eq!((whole.kept(), cut.kept(), cut.len), (48, 40, 48));
        assert_eq!(whole.data[..40], *cut.data);
    }
}
