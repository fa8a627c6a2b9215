//! Bad input over ng: an error with a reason, and other calls untouched.

use core::fmt::Write as _;

use patchcord_ng::{Dict, Value, bencode};
use patchcord_tests::ng::Stage;
use patchcord_tests::ng::descriptions::{audio, sdp};

use crate::{call, heard, relay};

#[test]
fn nothing_that_is_sent_disturbs_a_call() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    let [towards_b, towards_a] = call(&mut stage);
    let good = audio("a").replace("{a}", "4000");
    let many = (0..1_000).fold(good.clone(), |mut sdp, _| {
        let _ = write!(sdp, "m=audio 4000 RTP/AVP 0\r\n");
        sdp
    });
    let offer =
        |sdp: &str| Dict::new().with("command", "offer").with("call-id", "bad").with("from-tag", "a").with("sdp", sdp);
    let encoded = |dict: &Dict| {
        let mut bytes = Vec::new();
        bencode::encode_dict(dict, &mut bytes);
        bytes
    };
    let whole = encoded(&offer(&good));
    let mut bad: Vec<Vec<u8>> = vec![
        vec![b'd'; 60_000],
        [b"d7:command".as_slice(), &[b'l'; 60_000]].concat(),
        b"d7:command5:offer3:sdp99999999999999999999:xe".to_vec(),
        b"d7:commandi99999999999999999999999999ee".to_vec(),
        encoded(&offer(&many)),
        encoded(&offer(&good.replace("4000", "-1"))),
        encoded(&offer(&good.replace("4000", "65536"))),
        encoded(&offer("\r\n\r\n\r\n")),
        encoded(&offer(&"a=".repeat(20_000))),
        encoded(&offer(&good.replace("127.0.0.1", &"1".repeat(10_000)))),
        encoded(&offer(&good).with("flags", vec!["x"; 5_000])),
    ];
    bad.extend((1..whole.len()).step_by(7).map(|len| whole[..len].to_vec()));
    for bytes in &bad {
        // Whatever it is, it is answered: the cookie is good.
        let reply = stage.raw(bytes);
        assert!(reply.starts_with(b"d"), "{}", reply.escape_ascii());
    }
    alive(&mut stage, &towards_b, &towards_a);
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
