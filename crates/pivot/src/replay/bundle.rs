//! A bundle as it is read again: the files of it that a replay needs, whoever wrote them.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::Setup;

/// Octets of a bundle, and of one of its files: a trace has 256 KiB at most, and its JSON some times that.
const BUNDLE_LEN_MAX: usize = 64 << 20;
const FILE_LEN_MAX: u64 = 16 << 20;

/// Entries of a bundle: it has ten.
const ENTRIES_MAX: usize = 256;

/// Why a bundle cannot be played again.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReplayError {
    /// It is no tar, or cut off.
    #[error(
        "this is no whole tar: {0}; a bundle is written by `patchcord transfers show ID --bundle FILE`, fetch it once more"
    )]
    NotATar(String),
    /// It is too large to be one.
    #[error("it is larger than any bundle: {0}; name a file of `patchcord transfers show ID --bundle FILE`")]
    TooLarge(String),
    /// A file that is needed is not in it.
    #[error("there is no {0} in it: bundles of Patchcord before replay have none; record the transfer once more")]
    Missing(&'static str),
    /// A file is not what it should be.
    #[error("its {file} cannot be read: {why}; fetch the bundle once more, or take back what was changed in it")]
    Unreadable {
        /// Which.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// It has no trace.
    #[error(
        "no SIP trace was kept of the call: set `pivot.trace_kib` (docs/pivot.md) and record the transfer once more"
    )]
    NoTrace,
    /// The trace has a gap.
    #[error(
        "{0} messages between the first and the latest were not kept, so nobody knows what was said: only whole traces can be played"
    )]
    Gap(u64),
    /// A message is not what it should be.
    #[error("message {number} of the trace cannot be played: {why}")]
    Message {
        /// Its number, the first is 1.
        number: usize,
        /// What is wrong, and what can be done.
        why: String,
    },
    /// The call cannot be played again.
    #[error("{0}")]
    NotPlayable(String),
}

/// A stored transfer.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What came of it.
    pub transfer: Outcome,
    /// Its call, once that was answered.
    pub call: Option<CallOf>,
    /// What each party heard.
    pub heard: Vec<Heard>,
    /// The settings that mattered.
    pub setup: Setup,
    /// What was said.
    pub(super) trace: Trace,
    /// What happened between the messages.
    pub(super) marks: Marks,
}

/// What happened between the messages, milliseconds since the first one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Marks {
    pub connected_ms: Option<f64>,
    #[serde(default)]
    pub first_packets_ms: BTreeMap<String, f64>,
}

/// What came of a transfer, as far as two runs of it are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    /// Its id.
    pub transfer: String,
    /// How it was made.
    #[serde(default)]
    pub method: String,
    /// Who said so.
    #[serde(default)]
    pub chosen_by: String,
    /// How it stands.
    pub state: String,
    /// The rule that refused it.
    #[serde(default)]
    pub rule: Option<String>,
    /// Targets that could not be had.
    #[serde(default)]
    pub failures: Vec<FailureOf>,
    /// The transferor hung up before it was decided.
    #[serde(default)]
    pub transferor_left: bool,
    /// The party that took the place, or would.
    #[serde(default)]
    pub target: Option<String>,
    /// When the target took the place, milliseconds since 1970.
    #[serde(default)]
    pub connected_ms: Option<u64>,
    /// When it was over, milliseconds since 1970.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// What its media did.
    #[serde(default)]
    pub media: Option<Media>,
}

/// A target that could not be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct FailureOf {
    /// How far it was.
    pub stage: String,
    /// The SIP code.
    pub code: u16,
    /// Its reason phrase.
    #[serde(default)]
    pub phrase: String,
    /// The Q.850 cause.
    #[serde(default)]
    pub q850: Option<u16>,
    /// What may be the matter, the likeliest first.
    #[serde(default)]
    pub causes: Vec<CauseOf>,
}

/// Something that may be the matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct CauseOf {
    /// What.
    pub what: String,
}

/// A transfer's call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct CallOf {
    /// The caller's Call-ID.
    pub call_id: String,
    /// The ids of its transfers.
    #[serde(default)]
    pub transfers: Vec<String>,
}

/// What a party heard, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Heard {
    /// Who.
    pub party: String,
    /// What.
    pub heard: Vec<Piece>,
}

/// What a party heard for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Piece {
    /// `party`, `early-media`, `conference`, `ringing-tone`, `hold`, `silence`.
    pub kind: String,
    /// The same for people, with the names of parties.
    pub what: String,
}

/// What a transfer's media did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Media {
    /// As it stood when the transfer was over.
    pub when_over: Option<Facts>,
    /// As it stood when the call was over.
    pub at_call_end: Option<Facts>,
}

/// The media of all parties at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Facts {
    /// Whose.
    #[serde(default)]
    pub parties: Vec<PartyFacts>,
}

/// A party's media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PartyFacts {
    /// Whose.
    pub party: String,
    /// RTP packets that came from it.
    #[serde(default)]
    pub received: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Trace {
    pub is_kept: bool,
    #[serde(default)]
    pub messages: Vec<Said>,
    #[serde(default)]
    pub left_out: u64,
}

/// A message of the trace.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Said {
    pub at_ms: f64,
    pub direction: String,
    pub party: String,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub text: String,
}

#[derive(Deserialize)]
struct Timeline {
    #[serde(default)]
    parties: Vec<Heard>,
}

impl Recording {
    /// Reads a bundle.
    ///
    /// # Errors
    /// It is none, it is damaged, or it lacks what a replay needs.
    pub fn read(bundle: &[u8]) -> Result<Self, ReplayError> {
        let files = Files::of(bundle)?;
        let trace: Trace = files.json("trace.json")?;
        if !trace.is_kept || trace.messages.is_empty() {
            return Err(ReplayError::NoTrace);
        }
        if trace.left_out > 0 {
            return Err(ReplayError::Gap(trace.left_out));
        }
        Ok(Self {
            transfer: files.json("transfer.json")?,
            call: files.json("call.json")?,
            heard: files.json::<Timeline>("timeline.json")?.parties,
            setup: files.json("settings.json")?,
            marks: files.json("marks.json")?,
            trace,
        })
    }

    /// Which of the call's transfers it is; the first is 0.
    #[must_use]
    pub fn ordinal(&self) -> usize {
        let transfers = self.call.iter().flat_map(|call| &call.transfers);
        transfers.into_iter().position(|id| *id == self.transfer.transfer).unwrap_or(0)
    }

    /// The Call-ID of the caller, as recorded.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.call.as_ref().map_or("", |call| &call.call_id)
    }
}

/// The files of a bundle.
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn of(bundle: &[u8]) -> Result<Self, ReplayError> {
        if bundle.len() > BUNDLE_LEN_MAX {
            return Err(ReplayError::TooLarge(format!("{} MiB", bundle.len() >> 20)));
        }
        let not_a_tar = |why: std::io::Error| ReplayError::NotATar(why.to_string());
        let mut files = Vec::new();
        let mut archive = tar::Archive::new(bundle);
        for entry in archive.entries().map_err(not_a_tar)? {
            let entry = entry.map_err(not_a_tar)?;
            if files.len() >= ENTRIES_MAX {
                return Err(ReplayError::TooLarge(format!("more than {ENTRIES_MAX} files")));
            }
            let path = entry.path().map_err(not_a_tar)?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let len = entry.size();
            if len > FILE_LEN_MAX {
                return Err(ReplayError::TooLarge(format!("{name} has {} MiB", len >> 20)));
            }
            let mut content = Vec::new();
            entry.take(FILE_LEN_MAX).read_to_end(&mut content).map_err(not_a_tar)?;
            if (content.len() as u64) < len {
                return Err(ReplayError::NotATar(format!("{name} ends before its end")));
            }
            files.push((name, content));
        }
        if files.is_empty() {
            return Err(ReplayError::NotATar("there is no file in it".to_owned()));
        }
        Ok(Self(files))
    }

    fn json<T: DeserializeOwned>(&self, file: &'static str) -> Result<T, ReplayError> {
        let (_, content) = self.0.iter().find(|(name, _)| name == file).ok_or(ReplayError::Missing(file))?;
        serde_json::from_slice(content).map_err(|error| ReplayError::Unreadable { file, why: error.to_string() })
    }
}
