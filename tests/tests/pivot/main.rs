//! The pivot with telephones, as its peers see it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod challenged;
mod commanded;
mod failures;
mod offers;
mod registered;
mod stage;
mod transfers;
