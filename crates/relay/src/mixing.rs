//! Listeners that hear several parties at once.
//!
//! What the talkers send is handed out once each, however many hear it ([`crate::HandOut::Heard`]); what comes back is one listener's
//! stream, taken as if it had been transcoded: so that the way from one party to several, and back, is a cut-over like any other.
//!
//! ```text
//!  talker -> ingress -+-> [HandOut::Heard] -> a mixer -> [Shard::made] -> egress -> listener
//!  talker -> ingress -+
//! ```

use crate::command::{EgressMode, GAIN_DB, MIX_TALKERS_MAX, Talker};
use crate::ids::{CutOverId, LegId, MadeId};
use crate::leg::egress::Hearing;
use crate::leg::{Slot, SourceSlot};
use crate::media::Codec;
use crate::shard::Shard;
use crate::time::MonoTime;

/// What one leg hears of several others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixing {
    /// Its name; never used twice in a shard.
    pub id: MadeId,
    /// Whom it hears; each is overheard.
    pub talkers: Vec<Talker>,
    /// Formats of the leg that hears it, by its payload types.
    pub to: Vec<Codec>,
    /// For the stream's SSRC and first numbers.
    pub seed: u64,
}

impl Shard {
    /// Why a leg with the formats `to` cannot hear these mixed, if it cannot. `formats_of` gives those of a leg that is there.
    pub(crate) fn mix_fault<'a>(
        &self,
        talkers: &[Talker],
        to: &[Codec],
        mode: EgressMode,
        formats_of: impl Fn(LegId) -> &'a [Codec],
    ) -> Option<String> {
        let Some(can) = self.transcodable else { return Some("nothing is mixed here".to_owned()) };
        if talkers.is_empty() || talkers.len() > MIX_TALKERS_MAX {
            return Some(format!("a mix has 1 to {MIX_TALKERS_MAX} talkers, not {}", talkers.len()));
        }
        if mode == EgressMode::Transparent {
            return Some("its stream is transparent, and a mix has a stream of its own".to_owned());
        }
        if !to.iter().any(can) {
            return Some("it has no format that can be encoded".to_owned());
        }
        talkers.iter().enumerate().find_map(|(index, talker)| {
            let Talker { leg, gain_db } = talker;
            if talkers[..index].iter().any(|earlier| earlier.leg == *leg) {
                return Some(format!("{leg} is in it twice"));
            }
            if !GAIN_DB.contains(gain_db) {
                let (min, max) = (GAIN_DB.start(), GAIN_DB.end());
                return Some(format!("a gain is {min} to {max} dB, not {gain_db}"));
            }
            (!formats_of(*leg).iter().any(can)).then(|| format!("{leg} has no format that can be decoded"))
        })
    }

    /// A leg hears these from here on; those that are gone by now are left out. This allocates, once for each.
    pub(crate) fn begin_mix(&mut self, sink: Slot, talkers: &[Talker]) {
        for talker in talkers {
            let Some(slot) = self.legs.slot(talker.leg) else { continue };
            self.legs.cold[slot as usize].mixes += 1;
            self.ears_change(slot);
        }
        let there = talkers.iter().copied().filter(|talker| self.legs.slot(talker.leg).is_some());
        let talkers: Vec<Talker> = there.collect();
        let id = self.next_made(sink);
        self.legs.mixes.insert(sink, talkers);
        self.legs.cold[sink as usize].made = Some(id);
        self.legs.egress[sink as usize].source = SourceSlot::Mix;
        self.legs.egress[sink as usize].hearing = Hearing::Made;
        self.tell_mix(sink);
    }

    /// The formats of a leg that hears a mix have changed.
    pub(crate) fn begin_mix_anew(&mut self, sink: Slot) {
        self.end_made(sink);
        self.legs.cold[sink as usize].made = Some(self.next_made(sink));
        self.legs.egress[sink as usize].resume_next();
        self.tell_mix(sink);
    }

    /// A leg no longer hears its mix; `by` says which cut-over did it, so that late packets can be told.
    pub(crate) fn end_mix(&mut self, sink: Slot, by: Option<(CutOverId, MonoTime)>) {
        let Some(talkers) = self.legs.mixes.remove(&sink) else { return };
        for talker in talkers {
            let Some(slot) = self.legs.slot(talker.leg) else { continue };
            let cold = &mut self.legs.cold[slot as usize];
            cold.mixes = cold.mixes.saturating_sub(1);
            cold.former_sink = by.map(|(id, at)| (sink, id, at));
            self.ears_change(slot);
        }
    }

    /// A leg goes away: those who hear it mixed hear the others from here on; if there is but one, who is as loud as it speaks, as it is;
    /// and nothing if there are none.
    pub(crate) fn leave_mixes(&mut self, leg: LegId, slot: Slot) {
        while self.legs.cold[slot as usize].mixes > 0 {
            let hears = |talkers: &&mut Vec<Talker>| talkers.iter().any(|talker| talker.leg == leg);
            let mut mixes = self.legs.mixes.iter_mut().map(|(&sink, talkers)| (sink, talkers));
            let Some((sink, talkers)) = mixes.find(|(_, talkers)| hears(talkers)) else { return };
            talkers.retain(|talker| talker.leg != leg);
            let left = match talkers[..] {
                [] => None,
                [Talker { leg, gain_db: 0 }] => self.legs.slot(leg),
                _ => {
                    self.legs.cold[slot as usize].mixes -= 1;
                    self.tell_mix(sink);
                    continue;
                }
            };
            self.legs.cold[slot as usize].mixes -= 1;
            self.detach(sink, None);
            if let Some(source) = left {
                self.hear_alone(source, sink);
            }
        }
    }

    /// A leg that has no source hears another one as it is.
    fn hear_alone(&mut self, source: Slot, sink: Slot) {
        self.legs.egress[sink as usize].source = SourceSlot::Leg(source);
        self.legs.link(source, sink);
        self.map_payload_types(sink);
    }

    fn tell_mix(&mut self, sink: Slot) {
        let seed = self.rng.next_u64();
        let cold = &self.legs.cold[sink as usize];
        if let (Some(id), Some(talkers)) = (cold.made, self.legs.mixes.get(&sink)) {
            self.outbox.mix(Mixing { id, talkers: talkers.clone(), to: cold.codecs.clone(), seed });
        }
    }
}
