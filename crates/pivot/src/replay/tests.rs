//! A call with a fake pivot, which answers as the real one does.

use core::time::Duration;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::message::Message;
use super::names::next;
use super::*;

const PIVOT: &str = "192.0.2.10:5060";
const CALLER: &str = "203.0.113.5:5060";
const AGENT: &str = "198.51.100.20:5080";

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

fn message(start: &str, names: &str, sdp: &str) -> String {
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{start}\r\n{names}{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

fn head(via: &str, from: &str, to: &str, call_id: &str, cseq: &str) -> String {
    format!("Via: SIP/2.0/UDP {via}\r\nf: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n")
}

/// As the pivot keeps it.
fn trace() -> Vec<Value> {
    let caller = |branch: &str, tag: &str, cseq: &str| {
        let to = format!("<sip:+1555@{PIVOT}>{tag}");
        head(&format!("{CALLER};branch=z9hG4bK{branch}"), "<sip:a@carrier.example>;tag=1", &to, "c1@203.0.113.5", cseq)
    };
    let agent = |branch: &str, tag: &str, cseq: &str| {
        head(&format!("{PIVOT};branch=z9hG4bK{branch}"), "<sip:a@x>;tag=p", &format!("<sip:g@x>{tag}"), "p1", cseq)
    };
    let invite = message(
        &format!("INVITE sip:+1555@{PIVOT} SIP/2.0"),
        &(caller("1", "", "1 INVITE") + "m: <sip:a@10.0.0.9>\r\n"),
        SDP,
    );
    let ours = caller("1", ";tag=q", "1 INVITE") + "Contact: <sip:x@192.0.2.10:5060>\r\n";
    let mut at = 0.0;
    let mut said = |direction: &str, party: &str, remote: &str, text: String| {
        at += 10.0;
        json!({ "at_ms": at - 10.0, "direction": direction, "party": party, "local": PIVOT, "remote": remote, "text": text })
    };
    vec![
        said("in", "caller", CALLER, invite.clone()),
        said("out", "caller", CALLER, message("SIP/2.0 100 Trying", &caller("1", "", "1 INVITE"), "")),
        said("in", "caller", CALLER, invite),
        said(
            "out",
            "agent",
            AGENT,
            message(&format!("INVITE sip:g@{AGENT} SIP/2.0"), &agent("a", "", "1 INVITE"), SDP),
        ),
        said(
            "in",
            "agent",
            AGENT,
            message("SIP/2.0 200 OK", &(agent("a", ";tag=g", "1 INVITE") + "Contact: <sip:g@sbc.example>\r\n"), SDP),
        ),
        said("out", "agent", AGENT, message("ACK sip:g@sbc.example SIP/2.0", &agent("b", ";tag=g", "1 ACK"), "")),
        said("out", "caller", CALLER, message("SIP/2.0 200 OK", &ours, SDP)),
        said("in", "caller", CALLER, message("ACK sip:x@192.0.2.10:5060 SIP/2.0", &caller("2", ";tag=q", "1 ACK"), "")),
        said("in", "caller", CALLER, "\u{1b}[2J garbage".to_owned()),
        said("in", "caller", CALLER, message("BYE sip:x@192.0.2.10:5060 SIP/2.0", &caller("3", ";tag=q", "2 BYE"), "")),
        said("out", "caller", CALLER, message("SIP/2.0 200 OK", &caller("3", ";tag=q", "2 BYE"), "")),
        said("out", "agent", AGENT, message("BYE sip:g@sbc.example SIP/2.0", &agent("c", ";tag=g", "2 BYE"), "")),
        said("in", "agent", AGENT, message("SIP/2.0 200 OK", &agent("c", ";tag=g", "2 BYE"), "")),
    ]
}

fn bundle(trace: &[Value]) -> Vec<u8> {
    let party = json!({ "party": "caller", "received": 7 });
    let transfer = json!({ "transfer": "x-1", "state": "done", "target": "agent", "media": { "when_over": { "parties": [party] }, "at_call_end": null } });
    let files = [
        ("transfer.json", transfer),
        ("call.json", json!({ "call_id": "c1@203.0.113.5", "transfers": ["x-0", "x-1"] })),
        ("timeline.json", json!({ "parties": [] })),
        ("settings.json", serde_json::to_value(Setup::default()).expect("JSON")),
        ("marks.json", json!({ "connected_ms": 85.5, "first_packets_ms": { "caller": 61.0 } })),
        ("trace.json", json!({ "is_kept": true, "left_out": 0, "messages": trace })),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let content = content.to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, format!("transfer-x-1/{name}"), content.as_bytes()).expect("memory");
    }
    tar.into_inner().expect("memory")
}

fn script(trace: &[Value]) -> Result<Script, ReplayError> {
    Script::of(&Recording::read(&bundle(trace))?)
}

fn player(trace: &[Value], seed: u64) -> Player {
    let address = |text: &str| text.parse::<core::net::SocketAddr>().expect("an address");
    let script = script(trace).expect("it can be played");
    let peers = ["127.0.0.11:7001", "127.0.0.12:7002"].map(address).into();
    let media = BTreeMap::from([("caller", "127.0.0.11:8001"), ("agent", "127.0.0.12:8002")]);
    let media = media.into_iter().map(|(party, at)| (party.to_owned(), address(at))).collect();
    let pace = Pace { speed: Some(1.0), patience: Duration::from_secs(1) };
    Player::new(script, Stage { pivot: address("127.0.0.1:6000"), peers, media }, seed, pace)
}

/// What the pivot of now sends to whom, after a message of a peer.
#[derive(Default)]
struct Fake {
    invite: Option<Message>,
    of_agent: Option<Message>,
}

impl Fake {
    fn takes(&mut self, peer: usize, datagram: &[u8]) -> Vec<(usize, String)> {
        let got = Message::parse(core::str::from_utf8(datagram).expect("text")).expect("SIP");
        let copied = |request: &Message, tag: &str| {
            let field = |name: &str| request.first(name).expect(name).to_owned();
            let via = field("Via");
            let to = format!("{}{}", field("To"), if request.tag("To").is_none() { tag } else { "" });
            head(via.trim_start_matches("SIP/2.0/UDP "), &field("From"), &to, &field("Call-ID"), &field("CSeq"))
        };
        let to_agent = |method: &str, number: u32, branch: &str, tag: &str, sdp: &str| {
            let to = format!("<sip:g@y>{tag}");
            let head = head(
                &format!("127.0.0.1:6000;branch=z9hG4bKn{branch}"),
                "<sip:a@y>;tag=np",
                &to,
                "now-p1",
                &format!("{number} {method}"),
            );
            (1, message(&format!("{method} sip:g@127.0.0.12:7002 SIP/2.0"), &head, sdp))
        };
        match (peer, got.status().map(|(code, _)| code), got.method()) {
            (0, None, "INVITE") if self.invite.is_some() => Vec::new(),
            (0, None, "INVITE") => {
                self.invite = Some(got);
                vec![to_agent("INVITE", 1, "a", "", SDP)]
            }
            (1, Some(200), "INVITE") => {
                let tag = format!(";tag={}", got.tag("To").expect("a tag"));
                self.of_agent = Some(got);
                let invite = self.invite.as_ref().expect("it was invited");
                let ok = copied(invite, ";tag=nq") + "Contact: <sip:now@127.0.0.1:6000>\r\n";
                vec![to_agent("ACK", 1, "b", &tag, ""), (0, message("SIP/2.0 200 OK", &ok, SDP))]
            }
            (0, None, "BYE") => {
                assert_eq!(got.request_uri(), Some("sip:now@127.0.0.1:6000"), "as the pivot of now is reached");
                assert_eq!(got.tag("To"), Some("nq"));
                let tag = format!(";tag={}", self.of_agent.as_ref().and_then(|ok| ok.tag("To")).expect("a tag"));
                // The other way round than in the recording.
                vec![to_agent("BYE", 2, "c", &tag, ""), (0, message("SIP/2.0 200 OK", &copied(&got, ""), ""))]
            }
            _ => Vec::new(),
        }
    }
}

/// Plays to the end; gives what was sent, when, and how it ended.
fn play(player: &mut Player, mut change: impl FnMut(String) -> Vec<String>) -> (Vec<(Duration, Turn)>, Turn) {
    let (mut now, mut fake, mut turns) = (Duration::ZERO, Fake::default(), Vec::new());
    loop {
        match player.turn(now) {
            Turn::Wait(until) => now = until,
            Turn::Connect => {
                turns.push((now, Turn::Connect));
                player.connected(now);
            }
            end @ (Turn::Same | Turn::Different(_)) => return (turns, end),
            turn => {
                turns.push((now, turn.clone()));
                if let Turn::Send { peer, datagram } = turn {
                    for (peer, text) in fake.takes(peer, &datagram) {
                        for text in change(text) {
                            player.received(peer, text.as_bytes(), now);
                        }
                    }
                }
            }
        }
    }
}

fn as_it_is(text: String) -> Vec<String> {
    vec![text]
}

#[test]
fn a_recorded_call_is_played_with_the_names_of_now() {
    let (turns, end) = play(&mut player(&trace(), 1), as_it_is);
    assert_eq!(end, Turn::Same, "{turns:?}");
    let sent: Vec<String> = turns
        .iter()
        .filter_map(|(_, turn)| match turn {
            Turn::Send { datagram, .. } => Some(String::from_utf8_lossy(datagram).into_owned()),
            _ => None,
        })
        .collect();
    let starts: Vec<_> = sent.iter().filter_map(|text| text.lines().next()).collect();
    let now = "sip:now@127.0.0.1:6000 SIP/2.0";
    assert_eq!(
        starts,
        [
            "INVITE sip:+1555@127.0.0.1:6000 SIP/2.0",
            "INVITE sip:+1555@127.0.0.1:6000 SIP/2.0",
            "SIP/2.0 200 OK",
            &format!("ACK {now}"),
            &format!("BYE {now}"),
            "SIP/2.0 200 OK"
        ]
    );
    assert_eq!(sent[0], sent[1], "a retransmission is the same, octet for octet");
    assert!(sent[0].contains("Contact: <sip:a@127.0.0.11:7001>\r\n"), "10.0.0.9 is not there: {}", sent[0]);
    assert!(sent[0].contains("m=audio 8001 RTP/AVP 0\r\n") && sent[2].contains("m=audio 8002 RTP/AVP 0\r\n"));
    assert!(sent[2].contains("Contact: <sip:g@127.0.0.12:7002>\r\n"), "{}", sent[2]);
    // The stream begins behind both descriptions; the recorded times are kept.
    let speak = Turn::Speak { party: "caller".to_owned(), stream: Stream { payload_type: 0, packets: 7 } };
    let spoken = turns.iter().find(|(_, turn)| *turn == speak).expect("the caller speaks");
    // The INVITE once more 20 ms behind the first, the agent's answer 10 ms behind the pivot's INVITE, and 1 ms.
    assert_eq!(spoken.0, Duration::from_millis(31));
    let at = |wanted: &dyn Fn(&Turn) -> bool| turns.iter().position(|(_, turn)| wanted(turn)).expect("it is there");
    let bye = at(&|turn| matches!(turn, Turn::Send { datagram, .. } if datagram.starts_with(b"BYE")));
    let connect = at(&|turn| *turn == Turn::Connect);
    assert_eq!(connect + 1, bye, "nobody hangs up before the target has the place");
    let times: Vec<_> =
        turns.iter().filter(|(_, turn)| matches!(turn, Turn::Send { .. })).map(|(at, _)| *at).take(2).collect();
    assert_eq!(times, [Duration::ZERO, Duration::from_millis(20)]);
}

#[test]
fn a_seed_makes_the_same_names() {
    let sent = |seed| play(&mut player(&trace(), seed), as_it_is).0;
    assert_eq!(sent(5), sent(5));
    assert_ne!(sent(5), sent(6));
}

/// How a changed pivot is told.
fn difference(change: impl FnMut(String) -> Vec<String>) -> Difference {
    match play(&mut player(&trace(), 2), change).1 {
        Turn::Different(difference) => *difference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_difference_is_named() {
    let of = |from: &'static str, to: &'static str| difference(move |text| vec![text.replace(from, to)]);
    let busy = of("SIP/2.0 200 OK", "SIP/2.0 486 Busy Here");
    assert_eq!((busy.message, busy.party.as_deref(), busy.peer.as_deref()), (Some(7), Some("caller"), Some(CALLER)));
    assert_eq!((&*busy.part, &*busy.expected, &*busy.got), ("status of 200 OK to INVITE", "200 OK", "486 Busy Here"));
    let other = of("INVITE sip:g@", "INVITE sip:h@");
    assert_eq!((other.message, &*other.expected, &*other.got), (Some(4), "g", "h"));
    let held = of("RTP/AVP 0\r\n", "RTP/AVP 0\r\na=inactive\r\n");
    assert_eq!((held.message, &*held.got), (Some(4), "audio RTP/AVP 0 inactive"));
    let lost = difference(|text| if text.starts_with("BYE") { Vec::new() } else { vec![text] });
    assert_eq!((lost.message, &*lost.part, &*lost.expected), (Some(12), "it did not come", "BYE"));
    let more = difference(|text| {
        let info = text.replace("ACK", "INFO");
        if text.starts_with("ACK") { vec![text, info] } else { vec![text] }
    });
    assert_eq!((more.message, &*more.got), (None, "INFO"));
    // What comes twice is no difference.
    assert_eq!(play(&mut player(&trace(), 3), |text| vec![text.clone(), text]).1, Turn::Same);
}

#[test]
fn without_pauses_nothing_waits_but_for_the_pivot() {
    let mut player = Player::new(
        script(&trace()).expect("it can be played"),
        Stage {
            pivot: "127.0.0.1:6000".parse().expect("an address"),
            peers: vec!["127.0.0.11:7001".parse().expect("one"), "127.0.0.12:7002".parse().expect("one")],
            media: BTreeMap::new(),
        },
        1,
        Pace { speed: None, patience: Duration::from_secs(1) },
    );
    let (turns, end) = play(&mut player, as_it_is);
    assert_eq!(end, Turn::Same);
    assert!(turns.iter().all(|(at, _)| at.is_zero()), "{turns:?}");
}

#[test]
fn what_cannot_be_played_says_why() {
    let why = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut trace = trace();
        change(&mut trace);
        script(&trace).expect_err("it is refused").to_string()
    };
    let replaced = |index: usize, from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        why(&move |trace| {
            trace[index]["text"] = trace[index]["text"].as_str().expect("text").replace(&from, &to).into();
        })
    };
    assert!(
        replaced(0, "CSeq:", "Authorization: Digest masked\r\nCSeq:")
            .contains("message 1 of the trace cannot be played: its sender")
    );
    assert!(replaced(3, "RTP/AVP", "RTP/SAVP").contains("message 4"), "SRTP");
    assert!(replaced(3, "CSeq:", "X:").contains("it has no CSeq"));
    assert!(why(&|trace| trace[1]["at_ms"] = (-1.0).into()).contains("`at_ms`"));
    assert!(why(&|trace| trace[1]["direction"] = "up".into()).contains("`direction`"));
    assert!(why(&|trace| trace.clear()).contains("pivot.trace_kib"));
    let whole = script(&trace()).expect("it can be played");
    assert_eq!(whole.notes.len(), 1, "the garbage is told: {:?}", whole.notes);
    assert_eq!(Recording::read(&bundle(&trace())).expect("a bundle").ordinal(), 1);
}

#[test]
fn a_damaged_bundle_is_refused_or_played_and_breaks_nothing() {
    let whole = bundle(&trace());
    for len in (0..whole.len() - 1024).step_by(97) {
        Recording::read(&whole[..len]).expect_err("a part is no bundle");
    }
    assert!(matches!(Recording::read(&[]), Err(ReplayError::NotATar(_))));
    assert!(matches!(Recording::read(b"no tar at all"), Err(ReplayError::NotATar(_))));
    let mut seed = 0x00c0_ffee;
    for _ in 0..300 {
        let mut damaged = whole.clone();
        for _ in 0..1 + next(&mut seed) % 8 {
            let at = (next(&mut seed) % damaged.len() as u64) as usize;
            damaged[at] = next(&mut seed) as u8;
        }
        // Whatever comes of it: no panic, and it ends.
        if let Ok(script) = Recording::read(&damaged).and_then(|recording| Script::of(&recording)) {
            let peers = script.peers.iter().map(|_| "127.0.0.11:7001".parse().expect("an address")).collect();
            let stage = Stage { pivot: "127.0.0.1:6000".parse().expect("an address"), peers, media: BTreeMap::new() };
            let pace = Pace { speed: Some(1.0), patience: Duration::from_secs(1) };
            let mut player = Player::new(script, stage, 1, pace);
            let mut now = Duration::ZERO;
            for _ in 0..100 {
                match player.turn(now) {
                    Turn::Wait(until) => now = until,
                    Turn::Send { datagram, .. } => player.received(0, &datagram, now),
                    Turn::Connect => player.connected(now),
                    _ => {}
                }
            }
        }
    }
}
