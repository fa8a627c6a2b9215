//! The listeners of ng over real sockets on loopback, with somebody behind them who answers as a test wants it.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod http;
mod stream;
mod support;
mod udp;
