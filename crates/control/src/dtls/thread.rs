//! The thread that does the handshakes.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::{BTreeSet, HashMap};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

use patchcord_dtls::{Endpoint, Fingerprint, HandshakeError};
use patchcord_relay::ids::AssociationId;

use super::association::{Association, ToDo, failed};
use super::{NewAssociation, Progress};
use crate::control::Shared;

/// Why there are no keys after a panic.
const FAULT: &str = "the library has a fault, which the log shows; please report it";

/// What the thread is told.
pub(super) enum Order {
    /// A leg is going to have this association.
    Begin { association: AssociationId, new: NewAssociation, endpoint: Arc<Endpoint> },
    /// It has.
    Start { association: AssociationId },
    /// The party's fingerprints are known now.
    Expect { association: AssociationId, announced: Vec<Fingerprint> },
    /// The party has sent something.
    Datagram { association: AssociationId, from: SocketAddr, datagram: Box<[u8]> },
    /// It is over.
    End { association: AssociationId },
}

/// Starts the thread; it ends when nobody can give it orders any more.
pub(super) fn start(relay: Weak<Shared>, waiting: Arc<AtomicUsize>) -> Sender<Order> {
    let (orders, inbox) = channel();
    let thread = Thread { relay, waiting, associations: HashMap::new(), due: BTreeSet::new() };
    if let Err(error) = thread::Builder::new().name("patchcord-dtls".to_owned()).spawn(move || thread.run(&inbox)) {
        tracing::error!(%error, "no thread for DTLS handshakes: parties that need one get no media");
    }
    orders
}

struct Thread {
    relay: Weak<Shared>,
    /// Datagrams that lie in the inbox.
    waiting: Arc<AtomicUsize>,
    associations: HashMap<AssociationId, Association>,
    /// When associations are to be looked after.
    due: BTreeSet<(Instant, AssociationId)>,
}

impl Thread {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let order = match self.due.first() {
                Some((due, _)) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            while let Some(&(due, association)) = self.due.first()
                && due <= now
            {
                self.act(association, |it| it.wake(now));
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Begin { association, new, endpoint } => {
                self.associations.insert(association, Association::new(association, new, endpoint));
            }
            Order::Start { association } => self.act(association, |it| it.start(now)),
            Order::Expect { association, announced } => self.act(association, |it| it.expect(&announced, now)),
            Order::Datagram { association, from, datagram } => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.act(association, |it| it.take(from, &datagram, now));
            }
            Order::End { association } => {
                if let Some(due) = self.associations.remove(&association).and_then(|it| it.due) {
                    self.due.remove(&(due, association));
                }
            }
        }
    }

    /// Does something with an association, and what follows from it.
    fn act(&mut self, association: AssociationId, act: impl FnOnce(&mut Association) -> ToDo) {
        let Some(it) = self.associations.get_mut(&association) else { return };
        let was = it.due.take();
        let done = panic::catch_unwind(AssertUnwindSafe(|| act(it)));
        let (leg, worker) = (it.owner().leg, it.owner().worker);
        if let Some(was) = was {
            self.due.remove(&(was, association));
        }
        if let (Ok(_), Some(due)) = (&done, it.due) {
            self.due.insert((due, association));
        }
        // A fault in a library, should one be found by somebody's garbage, is one party's handshake and no other's.
        let ToDo { commands, progress } = done.unwrap_or_else(|_| {
            self.associations.remove(&association);
            failed(&HandshakeError::Protocol(FAULT.to_owned()))
        });
        let Some(relay) = self.relay.upgrade() else { return };
        let progress = match relay.engine.tell(worker, commands) {
            Ok(()) => progress,
            // What is lost is sent again, but keys are given once.
            Err(error) => progress.map(|_| Progress::Failed(error.message)),
        };
        if let Some(progress) = progress {
            relay.env.handshakes.note(association, progress.clone());
            relay.association_changed(leg, progress);
        }
    }
}
