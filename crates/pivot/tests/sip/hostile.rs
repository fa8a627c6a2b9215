//! What no telephone sends.

use std::net::SocketAddr;

use patchcord_pivot::message::{DialogId, Event, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::support::{Peer, Pivot, listen, sdp};

/// A small generator of numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).expect("31 bits") % below
    }
}

fn seeds(of: SocketAddr) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for method in ["INVITE", "ACK", "BYE", "CANCEL", "REFER", "NOTIFY", "OPTIONS", "UPDATE", "PRACK", "MESSAGE"] {
        let head = format!(
            "{method} sip:a;x=1@{of};transport=udp;lr SIP/2.0\r\nVia: SIP/2.0/UDP {of};branch=z9hG4bKx;rport, SIP/2.0/TCP h\r\n\
             f: \"A \\\" B\" <sip:a@b;p=q?h=v>;tag=1\r\nTo: <sip:a@[::1]>;tag=2\r\ni: c\r\nCSeq: 1 {method}\r\n\
             m: <sip:x@{of}>, *\r\nRecord-Route: <sip:r;lr>,<sip:s>\r\nRefer-To: <sip:t@u?Replaces=a%3Bb>\r\nRAck: 1 1 INVITE\r\n\
             Session-Expires: 90;refresher=uac\r\nRequire: 100rel\r\nContent-Type: multipart/mixed;boundary=\"b\"\r\nEvent: refer\r\n"
        );
        seeds.push(Peer::message(&head, "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--\r\n").into_bytes());
    }
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\n\
        Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\nContent-Length: 0\r\n\r\n";
    seeds.push(response.as_bytes().to_vec());
    seeds
}

fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const TOKENS: [&[u8]; 14] = [
        b"\r\n",
        b"\r\n\r\n",
        b":",
        b";",
        b"<",
        b">",
        b"\"",
        b"\xff\xfe",
        b"\0",
        b"4294967296",
        b"-1",
        b"[::",
        b",,,",
        b"\r\n ",
    ];
    let mut bytes = seeds[random.next(seeds.len())].clone();
    for _ in 0..=random.next(6) {
        let at = random.next(bytes.len().max(1)).min(bytes.len());
        match random.next(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, TOKENS[random.next(TOKENS.len())].iter().copied())),
            2 => {
                let end = (at + random.next(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.next(256)).expect("a byte");
                }
            }
            _ => {
                let other = &seeds[random.next(seeds.len())];
                let from = random.next(other.len());
                let end = (from + random.next(80)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    bytes
}

#[allow(clippy::print_stderr, reason = "a failure has to be repeated")]
fn random() -> Random {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::try_from(now.as_nanos() & 0xffff_ffff).expect("32 bits") | 1);
    eprintln!("SEED={seed}");
    Random(seed)
}

/// Panics of any task are failures.
fn count_panics() -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    let panics = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (counted, before) = (panics.clone(), std::panic::take_hook());
    let watched = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == watched {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        before(info);
    }));
    panics
}

#[tokio::test]
async fn whatever_is_thrown_at_the_sockets_a_good_call_is_made_after_it() {
    let panics = count_panics();
    let mut random = random();
    let mut pivot = Pivot::with(|config| {
        config.listen.push(listen(Transport::Tcp, "127.0.0.1"));
        config.limits.dialogs = 10_000;
    })
    .await;
    let tcp = pivot.stack.addresses()[1].1;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let seeds = seeds(socket.local_addr().expect("an address"));
    let mut peer = Peer::new(pivot.address).await;
    for round in 0..40 {
        for _ in 0..50 {
            let _ = socket.send_to(&mutated(&mut random, &seeds), pivot.address).await;
        }
        let mut stream = TcpStream::connect(tcp).await.expect("it accepts");
        // It may hang up at the first of them.
        let _ = stream.write_all(&mutated(&mut random, &seeds)).await;
        let _ = stream.write_all(&mutated(&mut random, &seeds)).await;
        while pivot.events.try_recv().is_ok() {}
        // It has read all that came before, as it answers what comes after.
        let mut options = peer.stranger("OPTIONS", round);
        options.push_str("Content-Length: 0\r\n\r\n");
        peer.send(&options).await;
        peer.expect("SIP/2.0 200").await;
    }
    good_call(&mut pivot, &mut peer).await;
    assert_eq!(panics.load(std::sync::atomic::Ordering::SeqCst), 0, "a task panicked");
}

/// A call that is answered and ended as it should be, whatever else still comes.
async fn good_call(pivot: &mut Pivot, peer: &mut Peer) -> DialogId {
    let call = peer.invite(&sdp("good")).await;
    let dialog = loop {
        match pivot.next().await {
            Event::Invite(dialog, incoming) if *incoming.call_id == *call.call_id => break dialog,
            _ => {}
        }
    };
    pivot.accept(dialog);
    let ok = peer.expect("SIP/2.0 200").await;
    let mut call = peer.acknowledge(call, &ok, "").await;
    peer.bye(&mut call).await;
    dialog
}

#[tokio::test]
async fn whatever_is_said_in_a_call_the_next_one_is_good() {
    let panics = count_panics();
    let mut random = random();
    let mut pivot = Pivot::with(|config| config.limits.dialogs = 10_000).await;
    let mut peer = Peer::new(pivot.address).await;
    for _ in 0..15 {
        // A caller who goes mad.
        let (_, mut call) = pivot.call_from(&mut peer).await;
        let mut seeds = Vec::new();
        for method in ["INVITE", "ACK", "BYE", "CANCEL", "REFER", "NOTIFY", "INFO", "UPDATE", "PRACK"] {
            call.cseq += 1;
            let fields = "Contact: <sip:x@127.0.0.1:9>\r\nRefer-To: <sip:a@b>\r\nEvent: refer\r\nRAck: 1 1 INVITE\r\n\
                Subscription-State: active;expires=1\r\nSession-Expires: 1800;refresher=uas\r\nSupported: timer\r\n";
            let via = format!("SIP/2.0/UDP 127.0.0.1:{};rport;branch=z9hG4bKm{}", peer.port(), random.0);
            seeds.push(peer.text(method, &call, &via, fields, &sdp("mad")).into_bytes());
        }
        for _ in 0..60 {
            peer.send_bytes(&mutated(&mut random, &seeds)).await;
        }
        // A callee who does.
        let mut callee = Peer::new(pivot.address).await;
        pivot.call(&callee.uri(), |_| {});
        let (invite, _) = callee.receive().await;
        let mut seeds = Vec::new();
        for status in ["100 T", "183 P", "200 OK", "302 Moved", "401 Who", "422 Short", "486 Busy"] {
            let mut head =
                format!("SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\n", invite.get("Via"), invite.get("From"));
            head.push_str(&format!(
                "To: {};tag=m\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:x@127.0.0.1:9>\r\nRequire: 100rel\r\nRSeq: 1\r\n\
                 Record-Route: <sip:r;lr>, <sip:127.0.0.1:9>\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\
                 Session-Expires: 1800;refresher=uac\r\nReason: Q.850;cause=16\r\nMin-SE: 90\r\n",
                invite.get("To"), invite.get("Call-ID"), invite.get("CSeq"),
            ));
            seeds.push(Peer::message(&head, &sdp("mad")).into_bytes());
        }
        for _ in 0..60 {
            callee.send_bytes(&mutated(&mut random, &seeds)).await;
        }
        // What comes of all that is of no interest.
        peer = Peer::new(pivot.address).await;
        peer.send(&Peer::message(&peer.stranger("OPTIONS", 1), "")).await;
        loop {
            tokio::select! {
                _ = pivot.next() => {}
                (answer, _) = peer.receive() => {
                    assert_eq!(answer.start, "SIP/2.0 200 OK");
                    break;
                }
            }
        }
        let dialog = good_call(&mut pivot, &mut peer).await;
        loop {
            if matches!(pivot.next().await, Event::Ended(ended, _) if ended == dialog) {
                break;
            }
        }
        while pivot.events.try_recv().is_ok() {}
        // Those that are still mad are not asked any more.
        pivot = Pivot::with(|config| config.limits.dialogs = 10_000).await;
        peer = Peer::new(pivot.address).await;
    }
    assert_eq!(panics.load(std::sync::atomic::Ordering::SeqCst), 0, "a task panicked");
}

#[tokio::test]
async fn wrong_requests_get_the_right_answer() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let mut number = 100;
    for (method, fields, body, code) in [
        ("INVITE", "Content-Type: text/plain\r\n", "hello", "415"),
        ("INVITE", "Content-Type: multipart/mixed;boundary=b\r\n", "--b\r\n\r\nx\r\n--b--", "415"),
        ("INVITE", "", "", "400"),
        ("INVITE", "Require: a, 100rel, b\r\n", "", "420"),
        ("REGISTER", "", "", "405"),
        ("SUBSCRIBE", "", "", "405"),
        ("DANCE", "", "", "501"),
        ("BYE", "", "", "481"),
        ("OPTIONS", "", "", "200"),
    ] {
        number += 1;
        let contact = if fields.is_empty() { String::new() } else { peer.contact() };
        let head = format!("{}{contact}{fields}", peer.stranger(method, number));
        peer.send(&Peer::message(&head, body)).await;
        let answer = peer.expect(&format!("SIP/2.0 {code}")).await;
        match code {
            "415" => assert!(answer.get("Accept").contains("application/sdp"), "{answer:?}"),
            "420" => assert_eq!(answer.get("Unsupported"), "a, b"),
            "405" | "501" | "200" => assert!(answer.get("Allow").contains("REFER"), "{answer:?}"),
            _ => {}
        }
    }
    // A description that is no text.
    let head = format!("{}{}Content-Type: application/sdp\r\n", peer.stranger("INVITE", 200), peer.contact());
    let mut bytes = format!("{head}Content-Length: 2\r\n\r\n").into_bytes();
    bytes.extend([0xff, 0xfe]);
    peer.send_bytes(&bytes).await;
    peer.expect("SIP/2.0 400 Body Is No UTF-8").await;
    let head = peer.stranger("INVITE", 201).replace("Max-Forwards: 70", "Max-Forwards: 0");
    peer.send(&Peer::message(&head, "")).await;
    peer.expect("SIP/2.0 483").await;
    assert!(pivot.events.try_recv().is_err(), "nothing of it is anybody's business");
    assert_eq!(pivot.stack.dialogs(), 0);
}

#[tokio::test]
async fn a_silent_stack_says_nothing_to_strangers() {
    let pivot = Pivot::with(|config| {
        config.is_silent = true;
        config.allows = Some(std::sync::Arc::new(|origin| origin.address.port() % 2 == 0));
        config.listen.push(listen(Transport::Tcp, "127.0.0.1"));
    })
    .await;
    let (mut even, mut odd) = (Peer::new(pivot.address).await, Peer::new(pivot.address).await);
    while !even.port().is_multiple_of(2) {
        even = Peer::new(pivot.address).await;
    }
    while odd.port().is_multiple_of(2) {
        odd = Peer::new(pivot.address).await;
    }
    for method in ["OPTIONS", "DANCE", "INVITE"] {
        odd.send(&Peer::message(&odd.stranger(method, 1), "")).await;
    }
    even.send(&Peer::message(&even.stranger("OPTIONS", 2), "")).await;
    even.expect("SIP/2.0 200").await;
    assert!(odd.has_nothing(), "strangers hear nothing");
    // A stream beyond the limit is closed.
    let mut stream = TcpStream::connect(pivot.stack.addresses()[1].1).await.expect("it accepts");
    let _ = stream.write_all(&vec![b'x'; 100_000]).await;
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok() && rest.is_empty());
}
