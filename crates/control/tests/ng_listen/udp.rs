//! UDP.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use patchcord_control::ng::listen::bind_udp;
use tokio::net::UdpSocket;

use crate::support::{Stub, never, request, soon};

/// Somebody who answers, and a client of his.
async fn pair() -> (Stub, UdpSocket) {
    let (stub, server) = Stub::new();
    let socket = bind_udp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(server.udp(socket));
    (stub, client(addr).await)
}

async fn client(addr: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(addr).await.unwrap();
    client
}

async fn receive(client: &UdpSocket) -> String {
    let mut datagram = vec![0; 70_000];
    let len = soon(client.recv(&mut datagram)).await.unwrap();
    datagram.truncate(len);
    String::from_utf8(datagram).unwrap()
}

async fn ask(client: &UdpSocket, message: &[u8]) -> String {
    client.send(message).await.unwrap();
    receive(client).await
}

#[tokio::test]
async fn a_request_is_answered_in_its_format() {
    let (_stub, client) = pair().await;
    assert_eq!(ask(&client, &request("1", "ping")).await, "1 d6:result4:pong6:numberi1ee");
    assert_eq!(ask(&client, br#"2 {"command":"ping"}"#).await, r#"2 {"result":"pong","number":2}"#);
    assert_eq!(ask(&client, &request("3", "transport")).await, "3 d6:result3:UDP4:peer9:127.0.0.1e");
}

#[tokio::test]
async fn a_repetition_gets_the_first_reply() {
    let (stub, client) = pair().await;
    let first = ask(&client, &request("1", "ping")).await;
    assert_eq!(ask(&client, &request("1", "ping")).await, first);
    assert_eq!(stub.asked(), 1);
    assert_eq!(ask(&client, &request("2", "ping")).await, "2 d6:result4:pong6:numberi2ee");
}

#[tokio::test]
async fn a_repetition_of_what_runs_waits_for_it() {
    let (stub, client) = pair().await;
    let other = self::client(client.peer_addr().unwrap()).await;
    client.send(&request("1", "slow")).await.unwrap();
    stub.wait_asked(1).await;
    client.send(&request("1", "slow")).await.unwrap();
    other.send(&request("1", "slow")).await.unwrap();
    // The requests before are seen when this one is answered.
    assert!(ask(&other, &request("2", "ping")).await.starts_with("2 "));
    never(client.recv(&mut [0; 100])).await;
    stub.gate.add_permits(1);
    for client in [&client, &client, &other] {
        assert_eq!(receive(client).await, "1 d6:result4:slow6:numberi1ee");
    }
    assert_eq!(stub.asked(), 2);
}

#[tokio::test]
async fn a_slow_request_holds_nobody_up() {
    let (stub, client) = pair().await;
    for number in 0..100 {
        client.send(&request(&format!("slow-{number}"), "slow")).await.unwrap();
        assert!(ask(&client, &request(&format!("ping-{number}"), "ping")).await.starts_with("ping-"));
    }
    stub.gate.add_permits(100);
    let mut replies = BTreeSet::new();
    for _ in 0..100 {
        replies.insert(receive(&client).await);
    }
    assert_eq!(replies.len(), 100);
}

#[tokio::test]
async fn garbage_is_dropped_and_a_bad_dictionary_gets_a_reason() {
    let (stub, client) = pair().await;
    for garbage in [&b""[..], b"x", b" ", b" de", b"d7:command4:pinge", &[0xff; 1000], &[b'l'; 65_000]] {
        client.send(garbage).await.unwrap();
    }
    for (bad, part) in
        [("1 d7:command", "middle"), ("2 {", "JSON"), ("3 x", "format"), ("4 le", "format"), ("5 ", "payload")]
    {
        let reply = ask(&client, bad.as_bytes()).await;
        assert!(reply.starts_with(&bad[..2]) && reply.contains("error") && reply.contains(part), "{reply}");
    }
    assert_eq!(stub.asked(), 0);
}

#[tokio::test]
async fn the_largest_datagrams_go_both_ways() {
    let (_stub, client) = pair().await;
    let text = "x".repeat(65_400);
    let reply = ask(&client, format!("1 d7:command4:echo4:text{}:{text}e", text.len()).as_bytes()).await;
    assert_eq!(reply, format!("1 d4:text{}:{text}e", text.len()));
    let reply = ask(&client, &request("2", "long")).await;
    assert!(reply.starts_with("2 d6:result5:error"), "{reply}");
}

#[tokio::test]
async fn who_panics_leaves_the_others_alone() {
    let (_stub, client) = pair().await;
    assert!(ask(&client, &request("1", "panic")).await.contains("internal error"));
    assert_eq!(ask(&client, &request("2", "ping")).await, "2 d6:result4:pong6:numberi2ee");
}

/// A socket of all addresses answers from the one that was asked: a connected client takes nothing else.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn the_reply_leaves_from_the_address_that_was_asked() {
    for (listen, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.3"), ("[::]:0", "::1")] {
        let (_stub, server) = Stub::new();
        let socket = match bind_udp(listen.parse().unwrap()).await {
            Ok(socket) => socket,
            Err(error) if listen.starts_with('[') => {
                eprintln!("skipped: this machine has no IPv6 ({error})");
                continue;
            }
            Err(error) => panic!("{listen}: {error}"),
        };
        let asked = SocketAddr::new(asked.parse().unwrap(), socket.local_addr().unwrap().port());
        tokio::spawn(server.udp(socket));
        let client = UdpSocket::bind(if asked.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).await.unwrap();
        client.connect(asked).await.unwrap();
        assert!(ask(&client, &request("1", "ping")).await.starts_with("1 "), "{listen} {asked}");
        assert!(ask(&client, &request("2", "transport")).await.contains("UDP"), "{listen} {asked}");
    }
}
