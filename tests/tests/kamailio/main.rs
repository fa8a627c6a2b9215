//! A real Kamailio drives the relay through ng, with the configuration that docs/kamailio.md shows; telephones that the test
//! plays send real RTP through it, and what each of them hears is asserted.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

mod calls;
mod changes;
mod docs;
mod failures;
mod forks;
mod lossy;
mod stage;
mod transfers;
