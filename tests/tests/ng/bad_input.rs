//! Bad input over ng: an error with a reason, and other calls untouched.

use core::fmt::Write as _;

use patchcord_ng::{Dict, Message, Value, bencode};
use patchcord_tests::ng::Stage;
use patchcord_tests::ng::descriptions::{audio, sdp};

use crate::fronts::Fronts;
use crate::{call, heard, relay};

#[test]
fn what_cannot_be_obeyed_is_refused_with_a_reason_and_disturbs_no_call() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    let good = audio("a").replace("{a}", "4000");
    let many = (0..1_000).fold(good.clone(), |mut sdp, _| {
        let _ = write!(sdp, "m=audio 4000 RTP/AVP 0\r\n");
        sdp
    });
    let whole = encoded(&offer(&good));
    let mut bad: Vec<Vec<u8>> = bombs();
    bad.extend([
        b"d7:command5:offer3:sdp99999999999999999999:xe".to_vec(),
        b"d7:commandi99999999999999999999999999ee".to_vec(),
        b"{\"command\": \"offer\", \"sdp\": \"\\ud800\"}".to_vec(),
        b"d7:commandle".to_vec(),
        b"d7:command5:offere".to_vec(),
        b"le".to_vec(),
        b"i1e".to_vec(),
        encoded(&offer(&many)),
        encoded(&offer(&good.replace("4000", "-1"))),
        encoded(&offer(&good.replace("4000", "65536"))),
        encoded(&offer("\r\n\r\n\r\n")),
        encoded(&offer(&"a=".repeat(20_000))),
        encoded(&offer(&good.replace("127.0.0.1", &"1".repeat(10_000)))),
    ]);
    for key in ["call-id", "from-tag", "sdp"] {
        let mut dict = offer(&good);
        dict.0.retain(|(name, _)| **name != *key.as_bytes());
        bad.push(encoded(&dict));
    }
    bad.extend((1..whole.len()).step_by(7).map(|len| whole[..len].to_vec()));
    for bytes in &bad {
        refused(&stage.raw(bytes), bytes);
    }
    alive(&mut stage, &towards_b, &towards_a);
}

#[test]
fn as_much_as_a_datagram_can_hold_is_answered() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    let sdp = audio("a").replace("{a}", "4000");
    // 65,507 bytes with the cookie: no datagram is longer (RFC 768, RFC 791).
    for fill in ["x", "d", "l", "a=x\r\n", "m=audio 4000 RTP/AVP 0\r\n", "\0"] {
        let longest = |dict: &dyn Fn(&str) -> Dict| {
            let room = 65_507 - 40 - encoded(&dict("")).len();
            encoded(&dict(&fill.repeat(room / fill.len())))
        };
        for bytes in [
            longest(&|fill| offer(&format!("{sdp}{fill}"))),
            longest(&|fill| offer(&sdp).with("flags", fill)),
            encoded(&offer(&sdp).with("flags", vec![fill; 60_000 / (fill.len() + 3)])),
            longest(&|fill| offer(&sdp).with("rtpp-flags", fill)),
            longest(&|fill| offer(&sdp).with("label", fill)),
            longest(&|fill| Dict::new().with("command", fill)),
            longest(&|fill| Dict::new().with("command", "query").with("call-id", fill)),
            fill.repeat(65_400 / fill.len()).into_bytes(),
        ] {
            let reply = stage.raw(&bytes);
            assert!(reply.starts_with(b"d6:result"), "{}", reply.escape_ascii());
        }
    }
    alive(&mut stage, &towards_b, &towards_a);
}

#[test]
fn what_does_not_belong_to_a_dialogue_is_refused() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    let before = relay.client().call(stage.call());
    for (command, tags, reason) in [
        // Nobody with the tag has offered anything, and who has is answered already or asks himself.
        ("answer", "x b", "Invalid dialogue association"),
        ("answer", "x y", "Invalid dialogue association"),
        ("answer", "a a", "Invalid dialogue association"),
        ("offer", "a a", "Invalid dialogue association"),
        ("answer", "a", "No to-tag in message"),
        ("answer", "", "No from-tag in message"),
        ("offer", "", "No from-tag in message"),
        ("connect", "a a", "Invalid dialogue association"),
        ("connect", "a x", "Invalid dialogue association"),
        ("connect", "a", "No to-tag in message"),
        ("block media", "x", "From-tag given, but no such tag exists"),
        ("play media", "a", "No media file specified"),
    ] {
        let reply = stage.command(command, tags, Dict::new().with("sdp", audio("a")));
        assert_eq!((reply.result().as_str(), reply.reason().as_str()), ("error", reason), "{command} {tags}");
        let after = relay.client().call(stage.call());
        for field in ["parties", "bridges"] {
            assert_eq!(after[field], before[field], "{command} {tags}");
        }
    }
    alive(&mut stage, &towards_b, &towards_a);
    // An answer to a call that nobody offered.
    stage.next_call();
    let reply = stage.answer("a b", &audio("b"));
    assert_eq!((reply.result().as_str(), reply.reason().as_str()), ("error", "Unknown call-id"));
    assert!(relay.client().request("GET", &format!("/v1/calls/{}", stage.call()), "").status == 404);
}

/// A tag of one call says nothing in another, and one that two parties of a call come to have refuses the second.
#[test]
fn tags_that_collide_keep_calls_apart() {
    let (relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "c", "d"]);
    let [towards_b, towards_a] = call(&mut stage);
    let first = stage.call().to_owned();
    alive(&mut stage, &towards_b, &towards_a);
    let names = |call: &str| relay.client().call(call)["parties"].clone();
    let before = names(&first);
    // The answerer of another branch wants the offerer's tag, and that of its sibling.
    let branch = |name: &str| Dict::new().with("via-branch", name);
    assert_eq!(stage.offer_with("a", &audio("a"), branch("z")).result(), "ok");
    let reply = stage.answer_with("a a", &audio("c"), branch("z"));
    assert_eq!(reply.reason(), "Invalid dialogue association");
    // The same tags in another call are other parties.
    stage.next_call();
    let offered = stage.offer("a", &audio("c"));
    let answered = stage.answer("a b", &audio("d"));
    let (towards_d, towards_c) = (offered.port().to_owned(), answered.port().to_owned());
    assert_eq!(heard(&mut stage, "c", &towards_c).len(), 1);
    assert_eq!(heard(&mut stage, "d", &towards_d).len(), 1);
    assert_eq!(stage.command("delete", "a b", Dict::new().with("delete-delay", 0_i64)).result(), "ok");
    let after = names(&first);
    for party in before.as_array().unwrap() {
        assert!(after.as_array().unwrap().contains(party), "{party} is gone: {after}");
    }
}

#[test]
fn garbage_on_any_front_ends_at_most_its_own_connection() {
    let fronts = Fronts::start("garbage");
    let mut stage = Stage::new(fronts.udp, &[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    for (name, mut front) in fronts.connect() {
        // A stream has no other end of a message than that of its dictionary.
        let is_stream = !front.takes_json();
        for bomb in bombs().iter().filter(|bomb| !is_stream || bomb.ends_with(b"e")) {
            refused(&front.raw(bomb), bomb);
        }
        for dict in
            [offer("garbage"), Dict::new(), Dict::new().with("command", "answer"), offer("").with("call-id", "")]
        {
            let bytes = encoded(&dict);
            refused(&front.raw(&bytes), &bytes);
        }
        assert_eq!(
            front.request(&Dict::new().with("command", "ping")).text("result").as_deref(),
            Some("pong"),
            "{name}"
        );
        alive(&mut stage, &towards_b, &towards_a);
    }
    for (name, bytes) in [
        ("no dictionary", b"hello, who is there?".to_vec()),
        ("no value", b"1 hello".to_vec()),
        ("a cookie without end", vec![b'x'; 70_000]),
        ("a message without end", [b"1 d".to_vec(), b"1:a".repeat(30_000)].concat()),
        ("a string without end", b"1 d7:command99999999:x".to_vec()),
        ("HTTP", b"POST /ng HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(30)),
        ("zeroes", vec![0; 5_000]),
    ] {
        let mut front = fronts.tcp();
        assert!(front.exact(b"1 d7:command4:pinge").is_some_and(|reply| reply.starts_with(b"1 ")), "{name}");
        assert_eq!(front.exact(&bytes), None, "{name}: the connection is closed");
        alive(&mut stage, &towards_b, &towards_a);
    }
    // A connection that ends within a message has said nothing.
    let whole = [b"1 ", &encoded(&offer(&audio("a").replace("{a}", "4000")))[..]].concat();
    for len in (1..whole.len()).step_by(31) {
        let mut front = fronts.tcp();
        front.send(&whole[..len]);
        front.finish();
        assert_eq!(front.next(&[]), None, "{len} bytes of a message");
    }
    // HTTP says it by the status, WebSocket by silence, or by the end where a frame is too long.
    for (name, mut front) in fronts.connect().into_iter().filter(|(name, front)| front.cookies() && !name.contains(' '))
    {
        match name {
            "HTTP" => {
                for bytes in [&b""[..], b"nocookie", b" de", &[b'x'; 70_000]] {
                    assert_eq!(front.exact(bytes), None, "{name}: {} bytes", bytes.len());
                }
                assert!(front.exact(b"1 d7:command4:pinge").is_some());
            }
            "WebSocket" => {
                for bytes in [&b""[..], b"nocookie", b" de"] {
                    front.send(bytes);
                }
                assert!(front.exact(b"ping d7:command4:pinge").unwrap().starts_with(b"ping "), "and nothing before");
                assert_eq!(front.exact(&[b'x'; 200_000]), None, "{name}: closed");
            }
            _ => {}
        }
    }
    alive(&mut stage, &towards_b, &towards_a);
    assert_eq!(fronts.relay.client().request("GET", "/v1/calls/bad", "").status, 404, "no offer was whole");
}

fn offer(sdp: &str) -> Dict {
    Dict::new().with("command", "offer").with("call-id", "bad").with("from-tag", "a").with("sdp", sdp)
}

fn encoded(dict: &Dict) -> Vec<u8> {
    let mut bytes = Vec::new();
    bencode::encode_dict(dict, &mut bytes);
    bytes
}

/// Small messages that mean to become large, or deep.
fn bombs() -> Vec<Vec<u8>> {
    vec![
        vec![b'd'; 60_000],
        [vec![b'd'; 30_000], vec![b'e'; 30_000]].concat(),
        [b"d7:command".as_slice(), &[b'l'; 60_000]].concat(),
        [b"d7:command".as_slice(), &[b'l'; 30_000], &[b'e'; 30_001]].concat(),
        [b"d7:command".as_slice(), &b"d1:a".repeat(10_000), &[b'e'; 10_001]].concat(),
        [b"d7:command".as_slice(), b"l", &b"le".repeat(30_000), b"ee"].concat(),
        [b"{\"command\":".as_slice(), &[b'['; 60_000]].concat(),
        [b"{\"command\":".as_slice(), &b"{\"a\":".repeat(10_000)].concat(),
    ]
}

/// The reply says that it is an error, and why.
fn refused(reply: &[u8], request: &[u8]) {
    let begin = request[..request.len().min(200)].escape_ascii();
    let dict = Message::plain(reply).dict().unwrap_or_else(|error| panic!("{error}: {}", reply.escape_ascii()));
    assert_eq!(dict.text("result").as_deref(), Some("error"), "{begin} -> {dict:?}");
    assert!(!dict.text("error-reason").unwrap_or_default().is_empty(), "{begin} -> {dict:?}");
}

#[test]
fn keys_of_the_wrong_kind_are_refused_or_ignored() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    let deep = (0..20).fold(Value::from("x"), |inner, _| Value::List(vec![inner]));
    for key in [
        "from-tag",
        "to-tag",
        "sdp",
        "flags",
        "replace",
        "direction",
        "received-from",
        "rtcp-mux",
        "ICE",
        "codec",
        "via-branch",
        "address family",
        "media address",
        "delete-delay",
        "rtpp-flags",
        "label",
        "limit",
        "supports",
    ] {
        for value in [Value::from(-1_i64), deep.clone(), Value::Dict(Dict::new()), Value::from(vec![0xff_u8, 0xfe])] {
            for command in ["offer", "answer", "query", "list", "delete"] {
                let mut request = Dict::new().with("command", command).with("call-id", "bad");
                request.set(key, value.clone());
                if key != "sdp" {
                    request.set("sdp", sdp(&["m=audio 4000 RTP/AVP 0"]));
                }
                for tag in ["from-tag", "to-tag"].into_iter().filter(|tag| *tag != key) {
                    request.set(tag, tag);
                }
                let reply = stage.request(&request);
                assert!(!reply.result().is_empty(), "{command} with {key}: {reply:?}");
                assert!(reply.result() != "error" || !reply.reason().is_empty(), "{reply:?}");
            }
        }
    }
    alive(&mut stage, &towards_b, &towards_a);
}

#[test]
fn an_exchange_that_is_refused_leaves_the_call_as_it_was() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    for bad in [
        "garbage".to_owned(),
        String::from_utf8_lossy(&[0, 1, 2, 0xff]).into_owned(),
        sdp(&["m=audio x RTP/AVP 0"]),
        sdp(&["m=audio 4000 RTP/AVP 0", "c=IN IP4 nowhere"]),
    ] {
        for command in ["offer", "answer"] {
            let refused = stage.command(command, "a b", Dict::new().with("sdp", bad.as_str()));
            assert_eq!(refused.result(), "error", "{command} {bad:?}: {refused:?}");
            alive(&mut stage, &towards_b, &towards_a);
        }
    }
    let tags = stage.command("query", "a", Dict::new());
    assert_eq!(tags.dict.dict("tags").map(|tags| tags.0.len()), Some(2), "{tags:?}");
}

fn alive(stage: &mut Stage, towards_b: &str, towards_a: &str) {
    for (party, port) in [("a", towards_a), ("b", towards_b)] {
        let heard = heard(stage, party, port);
        assert_eq!(heard.len(), 1, "{party}: {heard:?}");
    }
}
