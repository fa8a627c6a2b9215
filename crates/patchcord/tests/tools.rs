//! The tools that bring a relay of their own, and those that need none.

mod support;

use serde_json::Value;
use support::{Relay, patchcord, run, stderr, stdout};

/// The captures of the repository.
fn capture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(name)
}

/// A folder of the test's own, removed at the end.
struct TempDir(std::path::PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("patchcord-tools-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn doctor_examines_this_machine() {
    let output = run(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let checks = report["checks"].as_array().expect("checks");
    for name in
        ["io_uring", "open files", "locked memory", "capabilities", "port range", "CPU governor", "clock source"]
    {
        let check = checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name} is missing"));
        let explained = check["cause"].is_string() && check["fix"].is_string();
        assert!(check["state"] == "ok" || explained, "{check}");
    }
    let failed = checks.iter().any(|check| check["state"] == "fail");
    assert_eq!(output.status.code(), Some(i32::from(failed)));
    // An interface that is not ours must fail, and be named.
    let output = patchcord().arg("doctor").env("PATCHCORD_INTERFACES", "192.0.2.1").output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("192.0.2.1"), "{}", stdout(&output));
}

/// The first second of a capture, cut in the middle of a packet.
fn cut_short(folder: &TempDir) -> String {
    // A record is its header of 16 bytes and a frame of 214: Ethernet 14, IPv4 20, UDP 8, RTP 12, G.711 160.
    let bytes = std::fs::read(capture("transferee.pcap")).expect("the capture");
    let path = folder.0.join("short.pcap");
    std::fs::write(&path, &bytes[..24 + 50 * 230 + 100]).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn replay_plays_a_capture_that_is_cut_short_and_loses_nothing() {
    let folder = TempDir::new("replay");
    let file = cut_short(&folder);
    let wavs = folder.0.join("wavs");
    let arguments = ["replay", &file, "--calls", "3", "--json", "--wav", wavs.to_str().expect("UTF-8")];
    let relay = Relay::start(&[]);
    let output = relay.client(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("cut short"), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(report["calls"], 3);
    assert_eq!(report["streams"][0]["packets"], 50);
    assert_eq!((&report["total"]["sent"], &report["total"]["packets"]), (&150.into(), &150.into()), "{report}");
    assert_eq!((&report["total"]["lost"], &report["total"]["untouched"]), (&0.into(), &true.into()), "{report}");
    assert!(report["total"]["relay_latency_us"]["p99"].as_f64().expect("a number") > 0.0);
    assert_eq!(std::fs::read_dir(&wavs).expect("the folder").count(), 3);
    assert_eq!(relay.ok(&["calls"]), "no calls\n", "the calls are deleted again");
}

#[test]
fn replay_brings_its_own_relay() {
    let folder = TempDir::new("replay-self");
    let output = run(&["replay", &cut_short(&folder), "--self"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("as sent"), "{}", stdout(&output));
}

#[test]
fn replay_refuses_what_is_no_capture() {
    let folder = TempDir::new("replay-bad");
    let path = folder.0.join("text.pcap");
    std::fs::write(&path, "this is no capture").expect("a file");
    let output = run(&["replay", "--self", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("text.pcap is not a capture"), "{}", stderr(&output));
}

#[test]
fn the_demo_proves_a_transfer() {
    let folder = TempDir::new("demo");
    let output = run(&["demo", "--json", "--output", folder.0.to_str().expect("UTF-8")]);
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let failed: Vec<&Value> =
        outcome["checks"].as_array().expect("checks").iter().filter(|check| check["ok"] != true).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}");
    for party in ["transferee", "agent", "target"] {
        let line = outcome["parties"].as_array().expect("parties").iter().find(|line| line["party"] == party);
        let line = line.unwrap_or_else(|| panic!("{party} is missing"));
        assert_eq!(line["lost"], 0);
        assert!(line["packets"].as_u64() > Some(100) && line["jitter_ms"].is_number(), "{line}");
        for percentile in ["p50", "p99", "p999"] {
            assert!(line["relay_latency_us"][percentile].is_number(), "{line}");
        }
        assert!(folder.0.join(format!("{party}.wav")).exists());
    }
    let swap = outcome["cut_overs"].as_array().expect("cut-overs").iter().find(|cut_over| {
        cut_over["call"] == "transfer" && cut_over["command"] == "swap" && cut_over["party"] == "transferee"
    });
    let swap = swap.expect("the transfer's cut-over");
    assert_eq!((&swap["trigger"], &swap["seq_step"]), (&"on-first-packet".into(), &1.into()));
    for number in ["gap_us", "ts_step", "stale", "command_to_effect_us"] {
        assert!(swap[number].is_u64(), "{swap}");
    }
}
