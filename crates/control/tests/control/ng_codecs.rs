//! ng's option `codec`, by the SDPs that go out and the lists that legs have.

use patchcord_control::Config;
use patchcord_control::ng::NgConfig;
use patchcord_control::ng::listen::Answer;
use patchcord_ng::{Dict, Request, Transport};
use patchcord_relay::command::EgressMode;

use crate::ng::{Proxy, at_once, must, reason};
use crate::relay::{Relay, config};

/// What numbers mean in these tests.
const MEANINGS: [(&str, &str); 6] = [
    ("96", "opus/48000/2"),
    ("98", "telephone-event/48000"),
    ("101", "telephone-event/8000"),
    ("102", "L16/16000"),
    ("111", "opus/48000/2"),
    ("120", "G726-32/8000"),
];

pub(crate) fn transcoding() -> Relay {
    transcoding_with(config(30000..=30999))
}

fn transcoding_with(config: Config) -> Relay {
    let relay = Relay::with(config, 1);
    relay.workers[0].set_transcoder(|codec| {
        patchcord_codec::Codec::of(&codec.encoding, codec.clock_rate, codec.channels, None).is_ok()
    });
    relay
}

pub(crate) fn sdp(protocol: &str, formats: &str, attributes: &str) -> String {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 {protocol} {formats}\r\n{attributes}"
    );
    for (number, meaning) in MEANINGS.iter().filter(|(number, _)| formats.split(' ').any(|word| word == *number)) {
        text += &format!("a=rtpmap:{number} {meaning}\r\n");
    }
    text
}

/// Entries of a request: `codec-strip: PCMU,PCMA`.
async fn ask(proxy: &Proxy, command: &str, tags: [&str; 2], sdp: &str, options: &[(&str, &str)]) -> Dict {
    let mut dict = Dict::new().with("command", command).with("call-id", "c").with("from-tag", tags[0]);
    if !tags[1].is_empty() {
        dict.set_named("to-tag", tags[1]);
    }
    dict.set_named("sdp", sdp);
    let mut codec = Dict::new();
    for (key, words) in options {
        codec.set_named(key, words.split(',').collect::<Vec<_>>());
    }
    dict.set_named("codec", codec);
    proxy.ng.answer(Request { dict, transport: Transport::Udp, peer: None }).await
}

async fn offer(proxy: &Proxy, formats: &str, options: &[(&str, &str)]) -> String {
    told(&ask(proxy, "offer", ["a", ""], &sdp("RTP/AVP", formats, ""), options).await)
}

async fn answer(proxy: &Proxy, formats: &str) -> String {
    told(&ask(proxy, "answer", ["a", "b"], &sdp("RTP/AVP", formats, ""), &[]).await)
}

/// The formats of the first m= line, and what is said of them.
fn told(reply: &Dict) -> String {
    let sdp = must(reply).text("sdp").unwrap();
    let mut words = Vec::new();
    for line in sdp.lines() {
        if let Some(line) = line.strip_prefix("m=audio ") {
            words.push(line.split(' ').skip(2).collect::<Vec<_>>().join(" "));
        } else if let Some(value) = line.strip_prefix("a=rtpmap:").or_else(|| line.strip_prefix("a=fmtp:")) {
            words.push(value.to_owned());
        }
    }
    words.join(" | ")
}

/// The lists of the legs of both parties by their numbers, and whether they hear each other transcoded.
async fn legs(relay: &Relay) -> Vec<(String, bool)> {
    let call = relay.control.snapshot("c").await.unwrap();
    let numbers =
        |codecs: &[String]| codecs.iter().map(|codec| codec.split(' ').next().unwrap()).collect::<Vec<_>>().join(" ");
    call.legs.iter().map(|leg| (numbers(&leg.codecs), leg.transcoded)).collect()
}

fn two(a: &str, b: &str, transcoded: bool) -> Vec<(String, bool)> {
    vec![(a.to_owned(), transcoded), (b.to_owned(), transcoded)]
}

const PCMU: &str = "0 PCMU/8000";
const EVENTS: &str = "101 telephone-event/8000";

#[tokio::test]
async fn an_added_codec_that_is_chosen_is_transcoded_and_one_that_is_not_is_no_trouble() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let transcode = [("transcode", "opus")];
    assert_eq!(
        offer(&proxy, "0 8 101", &transcode).await,
        format!("0 8 96 97 101 | {PCMU} | 8 PCMA/8000 | 96 opus/48000/2 | 97 telephone-event/48000 | {EVENTS}")
    );
    assert_eq!(legs(&relay).await, two("0 8 101", "0 8 96 97 101", false));
    assert_eq!(answer(&proxy, "96 101").await, format!("0 101 | {PCMU} | {EVENTS}"));
    assert_eq!(legs(&relay).await, two("0 101", "96 101", true));
    // A session refresh changes nothing, and the numbers stay.
    assert!(offer(&proxy, "0 8 101", &transcode).await.starts_with("0 8 96 97 101 |"));
    assert_eq!(legs(&relay).await, two("0 101", "96 101", true), "media goes on until it is answered");
    // Another answer to the same offer relays.
    assert_eq!(answer(&proxy, "8 101").await, format!("8 101 | 8 PCMA/8000 | {EVENTS}"));
    assert_eq!(legs(&relay).await, two("0 8 101", "8 101 0 96 97", false));
    // And back, with an offer that has nothing left for the other one's former choice.
    offer(&proxy, "0 101", &transcode).await;
    assert_eq!(answer(&proxy, "96 101").await, format!("0 101 | {PCMU} | {EVENTS}"));
    assert_eq!(legs(&relay).await, two("0 101", "96 101", true));
    // Without the option both are relayed again.
    assert_eq!(offer(&proxy, "0 101", &[]).await, format!("0 101 | {PCMU} | {EVENTS}"));
    assert_eq!(answer(&proxy, "0 101").await, format!("0 101 | {PCMU} | {EVENTS}"));
    assert!(legs(&relay).await.iter().all(|(_, transcoded)| !transcoded));
}

#[tokio::test]
async fn both_sides_may_offer_and_numbers_keep_their_meaning() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    offer(&proxy, "0 101", &[("transcode", "opus")]).await;
    answer(&proxy, "96 101").await;
    // The answerer offers what it has, under its number; the offerer of before is given its own.
    let reply = ask(&proxy, "offer", ["b", "a"], &sdp("RTP/AVP", "96 101", ""), &[("transcode", "PCMU")]).await;
    assert_eq!(told(&reply), format!("96 0 101 | 96 opus/48000/2 | {PCMU} | {EVENTS}"));
    assert_eq!(legs(&relay).await, two("0 101", "96 101", true));
    let reply = ask(&proxy, "answer", ["b", "a"], &sdp("RTP/AVP", "0 101", ""), &[]).await;
    assert_eq!(told(&reply), format!("96 101 | 96 opus/48000/2 | {EVENTS}"));
    assert_eq!(legs(&relay).await, two("0 101", "96 101", true));
    // The number that the relay has given is used for something else: another one is given.
    let reply = ask(
        &proxy,
        "offer",
        ["a", "b"],
        &sdp("RTP/AVP", "0 102 101", "").replace("102", "96"),
        &[("transcode", "opus,G722")],
    )
    .await;
    let told = told(&reply);
    assert!(told.starts_with("0 96 98 9 "), "{told}");
}

#[tokio::test]
async fn each_word_does_what_it_says() {
    for (formats, options, offered, answered, to_offerer, [a, b], transcoded) in [
        ("0 8 101", vec![("strip", "PCMU")], "8 101", "8 101", "8 101", ["8 101", "8 101"], false),
        ("0 8 101", vec![("ignore", "PCMU")], "8 101", "8 101", "8 101", ["8 101", "8 101"], false),
        (
            "0 8 9 101",
            vec![("strip", "all"), ("except", "PCMA,telephone-event")],
            "8 101",
            "8 101",
            "8 101",
            ["8 101", "8 101"],
            false,
        ),
        ("0 8 9", vec![("strip", "all"), ("offer", "G722,PCMA")], "9 8", "8", "8", ["8 9", "8 9"], false),
        (
            "96 0 101",
            vec![("mask", "opus"), ("transcode", "PCMA")],
            "0 8 101",
            "8 101",
            "96 101",
            ["96 101", "8 101"],
            true,
        ),
        ("96 0 101", vec![("consume", "opus")], "0 101", "0 101", "96 101", ["96 101", "0 101"], true),
        ("0 96 101", vec![("accept", "opus")], "0 96 101", "0 101", "96 101", ["96 101", "0 101"], true),
        (
            "96 0 101",
            vec![("accept", "all"), ("set", "opus/48000/2/16000")],
            "96 0 101",
            "0 101",
            "96 101",
            ["96 101", "0 101"],
            true,
        ),
        (
            "96 101",
            vec![("mask", "full"), ("transcode", "opus,telephone-event")],
            "96 97 101",
            "96 101",
            "96 101",
            ["96 101", "96 101 97"],
            false,
        ),
        ("0 8", vec![("transcode", "telephone-event")], "0 8 96", "0 101", "0", ["0", "0 101"], true),
        ("0 8", vec![("transcode", "telephone-event")], "0 8 96", "8", "8", ["0 8", "8 0 96"], false),
        ("0 8 101", vec![("transcode", "telephone-event")], "0 8 101", "8", "8 101", ["8 101", "8"], true),
    ] {
        let relay = transcoding();
        let proxy = Proxy::new(&relay, at_once());
        let first = |told: String| told.split(" | ").next().unwrap_or_default().to_owned();
        assert_eq!(first(offer(&proxy, formats, &options).await), offered, "{options:?}");
        assert_eq!(first(answer(&proxy, answered).await), to_offerer, "{options:?}");
        assert_eq!(legs(&relay).await, two(a, b, transcoded), "{options:?}");
        must(&proxy.ask("delete", &[("call-id", "c")]).await);
    }
}

#[tokio::test]
async fn parameters_come_through_to_whoever_transcodes() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let sdp_of =
        |formats: &str, fmtp: &str| sdp("RTP/AVP", formats, &format!("a=fmtp:96 {fmtp}\r\na=fmtp:101 0-15\r\n"));
    let transcode = [("mask", "all"), ("transcode", "PCMA,telephone-event")];
    let reply = ask(&proxy, "offer", ["a", ""], &sdp_of("96 0 101", "cbr=1;maxaveragebitrate=16000"), &transcode).await;
    assert_eq!(told(&reply), format!("8 101 | 8 PCMA/8000 | {EVENTS} | 101 0-15"));
    let reply = ask(&proxy, "answer", ["a", "b"], &sdp("RTP/AVP", "8 101", ""), &[]).await;
    let expected = format!("96 101 | 96 opus/48000/2 | 96 cbr=1;maxaveragebitrate=16000 | {EVENTS} | 101 0-15");
    assert_eq!(told(&reply), expected);
    let last = |relay: &Relay| {
        let begun = relay.workers[0].take_transcodings();
        let to_opus = begun.iter().rev().find(|begun| begun.to.iter().any(|codec| &*codec.encoding == "opus"));
        to_opus.and_then(|begun| begun.to[0].fmtp.clone())
    };
    assert_eq!(last(&relay).as_deref(), Some("cbr=1;maxaveragebitrate=16000"));
    // Others are obeyed as soon as they are agreed on.
    ask(&proxy, "offer", ["a", "b"], &sdp_of("96 0 101", "usedtx=1"), &transcode).await;
    must(&ask(&proxy, "answer", ["a", "b"], &sdp("RTP/AVP", "8 101", ""), &[]).await);
    assert_eq!(last(&relay).as_deref(), Some("usedtx=1"));
}

#[tokio::test]
async fn what_passes_unread_keeps_its_formats_but_for_those_that_are_stripped() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let words = [("strip", "PCMA"), ("mask", "opus"), ("transcode", "G722")];
    let fax = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=image 4000 udptl t38\r\n";
    let reply = ask(&proxy, "offer", ["a", ""], fax, &[("strip", "all"), ("transcode", "PCMU")]).await;
    assert!(must(&reply).text("sdp").unwrap().contains(" udptl t38\r\n"));
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // Keys of the parties' own, which the relay does not know.
    let keyless = sdp("RTP/SAVP", "96 0 8 101", "");
    assert!(told(&ask(&proxy, "offer", ["a", ""], &keyless, &words).await).starts_with("96 0 101 |"));
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // Video is stripped, and not transcoded.
    let video = sdp("RTP/AVP", "96 0 8 101", "").replace("m=audio", "m=video");
    let reply = ask(&proxy, "offer", ["a", ""], &video, &words).await;
    assert!(must(&reply).text("sdp").unwrap().contains(" RTP/AVP 96 0 101\r\n"));
}

#[tokio::test]
async fn where_everything_passes_unread_what_is_transcoded_is_read() {
    // As `rtpengine-compat` is configured.
    let relay = transcoding_with(Config { egress: EgressMode::Transparent, ..config(30000..=30999) });
    let proxy = Proxy::new(&relay, NgConfig { relay_unread: true, ports_follow_remote: true, ..at_once() });
    offer(&proxy, "0 8 101", &[("strip", "PCMA"), ("transcode", "opus")]).await;
    assert_eq!(answer(&proxy, "96 101").await, format!("0 101 | {PCMU} | {EVENTS}"));
    assert_eq!(legs(&relay).await, two("0 101", "96 101", true));
    // Where ports follow the remote side, an answer from another address opens another leg.
    offer(&proxy, "0 8 101", &[("transcode", "opus")]).await;
    let moved = sdp("RTP/AVP", "96 101", "").replace("4000", "4002");
    let reply = ask(&proxy, "answer", ["a", "b"], &moved, &[]).await;
    assert_eq!(told(&reply), format!("0 101 | {PCMU} | {EVENTS}"));
    assert_eq!(legs(&relay).await.iter().filter(|(_, transcoded)| *transcoded).count(), 2);
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // Legs whose packets have passed untouched go on like that, and nothing is added that nobody could hear.
    offer(&proxy, "0 8 101", &[("strip", "PCMA")]).await;
    answer(&proxy, "0 101").await;
    let told = offer(&proxy, "0 8 101", &[("strip", "PCMA"), ("transcode", "opus")]).await;
    assert_eq!(told, format!("0 101 | {PCMU} | {EVENTS}"));
}

#[tokio::test]
async fn what_cannot_be_leaves_the_offer_as_it_is() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    for (formats, options) in [
        ("0 8 101", vec![("strip", "all")]),
        ("0 101", vec![("transcode", "FOO,G729,opus/48000/1,/,opus/x/2/3/4/5/6/7/8")]),
        ("120 101", vec![("strip", "all"), ("transcode", "opus")]),
        ("120 101", vec![("mask", "G726-32"), ("transcode", "PCMU")]),
    ] {
        assert_eq!(offer(&proxy, formats, &options).await, offer(&proxy, formats, &[]).await, "{options:?}");
        must(&proxy.ask("delete", &[("call-id", "c")]).await);
    }
    // All dynamic numbers are taken: those that nobody has assigned are given.
    let numbers: Vec<String> = (96..=127).map(|number: u8| number.to_string()).collect();
    let attributes: String = numbers.iter().map(|number| format!("a=rtpmap:{number} X-{number}/8000\r\n")).collect();
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 {}\r\n{attributes}",
        numbers.join(" ")
    );
    let reply = ask(&proxy, "offer", ["a", ""], &text, &[("transcode", "opus")]).await;
    assert!(told(&reply).contains("127 35 |") && told(&reply).contains("35 opus/48000/2"), "{reply:?}");
}

#[tokio::test]
async fn hostile_descriptions_are_taken_or_refused_as_a_whole() {
    let relay = transcoding();
    let proxy = Proxy::new(&relay, at_once());
    let head = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n";
    let lines: String = (0..3990).map(|at| format!("a=fmtp:{} x\n", at % 128)).collect();
    let long = format!("{head}m=audio 4000 RTP/AVP 0 101\r\n{lines}");
    let many = format!("{head}m=audio 4000 RTP/AVP{}\r\n", " 0 96 7777 -1 x".repeat(4000));
    let words = [("strip", "PCMA"), ("transcode", "opus,G722,L16/16000")];
    for text in [&long, &many] {
        must(&ask(&proxy, "offer", ["a", ""], text, &words).await);
        must(&ask(&proxy, "answer", ["a", "b"], text, &words).await);
        assert!(legs(&relay).await.iter().all(|(_, transcoded)| !transcoded));
        must(&proxy.ask("delete", &[("call-id", "c")]).await);
    }
    let same = format!("{head}m=audio 4000 RTP/AVP{}\r\n", " 0".repeat(30_000));
    let reply = ask(&proxy, "offer", ["a", ""], &same, &[("strip", "all"), ("transcode", "opus,PCMU")]).await;
    assert_eq!(told(&reply), format!("96 0 | 96 opus/48000/2 | {PCMU}"));
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // A list of words as long as a datagram.
    let words = "opus/48000/2,".repeat(4000);
    assert!(offer(&proxy, "0 101", &[("transcode", &words), ("strip", &words)]).await.starts_with("0 96 97 101 |"));
    must(&proxy.ask("delete", &[("call-id", "c")]).await);
    // What the engine refuses leaves nothing behind: here it cannot transcode.
    let relay = Relay::new();
    let proxy = Proxy::new(&relay, at_once());
    let refused =
        ask(&proxy, "offer", ["a", ""], &sdp("RTP/AVP", "0 101", ""), &[("mask", "all"), ("transcode", "PCMA")]).await;
    assert!(reason(&refused).contains("not transcoded"), "{refused:?}");
    assert!(relay.control.is_idle());
    assert_eq!(relay.workers[0].open_ports(), 0);
}
