//! Round trip and score of a call whose parties report over real sockets.

use std::sync::Arc;
use std::time::Duration;

use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Playback, RtcpReports};
use patchcord_ng::{Dict, Value};
use patchcord_tests::ng::NgClient;
use patchcord_tests::stage::numbered_stream;
use patchcord_tests::{PATIENCE, eventually};

use crate::listening;

/// A party that reports five times a second on the port of its RTP.
fn party(endpoints: &Endpoints, name: &str) -> Endpoint {
    let rtcp = RtcpReports { interval: Duration::from_millis(200), cname: format!("{name}@example") };
    let options = EndpointOptions { rtcp: Some(rtcp), ..EndpointOptions::default() };
    endpoints.add(name, ([127, 0, 0, 1], 0).into(), options).unwrap()
}

fn sdp(endpoint: &Endpoint) -> String {
    let port = endpoint.local_addr().port();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtcp-mux\r\n"
    )
}

fn port(reply: &Dict) -> u16 {
    let text = reply.text("sdp").unwrap_or_else(|| panic!("{reply:?}"));
    let media = text.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
    media.split(' ').next().unwrap().parse().unwrap()
}

fn number(block: &Dict, key: &str) -> i64 {
    block.get(key).and_then(Value::integer).unwrap_or_else(|| panic!("{key} in {block:?}"))
}

#[test]
fn a_query_tells_score_and_round_trip_of_parties_that_report() {
    let (relay, address) = listening(&[]);
    let proxy = NgClient::new(address);
    let endpoints = Endpoints::start().unwrap();
    let (alice, bob) = (party(&endpoints, "alice"), party(&endpoints, "bob"));
    let about = |command: &str| Dict::new().with("command", command).with("call-id", "c1").with("from-tag", "alice");
    let offered = proxy.request(&about("offer").with("sdp", sdp(&alice)));
    let answered = proxy.request(&about("answer").with("to-tag", "bob").with("sdp", sdp(&bob)));
    for (endpoint, reply) in [(&alice, &answered), (&bob, &offered)] {
        endpoint.set_remote(([127, 0, 0, 1], port(reply)).into());
    }
    let streams = [(&alice, numbered_stream(1, 700)), (&bob, numbered_stream(2, 700))];
    for (endpoint, stream) in &streams {
        endpoint.play(Arc::clone(stream), Playback::default()).unwrap();
    }
    for party in ["alice", "bob"] {
        relay.client().wait_for_leg("c1", party, "a round trip", |leg| leg["round_trip_us"].is_u64());
    }
    let sources = eventually("both are scored with the round trip of both", || {
        let reply = proxy.request(&about("query"));
        let sources = reply.dict("SSRC")?.clone();
        let known = streams.iter().all(|(_, stream)| {
            let best = sources.dict(&stream.ssrc.0.to_string()).and_then(|source| source.dict("average MOS"));
            best.is_some_and(|block| number(block, "round-trip time leg") > 0 && number(block, "samples") > 0)
        });
        known.then_some(sources)
    });
    for (_, stream) in &streams {
        let source = sources.dict(&stream.ssrc.0.to_string()).unwrap();
        let average = source.dict("average MOS").unwrap();
        assert_eq!((number(source, "packets lost"), number(average, "packet loss")), (0, 0), "{source:?}");
        assert!((40..=45).contains(&number(average, "MOS")), "nothing is wrong with loopback: {source:?}");
        assert!(number(average, "round-trip time") > number(average, "round-trip time leg"), "{source:?}");
        let [lowest, highest] = ["lowest MOS", "highest MOS"].map(|block| source.dict(block).unwrap());
        assert!(number(lowest, "MOS") <= number(average, "MOS") && number(average, "MOS") <= number(highest, "MOS"));
        assert!(number(lowest, "reported at") > 0);
    }
    // The last words are the same ones, with whatever came since.
    for (endpoint, _) in &streams {
        endpoint.wait_until_played(PATIENCE).unwrap();
    }
    let last = proxy.request(&about("delete").with("delete-delay", 0_i64));
    let average = last.dict("SSRC").and_then(|sources| sources.dict(&streams[0].1.ssrc.0.to_string()));
    let samples = number(average.and_then(|source| source.dict("average MOS")).unwrap(), "samples");
    assert!(samples >= 2, "fourteen seconds are two samples at least: {samples}");
}
