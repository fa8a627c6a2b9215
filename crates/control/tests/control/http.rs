//! The HTTP front through a real listener and a client that writes its requests itself.

use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread;

use patchcord_control::http::{BODY_LEN_MAX, router};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::relay::{Relay, config};
use crate::worker::TestWorker;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    worker: Arc<TestWorker>,
    pub(crate) control: patchcord_control::Control,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        Self::with(|config| config.token = token)
    }

    pub(crate) fn with(change: impl FnOnce(&mut patchcord_control::Config) + Send + 'static) -> Self {
        let (told, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut config = config(30000..=30099);
                change(&mut config);
                let relay = Relay::with(config, 1);
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                told.send((address, Arc::clone(&relay.workers[0]), relay.control.clone())).unwrap();
                let router = router(relay.control.clone(), None, None);
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let (address, worker, control) = started.recv().unwrap();
        Self { address, worker, control, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> (u16, String, String) {
        let body = body.as_ref();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer and close before it has read all of a body that is too large.
        let _unread = stream.write_all(body);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    pub(crate) fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, head, body) = self.request(method, path, "", body);
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    fn error(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let (status, answer) = self.json(method, path, body);
        let text = |field: &str| answer["error"][field].as_str().unwrap_or_default().to_owned();
        (status, text("code"), text("message"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _stopped = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            assert!(ended.is_some_and(|ended| ended.is_ok()), "the server ended badly");
        }
    }
}

#[test]
fn a_whole_transfer() {
    let server = Server::start(None);
    let (status, created) = server.json("POST", "/v1/calls", r#"{"call": "c1"}"#);
    assert_eq!((status, created), (201, json!({"call": "c1", "worker": 0})));
    let run = |body: Value| {
        let (status, answer) = server.json("POST", "/v1/calls/c1/commands", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        answer
    };
    for party in ["transferee", "agent", "target"] {
        let answer = run(
            json!({"id": party, "command": "leg-create", "party": party, "codecs": ["PCMU"], "remote": "10.0.0.9:4000"}),
        );
        assert_eq!(answer["results"][0]["party"], party);
        assert!(answer["results"][0]["local"].as_str().is_some_and(|local| local.starts_with("10.0.0.1:300")));
        assert!(answer["results"][0]["advertised"].as_str().is_some_and(|local| local.starts_with("203.0.113.1:300")));
    }
    run(json!({"id": "1", "command": "bridge", "a": "transferee", "b": "agent"}));
    let answer = run(
        json!({"id": "2", "command": "swap", "survivor": "transferee", "old": "agent", "new": "target", "trigger": "immediate"}),
    );
    let result = &answer["results"][0];
    assert_eq!((&result["command"], &result["state"]), (&json!("swap"), &json!("done")));
    assert!(result["cut_over"].is_u64() && result["receipts"].is_array());
    let (status, call) = server.json("GET", "/v1/calls/c1", "");
    assert_eq!((status, &call["bridges"]), (200, &json!([["transferee", "target"]])));
    assert_eq!(call["legs"][1]["hears"], "hold:hold");
    assert_eq!(call["legs"][0]["relay_latency_us"], json!({"count": 0, "p50": 0, "p99": 0, "p999": 0}));
    assert_eq!(call["cut_overs"][1]["id"], "2");
    assert_eq!(server.json("GET", "/v1/calls", "").1["calls"][0]["parties"], json!(["transferee", "agent", "target"]));
    assert_eq!(server.json("DELETE", "/v1/calls/c1?id=x", "").0, 200);
    assert_eq!(server.json("DELETE", "/v1/calls/c1?id=x", "").0, 200);
    assert_eq!(server.error("GET", "/v1/calls/c1", "").1, "unknown-call");
    assert_eq!(server.worker.open_ports(), 0);
}

#[test]
fn mistakes_are_answered_in_json() {
    let server = Server::start(None);
    assert_eq!(server.json("POST", "/v1/calls", "").0, 201, "an empty body chooses a name");
    let commands = "/v1/calls/call-1/commands";
    let stop = r#"{"id": "1", "command": "stop", "party": "a"}"#;
    let large = format!("{{\"call\": \"{}\"}}", "x".repeat(BODY_LEN_MAX));
    for (method, path, body, status, code, words) in [
        ("POST", "/v1/calls", "{\"call\":\n oops}", 400, "malformed-json", "line 2 column 2"),
        ("POST", "/v1/calls", r#"{"name": "c1"}"#, 400, "unknown-field", "`name`"),
        ("POST", "/v1/calls", r#"{"call": 1}"#, 400, "bad-request", "string"),
        ("POST", "/v1/calls", "\u{feff}{}", 400, "malformed-json", "line 1 column 1"),
        ("POST", "/v1/calls", &large, 413, "too-large", "65536"),
        ("POST", "/v1/calls", r#"{"call": "call-1"}"#, 409, "call-exists", "call-1"),
        ("POST", commands, "[]", 400, "bad-request", "map"),
        ("POST", commands, stop, 404, "unknown-party", "it has: none"),
        ("POST", "/v1/calls/nobody/commands", stop, 404, "unknown-call", "nobody"),
        ("POST", "/v1/calls/%ff/commands", stop, 400, "bad-request", "path"),
        ("GET", "/v1/calls/nobody", "", 404, "unknown-call", "nobody"),
        ("DELETE", "/v1/calls/nobody", "", 404, "unknown-call", "nobody"),
        ("DELETE", "/v1/calls/nobody?force=1", "", 400, "bad-request", "force"),
        ("PUT", "/v1/calls", "", 405, "method-not-allowed", "PUT"),
        ("GET", commands, "", 405, "method-not-allowed", "GET"),
        ("GET", "/v2/calls", "", 404, "unknown-path", "/v2/calls"),
        ("GET", "/v1/nothing", "", 404, "unknown-path", "/v1/nothing"),
        ("GET", "/v1/events?party=a", "", 400, "bad-request", "party"),
    ] {
        let (got, got_code, message) = server.error(method, path, body);
        assert_eq!((got, got_code.as_str()), (status, code), "{method} {path}: {message}");
        assert!(message.contains(words), "{method} {path}: {message}");
    }
    let batch = json!({"id": "2", "commands": [{"command": "check", "a": "x", "b": "y"}]}).to_string();
    assert_eq!(server.json("POST", commands, &batch).1["error"]["command"], 0);
}

#[test]
fn the_token_guards_everything_under_v1() {
    let server = Server::start(Some("secret"));
    let status = |path: &str, headers: &str| server.request("GET", path, headers, "").0;
    for headers in
        ["", "Authorization: Bearer wrong\r\n", "Authorization: Bearer secret2\r\n", "Authorization: Basic secret\r\n"]
    {
        assert_eq!(status("/v1/calls", headers), 401, "{headers}");
        assert_eq!(status("/v1/events", headers), 401, "{headers}");
        assert_eq!(status("/v1/audio", headers), 401, "{headers}");
        assert_eq!(server.request("PUT", "/v1/audio/a", headers, "RIFF").0, 401, "{headers}");
        assert_eq!(server.request("DELETE", "/v1/audio/a", headers, "").0, 401, "{headers}");
    }
    assert_eq!(status("/v1/calls", "Authorization: Bearer secret\r\n"), 200);
    for open in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(status(open, ""), 200, "{open}");
    }
    assert_eq!(server.error("GET", "/v1/calls", "").1, "unauthorized");
}

#[test]
fn events_are_streamed_for_all_calls_or_one() {
    let server = Server::start(None);
    let listen = |query: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /v1/events{query} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == ": connected"), "the stream says that it has begun");
        lines
    };
    let mut all = listen("");
    let mut one = listen("?call=second");
    for call in ["first", "second"] {
        server.json("POST", "/v1/calls", &json!({"call": call}).to_string());
    }
    assert_eq!(next(&mut all)["call"], "first");
    let second = next(&mut all);
    assert_eq!((&second["call"], &second["party"]), (&json!("second"), &Value::Null));
    assert!(second["at_us"].is_u64());
    assert_eq!(next(&mut one), second);
}

#[test]
fn readiness_follows_workers_and_draining() {
    let server = Server::start(None);
    assert_eq!(server.json("GET", "/readyz", ""), (200, json!({"status": "ok"})));
    server.worker.gone.store(true, Ordering::Relaxed);
    assert_eq!(server.json("GET", "/readyz", ""), (503, json!({"status": "unavailable", "silent_workers": [0]})));
    let (_, workers) = server.json("GET", "/v1/workers", "");
    assert!(workers["workers"][0]["error"].as_str().is_some_and(|error| error.contains("worker 0")));
    server.worker.gone.store(false, Ordering::Relaxed);
    server.control.drain();
    assert_eq!(server.json("GET", "/readyz", ""), (503, json!({"status": "draining"})));
    assert_eq!(server.error("POST", "/v1/calls", "{}").1, "draining");
    assert_eq!(server.json("GET", "/healthz", "").0, 200);
}

#[test]
fn metrics_have_their_names_and_labels() {
    let server = Server::start(None);
    server.json("POST", "/v1/calls", r#"{"call": "c"}"#);
    let create = json!({"id": "1", "command": "leg-create", "party": "a", "codecs": []}).to_string();
    server.json("POST", "/v1/calls/c/commands", &create);
    server.json("POST", "/v1/calls/c/commands", r#"{"id": "2", "command": "resume", "party": "a"}"#);
    let (status, head, text) = server.request("GET", "/metrics", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text"), "{head}");
    for line in [
        "patchcord_calls{worker=\"0\"} 1.0",
        "patchcord_legs{worker=\"0\"} 1.0",
        "patchcord_ports{interface=\"lan\",state=\"leased\"} 1.0",
        "patchcord_ports{interface=\"lan\",state=\"free\"} 99.0",
        "patchcord_commands_total{command=\"leg-create\",result=\"done\"} 1",
        "patchcord_commands_total{command=\"resume\",result=\"not-held\"} 1",
        "patchcord_relay_latency_seconds{worker=\"0\",quantile=\"0.99\"} 0.0",
        "patchcord_packets_forwarded_total{worker=\"0\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_description_has_every_path_and_command() {
    let server = Server::start(None);
    let (_, description) = server.json("GET", "/openapi.json", "");
    assert_eq!(description["info"]["version"], "0.0.0-test");
    let paths: Vec<_> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/v1/audio",
        "/v1/audio/{name}",
        "/v1/calls",
        "/v1/calls/{call}",
        "/v1/calls/{call}/commands",
        "/v1/calls/{call}/dump",
        "/v1/calls/{call}/merge",
        "/v1/events",
        "/v1/workers",
    ];
    assert_eq!(paths, expected);
    let schemas = &description["components"]["schemas"];
    let text = description.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.get(name).is_some(), "{name} is used but not described");
    }
    for command in ["leg-create", "swap", "rollback", "ringback", "monitor", "leg-door"] {
        assert!(schemas["Command"].to_string().contains(command), "{}", schemas["Command"]);
    }
    assert!(schemas["ErrorCode"].to_string().contains("ports-exhausted"));
}

/// The next event of a stream.
fn next(lines: &mut impl Iterator<Item = String>) -> Value {
    let event = lines.find(|line| line.starts_with("event: ")).unwrap();
    let data = lines.find(|line| line.starts_with("data: ")).unwrap();
    let data: Value = serde_json::from_str(&data[6..]).unwrap();
    assert_eq!(data["event"], event[7..]);
    data
}

#[test]
fn dashboards_find_the_names_that_they_know() {
    let server = Server::start(None);
    for call in ["first", "second"] {
        server.json("POST", "/v1/calls", &json!({"call": call}).to_string());
    }
    server.json("DELETE", "/v1/calls/first", "");
    let (status, _, page) = server.request("GET", "/metrics", "", "");
    assert_eq!(status, 200);
    for line in ["rtpengine_sessions 1.0", "rtpengine_sessions_total 2.0", "rtpengine_closed_sessions_total 1.0"] {
        assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
    }
    assert!(page.contains("rtpengine_ports_free ") && page.contains("patchcord_calls"));
    assert_eq!(page.matches("# EOF").count(), 1);
}
