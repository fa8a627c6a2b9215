//! A request as it reaches whoever answers it.

use core::net::SocketAddr;

use crate::Dict;

/// Through what a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A TCP stream.
    Tcp,
    /// A UNIX stream.
    Unix,
    /// An HTTP request.
    Http,
    /// A WebSocket message.
    WebSocket,
}

/// What is asked, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub dict: Dict,
    /// Through what it came.
    pub transport: Transport,
    /// Who asks; a UNIX socket has no address.
    pub peer: Option<SocketAddr>,
}
