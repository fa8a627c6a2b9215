//! The ng protocol from a proxy's side: daemons that speak it, and scenarios whose course is written down so that two
//! daemons can be compared.
//!
//! A [`Scenario`] is done on a [`Stage`]: commands to a daemon, packets of parties. What comes of each step goes into a
//! transcript, with ports, keys, times and names that a daemon chooses replaced by symbols in the order of their first
//! appearance. Two daemons that do the same give the same transcript.

mod client;
mod compare;
mod daemon;
pub mod descriptions;
mod front;
mod keys;
mod party;
mod replies;
mod scenario;
mod sdp;
mod stage;
mod symbols;

pub use client::NgClient;
pub use compare::{Difference, compare};
pub use daemon::Daemon;
pub use front::Front;
pub use party::{Packet, Party};
pub use scenario::{Scenario, Setup, transcript};
pub use stage::{Reply, Stage};
