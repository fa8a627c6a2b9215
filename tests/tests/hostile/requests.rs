//! Requests that cannot be done: each is refused with the code that docs/http-api.md promises, and changes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use patchcord_lab::endpoint::Endpoints;
use patchcord_tests::stage::join;
use patchcord_tests::{Client, Relay};
use serde_json::{Value, json};

/// What of a call's state a refused command must leave alone.
fn shape(client: &Client) -> Vec<Value> {
    let state = client.call("c1");
    let leg = |leg: &Value| json!([leg["party"], leg["local"], leg["peer"], leg["hears"], leg["held"], leg["pending"]]);
    let mut shape: Vec<Value> = state["legs"].as_array().unwrap().iter().map(leg).collect();
    shape.extend([state["bridges"].clone(), state["cut_overs"].clone()]);
    shape
}

#[test]
fn malformed_requests_are_refused_with_the_reason() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    let too_deep = "[".repeat(10_000);
    let too_large = format!("{{\"id\": \"x\", \"command\": \"bridge\", \"a\": \"{}\"}}", "a".repeat(70_000));
    let too_many = json!({"id": "x", "commands": vec![json!({"command": "mute", "party": "a"}); 65]}).to_string();
    let long_id = json!({"id": "i".repeat(129), "command": "mute", "party": "a"}).to_string();
    // Body, status, code, and a word that must be in the message.
    let bodies: [(&str, u16, &str, &str); 18] = [
        ("", 400, "malformed-json", "line 1"),
        ("{", 400, "malformed-json", "line 1"),
        ("{\"id\": \"x\",\n \"command\": bridge}", 400, "malformed-json", "line 2"),
        ("\u{0}", 400, "malformed-json", "line 1"),
        (&too_deep, 400, "", ""),
        ("[]", 400, "", ""),
        ("null", 400, "", ""),
        ("{}", 400, "", ""),
        (r#"{"id": "x"}"#, 400, "", "command"),
        (r#"{"command": "mute", "party": "a"}"#, 400, "", "id"),
        (r#"{"id": "", "command": "mute", "party": "a"}"#, 400, "bad-request", "id"),
        (&long_id, 400, "bad-request", "128"),
        (r#"{"id": "x", "command": "explode", "party": "a"}"#, 400, "", "explode"),
        (r#"{"id": "x", "command": "mute", "party": 7}"#, 400, "bad-request", ""),
        (r#"{"id": "x", "command": "mute", "party": "a", "patry": "b"}"#, 400, "unknown-field", "patry"),
        (r#"{"id": "x", "commands": []}"#, 400, "bad-request", ""),
        (&too_many, 400, "bad-request", "64"),
        (&too_large, 413, "too-large", "65536"),
    ];
    for (body, status, code, word) in bodies {
        let answer = client.request("POST", "/v1/calls/c1/commands", body);
        let told = format!("{:.80}: {answer:?}", body.to_owned());
        assert_eq!(answer.status, status, "{told}");
        assert!(!answer.code().is_empty() && answer.message().contains(word), "{told}");
        assert!(code.is_empty() || answer.code() == code, "{told}");
    }
    let values = [
        json!({"command": "leg-create", "party": "a", "codecs": ["PCMU"], "remote": "nowhere"}),
        json!({"command": "leg-create", "party": "a", "codecs": ["PCMU"], "remote": "127.0.0.1:70000"}),
        json!({"command": "leg-create", "party": "a", "codecs": ["200 opus/48000"]}),
        json!({"command": "leg-create", "party": "a", "codecs": ["NOSUCHCODEC"]}),
        json!({"command": "leg-create", "party": "a", "codecs": "PCMU"}),
        json!({"command": "leg-create", "party": "", "codecs": []}),
        json!({"command": "leg-create", "party": "a", "codecs": [], "latch": {"mode": "perhaps"}}),
        json!({"command": "leg-create", "party": "a", "codecs": [], "media_timeout_ms": -1}),
        json!({"command": "swap", "survivor": "a", "old": "b", "new": "c", "trigger": {"after_ms": "soon"}}),
    ];
    for value in values {
        let answer = client.try_command("c1", value.clone());
        assert_eq!((answer.status, answer.code()), (400, "bad-request"), "{value}: {answer:?}");
        assert!(!answer.message().is_empty(), "{value}: {answer:?}");
    }
    for (method, path, status, code) in [
        ("GET", "/v1/nothing", 404, "unknown-path"),
        ("PUT", "/v1/calls", 405, "method-not-allowed"),
        ("GET", "/v1/calls/c1/commands", 405, "method-not-allowed"),
        ("GET", "/v1/calls/%ff", 400, "bad-request"),
        ("GET", "/v1/events?kall=c1", 400, "bad-request"),
        ("DELETE", "/v1/calls/c1?name=c1", 400, "bad-request"),
    ] {
        let answer = client.request(method, path, "");
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {path}: {answer:?}");
    }
    assert_eq!(client.call("c1")["legs"], json!([]), "nothing was done");
}

#[test]
fn what_is_not_http_ends_its_own_connection_only() {
    let mut relay = Relay::start(&["--workers", "1"]);
    let address = relay.client().base().trim_start_matches("http://").to_owned();
    let invalid_utf8 =
        b"POST /v1/calls HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"call\": \"\xff\xfe\"}".to_vec();
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes();
    let half = b"POST /v1/calls HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{".to_vec();
    for garbage in [b"\x16\x03\x01\x02\x00garbage\r\n\r\n".to_vec(), vec![0; 4096], invalid_utf8, long_header, half] {
        let mut connection = TcpStream::connect(&address).unwrap();
        // The relay may close before everything is written.
        let _ = connection.write_all(&garbage);
        let _ = connection.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(relay.is_running());
    assert_eq!(relay.client().get("/v1/calls"), json!({"calls": []}));
    assert!(!relay.stderr().contains("panicked"), "{}", relay.stderr());
}

#[test]
fn unknown_names_are_named() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    client.command("c1", json!({"command": "leg-create", "party": "alice", "codecs": ["PCMU"]}));
    client.command("c1", json!({"command": "leg-create", "party": "bob", "codecs": ["PCMU"]}));
    let before = shape(client);

    let answer = client.request("GET", "/v1/calls/c2", "");
    assert_eq!((answer.status, answer.code()), (404, "unknown-call"));
    assert!(answer.message().contains("c2"), "{answer:?}");
    let answer = client.try_command("c2", json!({"command": "mute", "party": "alice"}));
    assert_eq!((answer.status, answer.code()), (404, "unknown-call"));
    let answer = client.try_command("c1", json!({"command": "bridge", "a": "alice", "b": "carol"}));
    assert_eq!((answer.status, answer.code()), (404, "unknown-party"));
    for word in ["carol", "alice", "bob"] {
        assert!(answer.message().contains(word), "{answer:?} names {word}");
    }
    let answer = client.try_command("c1", json!({"command": "rollback", "of": "never"}));
    assert_eq!((answer.status, answer.code()), (404, "unknown-id"));
    assert!(answer.message().contains("never"), "{answer:?}");
    let answer = client.try_command("c1", json!({"command": "play", "party": "alice", "audio": "opera"}));
    assert_eq!((answer.status, answer.code()), (422, "unknown-audio"));
    let elsewhere = json!({"command": "leg-create", "party": "carol", "codecs": [], "interface": "moon"});
    let answer = client.try_command("c1", elsewhere);
    assert_eq!((answer.status, answer.code()), (422, "unknown-interface"));
    let answer = client.try_command("c1", json!({"command": "leg-create", "party": "alice", "codecs": []}));
    assert_eq!((answer.status, answer.code()), (409, "party-exists"));
    let answer = client.request("POST", "/v1/calls", r#"{"call": "c1"}"#);
    assert_eq!((answer.status, answer.code()), (409, "call-exists"));
    let answer = client.try_command("c1", json!({"command": "unbridge", "a": "alice", "b": "bob"}));
    assert_eq!((answer.status, answer.code()), (409, "not-bridged"));
    let answer = client.try_command("c1", json!({"command": "resume", "party": "alice"}));
    assert_eq!((answer.status, answer.code()), (409, "not-held"));
    assert_eq!(shape(client), before);
}

#[test]
fn an_id_stands_for_one_content() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    let create = json!({"id": "one", "command": "leg-create", "party": "alice", "codecs": ["PCMU"]});
    let first = client.try_command("c1", create.clone());
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(client.try_command("c1", create), first, "a repeat has the first answer");
    let other = json!({"id": "one", "command": "leg-create", "party": "bob", "codecs": ["PCMU"]});
    let answer = client.try_command("c1", other);
    assert_eq!((answer.status, answer.code()), (409, "id-reused"));
    assert!(answer.message().contains("one"), "{answer:?}");
    assert_eq!(client.call("c1")["parties"], json!(["alice"]));

    // A refusal is an answer too.
    let wrong = json!({"id": "two", "command": "mute", "party": "nobody"});
    let refused = client.try_command("c1", wrong.clone());
    client.command("c1", json!({"command": "leg-create", "party": "nobody", "codecs": []}));
    assert_eq!(client.try_command("c1", wrong), refused);

    let delete = client.request("DELETE", "/v1/calls/c1?id=end", "");
    assert_eq!(delete.status, 200);
    let again = client.request("DELETE", "/v1/calls/c1?id=end", "");
    assert_eq!(again, delete, "a repeated deletion has the first answer");
}

#[test]
fn a_swap_onto_a_party_of_another_call_is_refused_as_a_whole() {
    let relay = Relay::start(&["--workers", "1"]);
    let client = relay.client();
    client.create_call("c1");
    client.create_call("c2");
    let endpoints = Endpoints::start().unwrap();
    let _parties = ["survivor", "old"].map(|party| join(client, "c1", &endpoints, party));
    let _stranger = join(client, "c2", &endpoints, "stranger");
    client.command("c1", json!({"command": "bridge", "a": "survivor", "b": "old"}));
    let before = shape(client);

    let swap = json!({"command": "swap", "survivor": "survivor", "old": "old", "new": "stranger"});
    let answer = client.try_command("c1", swap.clone());
    assert_eq!((answer.status, answer.code()), (404, "unknown-party"));
    for word in ["c1", "stranger", "survivor", "old"] {
        assert!(answer.message().contains(word), "{answer:?} names {word}");
    }
    // In a batch it takes with it what came before.
    let create = json!({"command": "leg-create", "party": "late", "codecs": ["PCMU"]});
    let mute = json!({"command": "mute", "party": "old"});
    let answer = client.try_command("c1", json!({"commands": [create, mute, swap]}));
    assert_eq!((answer.status, answer.code(), &answer.body["error"]["command"]), (404, "unknown-party", &json!(2)));
    assert_eq!(shape(client), before);
    assert_eq!(client.leg("c1", "old")["muted"], false);
    assert_eq!(client.leg("c2", "stranger")["hears"], "silence");
    // Without a survivor's peer there is nothing to swap.
    let swap = json!({"command": "swap", "survivor": "survivor", "old": "survivor", "new": "old"});
    let answer = client.try_command("c1", swap);
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(shape(client), before);
}
