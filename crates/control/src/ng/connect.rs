//! `connect`: two parties of one call or of two hear each other from now on, without an SDP.

use std::sync::Arc;

use patchcord_ng::{Dict, Options, reason};

use super::Ng;
use super::call::{call_id, said, unix_us};
use super::control::ok;
use super::refuse::Refused;
use super::session::{PartyId, Role, Session};
use crate::api::{Bridge, Command, EventKind};
use crate::call::{Call, Plan};
use crate::error::{ApiError, ErrorCode};
use crate::execute::unknown_call;

impl Ng {
    /// Joins the party of `from-tag` with the party of `to-tag`, which may be of the call `to-call-id`. The two calls are one
    /// then, known by both names.
    pub(super) async fn connect(&self, options: &Options) -> Result<Dict, Refused> {
        let first = call_id(options)?;
        let from = said(options.from_tag.as_ref()).ok_or(reason::NO_FROM_TAG)?;
        let to = said(options.to_tag.as_ref()).ok_or(reason::NO_TO_TAG)?;
        let second = said(options.to_call_id.as_ref()).unwrap_or(first);
        let find = |name: &str| self.0.control.find(name).map_err(|_| Refused::from(reason::UNKNOWN_CALL));
        let (call, other) = (find(first)?, find(second)?);
        if Arc::ptr_eq(&call, &other) {
            let _gate = call.gate.lock().await;
            return self.join(&call, None, from, to).await;
        }
        if call.worker != other.worker {
            let why = format!(
                "the calls {} and {} live on different workers; run the relay with one worker to join them",
                call.name.name, other.name.name
            );
            return Err(Refused::Because(why));
        }
        // Always in the same order, or two requests could wait for each other.
        let (one, two) = if call.name.serial < other.name.serial { (&call, &other) } else { (&other, &call) };
        let _gates = (one.gate.lock().await, two.gate.lock().await);
        self.join(&call, Some(&other), from, to).await
    }

    /// Joins parties of a call, or of two calls that are one then; refused, both are as they were. The caller holds the gates.
    async fn join(&self, call: &Arc<Call>, other: Option<&Arc<Call>>, from: &str, to: &str) -> Result<Dict, Refused> {
        let control = &self.0.control;
        let mut before = call.session().clone();
        // Parties of the same name in the second call get another one.
        let renames = other.map(|other| other.session().renames(&before)).unwrap_or_default();
        if let Some(other) = other {
            let mut session = other.session().clone();
            session.apply_renames(&renames);
            before.absorb(session);
        }
        let mut next = None;
        let mut add = |plan: &mut Plan<'_>| {
            let mut session = before.clone();
            let parties = session
                .joined(from, to)
                .map_err(|bad| ApiError::new(ErrorCode::BadTags, Refused::from(bad).to_string()))?;
            if let Some(other) = other {
                let mut model = other.lend().ok_or_else(|| unknown_call(&other.name.name))?;
                model.legs.rename(&renames);
                plan.take_in(model)?;
            }
            for (a, b) in session.bridges(parties) {
                if plan.model.legs.named(&a).is_some() && plan.model.legs.named(&b).is_some() {
                    plan.add(&Command::Bridge(Bridge { a, b, trigger: None }))?;
                }
            }
            session.note_signal(parties, unix_us());
            next = Some(session);
            Ok(())
        };
        let result = control.run(call, None, &mut add).await;
        if let Some(other) = other {
            match &result {
                Ok(_) => {
                    for (party, name) in &renames {
                        let renamed = EventKind::PartyRenamed { name: name.as_str().into() };
                        control.tell(other.event(control.now(), Some(party.as_str().into()), renamed));
                    }
                    control.merge(call, other);
                    if let Some(quality) = other.quality().take() {
                        call.quality().get_or_insert_default().absorb(*quality);
                    }
                    tracing::info!(call = %call.name.name, other = %other.name.name, "two calls are one");
                }
                Err(_) => control.take_back(other),
            }
        }
        result?;
        if let Some(next) = next {
            *call.session() = next;
        }
        Ok(ok())
    }
}

impl Session {
    /// The two parties of these tags, each other's peer from now on.
    fn joined(&mut self, from: &str, to: &str) -> Result<(PartyId, PartyId), super::session::BadTags> {
        let id = |tag: &str| self.tagged(tag).map(|party| party.id);
        let (from, to) =
            (id(from).ok_or(super::session::BadTags::Unknown)?, id(to).ok_or(super::session::BadTags::Unknown)?);
        let listens = |id| self.party(id).is_some_and(|party| party.role == Role::Subscriber);
        if from == to || listens(from) || listens(to) {
            return Err(super::session::BadTags::Association);
        }
        for (one, other) in [(from, to), (to, from)] {
            if let Some(party) = self.party_mut(one) {
                party.peer = Some(other);
                party.role = Role::Dialogue;
            }
        }
        Ok((from, to))
    }

    /// The legs of the two that belong together, by index; they are noted as bridged.
    fn bridges(&mut self, (from, to): (PartyId, PartyId)) -> Vec<(String, String)> {
        let names = |session: &Self, party| {
            session
                .party(party)
                .map_or_else(Vec::new, |party| (0..party.media.len()).map(|index| party.leg_name(index)).collect())
        };
        let pairs = names(self, from).into_iter().zip(names(self, to)).collect();
        for (one, other) in [(from, to), (to, from)] {
            let media = self.party_mut(one).map(|party| party.media.iter_mut()).into_iter().flatten();
            media.filter_map(|media| media.leg.as_mut()).for_each(|leg| leg.bridged_with = Some(other));
        }
        pairs
    }

    /// Names of its parties that the other session has too, and what they are to be instead.
    fn renames(&self, other: &Self) -> Vec<(String, String)> {
        let clash = self.parties.iter().filter(|party| other.parties.iter().any(|taken| taken.name == party.name));
        let renamed = clash.enumerate().map(|(index, party)| {
            (
                party.name.as_ref().to_owned(),
                format!("{}-{}", party.name, other.parties.len() + self.parties.len() + index),
            )
        });
        renamed.collect()
    }

    fn apply_renames(&mut self, renames: &[(String, String)]) {
        for party in &mut self.parties {
            if let Some((_, name)) = renames.iter().find(|(old, _)| **old == *party.name) {
                party.name = name.as_str().into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_become_one_with_names_and_peers_of_their_own() {
        let mut one = Session::default();
        one.of_offer("a", None, None, 0).expect("new tags");
        let mut two = Session::default();
        let (c, callee) = two.of_offer("c", None, None, 0).expect("new tags");
        let renames = two.renames(&one);
        assert_eq!(renames.len(), 1, "both have a callee without a tag: {renames:?}");
        two.apply_renames(&renames);
        assert_eq!(two.party(c).and_then(|party| party.peer), Some(callee));
        one.absorb(two);
        assert_eq!(one.parties.len(), 4);
        let (a, c) = one.joined("a", "c").expect("both are there");
        let peer = |id| one.party(id).and_then(|party| party.peer);
        assert_eq!((peer(a), peer(c)), (Some(c), Some(a)));
        assert!(one.joined("a", "a").is_err() && one.joined("a", "x").is_err());
    }
}
