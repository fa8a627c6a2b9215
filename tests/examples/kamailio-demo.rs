//! One call through a real Kamailio, transferred by the relay: what each side sends, and what each party hears.
//!
//! `scripts/demo --kamailio` runs it. It exits with 0 only if everything that it prints as a check holds: the telephones
//! panic where they do not hear what they should.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is a demonstration, and says by a panic what went wrong"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use patchcord_ng::Message;
use patchcord_tests::sip::{Kamailio, Phone, media_of};
use patchcord_tests::{Relay, free_port};
use serde_json::json;

fn main() {
    let started = Instant::now();
    let (relay_ng, tap_ng) = (free_port(), free_port());
    let listens = relay_ng.to_string();
    let relay = Relay::start(&["--ng", &listens, "--set", "ng.delete_delay_s=0", "--workers", "1"]);
    let asked = tap(tap_ng, relay_ng);
    let kamailio = Kamailio::start(tap_ng);
    let tell = |text: &str| println!("{:7.3} s  {text}", started.elapsed().as_secs_f64());
    let tell_asked = || asked.try_iter().for_each(|line| tell(&format!("           ng: {line}")));
    tell(&format!("Kamailio on {}, Patchcord's ng on {relay_ng}", kamailio.address()));

    let ip = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let mut transferee = Phone::new("transferee", ip(2), kamailio.address());
    let mut agent = Phone::new("agent", ip(3), kamailio.address());
    let mut target = Phone::new("target", ip(4), kamailio.address());

    tell("transferee calls agent through Kamailio");
    let mut out = transferee.invite(&agent.uri(), &transferee.media.sdp(""), "");
    let (inbound, offer) = agent.ring();
    tell_asked();
    agent.respond(&inbound, "200 OK", &agent.media.sdp(""));
    let answer = transferee.must_get(&mut out, 200, Some(""));
    let _ack = agent.must_take("ACK");
    tell_asked();
    let (to_relay, to_relay_of_agent) = (media_of(&answer), media_of(&offer));
    for _ in 0..25 {
        transferee.media.send(to_relay);
        agent.media.must_hear(&transferee.media);
        agent.media.send(to_relay_of_agent);
        transferee.media.must_hear(&agent.media);
    }
    agent.media.send(to_relay_of_agent);
    let before = transferee.media.must_hear(&agent.media);
    tell(&format!(
        "  check: both hear each other; the transferee sees SSRC {:08x}, sequence {}",
        before.ssrc.0, before.sequence.0
    ));

    let call = out.id().to_owned();
    let state = relay.client().call(&call);
    let (survivor, old) = (state["parties"][0].clone(), state["parties"][1].clone());
    tell("bridge commands: a leg for the target, ringback to the transferee, swap on the target's first packet");
    let remote = target.media.address().to_string();
    let leg = json!({"command": "leg-create", "party": "target", "remote": remote, "codecs": ["PCMU"]});
    let created = relay.client().command(&call, leg);
    let to_relay_of_target: SocketAddr = created[0]["local"].as_str().unwrap().parse().unwrap();
    relay.client().command(&call, json!({"command": "ringback", "party": survivor, "country": "uk"}));
    relay.client().command(&call, json!({"command": "swap", "survivor": survivor, "old": old, "new": "target"}));
    target.media.send(to_relay_of_target);
    let after = transferee.media.must_hear(&target.media);
    assert_eq!(after.ssrc, before.ssrc, "one SSRC for life");
    tell(&format!(
        "  check: the transferee hears the target; SSRC {:08x} as before, sequence {}",
        after.ssrc.0, after.sequence.0
    ));
    for _ in 0..25 {
        transferee.media.send(to_relay);
        target.media.must_hear(&transferee.media);
        target.media.send(to_relay_of_target);
        transferee.media.must_hear(&target.media);
    }
    agent.media.send(to_relay_of_agent);
    transferee.media.must_not_hear(&agent.media);
    tell("  check: transferee and target hear each other, of the agent nothing is heard");
    let state = relay.client().call(&call);
    for receipt in state["cut_overs"].as_array().unwrap().iter().filter(|cut| cut["command"] == "swap") {
        tell(&format!("  receipt: {}", receipt["receipts"]));
    }

    tell("the transferee hangs up");
    transferee.request(&mut out, "BYE", "", "");
    let _bye = agent.must_take("BYE");
    relay.client().must_be_idle();
    tell_asked();
    tell("  check: the relay has no call and no leg left behind");
}

/// Passes ng datagrams on, and says what they were.
fn tap(listens: SocketAddr, relay: SocketAddr) -> Receiver<String> {
    let (said, heard) = channel();
    let inner = UdpSocket::bind(listens).unwrap();
    thread::spawn(move || {
        let outer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = vec![0; 65_536];
        loop {
            let (len, from) = inner.recv_from(&mut buffer).unwrap();
            let request = Message::split(&buffer[..len]).unwrap().dict().unwrap();
            outer.send_to(&buffer[..len], relay).unwrap();
            let (len, _) = outer.recv_from(&mut buffer).unwrap();
            let reply = Message::split(&buffer[..len]).unwrap().dict().unwrap();
            inner.send_to(&buffer[..len], from).unwrap();
            let text = |dict: &patchcord_ng::Dict, key| dict.text(key).unwrap_or_default().into_owned();
            let command = text(&request, "command");
            if command != "ping" {
                let tags = format!("from-tag {} to-tag {}", text(&request, "from-tag"), text(&request, "to-tag"));
                // Who listens may be gone: the demonstration is over then.
                let _ = said.send(format!("{command} ({}) -> {}", tags.trim_end(), text(&reply, "result")));
            }
        }
    });
    heard
}
