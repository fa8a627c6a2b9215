//! RTCP against the crate `rtcp-types`, which was written without regard to this one.

use patchcord_rtp::{
    Compound, CompoundWriter, Feedback, FeedbackKind, NtpTime, ReportBlock, RtcpError, RtcpView, RtpTimestamp,
    SenderInfo, SequenceNumber, Ssrc,
};
use proptest::prelude::*;
use rtcp_types::prelude::*;
use rtcp_types::{Nack, Packet, PayloadFeedback, Pli, Sdes, TransportFeedback};

/// What both implementations make of one packet.
#[derive(Clone, Debug, PartialEq)]
enum Fields {
    Sr { ssrc: u32, ntp: u64, timestamp: u32, packets: u32, octets: u32, blocks: Vec<Block> },
    Rr { ssrc: u32, blocks: Vec<Block> },
    Sdes { chunks: Vec<(u32, Vec<(u8, String)>)> },
    Bye { ssrcs: Vec<u32>, reason: Option<String> },
    App { subtype: u8, ssrc: u32, name: [u8; 4], data: Vec<u8> },
    Nack { sender: u32, media: u32, sequences: Vec<u16> },
    Pli { sender: u32, media: u32 },
}

/// SSRC, fraction lost, the 24 bits of cumulative lost, highest, jitter, LSR, DLSR.
type Block = (u32, u8, i32, u32, u32, u32, u32);

fn our_block(block: ReportBlock) -> Block {
    let ReportBlock { ssrc, fraction_lost, cumulative_lost, .. } = block;
    let lsr = (block.last_sr, block.delay_since_last_sr);
    (ssrc.0, fraction_lost, cumulative_lost, block.extended_highest_sequence, block.jitter, lsr.0, lsr.1)
}

fn their_block(block: &rtcp_types::ReportBlock<'_>) -> Block {
    let lost = (block.cumulative_lost() << 8).cast_signed() >> 8;
    let lsr = (block.last_sender_report_timestamp(), block.delay_since_last_sender_report_timestamp());
    let highest = block.extended_sequence_number();
    (block.ssrc(), block.fraction_lost(), lost, highest, block.interarrival_jitter(), lsr.0, lsr.1)
}

fn block_of(block: &Block) -> ReportBlock {
    let &(ssrc, fraction_lost, cumulative_lost, extended_highest_sequence, jitter, last_sr, delay_since_last_sr) =
        block;
    let ssrc = Ssrc(ssrc);
    ReportBlock {
        ssrc,
        fraction_lost,
        cumulative_lost,
        extended_highest_sequence,
        jitter,
        last_sr,
        delay_since_last_sr,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("only texts were written")
}

fn ours(datagram: &[u8]) -> Result<Vec<Fields>, RtcpError> {
    Compound::parse(datagram)?.packets().map(|packet| packet.view().map(our_fields)).collect()
}

fn our_fields(view: RtcpView<'_>) -> Fields {
    match view {
        RtcpView::SenderReport(report) => Fields::Sr {
            ssrc: report.ssrc.0,
            ntp: report.info.ntp.0,
            timestamp: report.info.rtp_timestamp.0,
            packets: report.info.packet_count,
            octets: report.info.octet_count,
            blocks: report.report_blocks().map(our_block).collect(),
        },
        RtcpView::ReceiverReport(report) => {
            Fields::Rr { ssrc: report.ssrc.0, blocks: report.report_blocks().map(our_block).collect() }
        }
        RtcpView::SourceDescription(description) => Fields::Sdes {
            chunks: description
                .chunks()
                .map(|chunk| (chunk.ssrc.0, chunk.items().map(|item| (item.kind, text(item.text))).collect()))
                .collect(),
        },
        RtcpView::Bye(bye) => {
            Fields::Bye { ssrcs: bye.ssrcs().map(|Ssrc(ssrc)| ssrc).collect(), reason: bye.reason().map(text) }
        }
        RtcpView::App(app) => {
            Fields::App { subtype: app.subtype, ssrc: app.ssrc.0, name: app.name, data: app.data.to_vec() }
        }
        RtcpView::Feedback(Feedback { kind: FeedbackKind::Payload, sender, media, .. }) => {
            Fields::Pli { sender: sender.0, media: media.0 }
        }
        RtcpView::Feedback(feedback) => Fields::Nack {
            sender: feedback.sender.0,
            media: feedback.media.0,
            sequences: feedback
                .nacks()
                .flat_map(|nack| {
                    let SequenceNumber(first) = nack.packet_id;
                    let following = (0..16).filter(move |bit| nack.following & 1 << bit != 0);
                    [first].into_iter().chain(following.map(move |bit| first.wrapping_add(bit + 1)))
                })
                .collect(),
        },
        RtcpView::ExtendedReport(packet) | RtcpView::Other(packet) => panic!("type {} was not written", packet.kind),
    }
}

/// A packet as their writer writes it.
fn written_by_them(fields: &Fields) -> Vec<u8> {
    fn block(block: &Block) -> rtcp_types::ReportBlockBuilder {
        let &(ssrc, fraction, lost, highest, jitter, lsr, dlsr) = block;
        rtcp_types::ReportBlock::builder(ssrc)
            .fraction_lost(fraction)
            .cumulative_lost(lost.cast_unsigned() & 0xff_ffff)
            .extended_sequence_number(highest)
            .interarrival_jitter(jitter)
            .last_sender_report_timestamp(lsr)
            .delay_since_last_sender_report_timestamp(dlsr)
    }
    fn write(builder: &(impl RtcpPacketWriter + ?Sized)) -> Vec<u8> {
        let mut bytes = vec![0xee; builder.calculate_size().expect("the fields are within their ranges")];
        let len = builder.write_into_unchecked(&mut bytes);
        assert_eq!(len, bytes.len());
        bytes
    }
    match fields {
        &Fields::Sr { ssrc, ntp, timestamp, packets, octets, ref blocks } => {
            let builder = rtcp_types::SenderReport::builder(ssrc)
                .ntp_timestamp(ntp)
                .rtp_timestamp(timestamp)
                .packet_count(packets)
                .octet_count(octets);
            write(&blocks.iter().map(block).fold(builder, rtcp_types::SenderReportBuilder::add_report_block))
        }
        Fields::Rr { ssrc, blocks } => {
            let builder = rtcp_types::ReceiverReport::builder(*ssrc);
            write(&blocks.iter().map(block).fold(builder, rtcp_types::ReceiverReportBuilder::add_report_block))
        }
        Fields::Sdes { chunks } => {
            let mut builder = Sdes::builder();
            for (ssrc, items) in chunks {
                let mut chunk = rtcp_types::SdesChunk::builder(*ssrc);
                for (kind, text) in items {
                    chunk = chunk.add_item(rtcp_types::SdesItem::builder(*kind, text));
                }
                builder = builder.add_chunk(chunk);
            }
            write(&builder)
        }
        Fields::Bye { ssrcs, reason } => {
            let mut builder = rtcp_types::Bye::builder();
            for ssrc in ssrcs {
                builder = builder.add_source(*ssrc);
            }
            if let Some(reason) = reason {
                builder = builder.reason(reason.as_str());
            }
            write(&builder)
        }
        Fields::App { subtype, ssrc, name, data } => {
            write(&rtcp_types::App::builder(*ssrc, &text(name)).subtype(*subtype).data(data))
        }
        Fields::Nack { sender, media, sequences } => {
            let nack = sequences.iter().fold(Nack::builder(), |nack, sequence| nack.add_rtp_sequence(*sequence));
            write(&TransportFeedback::builder(&nack).sender_ssrc(*sender).media_ssrc(*media))
        }
        Fields::Pli { sender, media } => {
            write(&PayloadFeedback::builder(&Pli::builder()).sender_ssrc(*sender).media_ssrc(*media))
        }
    }
}

fn block() -> impl Strategy<Value = Block> {
    let lost = -0x80_0000..=0x7f_ffff_i32;
    (any::<u32>(), any::<u8>(), lost, any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>())
}

fn fields() -> impl Strategy<Value = Fields> {
    let blocks = || prop::collection::vec(block(), 0..32);
    let text = "[a-z@.]{0,40}";
    let items = prop::collection::vec((1_u8..8, text), 0..4);
    prop_oneof![
        (any::<(u32, u64, u32, u32, u32)>(), blocks()).prop_map(|((ssrc, ntp, timestamp, packets, octets), blocks)| {
            Fields::Sr { ssrc, ntp, timestamp, packets, octets, blocks }
        }),
        (any::<u32>(), blocks()).prop_map(|(ssrc, blocks)| Fields::Rr { ssrc, blocks }),
        prop::collection::vec((any::<u32>(), items), 0..5).prop_map(|chunks| Fields::Sdes { chunks }),
        (prop::collection::vec(any::<u32>(), 0..32), prop::option::of("[a-z ]{1,80}"))
            .prop_map(|(ssrcs, reason)| Fields::Bye { ssrcs, reason }),
        (0_u8..32, any::<u32>(), "[a-z]{4}", prop::collection::vec(any::<[u8; 4]>(), 0..8)).prop_map(
            |(subtype, ssrc, name, words)| {
                let name = name.into_bytes().try_into().expect("four letters were asked for");
                Fields::App { subtype, ssrc, name, data: words.concat() }
            }
        ),
        (any::<(u32, u32)>(), prop::collection::btree_set(any::<u16>(), 1..40)).prop_map(|((sender, media), set)| {
            Fields::Nack { sender, media, sequences: set.into_iter().collect() }
        }),
        any::<(u32, u32)>().prop_map(|(sender, media)| Fields::Pli { sender, media }),
    ]
}

proptest! {
    #[test]
    fn we_read_what_they_write(packets in prop::collection::vec(fields(), 1..5)) {
        let datagram: Vec<u8> = packets.iter().flat_map(written_by_them).collect();
        prop_assert_eq!(ours(&datagram), Ok(packets));
    }

    #[test]
    fn truncated_compounds_are_refused_between_packets(packets in prop::collection::vec(fields(), 1..4)) {
        let datagrams: Vec<_> = packets.iter().map(written_by_them).collect();
        let datagram = datagrams.concat();
        let ends: Vec<_> = datagrams.iter().scan(0, |at, bytes| { *at += bytes.len(); Some(*at) }).collect();
        for len in 0..datagram.len() {
            prop_assert_eq!(Compound::parse(&datagram[..len]).is_ok(), ends.contains(&len));
        }
    }

    #[test]
    fn padding_is_not_seen(packets in prop::collection::vec(fields(), 1..4), words in 1_u8..64) {
        let mut datagrams: Vec<_> = packets.iter().map(written_by_them).collect();
        let last = datagrams.last_mut().expect("there is at least one");
        last.resize(last.len() + 4 * usize::from(words), 0);
        *last.last_mut().expect("padding was added") = 4 * words;
        last[0] |= 0x20;
        let length = u16::try_from(last.len() / 4 - 1).expect("packets are small");
        last[2..4].copy_from_slice(&length.to_be_bytes());
        prop_assert_eq!(ours(&datagrams.concat()), Ok(packets));
    }

    #[test]
    fn they_read_what_we_write(
        ssrc: u32,
        info: (u64, u32, u32, u32),
        blocks in prop::collection::vec(block(), 0..32),
        cname in "[a-z@.]{0,255}",
        reason in prop::option::of("[a-z ]{1,255}"),
    ) {
        let (ntp, timestamp, packets, octets) = info;
        let rtp_timestamp = RtpTimestamp(timestamp);
        let info = SenderInfo { ntp: NtpTime(ntp), rtp_timestamp, packet_count: packets, octet_count: octets };
        let mut buffer = [0xee; 4096];
        let mut writer = CompoundWriter::new(&mut buffer);
        writer.sender_report(Ssrc(ssrc), &info, blocks.iter().map(block_of))?;
        writer.receiver_report(Ssrc(ssrc), blocks.iter().map(block_of))?;
        writer.source_description(Ssrc(ssrc), &cname)?;
        writer.bye(Ssrc(ssrc), reason.as_deref())?;
        let len = writer.finish();

        let compound: Vec<_> =
            rtcp_types::Compound::parse(&buffer[..len]).expect("they take it").map(|p| p.expect("all of it")).collect();
        let [Packet::Sr(sr), Packet::Rr(rr), Packet::Sdes(sdes), Packet::Bye(bye)] = compound.as_slice() else {
            panic!("they read other packets: {compound:?}");
        };
        prop_assert_eq!((sr.ssrc(), sr.ntp_timestamp(), sr.rtp_timestamp()), (ssrc, ntp, timestamp));
        prop_assert_eq!((sr.packet_count(), sr.octet_count()), (packets, octets));
        prop_assert_eq!(&sr.report_blocks().map(|block| their_block(&block)).collect::<Vec<_>>(), &blocks);
        prop_assert_eq!(rr.ssrc(), ssrc);
        prop_assert_eq!(&rr.report_blocks().map(|block| their_block(&block)).collect::<Vec<_>>(), &blocks);
        let chunks: Vec<_> = sdes.chunks().collect();
        prop_assert_eq!((chunks.len(), chunks[0].ssrc()), (1, ssrc));
        let items: Vec<_> = chunks[0].items().map(|item| (item.type_(), text(item.value()))).collect();
        prop_assert_eq!(items, [(1, cname)]);
        prop_assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [ssrc]);
        prop_assert_eq!(bye.reason().map(text), reason);
    }

    #[test]
    fn random_bytes_never_panic(
        head in prop::collection::vec((0x80_u8..0xc0, 198_u8..209, 0_u16..12), 1..4),
        filler in prop::collection::vec(any::<u8>(), 48),
        cut in 0_usize..4,
    ) {
        let mut datagram = vec![];
        for (first, kind, words) in head {
            datagram.extend([first, kind]);
            datagram.extend(words.to_be_bytes());
            datagram.extend(&filler[..4 * usize::from(words)]);
        }
        datagram.truncate(datagram.len() - cut);
        for packet in Compound::parse(&datagram).iter().flat_map(Compound::packets) {
            if let Ok(RtcpView::SourceDescription(description)) = packet.view() {
                prop_assert_eq!(description.chunks().count(), usize::from(packet.count));
            }
        }
    }
}
