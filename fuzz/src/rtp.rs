//! What must hold of any bytes on a media port.

use patchcord_rtp::{
    Arrival, Compound, CompoundWriter, NtpTime, PayloadType, Protocol, RTP_HEADER_LEN, ReceiverState, RtcpView,
    RtpHeader, RtpPacket, RtpTimestamp, SenderState, SequenceNumber, Ssrc, TelephoneEvent, classify,
};

/// A datagram as RTP: its parts lie one behind the other and fill it, and rewriting keeps all but five fields.
pub fn rtp(datagram: &[u8]) {
    let read = RtpHeader::read(datagram);
    let parsed = RtpPacket::parse(datagram);
    assert_eq!(read.err(), parsed.as_ref().err().copied(), "both refuse the same packets");
    let (Ok(header), Ok(packet)) = (read, parsed) else { return };
    assert_eq!(RtpHeader::read_srtp(datagram), Ok(header), "what is valid in the clear is valid with less checked");
    assert_eq!(*packet.header(), header);

    let csrcs_len = 4 * packet.csrcs().count();
    let extension_len = packet.extension().map_or(0, |extension| 4 + extension.data.len());
    let payload_at = RTP_HEADER_LEN + csrcs_len + extension_len;
    assert_eq!(payload_at + packet.payload().len() + packet.padding_len(), datagram.len());
    assert_eq!(packet.payload().as_ptr(), datagram[payload_at..].as_ptr());
    let elements: usize = packet.extension_elements().map(|element| 1 + element.data.len()).sum();
    assert!(elements <= extension_len, "elements lie within the extension");
    assert!(packet.extension_elements().all(|element| element.id != 0));

    let mut copy = datagram.to_vec();
    header.rewrite(&mut copy);
    assert_eq!(copy, datagram, "the packet's own header changes nothing");
    let other = RtpHeader {
        marker: !header.marker,
        payload_type: PayloadType::new(!header.payload_type.get() & 0x7f).expect("7 bits are left"),
        sequence: SequenceNumber(!header.sequence.0),
        timestamp: RtpTimestamp(!header.timestamp.0),
        ssrc: Ssrc(!header.ssrc.0),
    };
    other.rewrite(&mut copy);
    assert_eq!(RtpHeader::read(&copy), Ok(other));
    assert_eq!((copy[0], &copy[RTP_HEADER_LEN..]), (datagram[0], &datagram[RTP_HEADER_LEN..]));

    let mut built = [0; RTP_HEADER_LEN];
    assert_eq!(header.build(&mut built), RTP_HEADER_LEN);
    assert_eq!(RtpHeader::read(&built), Ok(header));

    if let Some(event) = TelephoneEvent::read(packet.payload()) {
        let mut bytes = [0; TelephoneEvent::LEN];
        event.write(&mut bytes);
        assert_eq!(TelephoneEvent::read(&bytes), Some(event));
    }
}

/// A datagram as RTCP: its packets fill it, what was parsed once is all there, and the writer writes what was read.
pub fn rtcp(datagram: &[u8]) {
    let Ok(compound) = Compound::parse(datagram) else { return };
    let packets = compound.packets().flat_map(|packet| packet.as_bytes());
    assert!(packets.eq(datagram), "the packets are the datagram");

    let mut buffer = vec![0; datagram.len() + 1024];
    let mut writer = CompoundWriter::new(&mut buffer);
    for packet in compound.packets() {
        writer.raw(packet.as_bytes()).expect("there is room for all");
        assert!(packet.body.len() + 4 <= packet.as_bytes().len());
        if let Ok(view) = packet.view() {
            rtcp_view(&view, packet.count);
        }
    }
    let len = writer.finish();
    let copy = Compound::parse(&buffer[..len]).expect("copies of packets are packets");
    let fields = |compound: &Compound<'_>| -> Vec<_> {
        compound.packets().map(|packet| (packet.kind, packet.count, packet.body.to_vec())).collect()
    };
    assert_eq!(fields(&copy), fields(&compound));
}

fn rtcp_view(view: &RtcpView<'_>, count: u8) {
    let count = usize::from(count);
    let mut buffer = [0; 1024];
    let mut writer = CompoundWriter::new(&mut buffer);
    match view {
        RtcpView::SenderReport(report) => {
            assert_eq!(report.report_blocks().count(), count);
            writer.sender_report(report.ssrc, &report.info, report.report_blocks()).expect("1024 bytes hold 31 blocks");
        }
        RtcpView::ReceiverReport(report) => {
            assert_eq!(report.report_blocks().count(), count);
            writer.receiver_report(report.ssrc, report.report_blocks()).expect("1024 bytes hold 31 blocks");
        }
        RtcpView::SourceDescription(description) => {
            assert_eq!(description.chunks().count(), count, "chunks that were checked are all there");
            for chunk in description.chunks() {
                assert!(chunk.items().all(|item| item.kind != 0));
            }
            let Some((ssrc, cname)) = description.cname() else { return };
            writer.source_description(ssrc, cname).expect("what came in an item fits one");
        }
        RtcpView::Bye(bye) => {
            assert_eq!(bye.ssrcs().count(), count);
            let (Some(ssrc), Some(Ok(reason))) = (bye.ssrcs().next(), bye.reason().map(str::from_utf8)) else { return };
            writer.bye(ssrc, Some(reason)).expect("what came in a BYE fits one");
        }
        RtcpView::Feedback(feedback) => {
            assert!(feedback.nacks().count() <= feedback.fci.len() / 4);
            // More than the buffer holds is refused, not cut.
            let fci = &feedback.fci[..feedback.fci.len().min(512)];
            writer
                .feedback(feedback.kind, feedback.format, feedback.sender, feedback.media, fci)
                .expect("512 bytes fit");
        }
        RtcpView::App(_) | RtcpView::ExtendedReport(_) | RtcpView::Other(_) => return,
    }
    let len = writer.finish();
    let written = Compound::parse(&buffer[..len]).expect("what the writer wrote is RTCP");
    let again = written.packets().next().expect("there is at least one").view().expect("and of its type");
    match (view, again) {
        (RtcpView::SenderReport(a), RtcpView::SenderReport(b)) => {
            assert_eq!((a.ssrc, a.info), (b.ssrc, b.info));
            assert!(a.report_blocks().eq(b.report_blocks()));
        }
        (RtcpView::ReceiverReport(a), RtcpView::ReceiverReport(b)) => {
            assert_eq!(a.ssrc, b.ssrc);
            assert!(a.report_blocks().eq(b.report_blocks()));
        }
        (RtcpView::SourceDescription(a), RtcpView::SourceDescription(b)) => assert_eq!(a.cname(), b.cname()),
        (RtcpView::Bye(a), RtcpView::Bye(b)) => {
            assert_eq!((a.ssrcs().next(), a.reason()), (b.ssrcs().next(), b.reason()));
        }

        (RtcpView::Feedback(a), RtcpView::Feedback(b)) => {
            assert_eq!((a.kind, a.format, a.sender, a.media), (b.kind, b.format, b.sender, b.media));
        }
        (a, b) => panic!("{a:?} was read back as {b:?}"),
    }
}

/// A datagram on a media port: what the first bytes say agrees with what the parsers take.
pub fn demux(datagram: &[u8]) {
    let protocol = classify(datagram);
    let is_media = matches!(protocol, Protocol::Rtp | Protocol::Rtcp);
    assert_eq!(is_media, datagram.len() >= 2 && datagram[0] >> 6 == 2);
    assert!(is_media || RtpHeader::read(datagram).is_err());
    assert!(is_media || Compound::parse(datagram).is_err());
    match protocol {
        Protocol::Rtp => rtp(datagram),
        Protocol::Rtcp => {
            rtcp(datagram);
            // On a port of its own RTP may have any second byte.
            rtp(datagram);
        }
        _ => {}
    }
}

/// Eight bytes a packet, after the clock rate: whatever arrives in whatever order counts once, and reports can be made.
pub fn receiver(script: &[u8]) {
    let Some((clock_rate, script)) = script.split_first_chunk() else { return };
    let clock_rate = u32::from_be_bytes(*clock_rate);
    let mut receiver = ReceiverState::new(clock_rate);
    let mut sender = SenderState::new(clock_rate);
    let (mut now_ns, mut timestamp) = (0_u64, RtpTimestamp(0));
    let (mut packets, mut reordered, mut duplicates) = (0, 0, 0);
    for step in script.chunks_exact(8) {
        let [ssrc, clock, s0, s1, t0, t1, a0, a1] = *step else { unreachable!("steps have 8 bytes") };
        // Steps of both clocks: small, or up to whole ranges by the exponents in `clock`.
        timestamp = timestamp.wrapping_add(u32::from(u16::from_be_bytes([t0, t1])) << (clock & 15));
        now_ns = now_ns.wrapping_add(u64::from(u16::from_be_bytes([a0, a1])) << (2 * (clock >> 4)));
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(u16::from_be_bytes([s0, s1])),
            timestamp,
            ssrc: Ssrc(u32::from(ssrc & 1)),
        };
        let before = (receiver.ssrc(), receiver.extended_highest());
        let arrival = receiver.observe(&header, now_ns);
        packets += 1;
        assert_eq!(receiver.ssrc(), Some(header.ssrc));
        let highest = receiver.extended_highest();
        match arrival {
            Arrival::FirstOfSource => assert_ne!(before.0, Some(header.ssrc)),
            Arrival::InOrder => assert_eq!(highest, before.1.wrapping_add(1)),
            Arrival::Gap(missing) => assert_eq!(highest, before.1.wrapping_add(u32::from(missing) + 1)),
            Arrival::Reordered => reordered += 1,
            Arrival::Duplicate => duplicates += 1,
            Arrival::Restarted => assert_eq!(highest, u32::from(header.sequence.0)),
        }
        if matches!(arrival, Arrival::Reordered | Arrival::Duplicate) {
            assert_eq!(highest, before.1);
        } else {
            assert_eq!(highest as u16, header.sequence.0);
        }
        assert_eq!((receiver.packets(), receiver.reordered(), receiver.duplicates()), (packets, reordered, duplicates));
        assert!(receiver.jitter_ms().is_finite());
        sender.sent(&header, step.len(), now_ns);

        if ssrc & 2 != 0 {
            let block = receiver.report_block(None, now_ns).expect("a packet was received");
            assert_eq!((block.ssrc, block.extended_highest_sequence), (header.ssrc, highest));
            let info = sender.report(now_ns, NtpTime(now_ns)).expect("a packet was sent");
            assert_eq!(u64::from(info.packet_count), packets);
        }
        if ssrc & 4 != 0 {
            let clock_rate = u32::from_be_bytes([s0, s1, t0, t1]);
            receiver.set_clock_rate(clock_rate, now_ns);
            sender.set_clock_rate(clock_rate, now_ns);
        }
    }
}
