//! Requests of theirs in the dialog.

use std::borrow::Cow;

use rsipstack::sip::{HasHeaders as _, Method, Request};
use rsipstack::transaction::transaction::Transaction;

use super::{Phase, Session};
use crate::message::{Address, Event, Header, Origin, Refer, RequestId, Sdp, Status};
use crate::sip::build;
use crate::sip::text::{self, field};
use crate::sip::transaction::{Answerer, answer, answer_at_once};
use crate::sip::vet::ALLOW;

/// A request of theirs that somebody is to answer.
pub(super) struct Theirs {
    pub answerer: Answerer,
    pub request: Request,
    pub token: u64,
}

impl Theirs {
    pub(super) const fn method(&self) -> Method {
        self.request.method
    }
}

/// A refusal: code, phrase, and a header field besides.
type Refusal = (u16, &'static str, Option<(&'static str, Cow<'static, str>)>);

impl Session {
    /// A request of theirs.
    pub(super) async fn asked(&mut self, transaction: Transaction, from: Origin) {
        let request = transaction.original.clone();
        if let Some((code, phrase, besides)) = self.objection(&request) {
            let mut response = self.response(&request, code, phrase);
            if let Some((name, value)) = besides {
                response.headers.push(field(name, &value));
            }
            return answer_at_once(transaction, response);
        }
        let number = text::cseq(&request.headers).map(|(number, _)| number);
        if let Some(dialog) = &mut self.dialog {
            dialog.remote_cseq = number;
            if matches!(request.method, Method::Invite | Method::Update | Method::Refer | Method::Notify) {
                dialog.refresh(&request.headers);
            }
        }
        match request.method {
            Method::Bye => self.said_bye(transaction, &request).await,
            Method::Options => {
                let response = build::options(&request, &self.local.1, self.agent());
                answer_at_once(transaction, response);
            }
            Method::PRack => {
                let rack = text::value(&request.headers, "RAck").unwrap_or_default();
                let is_known = self.acknowledged_provisional(rack).await;
                let (code, phrase) = if is_known { (200, "OK") } else { (481, "No Such Response") };
                answer_at_once(transaction, self.response(&request, code, phrase));
                if is_known {
                    self.release_held().await;
                }
            }
            Method::Update if request.body.is_empty() => {
                // Only the session timer, or where they are (RFC 3311 5.2).
                let mut response = self.response(&request, 200, "OK");
                if let Some(dialog) = &self.dialog {
                    response.headers.push(field("Contact", &dialog.contact));
                }
                build::abilities(&mut response.headers);
                self.answer_session_timer(&request.headers, &mut response);
                answer_at_once(transaction, response);
            }
            _ => self.ask_somebody(transaction, request, from).await,
        }
    }

    /// What stands against a request.
    fn objection(&self, request: &Request) -> Option<Refusal> {
        const NO_DIALOG: Refusal = (481, "Call/Transaction Does Not Exist", None);
        let headers = request.headers();
        if self.phase == Phase::Over {
            return Some(NO_DIALOG);
        }
        let from_tag = text::value(headers, "From").and_then(text::tag).unwrap_or_default();
        match (&self.dialog, &self.calling) {
            (Some(dialog), _) if *dialog.remote_tag == *from_tag => {
                let number = text::cseq(headers).map(|(number, _)| number)?;
                // RFC 3261 12.2.2.
                if dialog.remote_cseq.is_some_and(|last| number <= last) {
                    return Some((500, "CSeq Is Too Low", None));
                }
            }
            // Before the final response forks only say how they get on.
            (None, Some(calling)) if calling.early.iter().any(|(early, _)| *early.remote_tag == *from_tag) => {
                return match request.method {
                    Method::Options => None,
                    Method::Update => Some((500, "Server Internal Error", Some(("Retry-After", "5".into())))),
                    Method::Bye => Some((200, "OK", None)),
                    _ => Some((405, "Method Not Allowed", Some(("Allow", ALLOW.into())))),
                };
            }
            _ => return Some(NO_DIALOG),
        }
        let is_offer = matches!(request.method, Method::Invite | Method::Update) && !request.body.is_empty()
            || request.method == Method::Invite;
        if is_offer {
            // RFC 3261 14.2, RFC 3311 5.2.
            if self.is_offering() {
                return Some((491, "Request Pending", None));
            }
            let unanswered = |theirs: &Theirs| matches!(theirs.method(), Method::Invite | Method::Update);
            let is_early = self.called.as_ref().is_some_and(|called| !called.is_accepted);
            if is_early || self.theirs.values().any(unanswered) {
                return Some((500, "Server Internal Error", Some(("Retry-After", "3".into()))));
            }
            if let Err((code, phrase)) = build::body_sdp(headers, &request.body) {
                return Some((code, phrase, Some(("Accept", build::ACCEPT.into()))));
            }
        }
        if is_offer && let Some(least) = self.too_short(headers) {
            return Some((422, "Session Interval Too Small", Some(("Min-SE", least.to_string().into()))));
        }
        let is_ending = self.phase == Phase::Ending;
        match request.method {
            Method::Bye | Method::Options => return None,
            Method::PRack | Method::Update if !is_ending => return None,
            Method::Invite | Method::Refer if self.phase == Phase::Subscription => {
                return Some((405, "Method Not Allowed", Some(("Allow", ALLOW.into()))));
            }
            // What a NOTIFY says is of use after the BYE, too.
            Method::Notify => {
                let event = text::value(headers, "Event").unwrap_or_default();
                if !event.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("refer") {
                    return Some((489, "Bad Event", Some(("Allow-Events", "refer".into()))));
                }
                if text::value(headers, "Subscription-State").is_none() {
                    return Some((400, "A Subscription-State Is Needed", None));
                }
            }
            Method::Invite | Method::Refer | Method::Info | Method::Message if is_ending => return Some(NO_DIALOG),
            Method::Invite | Method::Refer | Method::Info | Method::Message => {}
            _ => return Some((405, "Method Not Allowed", Some(("Allow", ALLOW.into())))),
        }
        let limit = self.inner.net.config.limits.requests;
        (self.theirs.len() >= limit).then_some((503, "Too Many Requests Wait", Some(("Retry-After", "5".into()))))
    }

    async fn said_bye(&mut self, transaction: Transaction, request: &Request) {
        answer_at_once(transaction, self.response(request, 200, "OK"));
        let reason = text::reason(&request.headers);
        if self.called.as_ref().is_some_and(|called| !called.is_accepted) {
            // Instead of a CANCEL (RFC 3261 15).
            self.inner.tell(Event::Cancelled(self.id, reason)).await;
            self.reject_by_us(487, "Request Terminated").await;
        } else {
            self.ended(reason).await;
        }
    }

    async fn ask_somebody(&mut self, transaction: Transaction, request: Request, from: Origin) {
        let token = self.inner.number();
        let is_invite = request.method == Method::Invite;
        let patience = (!is_invite).then(|| self.patience());
        let answerer = answer(transaction, token, &self.to, patience);
        if is_invite {
            answerer.respond(build::response(&request, 100, "Trying", "", self.agent()), None);
        }
        let name = self.inner.expect(self.id);
        let (dialog, headers) = (self.id, &request.headers);
        let text = |name| text::value(headers, name).unwrap_or_default().into();
        let body = || String::from_utf8_lossy(&request.body).into_owned().into();
        let event = match request.method {
            Method::Invite | Method::Update => Event::Offer {
                dialog,
                request: name,
                is_update: !is_invite,
                offer: build::body_sdp(headers, &request.body).ok().flatten(),
            },
            Method::Refer => {
                Event::Refer { dialog: Some(dialog), request: name, refer: Box::new(refer(&request, from)) }
            }
            Method::Notify => Event::Notify {
                dialog,
                request: name,
                event: text("Event"),
                state: text("Subscription-State"),
                body: body(),
            },
            _ => Event::Other {
                dialog,
                request: name,
                method: request.method.to_string().into(),
                content_type: text::value(headers, "Content-Type").map(Into::into),
                body: body(),
            },
        };
        self.theirs.insert(name, Theirs { answerer, request, token });
        self.inner.tell(event).await;
    }

    /// [`Action::Respond`](crate::message::Action::Respond).
    pub(super) async fn respond(&mut self, request: RequestId, status: &Status, besides: &[Header], sdp: Option<Sdp>) {
        let Some(theirs) = self.theirs.remove(&request) else { return };
        let code = if status.code >= 200 { status.code } else { 500 };
        let mut response = self.response(&theirs.request, code, &status.phrase);
        let is_success = (200..300).contains(&code);
        let method = theirs.method();
        if is_success && matches!(method, Method::Invite | Method::Update | Method::Refer) {
            if let Some(dialog) = &self.dialog {
                response.headers.push(field("Contact", &dialog.contact));
            }
            build::abilities(&mut response.headers);
        }
        let is_offer = matches!(method, Method::Invite | Method::Update);
        if is_success && is_offer {
            self.answer_session_timer(&theirs.request.headers, &mut response);
            if sdp.is_some() {
                self.description.clone_from(&sdp);
            }
        }
        if self.phase == Phase::Subscription
            && let Some(route) = text::value(&theirs.request.headers, "Record-Route")
        {
            response.headers.push(field("Record-Route", route));
        }
        build::add(&mut response.headers, besides);
        if is_success && method == Method::Invite {
            self.unacknowledged.insert(theirs.token, !theirs.request.body.is_empty());
        }
        theirs.answerer.respond(response, build::sdp(sdp.as_ref()));
        if self.phase == Phase::Subscription && method == Method::Refer {
            let is_silent = |header: &Header| {
                header.name.eq_ignore_ascii_case("Refer-Sub") && header.value.trim().eq_ignore_ascii_case("false")
            };
            if !is_success || besides.iter().any(is_silent) {
                return self.finish().await;
            }
        }
        if is_offer {
            self.run_queue().await;
        }
    }
}

/// What a REFER says.
pub(super) fn refer(request: &Request, from: Origin) -> Refer {
    let headers = request.headers();
    let sender = text::value(headers, "From").and_then(text::address).map(|(address, _)| address);
    let refer_sub = text::value(headers, "Refer-Sub").map(|value| value.split(';').next().unwrap_or_default().trim());
    Refer {
        cseq: text::cseq(headers).map(|(number, _)| number).unwrap_or_default(),
        refer_to: text::list(headers, "Refer-To").into_iter().map(Into::into).collect(),
        referred_by: text::value(headers, "Referred-By").map(Into::into),
        refer_sub: refer_sub.map(|value| !value.eq_ignore_ascii_case("false")),
        target_dialog: text::value(headers, "Target-Dialog").map(Into::into),
        from: sender.unwrap_or_else(|| Address { display: "".into(), uri: "".into() }),
        origin: from,
        subscription: None,
        extra: text::extra(headers),
    }
}
