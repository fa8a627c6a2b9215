//! DTLS-SRTP keying beside the calls (RFC 5764): who does the handshakes, and what has become of each.
//!
//! A handshake takes milliseconds of CPU time, a thousand times what a packet takes: one thread does those of all legs, so that
//! neither a worker nor signalling waits for one. Datagrams reach it from the workers, and its answers and keys go back to them, without a
//! detour by the call. An association's name is what keeps the three apart: what is late for one cannot be taken for the next.

mod association;
mod thread;

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::SystemTime;

use patchcord_dtls::{Endpoint, Fingerprint, HashFunction, Identity, Library, Role, Settings, SrtpProfile};
use patchcord_relay::ids::{AssociationId, LegId};

use crate::control::Shared;
use crate::error::{ApiError, ErrorCode};
use crate::http::metrics::AssociationCounts;
use thread::Order;

/// Datagrams that may wait for the thread; more are lost, as on any network.
const WAITING_MAX: usize = 4096;

/// What has become of an association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No keys yet.
    Handshake,
    /// There are keys.
    Connected(SrtpProfile),
    /// There will be none; why.
    Failed(String),
    /// The party has ended it.
    Closed,
}

impl Progress {
    /// The name in JSON and in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Connected(_) => "connected",
            Self::Failed(_) => "failed",
            Self::Closed => "closed",
        }
    }
}

/// An association that is to begin.
#[derive(Debug)]
pub(crate) struct NewAssociation {
    pub(crate) leg: LegId,
    pub(crate) worker: usize,
    pub(crate) role: Role,
    /// What the party's SDP announces; none while it has not come.
    pub(crate) announced: Vec<Fingerprint>,
}

/// The way to the thread that does the handshakes. It begins with the first of them.
pub(crate) struct Handshakes {
    relay: Weak<Shared>,
    library: Library,
    endpoint: OnceLock<Result<Arc<Endpoint>, String>>,
    orders: OnceLock<Sender<Order>>,
    next: AtomicU64,
    waiting: Arc<AtomicUsize>,
    progress: Mutex<HashMap<AssociationId, Progress>>,
    pub(crate) counts: AssociationCounts,
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes").field("associations", &self.progress().len()).finish_non_exhaustive()
    }
}

impl Handshakes {
    pub(crate) fn new(relay: Weak<Shared>, library: Library) -> Self {
        Self {
            relay,
            library,
            endpoint: OnceLock::new(),
            orders: OnceLock::new(),
            next: AtomicU64::new(1),
            waiting: Arc::default(),
            progress: Mutex::default(),
            counts: AssociationCounts::default(),
        }
    }

    /// What SDP announces of our certificate.
    ///
    /// # Errors
    /// The system has no randomness, or its clock is beyond what a certificate can say.
    pub(crate) fn fingerprint(&self, function: HashFunction) -> Result<Fingerprint, ApiError> {
        Ok(self.endpoint()?.identity().fingerprint(function))
    }

    /// What has become of an association; `None`: it is over and forgotten.
    pub(crate) fn progress_of(&self, association: AssociationId) -> Option<Progress> {
        self.progress().get(&association).cloned()
    }

    /// A datagram has come from where the party of the association's leg can be.
    pub(crate) fn take(&self, association: AssociationId, from: SocketAddr, datagram: Box<[u8]>) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            tracing::debug!(%association, "more datagrams of DTLS than the handshakes can be done in; one is lost");
            return;
        }
        self.order(Order::Datagram { association, from, datagram });
    }

    /// The association is over, or was never wanted.
    pub(crate) fn end(&self, association: AssociationId) {
        self.progress().remove(&association);
        self.order(Order::End { association });
    }

    /// The SDP with the party's fingerprints has come.
    fn expect(&self, association: AssociationId, announced: Vec<Fingerprint>) {
        self.order(Order::Expect { association, announced });
    }

    fn endpoint(&self) -> Result<&Arc<Endpoint>, ApiError> {
        let made = self.endpoint.get_or_init(|| {
            let identity = Identity::generate(SystemTime::now()).map_err(|error| error.to_string())?;
            let mut settings = Settings::default();
            settings.library = self.library;
            Endpoint::new(identity, settings).map_err(|error| error.to_string())
        });
        made.as_ref().map_err(|why| ApiError::new(ErrorCode::Refused, format!("no DTLS: {why}")))
    }

    fn begin(&self, new: NewAssociation) -> Result<AssociationId, ApiError> {
        let endpoint = Arc::clone(self.endpoint()?);
        let association = AssociationId(self.next.fetch_add(1, Ordering::Relaxed));
        self.progress().insert(association, Progress::Handshake);
        self.order(Order::Begin { association, new, endpoint });
        Ok(association)
    }

    fn order(&self, order: Order) {
        let orders = self.orders.get_or_init(|| thread::start(self.relay.clone(), Arc::clone(&self.waiting)));
        // A thread that is gone is noticed by the handshakes that it does not do, and has said why in the log.
        drop(orders.send(order));
    }

    fn note(&self, association: AssociationId, progress: Progress) {
        self.counts.count(&progress);
        if let Some(known) = self.progress().get_mut(&association) {
            *known = progress;
        }
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<AssociationId, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Associations that end again unless the plan they are part of comes into force. They take datagrams already, which may be
/// faster than the news of that.
#[derive(Debug)]
pub(crate) struct NewAssociations {
    handshakes: Arc<Handshakes>,
    begun: Vec<AssociationId>,
    /// What is to be known of associations that there are already.
    expected: Vec<(AssociationId, Vec<Fingerprint>)>,
}

impl NewAssociations {
    pub(crate) const fn new(handshakes: Arc<Handshakes>) -> Self {
        Self { handshakes, begun: Vec::new(), expected: Vec::new() }
    }

    pub(crate) fn begin(&mut self, new: NewAssociation) -> Result<AssociationId, ApiError> {
        let association = self.handshakes.begin(new)?;
        self.begun.push(association);
        Ok(association)
    }

    pub(crate) fn expect(&mut self, association: AssociationId, announced: Vec<Fingerprint>) {
        self.expected.push((association, announced));
    }

    /// The plan is in force.
    pub(crate) fn keep(mut self) {
        for (association, announced) in self.expected.drain(..) {
            self.handshakes.expect(association, announced);
        }
        for association in self.begun.drain(..) {
            self.handshakes.order(Order::Start { association });
        }
    }
}

impl Drop for NewAssociations {
    fn drop(&mut self) {
        for association in self.begun.drain(..) {
            self.handshakes.end(association);
        }
    }
}
