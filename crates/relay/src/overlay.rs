//! Prompts over what a leg hears.
//!
//! A leg with a prompt hears a mix ([`crate::mixing`]), of one other or none too. The mixer plays the prompt, from frames that it is
//! given with the mix. When that is through is the engine's own matter: it goes by the time, so that no answer can be lost, and a mixer
//! that is late leaves out what it has missed. The mix goes on without it, until somebody gives the leg another source.

use core::time::Duration;

use crate::command::{Prompt, Source, Under};
use crate::event::Event;
use crate::leg::{Legs, Slot};
use crate::media::{Frames, Repeat};
use crate::mixing::Mix;
use crate::shard::Shard;
use crate::time::MonoTime;

/// Audio that whoever mixes is to play.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// The frames.
    pub frames: Frames,
    /// How often.
    pub repeat: Repeat,
    /// How much louder it is heard, in dB.
    pub gain_db: i8,
    /// When it began. That is longer ago where a new stream goes on with it.
    pub at: MonoTime,
}

/// How much later than it should be a prompt is taken to be through: a mixer begins with its next packet, and takes a moment.
const BEGINS_LATE: Duration = Duration::from_millis(40);

/// A prompt over a mix.
#[derive(Debug)]
pub(crate) struct Playing {
    pub(crate) prompt: Prompt,
    at: MonoTime,
    /// `None`: never.
    pub(crate) ends_at: Option<MonoTime>,
    /// That has been told.
    pub(crate) has_ended: bool,
}

impl Playing {
    pub(crate) fn begin(prompt: &Prompt, now: MonoTime) -> Box<Self> {
        let ends_at = match prompt.repeat {
            Repeat::Forever => None,
            Repeat::Times(times) => {
                let frames = u64::from(times.max(1)).saturating_mul(prompt.frames.count().into());
                let nanos = frames.saturating_mul(prompt.frames.ptime().as_nanos() as u64);
                Some(now.after_nanos(nanos).after(BEGINS_LATE))
            }
        };
        Box::new(Self { prompt: prompt.clone(), at: now, ends_at, has_ended: false })
    }

    pub(crate) fn begun(&self) -> Begun {
        let Prompt { frames, repeat, gain_db, .. } = &self.prompt;
        Begun { frames: frames.clone(), repeat: *repeat, gain_db: *gain_db, at: self.at }
    }
}

/// What a prompt is played over beside the talkers.
#[derive(Debug)]
pub(crate) struct Beneath {
    pub(crate) under: Under,
    pub(crate) at: MonoTime,
}

impl Beneath {
    pub(crate) fn begun(&self) -> Begun {
        let Under { frames, gain_db } = &self.under;
        Begun { frames: frames.clone(), repeat: Repeat::Forever, gain_db: *gain_db, at: self.at }
    }
}

impl Legs {
    /// Takes the prompt of this id from what a leg hears, through or not.
    pub(crate) fn take_prompt(&mut self, sink: Slot, id: u32) -> Option<Box<Playing>> {
        let prompt = &mut self.mixes.get_mut(&sink)?.prompt;
        let playing = prompt.take_if(|playing| playing.prompt.id == id)?;
        self.forget_prompt_end(sink, &playing);
        Some(playing)
    }

    /// Since when a leg has been hearing these frames, which have no end.
    fn hears_since(&self, sink: Slot, frames: &Frames) -> Option<MonoTime> {
        let beneath = || self.mixes.get(&sink)?.beneath.as_deref().filter(|beneath| beneath.under.frames == *frames);
        let player = || self.cold[sink as usize].player.as_ref()?.since(frames);
        beneath().map(|beneath| beneath.at).or_else(player)
    }

    /// How often a prompt is played over what a leg hears, if one is.
    pub(crate) fn prompt_over(&self, sink: Slot) -> Option<Repeat> {
        self.mixes.get(&sink).and_then(Mix::playing).map(|playing| playing.prompt.repeat)
    }

    pub(crate) fn forget_prompt_end(&mut self, sink: Slot, playing: &Playing) {
        if let Some(at) = playing.ends_at {
            self.prompt_ends.remove(&(at, sink));
        }
    }
}

impl Shard {
    /// Since when a leg has been hearing what has no end in `source`, so that it goes on. A player after a player begins anew.
    pub(crate) fn goes_on_since(&self, sink: Slot, source: &Source) -> Option<MonoTime> {
        match source {
            Source::Overlay(overlay) => self.legs.hears_since(sink, &overlay.under.as_ref()?.frames),
            Source::Player { frames, repeat: Repeat::Forever } if self.legs.mixes.contains_key(&sink) => {
                self.legs.hears_since(sink, frames)
            }
            _ => None,
        }
    }

    /// Prompts over what legs hear that are through by `now`: whoever waited for that goes on.
    pub(crate) fn end_prompts(&mut self, now: MonoTime) {
        while let Some(&(at, sink)) = self.legs.prompt_ends.first()
            && at <= now
        {
            self.legs.prompt_ends.pop_first();
            self.end_prompt(sink, now);
        }
    }

    /// Ends the prompt over what a leg hears as if it had come to its end. It is heard until the leg is given another source.
    pub(crate) fn end_prompt_now(&mut self, sink: Slot, now: MonoTime) {
        let playing = self.legs.mixes.get(&sink).and_then(Mix::playing);
        let Some(ends_at) = playing.map(|playing| playing.ends_at) else { return };
        if let Some(at) = ends_at {
            self.legs.prompt_ends.remove(&(at, sink));
        }
        self.end_prompt(sink, now);
    }

    /// The leg goes on hearing the rest, mixed; nothing, if there is none.
    fn end_prompt(&mut self, sink: Slot, now: MonoTime) {
        let Some(playing) = self.legs.mixes.get_mut(&sink).and_then(|mix| mix.prompt.as_mut()) else { return };
        playing.has_ended = true;
        let cold = &self.legs.cold[sink as usize];
        let (leg, awaited_by) = (cold.id, cold.prompt_awaited_by);
        self.outbox.event(Event::PlayFinished { leg });
        if let Some(id) = awaited_by {
            self.fire(id, now);
        }
        if self.legs.mixes.get(&sink).is_some_and(|mix| mix.talkers.is_empty() && mix.plays_nothing()) {
            self.detach(sink, None);
        }
    }
}
