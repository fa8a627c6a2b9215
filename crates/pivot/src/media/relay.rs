//! The relay that moves the media, in this process or elsewhere.

use core::pin::Pin;
use std::sync::Arc;

use patchcord_control::api::{CallEvent, CallState, CommandAnswer, CommandRequest, MergeCall, TransferEvent};
use patchcord_control::{ApiError, Watch};
use tokio::sync::broadcast;

/// Something that will be there.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes the same commands as every other client of the relay has (docs/http-api.md).
pub trait Relay: Send + Sync {
    /// Creates a call, if `beside` says so on the worker of that call; with the same `id` once.
    fn create<'a>(&'a self, call: &'a str, id: &'a str, beside: Option<&'a str>) -> Pending<'a, Result<(), ApiError>>;

    /// Executes commands, all or none.
    fn execute<'a>(
        &'a self,
        call: &'a str,
        request: CommandRequest,
    ) -> Pending<'a, Result<Arc<CommandAnswer>, ApiError>>;

    /// Takes another call into this one: all its parties, with the names that it says, or nothing.
    fn merge<'a>(&'a self, call: &'a str, request: MergeCall) -> Pending<'a, Result<(), ApiError>>;

    /// How a call stands, with what its legs have received and sent.
    fn state<'a>(&'a self, call: &'a str) -> Pending<'a, Result<CallState, ApiError>>;

    /// Ends a call, frees its ports, and gives how it stood in the end.
    fn delete<'a>(&'a self, call: &'a str) -> Pending<'a, Result<Arc<CallState>, ApiError>>;

    /// A call's packets from now on until it ends; `None`: this relay gives them to nobody here.
    fn packets<'a>(&'a self, call: &'a str) -> Pending<'a, Result<Option<Watch>, ApiError>>;

    /// What happens in all calls from now on.
    fn events(&self) -> broadcast::Receiver<Arc<CallEvent>>;

    /// Tells whoever listens at the relay's event stream how a transfer of a call stands.
    fn announce(&self, call: &Arc<str>, event: TransferEvent);
}
