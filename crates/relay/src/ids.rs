//! Names of things that cross the engine's border.

use core::fmt;
use core::num::NonZeroU64;

/// A leg, named by whoever created it. Unique for the life of the process: an id is never reused, so a late command
/// can only miss, never hit somebody else's leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leg-{}", self.0)
    }
}

/// A cut-over, named by whoever commanded it. Unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CutOverId(pub u64);

impl fmt::Display for CutOverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cut-over-{}", self.0)
    }
}

/// An association of DTLS with a leg's party (RFC 5764 3), named by whoever does its handshake. Unique for the life of the
/// process: what is late for one association cannot be taken for the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssociationId(pub u64);

impl fmt::Display for AssociationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "association-{}", self.0)
    }
}

/// A stream that somebody makes for a leg of what others send, transcoded or mixed: the leg's slot, and a number that no other one of the shard has had lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MadeId(NonZeroU64);

impl MadeId {
    pub(crate) const fn new(sink: u32, number: u32) -> Self {
        // Only a number that has wrapped around could be 0, and then only for the first leg.
        match NonZeroU64::new((number as u64) << 32 | sink as u64) {
            Some(id) => Self(id),
            None => Self(NonZeroU64::MAX),
        }
    }

    pub(crate) const fn slot(self) -> u32 {
        self.0.get() as u32
    }

    /// A number of the listener: at any time one stream at most is made for it.
    #[must_use]
    pub const fn listener(self) -> u32 {
        self.slot()
    }

    /// Whether this was named later than another one of the same listener.
    #[must_use]
    pub const fn is_later_than(self, other: Self) -> bool {
        let ahead = ((self.0.get() >> 32) as u32).wrapping_sub((other.0.get() >> 32) as u32);
        ahead.cast_signed() > 0
    }
}

/// Which of a leg's two local ports a datagram arrived at or leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The RTP port; RTCP too when it is muxed (RFC 5761).
    Rtp,
    /// The separate RTCP port.
    Rtcp,
}

/// A local port as the engine numbers it: the leg's slot in the shard and the component.
///
/// The engine assigns it when a leg is added; the backend keeps it beside the socket, so that a datagram finds its leg
/// by an array index and not by a hash. A slot is used again after its leg is gone: the backend must have closed the
/// old sockets before it opens new ones under the same `PortId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortId(u32);

impl PortId {
    /// The port of the leg in `slot`.
    #[must_use]
    pub const fn new(slot: u32, component: Component) -> Self {
        Self(slot << 1 | component as u32)
    }

    /// The leg's slot in its shard, below the shard's capacity.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 >> 1
    }

    /// RTP or RTCP.
    #[must_use]
    pub const fn component(self) -> Component {
        if self.0 & 1 == 0 { Component::Rtp } else { Component::Rtcp }
    }

    /// A dense index over all ports of a shard: `2 * slot + component`, for tables of sockets.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The port with that [`PortId::index`].
    #[must_use]
    pub const fn from_index(index: u32) -> Self {
        Self(index)
    }
}
