//! `delete`: a call ends, or one of its branches; at once or after a while, during which its media goes on.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;

use patchcord_ng::{Dict, Options, reason};

use super::Ng;
use super::call::said;
use super::query::{report_of, with_result};
use super::refuse::Refused;
use super::session::{Party, PartyId, Role, Session};
use crate::api::{Command, OneParty};
use crate::call::{Call, Plan};
use crate::error::ApiError;

/// What a request wants to have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doomed {
    /// The whole call.
    Call,
    /// These parties; the others go on.
    Parties(Vec<PartyId>),
    /// Nothing has these tags.
    Nothing,
}

/// How often signalling had spoken when something was to end: if it speaks again, that goes on.
#[derive(Clone, Debug)]
struct Said {
    of_call: u64,
    of_parties: Vec<(PartyId, u64)>,
}

impl Ng {
    /// Ends what the tags name, and says what came of it.
    pub(super) async fn delete(&self, options: &Options) -> Result<Dict, Refused> {
        self.0.counts.deletes.fetch_add(1, Ordering::Relaxed);
        super::call::call_id(options)?;
        let nothing = || {
            if options.flags.fatal {
                return Err(Refused::from(reason::NOTHING_DELETED));
            }
            Ok(Dict::new().with("result", "ok").with("warning", reason::NOTHING_DELETED))
        };
        let Ok(call) = self.find(options) else { return nothing() };
        let delay = match options.delete_delay_s {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None => self.0.config.delete_delay,
        };
        let gate = call.gate.lock().await;
        let doomed = call.session().doomed(options);
        if doomed == Doomed::Nothing {
            return nothing();
        }
        let since = call.session().said_of(&doomed);
        if delay.is_zero() && doomed == Doomed::Call {
            let snapshots = self.0.control.delete_locked(&call).await?;
            return Ok(with_result(report_of(&call, &snapshots)));
        }
        let report = self.report(&call).await?;
        drop(gate);
        if delay.is_zero() {
            self.end(&call, &doomed, &since).await;
        } else {
            let (ng, call) = (self.clone(), Arc::downgrade(&call));
            self.0.control.spawn(async move {
                tokio::time::sleep(delay).await;
                if let Some(call) = call.upgrade() {
                    ng.end(&call, &doomed, &since).await;
                }
            });
        }
        Ok(with_result(report))
    }

    /// Ends it, unless an offer or answer has come since then.
    async fn end(&self, call: &Arc<Call>, doomed: &Doomed, since: &Said) {
        let result = match doomed {
            Doomed::Nothing => Ok(()),
            Doomed::Call if call.session().signalled != since.of_call => Ok(()),
            Doomed::Call => self.0.control.delete_call(&call.name.name, None).await.map(drop),
            Doomed::Parties(_) => self.end_parties(call, &since.of_parties).await,
        };
        if let Err(error) = result {
            tracing::debug!(call = %call.name.name, %error, "nothing left to delete");
        }
    }

    async fn end_parties(&self, call: &Arc<Call>, parties: &[(PartyId, u64)]) -> Result<(), ApiError> {
        let _gate = call.gate.lock().await;
        let mut session = call.session().clone();
        let silent = |(id, said): &&(PartyId, u64)| session.party(*id).is_some_and(|party| party.signalled == *said);
        let parties: Vec<_> = parties.iter().filter(silent).map(|(id, _)| *id).collect();
        let legs = session.legs_of(&parties);
        session.remove(&parties);
        let mut add = |plan: &mut Plan<'_>| {
            let alive = legs.iter().filter(|leg| plan.model.legs.named(leg).is_some()).cloned().collect::<Vec<_>>();
            alive.into_iter().try_for_each(|party| plan.add(&Command::LegDelete(OneParty { party })))
        };
        self.0.control.run(call, None, &mut add).await?;
        *call.session() = session;
        Ok(())
    }
}

impl Session {
    /// What a request's tags name. A branch of a forked call is one party; whoever else is left with nobody to talk to goes
    /// with it. With a subscriber or a publisher nobody goes, and when nobody is left but subscribers, they go too.
    fn doomed(&self, options: &Options) -> Doomed {
        let branch = said(options.via_branch.as_ref()).and_then(|branch| self.of_branch(branch));
        let (from, to) = (said(options.from_tag.as_ref()), said(options.to_tag.as_ref()));
        let (from_party, to_party) = (from.and_then(|tag| self.tagged(tag)), to.and_then(|tag| self.tagged(tag)));
        let mut parties = match (from, to) {
            (None, None) if branch.is_none() => return Doomed::Call,
            _ if branch.is_some() => branch.into_iter().collect::<Vec<_>>(),
            // Neither is known: the tags are of another call.
            (Some(_), _) if from_party.is_none() && to_party.is_none() => return Doomed::Nothing,
            (None, Some(_)) if to_party.is_none() => return Doomed::Nothing,
            (_, Some(to)) => match to_party {
                // A former branch that answered the same offer: the present one goes on.
                Some(party) if party.tag.as_deref() != Some(to) => return Doomed::Parties(Vec::new()),
                Some(party) => vec![self.branch_side(party.id, from_party.map(|party| party.id))],
                None => return Doomed::Nothing,
            },
            (_, None) => from_party.map(|party| party.id).into_iter().collect(),
        };
        if parties.iter().any(|&id| self.party(id).is_some_and(|party| party.role == Role::Dialogue)) {
            self.add_the_lonely(&mut parties);
        }
        let stays = |party: &Party| party.role != Role::Subscriber && !parties.contains(&party.id);
        let nobody_stays = self.parties.len() <= parties.len();
        if nobody_stays || (!self.parties.iter().any(stays) && self.speakers().next().is_some()) {
            return Doomed::Call;
        }
        Doomed::Parties(parties)
    }

    fn said_of(&self, doomed: &Doomed) -> Said {
        let parties = if let Doomed::Parties(parties) = doomed { &parties[..] } else { &[] };
        let of_party = |&id: &PartyId| Some((id, self.party(id)?.signalled));
        Said { of_call: self.signalled, of_parties: parties.iter().filter_map(of_party).collect() }
    }

    /// Nobody goes on alone.
    fn add_the_lonely(&self, parties: &mut Vec<PartyId>) {
        loop {
            let stays = |id: PartyId| !parties.contains(&id) && self.party(id).is_some();
            let has_company = |id: PartyId| {
                let talks_to = |one: &Party, other: PartyId| one.peer == Some(other);
                self.parties.iter().any(|other| {
                    other.id != id
                        && stays(other.id)
                        && (talks_to(other, id) || self.party(id).is_some_and(|party| talks_to(party, other.id)))
                })
            };
            let talking = self.parties.iter().filter(|party| party.role == Role::Dialogue).map(|party| party.id);
            let lonely: Vec<_> = talking.filter(|&id| stays(id) && !has_company(id)).collect();
            if lonely.is_empty() {
                return;
            }
            parties.extend(lonely);
        }
    }

    /// Of two parties in dialogue the one that is a branch: the other one may have further branches.
    fn branch_side(&self, party: PartyId, other: Option<PartyId>) -> PartyId {
        let branches = |id: PartyId| self.parties.iter().filter(|party| party.peer == Some(id)).count();
        match other {
            Some(other) if branches(party) > branches(other) => other,
            _ => party,
        }
    }

    fn legs_of(&self, parties: &[PartyId]) -> Vec<String> {
        let doomed = self.parties.iter().filter(|party| parties.contains(&party.id));
        doomed.flat_map(Party::leg_names).collect()
    }

    pub(super) fn remove(&mut self, parties: &[PartyId]) {
        self.parties.retain(|party| !parties.contains(&party.id));
        let alive: Vec<PartyId> = self.parties.iter().map(|party| party.id).collect();
        for media in self.parties.iter_mut().flat_map(|party| &mut party.media) {
            media.hears = media.hears.filter(|source| alive.contains(&source.party));
        }
        for index in 0..self.parties.len() {
            let id = self.parties[index].id;
            if self.parties[index].peer.is_some_and(|peer| !alive.contains(&peer)) {
                let next = self.parties.iter().find(|other| other.peer == Some(id)).map(|other| other.id);
                self.parties[index].peer = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(from: Option<&str>, to: Option<&str>, branch: Option<&str>) -> Options {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Options { from_tag: own(from), to_tag: own(to), via_branch: own(branch), ..Options::default() }
    }

    #[test]
    fn one_branch_ends_and_its_siblings_go_on() {
        let mut session = Session::default();
        let (a, first) = session.of_offer("a", None, Some("z1"), 0).expect("new tags");
        let (_, second) = session.of_offer("a", None, Some("z2"), 0).expect("new tags");
        session.of_answer("a", "b2", Some("z2")).expect("it was offered");
        assert_eq!(session.doomed(&tags(Some("a"), None, Some("z1"))), Doomed::Parties(vec![first]));
        assert_eq!(session.doomed(&tags(Some("a"), Some("b2"), None)), Doomed::Parties(vec![second]));
        assert_eq!(session.doomed(&tags(Some("b2"), Some("a"), None)), Doomed::Parties(vec![second]));
        assert_eq!(session.doomed(&tags(Some("a"), None, None)), Doomed::Call);
        assert_eq!(session.doomed(&tags(None, None, None)), Doomed::Call);
        assert_eq!(session.doomed(&tags(Some("x"), Some("y"), None)), Doomed::Nothing);
        assert_eq!(session.doomed(&tags(Some("a"), Some("y"), None)), Doomed::Nothing);
        session.remove(&[second]);
        assert_eq!(session.party(a).and_then(|party| party.peer), Some(first));
        assert_eq!(session.doomed(&tags(Some("a"), None, Some("z1"))), Doomed::Call);
    }

    #[test]
    fn the_end_of_a_branch_that_was_overtaken_ends_nothing() {
        let mut session = Session::default();
        session.of_offer("a", None, None, 0).expect("new tags");
        session.of_answer("a", "b1", None).expect("it was offered");
        session.of_answer("a", "b2", None).expect("it was offered");
        assert_eq!(session.doomed(&tags(Some("a"), Some("b1"), None)), Doomed::Parties(Vec::new()));
        assert_eq!(session.doomed(&tags(Some("a"), Some("b2"), None)), Doomed::Call);
        assert_eq!(session.doomed(&tags(Some("b2"), None, None)), Doomed::Call);
    }
}
