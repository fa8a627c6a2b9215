//! RTCP compounds of parties.

use patchcord_rtp::{
    Compound, CompoundWriter, FeedbackKind, Nack, NtpTime, ReportBlock, RtcpView, RtpTimestamp, SenderInfo,
    SequenceNumber, Ssrc,
};

use super::wire::{Payload, Stream};

pub(crate) fn write(fill: impl FnOnce(&mut CompoundWriter<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; 1400];
    let mut writer = CompoundWriter::new(&mut buffer);
    fill(&mut writer);
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

pub(crate) fn parse(bytes: &[u8]) -> Compound<'_> {
    Compound::parse(bytes).expect("the relay sends well-formed RTCP")
}

/// A sender report on what `stream` has sent so far, and a CNAME unless that is empty. The NTP time is `ntp` seconds.
pub(crate) fn sender_report(stream: &Stream, ntp: u64, packets: u32, cname: &[u8]) -> Vec<u8> {
    sender_report_with(stream, ntp, packets, cname, &[])
}

pub(crate) fn sender_report_with(
    stream: &Stream,
    ntp: u64,
    packet_count: u32,
    cname: &[u8],
    blocks: &[ReportBlock],
) -> Vec<u8> {
    let info = SenderInfo {
        ntp: NtpTime(ntp << 32),
        rtp_timestamp: RtpTimestamp(stream.timestamp),
        packet_count,
        octet_count: packet_count * Payload::LEN as u32,
    };
    write(|writer| {
        writer.sender_report(Ssrc(stream.ssrc), &info, blocks.iter().copied()).expect("there is room");
        if !cname.is_empty() {
            writer.source_description(Ssrc(stream.ssrc), cname).expect("there is room");
        }
    })
}

pub(crate) fn receiver_report(reporter: u32, cname: &[u8], blocks: &[ReportBlock]) -> Vec<u8> {
    write(|writer| {
        writer.receiver_report(Ssrc(reporter), blocks.iter().copied()).expect("there is room");
        if !cname.is_empty() {
            writer.source_description(Ssrc(reporter), cname).expect("there is room");
        }
    })
}

pub(crate) fn bye(ssrc: u32) -> Vec<u8> {
    write(|writer| writer.bye(Ssrc(ssrc), None).expect("there is room"))
}

/// A generic NACK (RFC 4585 6.2.1), behind an empty report as a compound has to begin.
pub(crate) fn nack(reporter: u32, media: u32, packets: &[(u16, u16)]) -> Vec<u8> {
    let nack = |&(id, following): &(u16, u16)| Nack { packet_id: SequenceNumber(id), following }.write();
    let fci: Vec<u8> = packets.iter().flat_map(nack).collect();
    write(|writer| {
        writer.receiver_report(Ssrc(reporter), []).expect("there is room");
        writer.feedback(FeedbackKind::Transport, 1, Ssrc(reporter), Ssrc(media), &fci).expect("there is room");
    })
}

pub(crate) const fn block(ssrc: u32, extended_highest_sequence: u32) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(ssrc),
        fraction_lost: 12,
        cumulative_lost: 34,
        extended_highest_sequence,
        jitter: 56,
        last_sr: 0,
        delay_since_last_sr: 0,
    }
}

/// SSRC and information of the sender report that a compound begins with.
pub(crate) fn sender_report_in(bytes: &[u8]) -> (Ssrc, SenderInfo) {
    let first = parse(bytes).packets().next().expect("a compound has a packet").view();
    let Ok(RtcpView::SenderReport(report)) = first else { panic!("{first:?} is no sender report") };
    (report.ssrc, report.info)
}

/// The report blocks in a compound.
pub(crate) fn blocks_in(bytes: &[u8]) -> Vec<ReportBlock> {
    let mut blocks = Vec::new();
    for packet in parse(bytes).packets() {
        match packet.view() {
            Ok(RtcpView::SenderReport(report)) => blocks.extend(report.report_blocks()),
            Ok(RtcpView::ReceiverReport(report)) => blocks.extend(report.report_blocks()),
            _ => {}
        }
    }
    blocks
}

/// Whose CNAME a compound says, and what it is.
pub(crate) fn cname_in(bytes: &[u8]) -> Option<(Ssrc, Vec<u8>)> {
    parse(bytes).packets().find_map(|packet| match packet.view() {
        Ok(RtcpView::SourceDescription(description)) => description.cname().map(|(ssrc, cname)| (ssrc, cname.to_vec())),
        _ => None,
    })
}

/// Sources that a compound says good-bye for.
pub(crate) fn byes_in(bytes: &[u8]) -> Vec<Ssrc> {
    let byes = parse(bytes).packets().filter_map(|packet| match packet.view() {
        Ok(RtcpView::Bye(bye)) => Some(bye.ssrcs().collect::<Vec<_>>()),
        _ => None,
    });
    byes.flatten().collect()
}
