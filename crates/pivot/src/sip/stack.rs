//! The stack: finds out whom a message concerns, and begins sessions.

use core::hash::BuildHasher as _;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsipstack::EndpointBuilder;
use rsipstack::sip::{HasHeaders as _, Headers, Method, Request, Response};
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::random_text;
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::{SipConnection, TransportLayer};
use tokio::sync::mpsc::{self, UnboundedSender};

use super::auth::{Challenger, Occasion, Proof};
use super::config::{Config, StackError};
use super::net::{Net, SOURCE, read_source, sip_address};
use super::registration::{self, Registering, Registration};
use super::session::{Input, Session};
use super::text::{self, field};
use super::transaction::{Marker, answer_at_once};
use super::vet::{ALLOW, SUPPORTED};
use super::{SipStack, build};
use crate::message::{Action, DialogId, Event, Origin, Rejection, RequestId, Status, Transport};

/// SIP on rsipstack's transactions. Dropping it ends it: sockets are closed, and dialogs are forgotten without a BYE.
pub struct Stack {
    inner: Arc<Inner>,
}

impl core::fmt::Debug for Stack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stack").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.inner.net.token.cancel();
    }
}

/// What all sessions share.
pub(super) struct Inner {
    pub net: Arc<Net>,
    events: mpsc::Sender<Event>,
    state: Mutex<State>,
    /// Sessions that are over and wait for forks.
    lingering: AtomicUsize,
    numbers: AtomicU64,
    /// Its secret is for tags of responses that are not remembered, too: the same request gets the same.
    challenger: Challenger,
}

/// Names what a message says of its dialog: Call-ID and a tag.
pub(super) type Key = (Box<str>, Box<str>);

/// How a session is reached.
#[derive(Clone)]
struct Handle {
    to: UnboundedSender<Input>,
    /// Requests of theirs that it has not looked at.
    waiting: Arc<AtomicUsize>,
    /// It began with credentials: a REFER in it needs them too.
    is_proven: bool,
}

/// What is to be done about a request before it is given a transaction.
pub(super) enum Door {
    /// With the user that it has proven to be.
    In(Option<Box<str>>),
    /// Nothing of it is remembered (RFC 3261 8.2.7): a flood of such costs no memory.
    Answer(Box<Response>),
    Silence,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<DialogId, Handle>,
    /// By our tag, which is random, with the Call-ID.
    by_local: BTreeMap<Box<str>, (Box<str>, DialogId)>,
    /// INVITEs of theirs, by their tag and number: the same by another way is no other call (RFC 3261 8.2.2.2).
    by_caller: BTreeMap<(Key, u32), DialogId>,
    requests: BTreeMap<RequestId, DialogId>,
}

impl State {
    /// Gives a dialog of this Call-ID a tag of ours.
    fn name(&mut self, call_id: Box<str>, dialog: DialogId) -> Key {
        loop {
            let tag: Box<str> = random_text(10).into();
            if let Entry::Vacant(free) = self.by_local.entry(tag.clone()) {
                free.insert((call_id.clone(), dialog));
                return (call_id, tag);
            }
        }
    }
}

impl Stack {
    /// Binds the addresses and begins to listen. What happens comes by `events`; while nobody takes it, what would come of it waits.
    ///
    /// # Errors
    /// If there is nothing to listen at, an address cannot be bound, or a certificate cannot be read: which, and what to do.
    pub async fn start(config: Config, events: mpsc::Sender<Event>) -> Result<Arc<Self>, StackError> {
        let (net, bound, fed) = Net::bind(config).await?;
        let t1 = net.config.t1;
        let option = EndpointOption {
            t1,
            t2: t1 * 8,
            t4: t1 * 10,
            t1x64: t1 * 64,
            // How long it may ring is for whoever decides.
            timerc: Duration::from_secs(86_400),
            auto_ack_2xx: false,
            ..EndpointOption::default()
        };
        let endpoint = EndpointBuilder::new()
            .with_transport_layer(TransportLayer::new(net.token.clone()))
            .with_cancel_token(net.token.clone())
            .with_user_agent(&net.config.agent)
            .with_option(option)
            .with_inspector(Box::new(Marker))
            .build();
        let failed = |error: rsipstack::Error| StackError::Stack(error.to_string());
        let mut incoming = endpoint.incoming_transactions().map_err(failed)?;
        // All that is received comes to the transactions by this.
        let nobody = sip_address(Transport::Udp, SocketAddr::from(([0, 0, 0, 0], 0)));
        let (unsent, _) = mpsc::unbounded_channel();
        let feeder = ChannelConnection::create_connection(fed, unsent, nobody, None).await.map_err(failed)?;
        endpoint.inner.transport_layer.add_connection(SipConnection::Channel(feeder));

        let inner = Arc::new(Inner {
            net: Arc::clone(&net),
            events,
            state: Mutex::default(),
            lingering: AtomicUsize::new(0),
            numbers: AtomicU64::new(1),
            challenger: Challenger::default(),
        });
        let served = endpoint.inner.clone();
        tokio::spawn(async move {
            if let Err(error) = served.serve().await {
                tracing::error!(%error, "SIP ended");
            }
        });
        let dispatcher = Arc::downgrade(&inner);
        let token = net.token.clone();
        tokio::spawn(async move {
            loop {
                let transaction = tokio::select! {
                    () = token.cancelled() => break,
                    transaction = incoming.recv() => transaction,
                };
                let (Some(transaction), Some(inner)) = (transaction, dispatcher.upgrade()) else { break };
                inner.dispatch(transaction);
            }
        });
        net.serve(bound, endpoint.inner.clone(), Arc::downgrade(&inner));
        Ok(Arc::new(Self { inner }))
    }

    /// Where it listens, in the order of the configuration, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        self.inner.net.addresses()
    }

    /// Registers, and keeps it registered until what is given back is dropped.
    #[must_use]
    pub fn register(&self, registration: Registration) -> Registering {
        registration::register(&self.inner.net, registration)
    }

    pub(super) fn net(&self) -> &Arc<Net> {
        &self.inner.net
    }

    /// How many dialogs there are, with what is about to become one and what has just ended.
    #[must_use]
    pub fn dialogs(&self) -> usize {
        self.inner.state().sessions.len()
    }
}

impl SipStack for Stack {
    fn act(&self, action: Action) {
        self.inner.act(action);
    }

    fn next_dialog(&self) -> DialogId {
        DialogId(self.inner.number())
    }

    fn next_request(&self) -> RequestId {
        RequestId(self.inner.number())
    }
}

impl Inner {
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what has happened.
    pub(super) async fn tell(&self, event: Event) {
        if self.events.send(event).await.is_err() {
            tracing::debug!("nobody decides about SIP any more");
        }
    }

    /// Names a request of theirs that a session wants an answer to.
    pub(super) fn expect(&self, session: DialogId) -> RequestId {
        let request = RequestId(self.number());
        self.state().requests.insert(request, session);
        request
    }

    pub(super) fn forget_request(&self, request: RequestId) {
        self.state().requests.remove(&request);
    }

    /// Whether there is no room for another dialog. Those that are over and may only be answered by a fork do not count.
    fn is_full(&self, state: &State) -> bool {
        state.sessions.len().saturating_sub(self.lingering.load(Ordering::Relaxed)) >= self.net.config.limits.dialogs
    }

    /// A session that is over waits for forks from now on; `false`: enough do.
    pub(super) fn linger(&self) -> bool {
        let is_free = self.lingering.fetch_add(1, Ordering::Relaxed) < self.net.config.limits.lingering;
        if !is_free {
            self.forget_lingering();
        }
        is_free
    }

    /// It waits no longer.
    pub(super) fn forget_lingering(&self) {
        self.lingering.fetch_sub(1, Ordering::Relaxed);
    }

    /// Removes a session.
    pub(super) fn forget(&self, session: DialogId, local: &Key, caller: Option<&(Key, u32)>) {
        let mut state = self.state();
        state.sessions.remove(&session);
        state.by_local.remove(&local.1);
        if let Some(caller) = caller {
            state.by_caller.remove(caller);
        }
    }

    fn act(self: &Arc<Self>, action: Action) {
        let session = match &action {
            Action::Invite(dialog, _) => {
                let dialog = *dialog;
                if let Action::Invite(_, outgoing) = action {
                    self.invite(dialog, outgoing);
                }
                return;
            }
            Action::Respond { request, .. } => self.state().requests.remove(request),
            Action::Cancel(dialog, _)
            | Action::Progress { dialog, .. }
            | Action::Accept { dialog, .. }
            | Action::Reject { dialog, .. }
            | Action::Bye { dialog, .. }
            | Action::Notify { dialog, .. }
            | Action::Refer { dialog, .. }
            | Action::Offer { dialog, .. } => Some(*dialog),
        };
        let session = session.and_then(|session| self.state().sessions.get(&session).cloned());
        if let Some(session) = session {
            // It may have ended just now.
            let _ = session.to.send(Input::Act(action));
        }
    }

    fn invite(self: &Arc<Self>, dialog: DialogId, outgoing: Box<crate::message::Outgoing>) {
        let call_id: Box<str> = random_text(24).into();
        let (to, inbox) = mpsc::unbounded_channel();
        {
            let mut state = self.state();
            if !self.is_full(&state) && !state.sessions.contains_key(&dialog) {
                let handle = Handle { to: to.clone(), waiting: Arc::default(), is_proven: false };
                let waiting = Arc::clone(&handle.waiting);
                state.sessions.insert(dialog, handle);
                let local = state.name(call_id, dialog);
                drop(state);
                if let Some(tracer) = &self.net.config.trace {
                    tracer.dialog(dialog, &local.0);
                }
                let session = Session::new(Arc::clone(self), dialog, local, (to, inbox), waiting);
                tokio::spawn(session.call(outgoing));
                return;
            }
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let status = Status { code: 503, phrase: "Too many dialogs of our own".into() };
            inner.tell(Event::Rejected(dialog, Box::new(Rejection::local(status)))).await;
        });
    }

    /// A 2xx to an INVITE has come.
    pub(super) fn success(&self, response: Response, connection: SipConnection) {
        let headers = response.headers();
        let call_id = text::value(headers, "Call-ID").unwrap_or_default();
        let tag = text::value(headers, "From").and_then(text::tag).unwrap_or_default();
        let session = self.session(call_id, tag);
        if let Some(session) = session {
            let _ = session.to.send(Input::Success(Box::new((response, connection))));
        }
    }

    fn session(&self, call_id: &str, local_tag: &str) -> Option<Handle> {
        let state = self.state();
        let (_, id) = state.by_local.get(local_tag).filter(|(of, _)| **of == *call_id)?;
        state.sessions.get(id).cloned()
    }

    /// Looks at a request of theirs that has no transaction yet. `refuses`: no call can begin now.
    pub(super) fn door(&self, request: &Request, from: &Origin, refuses: bool) -> Door {
        let headers = request.headers();
        if matches!(request.method, Method::Ack | Method::Cancel) || self.is_known(request) {
            return Door::In(None);
        }
        let answer = |code, phrase, besides: &[(&str, &str)]| {
            let seen = (text::value(headers, "Via"), text::value(headers, "Call-ID"), text::value(headers, "CSeq"));
            let tag = format!("{:016x}", self.challenger.secret.hash_one(seen));
            let agent = &self.net.config.agent;
            let mut response = match code {
                200 => build::options(request, &tag, agent),
                _ => build::response(request, code, phrase, &tag, agent),
            };
            response.headers.extend(besides.iter().map(|(name, value)| field(name, value)).collect());
            build::set_body(&mut response.headers, &mut response.body, None);
            Door::Answer(Box::new(response))
        };
        const NO_DIALOG: &str = "Call/Transaction Does Not Exist";
        let limits = &self.net.config.limits;
        let call_id = text::value(headers, "Call-ID").unwrap_or_default();
        let tag = text::value(headers, "To").and_then(text::tag);
        if let Some(session) = tag.and_then(|tag| self.session(call_id, tag)) {
            let waiting = session.waiting.load(Ordering::Relaxed);
            if waiting >= limits.requests.max(1) {
                return answer(503, "Too Many Requests Wait", &[("Retry-After", "5")]);
            }
            let is_begun_so = if session.is_proven { Occasion::Begin } else { Occasion::Refer };
            return match (request.method == Method::Refer).then(|| self.prove(request, from, is_begun_so)) {
                Some(Err(Unproven { code, phrase, challenges })) => answer(code, phrase, &fields(&challenges)),
                _ => Door::In(None),
            };
        }
        if !self.net.allows(from) {
            return if self.net.config.is_silent { Door::Silence } else { answer(403, "Forbidden", &[]) };
        }
        if tag.is_some() {
            return answer(481, NO_DIALOG, &[]);
        }
        match request.method {
            Method::Invite if refuses => answer(503, "Service Unavailable", &[("Retry-After", "5")]),
            Method::Invite | Method::Refer => {
                let unknown = unsupported(headers);
                if text::value(headers, "Max-Forwards").and_then(|hops| hops.trim().parse().ok()) == Some(0_u32) {
                    answer(483, "Too Many Hops", &[])
                } else if !unknown.is_empty() {
                    answer(420, "Bad Extension", &[("Unsupported", &unknown)])
                } else {
                    match self.prove(request, from, Occasion::Begin) {
                        Err(Unproven { code, phrase, challenges }) => answer(code, phrase, &fields(&challenges)),
                        Ok(_) if self.is_full(&self.state()) => {
                            answer(503, "Service Unavailable", &[("Retry-After", "10")])
                        }
                        Ok(user) => Door::In(user),
                    }
                }
            }
            Method::Options => answer(200, "OK", &[]),
            Method::Bye | Method::Update | Method::PRack | Method::Notify | Method::Info => answer(481, NO_DIALOG, &[]),
            _ => answer(405, "Method Not Allowed", &[("Allow", ALLOW)]),
        }
    }

    /// Who has sent it, where that has to be proven.
    fn prove(&self, request: &Request, from: &Origin, occasion: Occasion) -> Result<Option<Box<str>>, Unproven> {
        let accounts = self.net.config.accounts.as_ref().filter(|accounts| (accounts.is_needed)(from, occasion));
        let Some(accounts) = accounts else { return Ok(None) };
        let is_stale = match accounts.judge(request, from, &self.challenger) {
            Proof::Good(user) => return Ok(Some(user)),
            Proof::Refused => return Err(Unproven { code: 403, phrase: "Forbidden", challenges: Vec::new() }),
            proof => proof == Proof::Stale,
        };
        let challenges = accounts.challenges(from, is_stale, &self.challenger).into();
        Err(Unproven { code: 401, phrase: "Unauthorized", challenges })
    }

    /// Whether a request has a transaction, or had one a while ago.
    fn is_known(&self, request: &Request) -> bool {
        let Some(endpoint) = self.net.endpoint() else { return false };
        TransactionKey::from_request(request, TransactionRole::Server).is_ok_and(|key| {
            endpoint.transactions.contains_key(&key) || endpoint.finished_transactions.contains_key(&key)
        })
    }

    fn dispatch(self: &Arc<Self>, mut transaction: Transaction) {
        let Some((from, user)) = source(&mut transaction) else { return };
        let headers = transaction.original.headers();
        let call_id = text::value(headers, "Call-ID").unwrap_or_default();
        match text::value(headers, "To").and_then(text::tag) {
            None => self.begin(transaction, from, user),
            Some(tag) => match self.session(call_id, tag) {
                Some(session) => {
                    session.waiting.fetch_add(1, Ordering::Relaxed);
                    let _ = session.to.send(Input::Request(Box::new(transaction), from));
                }
                // It was there a moment ago.
                None => self.answer(transaction, 481, "Call/Transaction Does Not Exist", &[]),
            },
        }
    }

    fn answer(&self, transaction: Transaction, code: u16, phrase: &str, besides: &[(&str, &str)]) {
        let mut response =
            build::response(&transaction.original, code, phrase, &random_text(10), &self.net.config.agent);
        for (name, value) in besides {
            response.headers.push(field(name, value));
        }
        answer_at_once(transaction, response);
    }

    /// An INVITE or REFER outside of any dialog.
    fn begin(self: &Arc<Self>, transaction: Transaction, from: Origin, user: Option<Box<str>>) {
        let request = &transaction.original;
        let headers = request.headers();
        let call_id: Box<str> = text::value(headers, "Call-ID").unwrap_or_default().into();
        let their_tag: Box<str> = text::value(headers, "From").and_then(text::tag).unwrap_or_default().into();
        let number = text::cseq(headers).map(|(number, _)| number).unwrap_or_default();
        let caller = ((call_id.clone(), their_tag), number);
        let dialog = DialogId(self.number());
        let (to, inbox) = mpsc::unbounded_channel();
        let waiting = Arc::default();
        let mut state = self.state();
        let local = if state.by_caller.contains_key(&caller) {
            Err((482, "Loop Detected"))
        } else if self.is_full(&state) {
            Err((503, "Service Unavailable"))
        } else {
            let handle = Handle { to: to.clone(), waiting: Arc::clone(&waiting), is_proven: user.is_some() };
            state.sessions.insert(dialog, handle);
            state.by_caller.insert(caller.clone(), dialog);
            Ok(state.name(call_id, dialog))
        };
        drop(state);
        let local = match local {
            Ok(local) => local,
            Err((code, phrase)) => {
                let later: &[_] = if code == 503 { &[("Retry-After", "10")] } else { &[] };
                return self.answer(transaction, code, phrase, later);
            }
        };
        let mut session = Session::new(Arc::clone(self), dialog, local, (to, inbox), waiting);
        (session.caller, session.user) = (Some(caller), user);
        tokio::spawn(session.begin(transaction, from));
    }
}

/// What is answered to who has not proven who they are.
struct Unproven {
    code: u16,
    phrase: &'static str,
    challenges: Vec<String>,
}

fn fields(challenges: &[String]) -> Vec<(&'static str, &str)> {
    challenges.iter().map(|challenge| ("WWW-Authenticate", challenge.as_str())).collect()
}

/// Takes out of a request where it came from, and from which user.
fn source(transaction: &mut Transaction) -> Option<(Origin, Option<Box<str>>)> {
    let headers = &mut transaction.original.headers;
    let origin = read_source(text::value(headers, SOURCE)?);
    headers.retain(|field| field.name() != SOURCE);
    origin
}

/// Option tags that are required and unknown (RFC 3261 8.2.2.3).
fn unsupported(headers: &Headers) -> String {
    let required = text::list(headers, "Require").into_iter();
    let is_unknown = |tag: &&str| !SUPPORTED.split(", ").any(|known| known.eq_ignore_ascii_case(tag));
    required.filter(is_unknown).collect::<Vec<_>>().join(", ")
}
