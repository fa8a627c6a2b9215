//! What OpenSIPS's module sends for the configuration in docs/opensips.md: over a UNIX stream socket, with keys in no order,
//! flags as a list of words, and a `delete` without from-tag. No OpenSIPS takes part: Debian 12 has no package of it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use patchcord_ng::{Dict, Message, Splitter};
use patchcord_tests::{Folder, Relay, eventually};

/// A connection, as one of OpenSIPS's processes keeps it.
struct Proxy {
    stream: UnixStream,
    cookie: u32,
}

impl Proxy {
    fn ask(&mut self, bencode: &str) -> Dict {
        self.cookie += 1;
        let cookie = format!("4711_{}", self.cookie);
        self.stream.write_all(format!("{cookie} {bencode}").as_bytes()).unwrap();
        let (mut reply, mut splitter, mut chunk) = (Vec::new(), Splitter::default(), [0; 4096]);
        loop {
            let len = self.stream.read(&mut chunk).unwrap();
            assert_ne!(len, 0, "the relay has closed the connection");
            reply.extend_from_slice(&chunk[..len]);
            if let Some(len) = splitter.next(&reply).unwrap() {
                let message = Message::split(&reply[..len]).unwrap();
                assert_eq!(message.cookie, cookie.as_bytes());
                return message.dict().unwrap();
            }
        }
    }
}

fn text(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A dictionary with its keys in the order in which they are given: bencode asks for another one.
fn dict(entries: &[(&str, String)]) -> String {
    let entries: String = entries.iter().map(|(key, value)| text(key) + value).collect();
    format!("d{entries}e")
}

fn sdp(port: u16) -> String {
    let lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"].join("\r\n");
    text(&format!("{lines}\r\nm=audio {port} RTP/AVP 0\r\n"))
}

#[test]
fn a_call_over_a_unix_socket_is_set_up_and_deleted() {
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "opensips");
    let path = folder.path().join("ng.sock");
    let relay = Relay::start(&["--ng", &format!("unix:{}", path.display()), "--set", "ng.delete_delay_s=0"]);
    let mut proxy = Proxy { stream: UnixStream::connect(&path).unwrap(), cookie: 0 };
    assert_eq!(proxy.ask(&dict(&[("command", text("ping"))])).text("result").unwrap(), "pong");

    let flags = |words: &[&str]| format!("l{}e", words.iter().map(|word| text(word)).collect::<String>());
    let origin = |command: &str, sdp: String, tags: &[(&str, String)]| {
        let begin = [("sdp", sdp), ("replace", flags(&["origin"])), ("flags", flags(&["trust-address"]))];
        let end = [
            ("received-from", flags(&["IP4", "127.0.0.1"])),
            ("call-id", text("os-1@127.0.0.1")),
            ("command", text(command)),
        ];
        dict(&[&begin, tags, &end].concat())
    };
    let offered = proxy.ask(&origin("offer", sdp(40_000), &[("from-tag", text("caller"))]));
    assert_eq!(offered.text("result").unwrap(), "ok", "{offered:?}");
    let tags = [("to-tag", text("callee")), ("from-tag", text("caller"))];
    let answered = proxy.ask(&origin("answer", sdp(40_002), &tags));
    assert_eq!(answered.text("result").unwrap(), "ok", "{answered:?}");
    let state = relay.client().call("os-1@127.0.0.1");
    assert_eq!(state["parties"], serde_json::json!(["caller", "callee"]), "{state}");

    let deleted = proxy.ask(&dict(&[("command", text("delete")), ("call-id", text("os-1@127.0.0.1"))]));
    assert_eq!(deleted.text("result").unwrap(), "ok", "{deleted:?}");
    eventually("the call is gone", || {
        relay.client().get("/v1/calls")["calls"].as_array().unwrap().is_empty().then_some(())
    });
}

/// Whoever changes the document's flags or its socket has to look at this test.
#[test]
fn the_document_has_what_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("docs/opensips.md")).unwrap();
    assert!(document.contains(r#""rtpengine_sock", "unix:"#), "the socket is a UNIX socket");
    let mut calls = 0;
    for call in document.split("rtpengine_") {
        let arguments = call.strip_prefix("manage(").or_else(|| call.strip_prefix("delete("));
        let Some((arguments, _)) = arguments.and_then(|arguments| arguments.split_once(')')) else { continue };
        assert!(["", "\"replace-origin\""].contains(&arguments), "rtpengine_...({arguments}) is not tested");
        calls += 1;
    }
    assert!(calls >= 4, "it shows a configuration");
    assert!(document.contains("no test runs this configuration"), "it says what is not tested");
}
