//! The control plane: calls, and the way of a request from a front to a worker and back.

use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use patchcord_dtls::Library as DtlsLibrary;
use patchcord_recording::{SpecError, StartError};
use patchcord_relay::command::{EgressMode, LatchPolicy};
use patchcord_relay::event::{Event, Subject};
use patchcord_relay::exchange::Reply;
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::time::MonoTime;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::api::{CallCreated, CallEvent, CallMerged, CallState, DetectionConfig, EventKind};
use crate::audio::{AudioConfig, AudioError, Library, Sound};
use crate::call::Call;
use crate::dtls::{Handshakes, Progress};
use crate::engine::{Engine, Worker};
use crate::env::Env;
use crate::error::ApiError;
use crate::http::metrics::CommandCounts;
use crate::idempotency::Answers;
use crate::interfaces::{Interface, Interfaces};
use crate::ports::PortCounts;
use crate::recording::{Recorder, RecordingConfig};

/// How many events a slow reader may be behind before it is told that it has missed some.
const EVENTS_MAX: usize = 4096;
/// How many ids of requests that create, delete or merge calls are remembered.
const CALL_ANSWERS_MAX: usize = 1024;

/// Everything that the control plane is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where media is received; the first is used where a leg names none.
    pub interfaces: Vec<Interface>,
    /// UDP ports for media on each interface, both ends included.
    pub ports: RangeInclusive<u16>,
    /// Legs that one worker has room for; a new call goes to a worker that has room for two.
    pub legs_max_per_worker: u32,
    /// How a leg latches unless it says otherwise.
    pub latch: LatchPolicy,
    /// How a party's stream goes on unless its leg says otherwise.
    pub egress: EgressMode,
    /// After how long without a packet a leg says `media-timeout` unless it says otherwise; `None`: never.
    pub media_timeout: Option<Duration>,
    /// Whether SRTP may leave something unprotected: suites with NULL or F8, and parameters such as `UNENCRYPTED_SRTP`.
    pub allows_weak_srtp: bool,
    /// What does the handshakes of DTLS.
    pub dtls: DtlsLibrary,
    /// Audio with a name.
    pub audio: AudioConfig,
    /// How parties are listened to unless a request says otherwise.
    pub detection: DetectionConfig,
    /// Where and how calls are recorded.
    pub recording: RecordingConfig,
    /// What every request under `/v1` must carry; `None`: nothing.
    pub token: Option<String>,
    /// The server's version, shown at `/openapi.json`.
    pub version: String,
}

/// The control plane cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no interface.
    #[error("no interface is configured: give one by `interfaces`")]
    NoInterface,
    /// An interface has the same address twice.
    #[error("interface {0} is given twice: leave one out, or name another address")]
    SameInterface(Interface),
    /// An interface on all addresses does not say what to tell the other side.
    #[error(
        "interface {name:?} is {address}, which nobody can send to: add the address to advertise by \"{address}!ADDRESS\""
    )]
    NothingToAdvertise {
        /// Its name.
        name: String,
        /// Its address.
        address: IpAddr,
    },
    /// The port range has not even one pair.
    #[error("port range {}-{} has no pair of an even port and the one after it", .0.start(), .0.end())]
    NoPorts(RangeInclusive<u16>),
    /// There is no worker.
    #[error("there is no worker")]
    NoWorker,
    /// Audio cannot be used.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Recordings cannot be written.
    #[error(transparent)]
    Recording(#[from] StartError),
    /// A detector cannot listen so.
    #[error("`[detection]`: {0}")]
    Detection(String),
    /// The files of recordings have no such sample rate.
    #[error("`recording.rate`: {0}")]
    RecordingRate(SpecError),
    /// [`Control::new`] was called outside of a tokio runtime.
    #[error("the control plane must be started inside a tokio runtime")]
    NoRuntime,
}

/// The control plane. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Control(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) engine: Engine,
    pub(crate) token: Option<String>,
    pub(crate) version: String,
    pub(crate) legs_max_per_worker: u32,
    pub(crate) runtime: Handle,
    now: Arc<dyn Fn() -> MonoTime + Send + Sync>,
    started: MonoTime,
    calls: RwLock<Calls>,
    next_call: AtomicU64,
    /// Cut-overs that wait, and the call of each: the engine names only the cut-over when one happens.
    waiting: Mutex<BTreeMap<CutOverId, u64>>,
    pub(crate) call_answers: Mutex<Answers<CallAnswer>>,
    events: broadcast::Sender<Arc<CallEvent>>,
    pub(crate) draining: AtomicBool,
    pub(crate) command_counts: CommandCounts,
}

/// All calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) by_name: BTreeMap<Arc<str>, Arc<Call>>,
    pub(crate) by_serial: BTreeMap<u64, Arc<Call>>,
    /// Of each worker.
    pub(crate) load: Vec<Load>,
}

/// How much a worker has to do: legs count first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    pub(crate) legs: u32,
    pub(crate) calls: u32,
}

/// The answer to a request that creates, deletes or merges calls.
#[derive(Clone, Debug)]
pub(crate) enum CallAnswer {
    Created(Result<CallCreated, ApiError>),
    Deleted(Result<Arc<CallState>, ApiError>),
    Merged(Result<CallMerged, ApiError>),
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Control {
    /// Starts a control plane over `workers`, inside a tokio runtime. `now` reads the clock that the workers use.
    ///
    /// # Errors
    /// The configuration cannot work; the text says what to change.
    pub fn new(
        config: Config,
        workers: Vec<Arc<dyn Worker>>,
        now: impl Fn() -> MonoTime + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let Config {
            interfaces,
            ports,
            legs_max_per_worker,
            latch,
            egress,
            media_timeout,
            allows_weak_srtp,
            dtls,
            audio,
            detection,
            recording,
            token,
            version,
        } = config;
        check_interfaces(&interfaces)?;
        let interfaces = Interfaces::new(interfaces, &ports);
        if interfaces.counts().iter().any(|(_, counts)| counts.free == 0) {
            return Err(ConfigError::NoPorts(ports));
        }
        if workers.is_empty() {
            return Err(ConfigError::NoWorker);
        }
        detection.check().map_err(ConfigError::Detection)?;
        let library = Library::load(&audio)?;
        let now: Arc<dyn Fn() -> MonoTime + Send + Sync> = Arc::new(now);
        let clock = Arc::clone(&now);
        let runtime = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let recorder = Recorder::start(recording, &version, move || clock())?;
        let calls = Calls { load: vec![Load::default(); workers.len()], ..Calls::default() };
        let interfaces = Arc::new(interfaces);
        let control = Self(Arc::new_cyclic(|shared| Shared {
            env: Env::new(
                interfaces,
                library,
                latch,
                egress,
                media_timeout,
                allows_weak_srtp,
                Arc::new(Handshakes::new(shared.clone(), dtls)),
                detection,
                recorder,
            ),
            engine: Engine::new(workers, &runtime),
            token,
            version,
            legs_max_per_worker,
            runtime,
            started: now(),
            now,
            calls: RwLock::new(calls),
            next_call: AtomicU64::new(1),
            waiting: Mutex::default(),
            call_answers: Mutex::new(Answers::indexed(CALL_ANSWERS_MAX)),
            events: broadcast::channel(EVENTS_MAX).0,
            draining: AtomicBool::new(false),
            command_counts: CommandCounts::default(),
        }));
        control.0.env.recorder.attach(Arc::downgrade(&control.0));
        Ok(control)
    }

    /// Takes what a worker has to say: the answer to a request, or an event. May be called from any thread, and in the
    /// order in which the worker said it.
    pub fn accept(&self, worker: usize, reply: Reply) {
        match reply {
            Reply::Applied { ticket, .. } | Reply::Legs { ticket, .. } | Reply::Worker { ticket, .. } => {
                self.0.engine.resolve(ticket, reply);
            }
            Reply::Handshake { association, from, datagram, .. } => {
                self.0.env.handshakes.take(association, from, datagram);
            }
            Reply::Tapped(tapped) => self.tapped(*tapped),
            Reply::Overheard(overheard) => self.0.env.recorder.overheard(*overheard),
            Reply::Event { at, event } => self.event(worker, at, event),
        }
    }

    /// Takes no new calls from now on; those that run go on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// The address of the first interface, as others are told.
    pub(crate) fn any_address(&self) -> Option<IpAddr> {
        self.0.env.interfaces.first_advertised()
    }

    /// Calls that ng signalling has made.
    pub(crate) fn signalled_calls(&self) -> Vec<Arc<Call>> {
        let calls: Vec<_> = self.0.calls().by_name.values().cloned().collect();
        calls.into_iter().filter(|call| call.session().is_signalled()).collect()
    }

    /// The workers' clock.
    pub(crate) fn now(&self) -> MonoTime {
        self.0.now()
    }

    /// How long ago it was started.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_nanos(self.0.now().nanos_since(self.0.started))
    }

    /// How many calls have begun so far.
    pub(crate) fn calls_begun(&self) -> u64 {
        self.0.next_call.load(Ordering::Relaxed) - 1
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: CallEvent) {
        self.0.tell(event);
    }

    /// Tells whoever listens that something has happened in a call, now.
    pub fn announce(&self, call: Arc<str>, party: Option<Arc<str>>, kind: EventKind) {
        self.tell(CallEvent { at_us: self.0.now().as_nanos() / 1000, call, party, kind });
    }

    /// Audio that has a name.
    pub(crate) fn named_sound(&self, name: &str) -> Option<Arc<Sound>> {
        self.0.env.library.named(name)
    }

    /// Has another thread work on something that takes its time, such as reading a file.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        self.0.runtime.spawn_blocking(work).await.unwrap_or_else(|_| Err("the server is stopping".to_owned()))
    }

    /// Has the runtime work on something that nobody waits for.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.runtime.spawn(work);
    }

    /// Whether there is no call.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.calls().by_name.is_empty()
    }

    /// What happens in all calls from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<CallEvent>> {
        self.0.events.subscribe()
    }

    /// How many ports of each interface are leased, busy and free.
    #[must_use]
    pub fn ports(&self) -> Vec<(String, PortCounts)> {
        self.0.env.interfaces.counts().into_iter().map(|(name, counts)| (name.to_owned(), counts)).collect()
    }

    fn event(&self, worker: usize, at: MonoTime, event: Event) {
        let Some(serial) = self.0.call_of(&event) else {
            tracing::trace!(worker, ?event, "an event of a call that has ended");
            return;
        };
        let call = self.0.calls().by_serial.get(&serial).cloned();
        let Some(call) = call else { return };
        let tell = |event| self.0.tell(event);
        let chores = call.inner().happened(&call, at, event, &tell);
        for chore in chores {
            self.begin_chore(&call, chore);
        }
    }
}

impl Shared {
    pub(crate) fn now(&self) -> MonoTime {
        (self.now)()
    }

    pub(crate) fn calls(&self) -> RwLockReadGuard<'_, Calls> {
        self.calls.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn calls_mut(&self) -> RwLockWriteGuard<'_, Calls> {
        self.calls.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn waiting(&self) -> MutexGuard<'_, BTreeMap<CutOverId, u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.next_call.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, event: CallEvent) {
        tracing::trace!(call = %event.call, event = event.kind.name(), party = event.party.as_deref(), "event");
        if let EventKind::CutOver(cut_over) = &event.kind {
            let party = event.party.as_deref().unwrap_or_default();
            let text = || format!("{}: {party} hears another source", cut_over.command.as_str());
            self.env.recorder.mark(&event.call, MonoTime::from_nanos(event.at_us * 1000), text);
        }
        // Without a listener there is nobody to tell, as most of the time.
        if self.events.receiver_count() > 0 {
            drop(self.events.send(Arc::new(event)));
        }
    }

    /// An association of a leg has come to keys, or to its end.
    pub(crate) fn association_changed(&self, leg: LegId, progress: Progress) {
        let call = self.calls().by_serial.get(&Call::serial_of(leg)).cloned();
        let party = call.as_ref().and_then(|call| Some(Arc::clone(&call.inner().model.legs.get(leg)?.party)));
        let (Some(call), Some(party)) = (call, party) else {
            // A party that learns of it first hangs up, and whoever looks for the reason must find it all the same.
            if let Progress::Failed(reason) = progress {
                tracing::warn!(%leg, reason, "no DTLS, and so no media, with a party that has gone meanwhile");
            }
            return;
        };
        let kind = match progress {
            Progress::Handshake => return,
            Progress::Connected(profile) => EventKind::DtlsConnected { profile: profile.name().to_owned() },
            Progress::Failed(reason) => {
                tracing::warn!(call = %call.name.name, %party, reason, "no DTLS, and so no media, with a party");
                EventKind::DtlsFailed { reason }
            }
            Progress::Closed => EventKind::DtlsClosed,
        };
        self.tell(call.event(self.now(), Some(party), kind));
    }

    /// The number of the call that an event belongs to.
    fn call_of(&self, event: &Event) -> Option<u64> {
        match event.subject() {
            Subject::CutOver(id) => self.waiting().remove(&id),
            Subject::Leg(leg) => Some(Call::serial_of(leg)),
        }
    }
}

fn check_interfaces(interfaces: &[Interface]) -> Result<(), ConfigError> {
    if interfaces.is_empty() {
        return Err(ConfigError::NoInterface);
    }
    for (index, interface @ Interface { name, address, advertised }) in interfaces.iter().enumerate() {
        if interfaces[..index].iter().any(|other| (&other.name, other.address) == (name, *address)) {
            return Err(ConfigError::SameInterface(interface.clone()));
        }
        if address.is_unspecified() && advertised.is_none() {
            return Err(ConfigError::NothingToAdvertise { name: name.clone(), address: *address });
        }
    }
    Ok(())
}
