//! An INVITE of theirs (RFC 3261 13.3), and a REFER outside of a dialog, which begins one too.

use core::time::Duration;
use std::collections::VecDeque;

use rsipstack::sip::{HasHeaders as _, Header as Field, Method, Request, Response, SipMessage};
use rsipstack::transaction::transaction::Transaction;
use tokio::time::Instant;

use super::theirs::{Theirs, refer};
use super::{Phase, Session, Timer, found, headers, is_request};
use crate::message::{Action, Event, Header, Incoming, Origin, Sdp, Status};
use crate::sip::build;
use crate::sip::dialog::Dialog;
use crate::sip::text::{self, field};
use crate::sip::transaction::{Answerer, answer, answer_at_once, contact, is_secure};

/// Their INVITE until the ACK of its 2xx.
pub(super) struct Called {
    answerer: Answerer,
    request: Request,
    pub token: u64,
    pub is_accepted: bool,
    had_offer: bool,
    /// They want provisional responses reliably (RFC 3262 3).
    is_reliable: bool,
    rseq: u32,
    /// What is sent again every minute, so that no proxy gives up.
    latest: Option<(Response, Option<Sdp>)>,
    /// What is sent again until its PRACK.
    unacknowledged: Option<Provisional>,
    held: VecDeque<Action>,
}

struct Provisional {
    response: Response,
    sdp: Option<Sdp>,
    again: Duration,
    give_up: Instant,
}

impl Session {
    /// Takes an INVITE or REFER outside of a dialog, and drives what comes of it.
    pub(in crate::sip) async fn begin(mut self: Box<Self>, transaction: Transaction, from: Origin) {
        let token = self.inner.number();
        let request = transaction.original.clone();
        let net = &self.inner.net;
        let Some(dialog) = transaction.connection.as_ref().and_then(|connection| {
            let local = net.local(from.transport, from.address.ip());
            let contact = contact(&user(&request), &local, from.transport, is_secure(&request));
            Dialog::of_request(&request, &self.local.1, contact, net.flow(connection, from))
        }) else {
            return self.decline(transaction, 400, "A Contact With a SIP URI Is Needed", &[]);
        };
        self.dialog = Some(dialog);
        self.credentials = self.inner.net.config.credentials.as_ref().and_then(|of| of(&from));
        if request.method == Method::Refer {
            self.phase = Phase::Subscription;
            let answerer = answer(transaction, token, &self.to, Some(self.patience()));
            let name = self.inner.expect(self.id);
            let mut refer = refer(&request, from);
            refer.subscription = Some(self.id);
            self.theirs.insert(name, Theirs { answerer, request, token });
            self.inner.tell(Event::Refer { dialog: None, request: name, refer: Box::new(refer) }).await;
        } else {
            let offer = match build::body_sdp(&request.headers, &request.body) {
                Ok(offer) => offer,
                Err((code, phrase)) => {
                    return self.decline(transaction, code, phrase, &[("Accept", build::ACCEPT)]);
                }
            };
            if let Some(least) = self.too_short(&request.headers) {
                let least = least.to_string();
                return self.decline(transaction, 422, "Session Interval Too Small", &[("Min-SE", &least)]);
            }
            self.note_abilities(&request.headers);
            let is_reliable = text::has(&request.headers, "Require", "100rel");
            let answerer = answer(transaction, token, &self.to, None);
            answerer.respond(build::response(&request, 100, "Trying", "", self.agent()), None);
            let incoming = self.incoming(&request, from, offer);
            self.called = Some(Called {
                answerer,
                request,
                token,
                is_accepted: false,
                had_offer: incoming.offer.is_some(),
                is_reliable,
                rseq: 0,
                latest: None,
                unacknowledged: None,
                held: VecDeque::new(),
            });
            self.inner.tell(Event::Invite(self.id, Box::new(incoming))).await;
        }
        self.run().await;
    }

    fn decline(self, transaction: Transaction, code: u16, phrase: &str, besides: &[(&str, &str)]) {
        let mut response = self.response(&transaction.original, code, phrase);
        for (name, value) in besides {
            response.headers.push(field(name, value));
        }
        answer_at_once(transaction, response);
        self.inner.forget(self.id, &self.local, self.caller.as_ref());
    }

    fn incoming(&self, request: &Request, from: Origin, offer: Option<Sdp>) -> Incoming {
        let headers = request.headers();
        let address = |name| text::value(headers, name).and_then(text::address).map(|(address, _)| address);
        let nobody = || crate::message::Address { display: "".into(), uri: "sip:anonymous@anonymous.invalid".into() };
        let (call_id, to_tag) = self.local.clone();
        let asserted = text::list(headers, "P-Asserted-Identity").into_iter();
        Incoming {
            request_uri: request.uri.to_string().into(),
            from: address("From").unwrap_or_else(nobody),
            to: address("To").unwrap_or_else(nobody),
            call_id,
            from_tag: text::value(headers, "From").and_then(text::tag).unwrap_or_default().into(),
            to_tag,
            origin: from,
            user: self.user.clone(),
            asserted: asserted.filter_map(text::address).map(|(address, _)| address).collect(),
            replaces: text::list(headers, "Replaces").into_iter().map(Into::into).collect(),
            referred_by: text::value(headers, "Referred-By").map(Into::into),
            allow: text::tokens(headers, "Allow"),
            supported: text::tokens(headers, "Supported").unwrap_or_default(),
            extra: text::extra(headers),
            offer,
        }
    }

    /// Progress, Accept and Reject.
    pub(super) async fn answer_call(&mut self, action: Action) {
        let Some(called) = &mut self.called else { return };
        if called.is_accepted {
            return;
        }
        // One reliable response at a time, and none after it before its PRACK (RFC 3262 3).
        if called.unacknowledged.is_some() && !matches!(action, Action::Reject { .. }) {
            if called.held.len() < FORGOTTEN {
                called.held.push_back(action);
            }
            return;
        }
        match action {
            Action::Progress { status, sdp, .. } => self.progress(&status, sdp),
            Action::Accept { sdp, .. } => self.accept(&sdp),
            Action::Reject { status, headers, .. } => {
                self.reject(&status, &headers);
                self.finish().await;
            }
            _ => {}
        }
    }

    fn progress(&mut self, status: &Status, sdp: Option<Sdp>) {
        if !(101..200).contains(&status.code) {
            return;
        }
        let Some(mut response) = self.call_response(status) else { return };
        let patience = self.patience();
        let t1 = self.inner.net.config.t1;
        let Some(called) = &mut self.called else { return };
        // An offer of ours would want its answer in the PRACK: it waits for the 200.
        let sdp = sdp.filter(|_| called.had_offer);
        if called.is_reliable {
            called.rseq += 1;
            response.headers.push(field("Require", "100rel"));
            response.headers.push(field("RSeq", &called.rseq.to_string()));
            called.unacknowledged = Some(Provisional {
                response: response.clone(),
                sdp: sdp.clone(),
                again: t1,
                give_up: Instant::now() + patience,
            });
        }
        called.answerer.respond(response.clone(), build::sdp(sdp.as_ref()));
        if called.is_reliable {
            self.at(t1, Timer::Provisional);
        } else {
            called.latest = Some((response, sdp));
            self.timers.retain(|(_, timer)| !matches!(timer, Timer::Ringing));
            self.at(t1 * MINUTE, Timer::Ringing);
        }
    }

    /// It has rung for another minute (RFC 3261 13.3.1.1).
    pub(super) fn still_rings(&mut self) {
        let Some(called) = self.called.as_ref().filter(|called| !called.is_accepted) else { return };
        let Some((response, sdp)) = &called.latest else { return };
        called.answerer.respond(response.clone(), build::sdp(sdp.as_ref()));
        self.at(self.inner.net.config.t1 * MINUTE, Timer::Ringing);
    }

    /// A reliable response has had no PRACK yet.
    pub(super) async fn provisional_again(&mut self) {
        let Some(called) = &mut self.called else { return };
        let Some(provisional) = &mut called.unacknowledged else { return };
        if provisional.give_up <= Instant::now() {
            self.reject(&Status { code: 504, phrase: "No PRACK".into() }, &[]);
            self.inner.tell(Event::Cancelled(self.id, found(504, "No PRACK came"))).await;
            self.finish().await;
            return;
        }
        called.answerer.respond(provisional.response.clone(), build::sdp(provisional.sdp.as_ref()));
        provisional.again *= 2;
        let again = provisional.again;
        self.at(again, Timer::Provisional);
    }

    /// A PRACK says which response it is about. False if none is.
    pub(super) async fn acknowledged_provisional(&mut self, rack: &str) -> bool {
        let Some(called) = &mut self.called else { return false };
        let invite = text::cseq(&called.request.headers).map(|(number, _)| number).unwrap_or_default();
        let expected = [called.rseq.to_string(), invite.to_string(), "INVITE".to_owned()];
        if called.unacknowledged.is_none() || !rack.split_ascii_whitespace().eq(expected.iter().map(String::as_str)) {
            return false;
        }
        called.unacknowledged = None;
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Provisional));
        true
    }

    /// What has waited for a PRACK.
    pub(super) async fn release_held(&mut self) {
        let held = self.called.as_mut().map(|called| core::mem::take(&mut called.held)).unwrap_or_default();
        for action in held {
            self.answer_call(action).await;
        }
    }

    fn accept(&mut self, sdp: &Sdp) {
        let Some(mut response) = self.call_response(&Status { code: 200, phrase: "OK".into() }) else { return };
        let Some(request) = self.called.as_ref().map(|called| called.request.clone()) else { return };
        self.answer_session_timer(&request.headers, &mut response);
        self.description = Some(sdp.clone());
        let Some(called) = &mut self.called else { return };
        called.is_accepted = true;
        called.answerer.respond(response, build::sdp(Some(sdp)));
    }

    fn reject(&mut self, status: &Status, besides: &[Header]) {
        let Some(called) = self.called.take() else { return };
        let code = if status.code >= 300 { status.code } else { 500 };
        let mut response = self.response(&called.request, code, &status.phrase);
        build::add(&mut response.headers, besides);
        called.answerer.respond(response, None);
    }

    /// Refuses the call; nobody decided that in so many words.
    pub(super) async fn reject_by_us(&mut self, code: u16, phrase: &str) {
        self.reject(&Status { code, phrase: phrase.into() }, &[]);
        self.finish().await;
    }

    /// A response that begins or keeps a dialog.
    fn call_response(&self, status: &Status) -> Option<Response> {
        let called = self.called.as_ref()?;
        let mut response = self.response(&called.request, status.code, &status.phrase);
        for field in called.request.headers.iter().filter(|field| matches!(field, Field::RecordRoute(_))) {
            response.headers.push(field.clone());
        }
        response.headers.push(field("Contact", &self.dialog.as_ref()?.contact));
        build::abilities(&mut response.headers);
        Some(response)
    }

    /// An ACK or a CANCEL.
    pub(super) async fn followed(&mut self, token: u64, message: &SipMessage) {
        let is_call = self.called.as_ref().is_some_and(|called| called.token == token);
        if is_request(message, Method::Cancel) {
            self.cancelled(token, is_call, message).await;
        } else if is_request(message, Method::Ack) {
            let accepted = self.called.take_if(|called| is_call && called.is_accepted);
            let had_offer = match accepted {
                Some(called) => {
                    self.phase = if self.phase == Phase::Early { Phase::Confirmed } else { self.phase };
                    Some(called.had_offer)
                }
                None => self.unacknowledged.remove(&token),
            };
            let Some(had_offer) = had_offer else { return };
            let SipMessage::Request(ack) = message else { return };
            let answer = build::body_sdp(&ack.headers, &ack.body).ok().flatten().filter(|_| !had_offer);
            self.inner.tell(Event::Acknowledged { dialog: self.id, answer }).await;
            self.run_queue().await;
        }
    }

    async fn cancelled(&mut self, token: u64, is_call: bool, message: &SipMessage) {
        if is_call && self.called.as_ref().is_some_and(|called| !called.is_accepted) {
            self.reject(&Status { code: 487, phrase: "Request Terminated".into() }, &[]);
            self.inner.tell(Event::Cancelled(self.id, text::reason(headers(message)))).await;
            self.finish().await;
        } else if let Some(name) = self.theirs.iter().find(|(_, theirs)| theirs.token == token).map(|(name, _)| *name)
            && let Some(theirs) = self.theirs.remove(&name)
        {
            self.inner.forget_request(name);
            theirs.answerer.respond(self.response(&theirs.request, 487, "Request Terminated"), None);
        }
    }

    /// A transaction of theirs is over. If its 2xx had no ACK, so is the dialog (RFC 3261 13.3.1.4).
    pub(super) async fn unfollowed(&mut self, token: u64) {
        let accepted = self.called.take_if(|called| called.token == token && called.is_accepted).is_some();
        if accepted || self.unacknowledged.remove(&token).is_some() {
            self.end(408, "No ACK came").await;
        }
        let name = self.theirs.iter().find(|(_, theirs)| theirs.token == token).map(|(name, _)| *name);
        if let Some(name) = name {
            // Nobody has answered it in time.
            self.theirs.remove(&name);
            self.inner.forget_request(name);
        }
    }

    /// The least session interval, if theirs is less (RFC 4028 9).
    pub(super) fn too_short(&self, headers: &rsipstack::sip::Headers) -> Option<u32> {
        let least = self.inner.net.config.min_session_expires_s;
        let asked = text::value(headers, "Session-Expires").and_then(super::caller::number)?;
        (asked < least && text::has(headers, "Supported", "timer")).then_some(least)
    }
}

/// A minute, in T1s of 500 ms.
const MINUTE: u32 = 120;

/// Responses that wait for a PRACK.
const FORGOTTEN: usize = 16;

/// The user whom a request is for: that of our Contact.
fn user(request: &Request) -> String {
    let uri = request.uri.to_string();
    let rest = uri.split_once(':').map_or(&*uri, |(_, rest)| rest);
    let user = match rest.rsplit_once('@') {
        Some((user, _)) => user,
        None if uri.starts_with("tel:") => rest,
        None => "",
    };
    // A password is nobody's business (RFC 3261 19.1.1).
    user.split([':', '<', '>', '"']).next().unwrap_or_default().to_owned()
}
