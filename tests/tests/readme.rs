//! The transfer by hand in README.md works as printed.
//!
//! The `sh` blocks between `<!-- transfer -->` and `<!-- /transfer -->` are run as one script by `bash -euo pipefail`. Before
//! it stands a `curl` of its own that calls the real one, tells the test what was answered, and goes on when the test has
//! done what the parties do then: send to the ports that they were told, hear what they should.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Playback};
use patchcord_lab::report::Report;
use patchcord_tests::stage::{address, numbered_stream};
use patchcord_tests::{Events, Folder, PATIENCE, Process, Relay, Tool};
use serde_json::Value;

/// Where the README's relay listens.
const README_BASE: &str = "http://127.0.0.1:8223";

/// Where the README's parties are.
const PARTIES: [(&str, u16); 3] = [("transferee", 5004), ("agent", 5006), ("target", 5008)];

/// Packets of 20 ms that a party can send: more than the script needs.
const STREAM: u32 = 5_000;

/// How long the whole script may take.
const SCRIPT: Duration = Duration::from_secs(60);

const CURL: Tool = Tool { program: "curl", package: "curl" };
const BASH: Tool = Tool { program: "bash", package: "bash" };

/// Calls the real curl so that a refusal is a failure; tells status and answer in a line each, and waits for a line.
const CURL_THAT_TELLS: &str = r#"#!/usr/bin/env bash
PATH=${PATH#*:}
answer=$(curl --fail-with-body "$@")
status=$?
exec 3<>"/dev/tcp/127.0.0.1/$TEST_PORT"
printf '%s\n%s\n' "$status" "${answer//$'\n'/ }" >&3
read -r _ <&3
printf '%s\n' "$answer"
exit "$status"
"#;

#[test]
fn the_transfer_by_hand_works_as_printed() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let section = section(&text).expect("README.md has `<!-- transfer -->` and `<!-- /transfer -->`");
    let commands = blocks(section, "sh").join("\n");
    assert!(commands.contains(README_BASE), "the README's commands go to {README_BASE}:\n{commands}");
    let relay = Relay::start(&["--workers", "1"]);
    let mut cast = Cast::new(relay.events());

    let telling = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = commands.replace(README_BASE, relay.client().base());
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "readme");
    let mut shell = shell(&script, folder.path(), telling.local_addr().unwrap());
    let answers = hear_answers(&telling, &mut shell, |answer| cast.react(answer));
    assert_eq!(answers.len(), script.matches("curl ").count(), "every curl of the script told its answer:\n{script}");

    cast.check();
    assert_eq!(relay.client().get("/v1/calls"), serde_json::json!({"calls": []}), "at the end everybody has left");
    for shown in blocks(section, "json") {
        let shown: Value =
            serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error} in README.md:\n{shown}"));
        let as_shown = |answer: &Value| keys(answer) == keys(&shown);
        assert!(answers.iter().any(as_shown), "no answer has the keys that README.md shows:\n{shown:#}\n{answers:#?}");
    }
}

/// The three parties of the README, on the addresses that it names.
struct Cast {
    endpoints: BTreeMap<&'static str, Endpoint>,
    events: Events,
    _threads: Endpoints,
}

impl Cast {
    fn new(events: Events) -> Self {
        let threads = Endpoints::start().unwrap();
        let endpoint = |(name, port): (&'static str, u16)| {
            let local = SocketAddr::from(([127, 0, 0, 1], port));
            let added = threads.add(name, local, EndpointOptions::default());
            (name, added.unwrap_or_else(|error| panic!("{error}")))
        };
        let endpoints = PARTIES.map(endpoint).into_iter().collect();
        Self { endpoints, events, _threads: threads }
    }

    /// Does what happens between an answer and the next command: what was switched at once is heard, then whoever has got a
    /// leg speaks, and then what waited for that is heard.
    fn react(&mut self, answer: &Value) {
        let results = || answer["results"].as_array().into_iter().flatten();
        for result in results().filter(|result| result["state"] == "done") {
            self.wait_for_the_switch(result);
        }
        for result in results().filter(|result| result["command"] == "leg-create") {
            self.speak(result);
        }
        for result in results().filter(|result| result["state"] == "pending") {
            self.wait_for_the_switch(result);
        }
    }

    fn speak(&mut self, created: &Value) {
        let party = created["party"].as_str().unwrap();
        let endpoint = self.endpoints.get(party).unwrap_or_else(|| panic!("nobody plays {party}"));
        endpoint.set_remote(address(created, "local"));
        let number = PARTIES.iter().position(|(name, _)| *name == party).unwrap() as u32;
        endpoint.play(numbered_stream(number, STREAM), Playback::default()).unwrap();
        self.events.wait_for_that("first-packet", PATIENCE, |event| event["party"] == party);
    }

    fn wait_for_the_switch(&mut self, result: &Value) {
        if let Some(number) = result["cut_over"].as_u64() {
            self.events.wait_for_that("cut-over", PATIENCE, |event| event["cut_over"] == number);
            self.endpoints["transferee"].wait_for_more_packets(10, PATIENCE).unwrap();
        }
    }

    /// The README tells of a transfer: the transferee heard the agent, something that the relay made, and the target.
    fn check(&self) {
        let sent: Vec<_> = self.endpoints.values().map(Endpoint::sent).collect();
        let senders: Vec<_> = sent.iter().collect();
        let report = |party: &str| Report::of(&self.endpoints[party].recording(), &senders);
        let transferee = report("transferee");
        let heard: Vec<&str> = transferee.heard.iter().map(|heard| heard.from.as_deref().unwrap_or("relay")).collect();
        assert_eq!(heard, ["agent", "relay", "target"], "{transferee:?}");
        assert_eq!((transferee.ssrcs.len(), transferee.breaks().count()), (1, 0), "{transferee:?}");
        let target = report("target");
        assert_eq!(target.heard.first().and_then(|heard| heard.from.as_deref()), Some("transferee"), "{target:?}");
    }
}

/// Bash, with the script on its command line and our curl before the real one.
fn shell(script: &str, folder: &Path, telling: SocketAddr) -> Process {
    // That it is installed is known before the script runs.
    let _ = CURL.command();
    let curl = folder.join("curl");
    fs::write(&curl, CURL_THAT_TELLS).unwrap();
    fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command: Command = BASH.command();
    command.args(["-euo", "pipefail", "-c", script]).env("PATH", path);
    command.env("TEST_PORT", telling.port().to_string());
    Process::start("the README's script", command.stdin(Stdio::null()).stdout(Stdio::null()))
}

/// Gives every curl's answer to `react`, lets the script go on, and returns all answers when it has ended well.
fn hear_answers(telling: &TcpListener, shell: &mut Process, mut react: impl FnMut(&Value)) -> Vec<Value> {
    telling.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + SCRIPT;
    let mut answers = Vec::new();
    loop {
        match telling.accept() {
            Ok((connection, _)) => {
                let (answer, connection) = told(connection);
                react(&answer);
                answers.push(answer);
                // It goes on when it reads a line.
                writeln!(&connection).unwrap();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if let Some(status) = shell.ended() {
                    let fine = status.success();
                    assert!(fine, "the script ended with {status} after {answers:#?}\n{}", shell.stderr());
                    return answers;
                }
                assert!(Instant::now() < deadline, "the script did not end after {answers:#?}\n{}", shell.stderr());
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// What one curl tells: its exit status, which must be 0, and the answer.
fn told(connection: TcpStream) -> (Value, TcpStream) {
    connection.set_nonblocking(false).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(connection);
    let mut line = || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let (status, answer) = (line(), line());
    assert_eq!(status, "0", "curl failed: {answer}");
    let answer =
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("the answer is not JSON ({error}): {answer}"));
    (answer, lines.into_inner())
}

/// What stands between the two markers.
fn section(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("<!-- transfer -->")?;
    Some(after.split_once("<!-- /transfer -->")?.0)
}

/// The contents of the fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(opened) = line.trim_start().strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            if opened == language {
                blocks.push(block.join("\n"));
            }
        }
    }
    blocks
}

/// The keys of a JSON value with their paths; elements of a list are alike.
fn keys(value: &Value) -> Vec<String> {
    fn collect(value: &Value, path: &str, keys: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = format!("{path}.{key}");
                    keys.push(path.clone());
                    collect(value, &path, keys);
                }
            }
            Value::Array(elements) => elements.iter().for_each(|element| collect(element, &format!("{path}[]"), keys)),
            _ => {}
        }
    }
    let mut keys = Vec::new();
    collect(value, "", &mut keys);
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn blocks_and_keys_are_found() {
    let text = "a <!-- transfer --> b\n```sh\necho 1\n```\ntext\n```json\n{\"a\": [{\"b\": 1}, {\"b\": 2}]}\n```\n```sh\necho 2\n```\n<!-- /transfer -->";
    let section = section(text).unwrap();
    assert_eq!(blocks(section, "sh"), ["echo 1", "echo 2"]);
    let json: Value = serde_json::from_str(&blocks(section, "json")[0]).unwrap();
    assert_eq!(keys(&json), [".a", ".a[].b"]);
}
