//! Key presses as a client writes them.

use core::ops::RangeInclusive;

use patchcord_codec::dtmf::Digit;
use patchcord_relay::command::{DtmfHow, DtmfStep};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tones::Tone;

/// The most keys and pauses of one command.
pub const DTMF_DIGITS_MAX: usize = 128;
/// How long a key can be down. Receivers need 40 ms (ITU-T Q.24).
const DURATION_MS: RangeInclusive<u16> = 40..=5000;
const PAUSE_MS: RangeInclusive<u16> = 20..=5000;
/// What a payload can say (RFC 4733 2.3.4).
const VOLUME_DBM0: RangeInclusive<i16> = -63..=0;

/// Fields of `dtmf-send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DtmfSend {
    /// The party that will hear the keys.
    pub party: String,
    /// `0` to `9`, `*`, `#`, `A` to `D`; `w` waits for half a second, `W` for a second, `,` for two.
    #[schema(example = "1234#", min_length = 1, max_length = 128)]
    pub digits: String,
    /// How long each key is down.
    #[serde(default = "default_duration_ms")]
    #[schema(minimum = 40, maximum = 5000)]
    pub duration_ms: u16,
    /// How long at least from one key to the next.
    #[serde(default = "default_pause_ms")]
    #[schema(minimum = 20, maximum = 5000)]
    pub pause_ms: u16,
    /// The power of the tones that the keys stand for.
    #[serde(default = "default_volume_dbm0")]
    #[schema(minimum = -63, maximum = 0)]
    pub volume_dbm0: i16,
    /// How the party is told.
    #[serde(default)]
    pub how: DtmfHowName,
}

/// How a party is told of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DtmfHowName {
    /// By an event if it has `telephone-event` of the clock rate of its audio, else by a tone.
    #[default]
    Auto,
    /// By an RFC 4733 event.
    Event,
    /// By a tone in the audio (ITU-T Q.23).
    Tone,
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadKeys {
    /// Which field cannot be, and why.
    Fields(String),
    /// They are to be tones, and the party has no format for these.
    NoTone,
}

impl From<String> for BadKeys {
    fn from(why: String) -> Self {
        Self::Fields(why)
    }
}

const fn default_duration_ms() -> u16 {
    100
}

const fn default_pause_ms() -> u16 {
    100
}

const fn default_volume_dbm0() -> i16 {
    -8
}

impl DtmfSend {
    /// The keys and pauses, one after the other. `how` says how the party is told of one, if it can be.
    pub(crate) fn steps(&self, how: impl Fn(Tone) -> Option<DtmfHow>) -> Result<Vec<DtmfStep>, BadKeys> {
        let &Self { duration_ms, pause_ms, volume_dbm0, .. } = self;
        within("duration_ms", &duration_ms, &DURATION_MS)?;
        within("pause_ms", &pause_ms, &PAUSE_MS)?;
        within("volume_dbm0", &volume_dbm0, &VOLUME_DBM0)?;
        let count = self.digits.chars().count();
        if !(1..=DTMF_DIGITS_MAX).contains(&count) {
            return Err(format!("`digits` has {count} characters; 1 to {DTMF_DIGITS_MAX} are possible").into());
        }
        let volume = u8::try_from(volume_dbm0.unsigned_abs()).unwrap_or(u8::MAX);
        let step = |(at, digit): (usize, char)| match digit {
            'w' => Ok(DtmfStep::Pause { ms: 500 }),
            'W' => Ok(DtmfStep::Pause { ms: 1000 }),
            ',' => Ok(DtmfStep::Pause { ms: 2000 }),
            _ => match Digit::from_char(digit) {
                Some(key) => {
                    let how = how(Tone { digit: key, volume, duration_ms }).ok_or(BadKeys::NoTone)?;
                    Ok(DtmfStep::Key { event: key.event(), volume, duration_ms, pause_ms, how })
                }
                None => Err(BadKeys::Fields(format!(
                    "`digits` has {digit:?} at place {}: keys are 0 to 9, *, #, A to D, and pauses w, W and a comma",
                    at + 1
                ))),
            },
        };
        self.digits.chars().enumerate().map(step).collect()
    }
}

/// # Errors
/// The value is none of the possible ones, in words.
pub(crate) fn within<T: PartialOrd + core::fmt::Display>(
    field: &str,
    value: &T,
    possible: &RangeInclusive<T>,
) -> Result<(), String> {
    if possible.contains(value) {
        return Ok(());
    }
    Err(format!("`{field}` is {value}; {} to {} are possible", possible.start(), possible.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(digits: &str) -> DtmfSend {
        let digits = digits.to_owned();
        DtmfSend {
            party: "a".to_owned(),
            digits,
            duration_ms: 100,
            pause_ms: 50,
            volume_dbm0: -10,
            how: DtmfHowName::Event,
        }
    }

    fn steps(send: &DtmfSend) -> Result<Vec<DtmfStep>, BadKeys> {
        send.steps(|_| Some(DtmfHow::Event))
    }

    #[test]
    fn digits_are_keys_and_pauses() {
        let key = |event| DtmfStep::Key { event, volume: 10, duration_ms: 100, pause_ms: 50, how: DtmfHow::Event };
        let pause = |ms| DtmfStep::Pause { ms };
        assert_eq!(steps(&send("0*#aD")), Ok(vec![key(0), key(10), key(11), key(12), key(15)]));
        assert_eq!(steps(&send("wW,9")), Ok(vec![pause(500), pause(1000), pause(2000), key(9)]));
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (command, words) in [
            (send("12x"), "'x' at place 3"),
            (send(""), "has 0 characters"),
            (send(&"1".repeat(129)), "has 129 characters"),
            (DtmfSend { duration_ms: 39, ..send("1") }, "`duration_ms` is 39; 40 to 5000"),
            (DtmfSend { pause_ms: 5001, ..send("1") }, "`pause_ms` is 5001"),
            (DtmfSend { volume_dbm0: 1, ..send("1") }, "`volume_dbm0` is 1; -63 to 0"),
            (DtmfSend { volume_dbm0: -64, ..send("1") }, "`volume_dbm0` is -64"),
        ] {
            match steps(&command) {
                Err(BadKeys::Fields(error)) => assert!(error.contains(words), "{error}"),
                other => panic!("{words}: {other:?}"),
            }
        }
        assert_eq!(send("1").steps(|_| None), Err(BadKeys::NoTone));
    }
}
