//! What each party of a call hears, from the bridge commands that were executed: for people who look at a transfer afterwards.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::call::{MediaAct, PartyId};

/// From then on a party hears this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who.
    pub party: Arc<str>,
    /// Since the pivot was started.
    pub since: Duration,
    /// What.
    pub what: What,
}

/// What a party hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Another party.
    Party(Arc<str>),
    /// A party that has not answered.
    EarlyMedia(Arc<str>),
    /// Several parties.
    Conference(Vec<Arc<str>>),
    /// A ringing tone of the relay's.
    RingingTone,
    /// Hold audio.
    Hold,
    /// Nobody.
    Silence,
    /// The party is no longer there.
    Gone,
}

/// The parties of a call, as far as it matters for what they hear.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    lanes: BTreeMap<PartyId, Lane>,
}

#[derive(Debug)]
struct Lane {
    name: Arc<str>,
    peer: Option<PartyId>,
    is_held: bool,
    is_in_conference: bool,
    cover: Option<Cover>,
    told: Option<What>,
}

/// What is heard instead of peer and hold audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    RingingTone,
    EarlyMedia(PartyId),
}

impl Timeline {
    /// There is a party.
    pub(super) fn joined(&mut self, party: PartyId, name: &Arc<str>) {
        let name = Arc::clone(name);
        let lane = || Lane { name, peer: None, is_held: false, is_in_conference: false, cover: None, told: None };
        self.lanes.entry(party).or_insert_with(lane);
    }

    /// Another call's parties are of this call, by other ids and names.
    pub(super) fn take_in(
        &mut self,
        other: Self,
        here: impl Fn(PartyId) -> Option<PartyId>,
        name: impl Fn(PartyId) -> Arc<str>,
    ) {
        for (was, lane) in other.lanes {
            let Some(is) = here(was) else { continue };
            let cover = match lane.cover {
                Some(Cover::EarlyMedia(from)) => here(from).map(Cover::EarlyMedia),
                cover => cover,
            };
            let peer = lane.peer.and_then(&here);
            // Nothing was told of it here.
            self.lanes.insert(is, Lane { name: name(is), peer, cover, told: None, ..lane });
        }
    }

    /// A command was executed. `rings`: ringing tones are played.
    pub(super) fn executed(&mut self, act: &MediaAct, rings: bool) {
        match act {
            MediaAct::Bridge { a, b } => self.bridged(*a, *b),
            MediaAct::Hold { party, .. } => self.change(*party, |lane| (lane.is_held, lane.cover) = (true, None)),
            MediaAct::Resume(party) => self.change(*party, |lane| (lane.is_held, lane.cover) = (false, None)),
            MediaAct::Ringback(party) if rings => self.change(*party, |lane| lane.cover = Some(Cover::RingingTone)),
            MediaAct::EarlyMedia { listener, from } => {
                self.change(*listener, |lane| lane.cover = Some(Cover::EarlyMedia(*from)));
            }
            MediaAct::Stop(party) => self.change(*party, |lane| lane.cover = None),
            MediaAct::Conference(parties) => {
                for party in parties {
                    self.change(*party, |lane| {
                        (lane.peer, lane.is_held, lane.cover, lane.is_in_conference) = (None, false, None, true);
                    });
                }
            }
            MediaAct::Leave(party) => self.leave(*party),
            MediaAct::Drop(party) => {
                self.leave(*party);
                for lane in self.lanes.values_mut() {
                    lane.peer = lane.peer.filter(|peer| peer != party);
                    lane.cover = lane.cover.filter(|cover| *cover != Cover::EarlyMedia(*party));
                }
            }
            // A swap is told when it has taken place; whispers are besides.
            _ => {}
        }
    }

    /// The two hear each other; whom they heard before hears hold audio if it is a swap, and nobody otherwise.
    pub(super) fn swapped(&mut self, survivor: PartyId, new: PartyId) {
        let old = self.lanes.get(&survivor).and_then(|lane| lane.peer).filter(|old| *old != new);
        self.bridged(survivor, new);
        if let Some(old) = old {
            self.change(old, |lane| lane.is_held = true);
        }
    }

    /// What is heard otherwise than before, and by whom.
    pub(super) fn news(&mut self, now: Duration, there: impl Fn(PartyId) -> bool) -> Vec<Heard> {
        let parties: Vec<_> = self.lanes.keys().copied().collect();
        let mut news = Vec::new();
        for party in parties {
            let is_there = there(party);
            let what = if is_there { self.heard_by(party) } else { What::Gone };
            let Some(lane) = self.lanes.get_mut(&party) else { continue };
            if lane.told.as_ref() != Some(&what) {
                lane.told = Some(what.clone());
                news.push(Heard { party: Arc::clone(&lane.name), since: now, what });
            }
            if !is_there {
                self.lanes.remove(&party);
            }
        }
        news
    }

    /// Who hears a party.
    pub(super) fn listeners(&self, party: PartyId) -> impl Iterator<Item = Arc<str>> {
        let name = self.lanes.get(&party).map(|lane| Arc::clone(&lane.name));
        self.lanes.iter().filter_map(move |(listener, lane)| {
            let name = name.as_ref()?;
            let hears = match self.heard_by(*listener) {
                What::Party(heard) | What::EarlyMedia(heard) => heard == *name,
                What::Conference(others) => others.contains(name),
                _ => false,
            };
            hears.then(|| Arc::clone(&lane.name))
        })
    }

    fn heard_by(&self, party: PartyId) -> What {
        let Some(lane) = self.lanes.get(&party) else { return What::Gone };
        let name = |party: PartyId| self.lanes.get(&party).map(|lane| Arc::clone(&lane.name)).unwrap_or_default();
        match lane.cover {
            Some(Cover::RingingTone) => return What::RingingTone,
            Some(Cover::EarlyMedia(from)) => return What::EarlyMedia(name(from)),
            None if lane.is_held => return What::Hold,
            None => {}
        }
        if lane.is_in_conference {
            let others =
                self.lanes.iter().filter(|(other, lane)| **other != party && lane.is_in_conference && !lane.is_held);
            return What::Conference(others.map(|(_, lane)| Arc::clone(&lane.name)).collect());
        }
        match lane.peer.and_then(|peer| self.lanes.get(&peer)) {
            // Who hears early media is heard by nobody.
            Some(peer)
                if peer.peer == Some(party) && !peer.is_held && !matches!(peer.cover, Some(Cover::EarlyMedia(_))) =>
            {
                What::Party(Arc::clone(&peer.name))
            }
            _ => What::Silence,
        }
    }

    fn bridged(&mut self, a: PartyId, b: PartyId) {
        for party in [a, b] {
            self.leave(party);
        }
        for (one, other) in [(a, b), (b, a)] {
            self.change(one, |lane| (lane.peer, lane.is_held, lane.cover) = (Some(other), false, None));
        }
    }

    /// Two that are left of a conference are each other's peer.
    fn leave(&mut self, party: PartyId) {
        if !self.lanes.get(&party).is_some_and(|lane| lane.is_in_conference) {
            return;
        }
        self.change(party, |lane| lane.is_in_conference = false);
        let rest: Vec<_> = self.lanes.iter().filter(|(_, lane)| lane.is_in_conference).map(|(id, _)| *id).collect();
        if let [a, b] = rest[..] {
            for (one, other) in [(a, b), (b, a)] {
                self.change(one, |lane| (lane.peer, lane.is_in_conference) = (Some(other), false));
            }
        }
    }

    fn change(&mut self, party: PartyId, change: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.lanes.get_mut(&party) {
            change(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: PartyId = PartyId(0);
    const AGENT: PartyId = PartyId(1);
    const TARGET: PartyId = PartyId(2);

    fn party(name: &str) -> What {
        What::Party(name.into())
    }

    fn heard(timeline: &mut Timeline) -> Vec<(String, What)> {
        let news = timeline.news(Duration::ZERO, |_| true);
        news.into_iter().map(|heard| (heard.party.to_string(), heard.what)).collect()
    }

    #[test]
    fn a_blind_transfer_is_told_as_it_is_heard() {
        let mut timeline = Timeline::default();
        for (id, name) in [(CALLER, "caller"), (AGENT, "agent")] {
            timeline.joined(id, &name.into());
        }
        let to = |name: &str, what: What| (name.to_owned(), what);
        assert_eq!(heard(&mut timeline), [to("caller", What::Silence), to("agent", What::Silence)]);
        timeline.executed(&MediaAct::Bridge { a: CALLER, b: AGENT }, false);
        assert_eq!(heard(&mut timeline), [to("caller", party("agent")), to("agent", party("caller"))]);
        timeline.executed(&MediaAct::Hold { party: CALLER, audio: None }, false);
        assert_eq!(heard(&mut timeline), [to("caller", What::Hold), to("agent", What::Silence)]);
        timeline.joined(TARGET, &"target".into());
        timeline.executed(&MediaAct::Ringback(CALLER), false);
        assert_eq!(heard(&mut timeline), [to("target", What::Silence)], "no country, no tone");
        timeline.executed(&MediaAct::Ringback(CALLER), true);
        assert_eq!(heard(&mut timeline), [to("caller", What::RingingTone)]);
        timeline.executed(&MediaAct::EarlyMedia { listener: CALLER, from: TARGET }, true);
        assert_eq!(heard(&mut timeline), [to("caller", What::EarlyMedia("target".into()))]);
        timeline.swapped(CALLER, TARGET);
        let swapped = [to("caller", party("target")), to("agent", What::Hold), to("target", party("caller"))];
        assert_eq!(heard(&mut timeline), swapped);
        let gone = timeline.news(Duration::from_secs(1), |party| party != AGENT);
        assert_eq!(gone, [Heard { party: "agent".into(), since: Duration::from_secs(1), what: What::Gone }]);
        assert_eq!(timeline.news(Duration::from_secs(2), |party| party != AGENT), [], "that is told once");
    }

    #[test]
    fn who_is_left_of_a_conference_hears_the_other() {
        let mut timeline = Timeline::default();
        for (id, name) in [(CALLER, "caller"), (AGENT, "agent"), (TARGET, "target")] {
            timeline.joined(id, &name.into());
        }
        timeline.executed(&MediaAct::Conference(vec![CALLER, AGENT, TARGET]), false);
        let all = heard(&mut timeline);
        assert_eq!(all[1], ("agent".to_owned(), What::Conference(vec!["caller".into(), "target".into()])));
        timeline.executed(&MediaAct::Drop(AGENT), false);
        let left = [("caller".to_owned(), party("target")), ("target".to_owned(), party("caller"))];
        assert_eq!(timeline.news(Duration::ZERO, |party| party != AGENT).len(), 3);
        assert_eq!(timeline.heard_by(CALLER), left[0].1);
        assert_eq!(timeline.heard_by(TARGET), left[1].1);
    }
}
