//! DTLS over both fronts, with real handshakes: who begins, whose certificate it must be, when a new association is made, and that
//! nothing passes before there are keys.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use patchcord_control::ErrorCode;
use patchcord_control::api::{CallEvent, Detail, DtlsState, EventKind, LegDtlsDone};
use patchcord_dtls::{
    Endpoint, Fingerprint, HashFunction, Identity, KeyingMaterial, Output, Role, Session, Settings, SrtpProfile,
};
use patchcord_relay::Verdict;
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::RtpHeader;
use patchcord_srtp::{MasterKey, OVERHEAD_MAX, Protections, Receiver, Sender, SessionKeys, protect_rtp, unprotect_rtp};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::relay::{Relay, config, told};
use crate::stage::Stage;

/// A handshake takes milliseconds of CPU time; a busy machine takes its time too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A party with a certificate of its own.
struct Peer {
    address: SocketAddr,
    local: SocketAddr,
    endpoint: Arc<Endpoint>,
    session: Option<Session>,
    keys: Option<KeyingMaterial>,
    sender: Option<Sender>,
    sequence: u16,
}

fn keys(master: &MasterKey) -> SessionKeys {
    SessionKeys::derive(master, None, Protections::ALL).unwrap()
}

impl Peer {
    fn new(address: SocketAddr, local: SocketAddr) -> Self {
        let endpoint = Endpoint::new(Identity::generate(SystemTime::now()).unwrap(), Settings::default()).unwrap();
        Self { address, local, endpoint, session: None, keys: None, sender: None, sequence: 7 }
    }

    fn fingerprint(&self) -> String {
        self.endpoint.identity().fingerprint(HashFunction::Sha256).to_string()
    }

    fn remote(&self, setup: &str) -> Value {
        json!({"setup": setup, "fingerprints": [self.fingerprint()]})
    }

    /// Begins an association with who has this fingerprint.
    fn begin(&mut self, role: Role, fingerprint: &str) {
        let announced: Vec<Fingerprint> = vec![fingerprint.parse().unwrap()];
        let session = Session::new(&self.endpoint, role, announced, &SrtpProfile::ALL, Instant::now()).unwrap();
        (self.session, self.keys) = (Some(session), None);
    }

    /// Takes what has come and sends what is to be sent; says whether there was anything.
    fn exchange(&mut self, relay: &Relay) -> bool {
        let session = self.session.as_mut().unwrap();
        let arrived = relay.workers[0].take_sent(self.address);
        for datagram in arrived.iter().filter(|bytes| (20..64).contains(&bytes[0])) {
            session.handle(datagram, Instant::now());
        }
        session.handle_timeout(Instant::now());
        let mut buffer = [0; Session::DATAGRAM_LEN];
        let mut sends = Vec::new();
        loop {
            match session.poll(&mut buffer) {
                Output::Transmit(datagram) => sends.push(datagram.to_vec()),
                Output::Connected(keys) => self.keys = Some(keys),
                Output::Closed | Output::Failed(_) | Output::Timeout(_) => break,
            }
        }
        for datagram in &sends {
            relay.workers[0].receive(self.local, self.address, datagram);
        }
        !sends.is_empty()
    }

    /// Exchanges datagrams until the relay says that it has come to this.
    async fn until(&mut self, relay: &Relay, party: &str, state: &str) -> DtlsState {
        let begun = Instant::now();
        loop {
            self.exchange(relay);
            let present = dtls_of(relay, party).await.unwrap_or_else(|| panic!("{party} has no DTLS"));
            if present.state == state && (state != "connected" || self.keys.is_some()) {
                return present;
            }
            assert!(begun.elapsed() < PATIENCE, "it never came to {state}: {present:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Sends a packet under the present keys.
    fn talk(&mut self, relay: &Relay) -> Verdict {
        let keys_of = &self.keys;
        let sender = self.sender.get_or_insert_with(|| Sender::new(keys(&keys_of.as_ref().unwrap().local)));
        let plain = packet(self.sequence);
        self.sequence += 1;
        sender.provide();
        let header = RtpHeader::read(&plain).unwrap();
        let index = sender.claim(&header).unwrap();
        let mut bytes = [&plain[..], &[0; OVERHEAD_MAX]].concat();
        let len = protect_rtp(sender.keys(), index, &mut bytes, plain.len()).unwrap();
        relay.workers[0].receive(self.local, self.address, &bytes[..len])
    }

    /// How many packets that it has been sent are authentic under its present keys; none may be anything else.
    fn hears(&self, relay: &Relay) -> usize {
        let mut receiver = Receiver::new(keys(&self.keys.as_ref().unwrap().remote));
        let sent = relay.workers[0].take_sent(self.address);
        let rtp = sent.into_iter().filter(|bytes| bytes[0] >> 6 == 2 && !(192..224).contains(&bytes[1]));
        let authentic = |mut bytes: Vec<u8>| {
            receiver.provide();
            let header = RtpHeader::read_srtp(&bytes).unwrap();
            let index = receiver.expect(&header).unwrap();
            unprotect_rtp(receiver.keys(), index, &mut bytes).expect("under the present keys");
        };
        rtp.map(authentic).count()
    }
}

fn packet(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(9_u32.to_be_bytes());
    packet.resize(172, 0x55);
    packet
}

async fn dtls_of(relay: &Relay, party: &str) -> Option<DtlsState> {
    let call = relay.control.snapshot("c").await.unwrap();
    call.legs.into_iter().find(|leg| *leg.party == *party).unwrap().dtls
}

async fn leg_dtls(relay: &Relay, fields: Value) -> LegDtlsDone {
    let mut command = json!({"command": "leg-dtls", "party": "a"});
    command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let outcome = relay.run(command).await.unwrap();
    let Detail::Dtls(done) = outcome.detail else { panic!("{outcome:?}") };
    *done
}

/// Parties `a`, with a certificate, and `b`, bridged.
async fn bridged(relay: &Relay) -> (Peer, crate::relay::Phone) {
    let mut phones = relay.call(&["a", "b"]).await;
    let b = phones.remove(1);
    (Peer::new(phones[0].address, phones[0].local), b)
}

fn dtls_events(events: &mut broadcast::Receiver<Arc<CallEvent>>) -> Vec<EventKind> {
    let events = told(events).into_iter().map(|event| event.kind);
    events.filter(|kind| kind.name().starts_with("dtls-")).collect()
}

#[tokio::test]
async fn an_association_is_offered_and_the_party_begins() {
    let relay = Relay::new();
    let (mut a, mut b) = bridged(&relay).await;
    let mut events = relay.control.subscribe();
    let offered = leg_dtls(&relay, json!({})).await;
    assert_eq!((offered.setup.as_str(), offered.tls_id.as_ref().map(String::len)), ("actpass", Some(32)));
    assert!(offered.fingerprint.starts_with("sha-256 "), "{offered:?}");
    assert_eq!(relay.talk(&mut b), Verdict::Dropped(DropReason::SrtpRequired), "nothing in the clear");

    let done = leg_dtls(&relay, json!({"remote": a.remote("active")})).await;
    assert_eq!((done.setup.as_str(), &done.fingerprint), ("passive", &offered.fingerprint));
    a.begin(Role::Client, &offered.fingerprint);
    let state = a.until(&relay, "a", "connected").await;
    assert_eq!(state.role.as_deref(), Some("server"));
    assert_eq!(state.profile.as_deref(), a.keys.as_ref().map(|keys| keys.profile.name()));
    let profile = state.profile.unwrap();
    assert_eq!(dtls_events(&mut events), [EventKind::DtlsConnected { profile }]);

    assert!(matches!(a.talk(&relay), Verdict::Forwarded(_)));
    assert!(matches!(relay.talk(&mut b), Verdict::Forwarded(_)));
    assert_eq!(a.hears(&relay), 1);
    let router = patchcord_control::http::router(relay.control.clone(), None, None);
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let page = tower::ServiceExt::oneshot(router, request).await.unwrap().into_body();
    let page = axum::body::to_bytes(page, usize::MAX).await.unwrap();
    let line = "patchcord_dtls_associations_total{result=\"connected\"} 1";
    assert!(String::from_utf8_lossy(&page).lines().any(|found| found == line), "{line}");

    let srtp = relay.state().await.legs[0].srtp.clone().unwrap();
    assert_eq!(srtp.receive.map(|stream| stream.roc), Some(Some(0)));
}

#[tokio::test]
async fn an_association_is_answered_and_the_relay_begins() {
    let relay = Relay::new();
    let (mut a, mut b) = bridged(&relay).await;
    let done = leg_dtls(&relay, json!({"remote": a.remote("actpass"), "hash": "sha-1"})).await;
    assert_eq!((done.setup.as_str(), &done.tls_id), ("active", &None), "it said nothing of names");
    assert!(done.fingerprint.starts_with("sha-1 "), "{done:?}");
    a.begin(Role::Server, &done.fingerprint);
    assert_eq!(a.until(&relay, "a", "connected").await.role.as_deref(), Some("client"));
    assert!(matches!(a.talk(&relay), Verdict::Forwarded(_)));
    // The same said again changes nothing, whoever offers: parts and keys stay.
    for remote in [Value::Null, a.remote("actpass"), a.remote("passive"), a.remote("holdconn")] {
        leg_dtls(&relay, json!({"remote": remote})).await;
        assert_eq!(dtls_of(&relay, "a").await.map(|dtls| (dtls.state, dtls.role)), {
            Some(("connected".to_owned(), Some("client".to_owned())))
        });
        assert!(matches!(a.talk(&relay), Verdict::Forwarded(_)), "{remote}");
        assert!(matches!(relay.talk(&mut b), Verdict::Forwarded(_)));
    }
    assert_eq!(a.hears(&relay), 4);
}

#[tokio::test]
async fn a_hello_that_overtakes_its_sdp_waits_for_the_fingerprint() {
    let relay = Relay::new();
    let (mut a, _b) = bridged(&relay).await;
    let offered = leg_dtls(&relay, json!({})).await;
    a.begin(Role::Client, &offered.fingerprint);
    let begun = Instant::now();
    while a.keys.is_none() {
        a.exchange(&relay);
        assert!(begun.elapsed() < PATIENCE, "the relay does not answer");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(dtls_of(&relay, "a").await.unwrap().state, "handshake", "nobody knows yet who that is");
    assert_eq!(a.talk(&relay), Verdict::Dropped(DropReason::SrtpRequired));
    leg_dtls(&relay, json!({"remote": a.remote("active")})).await;
    a.until(&relay, "a", "connected").await;
    assert!(matches!(a.talk(&relay), Verdict::Forwarded(_)));
}

#[tokio::test]
async fn somebody_elses_certificate_gives_no_keys_and_says_why() {
    let relay = Relay::new();
    let (mut a, mut b) = bridged(&relay).await;
    let mut events = relay.control.subscribe();
    let announced = Peer::new(a.address, a.local).remote("active");
    let done = leg_dtls(&relay, json!({"remote": announced})).await;
    a.begin(Role::Client, &done.fingerprint);
    let state = a.until(&relay, "a", "failed").await;
    let error = state.error.unwrap();
    assert!(error.contains(&a.fingerprint()) && error.contains("does not announce"), "{error}");
    assert_eq!(dtls_events(&mut events), [EventKind::DtlsFailed { reason: error }]);
    assert_eq!(relay.talk(&mut b), Verdict::Dropped(DropReason::SrtpRequired));
}

#[tokio::test]
async fn another_certificate_is_another_association_and_the_former_keys_hold_until_then() {
    let relay = Relay::new();
    let (mut a, mut b) = bridged(&relay).await;
    let done = leg_dtls(&relay, json!({"remote": a.remote("active")})).await;
    a.begin(Role::Client, &done.fingerprint);
    a.until(&relay, "a", "connected").await;
    assert!(matches!(a.talk(&relay), Verdict::Forwarded(_)));

    let mut other = Peer { sequence: 100, ..Peer::new(a.address, a.local) };
    let again = leg_dtls(&relay, json!({"remote": other.remote("actpass")})).await;
    assert_eq!((again.setup.as_str(), &again.fingerprint), ("active", &done.fingerprint), "parts are chosen anew");
    assert!(matches!(a.talk(&relay), Verdict::Forwarded(_)), "no gap until there are other keys");
    assert!(matches!(relay.talk(&mut b), Verdict::Forwarded(_)));
    assert_eq!(a.hears(&relay), 1);
    other.begin(Role::Server, &done.fingerprint);
    other.until(&relay, "a", "connected").await;
    assert_eq!(a.talk(&relay), Verdict::Dropped(DropReason::SrtpUnauthentic));
    assert!(matches!(other.talk(&relay), Verdict::Forwarded(_)));
    assert!(matches!(relay.talk(&mut b), Verdict::Forwarded(_)));
    assert_eq!(other.hears(&relay), 1);

    // By name, and by our own wish.
    let named = |name: &str| {
        let mut remote = other.remote("passive");
        remote["tls_id"] = json!(name.repeat(20));
        json!({"remote": remote})
    };
    let first = leg_dtls(&relay, named("x")).await;
    assert_eq!(dtls_of(&relay, "a").await.unwrap().state, "handshake");
    let second = leg_dtls(&relay, named("y")).await;
    assert!(first.tls_id.is_some() && first.tls_id != second.tls_id, "{first:?} {second:?}");
    assert_eq!(leg_dtls(&relay, named("y")).await, second);
    let third = leg_dtls(&relay, json!({"restart": true})).await;
    assert_ne!(third.tls_id, second.tls_id);
}

#[tokio::test]
async fn a_party_that_leaves_is_sent_nothing_more_and_may_speak_rtp_again() {
    let relay = Relay::new();
    let (mut a, mut b) = bridged(&relay).await;
    let mut events = relay.control.subscribe();
    let done = leg_dtls(&relay, json!({"remote": a.remote("active")})).await;
    a.begin(Role::Client, &done.fingerprint);
    a.until(&relay, "a", "connected").await;
    a.session.as_mut().unwrap().close();
    a.until(&relay, "a", "closed").await;
    assert_eq!(
        relay.talk(&mut b),
        Verdict::Dropped(DropReason::SrtpRequired),
        "its keys are not to be used any longer"
    );
    assert_eq!(dtls_events(&mut events).last(), Some(&EventKind::DtlsClosed));
    let off = relay.run(json!({"command": "leg-dtls", "party": "a", "enabled": false})).await.unwrap();
    assert!(matches!(off.detail, Detail::Done(_)), "{off:?}");
    assert_eq!(dtls_of(&relay, "a").await, None);
    assert!(matches!(relay.talk(&mut b), Verdict::Forwarded(_)));
}

#[tokio::test]
async fn what_cannot_be_agreed_on_is_refused_and_changes_nothing() {
    let relay = Relay::new();
    let (a, _b) = bridged(&relay).await;
    for (fields, part) in [
        (json!({"setup": "both"}), "active, passive, actpass or holdconn"),
        (json!({"hash": "md5"}), "md5"),
        (json!({"remote": {"setup": "active", "fingerprints": []}}), "there is none"),
        (json!({"remote": {"fingerprints": ["md5 00:11", "sha-256 00"]}}), "none of md5 00:11, sha-256 00 is one"),
        (json!({"remote": a.remote("both")}), "active, passive, actpass or holdconn"),
        (json!({"remote": a.remote("active"), "setup": "active"}), "does not go with active"),
        (json!({"enabled": false, "restart": true}), "leave out `enabled`"),
        (json!({"remote": {"fingerprints": [a.fingerprint()], "tls_id": "short"}}), "20 to 255"),
    ] {
        let mut command = json!({"command": "leg-dtls", "party": "a"});
        command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let error = relay.run(command).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadSrtp, "{fields}");
        assert!(error.message.contains(part), "{fields}: {error}");
        assert_eq!(dtls_of(&relay, "a").await, None, "{fields}");
    }
    // A batch of which another command is refused.
    let batch = json!([{"command": "leg-dtls", "party": "a"}, {"command": "leg-delete", "party": "nobody"}]);
    assert_eq!(relay.batch(batch).await.unwrap_err().code, ErrorCode::UnknownParty);
    assert_eq!(dtls_of(&relay, "a").await, None);
    assert_eq!(relay.state().await.legs[0].srtp, None);
}

/// What an SDP that a party is told says of DTLS: protocol, setup and fingerprint.
fn dtls_in(sdp: &str) -> (String, String, String) {
    let value = |name: &str| {
        let lines: Vec<_> = sdp.lines().filter_map(|line| line.strip_prefix(name)).collect();
        assert!(lines.len() <= 1, "{sdp}");
        lines.first().copied().unwrap_or_default().to_owned()
    };
    let protocol = value("m=audio ").split(' ').nth(1).unwrap().to_owned();
    (protocol, value("a=setup:"), value("a=fingerprint:"))
}

fn sdp(port: u16, protocol: &str, attributes: &[String]) -> String {
    let attributes: String = attributes.iter().map(|line| format!("a={line}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio {port} {protocol} 0\r\n{attributes}"
    )
}

fn plain(port: u16) -> String {
    sdp(port, "RTP/AVP", &[])
}

const DTLS: &str = "UDP/TLS/RTP/SAVPF";
const TOWARDS_DTLS: &[&str] = &["transport-protocol=UDP/TLS/RTP/SAVPF"];

impl Peer {
    fn sdp(&self, setup: &str) -> String {
        let lines = [format!("setup:{setup}"), format!("fingerprint:{}", self.fingerprint()), "rtcp-mux".to_owned()];
        sdp(self.address.port(), DTLS, &lines)
    }
}

/// A party that has said where it is, and is known by this name.
async fn peer(stage: &Stage, party: &str, port: u16) -> Peer {
    let call = stage.relay.control.snapshot("c").await.unwrap();
    let leg = call.legs.iter().find(|leg| *leg.party == *party).unwrap_or_else(|| panic!("no {party}"));
    Peer::new(SocketAddr::from(([10, 0, 0, 9], port)), leg.local)
}

#[tokio::test]
async fn ng_puts_a_plain_party_through_to_one_with_dtls() {
    let stage = Stage::new(|_| ());
    let offered = stage.offer(&plain(4000), TOWARDS_DTLS).await;
    let (protocol, setup, fingerprint) = dtls_in(&offered);
    assert_eq!((protocol.as_str(), setup.as_str()), (DTLS, "actpass"));
    assert!(
        offered.contains("a=tls-id:") && offered.contains("a=rtcp-mux") && !offered.contains("crypto"),
        "{offered}"
    );
    assert_eq!(stage.offer(&plain(4000), TOWARDS_DTLS).await, offered, "an offer that is repeated is the same");
    let mut b = peer(&stage, "callee", 5000).await;
    let told = stage.answer(&b.sdp("active"), &[]).await;
    assert_eq!(dtls_in(&told), ("RTP/AVP".to_owned(), String::new(), String::new()));
    assert!(!told.contains("a=tls-id"), "{told}");
    b.begin(Role::Client, &fingerprint);
    b.until(&stage.relay, "b", "connected").await;
    assert!(matches!(b.talk(&stage.relay), Verdict::Forwarded(_)));
    // Session refreshes from both sides: parts and association stay.
    let told = stage.sdp("offer", "a", Some("b"), &plain(4000), &[]).await;
    assert_eq!(dtls_in(&told), (DTLS.to_owned(), "actpass".to_owned(), fingerprint.clone()));
    stage.answer(&b.sdp("active"), &[]).await;
    let told = stage.sdp("offer", "b", Some("a"), &b.sdp("actpass"), &[]).await;
    assert_eq!(dtls_in(&told).0, "RTP/AVP");
    let told = stage.sdp("answer", "b", Some("a"), &plain(4000), &[]).await;
    assert_eq!(dtls_in(&told), (DTLS.to_owned(), "passive".to_owned(), fingerprint));
    assert_eq!(dtls_of(&stage.relay, "b").await.unwrap().state, "connected");
    assert!(matches!(b.talk(&stage.relay), Verdict::Forwarded(_)));
}

#[tokio::test]
async fn ng_puts_a_party_with_dtls_through_to_a_plain_one() {
    for (flags, wished, role) in [(&[][..], "active", "client"), (&["DTLS-reverse=passive"], "passive", "server")] {
        let stage = Stage::new(|_| ());
        let local: SocketAddr = ([10, 0, 0, 1], 30_000).into();
        let mut a = Peer::new(([10, 0, 0, 9], 4000).into(), local);
        let told = stage.offer(&a.sdp("actpass"), &[&["transport-protocol=RTP/AVP"], flags].concat()).await;
        assert_eq!(dtls_in(&told), ("RTP/AVP".to_owned(), String::new(), String::new()));
        a.local = peer(&stage, "a", 4000).await.local;
        let told = stage.answer(&plain(5000), &[]).await;
        let (protocol, setup, fingerprint) = dtls_in(&told);
        assert_eq!((protocol.as_str(), setup.as_str()), (DTLS, wished));
        assert!(!told.contains("a=tls-id"), "the offer said nothing of names: {told}");
        a.begin(if wished == "active" { Role::Server } else { Role::Client }, &fingerprint);
        assert_eq!(a.until(&stage.relay, "a", "connected").await.role.as_deref(), Some(role));
        assert!(matches!(a.talk(&stage.relay), Verdict::Forwarded(_)));
    }
}

#[tokio::test]
async fn ng_brings_dtls_and_keys_in_sdp_together_and_ends_each_when_it_is_over() {
    const CRYPTO: &str = "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    let stage = Stage::new(|_| ());
    let sdes = sdp(4000, "RTP/SAVP", &[CRYPTO.to_owned()]);
    let offered = stage.offer(&sdes, TOWARDS_DTLS).await;
    assert!(!offered.contains("crypto"), "{offered}");
    let mut b = peer(&stage, "callee", 5000).await;
    let told = stage.answer(&b.sdp("passive"), &[]).await;
    assert!(told.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80") && !told.contains("fingerprint"), "{told}");
    b.begin(Role::Server, &dtls_in(&offered).2);
    b.until(&stage.relay, "b", "connected").await;
    // It is offered keys in SDP from now on, and then none.
    for (flags, protocol) in
        [(&["transport-protocol=RTP/SAVP"], "RTP/SAVP"), (&["transport-protocol=RTP/AVP"], "RTP/AVP")]
    {
        let told = stage.sdp("offer", "a", Some("b"), &sdes, flags).await;
        assert_eq!(dtls_in(&told), (protocol.to_owned(), String::new(), String::new()));
        let theirs = told.lines().find_map(|line| line.strip_prefix("a=crypto:")).map(|line| format!("crypto:{line}"));
        stage.answer(&sdp(5000, protocol, &Vec::from_iter(theirs)), &[]).await;
        assert_eq!(dtls_of(&stage.relay, "b").await, None);
    }
    let call = stage.relay.control.snapshot("c").await.unwrap();
    assert_eq!(call.legs.iter().map(|leg| leg.srtp.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn ng_speaks_with_two_that_have_dtls_each_for_itself_unless_it_relays_unread() {
    let a = Peer::new(([10, 0, 0, 9], 4000).into(), ([10, 0, 0, 1], 30_000).into());
    let b = Peer::new(([10, 0, 0, 9], 5000).into(), ([10, 0, 0, 1], 30_002).into());
    let stage = Stage::new(|_| ());
    // What the session says holds for all its media (RFC 5763 5).
    let at_session = a.sdp("actpass").replace("t=0 0\r\n", &format!("t=0 0\r\na=fingerprint:{}\r\n", b.fingerprint()));
    let at_session = at_session.replace(&format!("a=fingerprint:{}\r\n", a.fingerprint()), "");
    let told = stage.offer(&at_session, &[]).await;
    let (protocol, setup, ours) = dtls_in(&told);
    assert_eq!((protocol.as_str(), setup.as_str()), (DTLS, "actpass"));
    assert!(!told.contains(&b.fingerprint()), "{told}");
    let told = stage.answer(&b.sdp("active"), &[]).await;
    assert_eq!(dtls_in(&told), (DTLS.to_owned(), "active".to_owned(), ours));
    for party in ["a", "b"] {
        assert_eq!(dtls_of(&stage.relay, party).await.unwrap().state, "handshake");
    }

    let stage = Stage::new(|config| config.relay_unread = true);
    let told = stage.offer(&a.sdp("actpass"), &[]).await;
    assert_eq!(dtls_in(&told), (DTLS.to_owned(), "actpass".to_owned(), a.fingerprint()));
    let told = stage.answer(&b.sdp("active"), &[]).await;
    assert_eq!(dtls_in(&told), (DTLS.to_owned(), "active".to_owned(), b.fingerprint()));
    assert_eq!((dtls_of(&stage.relay, "a").await, dtls_of(&stage.relay, "b").await), (None, None));
}

#[tokio::test]
async fn ng_refuses_what_nobody_could_be_told_by() {
    let stage = Stage::new(|_| ());
    let refused = async |command: &str, to: Option<&str>, sdp: &str, flags: &[&str]| {
        let reply = stage.ask(command, "a", to, sdp, flags).await;
        assert_eq!(reply.text("result").as_deref(), Some("error"), "{reply:?}");
        reply.text("error-reason").unwrap().into_owned()
    };
    let without = sdp(4000, DTLS, &["setup:actpass".to_owned()]);
    let reason = refused("offer", None, &without, &["transport-protocol=RTP/AVP"]).await;
    assert!(reason.contains("the offer has no a=fingerprint"), "{reason}");
    let reason = refused("offer", None, &plain(4000), &[TOWARDS_DTLS, &["DTLS=off"]].concat()).await;
    assert!(reason.contains("leave out DTLS=off"), "{reason}");
    stage.offer(&plain(4000), TOWARDS_DTLS).await;
    let reason = refused("answer", Some("b"), &sdp(5000, DTLS, &[]), &[]).await;
    assert!(reason.contains("the answer has no a=fingerprint"), "{reason}");
    assert_eq!(dtls_of(&stage.relay, "callee").await.unwrap().state, "handshake");
}

#[tokio::test]
async fn a_worker_that_takes_no_requests_leaves_no_keys_behind() {
    let relay = Relay::with(config(30000..=30099), 1);
    let (mut a, _b) = bridged(&relay).await;
    let done = leg_dtls(&relay, json!({"remote": a.remote("active")})).await;
    a.begin(Role::Client, &done.fingerprint);
    relay.control.delete_call("c", None).await.unwrap();
    // Nobody is there for what is late.
    for _ in 0..10 {
        a.exchange(&relay);
    }
    assert!(a.keys.is_none());
}
