//! What a call is known to be: its legs, and what each party hears.
//!
//! A party hears the topmost of five things: what is played to it, hold audio, whom it monitors, its conference, its peer; and with the
//! last three whoever whispers to it. Commands change these; what that means for the engine's sources is derived from them ([`Legs::heard`]), so that ending one thing always brings back the
//! right other one.

use std::sync::Arc;

use patchcord_relay::command::{GAIN_DB, IceCredentials, SrtpKeys, Talker};
use patchcord_relay::detection::What;
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Codec, Repeat};
use patchcord_relay::overhearing::Ears;
use patchcord_relay::time::MonoTime;

use super::dtls::Dtls;
use super::record::Records;
use crate::api::{Answered, BargeIn};
use crate::audio::Sound;
use crate::interfaces::Lease;
use crate::recording::CallRecording;

/// The state of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallModel {
    pub(crate) legs: Legs,
    pub(crate) records: Records,
    /// Legs created so far.
    pub(crate) legs_created: u16,
    /// Numbers given so far to what is played, and to conferences.
    pub(crate) serials: u32,
    /// Somebody dumps it: the engine has been told so of all legs.
    pub(crate) tapped: bool,
    /// It is recorded. Few are.
    pub(crate) recording: Option<Box<CallRecording>>,
}

/// The legs of a call, in the order in which they were created.
#[derive(Clone, Debug, Default)]
pub(crate) struct Legs(pub(crate) Vec<Leg>);

/// A party's media.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    /// How commands name it: `agent`, `agent/1`.
    pub(crate) party: Arc<str>,
    pub(crate) lease: Lease,
    pub(crate) codecs: Arc<[Codec]>,
    /// What its connectivity checks must have; `None`: they are not answered.
    pub(crate) ice: Option<Arc<IceCredentials>>,
    /// Its keys; `None`: it speaks RTP.
    pub(crate) srtp: Option<Arc<SrtpKeys>>,
    /// How it agrees on keys with its party beside the media; its keys are not known here then.
    pub(crate) dtls: Option<Arc<Dtls>>,
    /// Who hears it beside its listeners; the engine has been told so.
    pub(crate) ears: Ears,
    /// It is listened to for nothing but what is played to it and may be ended by it (`barge_in`).
    pub(crate) only_barges_in: bool,
    /// Who was heard to have answered; a human stays one. Few legs have any of it.
    pub(crate) answered: Option<Box<Answered>>,
    pub(crate) hearing: Hearing,
    /// The latest cut-over that changed `hearing` or what is derived from it.
    pub(crate) changed_by: Option<CutOverId>,
}

/// What a party hears, the topmost last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hearing {
    /// Whom it is bridged with: they hear each other if both have the other as peer. A party on hold keeps its peer here
    /// even while that peer is bridged with somebody else.
    pub(crate) peer: Option<LegId>,
    /// Whom it hears beyond its peer, and how loud others hear it. Few have any of it, so that it is kept elsewhere; never one that
    /// says nothing.
    company: Option<Box<Company>>,
    /// It is on hold.
    pub(crate) hold: Option<Hold>,
    /// Something is played to it.
    pub(crate) play: Option<Box<Play>>,
}

/// Whom a party hears beyond its peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Company {
    /// It hears all others with the same number, and is heard by them.
    pub(crate) conference: Option<u32>,
    /// Whom it hears without being heard.
    pub(crate) monitor: Option<Box<[LegId]>>,
    /// Whom it hears besides all others, and how much louder than these would.
    pub(crate) whisper: Option<Talker>,
    /// How much louder it is heard itself than it speaks, in dB, by whoever hears it. No bridge changes that.
    pub(crate) gain_db: i8,
}

impl Hearing {
    pub(crate) fn company(&self) -> &Company {
        const NONE: &Company = &Company { conference: None, monitor: None, whisper: None, gain_db: 0 };
        self.company.as_deref().unwrap_or(NONE)
    }

    pub(crate) fn change_company(&mut self, change: impl FnOnce(&mut Company)) {
        let mut company = self.company.take().unwrap_or_default();
        change(&mut company);
        self.company = Some(company).filter(|company| **company != Company::default());
    }

    /// Whether a prompt has not come to its end that was played until this took its place.
    pub(crate) fn is_stopped_by(&self, after: &Self) -> bool {
        let still = after.play.as_ref().map(|play| play.serial);
        self.play.as_ref().is_some_and(|play| play.kind == PROMPT && !play.finished && Some(play.serial) != still)
    }

    /// Whether it is in this conference; nobody is in none.
    pub(crate) fn confers(&self, conference: Option<u32>) -> bool {
        conference.is_some() && self.company().conference == conference
    }
}

/// Hold audio; `None`: silence, because no audio can be encoded for the party.
#[derive(Clone, Debug)]
pub(crate) struct Hold(pub(crate) Option<Arc<Sound>>);

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

/// What `play` plays, as it is shown.
pub(crate) const PROMPT: &str = "play";

/// Audio that is played.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) sound: Arc<Sound>,
    /// `play` or `ringback`.
    pub(crate) kind: &'static str,
    pub(crate) repeat: Repeat,
    /// It is played over what the party hears, and not in its place.
    pub(crate) overlay: Option<Overlay>,
    /// Tells it from other things that the call plays; never 0.
    pub(crate) serial: u32,
    /// When the engine began; the end of something that was played before is older.
    pub(crate) since: MonoTime,
    /// What follows it, without a gap, and how often.
    pub(crate) then: Vec<(Arc<Sound>, Repeat)>,
    /// What of the party ends it.
    pub(crate) barge_in: Option<BargeIn>,
    /// That has happened, and the engine is being told to end it.
    pub(crate) barged_in: bool,
    /// It has ended, and what was heard before is not back yet.
    pub(crate) finished: bool,
}

impl Play {
    /// Whether it comes to an end by itself.
    pub(crate) fn has_an_end(&self) -> bool {
        let last = self.then.last().map_or(self.repeat, |(_, repeat)| *repeat);
        matches!(last, Repeat::Times(_))
    }

    /// Whether what was heard of the party ends it.
    pub(crate) fn ends_by(&self, what: What) -> bool {
        let (key, speech) = match self.barge_in {
            None => (false, false),
            Some(BargeIn::Key) => (true, false),
            Some(BargeIn::Speech) => (false, true),
            Some(BargeIn::Any) => (true, true),
        };
        !self.finished
            && match what {
                What::Key { .. } => key,
                What::SpeechBegins | What::Human => speech,
                _ => false,
            }
    }

    /// What is played, in its order.
    pub(crate) fn names(&self) -> String {
        let names = core::iter::once(&self.sound).chain(self.then.iter().map(|(sound, _)| sound));
        names.map(|sound| &*sound.name).collect::<Vec<_>>().join(", ")
    }
}

/// How audio is played over what a party hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// How much louder it is.
    pub(crate) gain_db: i8,
    /// How much louder everything else is meanwhile; not above 0.
    pub(crate) duck_db: i8,
}

impl PartialEq for Play {
    fn eq(&self, other: &Self) -> bool {
        // What follows is only ever added to.
        let what = |play: &Self| (play.serial, play.finished, play.then.len(), play.barge_in);
        what(self) == what(other)
    }
}

/// What feeds a leg, as the model derives it.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Silence,
    Leg(LegId),
    /// Several legs, or one louder than it speaks.
    Mix(Vec<Talker>),
    /// Audio; `serial` is 0 for hold audio.
    Player {
        sound: Arc<Sound>,
        repeat: Repeat,
        serial: u32,
    },
    /// Several legs, one or none, and audio over them.
    Overlay(Box<HeardOver>),
}

/// See [`Heard::Overlay`].
#[derive(Clone, Debug)]
pub(crate) struct HeardOver {
    pub(crate) talkers: Vec<Talker>,
    /// Hold audio that goes on, and how much louder.
    pub(crate) under: Option<(Arc<Sound>, i8)>,
    pub(crate) sound: Arc<Sound>,
    pub(crate) repeat: Repeat,
    pub(crate) gain_db: i8,
    pub(crate) serial: u32,
    /// It has ended, and the hold audio goes on for the time being as it was with it.
    pub(crate) finished: bool,
}

impl PartialEq for HeardOver {
    fn eq(&self, other: &Self) -> bool {
        let under = |over: &Self| over.under.as_ref().map(|(sound, gain_db)| (Arc::as_ptr(sound), *gain_db));
        (self.serial, self.finished, &self.talkers, under(self))
            == (other.serial, other.finished, &other.talkers, under(other))
    }
}

impl PartialEq for Heard {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Silence, Self::Silence) => true,
            (Self::Leg(one), Self::Leg(other)) => one == other,
            (Self::Mix(one), Self::Mix(other)) => one == other,
            (Self::Player { sound: one, serial: a, .. }, Self::Player { sound: other, serial: b, .. }) => {
                a == b && Arc::ptr_eq(one, other)
            }
            (Self::Overlay(one), Self::Overlay(other)) => one == other,
            _ => false,
        }
    }
}

impl Heard {
    /// These parties. One that is as loud as it speaks need not be mixed.
    fn of(talkers: Vec<Talker>) -> Self {
        match talkers[..] {
            [] => Self::Silence,
            [Talker { leg, gain_db: 0 }] => Self::Leg(leg),
            _ => Self::Mix(talkers),
        }
    }

    /// Whether the leg is heard, alone or with others.
    pub(crate) fn has(&self, leg: LegId) -> bool {
        match self {
            Self::Silence | Self::Player { .. } => false,
            Self::Leg(heard) => *heard == leg,
            Self::Mix(talkers) => talkers.iter().any(|talker| talker.leg == leg),
            Self::Overlay(over) => over.talkers.iter().any(|talker| talker.leg == leg),
        }
    }
}

impl Leg {
    /// Whether something is played to it that it may end.
    pub(super) fn may_barge_in(&self) -> bool {
        self.hearing.play.as_ref().is_some_and(|play| play.barge_in.is_some() && !play.finished)
    }

    /// The number of this media, empty for the first one, if it is a media of `party`.
    pub(super) fn media_of(&self, party: &str) -> Option<&str> {
        let rest = self.party.strip_prefix(party)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

impl CallModel {
    /// Takes over the legs of another call, and its cut-overs that wait.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.legs.0.extend(other.legs.0);
        self.records.absorb(other.records);
        self.serials = self.serials.max(other.serials);
        if self.recording.is_none() {
            self.recording = other.recording;
        }
    }
}

impl Legs {
    pub(crate) fn get(&self, id: LegId) -> Option<&Leg> {
        self.0.iter().find(|leg| leg.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.0.iter_mut().find(|leg| leg.id == id)
    }

    /// The leg that commands name so; `agent/0` is `agent`.
    pub(crate) fn named(&self, party: &str) -> Option<&Leg> {
        let party = party.strip_suffix("/0").unwrap_or(party);
        self.0.iter().find(|leg| *leg.party == *party)
    }

    /// Names of the parties, each once.
    pub(crate) fn parties(&self) -> Vec<Arc<str>> {
        let mut parties: Vec<Arc<str>> = Vec::new();
        for leg in &self.0 {
            let name = leg.party.split('/').next().unwrap_or_default();
            if !parties.iter().any(|party| **party == *name) {
                parties.push(if name.len() == leg.party.len() { Arc::clone(&leg.party) } else { name.into() });
            }
        }
        parties
    }

    /// Calls parties otherwise, with all their media: from what to what.
    pub(crate) fn rename(&mut self, names: &[(String, String)]) {
        for leg in &mut self.0 {
            let renamed = names.iter().find_map(|(party, name)| Some((name, leg.media_of(party)?)));
            if let Some((name, media)) = renamed {
                leg.party = if media.is_empty() { name.as_str().into() } else { format!("{name}/{media}").into() };
            }
        }
    }

    /// What feeds the leg.
    pub(crate) fn heard(&self, leg: &Leg) -> Heard {
        let play = leg.hearing.play.as_deref();
        match (play, &leg.hearing.hold) {
            (Some(play @ Play { overlay: Some(overlay), .. }), hold) => {
                self.heard_under(leg, play, *overlay, hold.as_ref())
            }
            (Some(play), _) if play.finished => Heard::Silence,
            (Some(play), _) => {
                Heard::Player { sound: Arc::clone(&play.sound), repeat: play.repeat, serial: play.serial }
            }
            (None, Some(Hold(Some(sound)))) => {
                Heard::Player { sound: Arc::clone(sound), repeat: Repeat::Forever, serial: 0 }
            }
            (None, Some(Hold(None))) => Heard::Silence,
            (None, None) => Heard::of(self.talkers(leg)),
        }
    }

    /// What feeds the leg while audio is played over it. When that has ended the rest is heard as it was with it until what was heard
    /// before is back, as by the engine.
    fn heard_under(&self, leg: &Leg, play: &Play, overlay: Overlay, hold: Option<&Hold>) -> Heard {
        let Overlay { gain_db, duck_db } = overlay;
        let ducked = |talker: Talker| Talker { gain_db: sum_db(talker.gain_db, duck_db), ..talker };
        let talkers = if hold.is_some() { Vec::new() } else { self.talkers(leg) };
        let talkers: Vec<_> = talkers.into_iter().map(ducked).collect();
        let under = hold.and_then(|hold| hold.0.as_ref()).map(|sound| (Arc::clone(sound), duck_db));
        match (play.finished, under.is_some(), talkers.is_empty()) {
            (true, false, true) => Heard::Silence,
            (true, false, false) => Heard::Mix(talkers),
            (finished, ..) => {
                let &Play { ref sound, repeat, serial, .. } = play;
                let sound = Arc::clone(sound);
                Heard::Overlay(Box::new(HeardOver { talkers, under, sound, repeat, gain_db, serial, finished }))
            }
        }
    }

    /// The parties that a leg hears while nothing covers them.
    fn talkers(&self, leg: &Leg) -> Vec<Talker> {
        let peer = &leg.hearing.peer;
        let Company { conference, monitor, whisper, .. } = leg.hearing.company();
        let speaks = |other: &&Leg| other.hearing.hold.is_none();
        let mut heard: Vec<LegId> = if let Some(of) = monitor {
            of.iter().copied().filter(|of| self.get(*of).is_some()).collect()
        } else if conference.is_some() {
            self.conference_of(leg).filter(speaks).map(|other| other.id).collect()
        } else {
            let mutual = |other: &&Leg| other.hearing.peer == Some(leg.id);
            peer.and_then(|peer| self.get(peer))
                .filter(mutual)
                .filter(speaks)
                .map(|other| other.id)
                .into_iter()
                .collect()
        };
        let whisper = whisper.filter(|whisper| self.get(whisper.leg).is_some());
        heard.retain(|heard| whisper.is_none_or(|whisper| whisper.leg != *heard));
        let heard = heard.into_iter().map(|leg| Talker { leg, gain_db: 0 }).chain(whisper);
        heard.map(|Talker { leg, gain_db }| Talker { leg, gain_db: sum_db(gain_db, self.gain_of(leg)) }).collect()
    }

    /// How much louder a leg is heard than it speaks.
    fn gain_of(&self, leg: LegId) -> i8 {
        self.get(leg).map_or(0, |leg| leg.hearing.company().gain_db)
    }

    /// The others that a leg is in a conference with.
    pub(crate) fn conference_of(&self, leg: &Leg) -> impl Iterator<Item = &Leg> {
        let conference = leg.hearing.company().conference;
        let with = move |other: &&Leg| other.hearing.confers(conference);
        let id = leg.id;
        self.0.iter().filter(with).filter(move |other| other.id != id)
    }

    /// Makes the two each other's peer; they are left without hold and play, and monitor nobody.
    pub(crate) fn bridge(&mut self, a: LegId, b: LegId) {
        self.leave(a);
        self.leave(b);
        for (one, other) in [(a, b), (b, a)] {
            self.set(one, Hearing { peer: Some(other), ..Hearing::default() });
        }
    }

    /// Each of these hears all the others; they are left without peer, hold and play, and monitor nobody.
    pub(crate) fn confer(&mut self, parties: &[LegId], conference: u32) {
        for &party in parties {
            self.leave(party);
            let mut hearing = Hearing::default();
            hearing.change_company(|company| company.conference = Some(conference));
            self.set(party, hearing);
        }
    }

    /// Nobody hears the leg any more: it is about to go.
    pub(crate) fn silence(&mut self, id: LegId) {
        self.leave(id);
        for leg in &mut self.0 {
            leg.hearing.change_company(|company| {
                company.whisper = company.whisper.filter(|whisper| whisper.leg != id);
                // Who monitors nobody else is left with silence.
                if let Some(of) = &mut company.monitor {
                    *of = of.iter().copied().filter(|of| *of != id).collect();
                }
            });
        }
        self.set(id, Hearing::default());
    }

    /// Neither has the other as peer any more.
    pub(crate) fn unbridge(&mut self, a: LegId, b: LegId) {
        for (one, other) in [(a, b), (b, a)] {
            if let Some(leg) = self.get_mut(one)
                && leg.hearing.peer == Some(other)
            {
                leg.hearing.peer = None;
            }
        }
    }

    /// Takes the party off hold and brings it together with its peer again, whoever that talks to by now.
    pub(crate) fn resume(&mut self, id: LegId) {
        let Some(leg) = self.get_mut(id) else { return };
        (leg.hearing.hold, leg.hearing.play) = (None, None);
        let Some(peer) = leg.hearing.peer else { return };
        if self.get(peer).is_some_and(|other| other.hearing.peer != Some(id)) {
            self.leave(peer);
            if let Some(other) = self.get_mut(peer) {
                other.hearing.peer = Some(id);
            }
        }
    }

    /// Parks a party that a swap has replaced.
    pub(crate) fn park(&mut self, id: LegId, hold: Option<Hold>) {
        self.leave(id);
        self.set(id, Hearing { hold, ..Hearing::default() });
    }

    /// The leg's present peer is left alone; on hold it keeps the leg in mind.
    fn leave(&mut self, id: LegId) {
        let Some(peer) = self.get(id).and_then(|leg| leg.hearing.peer) else { return };
        if let Some(other) = self.get_mut(peer)
            && other.hearing.peer == Some(id)
            && other.hearing.hold.is_none()
        {
            other.hearing.peer = None;
        }
    }

    /// The leg hears this from now on; how loud it is heard stays.
    pub(crate) fn set(&mut self, id: LegId, hearing: Hearing) {
        if let Some(leg) = self.get_mut(id) {
            let gain_db = leg.hearing.company().gain_db;
            leg.hearing = hearing;
            leg.hearing.change_company(|company| company.gain_db = gain_db);
        }
    }

    /// Takes a leg out; nobody has it as peer any more, and who monitors it is left with silence.
    pub(crate) fn remove(&mut self, id: LegId) {
        self.0.retain(|leg| leg.id != id);
        self.forget_the_gone();
    }

    /// Nobody has a peer that is gone.
    pub(crate) fn forget_the_gone(&mut self) {
        let alive: Vec<LegId> = self.0.iter().map(|leg| leg.id).collect();
        for leg in &mut self.0 {
            leg.hearing.peer = leg.hearing.peer.filter(|peer| alive.contains(peer));
        }
    }
}

/// Both gains, within what is possible.
fn sum_db(one: i8, other: i8) -> i8 {
    one.saturating_add(other).clamp(*GAIN_DB.start(), *GAIN_DB.end())
}
