//! Dumps: a call's packets, both ways, as pcapng, whatever moves them. Most speeds are seen by no `tcpdump`.
//!
//! While somebody reads, the call's legs are *tapped*: their worker copies what comes to their ports and leaves from there, and keeps their
//! flows for itself ([`Command::SetTapped`](patchcord_relay::command::Command::SetTapped)). Legs that join are tapped by the batch that
//! creates them. When the last reader is gone, so is all that.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use patchcord_recording::pcapng::{Capture, Packet};
use patchcord_relay::command;
use patchcord_relay::exchange::Tapped;
use patchcord_relay::ids::{Component, LegId};
use tokio::sync::broadcast;
use tokio_stream::Stream;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::call::{Call, Plan};
use crate::control::Control;
use crate::error::ApiError;
use crate::interfaces::Lease;

/// How many packets a slow reader may be behind before it is told that it has missed some: some seconds of a call.
const PACKETS_MAX: usize = 4096;

/// Who gives a call's packets to its dumps.
pub(crate) type Tap = broadcast::Sender<Arc<Tapped>>;

impl Control {
    /// A call's packets from now on until it ends, as pcapng: the pieces of a file.
    ///
    /// # Errors
    /// There is no such call, or its worker takes no requests.
    pub(crate) async fn dump(&self, name: &str) -> Result<Dump, ApiError> {
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
        let file = Capture::new(&call.name.name, &format!("patchcord {}", self.0.version));
        drop(gate);
        Ok(Dump { packets: BroadcastStream::new(packets), call, legs: BTreeMap::new(), file, epoch, reader })
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
    packets: BroadcastStream<Arc<Tapped>>,
    call: Arc<Call>,
    /// Legs that packets were seen of: they may be gone when the last of them is written.
    legs: BTreeMap<LegId, (Arc<str>, Lease)>,
    file: Capture,
    /// When the workers' clock began, since 1970.
    epoch: Duration,
    reader: Reader,
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

impl Dump {
    fn add(&mut self, tapped: &Tapped) {
        let known = self.legs.get(&tapped.leg).cloned().or_else(|| {
            let inner = self.call.inner();
            let leg = inner.model.legs.get(tapped.leg)?;
            Some((Arc::clone(&leg.party), leg.lease))
        });
        // Created and gone again before its first packet was looked at.
        let Some((party, lease)) = known else { return };
        let (rtp, rtcp) = self.reader.control.0.env.interfaces.local(lease);
        let local = if tapped.component == Component::Rtcp { rtcp.unwrap_or(rtp) } else { rtp };
        self.file.add(&Packet {
            party: &party,
            local,
            remote: tapped.remote,
            received: tapped.received,
            at: self.epoch + Duration::from_nanos(tapped.at.as_nanos()),
            datagram: &tapped.datagram,
        });
        self.legs.insert(tapped.leg, (party, lease));
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
            match ready!(Pin::new(&mut self.packets).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Ok(tapped)) => self.add(&tapped),
                Some(Err(BroadcastStreamRecvError::Lagged(count))) => {
                    let at = self.epoch + Duration::from_nanos(self.reader.control.now().as_nanos());
                    self.file.missed(count, at);
                }
            }
        }
    }
}
