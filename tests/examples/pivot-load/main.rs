//! How many transfers a second the pivot does through one core of signalling, with SIPp as caller, agent and target.
//!
//! `cargo run --release -p patchcord-tests --example pivot-load [RATE] [SECONDS]`, with the program built in the same profile and `taskset` installed. The relay's control plane
//! has CPU 0; its media worker and the three processes of SIPp share CPU 1. All of them speak as long as they are there, so that each cut-over has a gap. It says
//! how many were done, what each of the relay's threads took of the CPU meanwhile, what SIPp had to send twice, and how long the cut-overs took.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a measurement, and says by a panic what went wrong"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use patchcord_codec::Law;
use patchcord_tests::{Folder, Process, Relay, eventually, free_ports, kernel, voices};

/// Where they are.
const CALLER: &str = "127.0.0.2";
const AGENT: &str = "127.0.0.3";
const TARGET: &str = "127.0.0.4";

/// Ports that each SIPp has; its callers' media takes them from the fourth on.
const SIPP_PORTS: u16 = 1_000;

/// Ports of the relay: three legs a call, two ports a leg, and calls that are just ending.
const RELAY_PORTS: u16 = 8_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let (rate, seconds) = (arguments.next().unwrap_or(500), arguments.next().unwrap_or(20));
    let calls = rate * seconds;
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("pivot-load-{}", std::process::id()));
    let ports = free_ports(3 * SIPP_PORTS);
    let [caller, agent, target] = [0, 1, 2].map(|number| ports.first + number * SIPP_PORTS);
    let pivot = format!("127.0.0.1:{}", free_ports(1).first);
    let file = folder.path().join("pivot.toml");
    let text = format!(
        "[log]\nlevel = \"error\"\n[workers]\ncpus = [1]\n[pivot]\nlisten = [\"udp:{pivot}\"]\n\
         routes = [{{ from = \"carrier\", to = \"sip:agent@{AGENT}:{agent}\", by = \"agents\" }}]\n\
         [pivot.trunks.carrier]\ndomain = \"carrier.example\"\naddresses = [\"{CALLER}\", \"{TARGET}\"]\n\
         [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"{AGENT}\"]\nforeign_domains = [\"{TARGET}\"]\n"
    );
    fs::write(&file, text).unwrap();
    let relay = Relay::start(&["--config", file.to_str().unwrap(), "--ports", &free_ports(RELAY_PORTS).to_string()]);
    pin(relay.process_id(), 0);
    let speech = Law::Mu.encode(&voices::audio(&voices::stream("transferee")).samples);
    fs::write(folder.path().join("speech.ul"), speech).unwrap();

    let sipp = |name: &str, ip: &str, port: u16, more: &[String]| {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sipp/load/{name}.xml"));
        let mut command = Command::new("taskset");
        command.args(["-c", "1", "sipp"]).current_dir(folder.path()).arg("-sf").arg(scenario).arg(&pivot);
        command.args(["-i", ip, "-p", &port.to_string(), "-mi", ip, "-mp", &(port + 2).to_string()]);
        command.args(["-cp", &(port + 1).to_string(), "-m", &calls.to_string(), "-nostdin"]);
        command.args(["-timeout", &(seconds + 60).to_string(), "-timeout_error"]);
        command.args(["-trace_stat", "-stf", &format!("{name}.csv"), "-fd", "1"]);
        command.args(["-trace_err", "-error_file", &format!("{name}.errors")]).args(more);
        let process = Process::start(name, command.stdin(Stdio::null()).stdout(Stdio::null()));
        eventually(&format!("{name} listens"), || kernel::udp_ports().contains_key(&port).then_some(()));
        process
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let target_is = format!("{TARGET}:{target}");
    let targets = sipp("target", TARGET, target, &[]);
    let agents = sipp("agent", AGENT, agent, &words(&["-key", "target", &target_is]));
    let before = cpu_of_threads(relay.process_id());
    let started = Instant::now();
    let rates = ["-r", &rate.to_string(), "-l", "10000"];
    let callers = sipp("caller", CALLER, caller, &words(&rates));
    let mut statuses = Vec::new();
    for mut process in [callers, agents, targets] {
        // SIPp gives up by itself in the end.
        while process.ended().is_none() {
            thread::sleep(Duration::from_millis(50));
        }
        statuses.push(process.wait());
        if statuses.len() == 1 {
            println!("{calls} calls in {:.1} s, {rate} a second wanted", started.elapsed().as_secs_f64());
        }
    }
    for (thread, (name, after)) in cpu_of_threads(relay.process_id()) {
        let took = after - before.get(&thread).map_or(Duration::ZERO, |(_, before)| *before);
        let per_call = took.as_secs_f64() * 1e3 / calls as f64;
        println!(
            "CPU of the relay's thread {name}: {:.2} s, {per_call:.3} ms a call with its transfer",
            took.as_secs_f64()
        );
    }
    for (name, status) in ["caller", "agent", "target"].into_iter().zip(statuses) {
        let [done, failed, again] = ["SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)"]
            .map(|column| count(&folder.path().join(format!("{name}.csv")), column));
        println!("SIPp as {name}: {done} calls as they should be, {failed} not, {again} messages sent again; {status}");
        let errors = fs::read_to_string(folder.path().join(format!("{name}.errors"))).unwrap_or_default();
        for line in errors.lines().take(5) {
            println!("  {line}");
        }
    }
    let (mut transfers, mut failed, mut gaps) = (0, 0, Vec::new());
    let list = relay.client().get("/v1/transfers?limit=1000");
    for transfer in list["transfers"].as_array().unwrap() {
        transfers += 1;
        let receipts = transfer["receipts"].as_array().unwrap();
        let of_caller = receipts.iter().filter(|receipt| receipt["party"] == "caller");
        gaps.extend(of_caller.filter_map(|receipt| receipt["gap_us"].as_u64()));
        if transfer["state"] != "done" {
            failed += 1;
            if failed == 1 {
                println!("the latest one that is not done: {transfer:#}");
            }
        }
    }
    println!("of the latest {transfers} transfers on record {failed} are not done");
    gaps.sort_unstable();
    let at = |share: f64| gaps.get((gaps.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!("gaps that their callers heard: median {} us, 99 % {} us, 99.9 % {} us", at(0.5), at(0.99), at(0.999));
    let worker = &relay.client().get("/v1/workers")["workers"][0];
    println!("gaps of all cut-overs in us, those at a call's begin among them: {}", worker["cut_over_gap_us"]);
    println!(
        "datagrams received {}, relayed {}, not by reason {}",
        worker["datagrams"], worker["forwarded"], worker["drops"]
    );
}

/// Has all threads of a process but the pinned media workers run on one CPU.
fn pin(process: u32, cpu: u32) {
    for (thread, (name, _)) in cpu_of_threads(process) {
        if !name.starts_with("patchcord-") {
            let status = Command::new("taskset")
                .args(["-pc", &cpu.to_string(), &thread.to_string()])
                .stdout(Stdio::null())
                .status();
            assert!(status.unwrap().success(), "taskset cannot pin {name}");
        }
    }
}

/// The threads of a process: number, name, and the CPU time that each has had (first field of /proc/PID/task/TID/schedstat, nanoseconds).
fn cpu_of_threads(process: u32) -> std::collections::BTreeMap<u32, (String, Duration)> {
    fs::read_dir(format!("/proc/{process}/task"))
        .unwrap()
        .filter_map(|entry| {
            let folder = entry.unwrap().path();
            let name = fs::read_to_string(folder.join("comm")).ok()?.trim().to_owned();
            let schedstat = fs::read_to_string(folder.join("schedstat")).ok()?;
            let time = schedstat.split(' ').next()?.parse().ok()?;
            Some((folder.file_name()?.to_str()?.parse().ok()?, (name, Duration::from_nanos(time))))
        })
        .collect()
}

/// What a column of SIPp's statistics says last.
fn count(file: &Path, column: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut lines = text.lines();
    let at = lines.next().and_then(|head| head.split(';').position(|name| name == column));
    let last = lines.last().and_then(|line| line.split(';').nth(at?)?.parse().ok());
    last.unwrap_or_else(|| panic!("{} has no {column}: {text}", file.display()))
}
