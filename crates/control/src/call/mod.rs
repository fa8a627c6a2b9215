//! A call: its model, the planning of commands on it, and what becomes of them.
//!
//! A command's way: [`Plan`] changes a copy of the [`CallModel`] and collects commands for the engine; when the engine has
//! applied them, [`Inner::commit`] puts the copy in force. What the engine tells on its own goes to [`Inner::happened`];
//! while a batch is on its way it is put off until the batch is committed or given up, so that no event is lost between
//! two models.

mod change;
mod check;
mod commit;
mod detection;
mod dtls;
mod dtmf;
mod happened;
mod hearing;
mod ice;
mod legs;
mod model;
mod plan;
mod record;
mod recording;
mod rollback;
pub(crate) mod srtp;
mod view;

use core::fmt;
use core::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::time::MonoTime;
use tokio::sync::Notify;

use crate::api::{CallEvent, CommandAnswer, EventKind};
use crate::dump::Tap;
use crate::error::ApiError;
use crate::idempotency::Answers;
use crate::ng::{Quality, Session};

pub(crate) use check::is_transcodable;
pub(crate) use commit::Settled;
pub(crate) use happened::Chore;
pub(crate) use legs::{LEG_BITS, LEGS_MAX, party_name};
pub(crate) use model::{CallModel, Leg};
pub(crate) use plan::{CallName, Draft, Plan};
pub(crate) use recording::name_of as recording_name;

/// How many ids of requests a call remembers.
const ANSWERS_MAX: usize = 128;

/// The answer to a request with commands.
pub(crate) type Answer = Result<Arc<CommandAnswer>, Arc<ApiError>>;

/// Takes what a call has to tell.
pub(crate) type Tell<'a> = &'a dyn Fn(CallEvent);

/// A call.
pub(crate) struct Call {
    pub(crate) name: CallName,
    /// The worker that its legs live on.
    pub(crate) worker: usize,
    pub(crate) created: MonoTime,
    /// Held by whoever has a batch on its way to the engine: the batches of a call do not overtake each other.
    pub(crate) gate: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
    /// Another call has been merged into it: it has further names.
    pub(crate) has_aliases: AtomicBool,
    /// What ng signalling has said of it; changed only by who holds the gate.
    session: Mutex<Session>,
    /// How good it has been; only calls that ng signalling made are sampled.
    quality: Mutex<Option<Box<Quality>>>,
    /// Gives its packets to whoever dumps it.
    tap: Mutex<Option<Tap>>,
    /// Told at every change of a cut-over.
    pub(crate) changed: Notify,
}

/// What changes about a call.
pub(crate) struct Inner {
    pub(crate) model: CallModel,
    pub(crate) answers: Answers<Answer>,
    /// It has ended.
    pub(crate) closed: bool,
    /// A batch is on its way to the engine.
    in_flight: bool,
    put_off: Vec<(MonoTime, Event)>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("name", &self.name).field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl Call {
    pub(crate) fn new(name: CallName, worker: usize, created: MonoTime) -> Self {
        Self {
            name,
            worker,
            created,
            gate: tokio::sync::Mutex::new(()),
            inner: Mutex::new(Inner {
                model: CallModel::default(),
                answers: Answers::new(ANSWERS_MAX),
                closed: false,
                in_flight: false,
                put_off: Vec::new(),
            }),
            has_aliases: AtomicBool::new(false),
            session: Mutex::default(),
            quality: Mutex::default(),
            tap: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tap(&self) -> MutexGuard<'_, Option<Tap>> {
        self.tap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of its model for a call that is to take it over; until that has come to something, what the engine tells is put off.
    /// `None`: it has ended.
    pub(crate) fn lend(&self) -> Option<CallModel> {
        let mut inner = self.inner();
        if inner.closed {
            return None;
        }
        inner.take_off();
        Some(inner.model.clone())
    }

    pub(crate) fn quality(&self) -> MutexGuard<'_, Option<Box<Quality>>> {
        self.quality.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the call that a leg belongs to.
    pub(crate) const fn serial_of(leg: LegId) -> u64 {
        leg.0 >> LEG_BITS
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event of this call.
    pub(crate) fn event(&self, at: MonoTime, party: Option<Arc<str>>, kind: EventKind) -> CallEvent {
        CallEvent { at_us: at.as_nanos() / 1000, call: Arc::clone(&self.name.name), party, kind }
    }
}
