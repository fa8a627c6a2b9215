//! How many transfers a second the pivot does: telephones in threads call, refer, answer and hang up, as fast as they get answers.
//!
//! `cargo run --profile PROFILE -p patchcord-tests --example pivot-load [THREADS] [SECONDS]`, with the program built in the same profile. It says how many were
//! done, what the relay's process took of the CPU meanwhile, and how long the cut-overs took.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a measurement, and says by a panic what went wrong"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use patchcord_tests::sip::{Phone, media_of};
use patchcord_tests::{Folder, Relay, free_port, free_ports};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let threads = arguments.next().unwrap_or(16);
    let seconds = arguments.next().unwrap_or(10);
    let ip = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let pivot = free_port();
    let phone = |name, last| Phone::signalling_from(ip(last), name, ip(last), pivot);
    let trios: Vec<_> = (0..threads)
        .map(|_| [("caller", 2), ("agent", 3), ("target", 4)].map(|(name, last)| phone(name, last)))
        .collect();
    let routes: Vec<_> = trios
        .iter()
        .enumerate()
        .map(|(at, [_, agent, _])| {
            format!("{{ from = \"carrier\", number = \"{at}\", to = \"{}\", by = \"agents\" }}", agent.uri())
        })
        .collect();
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("pivot-load-{}", pivot.port()));
    let file = folder.path().join("pivot.toml");
    let text = format!(
        "[log]\nlevel = \"error\"\n[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{}]\n\
         [pivot.trunks.carrier]\ndomain = \"carrier.example\"\naddresses = [\"127.0.0.2\", \"127.0.0.4\"]\n\
         [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"127.0.0.3\"]\nforeign_domains = [\"127.0.0.4\"]\n",
        routes.join(", ")
    );
    std::fs::write(&file, text).unwrap();
    // Three legs a call, two ports a leg, and calls that are just ending.
    let ports = free_ports(u16::try_from(12 * threads + 20).unwrap()).to_string();
    let relay = Relay::start(&["--config", file.to_str().unwrap(), "--workers", "1", "--ports", &ports]);
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(seconds);
    let before = cpu_ticks(relay.process_id());
    let started = Instant::now();
    let workers: Vec<_> = trios
        .into_iter()
        .enumerate()
        .map(|(at, mut trio)| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                while Instant::now() < end {
                    transfer(&mut trio, &format!("sip:{at}@{pivot}"));
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let (took, transfers) = (started.elapsed().as_secs_f64(), done.load(Ordering::Relaxed));
    // Ticks of 10 ms (proc_pid_stat(5), sysconf(_SC_CLK_TCK) is 100 on Linux).
    let cpu = (cpu_ticks(relay.process_id()) - before) as f64 / 100.0;
    let list = relay.client().get("/v1/transfers?limit=1000");
    let list = list["transfers"].as_array().unwrap();
    let failed = list.iter().filter(|transfer| transfer["state"] != "done").count();
    let mut effects: Vec<u64> = list
        .iter()
        .flat_map(|transfer| transfer["receipts"].as_array().unwrap())
        .filter(|receipt| receipt["party"] == "caller")
        .filter_map(|receipt| receipt["gap_us"].as_u64())
        .collect();
    effects.sort_unstable();
    let at = |share: f64| effects.get((effects.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!("{threads} trios of telephones, {took:.1} s");
    println!(
        "{transfers} transfers, {:.0} a second; of {} on record {failed} are not done",
        transfers as f64 / took,
        list.len()
    );
    println!("CPU of the relay: {cpu:.2} s, {:.2} ms a call with its transfer", cpu * 1000.0 / transfers as f64);
    println!("gap of the callers' cut-overs: median {} us, 99 % {} us, 99.9 % {} us", at(0.5), at(0.99), at(0.999));
}

/// A call, its transfer, and its end.
fn transfer([caller, agent, target]: &mut [Phone; 3], uri: &str) {
    let mut out = caller.invite(uri, &caller.media.sdp(""), "");
    let (mut inbound, _) = agent.ring();
    agent.respond(&inbound, "200 OK", &agent.media.sdp(""));
    let _answer = caller.must_get(&mut out, 200, Some(""));
    let _ack = agent.must_take("ACK");
    agent.request(&mut inbound, "REFER", "", &format!("Refer-To: <{}>\r\n", target.uri()));
    agent.must_be_answered(&inbound, "REFER", 202);
    let _trying = agent.must_take("NOTIFY");
    let (third, offer) = target.ring();
    target.respond(&third, "200 OK", &target.media.sdp(""));
    let _ack = target.must_take("ACK");
    target.media.speak_until_heard(media_of(&offer), &caller.media);
    let said = agent.must_take("NOTIFY");
    assert_eq!(said.body, "SIP/2.0 200 OK\r\n");
    agent.bye(&mut inbound);
    caller.bye(&mut out);
    let _bye = target.must_take("BYE");
}

/// What a process has had of the CPU, user and system time.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
