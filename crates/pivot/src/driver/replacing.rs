//! Requests that begin a dialog and are about another one: an INVITE with `Replaces` (RFC 3891), and a REFER with `Target-Dialog`
//! (RFC 4538).

use std::sync::Arc;

use super::task::{Message, Party, Tags, Task};
use super::{Shared, TrunkSettings};
use crate::call::sipfrag::status;
use crate::call::trunk::Trunk;
use crate::call::{Act, Call};
use crate::media::MediaError;
use crate::message::{DialogId, Event, Incoming, Refer, RequestId, Sdp, Status};

/// An INVITE that wants a party's place.
#[derive(Debug)]
pub(super) struct Replacing {
    /// Its own dialog.
    pub(super) dialog: DialogId,
    /// The one that it is to replace.
    replaced: DialogId,
    incoming: Box<Incoming>,
    trunk: Arc<Trunk>,
}

impl Shared {
    /// Gives an INVITE with `Replaces` to the call whose party it wants to replace, or refuses it.
    pub(super) fn replaces(&self, dialog: DialogId, incoming: Box<Incoming>, trunk: &TrunkSettings) {
        let call_id = incoming.call_id.clone();
        if let Err((status, why)) = self.try_replaces(dialog, incoming, trunk) {
            self.traces.refused(&call_id);
            tracing::info!(trunk = %trunk.trunk.name, code = status.code, why, "an INVITE with Replaces was refused");
            self.reject(dialog, status);
        }
    }

    fn try_replaces(
        &self,
        dialog: DialogId,
        incoming: Box<Incoming>,
        trunk: &TrunkSettings,
    ) -> Result<(), (Status, &'static str)> {
        // Before anything of it is looked at: it is told nothing of calls.
        if !trunk.trunk.replaces {
            return Err((status(403), "its trunk has no `replaces = true`"));
        }
        let found = self.dialogs().find_for_invite(&incoming.replaces);
        let found = found.map_err(|status| (status, "its Replaces names no dialog that can be replaced"))?;
        let gone = || (status(481), "the call is over");
        let (_, replaced) = found.ok_or_else(gone)?;
        let mut index = self.index();
        let handle = index.dialogs.get(&replaced).cloned().ok_or_else(gone)?;
        let trunk = Arc::clone(&trunk.trunk);
        let replacing = Replacing { dialog, replaced, incoming, trunk };
        handle.send(Message::Replace(Box::new(replacing))).map_err(|_| gone())?;
        index.dialogs.insert(dialog, handle);
        Ok(())
    }

    /// A REFER outside of a dialog: with `Target-Dialog` it is taken as one in that dialog, but for its NOTIFYs. Without, there is nobody
    /// whom the pivot could transfer.
    pub(super) fn refer_outside(&self, request: RequestId, refer: &Refer) {
        if let Err((status, why)) = self.try_refer_outside(request, refer) {
            tracing::info!(from = %refer.from.uri, origin = %refer.origin.address, code = status.code, why,
                "a REFER outside of a dialog was refused");
            self.respond(request, status);
        }
    }

    fn try_refer_outside(&self, request: RequestId, refer: &Refer) -> Result<(), (Status, &'static str)> {
        if self.settings.trunk_of(&refer.origin).is_none() {
            return Err((status(403), "the address is none of `pivot.trunks.NAME.addresses`"));
        }
        let Some(target) = &refer.target_dialog else {
            let phrase = "A REFER Outside of a Dialog Needs Target-Dialog".into();
            return Err((Status { code: 603, phrase }, "it names no dialog"));
        };
        let found = self.dialogs().find_target(target);
        let (_, dialog) = found.map_err(|status| (status, "its Target-Dialog is none of the pivot's"))?;
        let index = self.index();
        let event = Event::Refer { dialog: Some(dialog), request, refer: Box::new(refer.clone()) };
        let handle = index.dialogs.get(&dialog).ok_or((status(481), "the call is over"))?;
        handle.send(Message::Signal(event)).map_err(|_| (status(481), "the call is over"))
    }
}

impl Task {
    /// The new party takes the place, or is refused; then nothing has changed.
    pub(super) async fn replace(&mut self, call: &mut Call, replacing: Replacing, acts: &mut Vec<Act>) {
        let (dialog, by) = (replacing.dialog, replacing.incoming.from.uri.clone());
        let call_id = replacing.incoming.call_id.clone();
        if let Err(status) = self.try_replace(call, replacing, acts).await {
            tracing::info!(call = %self.name, from = %by, code = status.code, "an INVITE with Replaces was refused");
            self.shared.traces.refused(&call_id);
            self.shared.index().dialogs.remove(&dialog);
            self.shared.reject(dialog, status);
        }
    }

    async fn try_replace(&mut self, call: &mut Call, replacing: Replacing, acts: &mut Vec<Act>) -> Result<(), Status> {
        let Replacing { dialog, replaced, incoming, trunk } = replacing;
        let replaced = self.party_of(replaced).ok_or_else(|| status(481))?;
        call.may_replace(replaced, &trunk)?;
        let name = call.replacement_name();
        let other = call.would_hear(replaced).map(|party| call.name(party)).unwrap_or_default();
        // Its media is there before anybody's place is taken: an offer of no use changes nothing.
        let done = match self.answer_to(&name, &other, &incoming, &trunk).await {
            Ok(answer) => call.replace(self.now(), replaced, &incoming, trunk, acts).map(|new| (new, answer)),
            Err(error) => {
                tracing::info!(call = %self.name, %error, "no media for a party that is to replace another");
                Err(error.status())
            }
        };
        let (new, answer) = match done {
            Ok(done) => done,
            Err(status) => {
                self.legs.remove(&name).await;
                return Err(status);
            }
        };
        self.shared.traces.begins(self.number, &incoming.call_id, &name);
        tracing::info!(call = %self.name, party = %name, from = %incoming.from.uri, "an INVITE with Replaces takes a place");
        let mut party = Party::new(name, dialog);
        party.answer = Some(answer);
        party.tags = Some(Tags::of(&incoming));
        self.parties.insert(new, party);
        Ok(())
    }

    async fn answer_to(
        &mut self,
        name: &Arc<str>,
        other: &str,
        incoming: &Incoming,
        trunk: &Trunk,
    ) -> Result<Sdp, MediaError> {
        self.take_offer(name, &trunk.name, incoming).await?;
        self.legs.answer(name, other).await
    }
}
