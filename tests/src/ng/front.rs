//! Requests over what is no datagram: streams, HTTP, WebSocket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use patchcord_ng::stream::trim_line_ends;
use patchcord_ng::{Dict, Message, Splitter, bencode};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message as Frame, WebSocket};

use crate::ng::client::new_cookie;
use crate::wait::PATIENCE;

/// A connection to one of a daemon's fronts.
#[derive(Debug)]
pub enum Front {
    /// A stream of bencode.
    Tcp(Pipe<TcpStream>),
    /// The same on a socket in the file system.
    Unix(Pipe<UnixStream>),
    /// `POST`.
    Http {
        /// Keeps its connection.
        agent: ureq::Agent,
        /// With the path.
        url: String,
        /// The path is for messages with a cookie.
        cookies: bool,
    },
    /// A frame is a message.
    WebSocket {
        /// The connection.
        socket: Box<WebSocket<TcpStream>>,
        /// The subprotocol is for messages with a cookie.
        cookies: bool,
    },
}

/// A stream, with what has come of the next reply.
#[derive(Debug)]
pub struct Pipe<S> {
    stream: S,
    bytes: Vec<u8>,
}

impl Front {
    /// A stream over TCP.
    ///
    /// # Panics
    /// If nobody listens there.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::Tcp(Pipe { stream: connect(address), bytes: Vec::new() })
    }

    /// A stream over a socket in the file system.
    ///
    /// # Panics
    /// If nobody listens there.
    #[must_use]
    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
        Self::Unix(Pipe { stream, bytes: Vec::new() })
    }

    /// `POST` to `/ng`, or without cookies to `/ng-plain`, of the server at this base.
    #[must_use]
    pub fn http(base: &str, cookies: bool) -> Self {
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
        let path = if cookies { "ng" } else { "ng-plain" };
        Self::Http { agent: agent.build().new_agent(), url: format!("{base}/{path}"), cookies }
    }

    /// A WebSocket, of the subprotocol with cookies or of the one without.
    ///
    /// # Panics
    /// If nobody listens there, or it is refused.
    #[must_use]
    pub fn websocket(address: SocketAddr, cookies: bool) -> Self {
        let mut request = format!("ws://{address}/ng").into_client_request().expect("it is a URL");
        let protocol = if cookies { "ng.rtpengine.com" } else { "ng-plain.rtpengine.com" };
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().expect("it is a header's value"));
        let (socket, _) = tungstenite::client(request, connect(address)).expect("the WebSocket is accepted");
        Self::WebSocket { socket: Box::new(socket), cookies }
    }

    /// Whether messages have cookies, and repetitions the same reply.
    #[must_use]
    pub const fn cookies(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => true,
            Self::Http { cookies, .. } | Self::WebSocket { cookies, .. } => *cookies,
        }
    }

    /// Whether a dictionary may be written in JSON: a stream has bencode alone.
    #[must_use]
    pub const fn takes_json(&self) -> bool {
        matches!(self, Self::Http { .. } | Self::WebSocket { .. })
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Panics
    /// If none comes, or one that is no dictionary or has another cookie.
    pub fn request(&mut self, request: &Dict) -> Dict {
        let mut body = Vec::new();
        bencode::encode_dict(request, &mut body);
        let reply = self.raw(&body);
        Message::plain(&reply).dict().unwrap_or_else(|error| panic!("{error}: {}", reply.escape_ascii()))
    }

    /// Sends whatever bytes, behind a cookie where there are any, and gives those of the reply behind it.
    ///
    /// # Panics
    /// If no reply comes, or one with another cookie.
    pub fn raw(&mut self, body: &[u8]) -> Vec<u8> {
        let cookie = if self.cookies() { new_cookie() } else { String::new() };
        let message = [cookie.as_bytes(), body].concat();
        let reply = self.exact(&message).unwrap_or_else(|| panic!("no reply to {}", message.escape_ascii()));
        let body = reply.strip_prefix(cookie.as_bytes());
        body.unwrap_or_else(|| panic!("the reply to {cookie} is {}", reply.escape_ascii())).to_vec()
    }

    /// Sends a message as it is, and gives the next reply. `None`: the daemon does not reply to it, and closes the connection
    /// where that is the only way to say so.
    pub fn exact(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.send(message);
        self.next(message)
    }

    /// Sends a message; HTTP does so when the reply is waited for.
    pub fn send(&mut self, message: &[u8]) {
        // Whoever is cut off while he writes learns it when he reads.
        let _ = match self {
            Self::Tcp(pipe) => pipe.stream.write_all(message),
            Self::Unix(pipe) => pipe.stream.write_all(message),
            Self::Http { .. } => Ok(()),
            Self::WebSocket { socket, .. } => {
                socket.send(Frame::binary(message.to_vec())).map_err(|error| io::Error::other(error.to_string()))
            }
        };
    }

    /// Says that nothing more will come.
    ///
    /// # Panics
    /// If it is no stream.
    pub fn finish(&mut self) {
        let finished = match self {
            Self::Tcp(pipe) => pipe.stream.shutdown(Shutdown::Write),
            Self::Unix(pipe) => pipe.stream.shutdown(Shutdown::Write),
            Self::Http { .. } | Self::WebSocket { .. } => panic!("only streams end"),
        };
        finished.expect("the connection is open");
    }

    /// The reply that comes next, to this message over HTTP. `None`: there is none.
    ///
    /// # Panics
    /// If neither a reply nor an end comes.
    pub fn next(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Tcp(pipe) => pipe.next(),
            Self::Unix(pipe) => pipe.next(),
            Self::Http { agent, url, .. } => {
                let response = agent.post(url.as_str()).send(message);
                let mut response = response.unwrap_or_else(|error| panic!("{url}: {error}"));
                let body = response.body_mut().read_to_vec().unwrap_or_else(|error| panic!("{url}: {error}"));
                (response.status() == 200).then_some(body)
            }
            Self::WebSocket { socket, .. } => loop {
                match socket.read() {
                    Ok(Frame::Binary(bytes)) => return Some(bytes.to_vec()),
                    Ok(Frame::Close(_)) => return None,
                    Ok(_) => {}
                    Err(tungstenite::Error::Io(error)) if is_late(&error) => panic!("neither a reply nor an end"),
                    Err(_) => return None,
                }
            },
        }
    }
}

impl<S: Read> Pipe<S> {
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut splitter = Splitter::default();
        loop {
            let end = splitter.next(&self.bytes);
            if let Some(end) = end.unwrap_or_else(|error| panic!("{error}: {}", self.bytes.escape_ascii())) {
                let message = self.bytes.drain(..end).collect::<Vec<_>>();
                return Some(trim_line_ends(&message).to_vec());
            }
            let mut buffer = vec![0; 1 << 16];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => self.bytes.extend_from_slice(&buffer[..len]),
                Err(error) => {
                    assert!(!is_late(&error), "neither a reply nor an end");
                    return None;
                }
            }
        }
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream
}
