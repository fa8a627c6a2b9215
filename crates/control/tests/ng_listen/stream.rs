//! TCP and UNIX sockets.

use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::time::Duration;

use patchcord_control::ng::listen::{Limits, bind_unix};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use crate::support::{Stub, never, request, soon};

async fn pair() -> (Stub, TcpStream) {
    pair_with(Limits::default()).await
}

async fn pair_with(limits: Limits) -> (Stub, TcpStream) {
    let (stub, server) = Stub::with_limits(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(server.tcp(listener));
    let client = TcpStream::connect(addr).await.unwrap();
    client.set_nodelay(true).unwrap();
    (stub, client)
}

/// Reads until the text ends so.
async fn receive(client: &mut (impl tokio::io::AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let received = soon(client.read_buf(&mut bytes)).await.unwrap();
        assert!(received > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

/// Reads until the other side ends, however it does.
async fn receive_all(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = soon(client.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn messages_of_one_segment_are_answered_in_order() {
    let (_stub, mut client) = pair().await;
    let messages = [request("1", "ping"), request("2", "transport"), b"\r\n".to_vec(), request("3", "ping")].concat();
    client.write_all(&messages).await.unwrap();
    assert_eq!(
        receive(&mut client, "i3ee").await,
        "1 d6:result4:pong6:numberi1ee2 d6:result3:TCP4:peer9:127.0.0.1e3 d6:result4:pong6:numberi3ee"
    );
}

#[tokio::test]
async fn a_message_in_many_segments_is_one() {
    let (_stub, mut client) = pair().await;
    let text = "x".repeat(3000);
    let long = format!("1 d7:command4:echo4:text{}:{text}e", text.len());
    for byte in long.as_bytes() {
        client.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(receive(&mut client, "xe").await, format!("1 d4:text{}:{text}e", text.len()));
}

#[tokio::test]
async fn a_slow_request_holds_nobody_up() {
    let (stub, mut client) = pair().await;
    client.write_all(&[request("1", "slow"), request("1", "slow"), request("2", "ping")].concat()).await.unwrap();
    assert_eq!(receive(&mut client, "i2ee").await, "2 d6:result4:pong6:numberi2ee");
    never(client.read_u8()).await;
    stub.gate.add_permits(1);
    assert_eq!(receive(&mut client, "ee1 d6:result4:slow6:numberi1ee").await.len(), 2 * 29);
}

#[tokio::test]
async fn a_bad_dictionary_gets_a_reason_and_garbage_ends_the_connection() {
    let (stub, mut client) = pair().await;
    client.write_all(&[&b"1 i1e"[..], b"2 di1ei1ee", &request("3", "ping")].concat()).await.unwrap();
    let replies = receive(&mut client, "i1ee").await;
    assert_eq!(replies.matches("error-reason").count(), 2, "{replies}");
    client.write_all(&[&request("4", "ping")[..], b"hello world"].concat()).await.unwrap();
    assert_eq!(receive_all(&mut client).await, "4 d6:result4:pong6:numberi2ee");
    assert_eq!(stub.asked(), 2);
}

#[tokio::test]
async fn what_is_too_long_ends_the_connection() {
    for endless in [vec![b'x'; 70_000], [b"1 d".to_vec(), b"1:a".repeat(30_000)].concat()] {
        let (_stub, mut client) = pair().await;
        // It may be closed before all of it is written.
        let _ = client.write_all(&endless).await;
        assert_eq!(receive_all(&mut client).await, "");
    }
}

#[tokio::test]
async fn who_has_nothing_more_to_say_gets_his_replies() {
    let (stub, mut client) = pair().await;
    client.write_all(&request("1", "slow")).await.unwrap();
    client.shutdown().await.unwrap();
    stub.wait_asked(1).await;
    stub.gate.add_permits(1);
    assert_eq!(receive_all(&mut client).await, "1 d6:result4:slow6:numberi1ee");
}

#[tokio::test]
async fn what_was_begun_is_finished_though_its_connection_is_gone() {
    let (stub, mut client) = pair().await;
    let addr = client.peer_addr().unwrap();
    client.write_all(&[&request("1", "slow")[..], b"garbage garbage"].concat()).await.unwrap();
    stub.wait_asked(1).await;
    assert_eq!(receive_all(&mut client).await, "");
    stub.gate.add_permits(1);
    let mut other = TcpStream::connect(addr).await.unwrap();
    other.write_all(&request("1", "slow")).await.unwrap();
    assert_eq!(receive(&mut other, "ee").await, "1 d6:result4:slow6:numberi1ee");
    assert_eq!(stub.asked(), 1, "the cookie is known on every connection");
}

#[tokio::test]
async fn replies_longer_than_a_datagram_go_over_streams() {
    let (_stub, mut client) = pair().await;
    client.write_all(&request("1", "long")).await.unwrap();
    assert_eq!(receive(&mut client, "xe").await.len(), "1 d6:result70000:e".len() + 70_000);
}

#[tokio::test]
async fn many_connections_at_once() {
    let (stub, client) = pair().await;
    let addr = client.peer_addr().unwrap();
    let clients = (0..100).map(|number| {
        tokio::spawn(async move {
            let mut client = TcpStream::connect(addr).await.unwrap();
            for round in 0..10 {
                client.write_all(&request(&format!("{number}-{round}"), "ping")).await.unwrap();
                assert!(receive(&mut client, "ee").await.starts_with(&format!("{number}-{round} ")));
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!(stub.asked(), 1000);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_free_place_is_taken() {
    let (_stub, mut first) = pair_with(Limits { connections: 1, ..Limits::default() }).await;
    let addr = first.peer_addr().unwrap();
    first.write_all(&request("1", "ping")).await.unwrap();
    receive(&mut first, "ee").await;
    assert_eq!(receive_all(&mut TcpStream::connect(addr).await.unwrap()).await, "");
    drop(first);
    let served = soon(async {
        loop {
            let mut next = TcpStream::connect(addr).await.unwrap();
            let _ = next.write_all(&request("1", "ping")).await;
            let reply = next.read_u8().await;
            if reply.is_ok() {
                break reply;
            }
        }
    });
    assert_eq!(served.await.unwrap(), b'1');
}

#[tokio::test]
async fn who_says_nothing_and_who_does_not_go_on_is_closed() {
    let short = Duration::from_millis(20);
    let (_stub, mut idle) = pair_with(Limits { idle: short, ..Limits::default() }).await;
    assert_eq!(receive_all(&mut idle).await, "");

    let (stub, mut slow) = pair_with(Limits { patience: short, ..Limits::default() }).await;
    slow.write_all(&[request("1", "ping"), b"2 d7:comm".to_vec()].concat()).await.unwrap();
    assert_eq!(receive_all(&mut slow).await, "1 d6:result4:pong6:numberi1ee");

    // Who waits for an answer is not idle.
    let idle = Duration::from_millis(400);
    let (waited, mut waiting) = pair_with(Limits { idle, ..Limits::default() }).await;
    waiting.write_all(&request("1", "slow")).await.unwrap();
    waited.wait_asked(1).await;
    assert!(timeout(idle + short, waiting.read_u8()).await.is_err(), "it is neither answered nor closed");
    waited.gate.add_permits(1);
    assert_eq!(receive_all(&mut waiting).await, "1 d6:result4:slow6:numberi1ee");
    assert_eq!(stub.asked(), 1);
}

#[tokio::test]
async fn a_connection_that_asks_too_much_waits() {
    let limits = Limits { running_on_connection: 2, running: 3, ..Limits::default() };
    let (stub, mut client) = pair_with(limits).await;
    for number in 0..5 {
        client.write_all(&request(&number.to_string(), "slow")).await.unwrap();
        if number < 2 {
            stub.wait_asked(number + 1).await;
        }
    }
    never(client.read_u8()).await;
    assert!(stub.asked() <= 3, "{} at once", stub.asked());
    stub.gate.add_permits(5);
    let mut replies = String::new();
    while replies.matches("result").count() < 5 {
        replies += &receive(&mut client, "ee").await;
    }
    assert_eq!(stub.asked(), 5);
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("patchcord-{}-{name}", std::process::id()))
}

#[tokio::test]
async fn a_unix_socket_is_there_as_long_as_its_listener() {
    let (_stub, server) = Stub::new();
    let path = path("live.sock");
    let socket = bind_unix(&path).await.unwrap();
    let error = bind_unix(&path).await.expect_err("somebody listens there");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
    let task = tokio::spawn(server.unix(socket));
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(&[request("1", "ping"), request("2", "transport")].concat()).await.unwrap();
    assert_eq!(receive(&mut client, "4:peer0:e").await, "1 d6:result4:pong6:numberi1ee2 d6:result4:UNIX4:peer0:e");
    task.abort();
    assert!(task.await.is_err());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_unix_socket_is_replaced_and_anything_else_is_left_alone() {
    let stale = path("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    assert!(stale.symlink_metadata().unwrap().file_type().is_socket());
    drop(bind_unix(&stale).await.unwrap());
    assert!(!stale.exists());

    let file = path("file.sock");
    std::fs::write(&file, "text").unwrap();
    let error = bind_unix(&file).await.expect_err("it is a file");
    assert!(error.to_string().contains("no socket"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(bind_unix("/nowhere/at/all.sock").await.is_err());
}
