//! A web server that the pivot asks, as somebody would write one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use patchcord_tests::PATIENCE;

/// A request.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Takes requests until the test is over.
pub(crate) struct Web {
    address: SocketAddr,
    questions: Receiver<Question>,
}

impl Question {
    /// A header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let mut question = Self { head: String::from_utf8_lossy(&head).into_owned(), body: String::new() };
        let len = question.header("Content-Length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let mut body = vec![0; len];
        stream.read_exact(&mut body)?;
        question.body = String::from_utf8_lossy(&body).into_owned();
        Ok(question)
    }
}

impl Web {
    /// What `answer` gives for a question, after so many before it, is sent as it is.
    pub(crate) fn answering(answer: impl Fn(&Question, usize) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, questions): (Sender<Question>, _) = channel();
        thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { continue };
                // Whoever asked may have given up.
                let Ok(question) = Question::read(&mut stream) else { continue };
                let said = answer(&question, at);
                if asked.send(question).is_err() {
                    return;
                }
                let _ = stream.write_all(said.as_bytes());
            }
        });
        Self { address, questions }
    }

    /// Its URL, with this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its URL, as a key of a trunk.
    pub(crate) fn key(&self) -> String {
        format!("refer = \"controller\"\nwebhook = \"{}\"\n", self.url("/refer?of=agents"))
    }

    /// The next question that was answered.
    pub(crate) fn must_be_asked(&self) -> Question {
        self.questions.recv_timeout(PATIENCE).expect("a question")
    }
}

/// An answer with this body.
pub(crate) fn ok(body: &str) -> String {
    with("200 OK", "", body)
}

/// An answer with this status and these header fields, each with its line break.
pub(crate) fn with(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}
