//! The pivot with telephones, as its peers see it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod attended;
mod challenged;
mod commanded;
mod evidence;
mod evidence_rtp;
mod failures;
mod keys;
mod offers;
mod page;
mod records;
mod registered;
mod remote;
mod replaces;
mod replay;
mod reports;
mod routes;
mod scenarios;
mod stage;
mod tls_front;
mod tool;
mod transfers;
mod web;
mod webhook;
