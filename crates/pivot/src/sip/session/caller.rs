//! An INVITE of ours (RFC 3261 13.2), with all its forks.

use rsipstack::platform::CancellationToken;
use rsipstack::sip::{HasHeaders as _, Header as Field, Headers, Method, Request, Response};
use rsipstack::transport::SipConnection;
use tokio::time::Instant;

use super::ours::Kind;
use super::{Phase, Session, Timer, stop};
use crate::message::{Credentials, Event, Outgoing, Reason, Rejection, Status};
use crate::sip::dialog::Dialog;
use crate::sip::text::{self, field};
use crate::sip::transaction::{Reply, Sent, Way, ask, is_local, via};
use crate::sip::{build, digest};

/// Forks that are told apart before one has answered.
const FORKS: usize = 16;

/// How often one INVITE is sent, with other credentials or another session interval.
const TRIES: u8 = 4;

/// Our INVITE until its final response.
pub(super) struct Calling {
    request: Request,
    way: Box<str>,
    contact_user: Box<str>,
    pub token: u64,
    stop: CancellationToken,
    sent: Option<Sent>,
    has_provisional: bool,
    cancel: Cancel,
    /// Early dialogs, and the `RSeq` that was acknowledged last (RFC 3262 4).
    pub early: Vec<(Dialog, Option<u32>)>,
    tries: u8,
}

enum Cancel {
    No,
    /// As soon as there is a provisional response (RFC 3261 9.1).
    Wanted(Option<Reason>),
    Sent,
}

/// An ACK that may be needed again.
pub(super) struct Acknowledged {
    cseq: u32,
    remote_tag: Box<str>,
    ack: Request,
    sent: Sent,
}

impl Session {
    /// Sends an INVITE, and drives what comes of it.
    pub(in crate::sip) async fn call(mut self: Box<Self>, outgoing: Box<Outgoing>) {
        match self.first_invite(&outgoing) {
            Some(request) => {
                let way = outgoing.proxy.as_ref().unwrap_or(&outgoing.request_uri).clone();
                self.credentials.clone_from(&outgoing.credentials);
                self.description = Some(outgoing.offer.clone());
                self.calling = Some(Calling {
                    request,
                    way,
                    contact_user: outgoing.contact_user.clone(),
                    token: 0,
                    stop: stop(),
                    sent: None,
                    has_provisional: false,
                    cancel: Cancel::No,
                    early: Vec::new(),
                    tries: 0,
                });
                self.send_invite();
            }
            None => {
                let why = format!("{} is no URI that can be called", outgoing.request_uri);
                self.rejected_by_us(416, &why).await;
            }
        }
        self.run().await;
    }

    fn first_invite(&self, outgoing: &Outgoing) -> Option<Request> {
        let (call_id, tag) = &self.local;
        let mut fields = vec![
            field("From", &format!("{};tag={tag}", text::write_address(&outgoing.from))),
            field("To", &text::write_address(&outgoing.to)),
            field("Call-ID", call_id),
            field("CSeq", "1 INVITE"),
            field("Max-Forwards", "70"),
            field("User-Agent", self.agent()),
        ];
        if let Some(asserted) = &outgoing.asserted {
            fields.push(field("P-Asserted-Identity", &text::write_address(asserted)));
        }
        if let Some(interval) = self.inner.net.config.session_expires_s {
            fields.push(field("Session-Expires", &interval.to_string()));
        }
        let mut request = build::request(Method::Invite, &outgoing.request_uri, fields)?;
        build::abilities(&mut request.headers);
        build::add(&mut request.headers, &outgoing.headers);
        build::set_body(&mut request.headers, &mut request.body, build::sdp(Some(&outgoing.offer)));
        Some(request)
    }

    fn send_invite(&mut self) {
        let token = self.inner.number();
        let Some(calling) = &mut self.calling else { return };
        calling.token = token;
        calling.stop = stop();
        calling.sent = None;
        calling.tries += 1;
        let way = Way::To { uri: calling.way.clone(), flow: None, contact_user: Some(calling.contact_user.clone()) };
        ask(&self.inner.net, calling.request.clone(), way, token, &self.to, calling.stop.clone());
    }

    /// What comes of the INVITE but for a 2xx.
    pub(super) async fn invite_replied(&mut self, reply: Reply) {
        match reply {
            Reply::Sent(sent) => {
                if let Some(calling) = &mut self.calling {
                    calling.sent = Some(*sent);
                }
            }
            Reply::Unreachable(why) => self.rejected_by_us(503, &why).await,
            Reply::Response(response) => match response.status_code.code() {
                100..200 => self.progressed(&response).await,
                code @ 300.. => self.refused(code, *response).await,
                _ => {}
            },
        }
    }

    async fn progressed(&mut self, response: &Response) {
        let Some(calling) = &mut self.calling else { return };
        calling.has_provisional = true;
        if let Cancel::Wanted(reason) = &mut calling.cancel {
            let reason = reason.take();
            self.send_cancel(reason.as_ref());
            return;
        }
        if matches!(calling.cancel, Cancel::Sent) || response.status_code.code() == 100 {
            return;
        }
        if !self.acknowledge_provisional(response) {
            return;
        }
        let sdp = build::body_sdp(response.headers(), &response.body).ok().flatten();
        let status = text::status(response);
        self.inner.tell(Event::Progress { dialog: self.id, status, sdp }).await;
    }

    /// PRACK (RFC 3262 4). False for a reliable response that came before or out of order.
    fn acknowledge_provisional(&mut self, response: &Response) -> bool {
        let Some(calling) = &mut self.calling else { return true };
        let Some(contact) = calling.sent.as_ref().and_then(|sent| sent.contact.clone()) else { return true };
        let Some(dialog) = Dialog::of_response(&calling.request, response, contact) else { return true };
        let known = calling.early.iter().position(|(early, _)| early.remote_tag == dialog.remote_tag);
        let at = match known {
            Some(at) => at,
            None if calling.early.len() < FORKS => {
                calling.early.push((dialog, None));
                calling.early.len() - 1
            }
            None => return true,
        };
        let number = text::value(response.headers(), "RSeq").and_then(|number| number.trim().parse::<u32>().ok());
        let Some(number) = number.filter(|_| text::has(response.headers(), "Require", "100rel")) else { return true };
        let invite = text::cseq(&calling.request.headers).map(|(number, _)| number).unwrap_or_default();
        let (dialog, last) = &mut calling.early[at];
        if last.is_some_and(|last| number != last.wrapping_add(1)) {
            return false;
        }
        *last = Some(number);
        let cseq = dialog.next_cseq();
        let dialog = dialog.clone();
        if let Some(mut prack) = dialog.request(Method::PRack, cseq, &self.inner.net.config.agent) {
            prack.headers.push(field("RAck", &format!("{number} {invite} INVITE")));
            self.ask_in(&dialog, Kind::Prack, prack);
        }
        true
    }

    async fn refused(&mut self, code: u16, response: Response) {
        let Some(calling) = &mut self.calling else { return };
        let may_again = matches!(calling.cancel, Cancel::No) && calling.tries < TRIES && !is_local(&response);
        let mut why = None;
        if may_again && matches!(code, 401 | 407) {
            match &self.credentials {
                Some(credentials) => match digest::authorize(&mut calling.request, &response, credentials) {
                    Ok(()) => {
                        next_cseq(&mut calling.request);
                        self.send_invite();
                        return;
                    }
                    Err(error) => why = Some(error),
                },
                None => why = Some("there are no credentials for it".to_owned()),
            }
        }
        if may_again && code == 422 {
            // RFC 4028 7.4.
            let least = text::value(response.headers(), "Min-SE").and_then(number);
            if let Some(least) = least
                && let Some(asked) = text::value(&calling.request.headers, "Session-Expires").and_then(number)
                && least > asked
            {
                calling.request.headers.retain(|field| !matches!(field, Field::SessionExpires(_) | Field::MinSE(_)));
                calling.request.headers.push(field("Session-Expires", &least.to_string()));
                calling.request.headers.push(field("Min-SE", &least.to_string()));
                next_cseq(&mut calling.request);
                self.send_invite();
                return;
            }
        }
        let mut rejection = rejection(&response);
        if rejection.is_local {
            rejection.status.phrase = "Nobody answered".into();
        }
        if let Some(why) = why {
            tracing::info!(%why, code, "a challenge is not answered");
        }
        self.over_by(rejection).await;
    }

    async fn rejected_by_us(&mut self, code: u16, why: &str) {
        self.over_by(Rejection::local(Status { code, phrase: why.into() })).await;
    }

    async fn over_by(&mut self, rejection: Rejection) {
        if let Some(calling) = self.calling.take() {
            calling.stop.cancel();
        }
        self.inner.tell(Event::Rejected(self.id, Box::new(rejection))).await;
        self.finish().await;
    }

    /// [`Action::Cancel`](crate::message::Action::Cancel).
    pub(super) async fn cancel(&mut self, reason: Option<Reason>) {
        let Some(calling) = &mut self.calling else { return };
        if !matches!(calling.cancel, Cancel::No) {
            return;
        }
        if calling.sent.is_none() {
            self.rejected_by_us(487, "Cancelled before it was sent").await;
        } else if calling.has_provisional {
            self.send_cancel(reason.as_ref());
        } else {
            calling.cancel = Cancel::Wanted(reason);
        }
    }

    fn send_cancel(&mut self, reason: Option<&Reason>) {
        let token = self.inner.number();
        let Some(calling) = &mut self.calling else { return };
        calling.cancel = Cancel::Sent;
        let Some(sent) = calling.sent.clone() else { return };
        let invite = &calling.request;
        let keep = |field: &&Field| {
            matches!(field, Field::Route(_) | Field::From(_) | Field::To(_) | Field::CallId(_) | Field::MaxForwards(_))
        };
        let mut headers = Headers(invite.headers.iter().filter(keep).cloned().collect());
        let cseq = text::cseq(&invite.headers).map(|(number, _)| number).unwrap_or_default();
        headers.push(field("CSeq", &format!("{cseq} CANCEL")));
        headers.push(field("User-Agent", &self.inner.net.config.agent));
        if let Some(reason) = reason {
            headers.push(field("Reason", &text::write_reason(reason)));
        }
        let cancel = Request { method: Method::Cancel, headers, body: Vec::new(), ..invite.clone() };
        let way = Way::Same(Box::new(Sent { contact: None, ..sent }));
        ask(&self.inner.net, cancel, way, token, &self.to, stop());
        // Without a 487 it is cancelled all the same (RFC 3261 9.1).
        self.at(self.patience(), Timer::Cancelled);
    }

    pub(super) async fn cancelled_unheard(&mut self) {
        if self.calling.is_some() {
            self.rejected_by_us(487, "Cancelled; the INVITE was not answered").await;
        }
    }

    /// A 2xx to an INVITE of ours, the first one or a later one.
    pub(super) async fn succeeded(&mut self, response: Response, connection: SipConnection) {
        let headers = response.headers();
        let Some((cseq, _)) = text::cseq(headers) else { return };
        let Some(tag) = text::value(headers, "To").and_then(text::tag) else { return };
        if let Some(known) = self.acknowledged.iter().find(|known| known.cseq == cseq && *known.remote_tag == *tag) {
            transmit(known).await;
            return;
        }
        let is_first = |calling: &Calling| text::cseq(&calling.request.headers).is_some_and(|(first, _)| first == cseq);
        if self.calling.as_ref().is_some_and(is_first) {
            self.accepted(cseq, &response, &connection).await;
        } else if self.dialog.as_ref().is_some_and(|dialog| *dialog.remote_tag == *tag) {
            self.reoffer_accepted(cseq, &response).await;
        } else {
            self.end_fork(cseq, &response).await;
        }
    }

    async fn accepted(&mut self, cseq: u32, response: &Response, connection: &SipConnection) {
        let Some(calling) = self.calling.take() else { return };
        calling.stop.cancel();
        let contact = calling.sent.as_ref().and_then(|sent| sent.contact.clone()).unwrap_or_default();
        let Some(mut dialog) = Dialog::of_response(&calling.request, response, contact) else {
            self.calling = Some(calling);
            return self.rejected_by_us(502, "They accept and do not say where they are: no Contact").await;
        };
        if let Some((early, _)) = calling.early.iter().find(|(early, _)| early.remote_tag == dialog.remote_tag) {
            dialog.local_cseq = dialog.local_cseq.max(early.local_cseq);
            dialog.remote_cseq = early.remote_cseq;
        }
        if let Some(sent) = &calling.sent {
            let from = crate::message::Origin {
                address: sent.hop.destination.get_socketaddr().unwrap_or(([0, 0, 0, 0], 0).into()),
                transport: sent.hop.transport,
            };
            dialog.flow = self.inner.net.flow(connection, from);
        }
        self.acknowledge(&dialog, cseq, &calling.request).await;
        self.note_abilities(response.headers());
        let event = Event::Accepted {
            dialog: self.id,
            answer: build::body_sdp(response.headers(), &response.body).ok().flatten(),
            allow: text::tokens(response.headers(), "Allow"),
            call_id: dialog.call_id.clone(),
            from_tag: dialog.local_tag.clone(),
            to_tag: dialog.remote_tag.clone(),
        };
        self.dialog = Some(dialog);
        self.phase = Phase::Confirmed;
        self.linger = Some(Instant::now() + self.patience());
        self.at(self.patience(), Timer::Forks);
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Cancelled));
        self.start_session_timer(response.headers(), true);
        // The INVITE, for what a fork needs.
        self.calling_was = Some(calling.request);
        self.inner.tell(event).await;
        self.run_queue().await;
    }

    /// Another fork has accepted too: one is enough (RFC 3261 13.2.2.4).
    async fn end_fork(&mut self, cseq: u32, response: &Response) {
        let Some(invite) = self.calling_was.clone() else { return };
        if text::cseq(&invite.headers).is_none_or(|(first, _)| first != cseq) || self.acknowledged.len() > FORKS {
            return;
        }
        let contact = self.dialog.as_ref().map(|dialog| dialog.contact.clone()).unwrap_or_default();
        let Some(mut dialog) = Dialog::of_response(&invite, response, contact) else { return };
        self.acknowledge(&dialog, cseq, &invite).await;
        let cseq = dialog.next_cseq();
        if let Some(mut bye) = dialog.request(Method::Bye, cseq, self.agent()) {
            bye.headers.push(field("Reason", "SIP;cause=200;text=\"Call completed elsewhere\""));
            self.ask_in(&dialog, Kind::Fork, bye);
        }
    }

    /// No fork will answer any more.
    pub(super) fn forget_forks(&mut self) {
        let tag = self.dialog.as_ref().map(|dialog| dialog.remote_tag.clone()).unwrap_or_default();
        self.acknowledged.retain(|known| known.remote_tag == tag);
        let superfluous = self.acknowledged.len().saturating_sub(1);
        self.acknowledged.drain(..superfluous);
    }

    /// Sends the ACK of a 2xx.
    pub(super) async fn acknowledge(&mut self, dialog: &Dialog, cseq: u32, invite: &Request) {
        let Some(mut ack) = dialog.request(Method::Ack, cseq, self.agent()) else { return };
        let is_credential = |field: &&Field| matches!(field, Field::Authorization(_) | Field::ProxyAuthorization(_));
        for credential in invite.headers.iter().filter(is_credential) {
            ack.headers.push(credential.clone());
        }
        build::set_body(&mut ack.headers, &mut ack.body, None);
        match self.inner.net.hop(dialog.next_hop(), dialog.flow.as_ref()).await {
            Ok(hop) => {
                let via = via(&hop);
                ack.headers.push_front(field("Via", &via));
                let sent = Sent { via, contact: None, hop };
                let known = Acknowledged { cseq, remote_tag: dialog.remote_tag.clone(), ack, sent };
                transmit(&known).await;
                // Of re-INVITEs only the latest may be needed again.
                let most = if self.linger.is_some() { FORKS * 2 } else { 1 };
                if self.acknowledged.len() >= most {
                    self.acknowledged.remove(0);
                }
                self.acknowledged.push(known);
            }
            // They will send the 2xx again.
            Err(error) => tracing::warn!(%error, "an ACK cannot be sent"),
        }
    }
}

async fn transmit(known: &Acknowledged) {
    let sent = &known.sent.hop;
    if let Err(error) = sent.connection.send(known.ack.clone().into(), Some(&sent.destination)).await {
        tracing::warn!(%error, "an ACK cannot be sent");
    }
}

/// Counts a request's `CSeq` up: it is sent again, otherwise.
pub(super) fn next_cseq(request: &mut Request) {
    let Some((number, _)) = text::cseq(&request.headers) else { return };
    set_cseq(request, number.wrapping_add(1));
}

pub(in crate::sip) fn set_cseq(request: &mut Request, number: u32) {
    let value = format!("{number} {}", request.method);
    request.headers.retain(|field| !matches!(field, Field::CSeq(_)));
    request.headers.push(field("CSeq", &value));
}

/// A number, with what may follow it.
pub(in crate::sip) fn number(value: &str) -> Option<u32> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}

/// What a final response says.
fn rejection(response: &Response) -> Rejection {
    let headers = response.headers();
    let is_local = is_local(response);
    let by = text::value(headers, "Server").or_else(|| text::value(headers, "User-Agent"));
    Rejection {
        status: text::status(response),
        is_local,
        reason: text::reason(headers),
        by: by.filter(|_| !is_local).map(Into::into),
        warning: text::value(headers, "Warning").map(Into::into),
        retry_after_s: text::value(headers, "Retry-After").and_then(number),
    }
}

/// Credentials that are asked for again and again.
pub(super) const fn may_try(tries: u8, credentials: Option<&Credentials>) -> bool {
    tries < TRIES && credentials.is_some()
}
