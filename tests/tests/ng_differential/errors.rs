//! What is answered to what is no good.

use patchcord_ng::{Dict, Value};
use patchcord_tests::ng::{Scenario, Setup, Stage};

use patchcord_tests::ng::descriptions::{audio, sdp};

/// Commands that are about a call.
const ABOUT_A_CALL: &[&str] = &[
    "offer",
    "answer",
    "delete",
    "query",
    "start recording",
    "stop recording",
    "start forwarding",
    "stop forwarding",
    "block DTMF",
    "unblock DTMF",
    "block media",
    "unblock media",
    "silence media",
    "unsilence media",
    "play media",
    "stop media",
    "play DTMF",
    "subscribe request",
    "subscribe answer",
    "unsubscribe",
];

pub(crate) const SCENARIOS: &[Scenario] = &[
    plain("messages", |stage| {
        for body in [
            &b"d7:command4:pinge"[..],
            b"{\"command\":\"ping\"}",
            b"de",
            b"{}",
            b"",
            b"i3e",
            b"le",
            b"hello",
            b" d7:command4:pinge",
            b"{\"command\":",
            b"d7:command99:pinge",
            b"d7:commandi4ee",
            b"d7:commandl4:pingee",
            b"d3:foo3:bare",
            b"d7:command4:pingexx",
            b"d7:command0:e",
            b"d7:command3:fooe",
        ] {
            stage.raw(body);
        }
    }),
    plain("datagrams that cannot be answered", |stage| {
        for bytes in [&b""[..], b"x", b"nothing", b"1_2\nd7:command4:pinge"] {
            stage.datagram(bytes);
        }
    }),
    plain("a request that is repeated", |stage| {
        for _ in 0..2 {
            stage.datagram(b"the-same-cookie-as-before d7:command4:pinge");
        }
    }),
    plain("no call is named", |stage| {
        stage.parties(["a"]);
        for &command in ABOUT_A_CALL {
            stage.request(&Dict::new().with("command", command));
            stage.request(&Dict::new().with("command", command).with("sdp", audio("a")));
        }
    }),
    plain("a call that nobody knows", |stage| {
        stage.parties(["a"]);
        for &command in ABOUT_A_CALL.iter().filter(|&&command| command != "offer") {
            stage.command(command, "a b", Dict::new().with("sdp", audio("a")));
        }
    }),
    plain("missing keys", |stage| {
        stage.parties(["a"]);
        stage.command("offer", "a", Dict::new());
        stage.command("offer", "", Dict::new().with("sdp", audio("a")));
        stage.offer("a", &audio("a"));
        stage.command("answer", "a b", Dict::new());
        stage.command("answer", "a", Dict::new().with("sdp", audio("a")));
        stage.command("answer", "- b", Dict::new().with("sdp", audio("a")));
    }),
    plain("values of the wrong kind", |stage| {
        stage.parties(["a"]);
        let call = |value: Value| Dict::new().with("command", "offer").with("call-id", value);
        stage.request(&call(5_i64.into()).with("from-tag", "a").with("sdp", audio("a")));
        stage.request(&call(Value::List(Vec::new())).with("from-tag", "a").with("sdp", audio("a")));
        stage.command("offer", "", Dict::new().with("from-tag", 7_i64).with("sdp", audio("a")));
        stage.command("offer", "a", Dict::new().with("sdp", Value::List(Vec::new())));
    }),
    plain("descriptions that are none", |stage| {
        stage.parties(["a"]);
        let good = audio("a");
        for bad in [
            "garbage garbage".to_owned(),
            good.replace("v=0\r\n", ""),
            good.replace("v=0", "v=1"),
            good.replace("o=- 17 1 IN IP4 127.0.0.1", "o=-"),
            good.replace("c=IN IP4 127.0.0.1\r\n", ""),
            good.replace("c=IN IP4 127.0.0.1", "c=IN IP4 localhost"),
            good.replace("{a}", "x"),
            good.replace("{a}", "-5"),
            good.replace("{a}", "70000"),
            good.replace("RTP/AVP 0 8", "RTP/AVP x"),
            good.replace("RTP/AVP 0 8", "RTP/AVP 200"),
            good.replace("m=audio {a} RTP/AVP 0 8", "m=audio"),
            [good.as_str(), "hello\r\n"].concat(),
            [good.as_str(), "z\r\n"].concat(),
            sdp(&[]),
        ] {
            stage.next_call();
            stage.offer("a", &bad);
        }
    }),
    plain("descriptions that lack what is not needed", |stage| {
        stage.parties(["a"]);
        let good = audio("a");
        for poor in [
            good.replace("o=- 17 1 IN IP4 127.0.0.1\r\n", ""),
            good.replace("s=-\r\n", ""),
            good.replace("t=0 0\r\n", ""),
        ] {
            stage.next_call();
            stage.offer("a", &poor);
        }
    }),
    plain("an answer that is no good leaves the call as it was", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", "garbage garbage");
        stage.answer("a b", &audio("b").replace("c=IN IP4 127.0.0.1\r\n", ""));
        stage.answer("a b", &audio("b"));
        stage.offer("a b", "garbage garbage");
        stage.offer("a b", &audio("a"));
    }),
    plain("the source of the signalling without being told it", |stage| {
        stage.parties(["a"]);
        let flags = || Dict::new().with("flags", vec!["SIP source address"]);
        stage.offer_with("a", &audio("a"), flags());
        stage.offer_with("a", &audio("a"), flags().with("received-from", vec!["IP4"]));
        stage.offer_with("a", &audio("a"), flags().with("received-from", vec!["IP4", "nowhere"]));
    }),
    plain("lists of calls", |stage| {
        for limit in [Value::from(-1_i64), Value::from(0_i64), Value::from("0")] {
            stage.request(&Dict::new().with("command", "list").with("limit", limit));
        }
    }),
    plain("tags that nobody knows", |stage| {
        stage.parties(["a", "b"]);
        stage.offer("a", &audio("a"));
        stage.answer("a b", &audio("b"));
        for command in ["block media", "unblock media", "silence media", "block DTMF", "start forwarding", "stop media"]
        {
            stage.command(command, "nobody", Dict::new());
        }
        for command in ["block media", "silence media", "block DTMF"] {
            stage.command(command, "", Dict::new().with("label", "nobody"));
        }
        for command in ["play media", "play DTMF", "subscribe request"] {
            stage.command(command, "nobody", Dict::new());
            stage.command(command, "", Dict::new());
        }
    }),
];

const fn plain(name: &'static str, run: fn(&mut Stage)) -> Scenario {
    Scenario { name, setup: Setup::Plain, run }
}
