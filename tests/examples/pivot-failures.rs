//! Does a transfer that fails leave the transferee in audio with whom it talked to? Telephones in threads try it many times, and listen each time.
//!
//! `cargo run --profile PROFILE -p patchcord-tests --example pivot-failures [TRIES] [THREADS] [SEED]`, with the program built in the same profile. Every target refuses in one of
//! several ways, after ringing or at once, as the seed says. It stops with a panic at the first try that leaves one of the two deaf.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a measurement, and says by a panic what went wrong"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Instant;

use patchcord_tests::sip::{Call, Phone, media_of};
use patchcord_tests::{Folder, Relay, free_port, free_ports};

/// How a target refuses.
const REFUSALS: [&str; 6] = [
    "404 Not Found",
    "480 Temporarily Unavailable",
    "486 Busy Here",
    "488 Not Acceptable Here",
    "503 Service Unavailable",
    "603 Decline",
];

/// Tries in one call: the transferee is never left alone in between.
const TRIES_A_CALL: u64 = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let tries = arguments.next().unwrap_or(10_000);
    let threads = arguments.next().unwrap_or(8);
    let seed = arguments.next().unwrap_or(1);
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
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("pivot-failures-{}", pivot.port()));
    let file = folder.path().join("pivot.toml");
    let text = format!(
        "[log]\nlevel = \"error\"\n[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{}]\n\
         [pivot.trunks.carrier]\ndomain = \"carrier.example\"\naddresses = [\"127.0.0.2\"]\n\
         [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"127.0.0.3\"]\nforeign_domains = [\"127.0.0.4\"]\n",
        routes.join(", ")
    );
    std::fs::write(&file, text).unwrap();
    // Three legs a call, two ports a leg, and calls that are just ending.
    let ports = free_ports(u16::try_from(12 * threads + 20).unwrap()).to_string();
    let relay = Relay::start(&["--config", file.to_str().unwrap(), "--workers", "1", "--ports", &ports]);
    println!("seed {seed}");
    let started = Instant::now();
    let workers: Vec<_> = trios
        .into_iter()
        .zip(0..threads)
        .map(|(mut trio, at)| {
            thread::spawn(move || {
                let mut random = seed.wrapping_mul(threads).wrapping_add(at);
                let own = tries / threads + u64::from(at < tries % threads);
                let mut left = own;
                while left > 0 {
                    let now = left.min(TRIES_A_CALL);
                    call(&mut trio, &format!("sip:{at}@{pivot}"), now, &mut random);
                    left -= now;
                }
                own
            })
        })
        .collect();
    let done: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    println!(
        "{done} transfers failed in {:.1} s; after each of them caller and agent heard each other",
        started.elapsed().as_secs_f64()
    );
    let list = relay.client().get("/v1/transfers?limit=1000");
    let list = list["transfers"].as_array().unwrap();
    assert!(list.iter().all(|transfer| transfer["state"] == "failed"), "{list:?}");
    println!("of the latest {} on record all are failed", list.len());
}

/// A call whose agent refers the caller in vain, some times over.
fn call(trio: &mut [Phone; 3], uri: &str, tries: u64, random: &mut u64) {
    let [caller, agent, target] = trio;
    let mut out = caller.invite(uri, &caller.media.sdp(""), "");
    let (mut inbound, offer) = agent.ring();
    agent.respond(&inbound, "200 OK", &agent.media.sdp(""));
    let answer = caller.must_get(&mut out, 200, Some(""));
    let _ack = agent.must_take("ACK");
    let (to_agent, to_caller) = (media_of(&answer), media_of(&offer));
    must_talk([caller, agent], [to_agent, to_caller]);
    for _ in 0..tries {
        // Constants of Knuth's MMIX.
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let refusal = REFUSALS[(*random >> 33) as usize % REFUSALS.len()];
        refuse(agent, target, &mut inbound, refusal, *random >> 63 == 1);
        must_talk([caller, agent], [to_agent, to_caller]);
    }
    caller.bye(&mut out);
    let _bye = agent.must_take("BYE");
}

/// A REFER whose target does not want the call, until the agent has been told so.
fn refuse(agent: &Phone, target: &Phone, inbound: &mut Call, refusal: &str, rings: bool) {
    agent.request(inbound, "REFER", "", &format!("Refer-To: <{}>\r\n", target.uri()));
    agent.must_be_answered(inbound, "REFER", 202);
    let _trying = agent.must_take("NOTIFY");
    let (third, _) = target.ring();
    if rings {
        target.respond(&third, "180 Ringing", "");
        assert_eq!(agent.must_take("NOTIFY").body, "SIP/2.0 180 Ringing\r\n");
    }
    target.respond(&third, refusal, "");
    let _ack = target.must_take("ACK");
    assert_eq!(agent.must_take("NOTIFY").body, format!("SIP/2.0 {refusal}\r\n"));
}

/// Each hears the first packet that the other sends.
fn must_talk(phones: [&mut Phone; 2], to: [SocketAddr; 2]) {
    let [caller, agent] = phones;
    caller.media.send(to[0]);
    agent.media.must_hear(&caller.media);
    agent.media.send(to[1]);
    caller.media.must_hear(&agent.media);
}
