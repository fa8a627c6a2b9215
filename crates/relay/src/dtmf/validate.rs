//! Whether key presses can be sent to a party, as the commands before will have left it.

use super::{first_audio_clock_rate, signal_format};
use crate::command::{DTMF_STEPS_MAX, DtmfHow, DtmfStep, Refusal};
use crate::cut_over::Plan;
use crate::ids::LegId;
use crate::leg::formats::list;

/// Codes of RFC 4733 3.2: sixteen keys.
const KEYS: u8 = 16;
/// Six bits.
const VOLUME_MAX: u8 = 63;

impl Plan<'_> {
    pub(crate) fn send_dtmf(&mut self, leg: LegId, steps: &[DtmfStep]) -> Result<(), Refusal> {
        self.must_exist(leg)?;
        let no = |reason: String| Err(Refusal::NoDtmf { leg, reason });
        for step in steps {
            match *step {
                DtmfStep::Key { event, .. } if event >= KEYS => {
                    return no(format!("there is no key {event}; 0 to {} are possible", KEYS - 1));
                }
                DtmfStep::Key { volume, .. } if volume > VOLUME_MAX => {
                    return no(format!("a volume of -{volume} dBm0 is below -{VOLUME_MAX}"));
                }
                DtmfStep::Key { duration_ms: 0, .. } => return no("a key cannot be down for 0 ms".to_owned()),
                DtmfStep::Key { .. } | DtmfStep::Pause { .. } => {}
            }
        }
        if steps.is_empty() {
            return no("none are given".to_owned());
        }
        let planned: usize = self.dialled.iter().filter(|(other, _)| *other == leg).map(|(_, steps)| steps).sum();
        if self.dtmf_waiting(leg) + planned + steps.len() > DTMF_STEPS_MAX {
            return no(format!("more than {DTMF_STEPS_MAX} would wait; stop them, or wait for some to be sent"));
        }
        if let Some(source) = self.source_of(leg).filter(|source| self.is_opaque(*source)) {
            return no(format!("it hears {source}, whose packets are relayed unread"));
        }
        let codecs = self.codecs_of(leg);
        let clock_rate = self.audio_clock_rate_of(leg).unwrap_or_else(|| first_audio_clock_rate(codecs));
        for step in steps {
            let DtmfStep::Key { how, .. } = step else { continue };
            if signal_format(how, codecs, clock_rate).is_some() {
                continue;
            }
            let has = if codecs.is_empty() { "no list of formats".to_owned() } else { list(codecs) };
            let missing = match how {
                DtmfHow::Event => format!("no telephone-event/{clock_rate}"),
                DtmfHow::Tone(frames) => format!("no {}/{} for tones", frames.encoding(), frames.clock_rate()),
                DtmfHow::EventOrTone(frames) => format!(
                    "neither telephone-event/{clock_rate} nor, for tones, {}/{}",
                    frames.encoding(),
                    frames.clock_rate()
                ),
            };
            return no(format!("its audio runs at {clock_rate} Hz, and it has {missing}, but {has}"));
        }
        self.dialled.push((leg, steps.len()));
        Ok(())
    }

    fn dtmf_waiting(&self, leg: LegId) -> usize {
        let slot = self.shard.legs.slot(leg);
        let dialer = slot.and_then(|slot| self.shard.legs.cold[slot as usize].dialer.as_ref());
        dialer.map_or(0, |dialer| dialer.waiting())
    }

    /// Clock rate of what the leg hears at present; `None` if the batch changes what that is.
    fn audio_clock_rate_of(&self, leg: LegId) -> Option<u32> {
        let slot = self.shard.legs.slot(leg)?;
        let changes = self.codecs.iter().any(|(other, _)| *other == leg) || self.planned_source(leg).is_some();
        (!changes).then(|| self.shard.audio_clock_rate(slot))
    }
}
