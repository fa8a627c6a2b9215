//! The same wish in every spelling.

use proptest::prelude::*;

use super::*;

fn of(entries: &[(&str, Value)]) -> Options {
    Options::read(&Dict(entries.iter().map(|(key, value)| (key.as_bytes().to_vec().into(), value.clone())).collect()))
}

/// From the string, or from the same words as a list of flags.
fn string(text: &str) -> Options {
    let options = of(&[("rtpp-flags", Value::from(text))]);
    if !text.contains('[') {
        assert_eq!(of(&[("flags", Value::from(text.split(' ').collect::<Vec<_>>()))]), options, "{text}");
    }
    options
}

fn strings(strings: &[&str]) -> Vec<String> {
    strings.iter().map(|&string| string.to_owned()).collect()
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[test]
fn the_same_wish_has_many_spellings() {
    for entries in [
        &[("ICE", Value::from("remove"))][..],
        &[("ice", Value::from("REMOVE"))],
        &[("flags", Value::from(vec!["ICE=remove"]))],
        &[("flags", Value::from(vec!["ICE-remove"]))],
        &[("flags", Value::from("ICE-remove"))],
        &[("rtpp_flags", Value::from("ICE=remove"))],
        &[("rtpp-flags", Value::from("ICE=[remove]"))],
    ] {
        assert_eq!(of(entries), Options { ice: Some(Ice::Remove), ..Options::default() }, "{entries:?}");
    }
    for entries in [
        &[("replace", Value::from(vec!["origin", "session connection"]))][..],
        &[("flags", Value::from(vec!["replace-origin", "replace_session_connection"]))],
        &[("rtpp-flags", Value::from("replace-origin replace-session-connection"))],
        &[("rtpp-flags", Value::from("replace=[origin session-connection]"))],
        &[("rtpp-flags", Value::from("replace=origin replace=session-connection"))],
    ] {
        let replace = Replace { origin: true, session_connection: true, ..Replace::default() };
        assert_eq!(of(entries), Options { replace, ..Options::default() }, "{entries:?}");
    }
}

#[test]
fn a_proxys_string_is_taken_apart() {
    let options = of(&[(
        "rtpp-flags",
        Value::from(
            "RTP/AVP trust-address symmetric direction=external direction=internal rtcp-mux=[demux accept] \
             received-from=192.0.2.7 via-branch=z9hG4bK1 codec-strip-G729 delete-delay=0 address-family=IP6 nonsense TOS=184",
        ),
    )]);
    assert_eq!(options.transport_protocol.as_deref(), Some("RTP/AVP"));
    assert!(options.flags.trust_address && options.flags.symmetric);
    assert_eq!(options.direction, ["external", "internal"]);
    assert_eq!(options.rtcp_mux, RtcpMux { demux: true, accept: true, ..RtcpMux::default() });
    assert_eq!(options.received_from, ip("192.0.2.7"));
    assert_eq!(options.via_branch.as_deref(), Some("z9hG4bK1"));
    assert_eq!(options.codec.strip, ["G729"]);
    assert_eq!((options.delete_delay_s, options.tos), (Some(0), Tos::Set(184)));
    assert_eq!(options.address_family, Some(AddressFamily::Ip6));
    assert_eq!(options.unknown, ["nonsense"]);
}

#[test]
fn a_real_request_of_kamailio_is_read_without_a_rest() {
    let options = of(&[
        ("supports", Value::from(vec!["load limit"])),
        ("sdp", Value::from("v=0\r\n")),
        ("ICE", Value::from("remove")),
        ("flags", Value::from(vec!["trust-address", "SIP-source-address", "loop-protect"])),
        ("replace", Value::from(vec!["origin", "session-connection"])),
        ("transport-protocol", Value::from("RTP/AVP")),
        ("call-id", Value::from("1-5025@192.0.2.126")),
        ("via-branch", Value::from("z9hG4bK-5025-1-00")),
        ("received-from", Value::from(vec!["IP4", "192.0.2.126"])),
        ("from-tag", Value::from("5025SIPpTag001")),
        ("command", Value::from("offer")),
        ("sip-message-type", Value::from("sip_request")),
    ]);
    assert_eq!((options.unknown.len(), options.ignored.len()), (0, 0), "{options:?}");
    assert_eq!(options.supports, ["load-limit"]);
    assert_eq!(options.sip_message, Some(SipMessage::Request));
    assert_eq!(options.received_from, ip("192.0.2.126"));
}

#[test]
fn keys_of_the_dictionary_go_before_the_string() {
    let options = of(&[
        ("via-branch", Value::from("z9hG4bK-1")),
        ("direction", Value::from(vec!["a", "b"])),
        (
            "rtpp-flags",
            Value::from("via-branch=x from-tag=x direction=c direction=d ICE=force to-tag via-branch=auto-next"),
        ),
        ("from-tag", Value::from("tag")),
        ("ICE", Value::from("remove")),
        // Of two that are the same the first one counts.
        ("from_tag", Value::from("another")),
    ]);
    let expected = Options {
        via_branch: Some("z9hG4bK-1".to_owned()),
        from_tag: Some("tag".to_owned()),
        direction: strings(&["a", "b"]),
        ice: Some(Ice::Remove),
        ..Options::default()
    };
    assert_eq!(options, expected);
    assert_eq!(string("via-branch=auto via-branch=extra via-branch=1"), Options::default(), "for the proxy's module");
}

#[test]
fn parts_of_a_transport_protocol_are_put_together() {
    for (text, protocol) in [
        ("RTP", "RTP/AVP"),
        ("SRTP", "RTP/SAVP"),
        ("AVPF", "RTP/AVPF"),
        ("SRTP AVPF", "RTP/SAVPF"),
        ("AVPF SRTP", "RTP/SAVPF"),
        ("RTP/SAVPF AVP", "RTP/SAVP"),
        ("RTP/SAVPF RTP", "RTP/AVPF"),
        ("udp/tls/rtp/savpf", "UDP/TLS/RTP/SAVPF"),
        ("transport-protocol=rtp/savp", "RTP/SAVP"),
        ("transport-protocol-RTP/SAVP", "RTP/SAVP"),
        ("transport-protocol=accept", "accept"),
    ] {
        let expected = Options { transport_protocol: Some(protocol.to_owned()), ..Options::default() };
        assert_eq!(string(text), expected, "{text}");
    }
    assert_eq!(string("transport-protocol=RTP/XYZ").unknown, ["transport-protocol=RTP/XYZ"]);
}

#[test]
fn codecs_and_suites_keep_their_spelling() {
    let codec = Codecs {
        strip: strings(&["all"]),
        except: strings(&["PCMA"]),
        transcode: strings(&["opus/48000/2", "AMR-WB"]),
        ..Codecs::default()
    };
    for text in [
        "codec-strip-all codec-except-PCMA codec-transcode-opus/48000/2 codec_transcode_AMR-WB",
        "codec-strip=all codec-except=PCMA transcode=opus/48000/2 transcode=AMR-WB",
        "codec=[strip=[all] except=[PCMA] transcode=[opus/48000/2 AMR-WB]]",
        "codec=[strip=all except=PCMA transcode=[opus/48000/2 AMR-WB]]",
        "codec=[strip-all except-PCMA transcode-opus/48000/2 transcode-AMR-WB]",
    ] {
        assert_eq!(string(text), Options { codec: codec.clone(), ..Options::default() }, "{text}");
    }
    let sdes = Sdes {
        nonew: true,
        pad: true,
        no: strings(&["NULL_HMAC_SHA1_32"]),
        only: strings(&["AES_CM_128_HMAC_SHA1_80"]),
        order: strings(&["AES_256_CM_HMAC_SHA1_80", "AEAD_AES_128_GCM"]),
        unencrypted_srtp: Some(true),
        unauthenticated_srtp: Some(false),
        ..Sdes::default()
    };
    for text in [
        "SDES-nonew pad-crypto SDES-no-NULL_HMAC_SHA1_32 sdes_only-AES_CM_128_HMAC_SHA1_80 SDES-unencrypted_srtp \
         SDES-AUTHENTICATED_SRTP SDES-order:AES_256_CM_HMAC_SHA1_80;AEAD_AES_128_GCM;",
        "SDES=[nonew pad no-NULL_HMAC_SHA1_32 only-AES_CM_128_HMAC_SHA1_80 unencrypted_srtp authenticated_srtp \
         order:AES_256_CM_HMAC_SHA1_80;AEAD_AES_128_GCM]",
    ] {
        assert_eq!(string(text), Options { sdes: sdes.clone(), ..Options::default() }, "{text}");
    }
}

#[test]
fn every_other_key_is_read() {
    let text = "to-call-id=other to-tag=t label=l set-label=s to-label=r address=192.0.2.1 all=offer-answer sip-code=183 \
                media-address=2001:db8::1 interface=pub endpoint-learning-heuristic ICE-lite=backward \
                OSRTP-offer OSRTP-accept-legacy DTLS=passive DTLS-reverse-active DTLS-fingerprint=SHA-256 ptime=20 \
                ptime-reverse=30 T.38=decode generate-RTCP drop-traffic=stop media-echo=both DTMF-security=Tone \
                media-timeout=10 silent-timeout=20 final-timeout=30 file=/a/b.wav db-id=7 repeat-times=3 \
                repeat-duration=400 start-pos=5 code=5 duration=250 pause=100 volume=-8 frequencies=400,800 limit=9 \
                template=web record-call=no metadata=a:b|c:d output-destination=/x xmlrpc-callback=192.0.2.9 \
                from-tags-a from-tags-b TOS=-1 strict-source SIP-source-address early-media NAT-wait";
    let expected = Options {
        to_call_id: Some("other".to_owned()),
        to_tag: Some("t".to_owned()),
        label: Some("l".to_owned()),
        set_label: Some("s".to_owned()),
        to_label: Some("r".to_owned()),
        address: ip("192.0.2.1"),
        all: All::OfferAnswer,
        sip_code: Some(183),
        media_address: ip("2001:db8::1"),
        interface: Some("pub".to_owned()),
        learning: Some(Learning::Heuristic),
        ice_lite: Some(IceLite::Backward),
        osrtp: Osrtp { offer: true, accept_legacy: true, ..Osrtp::default() },
        dtls: Some(Dtls::Passive),
        dtls_reverse: Some(Dtls::Active),
        dtls_fingerprint: Some("SHA-256".to_owned()),
        ptime_ms: Some(20),
        ptime_reverse_ms: Some(30),
        t38: strings(&["decode"]),
        generate_rtcp: Some(true),
        drop_traffic: Some(false),
        media_echo: Some(MediaEcho::Both),
        dtmf_security: Some("tone".to_owned()),
        media_timeout_s: Some(10),
        silent_timeout_s: Some(20),
        final_timeout_s: Some(30),
        file: Some("/a/b.wav".to_owned()),
        db_id: Some(7),
        repeat_times: Some(3),
        repeat_duration_ms: Some(400),
        start_pos: Some(5),
        code: Some("5".to_owned()),
        duration_ms: Some(250),
        pause_ms: Some(100),
        volume: Some(-8),
        frequencies: vec![400, 800],
        limit: Some(9),
        template: Some("web".to_owned()),
        record_call: Some(false),
        metadata: Some("a:b|c:d".to_owned()),
        output_destination: Some("/x".to_owned()),
        xmlrpc_callback: ip("192.0.2.9"),
        from_tags: strings(&["a", "b"]),
        tos: Tos::Unchanged,
        flags: Flags {
            strict_source: true,
            sip_source_address: true,
            early_media: true,
            nat_wait: true,
            ..Flags::default()
        },
        ..Options::default()
    };
    assert_eq!(string(text), expected);
}

#[test]
fn short_words_mean_several() {
    let options = string("WebRTC");
    assert_eq!(options.transport_protocol.as_deref(), Some("UDP/TLS/RTP/SAVPF"));
    assert_eq!(options.ice, Some(Ice::Force));
    assert!(options.rtcp_mux.offer && options.rtcp_mux.require && options.sdes.off);
    assert!(options.flags.trickle_ice && options.flags.no_rtcp_attribute && options.flags.generate_mid);
    assert_eq!(string("always-transcode").codec.accept, ["all"]);
    assert_eq!((string("all").all, string("all=all").flags.all), (All::All, true));
    assert_eq!(of(&[("trust address", Value::from("yes"))]), string("trust-address"));
    assert_eq!(of(&[("pause", Value::from("yes"))]), string("pause"));
}

#[test]
fn interfaces_can_be_named_one_by_one() {
    assert_eq!(string("from-interface=a to-interface=b").direction, ["a", "b"]);
    assert_eq!(of(&[("direction", Value::from("a"))]).direction, ["a"]);
}

#[test]
fn values_of_the_wrong_type_are_left_out() {
    let options = of(&[
        ("call-id", Value::List(Vec::new())),
        ("sdp", Value::Integer(7)),
        ("delete-delay", Value::Integer(-1)),
        ("received-from", Value::from(vec!["IP4", "nowhere"])),
        ("flags", Value::Dict(Dict::new())),
        ("codec", Value::from("strip")),
        ("ICE", Value::from("perhaps")),
        ("frequencies", Value::from("400,x")),
        ("sdp-attr", Value::from("x")),
        ("record-call", Value::from("maybe")),
        ("trigger", Value::from("*1")),
        ("what-is-this", Value::Integer(1)),
    ]);
    let unknown = [
        "call-id=[...]",
        "sdp=7",
        "delete-delay=-1",
        "received-from=[...]",
        "flags={...}",
        "codec=strip",
        "ice=perhaps",
        "frequencies=400,x",
        "sdp-attr=x",
        "record-call=maybe",
        "what-is-this=1",
    ];
    assert_eq!(options.unknown.iter().rev().collect::<Vec<_>>(), unknown);
    assert_eq!(
        Options { unknown: Vec::new(), ..options },
        Options { ignored: strings(&["trigger"]), ..Options::default() }
    );
    assert_eq!(of(&[("TOS", Value::Integer(256))]), Options::default());
}

#[test]
fn received_from_is_a_pair_or_an_address() {
    for value in [Value::from(vec!["IP4", "192.0.2.7"]), Value::from("192.0.2.7")] {
        assert_eq!(of(&[("received from", value)]).received_from, ip("192.0.2.7"));
    }
    assert_eq!(of(&[("media address", Value::from("[2001:db8::1]"))]).media_address, ip("2001:db8::1"));
}

#[test]
fn dtmf_is_a_number_or_a_character() {
    for (code, event) in [
        (Value::Integer(0), Some(0)),
        (Value::Integer(11), Some(11)),
        (Value::from("7"), Some(7)),
        (Value::from("12"), Some(12)),
        (Value::from("*"), Some(10)),
        (Value::from("#"), Some(11)),
        (Value::from("A"), Some(12)),
        (Value::from("d"), Some(15)),
        // One key a message, as rtpengine has it.
        (Value::from("123"), None),
        (Value::from("AB"), None),
        (Value::from("16"), None),
        (Value::Integer(16), None),
        (Value::from("x"), None),
        (Value::from(""), None),
        (Value::Integer(-1), None),
    ] {
        assert_eq!(of(&[("code", code.clone())]).dtmf_event(), event, "{code:?}");
    }
    assert_eq!(Options::default().dtmf_event(), None);
}

#[test]
fn what_is_unknown_is_kept_within_limits() {
    let words: Vec<_> = (0..100).map(|number| format!("{number}{}", "\u{e9}".repeat(200))).collect();
    let options = of(&[("flags", Value::from(words))]);
    assert_eq!(options.unknown.len(), UNKNOWN_MAX);
    assert!(options.unknown.iter().all(|word| word.len() <= 100));
}

proptest! {
    #[test]
    fn any_string_is_read(text in "([ \\[\\]=a-c\\-]|ICE|codec|flags|rtpp-flags|SDES|order:|é){0,40}") {
        let _ = of(&[("rtpp-flags", Value::from(text.as_str()))]);
        let _ = of(&[("flags", Value::from(text.split(' ').collect::<Vec<_>>()))]);
    }
}
