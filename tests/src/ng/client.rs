//! Requests over UDP, as a proxy sends them.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use patchcord_ng::{Dict, Message, bencode};

use crate::wait::PATIENCE;

/// After this a request is sent again, with its cookie, as Kamailio does.
const AGAIN: Duration = Duration::from_secs(1);

/// A client of one daemon.
#[derive(Debug)]
pub struct NgClient {
    socket: UdpSocket,
}

impl NgClient {
    /// For the daemon that listens at this address of 127.0.0.0/8.
    ///
    /// # Panics
    /// If the system has no port.
    #[must_use]
    pub fn new(daemon: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a port");
        socket.connect(daemon).expect("a UDP socket connects to anything");
        Self { socket }
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Panics
    /// If none comes, or one that is no dictionary.
    pub fn request(&self, request: &Dict) -> Dict {
        let mut body = Vec::new();
        bencode::encode_dict(request, &mut body);
        let reply = self.raw(&body);
        let message = Message::plain(&reply);
        message.dict().unwrap_or_else(|error| panic!("{error}: {}", reply.escape_ascii()))
    }

    /// Sends whatever bytes behind a cookie and gives those of the reply behind it.
    ///
    /// # Panics
    /// If no reply comes.
    pub fn raw(&self, body: &[u8]) -> Vec<u8> {
        self.try_raw(body, PATIENCE).unwrap_or_else(|| panic!("no reply to {}", body.escape_ascii()))
    }

    /// Sends a request and waits so long for its reply.
    pub fn try_raw(&self, body: &[u8], patience: Duration) -> Option<Vec<u8>> {
        let cookie = new_cookie();
        let bytes = [cookie.as_bytes(), body].concat();
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            // A daemon that does not listen yet is told as an error of an earlier packet.
            let _ = self.socket.send(&bytes);
            let again = (Instant::now() + AGAIN).min(deadline);
            if let Some(reply) = self.receive(cookie.as_bytes(), again) {
                return Some(reply);
            }
        }
        None
    }

    /// Sends a datagram as it is, once, and gives the next one that comes.
    ///
    /// # Panics
    /// If none comes.
    pub fn exact(&self, bytes: &[u8]) -> Vec<u8> {
        self.socket.send(bytes).expect("loopback takes a packet");
        self.next(Instant::now() + PATIENCE).unwrap_or_else(|| panic!("no reply to {}", bytes.escape_ascii()))
    }

    /// Sends a datagram as it is, and says what came before the reply to a ping that follows it.
    ///
    /// # Panics
    /// If the ping is not answered.
    pub fn datagram(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.socket.send(bytes).expect("loopback takes a packet");
        let cookie = new_cookie();
        self.socket.send(&[cookie.as_bytes(), b"d7:command4:pinge"].concat()).expect("loopback takes a packet");
        let deadline = Instant::now() + PATIENCE;
        let mut before = Vec::new();
        while let Some(bytes) = self.next(deadline) {
            if bytes.starts_with(cookie.as_bytes()) {
                return before;
            }
            before.push(bytes);
        }
        panic!("no reply to a ping")
    }

    fn receive(&self, cookie: &[u8], deadline: Instant) -> Option<Vec<u8>> {
        loop {
            let bytes = self.next(deadline)?;
            // Anything else is the second reply to a request that was sent twice.
            if let Some(body) = bytes.strip_prefix(cookie) {
                return Some(body.to_vec());
            }
        }
    }

    fn next(&self, deadline: Instant) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).expect("the time is not zero");
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    buffer.truncate(len);
                    return Some(buffer);
                }
                // Nobody listens there yet: the packet is sent again when the time is over.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::thread::sleep(REFUSED.min(left)),
                Err(_) => return None,
            }
        }
    }
}

/// A new cookie with the blank behind it. Daemons remember cookies whoever sent them: no other client may have it.
pub(super) fn new_cookie() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}_{} ", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Between two looks at a socket whose other end is not there yet.
const REFUSED: Duration = Duration::from_millis(5);
