//! Telephones whose ICE is a full agent call through the relay, which is a lite one: they connect, media flows both ways from
//! where they nominated, and nobody else is heard.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::{SocketAddr, UdpSocket};

use patchcord_ng::Dict;
use patchcord_tests::ice::{IcePhone, rtp, until};
use patchcord_tests::ng::NgClient;
use patchcord_tests::{Relay, free_ports};
use serde_json::{Value, json};

const CALL: &str = "ice-call";

/// A relay, and a proxy in front of it.
struct Stage {
    relay: Relay,
    proxy: NgClient,
}

impl Stage {
    fn new() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_ports(2).first));
        let relay = Relay::start(&["--ng", &address.to_string()]);
        Self { relay, proxy: NgClient::new(address) }
    }

    /// An offer or answer; gives the SDP for the other side.
    fn say(&self, command: &str, from: &str, to: Option<&str>, sdp: &str, flags: &[&str]) -> String {
        let mut request = Dict::new().with("command", command).with("call-id", CALL).with("from-tag", from);
        if let Some(to) = to {
            request.set("to-tag", to);
        }
        if !flags.is_empty() {
            request.set("flags", flags.to_vec());
        }
        let reply = self.proxy.request(&request.with("sdp", sdp));
        assert_eq!(reply.text("result").as_deref(), Some("ok"), "{reply:?}");
        reply.text("sdp").unwrap().into_owned()
    }

    fn leg(&self, party: &str) -> Value {
        let call = self.relay.client().get(&format!("/v1/calls/{CALL}"));
        let legs = call["legs"].as_array().unwrap().clone();
        legs.into_iter().find(|leg| leg["party"] == party).unwrap()
    }

    /// Waits until the relay knows what both have nominated.
    fn await_nomination(&self, phones: &mut [&mut IcePhone]) {
        until("both are nominated", phones, |_| {
            ["a", "b"].iter().all(|party| self.leg(party)["ice"]["nominated"] == true)
        });
    }

    /// Somebody who knows the relay's ports, which are no secret, sends to both.
    fn intrude(&self, towards: &[SocketAddr]) {
        let intruder = UdpSocket::bind("127.0.0.66:0").unwrap();
        for to in towards {
            for sequence in 0..20 {
                intruder.send_to(&rtp(0xbad, sequence), to).unwrap();
            }
        }
    }
}

/// Each says something, and hears it from the port that its SDP named; nothing else has come to either.
fn talk(a: &mut IcePhone, b: &mut IcePhone) {
    for _ in 0..10 {
        let said = [a.speak(), b.speak()];
        let mut heard = [Vec::new(), Vec::new()];
        until("both hear the other", &mut [&mut *a, &mut *b], |phones| {
            for (phone, heard) in phones.iter_mut().zip(&mut heard) {
                heard.extend(phone.heard(1));
            }
            heard.iter().all(|heard| !heard.is_empty())
        });
        for ((phone, heard), said) in [&*a, &*b].into_iter().zip(&heard).zip(said.iter().rev()) {
            let from = phone.nominated(1).unwrap();
            assert!(heard.iter().all(|(source, bytes)| *source == from && bytes == said), "{heard:?}");
        }
    }
}

fn phone(muxed: bool) -> IcePhone {
    IcePhone::new([127, 0, 0, 1].into(), muxed)
}

/// Both connected.
fn connect(a: &mut IcePhone, b: &mut IcePhone) {
    until("both have nominated", &mut [a, b], |phones| phones.iter().all(|phone| phone.is_connected()));
}

#[test]
fn two_with_ice_talk_and_nobody_else_is_heard() {
    // SRTP with keys of their own passes unread: there too.
    for (protocol, muxed) in [("RTP/AVP", true), ("RTP/SAVP", true), ("RTP/AVP", false)] {
        let stage = Stage::new();
        let (mut a, mut b) = (phone(muxed), phone(muxed));
        let towards_b = stage.say("offer", "a", None, &a.sdp(protocol), &[]);
        b.take(&towards_b);
        let towards_a = stage.say("answer", "a", Some("b"), &b.sdp(protocol), &[]);
        a.take(&towards_a);
        connect(&mut a, &mut b);

        let ports = [a.nominated(1).unwrap(), b.nominated(1).unwrap()];
        stage.intrude(&ports);
        // At once, while the relay may not have heard yet what they have chosen.
        talk(&mut a, &mut b);
        stage.await_nomination(&mut [&mut a, &mut b]);
        for (party, phone) in [("a", &a), ("b", &b)] {
            let leg = stage.leg(party);
            assert_eq!(leg["ice"]["nominated"], json!(true), "{protocol}: {leg}");
            assert_eq!(leg["remote"], json!(phone.address(1).to_string()), "{protocol}: {leg}");
            assert_eq!(leg["drops"]["foreign_source"], json!(20), "{protocol}: {leg}");
            assert_eq!(leg["packets"], json!(10), "{protocol}: {leg}");
        }
        if !muxed {
            a.report();
            until("the report arrives at the second component", &mut [&mut a, &mut b], |phones| {
                phones[1].heard(2).iter().any(|(_, bytes)| bytes[1] == 201)
            });
        }
    }
}

#[test]
fn ice_is_forced_on_one_side_only() {
    let stage = Stage::new();
    let a = UdpSocket::bind("127.0.0.1:0").unwrap();
    let plain = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
        a.local_addr().unwrap().port()
    );
    let mut b = phone(false);
    let towards_b = stage.say("offer", "a", None, &plain, &["ICE=force"]);
    b.take(&towards_b);
    let towards_a = stage.say("answer", "a", Some("b"), &b.sdp("RTP/AVP"), &["ICE=force"]);
    assert!(!towards_a.contains("a=ice") && !towards_a.contains("candidate"), "it offered none: {towards_a}");
    until("it has nominated", &mut [&mut b], |phones| phones[0].is_connected());
    let port: u16 = towards_a.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let said = rtp(7, 1);
    a.send_to(&said, ("127.0.0.1", port)).unwrap();
    until("the audio arrives", &mut [&mut b], |phones| phones[0].heard(1).iter().any(|(_, bytes)| *bytes == said));
    let said = b.speak();
    let mut buffer = [0; 500];
    let (len, _) = a.recv_from(&mut buffer).unwrap();
    assert_eq!(buffer[..len], said);
}

#[test]
fn a_phone_that_changes_its_network_restarts_ice_and_goes_on() {
    let stage = Stage::new();
    let (mut a, mut b) = (phone(true), phone(true));
    b.take(&stage.say("offer", "a", None, &a.sdp("RTP/AVP"), &[]));
    let first = stage.say("answer", "a", Some("b"), &b.sdp("RTP/AVP"), &[]);
    a.take(&first);
    connect(&mut a, &mut b);
    talk(&mut a, &mut b);

    // The same telephone with other sockets and credentials.
    let mut moved = IcePhone::new([127, 0, 0, 2].into(), true);
    let again = stage.say("offer", "a", Some("b"), &moved.sdp("RTP/AVP"), &[]);
    let ufrag = |sdp: &str| sdp.lines().find(|line| line.starts_with("a=ice-ufrag")).unwrap().to_owned();
    let answered = stage.say("answer", "a", Some("b"), &b.sdp("RTP/AVP"), &[]);
    assert_ne!(ufrag(&answered), ufrag(&first), "a restart has other credentials (RFC 8839 4.4.1.1.1)");
    // The other side has not restarted anything: it is told what it knows, and hears the old place up to the new one's nomination.
    talk(&mut a, &mut b);
    moved.take(&answered);
    let b_before = b.nominated(1);
    until("it has nominated anew", &mut [&mut moved, &mut b], |phones| phones[0].is_connected());
    stage.await_nomination(&mut [&mut moved, &mut b]);
    moved.continue_stream_of(&a);
    talk(&mut moved, &mut b);
    assert_eq!((b.nominated(1), again.contains(&format!(" {} typ host", b_before.unwrap().port()))), (b_before, true));
    assert_eq!(stage.leg("a")["remote"], json!(moved.address(1).to_string()));

    // Where it was before, nobody is heard any more.
    a.speak();
    talk(&mut moved, &mut b);
    assert_eq!(stage.leg("a")["drops"]["foreign_source"], json!(1));
}
