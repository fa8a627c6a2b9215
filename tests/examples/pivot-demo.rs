//! A telephone calls through a real Kamailio to an agent; the agent sends a REFER, and the pivot connects the caller with a third
//! telephone. A second transfer is refused at once, and the pivot says why that may be.
//!
//! `scripts/demo --pivot` runs it. It exits with 0 only if everything that it prints as a check holds: the telephones panic where they do
//! not see or hear what they should.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a demonstration, and says by a panic what went wrong"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use patchcord_tests::sip::{Kamailio, Phone, media_of};
use patchcord_tests::{Folder, Relay, eventually, free_port};
use serde_json::Value;

/// How soon the last target says that it is busy: no telephone is so fast.
const AT_ONCE: Duration = Duration::from_millis(300);

fn main() {
    let started = Instant::now();
    let tell = |text: &str| println!("{:7.3} s  {text}", started.elapsed().as_secs_f64());
    let ip = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let (ng, pivot) = (free_port(), free_port());
    let mut agent = Phone::signalling_from(ip(3), "agent", ip(3), pivot);
    let mut target = Phone::signalling_from(ip(4), "target", ip(4), pivot);
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("pivot-demo-{}", pivot.port()));
    let file = folder.path().join("pivot.toml");
    let configuration = format!(
        "[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{{ from = \"carrier\", to = \"{}\", by = \"agents\" }}]\n\n\
         [pivot.trunks.carrier]\ndomain = \"carrier.example\"\nproxy = \"sip:{}\"\naddresses = [\"127.0.0.1\", \"127.0.0.4\"]\n\n\
         [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"127.0.0.3\"]\n",
        agent.uri(),
        target.address(),
    );
    std::fs::write(&file, &configuration).unwrap();
    println!("{configuration}");
    let relay = Relay::start(&[
        "--config",
        file.to_str().unwrap(),
        "--ng",
        &ng.to_string(),
        "--set",
        "ng.delete_delay_s=0",
        "--workers",
        "1",
    ]);
    let kamailio = Kamailio::start(ng);
    let mut caller = Phone::new("caller", ip(2), kamailio.address());
    tell(&format!("Kamailio on {}, the pivot on {pivot}", kamailio.address()));

    tell("a telephone calls +1 555 0100 through Kamailio; the pivot calls the agent");
    let mut out = caller.invite(&format!("sip:+15550100@{pivot}"), &caller.media.sdp(""), "");
    let (mut inbound, offer) = agent.ring();
    agent.respond(&inbound, "200 OK", &agent.media.sdp(""));
    let answer = caller.must_get(&mut out, 200, Some(""));
    let _ack = agent.must_take("ACK");
    let (to_relay, to_relay_of_agent) = (media_of(&answer), media_of(&offer));
    for _ in 0..25 {
        caller.media.send(to_relay);
        agent.media.must_hear(&caller.media);
        agent.media.send(to_relay_of_agent);
        caller.media.must_hear(&agent.media);
    }
    agent.media.send(to_relay_of_agent);
    let before = caller.media.must_hear(&agent.media);
    tell(&format!(
        "  check: both hear each other; the caller sees SSRC {:08x}, sequence {}",
        before.ssrc.0, before.sequence.0
    ));

    tell("the agent sends REFER to tel:+1-555-0199");
    agent.request(&mut inbound, "REFER", "", "Refer-To: <tel:+1-555-0199>\r\n");
    agent.must_be_answered(&inbound, "REFER", 202);
    let told = |notify: &patchcord_tests::sip::Message| {
        tell(&format!("           NOTIFY: {} ({})", notify.body.trim(), notify.header("Subscription-State").unwrap()));
    };
    told(&agent.must_take("NOTIFY"));
    let (mut at_target, offer) = target.ring();
    tell(&format!("           the target gets: {}", at_target.invite().start));
    target.respond(&at_target, "180 Ringing", "");
    told(&agent.must_take("NOTIFY"));
    target.respond(&at_target, "200 OK", &target.media.sdp(""));
    let _ack = target.must_take("ACK");
    let to_relay_of_target = media_of(&offer);
    let after = target.media.speak_until_heard(to_relay_of_target, &caller.media);
    assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
    told(&agent.must_take("NOTIFY"));
    agent.bye(&mut inbound);
    tell(&format!(
        "  check: the caller hears the target; SSRC {:08x} as before, sequence {}",
        after.ssrc.0, after.sequence.0
    ));
    for _ in 0..25 {
        caller.media.send(to_relay);
        target.media.must_hear(&caller.media);
        target.media.send(to_relay_of_target);
        caller.media.must_hear(&target.media);
    }
    caller.must_have_no_request();
    tell("  check: both hear each other; the caller's telephone has seen no request");
    let done = transfer(&relay, |transfer| transfer["state"] == "done");
    tell(&format!("  receipts: {}", done["receipts"]));

    tell("the target sends REFER to another number, which is answered with 486 after 0.3 s, without having rung");
    target.request(&mut at_target, "REFER", "", "Refer-To: <tel:+1-555-0166>\r\n");
    target.must_be_answered(&at_target, "REFER", 202);
    told(&target.must_take("NOTIFY"));
    let (busy, _) = target.ring();
    thread::sleep(AT_ONCE);
    target.respond(&busy, "486 Busy Here", "");
    let _ack = target.must_take("ACK");
    told(&target.must_take("NOTIFY"));
    target.media.send(to_relay_of_target);
    caller.media.must_hear(&target.media);
    tell("  check: the caller is back with the target");
    let failed = transfer(&relay, |transfer| transfer["state"] == "failed");
    let failure = &failed["failures"][0];
    tell(&format!("  GET /v1/transfers/{}:", failed["transfer"].as_str().unwrap()));
    tell(&format!("    {}", failure["explanation"].as_str().unwrap()));
    for cause in failure["causes"].as_array().unwrap() {
        tell(&format!("    - {}: {}", cause["what"].as_str().unwrap(), cause["check"].as_str().unwrap()));
    }
    let first = failure["causes"][0]["what"].as_str().unwrap();
    assert!(first.contains("block") || first.contains("policy"), "{first}");

    let id = failed["transfer"].as_str().unwrap();
    tell(&format!("  GET /v1/transfers/{id}/trace, what was said since that REFER (the page shows it as a ladder):"));
    let trace = relay.client().get(&format!("/v1/transfers/{id}/trace"));
    let messages = trace["messages"].as_array().unwrap();
    let lines: Vec<_> = messages.iter().map(said).collect();
    let since = lines.iter().rposition(|line| line.contains(" REFER ")).unwrap();
    lines[since..].iter().for_each(|line| tell(&format!("    {line}")));
    let bundle = folder.path().join("bundle.tar");
    let _told = relay.ask(&["transfers", "show", id, "--bundle", bundle.to_str().unwrap()]);
    let listed = Command::new("tar").arg("-tf").arg(&bundle).output().unwrap();
    let files = String::from_utf8(listed.stdout).unwrap();
    assert!(files.contains("signalling.pcapng"), "{files}");
    tell(&format!("  patchcord transfers show {id} --bundle FILE: {}", files.trim().replace('\n', ", ")));
    tell(&format!("  the page, while this runs: {}/#/transfers/{id}", relay.client().base()));

    tell("the caller hangs up");
    caller.request(&mut out, "BYE", "", "");
    let _bye = target.must_take("BYE");
    relay.client().must_be_idle();
    tell("  check: the relay has no call and no leg left behind");
    let call = eventually("the call is on record", || {
        let call = relay.client().get("/v1/records/calls?limit=1")["calls"][0].clone();
        call["ended_ms"].is_u64().then_some(call)
    });
    tell("  GET /v1/records/calls, what it is billed as:");
    for part in call["components"].as_array().unwrap() {
        let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
        let ms = part["ended_ms"].as_u64().unwrap() - part["began_ms"].as_u64().unwrap();
        let of = if part["transfer"].is_null() { "the call" } else { "the transfer" };
        tell(&format!("    {of}: {} {} to {}, {ms} ms", text("service"), text("from_uri"), text("to_uri")));
    }
}

/// A message of a trace in a line.
fn said(message: &Value) -> String {
    let text = |name: &str| message[name].as_str().unwrap_or_default();
    let arrow = if text("direction") == "in" { "<--" } else { "-->" };
    let (party, at) = (text("party"), message["at_ms"].as_f64().unwrap_or_default());
    format!("{at:>9.1} ms  pivot {arrow} {party:<9} {}  ({})", text("first_line"), text("cseq"))
}

/// The latest transfer, once it is as wanted.
fn transfer(relay: &Relay, is_wanted: impl Fn(&Value) -> bool) -> Value {
    eventually("the transfer is on record", || {
        let list = relay.client().get("/v1/transfers");
        let latest = list["transfers"].as_array().unwrap().first().cloned();
        latest.filter(|transfer| is_wanted(transfer))
    })
}
