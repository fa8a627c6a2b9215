//! SIP as the pivot needs it.

use crate::message::{Action, DialogId, RequestId};

/// What speaks SIP: takes [`Action`]s, and gives [`Event`](crate::message::Event)s by a channel of its own.
pub trait SipStack: Send + Sync {
    /// Does it; what comes of it is an event. Never blocks. What a dialog that is over is told to do is left out.
    fn act(&self, action: Action);

    /// A name for a dialog that is about to begin.
    fn next_dialog(&self) -> DialogId;

    /// A name for a request of ours.
    fn next_request(&self) -> RequestId;
}
