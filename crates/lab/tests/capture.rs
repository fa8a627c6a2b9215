//! Captures of all formats and link types, made from bytes here and read back; whole, cut at every length, and damaged.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use patchcord_lab::capture::{Capture, CaptureError, Damage, Skipped};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use proptest::prelude::*;

const SOURCE: &str = "192.0.2.1:40000";
const DESTINATION: &str = "198.51.100.2:30000";
const PAYLOAD: &[u8] = b"\x80\x00\x00\x01\x00\x00\x00\xa0\x12\x34\x56\x78speech";

fn udp(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16 + 8).to_be_bytes();
    [&40_000_u16.to_be_bytes()[..], &30_000_u16.to_be_bytes(), &len, &[0, 0], payload].concat()
}

fn ipv4_with(protocol: u8, fragment: u16, segment: &[u8]) -> Vec<u8> {
    let total_len = (segment.len() as u16 + 20).to_be_bytes();
    let fragment = fragment.to_be_bytes();
    let header = [0x45, 0, total_len[0], total_len[1], 0, 0, fragment[0], fragment[1], 64, protocol, 0, 0];
    [&header[..], &[192, 0, 2, 1], &[198, 51, 100, 2], segment].concat()
}

fn ipv4(payload: &[u8]) -> Vec<u8> {
    ipv4_with(17, 0x4000, &udp(payload))
}

fn ipv6_with(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let address = |last: u8| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, len[0], len[1], next_header, 64][..], &address(1), &address(2), payload].concat()
}

fn ethernet(protocol: u16, packet: &[u8]) -> Vec<u8> {
    // Frames are padded to 60 bytes: the lengths in the headers count, not the frame's.
    let mut frame = [&[2_u8; 12][..], &protocol.to_be_bytes(), packet].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn pcap_of(datalink: DataLink, endianness: Endianness, resolution: TsResolution, packets: &[Vec<u8>]) -> Vec<u8> {
    let header = PcapHeader { datalink, endianness, ts_resolution: resolution, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("memory");
    for (packet, index) in packets.iter().zip(0..) {
        let at = Duration::new(1_700_000_000 + index, 123_456_000);
        writer.write_packet(&PcapPacket::new(at, packet.len() as u32, packet)).expect("memory");
    }
    writer.into_writer()
}

fn pcap(datalink: DataLink, packets: &[Vec<u8>]) -> Vec<u8> {
    pcap_of(datalink, Endianness::Little, TsResolution::MicroSecond, packets)
}

fn pcapng(endianness: Endianness, resolution: u8, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).expect("memory");
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options: vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed("eth0")),
            InterfaceDescriptionOption::IfTsResol(resolution),
        ],
    };
    writer.write_block(&interface.into_block()).expect("memory");
    for (packet, index) in packets.iter().zip(1_u64..) {
        // The writer writes nanoseconds as ticks, whatever the interface's resolution says.
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(index * 1_000_000),
            original_len: packet.len() as u32,
            data: Cow::Borrowed(packet),
            options: vec![],
        };
        writer.write_block(&block.into_block()).expect("memory");
    }
    writer.into_inner()
}

fn rtpdump(packets: &[&[u8]]) -> Vec<u8> {
    let mut file = b"#!rtpplay1.0 192.0.2.1/40000\n".to_vec();
    file.extend([1_700_000_000_u32.to_be_bytes(), 5_u32.to_be_bytes(), [192, 0, 2, 1], [0x9c, 0x40, 0, 0]].concat());
    for (packet, index) in packets.iter().zip(0_u32..) {
        let len = packet.len() as u16;
        file.extend([(len + 8).to_be_bytes(), len.to_be_bytes()].concat());
        file.extend((index * 20).to_be_bytes());
        file.extend_from_slice(packet);
    }
    file
}

fn read(file: &[u8]) -> Capture {
    Capture::read("test", file).expect("a capture")
}

fn assert_one_datagram(capture: &Capture) {
    assert_eq!(capture.damage, None);
    assert_eq!(capture.skipped, Skipped::default());
    let [datagram] = &capture.datagrams[..] else { panic!("one datagram, not {:?}", capture.datagrams) };
    assert_eq!(datagram.source.to_string(), SOURCE);
    assert_eq!(datagram.destination.to_string(), DESTINATION);
    assert_eq!(datagram.payload, PAYLOAD);
}

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for resolution in [TsResolution::MicroSecond, TsResolution::NanoSecond] {
            let frame = ethernet(0x0800, &ipv4(PAYLOAD));
            let capture = read(&pcap_of(DataLink::ETHERNET, endianness, resolution, &[frame]));
            assert_one_datagram(&capture);
            assert_eq!(capture.datagrams[0].at_ns, 1_700_000_000_123_456_000, "{endianness:?} {resolution:?}");
        }
    }
}

#[test]
fn every_link_type() {
    let packet = ipv4(PAYLOAD);
    let tag = |vlan: u16, protocol: u16| [vlan.to_be_bytes(), protocol.to_be_bytes()].concat();
    let cooked2 = |protocol: u16, packet: &[u8]| [&protocol.to_be_bytes()[..], &[0; 18], packet].concat();
    let frames = [
        (DataLink::ETHERNET, ethernet(0x0800, &packet)),
        (DataLink::ETHERNET, ethernet(0x8100, &[tag(7, 0x0800), packet.clone()].concat())),
        (DataLink::ETHERNET, ethernet(0x88a8, &[tag(7, 0x8100), tag(8, 0x0800), packet.clone()].concat())),
        (DataLink::LINUX_SLL, [&[0; 14][..], &[8, 0], &packet].concat()),
        (DataLink::LINUX_SLL2, cooked2(0x0800, &packet)),
        (DataLink::RAW, packet.clone()),
        (DataLink::IPV4, packet.clone()),
        (DataLink::NULL, [&2_u32.to_le_bytes()[..], &packet].concat()),
        (DataLink::LOOP, [&2_u32.to_be_bytes()[..], &packet].concat()),
    ];
    for (link, frame) in frames {
        assert_one_datagram(&read(&pcap(link, &[frame])));
    }
}

#[test]
fn ipv6_with_extension_headers() {
    let hop_by_hop = [&[60, 0, 0, 0, 0, 0, 0, 0][..], &[17, 1], &[0; 14], &udp(PAYLOAD)].concat();
    let atomic_fragment = [&[17, 0, 0, 0, 0, 0, 0, 9][..], &udp(PAYLOAD)].concat();
    for packet in [ipv6_with(17, &udp(PAYLOAD)), ipv6_with(0, &hop_by_hop), ipv6_with(44, &atomic_fragment)] {
        let capture = read(&pcap(DataLink::ETHERNET, &[ethernet(0x86dd, &packet)]));
        assert_eq!(capture.skipped, Skipped::default());
        assert_eq!(capture.datagrams[0].payload, PAYLOAD);
        let expected: SocketAddr = "[2001:db8::1]:40000".parse().expect("an address");
        assert_eq!(capture.datagrams[0].source, expected);
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let frames = [
        ethernet(0x0806, &[0; 28]),
        ethernet(0x0800, &ipv4_with(6, 0, &[0; 20])),
        ethernet(0x0800, &ipv4_with(17, 0x2000, &udp(PAYLOAD))),
        ethernet(0x0800, &ipv4_with(17, 0x0003, &udp(PAYLOAD))),
        ethernet(0x86dd, &ipv6_with(44, &[&[17, 0, 0, 1, 0, 0, 0, 9][..], &udp(PAYLOAD)].concat())),
        // A snapshot length that leaves half of the UDP payload.
        ethernet(0x0800, &ipv4(&[0; 100]))[..80].to_vec(),
        ethernet(0x0800, &ipv4(PAYLOAD)),
    ];
    let capture = read(&pcap(DataLink::ETHERNET, &frames));
    assert_eq!(capture.datagrams.len(), 1);
    let expected = Skipped { not_ip: 1, not_udp: 1, fragments: 3, incomplete: 1, unknown_link_type: 0 };
    assert_eq!(capture.skipped, expected);
    assert_eq!(expected.to_string(), "1 not IP, 1 not UDP, 3 fragments, 1 incomplete");
    assert_eq!(Skipped::default().to_string(), "nothing");
}

#[test]
fn pcapng_in_both_byte_orders_with_its_own_resolution() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for (resolution, ns) in [(9, 1_000_000), (6, 1_000_000_000)] {
            let capture = read(&pcapng(endianness, resolution, &[ethernet(0x0800, &ipv4(PAYLOAD))]));
            assert_one_datagram(&capture);
            assert_eq!(capture.datagrams[0].at_ns, ns);
        }
    }
}

#[test]
fn pcapng_sections_interfaces_and_simple_packets() {
    let frame = ethernet(0x0800, &ipv4(PAYLOAD));
    // A second section, of the other byte order, whose first interface is of an unknown type.
    let mut file = pcapng(Endianness::Big, 9, std::slice::from_ref(&frame));
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).expect("memory");
    let unknown = InterfaceDescriptionBlock::new(DataLink::BLUETOOTH_HCI_H4, 0);
    writer.write_block(&unknown.into_block()).expect("memory");
    let simple = SimplePacketBlock { original_len: frame.len() as u32, data: Cow::Borrowed(&frame) };
    writer.write_block(&simple.into_block()).expect("memory");
    file.extend(writer.into_inner());
    // A third one of a single interface without options, as some tools write it.
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).expect("memory");
    writer.write_block(&InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0).into_block()).expect("memory");
    let simple = SimplePacketBlock { original_len: frame.len() as u32, data: Cow::Borrowed(&frame) };
    writer.write_block(&simple.into_block()).expect("memory");
    file.extend(writer.into_inner());

    let capture = read(&file);
    assert_eq!(capture.damage, None);
    assert_eq!(capture.skipped.unknown_link_type, 1);
    assert_eq!(capture.datagrams.len(), 2);
    assert_eq!(capture.datagrams[1].payload, PAYLOAD);
    // A simple packet has no time of its own.
    assert_eq!(capture.datagrams[1].at_ns, 1_000_000);
}

#[test]
fn rtpdump_with_rtcp_and_headers_only() {
    let mut file = rtpdump(&[PAYLOAD, PAYLOAD]);
    // RTCP has a packet length of 0.
    file.extend([0, 12, 0, 0, 0, 0, 0, 60, 0x80, 201, 0, 0]);
    // A dump of headers: 172 bytes of which 12 are there.
    file.extend([&[0, 20, 0, 172, 0, 0, 0, 80][..], &PAYLOAD[..12]].concat());
    let capture = read(&file);
    assert_eq!(capture.damage, None);
    assert_eq!(capture.skipped.incomplete, 1);
    let at: Vec<u64> = capture.datagrams.iter().map(|datagram| datagram.at_ns - 1_700_000_000_000_000_000).collect();
    assert_eq!(at, [5_000, 20_005_000, 60_005_000]);
    assert_eq!(capture.datagrams[1].source.to_string(), SOURCE);
    assert_eq!(capture.datagrams[1].payload, PAYLOAD);
}

#[test]
fn a_file_cut_at_any_length_gives_the_packets_before_the_cut() {
    let frames = vec![ethernet(0x0800, &ipv4(PAYLOAD)); 3];
    let files = [
        pcap(DataLink::ETHERNET, &frames),
        pcap_of(DataLink::ETHERNET, Endianness::Big, TsResolution::NanoSecond, &frames),
        pcapng(Endianness::Little, 9, &frames),
        pcapng(Endianness::Big, 6, &frames),
        rtpdump(&[PAYLOAD; 3]),
    ];
    for file in files {
        let (mut whole, mut last) = (0, 0);
        for len in 0..=file.len() {
            match Capture::read("cut", &file[..len]) {
                Ok(capture) => {
                    assert!(capture.datagrams.len() >= last, "a longer file has no fewer packets");
                    last = capture.datagrams.len();
                    whole += usize::from(capture.damage.is_none());
                    if let Some(damage) = capture.damage {
                        let Damage::Truncated { at_byte, packet } = damage else { panic!("{damage:?}") };
                        assert!(at_byte < len as u64);
                        assert_eq!(packet, capture.datagrams.len() as u64);
                        assert!(damage.to_string().contains("cut short at byte"), "{damage}");
                    }
                }
                Err(error) => assert_eq!(last, 0, "{error}"),
            }
        }
        assert_eq!(last, 3);
        // Whole are the file without packets, and one for each packet; a pcapng also before its interface.
        assert!((4..=5).contains(&whole), "{whole}");
    }
}

#[test]
fn what_is_no_capture_is_refused_with_the_formats_that_are_read() {
    for file in [&b""[..], b"RIFF\0\0\0\0WAVE", b"#!/bin/sh\n", b"\xa1\xb2"] {
        let error = Capture::read("song.wav", file).expect_err("no capture");
        assert!(matches!(error, CaptureError::UnknownFormat { .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("song.wav is not a capture"), "{text}");
        for format in ["pcap ", "pcapng", "rtpdump"] {
            assert!(text.contains(format), "{text}");
        }
    }
    let error = Capture::read("bluetooth.pcap", &pcap(DataLink::BLUETOOTH_HCI_H4, &[vec![0; 9]])).expect_err("no IP");
    assert!(matches!(error, CaptureError::LinkType { link_type: 187, .. }), "{error}");
    let error = Capture::open("/nonexistent/call.pcap").expect_err("no file");
    assert!(error.to_string().starts_with("cannot read the capture /nonexistent/call.pcap: "), "{error}");
}

#[test]
fn impossible_lengths_are_damage() {
    let frames = vec![ethernet(0x0800, &ipv4(PAYLOAD)); 2];
    let second_record = 24 + 16 + frames[0].len();
    let mut file = pcap(DataLink::ETHERNET, &frames);
    file[second_record + 8..second_record + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let capture = read(&file);
    assert_eq!(capture.datagrams.len(), 1);
    let Some(Damage::Malformed { at_byte, .. }) = capture.damage else { panic!("{:?}", capture.damage) };
    assert_eq!(at_byte, second_record as u64);
}

proptest! {
    /// Damaged bytes anywhere give packets, damage or an error, but no panic.
    #[test]
    fn damaged_files_do_not_panic(
        which in 0_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let frames = vec![
            ethernet(0x0800, &ipv4(PAYLOAD)),
            ethernet(0x8100, &[&[0, 1, 0x86, 0xdd][..], &ipv6_with(0, &[17; 40])].concat()),
        ];
        let mut file = match which {
            0 => pcap(DataLink::ETHERNET, &frames),
            1 => pcap(DataLink::LINUX_SLL2, &frames),
            2 => pcapng(Endianness::Little, 9, &frames),
            _ => rtpdump(&[PAYLOAD; 2]),
        };
        for (index, byte) in damage {
            let at = index.index(file.len());
            file[at] = byte;
        }
        let _ = Capture::read("damaged", &file);
    }
}
