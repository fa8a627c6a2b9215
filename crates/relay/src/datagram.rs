//! A received datagram on its way through the engine, and what the engine decided about it.

use core::net::SocketAddr;

use crate::ids::PortId;
use crate::outbox::Seal;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// One received datagram. The engine rewrites it in place and leaves its verdict in it.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The local port where it arrived.
    pub port: PortId,
    /// Who sent it: flow label and scope cleared, IPv4-mapped addresses as IPv4.
    pub from: SocketAddr,
    /// When the kernel received it.
    pub arrived: MonoTime,
    /// The whole receive buffer: the datagram and the room behind it.
    pub bytes: &'a mut [u8],
    /// Length of the datagram in `bytes`; the engine may change it.
    pub len: usize,
    /// The datagram did not fit the buffer.
    pub truncated: bool,
    /// What became of it.
    pub verdict: Verdict,
    /// How it is to be protected before it leaves.
    pub(crate) seal: Seal,
}

impl<'a> Datagram<'a> {
    /// A datagram that the engine has not seen yet; `len` is cut to the buffer.
    #[must_use]
    pub fn new(port: PortId, from: SocketAddr, arrived: MonoTime, bytes: &'a mut [u8], len: usize) -> Self {
        let len = len.min(bytes.len());
        Self { port, from, arrived, bytes, len, truncated: false, verdict: Verdict::Pending, seal: Seal::Unsealed }
    }

    /// The datagram itself, as it was received or as it is to be sent.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What the engine decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    #[default]
    Pending,
    /// Send [`Datagram::packet`] on.
    Forwarded(Hop),
    /// The engine has used it up; what follows from it, if anything, is in the outputs.
    Consumed,
    /// Counted under this name, and gone.
    Dropped(DropReason),
}

impl Verdict {
    /// A packet that nobody was given on its own is consumed all the same, if a part of the outputs follows from it.
    pub(crate) const fn or_consumed(self, used: bool) -> Self {
        match self {
            Self::Dropped(_) if used => Self::Consumed,
            verdict => verdict,
        }
    }
}

/// Where a packet leaves and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The local port to send from.
    pub port: PortId,
    /// The remote address to send to.
    pub to: SocketAddr,
}
