//! The client against a server that says what a test has it say.

use core::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: connected\n\n";

/// Reads a request's head and body; its first line.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let len = stream.read(&mut bytes).await.ok().filter(|len| *len > 0)?;
        text.push_str(&String::from_utf8_lossy(&bytes[..len]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

/// A relay that answers everything but its events with `answers`, one a request; after the last it hangs up.
async fn relay(answers: Vec<String>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (place, asked) = (listener.local_addr().expect("its address"), Arc::new(Mutex::new(Vec::new())));
    let (seen, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers.into_iter())));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
            tokio::spawn(async move {
                while let Some(said) = request(&mut stream).await {
                    if said.starts_with("GET /v1/events ") {
                        stream.write_all(EVENTS.as_bytes()).await.expect("it reads");
                        continue;
                    }
                    seen.lock().expect("no panic").push(said);
                    let answer = answers.lock().expect("no panic").next().unwrap_or_default();
                    if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (place, asked)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn remote(place: SocketAddr) -> Remote {
    let place = format!("http://{place}").parse().expect("a place");
    let settings = RemoteSettings { place, token: Some(Secret("secret".into())), ca: None };
    Remote::start(settings, Box::new(|_, _| {})).await.expect("no TLS is needed")
}

#[tokio::test]
async fn a_broken_connection_is_tried_again_with_the_same_id() {
    let created = answer("201 Created", r#"{"call":"a b/","worker":0}"#);
    let (place, asked) = relay(vec![String::new(), created]).await;
    remote(place).await.create("a b/", "1", None).await.expect("the second try");
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
    assert!(asked[0].to_ascii_lowercase().contains("authorization: bearer secret"), "{}", asked[0]);
    assert_eq!(path("a b/@+"), "/v1/calls/a%20b%2F%40%2B");
}

#[tokio::test]
async fn hostile_answers_are_errors() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{", 1_u64 << 40);
    for (said, code) in [
        (answer("200 OK", "{"), ErrorCode::WorkerUnavailable),
        (answer("200 OK", "[]"), ErrorCode::WorkerUnavailable),
        (answer("302 Found", ""), ErrorCode::WorkerUnavailable),
        (answer("418 Teapot", "x"), ErrorCode::Refused),
        (answer("502 Bad Gateway", "<html>"), ErrorCode::WorkerUnavailable),
        (answer("404 Not Found", r#"{"error":{"code":"unknown-call","message":"no"}}"#), ErrorCode::UnknownCall),
        (answer("409 Conflict", r#"{"error":{"code":"of-tomorrow","message":"no"}}"#), ErrorCode::Refused),
        (long, ErrorCode::WorkerUnavailable),
    ] {
        let (place, asked) = relay(vec![said.clone()]).await;
        let error = remote(place).await.state("c").await.expect_err(&said);
        assert_eq!(error.code, code, "{said}: {error}");
        assert_eq!(asked.lock().expect("no panic").len(), 1, "{said}: an answer is not asked for again");
    }
}

#[tokio::test]
async fn without_a_relay_a_call_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = listener.local_addr().expect("its address");
    drop(listener);
    let error = remote(place).await.create("c", "1", None).await.expect_err("nobody is there");
    assert_eq!(error.code.status(), 503);
}
