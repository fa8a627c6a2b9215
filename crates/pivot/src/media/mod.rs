//! The media of a call: session descriptions on one side, legs and bridge commands of the relay on the other.

pub mod description;
mod formats;
mod legs;
mod relay;
mod remote;

pub use formats::{answered, offered};
pub use legs::{Legs, MediaError};
pub use relay::{Pending, Relay};
pub use remote::{Announce, Remote, RemoteSettings};
