//! Between SIP and the call: session descriptions go into legs and come out of them here.

use std::sync::Arc;

use super::task::{Party, Tags, Task};
use crate::call::replaces::{Asker, Confirmed, Replaces};
use crate::call::route::Via;
use crate::call::sipfrag::status;
use crate::call::words::{Dial, Resolution};
use crate::call::{Act, Call, Input, OwnId, PartyId, TransferId};
use crate::media::MediaError;
use crate::message::{
    Action, Credentials, DialogId, Event, Header, Outgoing, Reason, Rejection, RequestId, Sdp, Status,
};

/// The user part of our Contact.
const CONTACT: &str = "patchcord";

impl Task {
    /// SIP says something about the call.
    pub(super) async fn signalled(&mut self, event: Event) {
        match event {
            Event::Progress { dialog, status, sdp } => {
                let Some(party) = self.party_of(dialog) else { return };
                let early_media = match sdp {
                    // What cannot be used is no early media; the answer may be better.
                    Some(sdp) => self.answered_by(party, &sdp).await.is_ok(),
                    None => false,
                };
                self.happened.push(Input::Progress { party, status, early_media });
            }
            Event::Accepted { dialog, answer, allow, call_id, from_tag, to_tag } => {
                let Some(party) = self.party_of(dialog) else { return };
                if let Some(party) = self.parties.get_mut(&party) {
                    party.tags = Some(Tags { call_id, ours: from_tag, theirs: to_tag });
                }
                self.is_confirmed(party);
                match self.accepted(party, answer.as_deref()).await {
                    Ok(()) => self.happened.push(Input::Accepted { party, allow }),
                    Err(error) => self.unacceptable(dialog, party, &error),
                }
            }
            Event::Rejected(dialog, rejection) => self.input(dialog, |party| Input::Rejected(party, rejection)),
            Event::Cancelled(dialog, reason) => {
                self.input(dialog, |party| Input::Cancelled(party, reason.clone()));
                // If the answer has crossed with it, the dialog is over all the same.
                self.input(dialog, |party| Input::Ended(party, reason));
            }
            Event::Ended(dialog, reason) => self.input(dialog, |party| Input::Ended(party, reason)),
            Event::Acknowledged { dialog, answer } => {
                let Some(party) = self.party_of(dialog) else { return };
                if let Some(answer) = answer
                    && let Err(error) = self.answered_by(party, &answer).await
                {
                    tracing::warn!(call = %self.name, %error, "the answer in an ACK is of no use: hanging up");
                    self.bye(dialog, None);
                    self.happened.push(Input::Ended(party, None));
                    return;
                }
                self.is_confirmed(party);
                self.happened.push(Input::Acknowledged(party));
            }
            Event::Offer { dialog, request, offer, .. } => self.offered(dialog, request, offer).await,
            Event::Refer { dialog, request, refer } => {
                let Some(party) = dialog.and_then(|dialog| self.party_of(dialog)) else {
                    return self.shared.respond(request, status(481));
                };
                self.happened.push(Input::Refer { party, request, refer });
            }
            Event::Notify { dialog, request, state, body, .. } => {
                self.input(dialog, |party| Input::Notify { party, request, state, body });
            }
            Event::Other { dialog, request, method, content_type, body } if &*method == "INFO" => {
                let Some(party) = self.party_of(dialog) else { return self.shared.respond(request, status(481)) };
                self.informed(party, request, content_type.as_deref(), &body).await;
            }
            Event::Other { request, method, .. } => {
                tracing::debug!(call = %self.name, %method, "a request that the pivot has no use for");
                self.shared.respond(request, status(415));
            }
            Event::Answered { request, status, .. } => {
                if let Some(request) = self.own.remove(&request) {
                    self.happened.push(Input::Answered { request, status });
                }
            }
            Event::Invite(..) => {}
        }
    }

    /// A `Replaces` can name the party's dialog from now on.
    fn is_confirmed(&self, party: PartyId) {
        let Some(Party { dialog, tags: Some(Tags { call_id, ours, theirs }), .. }) = self.parties.get(&party) else {
            return;
        };
        self.shared.dialogs().insert(call_id, ours, theirs, Confirmed::Yes, (self.number, *dialog));
    }

    /// Whose dialog a `Replaces` means; none: another call's, which is asked for.
    fn resolve(&self, transfer: TransferId, replaces: &Replaces) -> Option<Resolution> {
        let found = self.shared.dialogs().find(replaces, Asker::Refer);
        match found {
            Ok((number, dialog)) if number == self.number => {
                Some(self.party_of(dialog).map_or_else(|| Resolution::Refused(status(481)), Resolution::Here))
            }
            Ok((_, dialog)) => self.want(transfer, dialog).err().map(Resolution::Refused),
            Err(status) if status.code == 481 => Some(Resolution::Foreign),
            Err(status) => Some(Resolution::Refused(status)),
        }
    }

    fn input(&mut self, dialog: DialogId, input: impl FnOnce(PartyId) -> Input) {
        if let Some(party) = self.party_of(dialog) {
            self.happened.push(input(party));
        }
    }

    async fn answered_by(&mut self, party: PartyId, sdp: &str) -> Result<(), MediaError> {
        let Some(name) = self.parties.get(&party).map(|party| Arc::clone(&party.name)) else { return Ok(()) };
        self.legs.answered_by(&name, sdp).await
    }

    async fn accepted(&mut self, party: PartyId, answer: Option<&str>) -> Result<(), MediaError> {
        match answer {
            Some(answer) => self.answered_by(party, answer).await,
            // What it said with its provisional response holds (RFC 3261 13.2.1), if it did.
            None => Ok(()),
        }
    }

    /// A party has accepted what nobody can use: it is hung up, and for the call it never answered.
    fn unacceptable(&mut self, dialog: DialogId, party: PartyId, error: &MediaError) {
        tracing::warn!(call = %self.name, %error, "the answer is of no use: hanging up");
        let status = error.status();
        let text = Some(error.to_string().into());
        self.bye(dialog, Some(Reason { protocol: "SIP".into(), cause: status.code, text }));
        // What it said is malformed, and not what it was asked.
        self.not_to_be_had(party, error, if status.code == 400 { 488 } else { status.code });
    }

    /// A party could not be had, for want of media.
    fn not_to_be_had(&mut self, party: PartyId, error: &MediaError, code: u16) {
        let warning = Some(error.to_string().into());
        let rejection = Rejection { warning, ..Rejection::local(Status { code, ..error.status() }) };
        self.happened.push(Input::Rejected(party, Box::new(rejection)));
    }

    /// A re-INVITE or UPDATE: hold, another address, other formats. The call has nothing to decide about it.
    async fn offered(&mut self, dialog: DialogId, request: RequestId, offer: Option<Sdp>) {
        let Some(party) = self.party_of(dialog) else {
            return self.shared.respond(request, status(481));
        };
        match self.reoffer(party, offer.as_deref()).await {
            Ok(sdp) => {
                let (status, headers) = (status(200), Vec::new());
                self.shared.stack.act(Action::Respond { request, status, headers, sdp: Some(sdp) });
            }
            Err(error) => {
                let status = error.status();
                tracing::info!(call = %self.name, %error, code = status.code, "an offer within the call was refused");
                self.shared.respond(request, status);
            }
        }
    }

    async fn reoffer(&mut self, party: PartyId, offer: Option<&str>) -> Result<Sdp, MediaError> {
        let (name, other) = self.names(party);
        if let Some(offer) = offer {
            self.legs.offered_by(&name, offer).await?;
        }
        self.legs.answer(&name, &other).await
    }

    /// A party's name, and that of whoever it talks to, or would.
    fn names(&self, party: PartyId) -> (Arc<str>, Arc<str>) {
        let name = |party: PartyId| self.parties.get(&party).map(|party| Arc::clone(&party.name));
        let peer = self.parties.get(&party).and_then(|party| party.early.or(party.peer));
        let other = peer.filter(|peer| self.parties.contains_key(peer)).or_else(|| {
            let has_leg = |other: &PartyId| self.parties.get(other).is_some_and(|other| self.legs.has(&other.name));
            self.parties.keys().copied().rfind(|other| *other != party && has_leg(other))
        });
        let other = other.and_then(name);
        (name(party).unwrap_or_default(), other.unwrap_or_default())
    }

    /// Does what is said about SIP.
    pub(super) async fn signal(&mut self, call: &Call, act: Act) {
        match act {
            Act::Dial(party, dial) => self.dial(call, party, *dial).await,
            Act::Cancel(party, reason) => self.act(party, |dialog| Action::Cancel(dialog, reason)),
            Act::Bye(party, reason) => {
                if let Some(dialog) = self.dialog(party) {
                    self.bye(dialog, reason);
                }
            }
            Act::Progress { party, status, early_media } => self.progress(party, status, early_media).await,
            Act::Reject { party, status, reason } => {
                let headers = reason.iter().map(reason_header).collect();
                self.act(party, |dialog| Action::Reject { dialog, status, headers });
            }
            Act::Respond { request, status, headers } => {
                self.shared.stack.act(Action::Respond { request, status, headers, sdp: None });
            }
            Act::Notify { party, dialog, request, event, state, body } => {
                let own = self.own_request(request);
                if let Some(dialog) = dialog.or_else(|| self.dialog(party)) {
                    self.shared.stack.act(Action::Notify { dialog, request: own, event, state, body });
                }
            }
            Act::SendRefer { party, request, refer_to, headers } => {
                let own = self.own_request(request);
                self.act(party, |dialog| Action::Refer { dialog, request: own, refer_to, headers });
            }
            Act::AskWebhook(transfer, question) => self.ask_webhook(transfer, &question),
            Act::Resolve(transfer, replaces) => {
                let resolution = self.resolve(transfer, &replaces);
                self.happened.extend(resolution.map(|resolution| Input::Resolved(transfer, resolution)));
            }
            // `Task::perform` has done these.
            Act::Accept(_)
            | Act::StartTimer(..)
            | Act::StopTimer(_)
            | Act::Media(_)
            | Act::Transfer(_)
            | Act::Record(_)
            | Act::Over => {}
        }
    }

    fn dialog(&self, party: PartyId) -> Option<DialogId> {
        self.parties.get(&party).map(|party| party.dialog)
    }

    fn act(&self, party: PartyId, action: impl FnOnce(DialogId) -> Action) {
        if let Some(dialog) = self.dialog(party) {
            self.shared.stack.act(action(dialog));
        }
    }

    pub(super) fn bye(&self, dialog: DialogId, reason: Option<Reason>) {
        let request = self.shared.stack.next_request();
        self.shared.stack.act(Action::Bye { dialog, request, reason });
    }

    /// Names a request of ours, whose answer comes here.
    fn own_request(&mut self, own: OwnId) -> RequestId {
        let request = self.shared.stack.next_request();
        self.own.insert(request, own);
        self.shared.index().requests.insert(request, self.handle.clone());
        request
    }

    async fn dial(&mut self, call: &Call, party: PartyId, dial: Dial) {
        let name = call.name(party);
        let dialog = self.shared.stack.next_dialog();
        self.parties.insert(party, Party::new(Arc::clone(&name), dialog));
        self.shared.index().dialogs.insert(dialog, self.handle.clone());
        let trunk = match &dial.via {
            Via::Trunk(name) => self.shared.settings.trunks.get(name),
            Via::Direct => None,
        };
        let (is_secure, proxy, credentials): (bool, _, Option<Credentials>) = trunk
            .map_or((false, None, None), |trunk| (trunk.is_secure, trunk.proxy.clone(), trunk.credentials.clone()));
        // It is offered what whoever it is to talk to has: the one that waits for it.
        let waits = |(_, party): &(&PartyId, &Party)| party.is_held || party.early.is_some();
        let other = self.parties.iter().find(waits).map_or(Call::CALLER, |(id, _)| *id);
        let other = self.parties.get(&other).map(|other| Arc::clone(&other.name)).filter(|other| *other != name);
        match self.legs.offer_to(&name, other.as_deref(), is_secure).await {
            Ok(offer) => {
                let Dial { request_uri, to, from, asserted, headers, .. } = dial;
                tracing::info!(call = %self.name, party = %name, to = %request_uri, "dialling");
                let contact_user =
                    credentials.as_ref().map_or_else(|| CONTACT.into(), |account| account.username.clone());
                let outgoing =
                    Outgoing { request_uri, to, from, asserted, contact_user, proxy, credentials, headers, offer };
                self.shared.traces.awaits(dialog, self.number, &name);
                self.shared.stack.act(Action::Invite(dialog, Box::new(outgoing)));
                self.shared.traces.awaits_no_more(dialog);
            }
            Err(error) => {
                tracing::warn!(call = %self.name, party = %name, %error, "no media for a party that is to be dialled");
                self.not_to_be_had(party, &error, error.status().code);
            }
        }
    }

    async fn progress(&mut self, party: PartyId, status: Status, early_media: bool) {
        let sdp = if early_media {
            let (name, other) = self.names(party);
            self.legs.answer(&name, &other).await.ok()
        } else {
            None
        };
        self.act(party, |dialog| Action::Progress { dialog, status, sdp });
    }

    /// What a caller is answered. It is told when what it is to hear has been arranged: it may speak at once, and is heard from its first
    /// packet on.
    pub(super) async fn answer_for(&mut self, party: PartyId) -> Option<Action> {
        let dialog = self.dialog(party)?;
        if let Some(sdp) = self.parties.get_mut(&party).and_then(|party| party.answer.take()) {
            return Some(Action::Accept { dialog, sdp });
        }
        let (name, other) = self.names(party);
        match self.legs.answer(&name, &other).await {
            Ok(sdp) => Some(Action::Accept { dialog, sdp }),
            Err(error) => {
                tracing::warn!(call = %self.name, party = %name, %error, "cannot be answered");
                self.shared.reject(dialog, error.status());
                self.happened.push(Input::Ended(party, None));
                None
            }
        }
    }
}

fn reason_header(reason: &Reason) -> Header {
    let Reason { protocol, cause, text } = reason;
    let text = text.as_ref().map(|text| format!(";text=\"{}\"", text.replace(['"', '\\'], "'"))).unwrap_or_default();
    Header { name: "Reason".into(), value: format!("{protocol};cause={cause}{text}").into() }
}
