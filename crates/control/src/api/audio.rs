//! Audio that can be played, as it is listed and uploaded.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All audio that `play` and `hold` can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AudioList {
    /// By name.
    pub audio: Vec<AudioState>,
}

/// A piece of audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AudioState {
    /// What commands call it.
    pub name: String,
    /// Where it came from.
    pub source: AudioSource,
    /// How long it plays.
    pub duration_ms: u64,
    /// Memory that it takes, encoded.
    pub bytes: usize,
    /// What it is encoded in: `PCMU/8000`.
    pub formats: Vec<String>,
}

/// Where a piece of audio came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AudioSource {
    /// It is part of the server.
    BuiltIn,
    /// A file of the configuration.
    File,
    /// It was uploaded.
    Upload,
    /// It was fetched from a URL.
    Url,
}

/// The body of an upload that is a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioUrl {
    /// Where the server fetches the audio from, now: `http://HOST/...` or `https://HOST/...`, and HOST must be in the server's `audio.fetch_from`.
    pub url: String,
}
