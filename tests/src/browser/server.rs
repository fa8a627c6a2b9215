//! Gives the page to the browser, then what to do, one thing at a time, and takes how it came out.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

const PAGE: &str = include_str!("page.html");

/// A server for one page. Its threads end with the test.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    questions: Sender<Value>,
    outcomes: Receiver<Value>,
}

/// What every connection may need.
#[derive(Clone, Debug)]
struct Shared {
    questions: Arc<Mutex<Receiver<Value>>>,
    outcomes: Sender<Value>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a port");
        let address = listener.local_addr().expect("it is bound");
        let (questions, next) = channel();
        let (sender, outcomes) = channel();
        let shared = Shared { questions: Arc::new(Mutex::new(next)), outcomes: sender };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                // A browser opens connections that it may use later: each has a thread of its own. One that breaks is its matter.
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { address, questions, outcomes }
    }

    /// Where it is.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the page what to do.
    pub(super) fn ask(&self, question: Value) {
        self.questions.send(question).expect("the server runs as long as this");
    }

    /// How the last thing came out; the first outcome is that the page is there.
    pub(super) fn outcome(&self, patience: Duration) -> Option<Value> {
        self.outcomes.recv_timeout(patience).ok()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    match first.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/", _] => reply(stream, "200 OK", "text/html", PAGE),
        ["POST", "/next", _] => {
            // Nobody waits for it any more where the test is over.
            let _ = shared.outcomes.send(serde_json::from_slice(&body)?);
            let questions = shared.questions.lock().unwrap_or_else(PoisonError::into_inner);
            match questions.recv() {
                Ok(question) => reply(stream, "200 OK", "application/json", &question.to_string()),
                Err(_) => Ok(()),
            }
        }
        _ => reply(stream, "404 Not Found", "text/plain", ""),
    }
}

fn reply(mut stream: &TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
