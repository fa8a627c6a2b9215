//! A session: what one INVITE, or one REFER outside of a dialog, begins, until its dialog is over. One task drives it, so all that
//! concerns a dialog happens in one order.

mod callee;
pub(super) mod caller;
mod ours;
mod theirs;
mod timer;

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rsipstack::platform::CancellationToken;
use rsipstack::sip::{HasHeaders as _, Method, Request, Response, SipMessage};
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::SipConnection;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use self::callee::Called;
use self::caller::{Acknowledged, Calling};
use self::ours::Ours;
use self::theirs::Theirs;
use self::timer::{SessionTimer, Timer};
use super::dialog::Dialog;
use super::stack::{Inner, Key};
use super::text;
use super::transaction::{Reply, until};
use crate::message::{Action, Credentials, DialogId, Event, Origin, Reason, RequestId, Sdp, Status};

/// What a session is told. It is small: a channel has room for 32 of them from its beginning, and each session has one, also while it lingers.
pub(super) enum Input {
    /// By whoever decides.
    Act(Action),
    /// A request of theirs in the dialog.
    Request(Box<Transaction>, Origin),
    /// An ACK or CANCEL, of the transaction with this number.
    Server(u64, Box<SipMessage>),
    /// A transaction of theirs is over.
    ServerOver(u64),
    /// What comes of a request of ours.
    Client(u64, Reply),
    /// A 2xx to an INVITE of ours.
    Success(Box<(Response, SipConnection)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The INVITE has no final response.
    Early,
    /// The dialog is there.
    Confirmed,
    /// A subscription by a REFER outside of a dialog, and nothing else.
    Subscription,
    /// Our BYE is on its way.
    Ending,
    /// Nothing more is said.
    Over,
}

/// The state of it all.
pub(super) struct Session {
    inner: Arc<Inner>,
    id: DialogId,
    /// Call-ID and our tag.
    local: Key,
    /// Call-ID, their tag and the number of their INVITE.
    pub caller: Option<(Key, u32)>,
    /// Who they have proven to be.
    pub user: Option<Box<str>>,
    to: UnboundedSender<Input>,
    inbox: UnboundedReceiver<Input>,
    /// Requests of theirs in the inbox.
    waiting: Arc<AtomicUsize>,
    phase: Phase,
    dialog: Option<Dialog>,
    credentials: Option<Credentials>,
    /// Our first INVITE.
    calling: Option<Calling>,
    /// The same, after its final response: forks need it.
    calling_was: Option<Request>,
    /// Their first INVITE.
    called: Option<Called>,
    /// Requests of ours without a final response.
    ours: BTreeMap<u64, Ours>,
    /// Requests of theirs that somebody is to answer.
    theirs: BTreeMap<RequestId, Theirs>,
    /// Later INVITEs of theirs that got a 2xx, until the ACK; and whether the offer was theirs.
    unacknowledged: BTreeMap<u64, bool>,
    /// Our ACKs: a 2xx that comes again gets the same.
    acknowledged: Vec<Acknowledged>,
    /// What has to wait for something else.
    queue: VecDeque<Action>,
    timers: Vec<(Instant, Timer)>,
    /// Our latest description, with which a session is refreshed.
    description: Option<Sdp>,
    takes_update: bool,
    session_timer: Option<SessionTimer>,
    /// Until then a fork may still be answered.
    linger: Option<Instant>,
}

impl Session {
    pub(super) fn new(
        inner: Arc<Inner>,
        id: DialogId,
        local: Key,
        (to, inbox): (UnboundedSender<Input>, UnboundedReceiver<Input>),
        waiting: Arc<AtomicUsize>,
    ) -> Box<Self> {
        Box::new(Self {
            inner,
            id,
            local,
            caller: None,
            user: None,
            to,
            inbox,
            waiting,
            phase: Phase::Early,
            dialog: None,
            credentials: None,
            calling: None,
            calling_was: None,
            called: None,
            ours: BTreeMap::new(),
            theirs: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            acknowledged: Vec::new(),
            queue: VecDeque::new(),
            timers: Vec::new(),
            description: None,
            takes_update: false,
            session_timer: None,
            linger: None,
        })
    }

    /// Drives it until it is over.
    async fn run(mut self: Box<Self>) {
        // What it takes to drive a dialog is let go of before it lingers: thousands do at a time.
        let is_over = Box::pin(self.live()).await;
        if is_over && self.linger.is_some_and(|linger| linger > Instant::now()) && self.inner.linger() {
            self.linger().await;
            self.inner.forget_lingering();
        }
        self.inner.forget(self.id, &self.local, self.caller.as_ref());
    }

    /// Until nothing more is said in it; `false`: the stack stops.
    async fn live(&mut self) -> bool {
        let token = self.inner.net.token.clone();
        while self.phase != Phase::Over {
            let due = self.timers.iter().map(|(due, _)| *due).min();
            tokio::select! {
                input = self.inbox.recv() => match input {
                    Some(input) => self.take(input).await,
                    None => return false,
                },
                () = until(due) => self.expire().await,
                () = token.cancelled() => return false,
            }
        }
        true
    }

    /// Until no fork can answer any more.
    async fn linger(&mut self) {
        let token = self.inner.net.token.clone();
        loop {
            tokio::select! {
                input = self.inbox.recv() => match input {
                    Some(input) => Box::pin(self.take(input)).await,
                    None => return,
                },
                () = until(self.linger) => return,
                () = token.cancelled() => return,
            }
        }
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Act(action) => self.act(action).await,
            Input::Request(transaction, from) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.asked(*transaction, from).await;
            }
            Input::Server(token, message) => self.followed(token, &message).await,
            Input::ServerOver(token) => self.unfollowed(token).await,
            Input::Client(token, reply) => self.replied(token, reply).await,
            Input::Success(success) => {
                let (response, connection) = *success;
                self.succeeded(response, connection).await;
            }
        }
    }

    async fn act(&mut self, action: Action) {
        if self.phase == Phase::Over {
            self.leave_out(action).await;
            return;
        }
        match action {
            // The stack begins those.
            Action::Invite(..) => {}
            Action::Cancel(_, reason) => self.cancel(reason).await,
            Action::Progress { .. } | Action::Accept { .. } | Action::Reject { .. } => self.answer_call(action).await,
            Action::Respond { request, status, headers, sdp } => self.respond(request, &status, &headers, sdp).await,
            Action::Bye { request, reason, .. } => self.bye(request, reason).await,
            Action::Notify { .. } | Action::Refer { .. } | Action::Offer { .. } => self.send(action).await,
        }
    }

    /// What is told to a dialog that is over is left out; who waits for an answer gets one.
    async fn leave_out(&mut self, action: Action) {
        let (Action::Bye { request, .. }
        | Action::Notify { request, .. }
        | Action::Refer { request, .. }
        | Action::Offer { request, .. }) = action
        else {
            return;
        };
        self.answered(request, 481, "The dialog is over").await;
    }

    /// Says what a request of ours came to, in words of ours.
    async fn answered(&self, request: RequestId, code: u16, phrase: &str) {
        let status = Status { code, phrase: phrase.into() };
        self.inner.tell(Event::Answered { request, status, answer: None }).await;
    }

    /// Nothing more is said in it: who still waits for something is told.
    async fn finish(&mut self) {
        self.phase = Phase::Over;
        self.timers.clear();
        // What it may linger for, forks, needs none.
        self.description = None;
        for (request, theirs) in core::mem::take(&mut self.theirs) {
            self.inner.forget_request(request);
            let (code, phrase) = match theirs.method() {
                Method::Invite => (487, "Request Terminated"),
                _ => (481, "Call/Transaction Does Not Exist"),
            };
            theirs.answerer.respond(self.response(&theirs.request, code, phrase), None);
        }
        for ours in core::mem::take(&mut self.ours).into_values() {
            if let Some(request) = ours.request_id() {
                self.answered(request, 481, "The dialog is over").await;
            }
        }
        for action in core::mem::take(&mut self.queue) {
            self.leave_out(action).await;
        }
    }

    /// The dialog is over, and not by us.
    async fn ended(&mut self, reason: Option<Reason>) {
        if !matches!(self.phase, Phase::Ending | Phase::Over | Phase::Subscription) {
            self.inner.tell(Event::Ended(self.id, reason)).await;
        }
        self.finish().await;
    }

    fn agent(&self) -> &str {
        &self.inner.net.config.agent
    }

    fn response(&self, request: &Request, code: u16, phrase: &str) -> Response {
        super::build::response(request, code, phrase, &self.local.1, self.agent())
    }

    /// 64*T1: who has not answered by then will not.
    fn patience(&self) -> Duration {
        self.inner.net.config.t1 * 64
    }

    fn at(&mut self, after: Duration, timer: Timer) {
        self.timers.push((Instant::now() + after, timer));
    }

    /// The option tags and methods of a peer.
    fn note_abilities(&mut self, headers: &rsipstack::sip::Headers) {
        if text::value(headers, "Allow").is_some() {
            self.takes_update = text::has(headers, "Allow", "UPDATE");
        }
    }
}

/// Another stop for another request.
fn stop() -> CancellationToken {
    CancellationToken::new()
}

/// A reason of our own finding.
fn found(cause: u16, text: &str) -> Option<Reason> {
    Some(Reason { protocol: "SIP".into(), cause, text: Some(text.into()) })
}

/// Whether a message is a request of a method.
fn is_request(message: &SipMessage, method: Method) -> bool {
    matches!(message, SipMessage::Request(request) if request.method == method)
}

/// The headers of a message, whichever it is.
fn headers(message: &SipMessage) -> &rsipstack::sip::Headers {
    message.headers()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a call of ours is driven by from its beginning to the end of its lingering.
    fn size_of_task<A, F>(_: fn(Box<Session>, A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_dialog_that_lingers_takes_little() {
        let (session, task, input) = (size_of::<Session>(), size_of_task(Session::call), size_of::<Input>());
        assert!(session + task <= 4096, "{session} and {task} octets, of which 32 s of calls are kept");
        assert!(input <= 96, "{input} octets, and a channel has room for 32 from its beginning");
    }
}
