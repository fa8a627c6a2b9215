//! Requests of ours in the dialog.

use core::time::Duration;

use rsipstack::platform::CancellationToken;
use rsipstack::sip::{HasHeaders as _, Method, Request, Response};
use rsipstack::transaction::random_text;

use super::caller::{may_try, set_cseq};
use super::{Phase, Session, Timer, found, stop};
use crate::message::{Action, Event, Reason, RequestId, Sdp};
use crate::sip::dialog::Dialog;
use crate::sip::text::{self, field};
use crate::sip::transaction::{Reply, Way, ask, is_local};
use crate::sip::{build, digest};

/// How often a re-INVITE that meets one of theirs is sent again.
const GLARES: u8 = 4;

/// A request of ours without a final response.
pub(super) struct Ours {
    kind: Kind,
    request: Request,
    tries: u8,
    stop: CancellationToken,
}

/// What it is for.
pub(super) enum Kind {
    Bye(RequestId),
    /// A BYE that nobody asked for.
    End,
    /// Whether it is the last of its subscription.
    Notify(RequestId, bool),
    Refer(RequestId),
    Offer(RequestId, Sdp, u8),
    /// A session refresh (RFC 4028 7.4), by UPDATE or re-INVITE.
    Refresh,
    Prack,
    /// A BYE to a fork that was too late.
    Fork,
}

impl Ours {
    pub(super) const fn request_id(&self) -> Option<RequestId> {
        match self.kind {
            Kind::Bye(request) | Kind::Notify(request, _) | Kind::Refer(request) | Kind::Offer(request, ..) => {
                Some(request)
            }
            Kind::End | Kind::Refresh | Kind::Prack | Kind::Fork => None,
        }
    }
}

impl Session {
    /// Sends a request in a dialog.
    pub(super) fn ask_in(&mut self, dialog: &Dialog, kind: Kind, request: Request) {
        self.ask_again(dialog, Ours { kind, request, tries: 0, stop: stop() });
    }

    fn ask_again(&mut self, dialog: &Dialog, mut ours: Ours) {
        let token = self.inner.number();
        ours.tries += 1;
        ours.stop = stop();
        let way =
            Way::To { uri: dialog.next_hop().into(), flow: dialog.flow.clone().map(Box::new), contact_user: None };
        ask(&self.inner.net, ours.request.clone(), way, token, &self.to, ours.stop.clone());
        self.ours.insert(token, ours);
    }

    /// Builds a request in the dialog, with the next number.
    fn build(&mut self, method: Method) -> Option<(Request, Dialog)> {
        let dialog = self.dialog.as_mut()?;
        let cseq = dialog.next_cseq();
        let request = dialog.request(method, cseq, &self.inner.net.config.agent)?;
        Some((request, dialog.clone()))
    }

    /// Notify, Refer and Offer.
    pub(super) async fn send(&mut self, action: Action) {
        let waits = match &action {
            Action::Notify { .. } => self.ours.values().any(|ours| matches!(ours.kind, Kind::Notify(..))),
            Action::Offer { .. } => self.is_offering() || self.is_asked_for_offer() || self.phase == Phase::Early,
            _ => false,
        };
        if waits {
            self.queue.push_back(action);
            return;
        }
        if self.dialog.is_none() || self.phase == Phase::Ending {
            return self.leave_out(action).await;
        }
        match action {
            Action::Notify { request, event, state, body, .. } => {
                let Some((mut notify, dialog)) = self.build(Method::Notify) else { return };
                notify.headers.push(field("Event", &event));
                notify.headers.push(field("Subscription-State", &state));
                let content = (!body.is_empty()).then_some(("message/sipfrag;version=2.0", &*body));
                build::set_body(&mut notify.headers, &mut notify.body, content);
                let is_last = state.trim_start().get(..10).is_some_and(|s| s.eq_ignore_ascii_case("terminated"));
                self.ask_in(&dialog, Kind::Notify(request, is_last), notify);
            }
            Action::Refer { request, refer_to, headers, .. } => {
                let Some((mut refer, dialog)) = self.build(Method::Refer) else { return };
                refer.headers.push(field("Refer-To", &refer_to));
                build::abilities(&mut refer.headers);
                build::add(&mut refer.headers, &headers);
                self.ask_in(&dialog, Kind::Refer(request), refer);
            }
            Action::Offer { request, offer, .. } => self.offer(request, offer, 0),
            _ => {}
        }
    }

    fn offer(&mut self, request: RequestId, offer: Sdp, tries: u8) {
        let Some((mut invite, dialog)) = self.build(Method::Invite) else { return };
        build::abilities(&mut invite.headers);
        self.ask_for_session_timer(&mut invite.headers);
        build::set_body(&mut invite.headers, &mut invite.body, build::sdp(Some(&offer)));
        self.ask_in(&dialog, Kind::Offer(request, offer, tries), invite);
    }

    /// Whether an offer of ours has no answer, or is to be made again.
    pub(super) fn is_offering(&self) -> bool {
        let is_invite = |ours: &Ours| ours.request.method == Method::Invite;
        self.ours.values().any(is_invite) || self.timers.iter().any(|(_, timer)| matches!(timer, Timer::Offer(..)))
    }

    /// Whether an offer of theirs has no answer, or its answer no ACK.
    pub(super) fn is_asked_for_offer(&self) -> bool {
        let is_offer = |method| matches!(method, Method::Invite | Method::Update);
        self.called.is_some()
            || !self.unacknowledged.is_empty()
            || self.theirs.values().any(|theirs| is_offer(theirs.method()))
    }

    /// An offer met one of theirs a while ago.
    pub(super) async fn offer_again(&mut self, request: RequestId, offer: Sdp, tries: u8) {
        if self.is_asked_for_offer() {
            let dialog = self.id;
            self.queue.push_back(Action::Offer { dialog, request, offer });
        } else if self.phase == Phase::Confirmed {
            self.offer(request, offer, tries);
        } else {
            self.answered(request, 481, "The dialog is over").await;
        }
    }

    pub(super) async fn bye(&mut self, request: RequestId, reason: Option<Reason>) {
        if self.calling.is_some() {
            self.answered(request, 481, "There is no dialog yet: it is cancelled").await;
            self.cancel(reason).await;
        } else if self.called.as_ref().is_some_and(|called| called.is_accepted) {
            // Not before the ACK (RFC 3261 15).
            let dialog = self.id;
            self.queue.push_back(Action::Bye { dialog, request, reason });
        } else if self.called.is_some() {
            self.answered(request, 481, "There is no dialog yet: it is refused").await;
            self.reject_by_us(480, "Temporarily Unavailable").await;
        } else if self.phase == Phase::Confirmed {
            let Some((mut bye, dialog)) = self.build(Method::Bye) else {
                self.answered(request, 503, "Their Contact is no URI").await;
                return self.finish().await;
            };
            if let Some(reason) = reason {
                bye.headers.push(field("Reason", &text::write_reason(&reason)));
            }
            self.phase = Phase::Ending;
            self.ask_in(&dialog, Kind::Bye(request), bye);
        } else {
            self.answered(request, 481, "The dialog is over").await;
        }
    }

    /// Ends a dialog that cannot go on.
    pub(super) async fn end(&mut self, cause: u16, why: &str) {
        if !matches!(self.phase, Phase::Early | Phase::Confirmed) {
            return;
        }
        if let Some((mut bye, dialog)) = self.build(Method::Bye) {
            bye.headers.push(field("Reason", &format!("SIP;cause={cause};text=\"{why}\"")));
            self.ask_in(&dialog, Kind::End, bye);
        }
        self.ended(found(cause, why)).await;
    }

    /// What comes of a request of ours.
    pub(super) async fn replied(&mut self, token: u64, reply: Reply) {
        if self.calling.as_ref().is_some_and(|calling| calling.token == token) {
            return self.invite_replied(reply).await;
        }
        match reply {
            Reply::Sent(_) => {}
            Reply::Response(response) if response.status_code.code() < 200 => {}
            Reply::Response(response) => self.settled(token, *response).await,
            Reply::Unreachable(why) => {
                let Some(request) = self.ours.get(&token).map(|ours| ours.request.clone()) else { return };
                let response = build::response(&request, 503, &why, "", "");
                self.settled(token, response).await;
            }
        }
    }

    async fn settled(&mut self, token: u64, response: Response) {
        let Some(mut ours) = self.ours.remove(&token) else { return };
        let code = response.status_code.code();
        if matches!(code, 401 | 407)
            && may_try(ours.tries, self.credentials.as_ref())
            && let (Some(credentials), Some(dialog)) = (&self.credentials, &mut self.dialog)
            && digest::authorize(&mut ours.request, &response, credentials).is_ok()
        {
            let cseq = dialog.next_cseq();
            set_cseq(&mut ours.request, cseq);
            let dialog = dialog.clone();
            return self.ask_again(&dialog, ours);
        }
        let mut status = text::status(&response);
        if is_local(&response) {
            status.phrase = "Nobody answered".into();
        }
        let is_gone = matches!(code, 408 | 481);
        match ours.kind {
            Kind::Offer(request, offer, tries) if code == 491 && tries < GLARES => {
                let after = self.glare_wait();
                self.at(after, Timer::Offer(request, offer, tries + 1));
                return;
            }
            Kind::Refresh if (200..300).contains(&code) => {
                self.start_session_timer(response.headers(), true);
            }
            Kind::Refresh | Kind::Prack | Kind::Fork | Kind::End => {}
            Kind::Bye(request) | Kind::Notify(request, _) | Kind::Refer(request) | Kind::Offer(request, ..) => {
                self.inner.tell(Event::Answered { request, status, answer: None }).await;
            }
        }
        match ours.kind {
            Kind::Bye(_) => self.finish().await,
            Kind::Notify(_, is_last) if self.phase == Phase::Subscription && (is_last || is_gone) => {
                self.finish().await;
            }
            // RFC 3261 12.2.1.2.
            Kind::Offer(..) | Kind::Refresh if is_gone => self.end(code, "They do not know the dialog any more").await,
            _ => self.run_queue().await,
        }
    }

    /// How long to wait after 491 (RFC 3261 14.1).
    fn glare_wait(&self) -> Duration {
        let chance = random_text(4).bytes().fold(0_u32, |sum, byte| (sum * 62 + u32::from(byte)) % 200);
        // The caller, whose Call-ID it is, waits 2.1 s to 4 s, and the other one 0 s to 2 s, at T1 of 500 ms.
        let is_caller = self.caller.is_none();
        let hundredths = if is_caller { 210 + chance * 190 / 200 } else { chance };
        self.inner.net.config.t1 * hundredths / 50
    }

    /// A 2xx to a re-INVITE of ours; the ACK goes first.
    pub(super) async fn reoffer_accepted(&mut self, cseq: u32, response: &Response) {
        let is_it = |ours: &Ours| {
            ours.request.method == Method::Invite
                && text::cseq(&ours.request.headers).is_some_and(|(number, _)| number == cseq)
        };
        let Some(token) = self.ours.iter().find(|(_, ours)| is_it(ours)).map(|(token, _)| *token) else { return };
        let Some(ours) = self.ours.remove(&token) else { return };
        ours.stop.cancel();
        let Some(dialog) = &mut self.dialog else { return };
        dialog.refresh(response.headers());
        let dialog = dialog.clone();
        self.acknowledge(&dialog, cseq, &ours.request).await;
        self.note_abilities(response.headers());
        self.start_session_timer(response.headers(), true);
        if let Kind::Offer(request, offer, _) = ours.kind {
            self.description = Some(offer);
            let answer = build::body_sdp(response.headers(), &response.body).ok().flatten();
            self.inner.tell(Event::Answered { request, status: text::status(response), answer }).await;
        }
        self.run_queue().await;
    }

    /// Tries again what has had to wait.
    pub(super) async fn run_queue(&mut self) {
        for action in core::mem::take(&mut self.queue) {
            match action {
                Action::Bye { request, reason, .. } => self.bye(request, reason).await,
                other => self.send(other).await,
            }
        }
    }

    /// Refreshes the session, as we have promised.
    pub(super) fn refresh(&mut self) {
        if self.phase != Phase::Confirmed || self.is_offering() || self.is_asked_for_offer() {
            // An offer in either direction refreshes it too.
            return;
        }
        let method = if self.takes_update { Method::Update } else { Method::Invite };
        let Some((mut request, dialog)) = self.build(method) else { return };
        build::abilities(&mut request.headers);
        self.ask_for_session_timer(&mut request.headers);
        let content = build::sdp(self.description.as_ref().filter(|_| method == Method::Invite));
        build::set_body(&mut request.headers, &mut request.body, content);
        self.ask_in(&dialog, Kind::Refresh, request);
    }
}
