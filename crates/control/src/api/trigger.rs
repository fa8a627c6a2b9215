//! When a cut-over happens, what becomes of the old party, and how often audio is repeated.

use core::fmt;

use patchcord_relay::event::TriggerKind;
use patchcord_relay::media;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When a cut-over happens. Until then everything stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Now.
    Immediate,
    /// At the first packet of the new source.
    OnFirstPacket,
    /// After so many milliseconds.
    #[serde(rename = "after_ms")]
    AfterMs(u32),
    /// When the prompt that the party hears has ended.
    AfterPrompt,
    /// When a human is heard to have answered: the new source is listened to.
    OnHuman,
}

/// What becomes of the old party of a swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeepOld {
    /// It hears hold audio.
    #[default]
    Hold,
    /// It hears silence.
    Mute,
    /// Its leg is deleted at the switch.
    Drop,
    /// It hears silence, and its leg is deleted so many milliseconds after the switch.
    #[serde(rename = "drop_after_ms")]
    DropAfterMs(u32),
}

/// How often audio is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Repeat {
    /// This many times, at least once.
    Times(u32),
    /// Until something else is heard.
    Forever(Forever),
}

/// The word `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Forever {
    /// Until something else is heard.
    Forever,
}

impl<'de> Deserialize<'de> for Repeat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Repeat;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("repeat: a number from 1 on, or \"forever\"")
            }

            fn visit_u64<E: de::Error>(self, times: u64) -> Result<Repeat, E> {
                u32::try_from(times)
                    .ok()
                    .filter(|&times| times > 0)
                    .map(Repeat::Times)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(times), &self))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Repeat, E> {
                match word {
                    "forever" => Ok(Repeat::Forever(Forever::Forever)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl From<Repeat> for media::Repeat {
    fn from(repeat: Repeat) -> Self {
        match repeat {
            Repeat::Times(times) => Self::Times(times),
            Repeat::Forever(Forever::Forever) => Self::Forever,
        }
    }
}

/// What made a cut-over happen, in answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerName {
    /// At once.
    Immediate,
    /// The first packet of the new source.
    OnFirstPacket,
    /// A time that was set.
    At,
    /// That a human was heard to have answered.
    OnHuman,
    /// The end of a prompt.
    AfterPrompt,
}

impl From<TriggerKind> for TriggerName {
    fn from(kind: TriggerKind) -> Self {
        match kind {
            TriggerKind::Immediate => Self::Immediate,
            TriggerKind::OnFirstPacket => Self::OnFirstPacket,
            TriggerKind::At => Self::At,
            TriggerKind::OnCommand => Self::OnHuman,
            TriggerKind::AfterPrompt => Self::AfterPrompt,
        }
    }
}
