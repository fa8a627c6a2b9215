//! The pivot with telephones, as its peers see it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod commanded;
mod failures;
mod offers;
mod stage;
mod tool;
mod transfers;
mod web;
mod webhook;
