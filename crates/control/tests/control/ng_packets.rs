//! ng's `ptime`, `ptime-reverse` and what `codec` says of bit rates and packet times: what both sides are told, and what they are sent.

use patchcord_control::ng::listen::Answer;
use patchcord_ng::{Dict, Request, Transport};
use patchcord_relay::transcoding::Transcoding;

use crate::ng::{Proxy, at_once, must, reason};
use crate::ng_codecs::{sdp, transcoding};
use crate::relay::Relay;

/// Entries of a request: `ptime: 40`; those of `codec` by themselves.
async fn ask(proxy: &Proxy, command: &str, sdp: &str, entries: &[(&str, i64)], codec: &[(&str, &str)]) -> Dict {
    let mut dict = Dict::new().with("command", command).with("call-id", "c").with("from-tag", "a");
    if command == "answer" {
        dict.set_named("to-tag", "b");
    }
    dict.set_named("sdp", sdp);
    for (key, value) in entries {
        dict.set_named(key, *value);
    }
    let mut words = Dict::new();
    for (key, list) in codec {
        words.set_named(key, list.split(',').collect::<Vec<_>>());
    }
    dict.set_named("codec", words);
    proxy.ng.answer(Request { dict, transport: Transport::Udp, peer: None }).await
}

fn audio(formats: &str, ptime: &str) -> String {
    sdp("RTP/AVP", formats, ptime)
}

/// The lines of an SDP that say something of packet times, and the formats.
fn told(reply: &Dict) -> (String, Vec<String>) {
    let sdp = must(reply).text("sdp").expect("it has one").into_owned();
    let formats = sdp.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("audio");
    let formats = formats.split(' ').skip(2).collect::<Vec<_>>().join(" ");
    (formats, sdp.lines().filter(|line| line.contains("ptime")).map(str::to_owned).collect())
}

/// What is encoded since the last look: format, packet time and bit rate, of both directions, in the order of the alphabet.
fn encoded(relay: &Relay) -> Vec<(String, u8, Option<u32>)> {
    let begun = relay.workers[0].take_transcodings();
    let of = |transcoding: &Transcoding| {
        let codec = &transcoding.to[0];
        (codec.encoding.to_string(), codec.sending.ptime_ms(), codec.sending.bitrate())
    };
    // Each change of a side begins both anew.
    let mut latest: Vec<_> = begun.iter().rev().take(2).map(of).collect();
    latest.sort();
    latest
}

#[tokio::test]
async fn a_wish_of_a_party_alone_changes_nothing_where_both_have_the_format() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let reply = ask(&proxy, "offer", &audio("0 101", "a=ptime:40\r\n"), &[], &[]).await;
    assert_eq!(told(&reply), ("0 101".to_owned(), vec!["a=ptime:40".to_owned()]));
    let reply = ask(&proxy, "answer", &audio("0 101", "a=ptime:30\r\na=maxptime:60\r\n"), &[], &[]).await;
    assert_eq!(told(&reply).1, ["a=maxptime:60", "a=ptime:30"]);
    assert!(encoded(&relay).is_empty());
}

#[tokio::test]
async fn each_side_is_sent_what_it_asked_for_where_it_is_transcoded() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let transcode = [("transcode", "opus"), ("mask", "all")];
    let reply = ask(&proxy, "offer", &audio("0 101", "a=ptime:30\r\n"), &[], &transcode).await;
    assert_eq!(told(&reply).1, ["a=ptime:30"]);
    let reply = ask(&proxy, "answer", &audio("96", "a=ptime:60\r\na=maxptime:50\r\n"), &[], &[]).await;
    // The answerer's greatest packets are no business of the offerer, whom the relay sends its own.
    assert_eq!(told(&reply), ("0".to_owned(), vec!["a=maxptime:50".to_owned(), "a=ptime:30".to_owned()]));
    assert_eq!(encoded(&relay), [("PCMU".to_owned(), 30, None), ("opus".to_owned(), 50, None)]);
}

#[tokio::test]
async fn ptime_has_packets_cut_anew_though_both_have_the_format() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let offer = audio("18 0 8 101", "a=maxptime:30\r\n");
    let reply = ask(&proxy, "offer", &offer, &[("ptime", 40), ("ptime-reverse", 10)], &[]).await;
    assert_eq!(told(&reply), ("18 0 8 101".to_owned(), vec!["a=ptime:40".to_owned()]));
    // Even if the answer prefers another one.
    let reply = ask(&proxy, "answer", &audio("8 101", "a=ptime:20\r\n"), &[("ptime", 60)], &[]).await;
    assert_eq!(told(&reply), ("8 101".to_owned(), vec!["a=ptime:10".to_owned()]));
    assert_eq!(encoded(&relay), [("PCMA".to_owned(), 10, None), ("PCMA".to_owned(), 40, None)]);
    // An offer that does not ask for it ends it.
    let reply = ask(&proxy, "offer", &audio("0 8 101", ""), &[], &[]).await;
    assert!(told(&reply).1.is_empty());
    let legs = relay.control.snapshot("c").await.expect("a call").legs;
    assert!(legs.iter().all(|leg| leg.transcoded), "media goes on until it is answered");
    let reply = ask(&proxy, "answer", &audio("8 101", ""), &[], &[]).await;
    assert!(told(&reply).1.is_empty());
    assert!(relay.control.snapshot("c").await.expect("a call").legs.iter().all(|leg| !leg.transcoded));
}

#[tokio::test]
async fn one_side_alone_is_sent_other_packets() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    ask(&proxy, "offer", &audio("0 101", "a=ptime:20\r\n"), &[("ptime", 999)], &[]).await;
    let reply = ask(&proxy, "answer", &audio("0 101", ""), &[], &[]).await;
    assert_eq!(told(&reply).1, ["a=ptime:20"]);
    // Both directions: who is sent packets of 60 ms is taken to send these too.
    assert_eq!(encoded(&relay), [("PCMU".to_owned(), 0, None), ("PCMU".to_owned(), 60, None)]);
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // What both sides have anyway is relayed.
    ask(&proxy, "offer", &audio("0 101", "a=ptime:20\r\n"), &[("ptime", 20)], &[]).await;
    must(&ask(&proxy, "answer", &audio("0 101", ""), &[], &[]).await);
    assert!(encoded(&relay).is_empty());
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // What cannot be encoded is relayed.
    ask(&proxy, "offer", &audio("18 101", ""), &[("ptime", 40)], &[]).await;
    must(&ask(&proxy, "answer", &audio("18 101", ""), &[], &[]).await);
    assert!(encoded(&relay).is_empty());
}

#[tokio::test]
async fn bit_rates_and_packet_times_of_codecs_reach_the_encoder() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    for (options, opus) in [
        (&[("transcode", "opus/48000/2/16000/40/useinbandfec--1"), ("mask", "all")][..], (40, Some(16_000))),
        (&[("transcode", "opus"), ("set", "opus/48000/2/700000"), ("mask", "all")], (0, Some(510_000))),
        (&[("transcode", "opus"), ("set", "opus/48000/2///bitrate=24000"), ("mask", "all")], (0, Some(24_000))),
    ] {
        let reply = ask(&proxy, "offer", &audio("0 101", ""), &[], options).await;
        assert_eq!(told(&reply).1, Vec::<String>::new(), "{options:?}");
        must(&ask(&proxy, "answer", &audio("96", ""), &[], &[]).await);
        let expected = [("PCMU".to_owned(), 0, None), ("opus".to_owned(), opus.0, opus.1)];
        assert_eq!(encoded(&relay), expected, "{options:?}");
        must(&proxy.ask("delete", &[("call-id", "c")]).await);
    }
    // Of a codec that the offerer has.
    let set = [("transcode", "PCMA"), ("mask", "opus"), ("set", "opus/48000/2/12000")];
    must(&ask(&proxy, "offer", &audio("96 101", ""), &[], &set).await);
    must(&ask(&proxy, "answer", &audio("8 101", ""), &[], &[]).await);
    assert_eq!(encoded(&relay), [("PCMA".to_owned(), 0, None), ("opus".to_owned(), 0, Some(12_000))]);
}

#[tokio::test]
async fn a_bit_rate_that_is_none_is_refused_by_name() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let reply = ask(&proxy, "offer", &audio("0 101", ""), &[], &[("set", "opus/48000/2/fast")]).await;
    assert!(reason(&reply).contains("the bit rate \"fast\" is no number"), "{reply:?}");
    let reply = ask(&proxy, "offer", &audio("0 101", ""), &[], &[("transcode", "opus/48000/2//soon")]).await;
    assert!(reason(&reply).contains("the packet time \"soon\" is no number"), "{reply:?}");
}
