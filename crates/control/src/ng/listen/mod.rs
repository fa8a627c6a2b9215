//! The transports of ng: how requests come in, and how replies go out.

use core::future::Future;

use patchcord_ng::{Dict, Request};

/// Who answers requests.
pub trait Answer: Send + Sync + 'static {
    /// The reply's dictionary. Must be there at all times: a request that cannot be served gets an error.
    fn answer(&self, request: Request) -> impl Future<Output = Dict> + Send;
}
