//! Finding out what a party says.

use core::ops::RangeInclusive;

use patchcord_relay::detection::What;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Within how many milliseconds it can be asked for who has answered.
pub(crate) const ANSWER_TIMEOUT_MS: RangeInclusive<u32> = 500..=60_000;

/// Fields of `detect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The party that is listened to.
    pub party: String,
    /// Within so many milliseconds it is found out whether a human or a machine has answered.
    #[serde(default = "default_answer_timeout_ms")]
    #[schema(minimum = 500, maximum = 60_000)]
    pub answer_timeout_ms: u32,
}

pub(crate) const fn default_answer_timeout_ms() -> u32 {
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

impl Sound {
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
