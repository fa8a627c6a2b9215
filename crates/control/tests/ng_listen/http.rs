//! HTTP and WebSocket.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use patchcord_control::ng::listen::{Limits, router};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Stub, never, request, soon};

async fn start() -> (Stub, SocketAddr) {
    start_with(Limits::default()).await
}

async fn start_with(limits: Limits) -> (Stub, SocketAddr) {
    let (stub, server) = Stub::with_limits(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server.http(listener));
    (stub, addr)
}

/// Sends one request on a connection of its own; gives status and body.
async fn http(addr: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut client = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut reply = Vec::new();
    soon(client.read_to_end(&mut reply)).await.unwrap();
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_body_is_a_message_with_or_without_cookie() {
    let (stub, addr) = start().await;
    let ping = request("1", "ping");
    assert_eq!(http(addr, "POST", "/ng", &ping).await, (200, "1 d6:result4:pong6:numberi1ee".to_owned()));
    assert_eq!(http(addr, "POST", "/ng", &ping).await, (200, "1 d6:result4:pong6:numberi1ee".to_owned()));
    assert_eq!(stub.asked(), 1, "the cookie is remembered");
    let json = br#"2 {"command":"transport"}"#;
    let reply = (200, r#"2 {"result":"HTTP","peer":"127.0.0.1"}"#.to_owned());
    assert_eq!(http(addr, "POST", "/ng", json).await, reply);
    for number in [3, 4] {
        let reply = format!("d6:result4:pong6:numberi{number}ee");
        assert_eq!(http(addr, "POST", "/ng-plain", b"d7:command4:pinge").await, (200, reply));
    }
    let reply = (200, r#"{"result":"pong","number":5}"#.to_owned());
    assert_eq!(http(addr, "POST", "/ng-plain", br#"{"command":"ping"}"#).await, reply);
}

#[tokio::test]
async fn what_is_no_message_gets_a_reason() {
    let (stub, addr) = start().await;
    for (path, body, status, part) in [
        ("/ng", &b""[..], 400, "cookie"),
        ("/ng", b"d7:command4:pinge", 400, "cookie"),
        ("/ng", b"1 x", 200, "error-reason"),
        ("/ng-plain", b"", 200, "error-reason"),
        ("/ng-plain", b"x", 200, "error-reason"),
        ("/ng", &[b'x'; 100_000], 413, ""),
        ("/elsewhere", b"1 de", 405, ""),
    ] {
        let (found, reply) = http(addr, "POST", path, body).await;
        assert_eq!(found, status, "{path} {reply}");
        assert!(reply.contains(part), "{reply}");
    }
    assert_eq!(http(addr, "GET", "/ng", b"").await.0, 400, "not without an upgrade");
    assert_eq!(http(addr, "GET", "/ping", b"").await, (200, "pong\n".to_owned()));
    assert_eq!(stub.asked(), 0);
}

#[tokio::test]
async fn a_repetition_of_what_runs_waits_though_the_first_client_is_gone() {
    let (stub, addr) = start().await;
    let mut gone = TcpStream::connect(addr).await.unwrap();
    gone.write_all(b"POST /ng HTTP/1.1\r\nHost: test\r\nContent-Length: 19\r\n\r\n1 d7:command4:slowe").await.unwrap();
    stub.wait_asked(1).await;
    drop(gone);
    let second = tokio::spawn(async move { http(addr, "POST", "/ng", &request("1", "slow")).await });
    assert_eq!(http(addr, "POST", "/ng", &request("2", "ping")).await.0, 200);
    stub.gate.add_permits(1);
    assert_eq!(soon(second).await.unwrap(), (200, "1 d6:result4:slow6:numberi1ee".to_owned()));
    assert_eq!(stub.asked(), 2);
}

#[tokio::test]
async fn the_routes_can_be_part_of_another_front() {
    let (_stub, server) = Stub::new();
    let front = axum::Router::<String>::new()
        .route("/healthz", axum::routing::get(async || "ok"))
        .merge(router(server))
        .fallback(async || "elsewhere")
        .with_state(String::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, front).await.unwrap() });
    assert_eq!(http(addr, "GET", "/healthz", b"").await.1, "ok");
    assert_eq!(http(addr, "GET", "/x", b"").await.1, "elsewhere");
    // Nobody said who the peers are.
    let reply = "d6:result4:HTTP4:peer0:e".to_owned();
    assert_eq!(http(addr, "POST", "/ng-plain", b"d7:command9:transporte").await, (200, reply));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_free_place_is_taken() {
    let (_stub, addr) = start_with(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(addr).await.unwrap();
    first.write_all(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    assert_eq!(soon(first.read_u8()).await.unwrap(), b'H');
    let mut second = TcpStream::connect(addr).await.unwrap();
    let mut reply = Vec::new();
    let _ = soon(second.read_to_end(&mut reply)).await;
    assert_eq!(reply, b"");
    drop(first);
    let served = async {
        loop {
            let mut next = TcpStream::connect(addr).await.unwrap();
            let _ = next.write_all(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n").await;
            if next.read_u8().await.is_ok() {
                break;
            }
        }
    };
    soon(served).await;
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn websocket(
    addr: SocketAddr,
    path: &str,
    protocol: &str,
) -> Result<Client, tokio_tungstenite::tungstenite::Error> {
    let mut request = format!("ws://{addr}{path}").into_client_request()?;
    if !protocol.is_empty() {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    soon(connect_async(request)).await.map(|(client, _)| client)
}

/// The next message, which is binary.
async fn receive(client: &mut Client) -> String {
    match soon(client.next()).await.unwrap().unwrap() {
        Message::Binary(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn frames_with_cookies_are_answered_on_every_path() {
    let (_stub, addr) = start().await;
    for path in ["/", "/ng", "/ng-plain", "/any/path"] {
        let mut client = websocket(addr, path, "other, ng.rtpengine.com").await.unwrap();
        client.send(Message::binary(request(path, "transport"))).await.unwrap();
        assert_eq!(receive(&mut client).await, format!("{path} d6:result9:WebSocket4:peer9:127.0.0.1e"));
        client.send(Message::text(format!("{path}2 {{\"command\":\"echo\",\"text\":\"x\"}}"))).await.unwrap();
        assert_eq!(receive(&mut client).await, format!(r#"{path}2 {{"text":"x"}}"#));
        client.close(None).await.unwrap();
        assert!(matches!(soon(client.next()).await, None | Some(Ok(Message::Close(_)))));
    }
}

#[tokio::test]
async fn a_slow_request_holds_up_nobody_with_a_cookie() {
    let (stub, addr) = start().await;
    let mut client = websocket(addr, "/ng", "ng.rtpengine.com").await.unwrap();
    for message in [request("1", "slow"), request("1", "slow"), b"nocookie".to_vec(), request("2", "ping")] {
        client.send(Message::binary(message)).await.unwrap();
    }
    assert_eq!(receive(&mut client).await, "2 d6:result4:pong6:numberi2ee");
    never(client.next()).await;
    stub.gate.add_permits(1);
    for _ in 0..2 {
        assert_eq!(receive(&mut client).await, "1 d6:result4:slow6:numberi1ee");
    }
}

#[tokio::test]
async fn without_cookies_replies_keep_their_order() {
    let (stub, addr) = start().await;
    let mut client = websocket(addr, "/", "ng-plain.rtpengine.com").await.unwrap();
    for message in ["d7:command4:slowe", r#"{"command":"ping"}"#, "x", "d7:command4:pinge"] {
        client.send(Message::text(message)).await.unwrap();
    }
    stub.wait_asked(1).await;
    never(client.next()).await;
    stub.gate.add_permits(1);
    assert_eq!(receive(&mut client).await, "d6:result4:slow6:numberi1ee");
    assert_eq!(receive(&mut client).await, r#"{"result":"pong","number":2}"#);
    assert!(receive(&mut client).await.contains("error-reason"));
    assert_eq!(receive(&mut client).await, "d6:result4:pong6:numberi3ee", "nothing is remembered");
}

#[tokio::test]
async fn a_subprotocol_must_be_chosen_and_a_frame_must_fit() {
    let (_stub, addr) = start().await;
    for protocol in ["", "janus-protocol"] {
        assert!(websocket(addr, "/ng", protocol).await.is_err(), "{protocol}");
    }
    let mut client = websocket(addr, "/ng", "ng.rtpengine.com").await.unwrap();
    let text = "x".repeat(65_000);
    client.send(Message::text(format!("1 d7:command4:echo4:text{}:{text}e", text.len()))).await.unwrap();
    assert_eq!(receive(&mut client).await.len(), 65_000 + "1 d4:text65000:e".len());
    // It may be closed before all of it is written.
    let _ = client.send(Message::text("x".repeat(200_000))).await;
    let end = soon(async {
        loop {
            match client.next().await {
                None | Some(Err(_)) => break "closed",
                Some(Ok(Message::Binary(_))) => break "answered",
                Some(Ok(_)) => {}
            }
        }
    });
    assert_eq!(end.await, "closed");
}
