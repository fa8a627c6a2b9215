//! The transports of ng: how requests come in, and how replies go out.
//!
//! All of them share one [`Server`]: who answers, which replies are remembered, how many requests may run at once.

mod accept;
mod http;
mod seldom;
mod server;
mod socket;
mod stream;
mod udp;
mod websocket;

use core::future::Future;

use patchcord_ng::{Dict, Request};

pub use http::{router, standalone};
pub use server::{Limits, Server};
pub use socket::{UdpListener, bind_udp};
pub use stream::{UnixSocket, bind_unix};

/// Who answers requests.
pub trait Answer: Send + Sync + 'static {
    /// The reply's dictionary. There must always be one: a request that cannot be served gets an error.
    fn answer(&self, request: Request) -> impl Future<Output = Dict> + Send;
}
