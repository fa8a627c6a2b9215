//! The data plane as its users see it: real sockets on loopback, commands in, packets through. Every test runs over every
//! backend that this machine has.

#![allow(clippy::print_stderr, reason = "a skipped test says why, and a measuring one what it measured")]

mod bridge;
mod by_packet;
mod commands;
mod load;
mod mixing;
mod player;
mod start;
mod support;
