//! ng over a network that loses replies: Kamailio asks again, and nothing is done twice.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use patchcord_tests::free_port;

use crate::stage::{Stage, must_talk};

/// Passes requests on, and loses the first reply to each.
fn lose_first_replies(listen: SocketAddr, relay: SocketAddr) -> Arc<AtomicUsize> {
    let lost = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lost);
    let inner = UdpSocket::bind(listen).unwrap();
    std::thread::spawn(move || {
        let outer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut seen = BTreeSet::new();
        let mut buffer = [0; 65_536];
        loop {
            let (len, from) = inner.recv_from(&mut buffer).unwrap();
            outer.send_to(&buffer[..len], relay).unwrap();
            let (len, _) = outer.recv_from(&mut buffer).unwrap();
            let cookie = buffer[..len].split(|&byte| byte == b' ').next().unwrap().to_vec();
            let ping = String::from_utf8_lossy(&buffer[..len]).contains("pong");
            if ping || !seen.insert(cookie) {
                inner.send_to(&buffer[..len], from).unwrap();
            } else {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    lost
}

#[test]
fn requests_that_come_again_are_done_once() {
    let (relay, path) = (free_port(), free_port());
    let lost = lose_first_replies(path, relay);
    let stage = Stage::with(relay, path, &[]);
    let (mut caller, mut callee) = stage.talking();
    must_talk(&mut caller, &mut callee);
    assert_eq!(stage.calls().len(), 1);
    let call = stage.call(caller.call.id());
    assert_eq!(call["legs"].as_array().unwrap().len(), 2, "{call}");
    caller.phone.request(&mut caller.call, "BYE", "", "");
    let _bye = callee.phone.must_take("BYE");
    stage.must_be_idle();
    assert!(lost.load(Ordering::Relaxed) >= 3, "offer, answer and delete were asked twice");
}
