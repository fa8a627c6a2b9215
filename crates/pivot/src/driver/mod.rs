//! What joins the three: SIP, the calls that decide, and the relay. Each call has a task of its own, to which everything that
//! concerns it comes in its order.

mod admission;
mod announcing;
mod archive;
mod asking;
mod asking_routes;
mod bill;
mod book;
mod bridging;
mod commanding;
mod evidence_store;
mod info;
mod media_facts;
mod merging;
mod registering;
mod replacing;
mod reporting;
mod route;
mod routing;
mod rtp;
mod settings;
mod signalling;
mod standing;
mod task;
mod timeline;
mod trace;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use patchcord_control::ErrorCode;
use patchcord_control::api::{CallEvent, EventKind};
use tokio::sync::{Notify, broadcast, mpsc};

pub use self::admission::Users;
pub use self::archive::{Archive, Filter, Question};
use self::asking_routes::Whither;
pub use self::book::{Book, Kept};
use self::commanding::Remembered;
pub use self::commanding::TransferKey;
pub use self::evidence_store::EvidenceSettings;
use self::evidence_store::EvidenceStore;
pub use self::media_facts::{CallMedia, MediaBook, MediaFacts, PartyMedia};
use self::registering::Registrations;
use self::reporting::Reports;
pub use self::route::{BadCallee, Callee, Route, Unroutable};
pub use self::rtp::{Rtp, RtpBook, RtpLimits, RtpPacket};
pub use self::settings::{Settings, TrunkSettings};
pub use self::standing::{Registry, Standing};
use self::task::{Message, Party, Task};
pub use self::timeline::{Heard, What};
pub use self::trace::{CallTrace, TraceLimits, TraceMessage, Traces};
use crate::call::TransferId;
use crate::call::replaces::Dialogs;
use crate::call::sipfrag::status;
use crate::http::{Evidence, Sources};
use crate::media::{Legs, MediaError, Relay};
use crate::message::{Action, DialogId, Event, Header, Incoming, RequestId, Status, Transport};
use crate::sip::{SipStack, Stack, StackError};
use crate::webhook::{Counts, Webhook};

/// Events of SIP that wait while calls are busy.
const EVENTS_MAX: usize = 4096;

/// The name of who calls.
const CALLER: &str = "caller";

/// How long a stopping pivot waits for answers to its BYEs, and how often it looks.
const STOP: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// Dialogs that are over, of which it is still known that they were there.
const DIALOGS_REMEMBERED: usize = 1024;

/// The pivot. Dropping it ends it: its calls are forgotten without a BYE; [`Pivot::stop`] is kinder.
pub struct Pivot {
    shared: Arc<Shared>,
    stack: Arc<Stack>,
    registrations: Registrations,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What all calls share.
struct Shared {
    stack: Arc<dyn SipStack>,
    relay: Arc<dyn Relay>,
    settings: Settings,
    book: Arc<Book>,
    traces: Arc<Traces>,
    media: Arc<MediaBook>,
    rtp: RtpBook,
    evidence: Option<EvidenceStore>,
    /// Those that decide about REFERs, by the trunk whose they are.
    webhooks: BTreeMap<Arc<str>, Arc<Webhook>>,
    /// Those that are asked whom to call, by the place of their route.
    route_webhooks: BTreeMap<usize, Arc<Webhook>>,
    /// What came of what webhooks were asked and told.
    webhook_counts: Arc<Counts>,
    /// Who is told how transfers end.
    reports: Option<Reports>,
    /// The pivot ends: who waits for a webhook need not.
    stopping: Notify,
    started: Instant,
    index: Mutex<Index>,
    /// By what a `Replaces` names them: the number of the call, and the dialog.
    dialogs: Mutex<Dialogs<(u64, DialogId)>>,
}

/// Whom something concerns.
#[derive(Default)]
struct Index {
    dialogs: BTreeMap<DialogId, Handle>,
    requests: BTreeMap<RequestId, Handle>,
    /// By the name that the relay has, with their numbers.
    calls: BTreeMap<Arc<str>, (u64, Handle)>,
    /// Calls that there are, and so far.
    alive: usize,
    begun: u64,
    /// There will be no more.
    is_draining: bool,
    /// Transfers that were begun, by the ids that clients chose.
    begun_by_id: Remembered,
}

/// The way to a call's task.
type Handle = mpsc::UnboundedSender<Message>;

impl core::fmt::Debug for Pivot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pivot").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Drop for Pivot {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Pivot {
    /// Begins to take calls, whose media `relay` moves.
    ///
    /// # Errors
    /// SIP cannot be spoken as the settings have it; the text says what to change.
    pub async fn start(mut settings: Settings, relay: Arc<dyn Relay>) -> Result<Self, StackError> {
        let webhooks = settings.webhooks()?;
        let route_webhooks = settings.route_webhooks()?;
        settings.sip.accounts = settings.accounts();
        settings.sip.credentials = settings.credentials();
        let reporter = settings.reporter()?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (started, mut sip) = (Instant::now(), settings.sip.clone());
        let traces = Arc::new(traces(&settings, started));
        if !traces.is_off() {
            sip.trace.get_or_insert_with(|| Arc::clone(&traces) as _);
        }
        let evidence = settings.evidence.clone().map(|evidence| {
            let directory = evidence.directory.clone();
            EvidenceStore::open(evidence).map_err(|error| StackError::Evidence { directory, error })
        });
        let evidence = evidence.transpose()?;
        let stack = Stack::start(sip, sender).await?;
        let heard = relay.events();
        let media = Arc::new(MediaBook::default());
        let (registrations, watching) = Registrations::begin(&stack, &settings);
        let webhook_counts = Arc::<Counts>::default();
        let reports = reporter.map(|reporter| Reports::begin(reporter, Arc::clone(&webhook_counts)));
        let (reports, reporting) = reports.unzip();
        let shared = Arc::new(Shared {
            stack: Arc::clone(&stack) as Arc<dyn SipStack>,
            relay,
            book: Arc::new(Book::new(settings.archive.clone(), Arc::clone(&media), started)),
            rtp: RtpBook::new(settings.rtp),
            settings,
            traces,
            media,
            evidence,
            webhooks,
            route_webhooks,
            webhook_counts,
            reports,
            stopping: Notify::new(),
            started,
            index: Mutex::default(),
            dialogs: Mutex::new(Dialogs::new(DIALOGS_REMEMBERED)),
        });
        let tasks = [
            tokio::spawn(take_signalling(Arc::clone(&shared), events)),
            tokio::spawn(take_media(Arc::downgrade(&shared), heard)),
        ];
        let tasks = tasks.into_iter().chain(watching).chain(reporting).collect();
        Ok(Self { shared, stack, registrations, tasks })
    }

    /// Where SIP is spoken, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        self.stack.addresses()
    }

    /// How long ago time began for what is kept.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// The trunks, as the settings have them, with how they stand.
    pub fn trunks(&self) -> impl Iterator<Item = &TrunkSettings> {
        self.shared.settings.trunks.values()
    }

    /// What came of what webhooks were asked and told.
    #[must_use]
    pub fn webhook_counts(&self) -> &Counts {
        &self.shared.webhook_counts
    }

    /// Takes no more calls: they are answered 503. Those that there are go on.
    pub fn drain(&self) {
        self.shared.index().is_draining = true;
    }

    /// Calls that there are.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.index().alive
    }

    /// Hangs everybody up and takes registrations back, and waits until that is said.
    pub async fn stop(&self) {
        self.shared.stopping.notify_waiters();
        for (_, handle) in self.shared.index().calls.values() {
            // It may be over.
            let _ = handle.send(Message::Stop);
        }
        let said = async {
            let is_telling = || self.shared.reports.as_ref().is_some_and(Reports::is_busy);
            while self.shared.index().alive > 0 || self.stack.dialogs() > 0 || is_telling() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::join!(tokio::time::timeout(STOP, said), self.registrations.end(STOP));
    }

    /// What is kept of calls and transfers.
    #[must_use]
    pub fn book(&self) -> Arc<Book> {
        Arc::clone(&self.shared.book)
    }

    /// What was said in calls.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.shared.traces
    }

    /// All that there is of a transfer.
    pub(crate) fn evidence(&self, key: TransferKey) -> Option<Evidence> {
        self.shared.evidence_of(key)
    }
}

/// INVITEs of trunks may become calls.
fn traces(settings: &Settings, started: Instant) -> Traces {
    let trunks = settings.trunks.values().map(|trunk| Arc::clone(&trunk.trunk));
    let trunks: Vec<_> = trunks.filter(|trunk| !trunk.addresses.is_empty()).collect();
    Traces::new(settings.trace, started, move |ip| trunks.iter().any(|trunk| trunk.takes(ip)))
}

async fn take_signalling(shared: Arc<Shared>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        shared.signalled(event);
    }
}

async fn take_media(shared: Weak<Shared>, mut events: broadcast::Receiver<Arc<CallEvent>>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "the relay's events came faster than they were taken: receipts may be missing");
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(shared) = shared.upgrade() else { return };
        if concerns_calls(&event.kind) {
            let index = shared.index();
            // The call may be over.
            index.calls.get(&event.call).and_then(|(_, handle)| handle.send(Message::Media(Arc::clone(&event))).ok());
        }
    }
}

/// Whether a call has anything to do about it.
const fn concerns_calls(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::CutOver(_) | EventKind::Detected { .. } | EventKind::CallDeleted | EventKind::FirstPacket { .. }
    )
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dialogs(&self) -> MutexGuard<'_, Dialogs<(u64, DialogId)>> {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what SIP says to whom it concerns.
    fn signalled(self: &Arc<Self>, event: Event) {
        // Whoever is found is sent it before the dialog can be somebody else's.
        let mut index = self.index();
        let handle = match &event {
            Event::Invite(..) | Event::Refer { dialog: None, .. } => None,
            Event::Cancelled(dialog, _)
            | Event::Rejected(dialog, _)
            | Event::Ended(dialog, _)
            | Event::Progress { dialog, .. }
            | Event::Accepted { dialog, .. }
            | Event::Acknowledged { dialog, .. }
            | Event::Offer { dialog, .. }
            | Event::Refer { dialog: Some(dialog), .. }
            | Event::Notify { dialog, .. }
            | Event::Other { dialog, .. } => index.dialogs.get(dialog).cloned(),
            Event::Answered { request, .. } => index.requests.remove(request),
        };
        let event = match handle {
            Some(handle) => {
                let sent = handle.send(Message::Signal(event));
                let Err(mpsc::error::SendError(Message::Signal(event))) = sent else { return };
                event
            }
            None => event,
        };
        drop(index);
        match event {
            Event::Invite(dialog, incoming) => self.invited(dialog, incoming),
            Event::Refer { dialog: None, request, refer } => self.refer_outside(request, &refer),
            event => self.unheard(&event),
        }
    }

    /// Nobody is left, or nobody was there, whom it could concern.
    fn unheard(&self, event: &Event) {
        match *event {
            Event::Offer { request, .. }
            | Event::Refer { request, .. }
            | Event::Notify { request, .. }
            | Event::Other { request, .. } => self.respond(request, status(481)),
            _ => {}
        }
    }

    /// A call comes in.
    fn invited(self: &Arc<Self>, dialog: DialogId, incoming: Box<Incoming>) {
        let refuse = |why: Unroutable| self.refuse(dialog, &incoming, why);
        let Some(trunk) = self.settings.caller(&incoming) else {
            return refuse(Unroutable::new(403, "the address is none of `pivot.trunks.NAME.addresses`"));
        };
        if !incoming.replaces.is_empty() {
            return self.replaces(dialog, incoming, trunk);
        }
        let whither = match self.whither(&incoming, trunk) {
            Ok(whither) => whither,
            Err(why) => return refuse(why),
        };
        let (sender, inbox) = mpsc::unbounded_channel();
        let number = {
            let mut index = self.index();
            if index.is_draining {
                drop(index);
                return refuse(Unroutable::new(503, "the pivot ends when its calls are over"));
            }
            if index.alive >= self.settings.calls_max {
                drop(index);
                return refuse(Unroutable::new(503, "there are as many calls as `pivot.calls_max`"));
            }
            index.alive += 1;
            index.begun += 1;
            index.dialogs.insert(dialog, sender.clone());
            index.begun
        };
        self.traces.begins(number, &incoming.call_id, &CALLER.into());
        tokio::spawn(Arc::clone(self).take(dialog, incoming, whither, number, sender, inbox));
    }

    /// Begins a call, once it is known where it goes.
    async fn take(
        self: Arc<Self>,
        dialog: DialogId,
        incoming: Box<Incoming>,
        whither: Whither,
        number: u64,
        sender: Handle,
        mut inbox: mpsc::UnboundedReceiver<Message>,
    ) {
        let plan = match whither {
            Whither::Known(plan) => Some(*plan),
            Whither::Asked(asking) => self.ask_where(&asking, dialog, &incoming, &mut inbox).await,
        };
        if let Some(plan) = plan {
            match self.begin_media(&incoming.call_id, number).await {
                Ok((name, legs)) => {
                    self.index().calls.insert(Arc::clone(&name), (number, sender.clone()));
                    return Task::new(&self, &name, number, legs, sender, inbox).run(dialog, plan, &incoming).await;
                }
                Err(error) => {
                    let status = error.status();
                    tracing::warn!(call = %incoming.call_id, %error, code = status.code, "call refused");
                    self.reject(dialog, status);
                }
            }
        }
        drop(inbox);
        let mut index = self.index();
        index.dialogs.remove(&dialog);
        index.alive -= 1;
    }

    fn refuse(&self, dialog: DialogId, incoming: &Incoming, Unroutable { status, why }: Unroutable) {
        tracing::info!(call = %incoming.call_id, from = %incoming.from.uri, to = %incoming.request_uri,
            origin = %incoming.origin.address, code = status.code, %why, "call refused");
        self.traces.refused(&incoming.call_id);
        self.reject(dialog, status);
    }

    /// Begins a call at the relay: by its Call-ID, as far as that can be a name there and no other call has it. A proxy that drives the same
    /// relay may have one.
    async fn begin_media(&self, call_id: &str, number: u64) -> Result<(Arc<str>, Legs), MediaError> {
        let plain: String =
            call_id.chars().map(|char| if char == '/' || char.is_control() { '_' } else { char }).collect();
        // Two calls of one worker can become one.
        let beside = self.settings.one_worker.then(|| self.index().calls.keys().next().cloned()).flatten();
        let beside = beside.as_deref();
        let fits = |name: &String| !name.is_empty() && name.len() <= patchcord_control::api::NAME_LEN_MAX;
        let other: Arc<str> = format!("pivot-{number}").into();
        let name = Some(plain).filter(fits).map_or_else(|| Arc::clone(&other), Arc::from);
        match Legs::begin(Arc::clone(&self.relay), Arc::clone(&name), number, beside).await {
            Err(MediaError::Relay(error)) if error.code == ErrorCode::CallExists && name != other => {
                Legs::begin(Arc::clone(&self.relay), Arc::clone(&other), number, beside).await.map(|legs| (other, legs))
            }
            begun => begun.map(|legs| (name, legs)),
        }
    }

    fn evidence_of(&self, key: TransferKey) -> Option<Evidence> {
        let Self { book, traces, rtp, settings, .. } = self;
        Evidence::of(key, &Sources { book, traces, rtp, settings }, self.started.elapsed())
    }

    /// Has the bundle of a transfer written, if that is wanted.
    fn write_evidence(&self, call: u64, transfer: TransferId) {
        let Some(store) = &self.evidence else { return };
        if let Some(evidence) = self.evidence_of(TransferKey { call, transfer }) {
            store.write(evidence);
        }
    }

    /// A party's dialog is over.
    fn forget(&self, party: &Party, index: &mut Index) {
        index.dialogs.remove(&party.dialog);
        if let Some(tags) = &party.tags {
            self.dialogs().remove(&tags.call_id, &tags.ours, &tags.theirs);
        }
    }

    fn reject(&self, dialog: DialogId, status: Status) {
        let later = || Header { name: "Retry-After".into(), value: "10".into() };
        let headers = if status.code == 503 { vec![later()] } else { Vec::new() };
        self.stack.act(Action::Reject { dialog, status, headers });
    }

    fn respond(&self, request: RequestId, status: Status) {
        self.stack.act(Action::Respond { request, status, headers: Vec::new(), sdp: None });
    }
}
