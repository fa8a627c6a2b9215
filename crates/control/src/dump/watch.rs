//! A call's packets, one by one, with whose they are.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use patchcord_recording::pcapng::Packet;
use patchcord_relay::exchange::Tapped;
use patchcord_relay::ids::{Component, LegId};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt};

use super::Reader;
use crate::call::Call;
use crate::interfaces::Lease;

/// A call's packets from [`Control::watch`](crate::Control::watch) on until it ends. While there is one, no packet of the call is
/// forwarded in the kernel.
pub struct Watch {
    packets: BroadcastStream<Arc<Tapped>>,
    call: Arc<Call>,
    /// Legs that packets were seen of: they may be gone when the last of them is read.
    legs: BTreeMap<LegId, (Arc<str>, Lease)>,
    /// When the workers' clock began, since 1970.
    epoch: Duration,
    reader: Reader,
}

/// What there is to be read.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A packet.
    Packet(Watched),
    /// So many were not read in time, until then, since 1970.
    Missed(u64, Duration),
}

/// A packet of a party.
#[derive(Clone, Debug)]
pub struct Watched {
    party: Arc<str>,
    local: SocketAddr,
    at: Duration,
    tapped: Arc<Tapped>,
}

impl Watched {
    /// All about it.
    #[must_use]
    pub fn packet(&self) -> Packet<'_> {
        Packet {
            party: &self.party,
            local: self.local,
            remote: self.tapped.remote,
            received: self.tapped.received,
            at: self.at,
            datagram: &self.tapped.datagram,
        }
    }
}

impl core::fmt::Debug for Watch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watch").field("call", &self.call()).finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn new(
        packets: broadcast::Receiver<Arc<Tapped>>,
        call: Arc<Call>,
        epoch: Duration,
        reader: Reader,
    ) -> Self {
        Self { packets: BroadcastStream::new(packets), call, legs: BTreeMap::new(), epoch, reader }
    }

    /// The call's name.
    pub(super) fn call(&self) -> &str {
        &self.call.name.name
    }

    /// What comes next; `None`: the call is over.
    pub async fn next(&mut self) -> Option<Seen> {
        StreamExt::next(self).await
    }

    fn name(&mut self, tapped: Arc<Tapped>) -> Option<Watched> {
        let known = self.legs.get(&tapped.leg).cloned().or_else(|| {
            let inner = self.call.inner();
            let leg = inner.model.legs.get(tapped.leg)?;
            Some((Arc::clone(&leg.party), leg.lease))
        });
        // Created and gone again before its first packet was looked at.
        let (party, lease) = known?;
        let (rtp, rtcp) = self.reader.control.0.env.interfaces.local(lease);
        let local = if tapped.component == Component::Rtcp { rtcp.unwrap_or(rtp) } else { rtp };
        self.legs.insert(tapped.leg, (Arc::clone(&party), lease));
        let at = self.epoch + Duration::from_nanos(tapped.at.as_nanos());
        Some(Watched { party, local, at, tapped })
    }
}

impl Stream for Watch {
    type Item = Seen;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Seen>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.packets).poll_next(context)) {
                None => None,
                Some(Ok(tapped)) => match self.name(tapped) {
                    None => continue,
                    Some(watched) => Some(Seen::Packet(watched)),
                },
                Some(Err(BroadcastStreamRecvError::Lagged(count))) => {
                    let at = self.epoch + Duration::from_nanos(self.reader.control.now().as_nanos());
                    Some(Seen::Missed(count, at))
                }
            });
        }
    }
}
