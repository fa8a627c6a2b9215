//! From a change of what parties hear to one cut-over.

use core::time::Duration;
use std::sync::Arc;

use patchcord_relay::command::{self, CutOver, Prompt, Source, SourceChange, Under};
use patchcord_relay::ids::{CutOverId, LegId};

use super::model::{Heard, HeardOver, Leg, Legs};
use super::plan::{Draft, Plan};
use super::record::{Part, Record};
use crate::api::{CommandName, CutOverState, Trigger, TriggerName};
use crate::audio::Sound;
use crate::error::{ApiError, ErrorCode};

/// How a change happens.
pub(super) struct How {
    pub(super) command: CommandName,
    pub(super) trigger: Trigger,
    /// The legs of which the command says all that they hear afterwards, whatever they heard before.
    pub(super) settles: Vec<LegId>,
    /// The leg whose first packet, voice or prompt a trigger waits for.
    pub(super) first_packet_of: Option<LegId>,
    pub(super) prompt_of: Option<LegId>,
    /// The leg that is deleted after the switch, and how many milliseconds later.
    pub(super) drop_old: Option<(LegId, u32)>,
}

impl How {
    /// At once.
    pub(super) fn now(command: CommandName) -> Self {
        Self {
            command,
            trigger: Trigger::Immediate,
            settles: Vec::new(),
            first_packet_of: None,
            prompt_of: None,
            drop_old: None,
        }
    }
}

impl Plan<'_> {
    /// Plans the step from the legs as they are to `after`: what any of them hears differently becomes one cut-over.
    pub(super) fn change(&mut self, after: Legs, how: &How) -> Result<Draft, ApiError> {
        let before = &self.model.legs;
        let differs = |was: &Leg, will: &Leg| was.hearing != will.hearing || before.heard(was) != after.heard(will);
        if !before.0.iter().zip(&after.0).any(|(was, will)| differs(was, will)) {
            return Ok(Draft::CutOver(Vec::new()));
        }
        self.gains_must_not_wait(&after)?;
        let mut parts = Vec::new();
        let mut changes = Vec::new();
        let immediate = how.trigger == Trigger::Immediate;
        for (was, will) in before.0.iter().zip(&after.0) {
            let (heard, will_hear) = (before.heard(was), after.heard(will));
            let settled = !immediate && how.settles.contains(&was.id);
            if heard == will_hear && was.hearing == will.hearing && !settled {
                continue;
            }
            self.must_not_wait(was, will, heard == will_hear, immediate)?;
            // While a cut-over waits, other commands may change what its parties hear: all of them are given their source
            // explicitly when it happens. Only audio that goes on is left alone, or it would begin anew; and whoever goes on
            // monitoring somebody, which has nothing to do with the cut-over.
            let left_alone = matches!(heard, Heard::Player { .. })
                || (!settled && matches!(heard, Heard::Leg(_) | Heard::Mix(_) | Heard::Overlay(_)));
            let goes_on = heard == will_hear && (immediate || left_alone);
            if !goes_on {
                let source = match will_hear {
                    Heard::Silence => Source::Silence,
                    Heard::Leg(leg) => Source::Leg(leg),
                    Heard::Mix(talkers) => Source::Mix(talkers),
                    Heard::Player { sound, repeat, .. } => match sound.frames_for(&will.codecs) {
                        Some(frames) => Source::Player { frames: frames.clone(), repeat },
                        None => return Err(no_encoding(&will.party, &sound.name)),
                    },
                    Heard::Overlay(over) => overlay(*over, will)?,
                };
                changes.push(SourceChange { sink: was.id, source });
            }
            let hearing = if immediate { &was.hearing } else { &will.hearing };
            parts.push(Part {
                leg: was.id,
                hearing: hearing.clone(),
                changed_by: was.changed_by,
                sink: !goes_on,
                settled: settled && !goes_on,
            });
        }
        let id = self.env.next_cut_over();
        if changes.is_empty() {
            // Nobody hears a difference yet, but what came before can no longer be undone on its own.
            self.model.legs = after;
            self.mark_changed(&parts, id);
            return Ok(Draft::CutOver(Vec::new()));
        }
        let (trigger, name) = self.trigger(how)?;
        let mut state = CutOverState::Pending;
        if immediate {
            state = CutOverState::Done;
            self.model.legs = after;
            self.mark_changed(&parts, id);
        }
        let receipts = Vec::with_capacity(changes.len());
        let begun: Vec<LegId> = changes.iter().filter(|_| immediate).map(|change| change.sink).collect();
        self.tell_engine(command::Command::CutOver(CutOver { id, changes, trigger }));
        begun.into_iter().for_each(|leg| self.play_what_follows(leg));
        self.model.records.push(Record {
            id,
            request: self.request.clone(),
            command: how.command,
            trigger: name,
            state,
            parts: parts.into(),
            lost_a_leg: false,
            awaited: match how.trigger {
                Trigger::AfterPrompt => how.prompt_of,
                Trigger::OnHuman => how.first_packet_of,
                _ => None,
            },
            drop_old: how.drop_old.map(Box::new),
            receipts,
        });
        Ok(Draft::CutOver(vec![id]))
    }

    /// What was queued behind what is played to a leg, which has just begun.
    fn play_what_follows(&mut self, id: LegId) {
        let Some(leg) = self.model.legs.get(id) else { return };
        let Some(play) = leg.hearing.play.as_ref().filter(|play| !play.finished) else { return };
        let next = play.then.iter().filter_map(|(sound, repeat)| {
            let frames = sound.frames_for(&leg.codecs)?.clone();
            Some(command::Command::PlayNext { leg: id, frames, repeat: *repeat })
        });
        let next: Vec<_> = next.collect();
        next.into_iter().for_each(|command| self.tell_engine(command));
    }

    fn mark_changed(&mut self, parts: &[Part], id: CutOverId) {
        for part in parts {
            if let Some(leg) = self.model.legs.get_mut(part.leg) {
                leg.changed_by = Some(id);
            }
        }
    }

    /// While a cut-over waits, the legs that its command names may be played something and be held, but must keep their
    /// peers. Whoever else has to do with it must stay as it is, and hear what it hears: the engine will set just the sources
    /// that were planned.
    fn must_not_wait(&self, was: &Leg, will: &Leg, hears_the_same: bool, immediate: bool) -> Result<(), ApiError> {
        for record in self.model.records.pending() {
            let part = record.part(was.id);
            let near = was.hearing.peer.is_some_and(|peer| record.part(peer).is_some());
            if part.is_none() && !near {
                continue;
            }
            // Others who come and go in its conference change what it hears too.
            let same = was.hearing == will.hearing && (hears_the_same || part.is_none_or(|part| part.settled));
            let company = |leg: &Leg| (leg.hearing.peer, leg.hearing.company().conference);
            let same_peer = company(was) == company(will);
            let prompt_ends = record.awaits(TriggerName::AfterPrompt, was.id) && was.hearing.play != will.hearing.play;
            let free = same || (part.is_some_and(|part| part.settled) && same_peer && !prompt_ends);
            if !immediate || !free {
                return Err(pending(&was.party, record));
            }
        }
        Ok(())
    }

    /// While a cut-over waits, whoever it concerns is heard as loud as before, and hears the others so: the engine will set just the
    /// sources that were planned.
    fn gains_must_not_wait(&self, after: &Legs) -> Result<(), ApiError> {
        let before = &self.model.legs;
        let legs = || before.0.iter().zip(&after.0);
        let is_set = |was: &Leg, will: &Leg| was.hearing.company().gain_db != will.hearing.company().gain_db;
        if !legs().any(|(was, will)| is_set(was, will)) {
            return Ok(());
        }
        let concerned = legs().filter(|(was, will)| is_set(was, will) || before.heard(was) != after.heard(will));
        let mut waiting = concerned.filter_map(|(was, _)| Some((was, self.model.records.pending_for(was.id)?)));
        waiting.next().map_or(Ok(()), |(was, record)| Err(pending(&was.party, record)))
    }

    fn trigger(&self, how: &How) -> Result<(command::Trigger, TriggerName), ApiError> {
        let never = |why: &str| ApiError::new(ErrorCode::BadTrigger, format!("the trigger can never fire: {why}"));
        Ok(match how.trigger {
            Trigger::Immediate => (command::Trigger::Immediate, TriggerName::Immediate),
            Trigger::OnFirstPacket => {
                let leg = how.first_packet_of.ok_or_else(|| never("the command has no new source"))?;
                (command::Trigger::OnFirstPacket { leg }, TriggerName::OnFirstPacket)
            }
            Trigger::OnHuman => (command::Trigger::OnCommand, TriggerName::OnHuman),
            Trigger::AfterMs(ms) => {
                let at = self.now.after(Duration::from_millis(ms.into()));
                (command::Trigger::At(at), TriggerName::At)
            }
            Trigger::AfterPrompt => {
                let leg = how.prompt_of.ok_or_else(|| never("no party of the command is being played a prompt"))?;
                (command::Trigger::AfterPrompt { leg }, TriggerName::AfterPrompt)
            }
        })
    }
}

/// The same audio goes on in the engine where the others over whom it is played change.
fn overlay(over: HeardOver, leg: &Leg) -> Result<Source, ApiError> {
    let HeardOver { talkers, under, sound, repeat, gain_db, serial: id, finished: _ } = over;
    let frames =
        |sound: &Sound| sound.frames_for(&leg.codecs).cloned().ok_or_else(|| no_encoding(&leg.party, &sound.name));
    let beneath = |(sound, gain_db): (Arc<Sound>, i8)| frames(&sound).map(|frames| Under { frames, gain_db });
    let under = under.map(beneath).transpose()?;
    let prompt = Prompt { id, frames: frames(&sound)?, repeat, gain_db };
    Ok(Source::Overlay(Box::new(command::Overlay { talkers, under, prompt })))
}

fn pending(party: &Arc<str>, record: &Record) -> ApiError {
    let (number, command) = (record.id.0, record.command.as_str());
    let of = record.request.as_deref().unwrap_or("-");
    ApiError::new(
        ErrorCode::CutOverPending,
        format!("{party} waits for cut-over {number} ({command} of {of:?}); roll that back first, or wait for it"),
    )
}

pub(super) fn no_encoding(party: &str, audio: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NoEncoding,
        format!(
            "{audio} cannot be encoded for {party}: it takes neither PCMU/8000 nor PCMA/8000; add one by leg-codecs"
        ),
    )
}
