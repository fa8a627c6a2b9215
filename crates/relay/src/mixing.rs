//! Listeners that hear several parties at once.
//!
//! What the talkers send is handed out once each, however many hear it ([`crate::HandOut::Heard`]); what comes back is one listener's
//! stream, taken as if it had been transcoded: so that the way from one party to several, and back, is a cut-over like any other.
//!
//! ```text
//!  talker -> ingress -+-> [HandOut::Heard] -> a mixer -> [Shard::made] -> egress -> listener
//!  talker -> ingress -+
//! ```
//!
//! A prompt over them: [`crate::overlay`].

use crate::command::{EgressMode, GAIN_DB, MIX_TALKERS_MAX, Overlay, Source, Talker, Under};
use crate::ids::{CutOverId, LegId, MadeId};
use crate::leg::egress::Hearing;
use crate::leg::{Slot, SourceSlot};
use crate::media::{Codec, Repeat};
use crate::overlay::{Begun, Beneath, Playing};
use crate::shard::Shard;
use crate::time::MonoTime;

/// What one leg hears of several others.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixing {
    /// Its name; never used twice in a shard.
    pub id: MadeId,
    /// Whom it hears; each is overheard.
    pub talkers: Vec<Talker>,
    /// Formats of the leg that hears it, by its payload types.
    pub to: Vec<Codec>,
    /// What is played to it beside them; nothing too where the name is known, and then what is played goes on.
    pub prompts: Vec<Begun>,
    /// For the stream's SSRC and first numbers.
    pub seed: u64,
}

/// What a leg hears that hears a mix.
#[derive(Debug)]
pub(crate) struct Mix {
    pub(crate) talkers: Vec<Talker>,
    pub(crate) beneath: Option<Box<Beneath>>,
    pub(crate) prompt: Option<Box<Playing>>,
}

impl Mix {
    /// In the words of the command that would bring it back.
    pub(crate) fn as_source(&self) -> Source {
        let talkers = self.talkers.clone();
        let under = self.beneath.as_ref().map(|beneath| beneath.under.clone());
        match (self.playing(), under) {
            (Some(Playing { prompt, .. }), under) => {
                Source::Overlay(Box::new(Overlay { talkers, under, prompt: prompt.clone() }))
            }
            (None, Some(Under { frames, .. })) => Source::Player { frames, repeat: Repeat::Forever },
            (None, None) => Source::Mix(talkers),
        }
    }

    /// Whether nothing is heard beside the talkers.
    pub(crate) fn plays_nothing(&self) -> bool {
        self.beneath.is_none() && self.playing().is_none()
    }

    /// The prompt, while it is not through.
    pub(crate) fn playing(&self) -> Option<&Playing> {
        self.prompt.as_deref().filter(|playing| !playing.has_ended)
    }
}

impl Shard {
    /// Why a leg with the formats `to` cannot hear these mixed, if it cannot. `formats_of` gives those of a leg that is there.
    pub(crate) fn mix_fault<'a>(
        &self,
        talkers: &[Talker],
        overlay: Option<&Overlay>,
        to: &[Codec],
        mode: EgressMode,
        formats_of: impl Fn(LegId) -> &'a [Codec],
    ) -> Option<String> {
        let Some(can) = self.transcodable else { return Some("nothing is mixed here".to_owned()) };
        if (talkers.is_empty() && overlay.is_none()) || talkers.len() > MIX_TALKERS_MAX {
            return Some(format!("a mix has 1 to {MIX_TALKERS_MAX} talkers, not {}", talkers.len()));
        }
        if mode == EgressMode::Transparent {
            return Some("its stream is transparent, and a mix has a stream of its own".to_owned());
        }
        if !to.iter().any(can) {
            return Some("it has no format that can be encoded".to_owned());
        }
        let prompt = overlay.map(|overlay| (&overlay.prompt.frames, overlay.prompt.gain_db));
        let under = overlay.and_then(|overlay| overlay.under.as_ref()).map(|under| (&under.frames, under.gain_db));
        for (frames, gain_db) in prompt.into_iter().chain(under) {
            if !frames.format().as_ref().is_some_and(can) {
                return Some(format!(
                    "the prompt is {}/{}, which cannot be decoded",
                    frames.encoding(),
                    frames.clock_rate()
                ));
            }
            if let Some(fault) = gain_fault(gain_db) {
                return Some(fault);
            }
        }
        talkers.iter().enumerate().find_map(|(index, talker)| {
            let Talker { leg, gain_db } = talker;
            if talkers[..index].iter().any(|earlier| earlier.leg == *leg) {
                return Some(format!("{leg} is in it twice"));
            }
            if let Some(fault) = gain_fault(*gain_db) {
                return Some(fault);
            }
            (!formats_of(*leg).iter().any(can)).then(|| format!("{leg} has no format that can be decoded"))
        })
    }

    /// A leg hears these from here on; those that are gone by now are left out. This allocates, once for each.
    pub(crate) fn begin_mix(
        &mut self,
        sink: Slot,
        talkers: &[Talker],
        beneath: Option<Box<Beneath>>,
        prompt: Option<Box<Playing>>,
    ) {
        for talker in talkers {
            let Some(slot) = self.legs.slot(talker.leg) else { continue };
            self.legs.cold[slot as usize].mixes += 1;
            self.ears_change(slot);
        }
        let there = talkers.iter().copied().filter(|talker| self.legs.slot(talker.leg).is_some());
        let talkers: Vec<Talker> = there.collect();
        let id = self.next_made(sink);
        if let Some(Playing { ends_at: Some(at), has_ended: false, .. }) = prompt.as_deref() {
            self.legs.prompt_ends.insert((*at, sink));
        }
        self.legs.mixes.insert(sink, Mix { talkers, beneath, prompt });
        self.legs.cold[sink as usize].made = Some(id);
        self.legs.egress[sink as usize].source = SourceSlot::Mix;
        self.legs.egress[sink as usize].hearing = Hearing::Made;
        self.tell_mix(sink, true);
    }

    /// The formats of a leg that hears a mix have changed.
    pub(crate) fn begin_mix_anew(&mut self, sink: Slot) {
        self.end_made(sink);
        self.legs.cold[sink as usize].made = Some(self.next_made(sink));
        self.legs.egress[sink as usize].resume_next();
        self.tell_mix(sink, true);
    }

    /// A leg no longer hears its mix; `by` says which cut-over did it, so that late packets can be told.
    pub(crate) fn end_mix(&mut self, sink: Slot, by: Option<(CutOverId, MonoTime)>) {
        let Some(Mix { talkers, prompt, .. }) = self.legs.mixes.remove(&sink) else { return };
        if let Some(playing) = prompt {
            self.legs.forget_prompt_end(sink, &playing);
        }
        for talker in talkers {
            let Some(slot) = self.legs.slot(talker.leg) else { continue };
            let cold = &mut self.legs.cold[slot as usize];
            cold.mixes = cold.mixes.saturating_sub(1);
            cold.former_sink = by.map(|(id, at)| (sink, id, at));
            self.ears_change(slot);
        }
    }

    /// A leg goes away: those who hear it mixed hear the others from here on; if there is but one, who is as loud as it speaks, as it is;
    /// and nothing if there are none. While a prompt plays over them, the mix goes on.
    pub(crate) fn leave_mixes(&mut self, leg: LegId, slot: Slot) {
        while self.legs.cold[slot as usize].mixes > 0 {
            let hears = |mix: &&mut Mix| mix.talkers.iter().any(|talker| talker.leg == leg);
            let mut mixes = self.legs.mixes.iter_mut().map(|(&sink, mix)| (sink, mix));
            let Some((sink, mix)) = mixes.find(|(_, mix)| hears(mix)) else { return };
            mix.talkers.retain(|talker| talker.leg != leg);
            let left = match mix.talkers[..] {
                [] if mix.plays_nothing() => None,
                [Talker { leg, gain_db: 0 }] if mix.plays_nothing() => self.legs.slot(leg),
                _ => {
                    self.legs.cold[slot as usize].mixes -= 1;
                    self.tell_mix(sink, false);
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

    /// What is played is told only where it begins with the stream.
    fn tell_mix(&mut self, sink: Slot, begins: bool) {
        let seed = self.rng.next_u64();
        let cold = &self.legs.cold[sink as usize];
        if let (Some(id), Some(mix)) = (cold.made, self.legs.mixes.get(&sink)) {
            let beneath = mix.beneath.as_deref().map(Beneath::begun);
            let prompts = beneath.into_iter().chain(mix.playing().map(Playing::begun)).filter(|_| begins).collect();
            self.outbox.mix(Mixing { id, talkers: mix.talkers.clone(), to: cold.codecs.clone(), prompts, seed });
        }
    }
}

fn gain_fault(gain_db: i8) -> Option<String> {
    let (min, max) = (GAIN_DB.start(), GAIN_DB.end());
    (!GAIN_DB.contains(&gain_db)).then(|| format!("a gain is {min} to {max} dB, not {gain_db}"))
}
