//! RTP against the crate `rtp-types`, which was written without regard to this one.

use patchcord_rtp::{RtpHeader, RtpPacket, Ssrc};
use proptest::prelude::*;
use rtp_types::RtpPacketBuilder;

/// What both implementations are asked for.
#[derive(Debug, PartialEq)]
struct Fields {
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    csrcs: Vec<u32>,
    extension: Option<(u16, Vec<u8>)>,
    payload: Vec<u8>,
    padding_len: usize,
}

fn ours(datagram: &[u8]) -> Option<Fields> {
    let packet = RtpPacket::parse(datagram).ok()?;
    let header = packet.header();
    Some(Fields {
        marker: header.marker,
        payload_type: header.payload_type.get(),
        sequence: header.sequence.0,
        timestamp: header.timestamp.0,
        ssrc: header.ssrc.0,
        csrcs: packet.csrcs().map(|Ssrc(csrc)| csrc).collect(),
        extension: packet.extension().map(|extension| (extension.profile, extension.data.to_vec())),
        payload: packet.payload().to_vec(),
        padding_len: packet.padding_len(),
    })
}

fn theirs(datagram: &[u8]) -> Option<Fields> {
    let packet = rtp_types::RtpPacket::parse(datagram).ok()?;
    Some(Fields {
        marker: packet.marker_bit(),
        payload_type: packet.payload_type(),
        sequence: packet.sequence_number(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
        csrcs: packet.csrc().collect(),
        extension: packet.extension().map(|(profile, data)| (profile, data.to_vec())),
        payload: packet.payload().to_vec(),
        padding_len: packet.padding().map_or(0, usize::from),
    })
}

prop_compose! {
    fn fields()(
        marker: bool,
        payload_type in 0_u8..128,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        csrcs in prop::collection::vec(any::<u32>(), 0..16),
        extension in prop::option::of((any::<u16>(), prop::collection::vec(any::<[u8; 4]>(), 0..20))),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        padding_len in prop_oneof![Just(0), 1_usize..256],
    ) -> Fields {
        let extension = extension.map(|(profile, words)| (profile, words.concat()));
        Fields { marker, payload_type, sequence, timestamp, ssrc, csrcs, extension, payload, padding_len }
    }
}

fn write(fields: &Fields) -> Vec<u8> {
    let mut builder = RtpPacketBuilder::<&[u8], &[u8]>::new()
        .marker_bit(fields.marker)
        .payload_type(fields.payload_type)
        .sequence_number(fields.sequence)
        .timestamp(fields.timestamp)
        .ssrc(fields.ssrc)
        .maybe_padding((fields.padding_len > 0).then_some(fields.padding_len as u8))
        .payload(fields.payload.as_slice());
    for csrc in &fields.csrcs {
        builder = builder.add_csrc(*csrc);
    }
    if let Some((profile, data)) = &fields.extension {
        builder = builder.extension(*profile, data.as_slice());
    }
    builder.write_vec().expect("the fields are within their ranges")
}

proptest! {
    #[test]
    fn valid_packets_are_read_as_they_were_written(fields in fields()) {
        let datagram = write(&fields);
        prop_assert_eq!(ours(&datagram), Some(fields));
    }

    #[test]
    fn truncated_packets_are_taken_and_refused_alike(fields in fields(), len: prop::sample::Index) {
        let datagram = write(&fields);
        let cut = &datagram[..len.index(datagram.len())];
        prop_assert_eq!(ours(cut), theirs(cut));
    }

    #[test]
    fn random_bytes_are_taken_and_refused_alike(
        first in 0x80_u8..0xc0,
        rest in prop::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..120),
    ) {
        let datagram = [vec![first], rest].concat();
        prop_assert_eq!(ours(&datagram), theirs(&datagram));
    }

    #[test]
    fn any_first_byte_is_taken_and_refused_alike(datagram in prop::collection::vec(any::<u8>(), 0..120)) {
        prop_assert_eq!(ours(&datagram), theirs(&datagram));
    }

    #[test]
    fn a_rewritten_packet_has_the_new_header_and_all_else_of_the_old(old in fields(), new in fields()) {
        let mut datagram = write(&old);
        let header = RtpHeader::read(&write(&new)).expect("what was built is valid");
        header.rewrite(&mut datagram);
        let Fields { csrcs, extension, payload, padding_len, .. } = old;
        prop_assert_eq!(theirs(&datagram), Some(Fields { csrcs, extension, payload, padding_len, ..new }));
    }

    #[test]
    fn a_built_header_is_that_of_a_packet(new in fields()) {
        let new = Fields { csrcs: vec![], extension: None, padding_len: 0, ..new };
        let expected = write(&new);
        let header = RtpHeader::read(&expected).expect("what was built is valid");
        let mut datagram = vec![0xee; expected.len()];
        let header_len = header.build(&mut datagram);
        datagram[header_len..].copy_from_slice(&new.payload);
        prop_assert_eq!(datagram, expected);
    }
}
