//! Who answers, and what clients need.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use patchcord_control::ng::listen::{Answer, Limits, Server};
use patchcord_ng::{Dict, Request, Transport};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers `ping` at once, `slow` when it is let to, and `transport` with what it came through. Counts all of them.
#[derive(Debug, Clone)]
pub(crate) struct Stub {
    pub(crate) asked: Arc<AtomicUsize>,
    /// Requests for `slow` that may be answered.
    pub(crate) gate: Arc<Semaphore>,
}

impl Stub {
    pub(crate) fn new() -> (Self, Arc<Server<Self>>) {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> (Self, Arc<Server<Self>>) {
        let stub = Self { asked: Arc::new(AtomicUsize::new(0)), gate: Arc::new(Semaphore::new(0)) };
        (stub.clone(), Server::with_limits(stub, limits))
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have been seen.
    pub(crate) async fn wait_asked(&self, count: usize) {
        soon(async {
            while self.asked() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Answer for Stub {
    fn answer(&self, request: Request) -> impl Future<Output = Dict> + Send {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let gate = Arc::clone(&self.gate);
        async move {
            let command = request.dict.text("command").unwrap_or_default().into_owned();
            let number = i64::try_from(number).unwrap();
            match command.as_str() {
                "ping" => Dict::new().with("result", "pong").with("number", number),
                "slow" => {
                    gate.acquire().await.unwrap().forget();
                    Dict::new().with("result", "slow").with("number", number)
                }
                "panic" => panic!("as the test wants it"),
                "long" => Dict::new().with("result", "x".repeat(70_000)),
                "echo" => Dict::new().with("text", request.dict.text("text").unwrap_or_default().into_owned()),
                "transport" => {
                    let name = match request.transport {
                        Transport::Udp => "UDP",
                        Transport::Tcp => "TCP",
                        Transport::Unix => "UNIX",
                        Transport::Http => "HTTP",
                        Transport::WebSocket => "WebSocket",
                    };
                    let peer = request.peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
                    Dict::new().with("result", name).with("peer", peer)
                }
                other => Dict::new().with("result", "error").with("error-reason", other.to_owned()),
            }
        }
    }
}

/// What must come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it did not come")
}

/// What must not come while something else does not come either: a moment is enough for a reply on loopback to be seen.
pub(crate) async fn never<T>(future: impl Future<Output = T>) {
    assert!(timeout(Duration::from_millis(50), future).await.is_err(), "it came");
}

/// A request in bencode.
pub(crate) fn request(cookie: &str, command: &str) -> Vec<u8> {
    format!("{cookie} d7:command{}:{command}e", command.len()).into_bytes()
}
