//! Commands about what a party sends and hears: block and silence media, play and stop.

use std::sync::Arc;

use patchcord_ng::{Dict, Options, reason};

use super::Ng;
use super::call::said;
use super::refuse::Refused;
use super::session::{Party, Session};
use crate::api::{Command, Forever, OneParty, Play, Repeat};
use crate::audio::{SILENCE, Sound};
use crate::call::{Call, Plan};

/// What becomes of what a party sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nobody hears it.
    Block,
    Unblock,
    /// Its key presses are not relayed.
    BlockDtmf,
    UnblockDtmf,
    /// Its listeners hear silence, in packets.
    Silence,
    Unsilence,
}

impl Ng {
    /// Blocks, silences, or lets be heard what the selected parties send.
    pub(super) async fn gate(&self, options: &Options, gate: Gate) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        let _gate = call.gate.lock().await;
        let session = call.session().clone();
        let parties = session.selected(options)?.unwrap_or_else(|| session.speakers().collect());
        let mut add = |plan: &mut Plan<'_>| {
            for leg in legs_of(&parties, plan) {
                match gate {
                    Gate::Block => plan.add(&Command::Mute(OneParty { party: leg }))?,
                    Gate::Unblock => plan.add(&Command::Unmute(OneParty { party: leg }))?,
                    Gate::BlockDtmf => plan.add(&Command::DtmfBlock(OneParty { party: leg }))?,
                    Gate::UnblockDtmf => plan.add(&Command::DtmfUnblock(OneParty { party: leg }))?,
                    Gate::Silence => {
                        for party in plan.listeners_of(&leg) {
                            let audio = SILENCE.to_owned();
                            let repeat = Repeat::Forever(Forever::Forever);
                            plan.add(&Command::Play(Play::covering(party, audio, repeat)))?;
                        }
                    }
                    Gate::Unsilence => {
                        for party in plan.peers_of(&leg) {
                            plan.add(&Command::Stop(OneParty { party }))?;
                        }
                    }
                }
            }
            Ok(())
        };
        self.0.control.run(&call, None, &mut add).await?;
        Ok(ok())
    }

    /// Plays a file, or audio that came with the request, to the selected parties.
    pub(super) async fn play(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        call.session().must_select(options)?;
        let sound = self.sound(options).await?;
        let duration_ms = sound.duration_ms();
        let _gate = call.gate.lock().await;
        let session = call.session().clone();
        let parties = session.must_select(options)?;
        let repeat = Repeat::Times(times(options, duration_ms));
        let mut add = |plan: &mut Plan<'_>| {
            for party in legs_of(&parties, plan) {
                plan.play_sound(&party, Arc::clone(&sound), repeat)?;
            }
            Ok(())
        };
        self.0.control.run(&call, None, &mut add).await?;
        Ok(ok().with("duration", duration_ms))
    }

    /// Ends what is played to the selected parties.
    pub(super) async fn stop(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        let _gate = call.gate.lock().await;
        let session = call.session().clone();
        let parties = session.must_select(options)?;
        let mut add = |plan: &mut Plan<'_>| {
            let legs = legs_of(&parties, plan);
            legs.into_iter().try_for_each(|party| plan.add(&Command::Stop(OneParty { party })))
        };
        self.0.control.run(&call, None, &mut add).await?;
        Ok(ok())
    }

    async fn sound(&self, options: &Options) -> Result<Arc<Sound>, Refused> {
        if let Some(blob) = options.blob.clone() {
            let sound = self.0.control.blocking(move || Sound::from_bytes("blob", &blob, None, 0)).await;
            return sound.map_err(|error| format!("Failed to start media playback from blob: {error}").as_str().into());
        }
        if options.db_id.is_some() {
            return Err(
                "Failed to start media playback from database: this relay has none; give a file or a blob".into()
            );
        }
        let Some(file) = options.file.clone() else { return Err("No media file specified".into()) };
        if let Some(sound) = self.0.control.named_sound(&file) {
            return Ok(sound);
        }
        let path = std::path::PathBuf::from(&file);
        let sound = self.0.control.blocking(move || Sound::from_file(&file, &path, 0)).await;
        sound.map_err(|error| format!("Failed to start media playback from file: {error}").as_str().into())
    }

    /// The call; where there is none, in the words that these commands have for it.
    pub(super) fn find_for_media(&self, options: &Options) -> Result<Arc<Call>, Refused> {
        super::call::call_id(options)?;
        self.find(options).map_err(|_| reason::UNKNOWN_CALL_MEDIA.into())
    }
}

impl Session {
    /// The parties that a request selects by tag, label, address or `all`; `None`: it selects none.
    pub(super) fn selected(&self, options: &Options) -> Result<Option<Vec<&Party>>, Refused> {
        if options.flags.all {
            return Ok(Some(self.speakers().collect()));
        }
        if let Some(tag) = said(options.from_tag.as_ref()) {
            let party = self.tagged(tag).ok_or("From-tag given, but no such tag exists")?;
            return Ok(Some(vec![party]));
        }
        if let Some(label) = said(options.label.as_ref()) {
            let party = self.parties.iter().find(|party| party.label.as_deref() == Some(label));
            return Ok(Some(vec![party.ok_or("No monologue matching the given label")?]));
        }
        if let Some(address) = options.address {
            let is_there = |party: &&Party| {
                let mut legs = party.media.iter().filter_map(|media| media.leg.as_ref());
                legs.any(|leg| leg.remote.is_some_and(|remote| remote.ip() == address))
            };
            let party = self.parties.iter().find(is_there);
            return Ok(Some(vec![party.ok_or("No party is at the given address")?]));
        }
        Ok(None)
    }

    pub(super) fn must_select(&self, options: &Options) -> Result<Vec<&Party>, Refused> {
        self.selected(options)?.ok_or_else(|| "No participant party specified".into())
    }
}

/// The legs of these parties that the call still has.
pub(super) fn legs_of(parties: &[&Party], plan: &Plan<'_>) -> Vec<String> {
    let legs = parties.iter().flat_map(|party| party.leg_names());
    legs.filter(|leg| plan.model.legs.named(leg).is_some()).collect()
}

pub(super) fn ok() -> Dict {
    Dict::new().with("result", "ok")
}

/// How often something of so many milliseconds is played: `repeat-times`, and with `repeat-duration` until it has been played for that
/// long, whichever comes first.
fn times(options: &Options, duration_ms: u64) -> u32 {
    let by_time = options.repeat_duration_ms.filter(|&ms| ms > 0);
    let by_time = by_time.map(|ms| u32::try_from(u64::from(ms).div_ceil(duration_ms.max(1))).unwrap_or(u32::MAX));
    let times = [options.repeat_times.filter(|&times| times > 0), by_time].into_iter().flatten().min();
    times.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_repeated_so_often_or_for_so_long() {
        for (repeat_times, repeat_duration_ms, expected) in [
            (None, None, 1),
            (Some(0), Some(0), 1),
            (Some(3), None, 3),
            (None, Some(10_000), 10),
            (None, Some(10_001), 11),
            (Some(3), Some(10_000), 3),
            (Some(30), Some(10_000), 10),
            (None, Some(1), 1),
        ] {
            let options = Options { repeat_times, repeat_duration_ms, ..Options::default() };
            assert_eq!(times(&options, 1000), expected, "{repeat_times:?} {repeat_duration_ms:?}");
        }
        let longest = Options { repeat_duration_ms: Some(u32::MAX), ..Options::default() };
        assert_eq!(times(&longest, 0), u32::MAX);
    }
}
