//! A relay that is another process: a client of its HTTP API (docs/http-api.md).
//!
//! Nothing is done twice: each request that changes something has an id, by which the relay knows a repeat. No call is begun while the
//! relay's events are not heard; what was missed of calls that there are is looked up when they are heard again.

mod http;
mod stream;
#[cfg(test)]
mod tests;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyper::http::Method;
use patchcord_control::api::{
    CallCreated, CallEvent, CallMerged, CallState, CommandAnswer, CommandRequest, CutOverEvent, EventKind, MergeCall,
    TransferEvent,
};
use patchcord_control::{ApiError, ErrorCode, Watch};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::timeout;

use self::http::Http;
use super::{Pending, Relay};
use crate::sip::{self, StackError};
use crate::webhook::{Place, Secret};

/// Events that wait while they are not taken.
const EVENTS_MAX: usize = 4096;
/// Calls that are over and could not be deleted at the relay; of more nothing is remembered.
const LEFT_MAX: usize = 10_000;
/// Receipts of a call of which it is remembered that they were told.
const TOLD_MAX: usize = 64;
/// How long a new call waits for the relay's events.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a start waits for the relay.
const START: Duration = Duration::from_secs(5);

/// Where the relay is.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// Its HTTP front; a path is put before those of the API.
    pub place: Place,
    /// Its `http.token`.
    pub token: Option<Secret>,
    /// Who vouches for its certificate, a PEM file; whom the system trusts if none.
    pub ca: Option<PathBuf>,
}

/// Tells whoever listens at the pivot how a transfer stands.
pub type Announce = Box<dyn Fn(&Arc<str>, TransferEvent) + Send + Sync>;

/// The relay of another process. Dropping it ends the reading of its events.
pub struct Remote {
    inner: Arc<Inner>,
    reader: tokio::task::JoinHandle<()>,
    announce: Announce,
}

struct Inner {
    http: Http,
    /// Tells this process's ids from those of others, former ones included.
    instance: String,
    deleted: AtomicU64,
    events: broadcast::Sender<Arc<CallEvent>>,
    /// Whether the relay's events are heard.
    listening: watch::Sender<bool>,
    calls: Mutex<BTreeMap<String, Known>>,
}

/// A call at the relay.
#[derive(Default)]
struct Known {
    /// It is over here, and may be left over there.
    is_over: bool,
    /// Receipts that were told, by cut-over and party.
    told: BTreeSet<(u64, Arc<str>)>,
    /// When it was told last who has answered, by party.
    answered: BTreeMap<Arc<str>, u64>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("place", &self.inner.http.place).finish_non_exhaustive()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Remote {
    /// Begins to listen to the relay, and waits until that is so or has failed once: the relay may come later.
    ///
    /// # Errors
    /// The file with who vouches for its certificate cannot be used.
    pub async fn start(settings: RemoteSettings, announce: Announce) -> Result<Self, StackError> {
        let tls = settings.place.is_secure().then(|| sip::tls_connector(settings.ca.as_ref())).transpose()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let http = Http { place: settings.place, tls, token: settings.token, idle: Mutex::default() };
        let inner = Arc::new(Inner {
            http,
            instance: format!("{:x}-{:x}", std::process::id(), now.as_nanos()),
            deleted: AtomicU64::new(0),
            events: broadcast::channel(EVENTS_MAX).0,
            listening: watch::channel(false).0,
            calls: Mutex::default(),
        });
        let (first, tried) = oneshot::channel();
        let reader = tokio::spawn(stream::follow(Arc::clone(&inner), first));
        // Either way it has been said how it went, or it goes on.
        let _ = timeout(START, tried).await;
        Ok(Self { inner, reader, announce })
    }
}

impl Inner {
    fn calls(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id that nobody else has: of requests whose ids are remembered beyond a call.
    fn id(&self, id: &str) -> String {
        let digest = Sha256::digest(id.as_bytes());
        let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{hex}", self.instance)
    }

    async fn create(&self, call: &str, id: &str, beside: Option<&str>) -> Result<(), ApiError> {
        let mut listening = self.listening.subscribe();
        if !timeout(PATIENCE, listening.wait_for(|is| *is)).await.is_ok_and(|heard| heard.is_ok()) {
            return Err(self.http.unavailable("it cannot be had at present"));
        }
        let mut body = json!({"call": call, "id": self.id(&format!("create {id}"))});
        if let (Some(beside), Some(body)) = (beside, body.as_object_mut()) {
            body.insert("beside".to_owned(), beside.into());
        }
        let created = self.http.ask::<CallCreated>(Method::POST, "/v1/calls", body.to_string().into_bytes()).await;
        match created {
            Ok(_) => {
                self.calls().insert(call.to_owned(), Known::default());
                Ok(())
            }
            Err(error) => {
                if error.code == ErrorCode::WorkerUnavailable {
                    self.leave(call);
                }
                Err(error)
            }
        }
    }

    async fn delete(&self, call: &str) -> Result<Arc<CallState>, ApiError> {
        self.calls().remove(call);
        let number = self.deleted.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}?id={}-delete-{number}", path(call), self.instance);
        let deleted = self.http.ask::<CallState>(Method::DELETE, &path, Vec::new()).await;
        if deleted.as_ref().is_err_and(|error| error.code == ErrorCode::WorkerUnavailable) {
            self.leave(call);
        }
        deleted.map(Arc::new)
    }

    /// It may be there and nobody wants it: it is deleted when the relay can be had again.
    fn leave(&self, call: &str) {
        let mut calls = self.calls();
        if calls.len() < LEFT_MAX {
            calls.insert(call.to_owned(), Known { is_over: true, ..Known::default() });
        }
    }

    /// Looks up what was missed: calls that are gone are told to be deleted, receipts and who has answered are told late, and what was left is deleted.
    async fn catch_up(&self) -> Result<(), ApiError> {
        let known: Vec<_> = self.calls().iter().map(|(name, known)| (name.clone(), known.is_over)).collect();
        for (call, is_over) in known {
            if is_over {
                match self.http.ask::<CallState>(Method::DELETE, &path(&call), Vec::new()).await {
                    Err(error) if error.code == ErrorCode::WorkerUnavailable => return Err(error),
                    _ => {}
                }
                let mut calls = self.calls();
                if calls.get(&call).is_some_and(|known| known.is_over) {
                    calls.remove(&call);
                }
                continue;
            }
            match self.http.ask::<CallState>(Method::GET, &path(&call), Vec::new()).await {
                Ok(state) => missed(&state).into_iter().for_each(|event| self.happened(event)),
                Err(error) if error.code == ErrorCode::UnknownCall => {
                    self.happened(CallEvent { at_us: 0, call: call.into(), party: None, kind: EventKind::CallDeleted });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells it to whoever listens, a receipt and who has answered once.
    fn happened(&self, event: CallEvent) {
        match (&event.kind, &event.party) {
            // Another pivot's.
            (EventKind::Transfer(_), _) => return,
            (EventKind::CutOver(cut_over), Some(party)) => {
                if let Some(known) = self.calls().get_mut(&*event.call) {
                    if !known.told.insert((cut_over.cut_over, Arc::clone(party))) {
                        return;
                    }
                    if known.told.len() > TOLD_MAX {
                        known.told.pop_first();
                    }
                }
            }
            (EventKind::Detected { sound, .. }, Some(party)) if sound.is_answer() => {
                if let Some(known) = self.calls().get_mut(&*event.call)
                    && known.answered.insert(Arc::clone(party), event.at_us) == Some(event.at_us)
                {
                    return;
                }
            }
            _ => {}
        }
        // Nobody may listen.
        let _ = self.events.send(Arc::new(event));
    }
}

/// The receipts of a call, and who has answered, as events.
fn missed(state: &CallState) -> Vec<CallEvent> {
    let receipts = state.cut_overs.iter().flat_map(|cut_over| cut_over.receipts.iter().map(move |of| (cut_over, of)));
    let event = receipts.map(|(cut_over, receipt)| CallEvent {
        at_us: receipt.at_us,
        call: Arc::clone(&state.call),
        party: Some(Arc::clone(&receipt.party)),
        kind: EventKind::CutOver(CutOverEvent {
            cut_over: cut_over.cut_over,
            id: cut_over.id.clone(),
            command: cut_over.command,
            receipt: receipt.into(),
        }),
    });
    let answered = state.legs.iter().filter_map(|leg| {
        let answered = leg.answered.as_ref()?;
        Some(CallEvent {
            at_us: answered.at_us,
            call: Arc::clone(&state.call),
            party: Some(Arc::clone(&leg.party)),
            kind: answered.into(),
        })
    });
    answered.chain(event).collect()
}

/// The path of a call, whatever its name (RFC 3986 2.1).
fn path(call: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(call.as_bytes()).collect();
    format!("/v1/calls/{}", name.replace('+', "%20"))
}

fn written(body: &impl serde::Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(body).map_err(|error| ApiError::new(ErrorCode::BadRequest, error.to_string()))
}

impl Relay for Remote {
    fn create<'a>(&'a self, call: &'a str, id: &'a str, beside: Option<&'a str>) -> Pending<'a, Result<(), ApiError>> {
        Box::pin(self.inner.create(call, id, beside))
    }

    fn execute<'a>(
        &'a self,
        call: &'a str,
        request: CommandRequest,
    ) -> Pending<'a, Result<Arc<CommandAnswer>, ApiError>> {
        Box::pin(async move {
            let path = format!("{}/commands", path(call));
            self.inner.http.ask(Method::POST, &path, written(&request)?).await.map(Arc::new)
        })
    }

    fn merge<'a>(&'a self, call: &'a str, mut request: MergeCall) -> Pending<'a, Result<(), ApiError>> {
        Box::pin(async move {
            request.id = self.inner.id(&request.id);
            let path = format!("{}/merge", path(call));
            self.inner.http.ask::<CallMerged>(Method::POST, &path, written(&request)?).await?;
            self.inner.calls().remove(&request.call);
            Ok(())
        })
    }

    fn state<'a>(&'a self, call: &'a str) -> Pending<'a, Result<CallState, ApiError>> {
        Box::pin(async move { self.inner.http.ask(Method::GET, &path(call), Vec::new()).await })
    }

    fn delete<'a>(&'a self, call: &'a str) -> Pending<'a, Result<Arc<CallState>, ApiError>> {
        Box::pin(self.inner.delete(call))
    }

    fn packets<'a>(&'a self, _call: &'a str) -> Pending<'a, Result<Option<Watch>, ApiError>> {
        Box::pin(core::future::ready(Ok(None)))
    }

    fn events(&self) -> broadcast::Receiver<Arc<CallEvent>> {
        self.inner.events.subscribe()
    }

    fn announce(&self, call: &Arc<str>, event: TransferEvent) {
        (self.announce)(call, event);
    }
}
