//! The pivot beside the relay: it gives the same commands as every other client, without HTTP between.

use std::sync::Arc;

use patchcord_control::api::{CallEvent, CommandAnswer, CommandRequest};
use patchcord_control::{ApiError, Control};
use patchcord_pivot::media::{Pending, Relay};
use tokio::sync::broadcast;

/// The control plane of this process.
struct Here(Control);

impl Relay for Here {
    fn create<'a>(&'a self, call: &'a str, id: &'a str) -> Pending<'a, Result<(), ApiError>> {
        Box::pin(async move { self.0.create_call(Some(call), Some(id)).map(drop) })
    }

    fn execute<'a>(
        &'a self,
        call: &'a str,
        request: CommandRequest,
    ) -> Pending<'a, Result<Arc<CommandAnswer>, ApiError>> {
        Box::pin(self.0.execute(call, request))
    }

    fn delete<'a>(&'a self, call: &'a str) -> Pending<'a, Result<(), ApiError>> {
        Box::pin(async move { self.0.delete_call(call, None).await.map(drop) })
    }

    fn events(&self) -> broadcast::Receiver<Arc<CallEvent>> {
        self.0.subscribe()
    }
}
