//! The lines of session descriptions.

use patchcord_ng::Dict;
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, audio_at, audio_with, media, sdp, sdp_at};

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("every line in its place", |stage| {
        stage.parties(["a", "b"]);
        let lines = [
            "a=group:BUNDLE 0",
            "a=sendrecv",
            "a=foo:session",
            &media("audio", "a", "0 96 8 9 18 101"),
            "i=information",
            "b=AS:80",
            "b=RS:0",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=foo:1",
            "a=ptime:20",
            "a=maxptime:40",
            "a=rtpmap:96 opus/48000/2",
            "a=sendonly",
            "a=fmtp:96 useinbandfec=1",
            "a=rtcp:{a+1}",
            "a=rtcp-mux",
            "a=mid:0",
            "a=ssrc:1234 cname:x",
            "a=rtcp-fb:96 nack",
            "a=extmap:1 urn:x",
            "a=label:3",
            "a=silenceSupp:off - - - -",
        ];
        stage.offer("a", &sdp(&lines));
        stage.answer("a b", &sdp(&[&media("audio", "b", "0")]));
    }),
    plain("lines of a section without media stay", |stage| {
        stage.parties(["a"]);
        let lines = [
            "m=audio 0 RTP/AVP 0 8",
            "i=information",
            "c=IN IP4 127.0.0.1",
            "b=AS:64",
            "a=mid:1",
            "a=rtpmap:0 PCMU/8000",
            "a=sendonly",
            "a=foo:bar",
            &media("audio", "a", "0"),
        ];
        stage.offer("a", &sdp(&lines));
    }),
    plain("the address where it stands", |stage| {
        stage.parties(["a", "a2"]);
        let session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
        let section = "m=audio {a} RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\na=ptime:20\r\na=x:1\r\n";
        stage.offer("a", &[session, section].concat());
        stage.next_call();
        let second = media("video", "a2", "96");
        let lines = [&media("audio", "a", "0"), "c=IN IP4 127.0.0.1", "b=AS:80", &second, "a=rtpmap:96 VP8/90000"];
        stage.offer("a", &sdp(&lines));
        stage.next_call();
        stage.offer("a", &sdp_at("127.0.0.9", &[&media("audio", "a", "0"), "c=IN IP4 127.0.0.7"]));
    }),
    plain("line ends of LF only stay", |stage| {
        stage.parties(["a"]);
        stage.offer("a", &audio_with("a", &["a=foo:1"]).replace("\r\n", "\n"));
    }),
    plain("blank lines at the end", |stage| {
        stage.parties(["a"]);
        stage.offer("a", &[&audio("a"), "\r\n\r\n"].concat());
    }),
    plain("the RTCP attribute", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio_with("a", &["a=rtcp:{a+1} IN IP4 127.0.0.1"]));
        stage.answer("a b", &audio_with("b", &["a=rtcp:{b+1}"]));
        stage.offer_with("a b", &audio("a"), flags(&["full rtcp attribute"]));
        stage.offer_with("a b", &audio("a"), flags(&["no rtcp attribute"]));
    }),
    plain("replaced addresses", |stage| {
        stage.parties(["a", "b"]);
        let here = audio_at("127.0.0.9", "a");
        stage.offer("a", &here);
        for what in ["origin", "session-connection", "session connection"] {
            stage.offer_with("a", &here, Dict::new().with("replace", vec![what]));
        }
        stage.offer_with("a", &here, Dict::new().with("replace", vec!["origin", "session connection"]));
        let both = sdp_at("127.0.0.9", &[&media("audio", "a", "0"), "c=IN IP4 127.0.0.7"]);
        stage.next_call();
        stage.offer_with("a", &both, Dict::new().with("replace", vec!["session-connection"]));
        stage.answer_with(
            "a b",
            &audio_at("127.0.0.8", "b").replace("0 8", "0"),
            Dict::new().with("replace", vec!["origin"]),
        );
    }),
    plain("address zero", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        let zero = audio_at("0.0.0.0", "a");
        stage.offer("a b", &zero);
        stage.offer_with("a b", &zero, Dict::new().with("replace", vec!["zero address"]));
        stage.offer("a b", &[&zero, "a=sendonly\r\n"].concat());
        stage.offer("a b", &[&zero, "a=inactive\r\n"].concat());
    }),
    plain("the version of a description", |stage| {
        stage.parties(["a", "a2"]);
        let version = || Dict::new().with("replace", vec!["sdp-version"]);
        stage.offer_with("a", &audio("a"), version());
        stage.offer_with("a", &audio("a"), version());
        stage.offer_with("a", &audio("a2"), version());
        stage.offer_with("a", &audio("a2"), version());
    }),
    plain("directions that are made up or not", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), flags(&["original sendrecv"]));
        stage.answer("a b", &audio_with("b", &["a=recvonly"]));
        stage.offer_with("a b", &audio_with("a", &["a=sendonly"]), flags(&["original sendrecv"]));
    }),
    plain("a mid of the relay's own", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), flags(&["generate mid"]));
        stage.answer("a b", &audio("b"));
        stage.offer("a b", &audio("a"));
    }),
    plain("loop protection", |stage| {
        stage.parties(["a"]);
        stage.offer_with("a", &audio("a"), flags(&["loop protect"]));
        stage.next_call();
        stage.offer_with("a", &audio_with("a", &["a=rtpengine:0123456789ab"]), flags(&["loop-protect"]));
    }),
    plain("fax instead of audio and back", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        stage.offer("b a", &fax("b"));
        stage.answer("b a", &fax("a"));
        stage.offer("b a", &audio("b"));
        stage.answer("b a", &audio("a"));
    }),
    plain("fax beside audio that ends", |stage| {
        stage.parties(["a", "b", "a2", "b2"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        let both = |party: &str| sdp(&["m=audio 0 RTP/AVP 0 8", &format!("m=image {{{party}}} udptl t38")]);
        stage.offer("b a", &both("b2"));
        stage.answer("b a", &both("a2"));
    }),
    plain("protocols that are no RTP", |stage| {
        stage.parties(["a", "a2"]);
        stage.offer("a", &sdp(&[&media("audio", "a", "0"), "m=application {a2} UDP/BFCP *", "a=floorctrl:c-only"]));
        stage.next_call();
        stage.offer("a", &sdp(&["m=audio {a} TCP/FOO 0"]));
        stage.next_call();
        stage.offer("a", &sdp(&["m=audio {a}/2 RTP/AVP 0", "k=clear:x"]));
    }),
    plain("lines that are no good stay", |stage| {
        stage.parties(["a"]);
        for line in ["a=rtpmap:xx", "a=crypto:foo", "a=rtcp:foo", "a=rtcp:99999", "a=fmtp:x", "a=:", "a="] {
            stage.next_call();
            stage.offer("a", &audio_with("a", &[line]));
        }
    }),
    plain("an answer has only what was offered", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &sdp(&[&media("audio", "a", "8 101"), "a=rtpmap:101 telephone-event/8000"]));
        stage.answer("a b", &sdp(&[&media("audio", "b", "0 8 101"), "a=rtpmap:101 telephone-event/8000"]));
        stage.next_call();
        stage.offer("a", &sdp(&[&media("audio", "a", "0 96"), "a=rtpmap:96 opus/48000/2"]));
        stage.answer("a b", &sdp(&[&media("audio", "b", "97 0"), "a=rtpmap:97 opus/48000/2", "a=fmtp:97 x=1"]));
        stage.next_call();
        stage.offer("a", &sdp(&[&media("audio", "a", "0")]));
        stage.answer("a b", &sdp(&[&media("audio", "b", "8")]));
    }),
    plain("another address for the media", |stage| {
        stage.parties(["a", "b"]);
        stage.offer_with("a", &audio("a"), Dict::new().with("media address", "192.0.2.77"));
        stage.answer_with("a b", &audio("b"), Dict::new().with("media-address", "nowhere"));
    }),
    plain("feedback profiles", |stage| {
        stage.parties(["a", "b"]);
        let profile = |party: &str| audio(party).replace("RTP/AVP", "RTP/AVPF");
        stage.offer_with("a", &audio("a"), Dict::new().with("transport protocol", "RTP/AVPF"));
        stage.answer("a b", &[&profile("b"), "a=rtcp-fb:* nack\r\n"].concat());
        stage.offer("a b", &audio("a"));
    }),
    plain("an answer in another profile than the offer's", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b").replace("RTP/AVP", "RTP/AVPF"));
        stage.offer_with("a b", &audio("a"), Dict::new().with("transport-protocol", "RTP/FOO"));
    }),
    plain("values that nobody knows", |stage| {
        stage.parties(["a"]);
        stage.offer_with("a", &audio("a"), flags(&["foo bar", "trust-address", "symmetric"]));
        stage.next_call();
        let odd = Dict::new().with("direction", vec!["foo", "bar"]).with("address family", "IP9").with("x", "y");
        stage.offer_with("a", &audio("a"), odd);
        stage.next_call();
        stage.offer_with("a", &audio("a"), Dict::new().with("flags", "trust-address"));
    }),
];

fn fax(party: &str) -> String {
    sdp(&[&format!("m=image {{{party}}} udptl t38"), "a=T38FaxVersion:0", "a=T38FaxUdpEC:t38UDPRedundancy"])
}

fn flags(flags: &[&str]) -> Dict {
    Dict::new().with("flags", flags.to_vec())
}

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
