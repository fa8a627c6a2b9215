//! `play DTMF`: a party's listeners hear a key press as if the party had made it: as an event, or as a tone if they know none.

use patchcord_codec::dtmf::Digit;
use patchcord_ng::{Dict, Options};

use super::Ng;
use super::control::ok;
use super::media::is_readable;
use super::refuse::Refused;
use super::session::{PartyId, Session};
use crate::api::{Command, DtmfHowName, DtmfSend, LegLatch, RelayingName};
use crate::call::Plan;
use crate::error::{ApiError, ErrorCode};

/// What rtpengine documents: 250 ms, from 100 to 5000; -8 dBm0 of either sign; 100 ms between, from 100 to 5000.
const DURATION_MS: u32 = 250;
const PAUSE_MS: u32 = 100;
const VOLUME_DBM0: i32 = -8;
const TIME_MS_MIN: u32 = 100;
const TIME_MS_MAX: u32 = 5000;
const VOLUME_DBM0_MIN: u32 = 63;

/// The words that operators know for a key that cannot be.
const BAD_CODE: &str = "Out of range 'code' specified";

impl Ng {
    /// Sends a key press to all who hear the selected parties' audio.
    pub(super) async fn play_dtmf(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find_for_media(options)?;
        let _gate = call.gate.lock().await;
        let session = call.session().clone();
        let parties: Vec<PartyId> = session.must_select(options)?.iter().map(|party| party.id).collect();
        let send = Key::new(options.dtmf_event().ok_or(BAD_CODE)?, options);
        let unread = self.0.config.relay_unread;
        let mut next = None;
        let mut add = |plan: &mut Plan<'_>| {
            let mut session = session.clone();
            for &party in &parties {
                session.play_dtmf(party, &send, unread, plan)?;
            }
            next = Some(session);
            Ok(())
        };
        self.0.control.run(&call, None, &mut add).await?;
        if let Some(session) = next {
            *call.session() = session;
        }
        Ok(ok())
    }
}

/// The same for every listener.
struct Key {
    digit: char,
    duration_ms: u16,
    pause_ms: u16,
    volume_dbm0: i16,
}

impl Key {
    fn new(event: u8, options: &Options) -> Self {
        let time = |given: Option<u32>, otherwise| {
            let ms = given.unwrap_or(otherwise).clamp(TIME_MS_MIN, TIME_MS_MAX);
            u16::try_from(ms).unwrap_or(u16::MAX)
        };
        let volume = options.volume.unwrap_or(VOLUME_DBM0).unsigned_abs().min(VOLUME_DBM0_MIN);
        Self {
            digit: Digit::from_event(event).map_or_else(char::default, Digit::as_char),
            duration_ms: time(options.duration_ms, DURATION_MS),
            pause_ms: time(options.pause_ms, PAUSE_MS),
            volume_dbm0: -i16::try_from(volume).unwrap_or(0),
        }
    }

    fn for_party(&self, party: String, how: DtmfHowName) -> Command {
        let &Self { digit, duration_ms, pause_ms, volume_dbm0 } = self;
        let digits = digit.to_string();
        Command::DtmfSend(DtmfSend { party, digits, duration_ms, pause_ms, volume_dbm0, how })
    }
}

impl Session {
    /// Plans the key press of a party. What passes unread only because everything does is read from now on.
    fn play_dtmf(&mut self, id: PartyId, key: &Key, unread: bool, plan: &mut Plan<'_>) -> Result<(), ApiError> {
        let no = |why: String| Err(ApiError::new(ErrorCode::NoDtmf, why));
        let Some(party) = self.party(id) else { return Ok(()) };
        let name = party.name.clone();
        let audio = party.media.iter().enumerate().filter(|(_, media)| media.kind == "audio" && media.leg.is_some());
        let legs: Vec<_> = audio.map(|(index, _)| (index, party.leg_name(index))).collect();
        let mut heard = false;
        for (index, leg) in legs {
            let listeners = plan.listeners_of(&leg);
            heard |= !listeners.is_empty();
            if !listeners.is_empty() && unread {
                self.read_from_now_on(id, index, &leg, plan)?;
            }
            for listener in listeners {
                // The leg knows the formats of both sides of its dialogue, and by itself would not say which are the party's.
                let how = if self.takes_events(&listener) { DtmfHowName::Auto } else { DtmfHowName::Tone };
                plan.add(&key.for_party(listener, how))?;
            }
        }
        if heard { Ok(()) } else { no(format!("nobody hears the audio of {name}")) }
    }

    /// What passes unread only because everything does is read.
    pub(super) fn read_from_now_on(
        &mut self,
        id: PartyId,
        index: usize,
        name: &str,
        plan: &mut Plan<'_>,
    ) -> Result<(), ApiError> {
        let media = self.party_mut(id).and_then(|party| party.media.get_mut(index));
        let Some(media) = media.filter(|media| is_readable(&media.protocol)) else { return Ok(()) };
        media.read = true;
        let Some(leg) = media.leg.as_mut().filter(|leg| leg.relaying == RelayingName::Opaque) else { return Ok(()) };
        leg.relaying = RelayingName::Rtp;
        plan.add(&Command::LegLatch(LegLatch { party: name.to_owned(), latch: leg.latch, relaying: leg.relaying }))
    }

    /// Whether the party of a leg has said that it takes telephone-events; one that has said nothing may.
    fn takes_events(&self, leg: &str) -> bool {
        let media = self.parties.iter().flat_map(|party| {
            party.media.iter().enumerate().filter(|(index, _)| party.leg_name(*index) == leg).map(|(_, media)| media)
        });
        media.into_iter().all(|media| {
            media.codecs.is_empty() || media.codecs.iter().any(patchcord_relay::media::Codec::is_telephone_event)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(duration_ms: Option<u32>, pause_ms: Option<u32>, volume: Option<i32>) -> (u16, u16, i16) {
        let options = Options { duration_ms, pause_ms, volume, ..Options::default() };
        let key = Key::new(10, &options);
        assert_eq!(key.digit, '*');
        (key.duration_ms, key.pause_ms, key.volume_dbm0)
    }

    #[test]
    fn values_are_kept_within_what_is_documented() {
        assert_eq!(key(None, None, None), (250, 100, -8));
        assert_eq!(key(Some(50), Some(5), Some(10)), (100, 100, -10));
        assert_eq!(key(Some(6000), Some(6000), Some(-70)), (5000, 5000, -63));
        assert_eq!(key(Some(200), Some(300), Some(i32::MIN)), (200, 300, -63));
    }
}
