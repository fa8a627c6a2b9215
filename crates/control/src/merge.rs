//! Two calls made one: legs, ports, streams and what waits go on as they were, under the name of the call that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{CallMerged, EventKind, MergeCall, check_id};
use crate::call::{Call, CallModel, LEGS_MAX, Plan, party_name};
use crate::control::{CallAnswer, Control};
use crate::error::{ApiError, ErrorCode};
use crate::execute::unknown_call;
use crate::idempotency::{Lookup, wait};

impl Control {
    /// Takes another call into this one, once for an id however often it is asked for. Both names mean the one call from then on,
    /// and its events have the name of this one.
    ///
    /// The future may be dropped: what has been begun is finished.
    ///
    /// # Errors
    /// There is no such call or party, the two are one already or live on different workers, signalling of a proxy has made one of them, a
    /// name would be there twice, or there would be too many legs. Both are as they were.
    pub async fn merge_calls(&self, name: &str, request: MergeCall) -> Result<CallMerged, ApiError> {
        check_id(&request.id)?;
        let content = format!("merge {name:?} {:?} {:?}", request.call, request.rename);
        let lookup = self.call_answers().look_up(&request.id, content.as_bytes())?;
        let sender = match lookup {
            Lookup::New(sender) => sender,
            Lookup::Done(answer) => return merged(Some(answer)),
            Lookup::Running(answer) => return merged(wait(answer).await),
        };
        let (control, name) = (self.clone(), name.to_owned());
        let task = self.0.runtime.spawn(async move {
            let answer = control.merge_once(&name, &request).await;
            let kept = answer.as_ref().err().is_none_or(|error| error.code.status() != 503);
            control.call_answers().finish(&request.id, kept.then(|| CallAnswer::Merged(answer.clone())));
            sender.send_replace(Some(CallAnswer::Merged(answer.clone())));
            answer
        });
        task.await.unwrap_or_else(|_| merged(None))
    }

    async fn merge_once(&self, name: &str, request: &MergeCall) -> Result<CallMerged, ApiError> {
        loop {
            let (call, other) = (self.find(name)?, self.find(&request.call)?);
            check(&call, &other, &request.call)?;
            // Always in the same order, or two requests could wait for each other.
            let (one, two) = if call.name.serial < other.name.serial { (&call, &other) } else { (&other, &call) };
            let _gates = (one.gate.lock().await, two.gate.lock().await);
            if call.inner().closed || other.inner().closed {
                // Ended meanwhile, or part of another call by now.
                continue;
            }
            return self.join_all(&call, &other, &request.rename).await;
        }
    }

    /// The caller holds both gates.
    async fn join_all(
        &self,
        call: &Arc<Call>,
        other: &Arc<Call>,
        rename: &BTreeMap<String, String>,
    ) -> Result<CallMerged, ApiError> {
        let renames: Vec<_> = rename.iter().map(|(party, name)| (party.clone(), name.clone())).collect();
        let result = self
            .run(call, None, &mut |plan| {
                let mut model = other.lend().ok_or_else(|| unknown_call(&other.name.name))?;
                check_names(&plan.model, &model, rename, [&call.name.name, &other.name.name])?;
                model.legs.rename(&renames);
                plan.take_in(model)
            })
            .await;
        if let Err(error) = result {
            self.take_back(other);
            return Err(error);
        }
        for (party, name) in &renames {
            let renamed = EventKind::PartyRenamed { name: name.as_str().into() };
            self.tell(other.event(self.now(), Some(party.as_str().into()), renamed));
        }
        self.merge(call, other);
        let (call, merged) = (Arc::clone(&call.name.name), Arc::clone(&other.name.name));
        tracing::info!(%call, other = %merged, "two calls are one");
        let parties = self.find(&call)?.inner().model.legs.parties();
        Ok(CallMerged { call, merged, parties })
    }
}

impl Plan<'_> {
    /// The legs of another call are this one's from now on. What is recorded or dumped of this call is of them too.
    pub(crate) fn take_in(&mut self, other: CallModel) -> Result<(), ApiError> {
        let (is_tapped, was_tapped) = (self.model.tapped, other.tapped);
        self.model.absorb(other);
        self.keep_recording();
        if is_tapped || was_tapped {
            self.tap(is_tapped)?;
        }
        Ok(())
    }
}

/// Whether the two can be one at all.
fn check(call: &Arc<Call>, other: &Arc<Call>, named: &str) -> Result<(), ApiError> {
    let name = &call.name.name;
    if Arc::ptr_eq(call, other) {
        let why = format!("{named} is call {name} itself; name another one to be taken in");
        return Err(ApiError::new(ErrorCode::SameCall, why));
    }
    if call.worker != other.worker {
        let why = format!(
            "call {name} lives on worker {} and call {named} on worker {}: only calls of one worker can be merged; create the later one with \
             `\"beside\": \"{name}\"`",
            call.worker, other.worker
        );
        return Err(ApiError::new(ErrorCode::OtherWorker, why));
    }
    for call in [call, other] {
        if call.session().is_signalled() {
            let name = &call.name.name;
            let why = format!("call {name} is a proxy's, by ng; such calls are joined by ng's `connect`");
            return Err(ApiError::new(ErrorCode::Refused, why));
        }
    }
    Ok(())
}

/// Whether all parties of both have names of their own once those of the other are renamed.
fn check_names(
    model: &CallModel,
    other: &CallModel,
    rename: &BTreeMap<String, String>,
    [name, named]: [&str; 2],
) -> Result<(), ApiError> {
    let parties = other.legs.parties();
    for (party, new) in rename {
        if !parties.iter().any(|known| **known == **party) {
            let why = format!("call {named} has no party {party} that could be renamed; leave it out of `rename`");
            return Err(ApiError::new(ErrorCode::UnknownParty, why));
        }
        if party_name(new)?.contains('/') {
            let why = format!("`rename` {party} to {new}: a party is renamed with all its media; leave out the slash");
            return Err(ApiError::new(ErrorCode::BadRequest, why));
        }
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let own = model.legs.parties();
    names.extend(own.iter().map(|party| &**party));
    for party in &parties {
        let new = rename.get(&**party).map_or(&**party, String::as_str);
        if !names.insert(new) {
            let why = format!(
                "there would be two parties {new} in call {name}; rename that of call {named} by `\"rename\": {{\"{party}\": \"...\"}}`"
            );
            return Err(ApiError::new(ErrorCode::PartyExists, why));
        }
    }
    if model.legs.0.len() + other.legs.0.len() > LEGS_MAX {
        let why = format!("a call has at most {LEGS_MAX} legs, and the two have more together; delete some");
        return Err(ApiError::new(ErrorCode::NoRoom, why));
    }
    Ok(())
}

fn merged(answer: Option<CallAnswer>) -> Result<CallMerged, ApiError> {
    match answer {
        Some(CallAnswer::Merged(answer)) => answer,
        Some(_) => Err(ApiError::new(ErrorCode::IdReused, "the id was used to create or delete a call")),
        None => Err(ApiError::new(ErrorCode::WorkerUnavailable, "the server is stopping")),
    }
}
