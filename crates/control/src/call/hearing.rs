//! Commands about what parties hear: bridge, swap, hold, play, monitor and their opposites.
//!
//! A party hears the topmost of: what is played to it, hold audio (if it is on hold), what the parties send that it monitors,
//! the others of its conference who are not on hold, its peer (if each is the other's peer and the peer is not on hold), silence; and
//! with the last four whoever whispers to it. A command changes this state of one or more parties; all sources that
//! differ then are one cut-over, done by the engine in one step.
//!
//! - `bridge a b`: each is the other's peer; both lose hold and play. A former peer is left with silence, but on hold it
//!   keeps its place: `resume` brings it together with its peer again, whoever that talks to by then. Thus a customer can be
//!   held, the agent consult with an expert, and either be swapped for the other or come back.
//! - `play` with `overlay` covers nothing: the party goes on hearing what it hears, with the audio over it, and commands that change
//!   what it hears leave the audio playing, from where it is. On hold that is the hold audio.
//! - `hold` takes away what is played; `resume` takes away hold and play. `play` and `ringback` replace each other; `stop`, or
//!   the end of a prompt, uncovers what is below; with `queue` a `play` follows what is played instead.
//! - `swap survivor old new`: a bridge of `survivor` and `new` that parks `old` with hold audio or silence. It needs
//!   `old` as the survivor's peer, or none.
//! - `monitor party of`: the party hears what `of` sends, whatever `of` hears or is bridged with, until `unmonitor`, which
//!   uncovers the peer. `of` and its peer notice nothing, and whoever has the party as peer goes on hearing it. `hold` and `play`
//!   cover it; `bridge` and `swap` end it for the parties that they name. It stays while `of` is held, bridged anew or
//!   swapped; the deletion of `of` leaves silence in its place, as the end of a source always does.
//!
//! - `conference parties`: each of them hears all the others, mixed where these are more than one. Like a bridge it sets everything
//!   anew for them. Who is deleted, bridged or swapped is out of it, as after `leave`; two that are left hear each other as in a bridge.
//! - `whisper party by`: the party hears another one besides; nobody else does. `bridge`, `swap` and `conference` end it for the
//!   party that hears it.
//! - `gain party`: whoever hears the party, in a conference, by a monitor or in a bridge, hears it louder by so many dB, until another
//!   `gain`; a whisper's own gain comes on top. It is heard mixed then, alone too; at 0 dB it is relayed as it is again. No bridge and
//!   no swap changes it. Who waits for a cut-over keeps its gain, and whom it hears theirs.
//!
//! A cut-over with a trigger changes nothing until the trigger fires: with `on-first-packet` the survivor goes on hearing the
//! old party, hold audio or ringback up to the new party's first packet, which is then the first that it hears. Until then:
//!
//! - The parties that the command names may be held, resumed, played something, and may monitor somebody: for them the
//!   cut-over sets everything anew.
//!   Their peers must not change, and nothing at all may change about a party that will lose its peer; that is refused
//!   (`cut-over-pending`) rather than mixed up.
//! - The deletion of a leg that it needs cancels it; so does `rollback`. A swap does not need `old`, who may hang up early.
//!   If the trigger fires while such a command is on its way, a rollback goes back, and a deletion leaves the swap done.
//! - `keep_old` `drop` deletes the old leg after the switch, unless the swap has been undone by then.

use patchcord_codec::Country;
use patchcord_relay::command::{self, GAIN_DB, PLAY_NEXT_MAX, Talker};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Repeat;
use patchcord_relay::time::MonoTime;
use std::sync::Arc;

use super::change::{How, no_encoding};
use super::model::{Company, Hearing, Hold, Leg, Overlay, PROMPT, Play};
use super::plan::{Draft, Plan};
use crate::api::{self, CommandName, KeepOld, Trigger};
use crate::audio::{self, Sound};
use crate::error::{ApiError, ErrorCode};

/// The most names of a list of audio.
const LIST_MAX: usize = 64;

impl Play {
    /// Audio that has yet to begin.
    fn new(sound: Arc<Sound>, kind: &'static str, repeat: Repeat) -> Self {
        let (then, barge_in) = (Vec::new(), None);
        let since = MonoTime::default();
        Self { sound, kind, repeat, overlay: None, serial: 0, since, then, barge_in, barged_in: false, finished: false }
    }
}

impl Plan<'_> {
    pub(super) fn bridge(&mut self, fields: &api::Bridge) -> Result<Draft, ApiError> {
        let (a, b) = self.two(&fields.a, &fields.b)?;
        let trigger = self.trigger_for(b, fields.trigger.unwrap_or(Trigger::Immediate))?;
        let mut after = self.model.legs.clone();
        after.bridge(a, b);
        let prompt_of = [a, b].into_iter().find(|&leg| self.hears_prompt(leg));
        self.change(
            after,
            &How {
                command: CommandName::Bridge,
                trigger,
                settles: vec![a, b],
                first_packet_of: Some(b),
                prompt_of,
                drop_old: None,
            },
        )
    }

    pub(super) fn unbridge(&mut self, fields: &api::TwoParties) -> Result<Draft, ApiError> {
        let (a, b) = self.two(&fields.a, &fields.b)?;
        let bridged = |one: LegId, other| self.model.legs.get(one).is_some_and(|leg| leg.hearing.peer == Some(other));
        if !bridged(a, b) && !bridged(b, a) {
            return Err(self.not_bridged(&fields.a, &fields.b, a));
        }
        let mut after = self.model.legs.clone();
        after.unbridge(a, b);
        self.change(after, &How::now(CommandName::Unbridge))
    }

    pub(super) fn swap(&mut self, fields: &api::Swap) -> Result<Draft, ApiError> {
        let (survivor, old) = self.two(&fields.survivor, &fields.old)?;
        let (_, new) = self.two(&fields.survivor, &fields.new)?;
        self.two(&fields.old, &fields.new)?;
        let peer = self.model.legs.get(survivor).and_then(|leg| leg.hearing.peer);
        if peer.is_some_and(|peer| peer != old) {
            return Err(self.not_bridged(&fields.survivor, &fields.old, survivor));
        }
        let (hold, drop_old) = match fields.keep_old {
            KeepOld::Hold => (Some(self.default_hold(old)), None),
            KeepOld::Mute => (None, None),
            KeepOld::Drop => (None, Some((old, 0))),
            KeepOld::DropAfterMs(ms) => (None, Some((old, ms))),
        };
        let trigger = self.trigger_for(new, fields.trigger.unwrap_or(Trigger::OnFirstPacket))?;
        let mut after = self.model.legs.clone();
        after.bridge(survivor, new);
        after.park(old, hold);
        self.change(
            after,
            &How {
                command: CommandName::Swap,
                trigger,
                settles: vec![survivor, old, new],
                first_packet_of: Some(new),
                prompt_of: Some(survivor).filter(|&leg| self.hears_prompt(leg)),
                drop_old,
            },
        )
    }

    pub(super) fn hold(&mut self, fields: &api::Hold) -> Result<Draft, ApiError> {
        let leg = self.leg(&fields.party)?;
        let id = leg.id;
        let hold = match &fields.audio {
            None => self.default_hold(id),
            Some(names) => Hold(Some(self.sounds(leg, names.as_slice())?)),
        };
        let mut after = self.model.legs.clone();
        if let Some(leg) = after.get_mut(id) {
            leg.hearing.hold = Some(hold);
            leg.hearing.play = None;
        }
        self.change(after, &How::now(CommandName::Hold))
    }

    pub(super) fn resume(&mut self, party: &str) -> Result<Draft, ApiError> {
        let leg = self.leg(party)?;
        if leg.hearing.hold.is_none() {
            return Err(ApiError::new(ErrorCode::NotHeld, format!("{party} is not on hold")));
        }
        let id = leg.id;
        let mut after = self.model.legs.clone();
        after.resume(id);
        self.change(after, &How::now(CommandName::Resume))
    }

    pub(super) fn play(&mut self, fields: &api::Play) -> Result<Draft, ApiError> {
        let leg = self.leg(&fields.party)?;
        let (id, sound) = (leg.id, self.sounds(leg, fields.audio.as_slice())?);
        let (repeat, barge_in, overlay) = (fields.repeat.into(), fields.barge_in, overlay(fields)?);
        if barge_in.is_some() {
            leg.can_be_listened_to()?;
        }
        if overlay.is_some() && fields.queue {
            return Err(ApiError::new(
                ErrorCode::BadRequest,
                "`overlay` and `queue` do not go together: leave one out",
            ));
        }
        if fields.queue && leg.hearing.play.as_ref().is_some_and(|play| !play.finished) {
            return self.queue(id, sound, repeat, barge_in);
        }
        let play = Play { barge_in, overlay, ..Play::new(sound, PROMPT, repeat) };
        self.start(id, play, CommandName::Play)
    }

    /// Has something follow what is played.
    fn queue(
        &mut self,
        id: LegId,
        sound: Arc<Sound>,
        repeat: Repeat,
        barge_in: Option<api::BargeIn>,
    ) -> Result<Draft, ApiError> {
        let mut after = self.model.legs.clone();
        let Some(leg) = after.get_mut(id) else { return Ok(Draft::CutOver(Vec::new())) };
        let Some(play) = &mut leg.hearing.play else { return Ok(Draft::CutOver(Vec::new())) };
        let never = |why: &str| Err(ApiError::new(ErrorCode::BadRequest, format!("{}: {why}", leg.party)));
        if play.overlay.is_some() {
            return never(
                "what is played to it is played over what it hears, which nothing can follow; play without `queue`",
            );
        }
        if !play.has_an_end() {
            return never("what is played to it repeats for ever, so that nothing can follow; play without `queue`");
        }
        if play.then.len() >= PLAY_NEXT_MAX {
            return never("as much as can is queued for it already; wait for its end");
        }
        let Some(frames) = sound.frames_for(&leg.codecs).cloned() else {
            return Err(no_encoding(&leg.party, &sound.name));
        };
        play.then.push((sound, repeat));
        play.barge_in = barge_in.or(play.barge_in);
        let draft = self.change(after, &How::now(CommandName::Play))?;
        self.tell_engine(command::Command::PlayNext { leg: id, frames, repeat });
        Ok(draft)
    }

    pub(super) fn ringback(&mut self, fields: &api::Ringback) -> Result<Draft, ApiError> {
        let leg = self.leg(&fields.party)?;
        let bad = |error: String| ApiError::new(ErrorCode::BadRequest, error);
        let country: Country = fields.country.parse().map_err(|error| bad(format!("{error}")))?;
        let sound = self.env.library.ringback(country).map_err(|error| bad(error.to_string()))?;
        if sound.frames_for(&leg.codecs).is_none() {
            return Err(no_encoding(&leg.party, "the ringing tone"));
        }
        self.start(leg.id, Play::new(sound, "ringback", Repeat::Forever), CommandName::Ringback)
    }

    pub(super) fn monitor(&mut self, fields: &api::Monitor) -> Result<Draft, ApiError> {
        let (party, names) = (self.leg(&fields.party)?.id, fields.of.as_slice());
        for name in names {
            self.two(&fields.party, name)?;
        }
        let of = self.distinct(names)?;
        if of.is_empty() {
            return Err(ApiError::new(ErrorCode::BadRequest, "`of` is empty: name the parties to be heard"));
        }
        self.change_company(party, CommandName::Monitor, |company| company.monitor = Some(of.into()))
    }

    pub(super) fn unmonitor(&mut self, party: &str) -> Result<Draft, ApiError> {
        let party = self.leg(party)?.id;
        self.change_company(party, CommandName::Unmonitor, |company| company.monitor = None)
    }

    /// Changes whom a party hears beyond its peer, or how loud it is heard.
    fn change_company(
        &mut self,
        party: LegId,
        command: CommandName,
        change: impl FnOnce(&mut Company),
    ) -> Result<Draft, ApiError> {
        let mut after = self.model.legs.clone();
        if let Some(leg) = after.get_mut(party) {
            leg.hearing.change_company(change);
        }
        self.change(after, &How::now(command))
    }

    /// The legs of these names, which are of as many legs.
    fn distinct(&self, names: &[String]) -> Result<Vec<LegId>, ApiError> {
        let mut ids = Vec::new();
        for name in names {
            let id = self.leg(name)?.id;
            if ids.contains(&id) {
                return Err(ApiError::new(ErrorCode::BadRequest, format!("{name} is named twice")));
            }
            ids.push(id);
        }
        Ok(ids)
    }

    pub(super) fn conference(&mut self, parties: &[String]) -> Result<Draft, ApiError> {
        let ids = self.distinct(parties)?;
        if ids.len() < 2 {
            return Err(ApiError::new(ErrorCode::BadRequest, "a conference has two parties at least"));
        }
        self.model.serials += 1;
        let mut after = self.model.legs.clone();
        after.confer(&ids, self.model.serials);
        self.change(after, &How::now(CommandName::Conference))
    }

    pub(super) fn leave(&mut self, party: &str) -> Result<Draft, ApiError> {
        let leg = self.leg(party)?;
        if leg.hearing.company().conference.is_none() {
            return Err(ApiError::new(ErrorCode::NotBridged, format!("{party} is in no conference")));
        }
        self.change_company(leg.id, CommandName::Leave, |company| company.conference = None)
    }

    pub(super) fn whisper(&mut self, fields: &api::Whisper) -> Result<Draft, ApiError> {
        let (party, by) = self.two(&fields.party, &fields.by)?;
        api::within("gain_db", &fields.gain_db, &GAIN_DB).map_err(|why| ApiError::new(ErrorCode::BadRequest, why))?;
        let whisper = Talker { leg: by, gain_db: fields.gain_db };
        self.change_company(party, CommandName::Whisper, |company| company.whisper = Some(whisper))
    }

    pub(super) fn gain(&mut self, fields: &api::Gain) -> Result<Draft, ApiError> {
        let party = self.leg(&fields.party)?.id;
        api::within("gain_db", &fields.gain_db, &GAIN_DB).map_err(|why| ApiError::new(ErrorCode::BadRequest, why))?;
        self.change_company(party, CommandName::Gain, |company| company.gain_db = fields.gain_db)
    }

    pub(super) fn unwhisper(&mut self, party: &str) -> Result<Draft, ApiError> {
        let party = self.leg(party)?.id;
        self.change_company(party, CommandName::Unwhisper, |company| company.whisper = None)
    }

    /// Plays audio that has no name in the library.
    pub(crate) fn play_sound(&mut self, party: &str, sound: Arc<Sound>, repeat: api::Repeat) -> Result<(), ApiError> {
        let leg = self.leg(party)?;
        if sound.frames_for(&leg.codecs).is_none() {
            return Err(no_encoding(&leg.party, &sound.name));
        }
        let draft = self.start(leg.id, Play::new(sound, PROMPT, repeat.into()), CommandName::Play)?;
        self.drafts.push(draft);
        Ok(())
    }

    /// The legs that hear this one now.
    pub(crate) fn listeners_of(&self, party: &str) -> Vec<String> {
        let Some(id) = self.model.legs.named(party).map(|leg| leg.id) else { return Vec::new() };
        let legs = &self.model.legs;
        let listens = |leg: &&Leg| legs.heard(leg).has(id);
        legs.0.iter().filter(listens).map(|leg| leg.party.as_ref().to_owned()).collect()
    }

    /// The legs that have this one as peer or monitor it, whatever they hear now.
    pub(crate) fn peers_of(&self, party: &str) -> Vec<String> {
        let Some(id) = self.model.legs.named(party).map(|leg| leg.id) else { return Vec::new() };
        let monitors = |hearing: &Hearing| hearing.company().monitor.as_ref().is_some_and(|of| of.contains(&id));
        let hears = |hearing: &Hearing| hearing.peer == Some(id) || monitors(hearing);
        let peers = self.model.legs.0.iter().filter(|leg| hears(&leg.hearing));
        peers.map(|leg| leg.party.as_ref().to_owned()).collect()
    }

    pub(super) fn stop(&mut self, party: &str) -> Result<Draft, ApiError> {
        let id = self.leg(party)?.id;
        self.silence_player(id)
    }

    /// What was played has ended: back to what was heard before.
    pub(crate) fn finish_play(&mut self, id: LegId, serial: u32) -> Result<(), ApiError> {
        let over = |leg: &Leg| leg.hearing.play.as_ref().is_some_and(|play| play.serial == serial && play.finished);
        if self.model.legs.get(id).is_some_and(over) {
            let draft = self.silence_player(id)?;
            self.drafts.push(draft);
        }
        Ok(())
    }

    fn silence_player(&mut self, id: LegId) -> Result<Draft, ApiError> {
        let mut after = self.model.legs.clone();
        if let Some(leg) = after.get_mut(id) {
            leg.hearing.play = None;
        }
        self.change(after, &How::now(CommandName::Stop))
    }

    fn start(&mut self, id: LegId, play: Play, command: CommandName) -> Result<Draft, ApiError> {
        self.model.serials += 1;
        let (serial, since) = (self.model.serials, self.now);
        let mut after = self.model.legs.clone();
        if let Some(leg) = after.get_mut(id) {
            leg.hearing.play = Some(Box::new(Play { serial, since, ..play }));
        }
        self.change(after, &How::now(command))
    }

    /// The server's hold audio, or silence where the party could not hear it.
    fn default_hold(&self, id: LegId) -> Hold {
        let sound = self.env.library.named(audio::HOLD);
        let codecs = self.model.legs.get(id).map(|leg| &leg.codecs);
        Hold(sound.zip(codecs).filter(|(sound, codecs)| sound.frames_for(codecs).is_some()).map(|(sound, _)| sound))
    }

    /// The audio of these names, one after the other, if the party can hear it.
    fn sounds(&self, leg: &Leg, names: &[String]) -> Result<Arc<Sound>, ApiError> {
        let bad = |why: String| ApiError::new(ErrorCode::BadRequest, why);
        if names.is_empty() || names.len() > LIST_MAX {
            return Err(bad(format!("`audio` is a name, or a list of 1 to {LIST_MAX}, and not of {}", names.len())));
        }
        let sounds = names.iter().map(|name| self.sound(leg, name)).collect::<Result<Vec<_>, _>>()?;
        Sound::joined(None, &sounds).map_err(bad)
    }

    /// The audio of that name, if the party can hear it.
    fn sound(&self, leg: &Leg, name: &str) -> Result<Arc<Sound>, ApiError> {
        let library = &self.env.library;
        let sound = library.named(name).ok_or_else(|| library.unknown(name))?;
        if sound.frames_for(&leg.codecs).is_none() {
            return Err(no_encoding(&leg.party, name));
        }
        Ok(sound)
    }

    /// Whether something with an end is being played to the leg.
    fn hears_prompt(&self, id: LegId) -> bool {
        let play = self.model.legs.get(id).and_then(|leg| leg.hearing.play.as_ref());
        play.is_some_and(|play| play.has_an_end() && !play.finished)
    }

    fn not_bridged(&self, a: &str, b: &str, id: LegId) -> ApiError {
        let with = match self.model.legs.get(id).and_then(|leg| leg.hearing.peer) {
            Some(peer) => format!("with {}", self.party(peer)),
            None => "with nobody".to_owned(),
        };
        ApiError::new(ErrorCode::NotBridged, format!("{a} is not bridged with {b} but {with}"))
    }
}

/// How audio is to be played over what the party hears; `None`: in its place.
fn overlay(fields: &api::Play) -> Result<Option<Overlay>, ApiError> {
    let bad = |why: String| ApiError::new(ErrorCode::BadRequest, why);
    let &api::Play { overlay, gain_db, duck_db, .. } = fields;
    if !overlay {
        return match (gain_db, duck_db) {
            (0, 0) => Ok(None),
            _ => Err(bad("`gain_db` and `duck_db` go with `\"overlay\": true`".to_owned())),
        };
    }
    api::within("gain_db", &gain_db, &GAIN_DB).map_err(bad)?;
    api::within("duck_db", &duck_db, &(*GAIN_DB.start()..=0)).map_err(bad)?;
    Ok(Some(Overlay { gain_db, duck_db }))
}
