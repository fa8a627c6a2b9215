//! DTLS on a leg: whose handshake its party's datagrams belong to, and how many of them are handed out.
//!
//! The engine reads nothing of a handshake. It knows where one may come from, and that the whole of one is a few dozen datagrams.

use crate::ids::AssociationId;
use crate::time::MonoTime;

/// A leg's association (RFC 5764 3), and those that it had before.
#[derive(Debug)]
pub(crate) struct Dtls {
    /// `None`: there is none any more.
    pub(crate) association: Option<AssociationId>,
    /// Datagrams that may be handed out at once.
    allowance: u32,
    /// When the allowance was last raised.
    raised_at: MonoTime,
    /// Datagrams that were taken from the party.
    pub(crate) received: u64,
}

impl Dtls {
    /// A handshake of long certificates, each flight sent three times.
    const ALLOWANCE_MAX: u32 = 64;
    /// Twenty a second: more than any peer sends that waits for answers.
    const RAISE_NANOS: u64 = 50_000_000;

    pub(crate) const fn new(now: MonoTime) -> Self {
        Self { association: None, allowance: Self::ALLOWANCE_MAX, raised_at: now, received: 0 }
    }

    /// Whether one more datagram is to be handed out.
    pub(crate) fn allows(&mut self, now: MonoTime) -> bool {
        let raise = now.nanos_since(self.raised_at) / Self::RAISE_NANOS;
        if raise > 0 {
            self.raised_at = self.raised_at.after_nanos(raise * Self::RAISE_NANOS);
            let raised = u64::from(self.allowance) + raise;
            self.allowance = raised.min(u64::from(Self::ALLOWANCE_MAX)) as u32;
        }
        let allows = self.allowance > 0;
        self.allowance = self.allowance.saturating_sub(1);
        allows
    }
}
