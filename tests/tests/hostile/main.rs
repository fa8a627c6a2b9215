//! Bad input end to end: a clear error or a counted drop; nothing half applied, nobody else harmed.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod drain;
mod fetched;
mod media;
mod mid_swap;
mod ports;
mod requests;
