//! What each party hears, by the rules of the relay's bridge commands.

use std::collections::BTreeMap;

use patchcord_pivot::call::words::Trigger;
use patchcord_pivot::call::{MediaAct, PartyId};

/// What a party hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    Silence,
    Hold,
    Ringback,
    Early(PartyId),
    Party(PartyId),
    Conference,
}

#[derive(Clone, Debug, Default)]
struct Ear {
    peer: Option<PartyId>,
    is_held: bool,
    rings: bool,
    early: Option<PartyId>,
    in_conference: bool,
}

/// A swap that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) survivor: PartyId,
    pub(crate) old: Option<PartyId>,
    pub(crate) new: PartyId,
    pub(crate) trigger: Trigger,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Ears {
    ears: BTreeMap<PartyId, Ear>,
    pub(crate) waiting: Option<Waiting>,
}

impl Ears {
    pub(crate) fn add(&mut self, party: PartyId) {
        assert!(self.ears.insert(party, Ear::default()).is_none(), "{party:?} has a leg already");
    }

    pub(crate) fn hears(&self, party: PartyId) -> Hears {
        let Some(ear) = self.ears.get(&party) else { return Hears::Silence };
        if ear.rings {
            return Hears::Ringback;
        }
        if let Some(from) = ear.early.filter(|from| self.ears.contains_key(from)) {
            return Hears::Early(from);
        }
        if ear.is_held {
            return Hears::Hold;
        }
        if ear.in_conference && self.conference().len() > 1 {
            return Hears::Conference;
        }
        match ear.peer {
            Some(peer) if self.ears.get(&peer).is_some_and(|other| other.peer == Some(party) && !other.is_held) => {
                Hears::Party(peer)
            }
            _ => Hears::Silence,
        }
    }

    fn conference(&self) -> Vec<PartyId> {
        self.ears.iter().filter(|(_, ear)| ear.in_conference).map(|(&party, _)| party).collect()
    }

    fn ear(&mut self, party: PartyId) -> &mut Ear {
        self.ears.get_mut(&party).unwrap_or_else(|| panic!("{party:?} has no leg"))
    }

    fn bridge(&mut self, a: PartyId, b: PartyId) {
        for (party, other) in [(a, b), (b, a)] {
            let former = self.ear(party).peer;
            if let Some(former) = former.filter(|&former| former != other && self.ears.contains_key(&former))
                && !self.ear(former).is_held
            {
                self.ear(former).peer = None;
            }
            *self.ear(party) = Ear { peer: Some(other), ..Ear::default() };
        }
    }

    fn leave(&mut self, party: PartyId) {
        if !core::mem::take(&mut self.ear(party).in_conference) {
            return;
        }
        if let [a, b] = self.conference()[..] {
            self.bridge(a, b);
        }
    }

    pub(crate) fn cut_over(&mut self) {
        let Some(swap) = self.waiting.take() else { return };
        self.bridge(swap.survivor, swap.new);
        if let Some(old) = swap.old.filter(|old| self.ears.contains_key(old)) {
            *self.ear(old) = Ear { is_held: true, ..Ear::default() };
        }
    }

    pub(crate) fn take(&mut self, act: &MediaAct) {
        match act {
            MediaAct::Bridge { a, b } => self.bridge(*a, *b),
            MediaAct::Hold { party, .. } => {
                let ear = self.ear(*party);
                (ear.is_held, ear.rings, ear.early) = (true, false, None);
            }
            MediaAct::Resume(party) => {
                let ear = self.ear(*party);
                (ear.is_held, ear.rings, ear.early) = (false, false, None);
                let party = *party;
                if let Some(peer) = self.ear(party).peer.filter(|peer| self.ears.contains_key(peer)) {
                    self.bridge(party, peer);
                }
            }
            MediaAct::Ringback(party) => self.ear(*party).rings = true,
            MediaAct::EarlyMedia { listener, from } => {
                assert!(self.ears.contains_key(from));
                let ear = self.ear(*listener);
                (ear.rings, ear.early) = (false, Some(*from));
            }
            MediaAct::Stop(party) => {
                let ear = self.ear(*party);
                (ear.rings, ear.early) = (false, None);
            }
            &MediaAct::Swap { survivor, old, new, trigger } => {
                assert!(
                    self.ears.contains_key(&survivor) && self.ears.contains_key(&new),
                    "a swap of legs that are there"
                );
                self.waiting = Some(Waiting { survivor, old, new, trigger });
            }
            MediaAct::CancelSwap(survivor) => {
                assert!(self.ears.contains_key(survivor));
                self.waiting = None;
            }
            MediaAct::Conference(parties) => {
                for party in parties {
                    *self.ear(*party) = Ear { in_conference: true, ..Ear::default() };
                }
            }
            MediaAct::Leave(party) => self.leave(*party),
            MediaAct::Whisper { party, by } => assert!(self.ears.contains_key(party) && self.ears.contains_key(by)),
            MediaAct::Unwhisper(party) | MediaAct::Detect(party) => {
                self.ear(*party);
            }
            MediaAct::Drop(party) => {
                self.leave(*party);
                self.ears.remove(party).expect("a leg is dropped once");
                self.waiting = self.waiting.filter(|swap| swap.survivor != *party && swap.new != *party);
            }
        }
    }

    /// The parties of another call come in under other names.
    pub(crate) fn merge(&mut self, other: &Self, names: &[(PartyId, PartyId)]) {
        let here = |party: PartyId| names.iter().find_map(|&(was, is)| (was == party).then_some(is));
        for &(was, is) in names {
            let ear = other.ears[&was].clone();
            self.ears.insert(is, Ear { peer: ear.peer.and_then(here), early: ear.early.and_then(here), ..ear });
        }
    }
}
