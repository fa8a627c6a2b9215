//! SIP as the pivot needs it: [`Stack`] on rsipstack's transactions, with dialogs of its own.
//!
//! ```text
//!   net, stream (sockets) -> vet -> rsipstack (transactions) -> stack (whom it concerns) -> session (one a dialog)
//! ```

mod auth;
mod backlog;
mod build;
pub mod certificate;
mod config;
mod dialog;
mod digest;
mod guard;
mod net;
pub mod probe;
mod registration;
mod session;
mod stack;
mod stream;
mod text;
mod tls;
mod trace;
mod transaction;
mod uri;
mod vet;

pub use auth::{Accounts, CredentialsOf, IsNeeded, Occasion, Passwords};
pub use config::{Allows, Certificate, Config, Limits, Listen, StackError};
pub use registration::{Registered, Registering, Registration};
pub use stack::Stack;
pub(crate) use tls::connector as tls_connector;
pub use trace::{Trace, Traced, Tracer};

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
