//! Finding out what a party says.

use core::ops::RangeInclusive;

use patchcord_relay::detection::{Detection, What};
use patchcord_relay::time::MonoTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::event::EventKind;

/// Within how many milliseconds it can be asked for who has answered.
pub(crate) const ANSWER_TIMEOUT_MS: RangeInclusive<u16> = 500..=60_000;

/// Fields of `detect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The party that is listened to.
    pub party: String,
    /// Within so many milliseconds it is found out whether a human or a machine has answered.
    #[serde(default = "default_answer_timeout_ms")]
    #[schema(minimum = 500, maximum = 60_000)]
    pub answer_timeout_ms: u16,
}

pub(crate) const fn default_answer_timeout_ms() -> u16 {
    3500
}

/// What was heard of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sound {
    /// It speaks.
    Speech,
    /// It speaks no more: began and length are those of what it said.
    SpeechEnd,
    /// Nothing for two seconds.
    Silence,
    /// A beep as of an answering machine.
    Beep,
    /// A telephone rings at its end.
    RingingTone,
    /// It is busy, or the network is.
    BusyTone,
    /// A dialling tone.
    DialTone,
    /// The three rising tones before an announcement of the network.
    SpecialInformation,
    /// A fax machine calls.
    FaxCng,
    /// A fax machine or a modem answers.
    FaxCed,
    /// A human has answered.
    Human,
    /// A machine has answered.
    Machine,
    /// It could not be told in time who has answered.
    Undecided,
}

/// Who has answered, as `detect` has found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answered {
    /// `human`, `machine` or `undecided`.
    pub sound: Sound,
    /// When that was told: the time of the event `detected`.
    pub at_us: u64,
    /// As in the event.
    pub began_ms_ago: u32,
    /// As in the event.
    pub duration_ms: u32,
    /// As in the event.
    pub confidence_percent: u8,
}

impl Answered {
    /// `None`: it tells something else.
    pub(crate) fn of(detection: &Detection, at: MonoTime) -> Option<Self> {
        let &Detection { what, began_ms_ago, duration_ms, confidence_percent } = detection;
        let sound = Sound::of(what).filter(|sound| sound.is_answer())?;
        Some(Self { sound, at_us: at.as_nanos() / 1000, began_ms_ago, duration_ms, confidence_percent })
    }
}

impl From<&Answered> for EventKind {
    fn from(answered: &Answered) -> Self {
        let &Answered { sound, began_ms_ago, duration_ms, confidence_percent, .. } = answered;
        Self::Detected { sound, began_ms_ago, duration_ms, confidence_percent, hz: None }
    }
}

impl Sound {
    /// Whether it says who has answered.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Human | Self::Machine | Self::Undecided)
    }

    /// `None`: it is a key press, or something newer.
    pub(crate) const fn of(what: What) -> Option<Self> {
        Some(match what {
            What::SpeechBegins => Self::Speech,
            What::SpeechEnds => Self::SpeechEnd,
            What::Silence => Self::Silence,
            What::Beep { .. } => Self::Beep,
            What::RingingTone => Self::RingingTone,
            What::BusyTone => Self::BusyTone,
            What::DialTone => Self::DialTone,
            What::SpecialInformation => Self::SpecialInformation,
            What::FaxCng => Self::FaxCng,
            What::FaxCed => Self::FaxCed,
            What::Human => Self::Human,
            What::Machine => Self::Machine,
            What::Undecided => Self::Undecided,
            _ => return None,
        })
    }
}
