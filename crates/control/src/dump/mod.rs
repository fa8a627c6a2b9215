//! Dumps: a call's packets, both ways, as pcapng, whatever moves them. Most speeds are seen by no `tcpdump`.
//!
//! While somebody reads, the call's legs are *tapped*: their worker copies what comes to their ports and leaves from there, and keeps their
//! flows for itself ([`Command::SetTapped`](patchcord_relay::command::Command::SetTapped)). Legs that join are tapped by the batch that
//! creates them. When the last reader is gone, so is all that.

mod watch;

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use patchcord_recording::pcapng::Capture;
use patchcord_relay::command;
use patchcord_relay::exchange::Tapped;
use patchcord_relay::ids::LegId;
use tokio::sync::broadcast;
use tokio_stream::Stream;

pub use self::watch::{Seen, Watch, Watched};
use crate::call::{Call, Plan};
use crate::control::Control;
use crate::error::ApiError;

/// How many packets a slow reader may be behind before it is told that it has missed some: some seconds of a call.
const PACKETS_MAX: usize = 4096;

/// Who gives a call's packets to its dumps.
pub(crate) type Tap = broadcast::Sender<Arc<Tapped>>;

impl Control {
    /// A call's packets from now on until it ends, both ways, as they are on the wire.
    ///
    /// # Errors
    /// There is no such call, or its worker takes no requests.
    pub async fn watch(&self, name: &str) -> Result<Watch, ApiError> {
        let call = self.find(name)?;
        let gate = call.gate.lock().await;
        let packets = call.tap().get_or_insert_with(|| broadcast::channel(PACKETS_MAX).0).subscribe();
        // From here on its end is seen to.
        let reader = Reader { control: self.clone(), call: Arc::clone(&call.name.name) };
        if !call.inner().model.tapped {
            self.run(&call, None, &mut |plan| plan.tap(true)).await?;
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = since_1970.saturating_sub(Duration::from_nanos(self.now().as_nanos()));
        drop(gate);
        Ok(Watch::new(packets, call, epoch, reader))
    }

    /// The same as the pieces of a file.
    pub(crate) async fn dump(&self, name: &str) -> Result<Dump, ApiError> {
        let watch = self.watch(name).await?;
        let file = Capture::new(watch.call(), &format!("patchcord {}", self.0.version));
        Ok(Dump { watch, file })
    }

    /// A worker has copied a packet.
    pub(crate) fn tapped(&self, tapped: Tapped) {
        let call = self.0.calls().by_serial.get(&Call::serial_of(tapped.leg)).cloned();
        if let Some(tap) = call.as_ref().and_then(|call| call.tap().clone()) {
            // Nobody reads any more: the last copies.
            drop(tap.send(Arc::new(tapped)));
        }
    }

    /// A reader has gone.
    async fn untap(&self, name: &str) {
        // It has ended, or is part of another one that has its legs.
        let Ok(call) = self.find(name) else { return };
        let _gate = call.gate.lock().await;
        {
            let mut tap = call.tap();
            if tap.as_ref().is_some_and(|tap| tap.receiver_count() > 0) {
                return;
            }
            *tap = None;
        }
        if call.inner().model.tapped
            && let Err(error) = self.run(&call, None, &mut |plan| plan.tap(false)).await
        {
            tracing::debug!(call = name, %error, "the packets of a call go on being copied");
        }
    }
}

impl Plan<'_> {
    /// All legs are tapped, and those to come; or none.
    pub(crate) fn tap(&mut self, tapped: bool) -> Result<(), ApiError> {
        self.model.tapped = tapped;
        let legs: Vec<LegId> = self.model.legs.0.iter().map(|leg| leg.id).collect();
        for leg in legs {
            self.tell_engine(command::Command::SetTapped { leg, tapped });
        }
        Ok(())
    }
}

/// See [`Control::dump`].
pub(crate) struct Dump {
    watch: Watch,
    file: Capture,
}

/// Its end is the end of what was done for it.
struct Reader {
    control: Control,
    call: Arc<str>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (control, call) = (self.control.clone(), Arc::clone(&self.call));
        self.control.spawn(async move { control.untap(&call).await });
    }
}

impl Stream for Dump {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        loop {
            // The first is the file's header.
            let piece = self.file.take();
            if !piece.is_empty() {
                return Poll::Ready(Some(piece));
            }
            match ready!(Pin::new(&mut self.watch).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Seen::Packet(watched)) => self.file.add(&watched.packet()),
                Some(Seen::Missed(count, at)) => self.file.missed(count, at),
            }
        }
    }
}
