//! Recording a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Fields of `record-start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordStart {
    /// The kind of its files; absent: as the server is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<RecordingFormat>,
    /// What goes into which file; absent: as the server is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<RecordingLayout>,
    /// Samples a second of audio; absent: as the server is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Where its files lie below the server's directory of recordings, without an extension; absent: the call's name. If there is
    /// something of this name already, a number is appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The parties that are recorded; absent: all, and those that join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parties: Option<Vec<String>>,
    /// Whatever else the metadata are to have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// Fields of `record-stop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordStop {
    /// Delete the recording's files: only its metadata are left, which say so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub discard: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Fields of `record-pause` and `record-resume`: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// The kind of a recording's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingFormat {
    /// Linear samples of 16 bits.
    Wav,
    /// Opus in Ogg (RFC 7845).
    OggOpus,
    /// Parties' packets as they came, decrypted.
    Pcapng,
}

/// What goes into which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingLayout {
    /// All parties in one file.
    Mixed,
    /// A file for each party.
    PerParty,
}

/// What came of a command about a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingDone {
    /// The name that was asked for; `recording-started` tells under which it lies.
    #[schema(value_type = String)]
    pub recording: Arc<str>,
}

/// A recording that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingState {
    /// Its name, below the server's directory of recordings.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// The kind of its files.
    pub format: RecordingFormat,
    /// What goes into which file.
    pub layout: RecordingLayout,
    /// Nothing is recorded at present.
    pub paused: bool,
}

impl From<RecordingFormat> for patchcord_recording::Format {
    fn from(format: RecordingFormat) -> Self {
        match format {
            RecordingFormat::Wav => Self::Wav,
            RecordingFormat::OggOpus => Self::OggOpus,
            RecordingFormat::Pcapng => Self::Pcapng,
        }
    }
}

impl From<RecordingLayout> for patchcord_recording::Layout {
    fn from(layout: RecordingLayout) -> Self {
        match layout {
            RecordingLayout::Mixed => Self::Mixed,
            RecordingLayout::PerParty => Self::PerParty,
        }
    }
}
