//! Audio that is uploaded, fetched, listed, played and deleted, through a real listener.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use patchcord_codec::tone::sine;
use patchcord_codec::wav;
use serde_json::{Value, json};

use crate::http::Server;

fn put(server: &Server, name: &str, content_type: &str, body: impl AsRef<[u8]>) -> (u16, Value) {
    let header = if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    let (status, _, body) = server.request("PUT", &format!("/v1/audio/{name}"), &header, body);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[track_caller]
fn assert_refused((status, answer): (u16, Value), expected: u16, code: &str, words: &str) {
    let error = &answer["error"];
    assert_eq!((status, &error["code"]), (expected, &json!(code)), "{answer}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{answer}");
}

fn tone() -> Vec<u8> {
    wav::to_bytes(&sine(500.0, -20.0, 100, 8000))
}

#[test]
fn what_is_uploaded_can_be_played_until_it_is_deleted_and_beyond() {
    let server = Server::with(|_| {});
    let (status, state) = put(&server, "welcome", "audio/wav", tone());
    assert_eq!(status, 201, "{state}");
    assert_eq!(
        state,
        json!({
            "name": "welcome", "source": "upload", "duration_ms": 100, "bytes": 2800,
            "formats": ["PCMU/8000", "PCMA/8000", "G722/8000", "opus/48000"],
        })
    );
    let (_, list) = server.json("GET", "/v1/audio", "");
    let listed: Vec<_> =
        list["audio"].as_array().unwrap().iter().map(|audio| (&audio["name"], &audio["source"])).collect();
    assert_eq!(json!(listed), json!([["hold", "file"], ["silence", "built-in"], ["welcome", "upload"]]));
    server.json("POST", "/v1/calls", r#"{"call": "c"}"#);
    let run = |body: Value| server.json("POST", "/v1/calls/c/commands", &body.to_string());
    run(json!({"id": "1", "command": "leg-create", "party": "a", "codecs": ["PCMU"], "remote": "10.0.0.9:4000"}));
    let play = |id: &str| json!({"id": id, "command": "play", "party": "a", "audio": "welcome", "repeat": "forever"});
    assert_eq!(run(play("2")).0, 200);
    // Another one of the name is a new sound, and the call goes on with the old one.
    assert_eq!(put(&server, "welcome", "audio/PCMU", [0xFF; 480]).0, 200);
    assert_eq!(server.json("GET", "/v1/audio", "").1["audio"][2]["duration_ms"], 60);
    let (status, deleted) = server.json("DELETE", "/v1/audio/welcome", "");
    assert_eq!((status, &deleted["name"]), (200, &json!("welcome")));
    assert_eq!(server.json("GET", "/v1/calls/c", "").1["legs"][0]["hears"], "play:welcome");
    assert_refused(run(play("3")), 422, "unknown-audio", "there are: hold, silence");
    assert_refused(server.json("DELETE", "/v1/audio/welcome", ""), 422, "unknown-audio", "welcome");
}

#[test]
fn formats_are_told_by_content_or_by_type() {
    let server = Server::with(|_| {});
    let duration = |content_type: &str, body: &[u8]| {
        let (status, state) = put(&server, "a", content_type, body);
        assert!(matches!(status, 200 | 201), "{content_type}: {state}");
        state["duration_ms"].as_u64().unwrap()
    };
    // What curl says of a file, and what it says of data.
    for nothing in ["", "application/octet-stream", "application/x-www-form-urlencoded", "audio/PCMU"] {
        assert_eq!(duration(nothing, &tone()), 100, "{nothing}");
    }
    assert_eq!(duration("audio/PCMA;rate=8000", &[0xD5; 1600]), 200);
    assert_eq!(duration("audio/L16;rate=16000;channels=1", &[0; 3200]), 100);
    assert_eq!(duration("audio/G722", &[0; 800]), 100);
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    let server = Server::with(|config| config.audio.uploads_mib = 1);
    assert_refused(put(&server, "a", "", ""), 422, "bad-audio", "empty");
    assert_refused(put(&server, "a", "", "noise"), 422, "bad-audio", "audio/PCMU");
    assert_refused(put(&server, "a", "", "RIFF and so on"), 422, "bad-audio", "not a WAV file");
    assert_refused(put(&server, "a", "", "OggS and so on"), 422, "bad-audio", "Ogg");
    assert_refused(put(&server, "a", "audio/mpeg", "x"), 400, "bad-request", "audio/mpeg");
    assert_refused(put(&server, "a?fade_ms=6000", "", tone()), 400, "bad-request", "0 to 5000");
    assert_refused(put(&server, "a?fade=6", "", tone()), 400, "bad-request", "fade");
    assert_refused(put(&server, "a%2Fb", "", tone()), 400, "bad-request", "letters");
    assert_refused(put(&server, "hold", "", tone()), 409, "audio-exists", "another name");
    assert_refused(server.json("DELETE", "/v1/audio/silence", ""), 409, "audio-exists", "server's own");
    assert_refused(put(&server, "a", "audio/PCMU", vec![0; 8 * 60_000]), 409, "audio-full", "uploads_mib");
    assert_refused(put(&server, "a", "audio/PCMU", vec![0; 8000 * 601]), 422, "bad-audio", "601 s");
    assert_refused(put(&server, "a", "", vec![0; (32 << 20) + 1]), 413, "too-large", "33554432");
    assert_eq!(server.json("GET", "/v1/audio", "").1["audio"].as_array().unwrap().len(), 2);
    assert_eq!(put(&server, "a?fade_ms=20", "", tone()).0, 201);
}

#[test]
fn a_url_is_fetched_from_hosts_that_are_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let web = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let body = tone();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        request
    });
    let server = Server::with(move |config| config.audio.fetch_from = vec![address.to_string()]);
    let fetch = |url: &str| put(&server, "menu", "application/json", json!({"url": url}).to_string());
    assert_refused(fetch("http://127.0.0.1/x.wav"), 422, "fetch-refused", "audio.fetch_from");
    assert_refused(fetch("https://127.0.0.1/x.wav"), 422, "fetch-refused", "audio.fetch_from");
    assert_refused(fetch("ftp://127.0.0.1/x.wav"), 400, "bad-request", "https://");
    let (status, state) = fetch(&format!("http://{address}/menu.wav"));
    assert_eq!((status, &state["source"], &state["duration_ms"]), (201, &json!("url"), &json!(100)), "{state}");
    assert!(web.join().unwrap().starts_with(b"GET /menu.wav HTTP/1.1"));
    // It has gone: the next one cannot be had, and the first stays.
    assert_refused(fetch(&format!("http://{address}/menu.wav")), 502, "fetch-failed", "cannot be fetched");
    let extra = put(&server, "menu", "application/json", r#"{"url": "http://x/", "method": "POST"}"#);
    assert_refused(extra, 400, "unknown-field", "method");
    assert_eq!(server.json("GET", "/v1/audio", "").1["audio"][1]["name"], "silence");
    assert_eq!(server.control.audio().audio[2].duration_ms, 100);
}
