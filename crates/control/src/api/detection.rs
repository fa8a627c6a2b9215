//! Finding out what a party says.

use patchcord_relay::detection::{Detection, What};
use patchcord_relay::overhearing::Listening;
use patchcord_relay::time::MonoTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dtmf::within;
use super::event::EventKind;

/// How parties are listened to, unless a request says otherwise. What each value does is said in docs/detection.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectionConfig {
    /// Within so many milliseconds it is found out whether a human or a machine has answered: 500 to 60 000.
    pub answer_timeout_ms: u32,
    /// What is softer is silence: dBFS, -80 to -20.
    pub audible_dbfs: i32,
    /// Speech has ended after so many milliseconds without any: 100 to 2000.
    pub hang_over_ms: u32,
    /// Silence is told of after so many milliseconds: 100 to 600 000.
    pub silence_ms: u32,
    /// So many milliseconds of speech are a machine's: 500 to 10 000.
    pub greeting_max_ms: u32,
    /// So many milliseconds of silence after less speech are a human's: 300 to 3000.
    pub listening_ms: u32,
}

impl Default for DetectionConfig {
    fn default() -> Self {
        Self {
            answer_timeout_ms: 3500,
            audible_dbfs: -50,
            hang_over_ms: 240,
            silence_ms: 2000,
            greeting_max_ms: 1800,
            listening_ms: 700,
        }
    }
}

impl DetectionConfig {
    /// Whether all of it is in its range.
    ///
    /// # Errors
    /// What is not, and its range.
    pub fn check(&self) -> Result<(), String> {
        within("answer_timeout_ms", &self.answer_timeout_ms, &(500..=60_000))?;
        within("audible_dbfs", &self.audible_dbfs, &(-80..=-20))?;
        within("hang_over_ms", &self.hang_over_ms, &(100..=2000))?;
        within("silence_ms", &self.silence_ms, &(100..=600_000))?;
        within("greeting_max_ms", &self.greeting_max_ms, &(500..=10_000))?;
        within("listening_ms", &self.listening_ms, &(300..=3000))
    }

    /// In the engine's words. What is out of its range was refused before.
    pub(crate) fn listening(&self) -> Listening {
        let ms = |ms: u32| u16::try_from(ms).unwrap_or(u16::MAX);
        Listening {
            answer_timeout_ms: ms(self.answer_timeout_ms),
            audible_dbfs: i8::try_from(self.audible_dbfs).unwrap_or(i8::MIN),
            hang_over_ms: ms(self.hang_over_ms),
            silence_ms: self.silence_ms,
            greeting_max_ms: ms(self.greeting_max_ms),
            listening_ms: ms(self.listening_ms),
        }
    }
}

/// Fields of `detect`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The party that is listened to.
    pub party: String,
    /// Within so many milliseconds it is found out whether a human or a machine has answered; absent, as all of these: as the server is
    /// configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 500, maximum = 60_000)]
    pub answer_timeout_ms: Option<u32>,
    /// What is softer than so many dBFS is silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -80, maximum = -20)]
    pub audible_dbfs: Option<i32>,
    /// Speech has ended after so many milliseconds without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 100, maximum = 2000)]
    pub hang_over_ms: Option<u32>,
    /// Silence is told of after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 100, maximum = 600_000)]
    pub silence_ms: Option<u32>,
    /// So many milliseconds of speech are a machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 500, maximum = 10_000)]
    pub greeting_max_ms: Option<u32>,
    /// So many milliseconds of silence after less speech are a human's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 300, maximum = 3000)]
    pub listening_ms: Option<u32>,
}

impl Detect {
    /// What it asks for, and what the server does where it asks for nothing.
    pub(crate) fn over(&self, config: &DetectionConfig) -> DetectionConfig {
        DetectionConfig {
            answer_timeout_ms: self.answer_timeout_ms.unwrap_or(config.answer_timeout_ms),
            audible_dbfs: self.audible_dbfs.unwrap_or(config.audible_dbfs),
            hang_over_ms: self.hang_over_ms.unwrap_or(config.hang_over_ms),
            silence_ms: self.silence_ms.unwrap_or(config.silence_ms),
            greeting_max_ms: self.greeting_max_ms.unwrap_or(config.greeting_max_ms),
            listening_ms: self.listening_ms.unwrap_or(config.listening_ms),
        }
    }
}

/// What was heard of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sound {
    /// It speaks.
    Speech,
    /// It speaks no more: began and length are those of what it said.
    SpeechEnd,
    /// Nothing for two seconds, or for as long as it was asked for.
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

#[cfg(test)]
mod tests {
    use patchcord_codec::detect::Settings;

    use super::*;

    #[test]
    fn the_defaults_are_the_detectors_own() {
        let config = DetectionConfig::default();
        config.check().expect("all of it is in its range");
        let Settings { audible_dbfs, hang_over_ms, silence_ms, answer_timeout_ms, greeting_max_ms, listening_ms } =
            Settings::default();
        let listening = config.listening();
        assert_eq!(f32::from(listening.audible_dbfs).to_bits(), audible_dbfs.to_bits());
        assert_eq!(
            [listening.hang_over_ms, listening.answer_timeout_ms, listening.greeting_max_ms, listening.listening_ms]
                .map(u32::from),
            [hang_over_ms, answer_timeout_ms, greeting_max_ms, listening_ms]
        );
        assert_eq!(config.silence_ms, silence_ms);
    }
}
