//! Two sessions with each other.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod support;

use std::time::{Duration, Instant};

use patchcord_dtls::{Endpoint, HandshakeError, HashFunction, Output, Role, Session, Settings, SrtpProfile};
use support::{Network, Side, announced, assert_same_keys, endpoint, run};

#[test]
fn both_sides_get_the_same_keys() {
    let (one, other) = (endpoint(1), endpoint(2));
    let now = Instant::now();
    let mut client = Side::new(&one, Role::Client, announced(&other), now);
    let mut server = Side::new(&other, Role::Server, announced(&one), now);
    let took = run(&mut client, &mut server, Network::default(), 0, now);
    assert_same_keys(&client, &server);
    assert_eq!(client.keys.unwrap().profile, SrtpProfile::AeadAes256Gcm);
    assert!(took < Duration::from_millis(200), "a packet was sent twice on a network that loses none: {took:?}");
    assert!(client.session.is_connected() && server.session.is_connected());
}

#[test]
fn another_certificate_is_refused_by_either_side_and_no_keys_are_given_away() {
    let (one, other, stranger) = (endpoint(1), endpoint(2), endpoint(3));
    let now = Instant::now();
    for wronged in [Role::Client, Role::Server] {
        let expected = |role, genuine| if role == wronged { announced(&stranger) } else { announced(genuine) };
        let mut client = Side::new(&one, Role::Client, expected(Role::Client, &other), now);
        let mut server = Side::new(&other, Role::Server, expected(Role::Server, &one), now);
        run(&mut client, &mut server, Network::default(), 0, now);
        let (refuses, peer) = if wronged == Role::Client { (&client, &other) } else { (&server, &one) };
        let actual = peer.identity().fingerprint(HashFunction::Sha256);
        assert_eq!(refuses.failure, Some(HandshakeError::Fingerprint { actual }));
        assert!(refuses.keys.is_none() && refuses.session.is_over());
    }
}

#[test]
fn keys_wait_for_a_fingerprint_that_comes_late() {
    let (one, other) = (endpoint(1), endpoint(2));
    let now = Instant::now();
    let mut client = Side::new(&one, Role::Client, Vec::new(), now);
    let mut server = Side::new(&other, Role::Server, announced(&one), now);
    run(&mut client, &mut server, Network::default(), 0, now);
    assert!(server.keys.is_some() && client.keys.is_none() && client.failure.is_none());
    client.session.handle_timeout(now + Duration::from_secs(3600));
    client.drain();
    assert!(client.failure.is_none(), "an answer may take as long as it rings");
    client.session.expect(announced(&other));
    client.drain();
    assert_same_keys(&client, &server);
}

#[test]
fn a_late_fingerprint_that_is_another_ones_is_refused() {
    let (one, other, stranger) = (endpoint(1), endpoint(2), endpoint(3));
    let now = Instant::now();
    let mut client = Side::new(&one, Role::Client, announced(&other), now);
    let mut server = Side::new(&other, Role::Server, Vec::new(), now);
    run(&mut client, &mut server, Network::default(), 0, now);
    server.session.expect(announced(&stranger));
    let goodbye = server.drain();
    assert!(matches!(server.failure, Some(HandshakeError::Fingerprint { .. })));
    server.session.expect(announced(&one));
    server.drain();
    assert!(server.keys.is_none(), "what has failed has failed");
    for datagram in goodbye {
        client.answer(&datagram, now);
    }
    assert!(client.closed, "the peer is told");
}

#[test]
fn a_profile_that_is_not_allowed_is_refused() {
    let (one, other) = (endpoint(1), endpoint(2));
    let now = Instant::now();
    let mut client = Side::new(&one, Role::Client, announced(&other), now);
    client.session = Session::new(&one, Role::Client, announced(&other), &[SrtpProfile::Aes128CmSha1_80], now).unwrap();
    let mut server = Side::new(&other, Role::Server, announced(&one), now);
    run(&mut client, &mut server, Network::default(), 0, now);
    assert_eq!(client.failure, Some(HandshakeError::Profile(SrtpProfile::AeadAes256Gcm)));
    assert!(client.keys.is_none());
}

#[test]
fn a_client_without_an_answer_fails_in_time_and_a_server_waits() {
    let (one, other) = (endpoint(1), endpoint(2));
    let start = Instant::now();
    let mut client = Side::new(&one, Role::Client, announced(&other), start);
    let mut sent = Vec::new();
    let mut now = start;
    loop {
        sent.extend(client.drain().into_iter().map(|_| now - start));
        if client.failure.is_some() {
            break;
        }
        now = client.due.unwrap_or(now);
        client.session.handle_timeout(now);
    }
    assert_eq!(client.failure, Some(HandshakeError::TimedOut));
    assert_eq!(now - start, one.settings().handshake_limit);
    assert!((3..10).contains(&sent.len()), "{sent:?}");
    let mut server = Side::new(&other, Role::Server, announced(&one), start);
    server.drain();
    assert_eq!(server.due, None);
    server.session.handle_timeout(start + Duration::from_secs(86400));
    assert!(server.drain().is_empty() && server.failure.is_none());
}

#[test]
fn a_peer_that_leaves_says_so() {
    let (one, other) = (endpoint(1), endpoint(2));
    let now = Instant::now();
    let mut client = Side::new(&one, Role::Client, announced(&other), now);
    let mut server = Side::new(&other, Role::Server, announced(&one), now);
    run(&mut client, &mut server, Network::default(), 0, now);
    client.session.close();
    for datagram in client.drain() {
        server.answer(&datagram, now);
    }
    assert!(server.closed && server.session.is_over() && client.session.is_over());
    assert!(server.failure.is_none() && client.failure.is_none());
}

#[test]
fn a_restart_is_a_new_session_with_other_keys() {
    let (one, other) = (endpoint(1), endpoint(2));
    let now = Instant::now();
    let mut seen = Vec::new();
    for (client_is, server_is) in [(&one, &other), (&one, &other), (&other, &one)] {
        let mut client = Side::new(client_is, Role::Client, announced(server_is), now);
        let mut server = Side::new(server_is, Role::Server, announced(client_is), now);
        run(&mut client, &mut server, Network::default(), 0, now);
        assert_same_keys(&client, &server);
        let key = client.keys.unwrap().local.key_and_salt().to_vec();
        assert!(!seen.contains(&key), "the same key again");
        seen.push(key);
    }
}

#[test]
fn a_buffer_without_room_is_an_error_and_no_panic() {
    let one = endpoint(1);
    let mut session = Session::new(&one, Role::Client, Vec::new(), &SrtpProfile::ALL, Instant::now()).unwrap();
    let mut small = [0; 100];
    assert!(matches!(session.poll(&mut small), Output::Failed(HandshakeError::Buffer { need: 1.., room: 100 })));
}

#[test]
fn nothing_secret_is_shown() {
    let one = endpoint(1);
    let shown = format!("{one:?} {:?}", Side::new(&one, Role::Client, Vec::new(), Instant::now()).session);
    assert!(shown.contains("Identity(sha-256 ") && shown.len() < 600, "{shown}");
}

#[test]
fn settings_that_make_no_sense_are_refused_at_start() {
    let mut settings = Settings::default();
    settings.mtu = 10;
    let identity = patchcord_dtls::Identity::generate(std::time::SystemTime::now()).unwrap();
    let error = Endpoint::new(identity, settings).unwrap_err();
    assert!(error.to_string().starts_with("DTLS cannot be used with these settings: "), "{error}");
}
