//! Every transport, two stacks against each other; the trace; and what does not start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use patchcord_pivot::message::{Action, Credentials, DialogId, Event, Status, Transport};
use patchcord_pivot::sip::{Certificate, Config, Stack, StackError, Traced};
use tokio::sync::mpsc;

use crate::support::{Peer, Pivot, listen, sdp};

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("patchcord-pivot-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in the system's folder for such.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate for 127.0.0.1 that vouches for itself.
fn certificate(folder: &Path) -> Certificate {
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args([
            "-subj",
            "/CN=pivot",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .expect("openssl runs: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Certificate { chain, key }
}

/// The one calls the other, and each ends a call.
async fn call_each_other(transport: Transport, uri: impl Fn(SocketAddr) -> String, change: impl Fn(&mut Config)) {
    let mut caller = Pivot::with(|config| {
        config.listen = vec![listen(transport, "127.0.0.1")];
        change(config);
    })
    .await;
    let mut callee = Pivot::with(|config| {
        config.listen = vec![listen(transport, "127.0.0.1")];
        change(config);
    })
    .await;
    for callee_ends in [true, false] {
        let dialog = caller.call(&uri(callee.address), |_| {});
        let (theirs, incoming) = callee.invited().await;
        assert_eq!(incoming.origin.transport, transport);
        assert_eq!(incoming.offer.as_deref(), Some(&*sdp("offer")));
        callee.act(Action::Progress { dialog: theirs, status: Status { code: 180, phrase: "R".into() }, sdp: None });
        assert!(matches!(caller.next().await, Event::Progress { .. }));
        callee.accept(theirs);
        assert!(matches!(caller.next().await, Event::Accepted { .. }));
        callee.acknowledged().await;
        if callee_ends {
            end(&mut callee, theirs, &mut caller).await;
        } else {
            end(&mut caller, dialog, &mut callee).await;
        }
    }
}

async fn end(one: &mut Pivot, dialog: DialogId, other: &mut Pivot) {
    let request = one.request();
    one.act(Action::Bye { dialog, request, reason: None });
    other.ended().await;
    assert_eq!(one.answered(request).await.0.code, 200);
}

#[tokio::test]
async fn calls_by_tcp_and_websocket() {
    call_each_other(Transport::Tcp, |to| format!("sip:a@{to};transport=tcp"), |_| {}).await;
    call_each_other(Transport::Ws, |to| format!("sip:a@{to};transport=ws"), |_| {}).await;
}

#[tokio::test]
async fn calls_by_tls_and_secure_websocket() {
    let folder = Folder::new("tls");
    let certificate = certificate(&folder.0);
    let trust = |config: &mut Config| {
        config.ca = Some(certificate.chain.clone());
        config.certificate = Some(certificate.clone());
    };
    call_each_other(Transport::Tls, |to| format!("sips:a@{to}"), trust).await;
    call_each_other(Transport::Wss, |to| format!("sips:a@{to};transport=ws"), trust).await;
    // Whom nobody vouches for is not called.
    let callee = Pivot::with(|config| {
        config.listen = vec![listen(Transport::Tls, "127.0.0.1")];
        config.certificate = Some(certificate.clone());
    })
    .await;
    let mut caller = Pivot::start().await;
    caller.call(&format!("sips:a@{}", callee.address), |_| {});
    match caller.next().await {
        Event::Rejected(_, rejection) => {
            assert_eq!((rejection.status.code, rejection.is_local), (503, true));
            assert!(rejection.status.phrase.contains("certificate"), "{rejection:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_trace_has_everything_but_credentials() {
    let traced = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&traced);
    let mut pivot = Pivot::with(|config| {
        config.trace = Some(Arc::new(move |message: &Traced<'_>| {
            let text = String::from_utf8_lossy(&message.bytes()).into_owned();
            let call_id = message.call_id.to_owned();
            sink.lock().expect("no panic").push((message.is_outgoing, message.address, call_id, text));
        }));
    })
    .await;
    let mut peer = Peer::new(pivot.address).await;
    let credentials = Credentials { username: "u".into(), password: "p".into(), realm: None };
    pivot.call(&peer.uri(), |outgoing| outgoing.credentials = Some(credentials));
    let invite = peer.expect("INVITE").await;
    peer.respond(&invite, "401 No", "t", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "").await;
    peer.expect("ACK").await;
    let again = peer.expect("INVITE").await;
    assert!(again.get("Authorization").contains("response="));
    peer.respond(&again, "200 OK", "t", &peer.contact(), &sdp("x")).await;
    peer.expect("ACK").await;
    pivot.next().await;
    let traced = traced.lock().expect("no panic");
    let lines: Vec<_> =
        traced.iter().map(|(out, .., text)| (*out, text.split("\r\n").next().expect("a line"))).collect();
    let uri = invite.uri();
    let expected = [
        (true, format!("INVITE {uri} SIP/2.0")),
        (false, "SIP/2.0 401 No".to_owned()),
        (true, format!("ACK {uri} SIP/2.0")),
        (true, format!("INVITE {uri} SIP/2.0")),
        (false, "SIP/2.0 200 OK".to_owned()),
    ];
    assert_eq!(lines[..5], expected.iter().map(|(out, line)| (*out, line.as_str())).collect::<Vec<_>>());
    for (_, address, call_id, text) in traced.iter() {
        assert_eq!((address.port(), call_id.as_str()), (peer.port(), invite.get("Call-ID")));
        assert!(!text.contains("response="), "{text}");
    }
    assert!(traced[3].3.contains("Authorization: Digest masked\r\n"), "{}", traced[3].3);
    assert!(traced[3].3.ends_with(&sdp("offer")), "{}", traced[3].3);
}

#[tokio::test]
async fn what_cannot_start_says_what_to_do() {
    let (events, _receiver) = mpsc::channel(1);
    let nowhere = Stack::start(Config::new(Vec::new()), events.clone()).await;
    assert!(matches!(nowhere, Err(StackError::NoListener)));
    for transport in [Transport::Udp, Transport::Tcp] {
        let taken = Pivot::with(|config| config.listen = vec![listen(transport, "127.0.0.1")]).await;
        let mut again = listen(transport, "127.0.0.1");
        again.address = taken.address;
        let error = Stack::start(Config::new(vec![again]), events.clone()).await.expect_err("it is taken").to_string();
        assert!(error.contains(&taken.address.to_string()) && error.contains("free it"), "{error}");
    }
    let mut config = Config::new(vec![listen(Transport::Tls, "127.0.0.1")]);
    let error = Stack::start(config.clone(), events.clone()).await.expect_err("it has no certificate").to_string();
    assert!(error.contains("needs a certificate"), "{error}");
    let nothing = PathBuf::from("/nonexistent.pem");
    config.certificate = Some(Certificate { chain: nothing.clone(), key: nothing });
    let error = Stack::start(config, events).await.expect_err("there is no such file").to_string();
    assert!(error.contains("/nonexistent.pem") && error.contains("give a PEM file"), "{error}");
}

#[tokio::test]
async fn a_stack_that_is_dropped_lets_go_of_its_addresses() {
    let pivot = Pivot::with(|config| config.listen.push(listen(Transport::Tcp, "127.0.0.1"))).await;
    let addresses = pivot.stack.addresses();
    let Pivot { stack, mut events, .. } = pivot;
    drop(stack);
    // All that could say something has ended then.
    while events.recv().await.is_some() {}
    let again = Config::new(
        addresses
            .iter()
            .map(|(transport, address)| {
                let mut listen = listen(*transport, "127.0.0.1");
                listen.address = *address;
                listen
            })
            .collect(),
    );
    let (events, _receiver) = mpsc::channel(1);
    let mut started = Stack::start(again.clone(), events.clone()).await;
    while started.is_err() {
        tokio::task::yield_now().await;
        started = Stack::start(again.clone(), events.clone()).await;
    }
    assert_eq!(started.expect("it starts").addresses(), addresses);
}
