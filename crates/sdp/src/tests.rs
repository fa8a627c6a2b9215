use super::*;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nb=AS:84\r\nt=0 0\r\na=foo:bar\r\na=sendonly\r\n\
    m=audio 4000 RTP/AVP 0 96 101\r\na=ssrc:1 cname:x\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtpmap:96 opus/48000/2\r\n\
    a=rtcp-fb:96 nack\r\na=bar\r\na=ptime:20\r\na=mid:0\r\nm=video 0 RTP/AVP 34\r\ni=info\r\nc=IN IP4 192.0.2.9\r\na=mid:1\r\na=rtpmap:34 H263/90000\r\na=baz\r\n\
    m=image 6000 udptl t38\r\nc=IN IP6 2001:db8::1\r\na=T38FaxVersion:0\r\n";

fn relay(port: u16) -> Relay {
    Relay {
        address: Some([198, 51, 100, 7].into()),
        port,
        protocol: None,
        formats_without: Vec::new(),
        formats: None,
        mid: None,
        direction: Some(Direction::SendOnly),
        rtcp: Some(RtcpAttribute { port: port + 1, address: None }),
        rtcp_mux: true,
        ptime_ms: Some(20),
        without_maxptime: false,
        keys: None,
        ice: Ice::Remove,
    }
}

fn parse(text: &str) -> Sdp {
    Sdp::parse(text.as_bytes()).expect(text)
}

#[test]
fn what_a_relay_needs_is_found() {
    let sdp = parse(OFFER);
    let [audio, video, image] = sdp.media() else { panic!("three sections") };
    assert_eq!((audio.port, audio.protocol.as_str(), audio.direction), (4000, "RTP/AVP", Direction::SendOnly));
    assert_eq!(audio.address, Some([192, 0, 2, 1].into()));
    let codecs: Vec<_> =
        audio.codecs.iter().map(|codec| (codec.payload_type, codec.encoding.as_str(), codec.channels)).collect();
    assert_eq!(codecs, [(0, "PCMU", 1), (96, "opus", 2), (101, "telephone-event", 1)]);
    assert_eq!((audio.ptime_ms, audio.mid.as_deref(), audio.rtcp_mux), (Some(20), Some("0"), false));
    assert_eq!((video.port, video.own_address), (0, Some([192, 0, 2, 9].into())));
    assert!(!image.is_rtp() && image.codecs.is_empty());
}

#[test]
fn managed_lines_move_to_the_end_and_all_others_stay() {
    let sdp = parse(OFFER);
    let disabled = MediaEdit::Disable { address: Some([198, 51, 100, 7].into()) };
    let image = Relay { rtcp: None, rtcp_mux: false, ptime_ms: None, ..relay(30_004) };
    let media = vec![MediaEdit::Relay(Box::new(relay(30_000))), disabled, MediaEdit::Relay(Box::new(image))];
    let edit = Edit { origin: Some([198, 51, 100, 7].into()), media, ..Edit::default() };
    let expected = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=x\r\nc=IN IP4 198.51.100.7\r\nb=AS:84\r\nt=0 0\r\na=foo:bar\r\n\
        m=audio 30000 RTP/AVP 0 96 101\r\na=ssrc:1 cname:x\r\na=bar\r\na=mid:0\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 opus/48000/2\r\n\
        a=rtcp-fb:96 nack\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendonly\r\na=rtcp:30001\r\na=rtcp-mux\r\n\
        a=ptime:20\r\nm=video 0 RTP/AVP 34\r\ni=info\r\nc=IN IP4 198.51.100.7\r\na=baz\r\na=mid:1\r\nm=image 30004 udptl t38\r\nc=IN IP4 198.51.100.7\r\n\
        a=T38FaxVersion:0\r\na=sendonly\r\n";
    assert_eq!(sdp.rewrite(&edit), expected);
}

#[test]
fn formats_are_listed_anew_and_what_stays_keeps_its_lines() {
    let sdp = parse(OFFER);
    let own = |payload_type, encoding: &str, fmtp: Option<&str>| {
        let fmtp = fmtp.map(str::to_owned);
        Format::Own(Codec { payload_type, encoding: encoding.to_owned(), clock_rate: 48_000, channels: 2, fmtp })
    };
    let formats = vec![
        Format::Kept("101".into()),
        own(97, "opus", Some("cbr=1")),
        Format::Kept("0".into()),
        own(96, "x", None),
        Format::Kept("0".into()),
    ];
    let relay = Relay { formats: Some(formats), rtcp: None, rtcp_mux: false, ptime_ms: None, ..relay(30_000) };
    let out = sdp.rewrite(&Edit { media: vec![MediaEdit::Relay(Box::new(relay))], ..Edit::default() });
    let section = out.split("m=video").next().and_then(|text| text.split("m=audio").nth(1)).expect("a section");
    assert_eq!(
        section,
        " 30000 RTP/AVP 101 97 0 96 0\r\na=ssrc:1 cname:x\r\na=bar\r\na=mid:0\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=rtpmap:97 opus/48000/2\r\na=fmtp:97 cbr=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:96 x/48000/2\r\na=sendonly\r\n",
        "what is said of opus under 96 goes with it, and a number that comes again is described once"
    );
}

#[test]
fn parameters_of_formats_are_found() {
    let sdp = parse(
        "v=0\r\nm=audio 4000 RTP/AVP 0 96 96 97\r\na=fmtp:96 cbr=1; x=2 \r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 later=1\r\n\
         a=fmtp:97\r\na=fmtp:0 y\r\n",
    );
    let codecs: Vec<_> =
        sdp.media()[0].codecs.iter().map(|codec| (codec.payload_type, codec.fmtp.as_deref())).collect();
    assert_eq!(codecs, [(0, Some("y")), (96, Some("cbr=1; x=2"))]);
    let number = |encoding, rate, channels| Codec::static_payload_type(encoding, rate, channels);
    assert_eq!(
        [number("pcmu", 8000, 1), number("L16", 44_100, 1), number("L16", 44_100, 2)],
        [Some(0), Some(11), Some(10)]
    );
    assert_eq!(number("opus", 48_000, 2), None);
}

#[test]
fn sections_on_other_addresses_than_the_session_s_say_so() {
    let sdp = parse(
        "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 0\r\nm=audio 4000 RTP/AVP 0\r\nm=image 4002 udptl t38\r\ni=fax\r\na=x\r\n\
         m=image 4004 udptl t38\r\nm=image 4006 udptl t38\r\nc=IN IP4 192.0.2.1\r\n",
    );
    let at = |port, address: &str| {
        let address = Some(address.parse().expect("an address"));
        MediaEdit::Relay(Box::new(Relay { address, rtcp: None, direction: None, ..relay(port) }))
    };
    let disabled = MediaEdit::Disable { address: Some([203, 0, 113, 1].into()) };
    let here = "198.51.100.7";
    let media =
        vec![disabled, at(30_000, here), at(30_002, "2001:db8::7"), at(30_004, "198.51.100.8"), at(30_006, here)];
    let expected = "v=0\r\nc=IN IP4 198.51.100.7\r\nm=audio 0 RTP/AVP 0\r\nm=audio 30000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtcp-mux\r\na=ptime:20\r\nm=image 30002 udptl t38\r\ni=fax\r\nc=IN IP6 2001:db8::7\r\na=x\r\na=rtcp-mux\r\na=ptime:20\r\n\
        m=image 30004 udptl t38\r\nc=IN IP4 198.51.100.8\r\na=rtcp-mux\r\na=ptime:20\r\nm=image 30006 udptl t38\r\n\
        c=IN IP4 198.51.100.7\r\na=rtcp-mux\r\na=ptime:20\r\n";
    assert_eq!(sdp.rewrite(&Edit { media, ..Edit::default() }), expected);
}

#[test]
fn a_zero_address_of_the_session_stays_for_the_section_that_is_in_use() {
    let sdp = parse("v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 0 RTP/AVP 0\r\nm=image 4002 udptl t38\r\n");
    let disabled = MediaEdit::Disable { address: Some([198, 51, 100, 7].into()) };
    let held = Relay { address: None, rtcp: None, rtcp_mux: false, ptime_ms: None, direction: None, ..relay(30_002) };
    let media = vec![disabled, MediaEdit::Relay(Box::new(held))];
    let expected = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 0 RTP/AVP 0\r\nm=image 30002 udptl t38\r\n";
    assert_eq!(sdp.rewrite(&Edit { media, ..Edit::default() }), expected);
}

#[test]
fn an_edit_of_nothing_changes_nothing() {
    for text in [OFFER.to_owned(), OFFER.replace("\r\n", "\n"), "v=0\n\n\nx=?\nm=audio 1 RTP/AVP 0\n\n".to_owned()] {
        let sdp = parse(&text);
        assert_eq!(sdp.as_str(), text);
        assert_eq!(sdp.rewrite(&Edit::default()), text);
    }
}

#[test]
fn what_is_malformed_or_unmanaged_stays_where_it_is() {
    let sdp =
        parse("v=0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:xx\r\na=crypto:foo\r\na=fmtp:x\r\na=rtcp:x\r\na=inactive\r\n");
    assert_eq!(sdp.media()[0].rtcp, None);
    let relay = Relay { address: None, rtcp: None, rtcp_mux: false, ptime_ms: None, direction: None, ..relay(30_000) };
    let out = sdp.rewrite(&Edit { media: vec![MediaEdit::Relay(Box::new(relay))], ..Edit::default() });
    let expected = "v=0\r\nm=audio 30000 RTP/AVP 0\r\na=rtpmap:xx\r\na=crypto:foo\r\na=fmtp:x\r\na=inactive\r\na=rtpmap:0 PCMU/8000\r\n";
    assert_eq!(out, expected, "and a=rtcp, which nobody can use, goes");
}

#[test]
fn line_ends_are_those_of_the_description() {
    let sdp = parse("v=0\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0");
    let out = sdp.rewrite(&Edit { media: vec![MediaEdit::Relay(Box::new(relay(30_000)))], ..Edit::default() });
    assert!(!out.contains('\r') && out.ends_with("a=ptime:20\n"), "{out}");
}

#[test]
fn ice_is_removed_kept_or_our_own() {
    let text = "v=0\r\na=ice-lite\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=ice-ufrag:abcd\r\na=ice-pwd:x\r\n\
        a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n";
    let sdp = parse(text);
    assert_eq!(sdp.media()[0].candidates.len(), 1);
    let with = |ice| {
        let relay = Relay { rtcp: None, rtcp_mux: false, ptime_ms: None, direction: None, ice, ..relay(30_000) };
        sdp.rewrite(&Edit { media: vec![MediaEdit::Relay(Box::new(relay))], ..Edit::default() })
    };
    assert_eq!(
        with(Ice::Remove),
        "v=0\r\nm=audio 30000 RTP/AVP 0\r\nc=IN IP4 198.51.100.7\r\na=rtpmap:0 PCMU/8000\r\n"
    );
    assert!(with(Ice::Keep).contains("a=ice-lite") && with(Ice::Keep).contains("a=candidate:1 1 UDP"));
    let candidate = Candidate::read("2 1 UDP 7 198.51.100.7 30000 typ host").expect("a candidate");
    let own = with(Ice::Own {
        ufrag: "u".into(),
        pwd: "p".into(),
        trickle: true,
        candidates: vec![candidate],
        end_of_candidates: true,
    });
    assert!(own.ends_with(
        "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=ice-options:trickle\r\na=candidate:2 1 UDP 7 198.51.100.7 30000 typ host\r\na=end-of-candidates\r\n"
    ));
    assert!(!own.contains("ice-lite") && !own.contains("abcd"));
}

#[test]
fn what_is_wrong_is_said() {
    let long = format!("v=0\r\n{}", "a=x\r\n".repeat(20_000));
    let lines = format!("v=0\r\n{}", "a=x\n".repeat(LINES_MAX));
    let media = "m=audio 1 RTP/AVP 0\r\n".repeat(1000);
    for (text, part) in [
        ("garbage", "line 1 is not of the form"),
        ("v=0\r\nm=audio\r\n", "line 2 is no valid m="),
        ("m=audio x RTP/AVP 0", "m="),
        ("m=audio -1 RTP/AVP 0", "m="),
        ("m=audio 70000 RTP/AVP 0", "m="),
        ("c=IN IP4 nowhere", "c="),
        ("c=IN IP4 ::1", "c="),
        ("c=IN IP4", "c="),
        (&long, "bytes"),
        (&lines, "lines"),
        (&media, "m= lines"),
    ] {
        let error = Sdp::parse(text.as_bytes()).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(Sdp::parse(b"v=0\r\ns=\xff").expect_err("no UTF-8"), SdpError::NotText { at: 7 });
}

#[test]
fn the_greatest_packet_time_goes_where_it_is_another_sides() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
        a=ptime:20\r\na=maxptime:30\r\n";
    let sdp = Sdp::parse(text.as_bytes()).expect("it can be read");
    assert_eq!((sdp.media()[0].ptime_ms, sdp.media()[0].maxptime_ms), (Some(20), Some(30)));
    for without_maxptime in [false, true] {
        let relay = Relay { ptime_ms: Some(40), without_maxptime, ..relay(30_000) };
        let edit = Edit { media: vec![MediaEdit::Relay(Box::new(relay))], ..Edit::default() };
        let written = sdp.rewrite(&edit);
        assert!(written.contains("a=ptime:40\r\n") && !written.contains("a=ptime:20"), "{written}");
        assert_eq!(written.contains("a=maxptime:30\r\n"), !without_maxptime, "{written}");
    }
}
