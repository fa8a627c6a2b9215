//! The pivot with telephones, as its peers see it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod failures;
mod stage;
mod transfers;
