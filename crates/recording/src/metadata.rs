//! `NAME.json`: what a recording is, and what has become of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::names::create;
use crate::report::Counts;
use crate::spec::{Format, Layout};

/// So many parties, marks and pauses are kept of each; those beyond are only counted.
const LISTED_MAX: usize = 1000;

/// The whole of it. All times `_ms` are milliseconds of the recording from its beginning, without its pauses: places in its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) state: State,
    /// Why it failed, or was interrupted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) reason: Option<String>,
    pub(crate) producer: String,
    pub(crate) call: String,
    /// RFC 3339.
    pub(crate) started: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) ended: Option<String>,
    pub(crate) format: Format,
    pub(crate) layout: Layout,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) sample_rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) duration_ms: Option<u64>,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) parties: Vec<PartyEntry>,
    pub(crate) pauses: Vec<PauseEntry>,
    pub(crate) marks: Vec<MarkEntry>,
    /// Of what is listed above, entries for which there was no room.
    pub(crate) left_out: u64,
    pub(crate) counts: Counts,
    pub(crate) values: BTreeMap<String, String>,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It goes on, or did when the process ended.
    Recording,
    /// It has ended as it should.
    Finished,
    /// It has ended, and its files are deleted.
    Discarded,
    /// Something could not be written.
    Failed,
    /// The process had ended in the midst of it.
    Interrupted,
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// In the folder of the metadata.
    pub(crate) name: String,
    /// Where it begins.
    pub(crate) begins_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) bytes: Option<u64>,
}

/// A party.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartyEntry {
    pub(crate) party: String,
    pub(crate) track: u16,
    /// Its first file, if it has its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) file: Option<String>,
    pub(crate) formats: Vec<String>,
    pub(crate) joined_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) left_ms: Option<u64>,
    pub(crate) counts: Counts,
}

/// Time that was left out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PauseEntry {
    pub(crate) at_ms: u64,
    /// None while it lasts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) length_ms: Option<u64>,
}

/// Something that somebody wanted to be remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MarkEntry {
    pub(crate) at_ms: u64,
    pub(crate) text: String,
}

impl Metadata {
    pub(crate) fn add_pause(&mut self, pause: PauseEntry) {
        push(&mut self.pauses, pause, &mut self.left_out);
    }

    pub(crate) fn add_mark(&mut self, mark: MarkEntry) {
        push(&mut self.marks, mark, &mut self.left_out);
    }

    /// Adds a party; gives its place in the list, if there is room.
    pub(crate) fn add_party(&mut self, party: PartyEntry) -> Option<usize> {
        let place = self.parties.len();
        push(&mut self.parties, party, &mut self.left_out);
        (place < self.parties.len()).then_some(place)
    }

    /// Lists a file, instead of what was said of it before. Files are on the disk: they are all listed.
    pub(crate) fn list_file(&mut self, file: FileEntry) {
        self.files.retain(|known| known.name != file.name);
        self.files.push(file);
    }

    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(path)?).map_err(io::Error::from)
    }

    /// Writes them for the first time, into the file that has taken the name.
    pub(crate) fn write_first(&self, mut file: &File) -> io::Result<()> {
        file.write_all(&self.bytes()?)
    }

    /// Puts them in the place of those that are there, in one step.
    pub(crate) fn replace(&self, path: &Path) -> io::Result<()> {
        let bytes = self.bytes()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = path.with_file_name(format!(".{name}.new"));
        // Left over from a crash; nobody else writes a name that begins with a dot.
        drop(fs::remove_file(&fresh));
        let replaced = create(&fresh).and_then(|mut file| {
            file.write_all(&bytes)?;
            fs::rename(&fresh, path)
        });
        if replaced.is_err() {
            drop(fs::remove_file(&fresh));
        }
        replaced
    }

    /// Writes them over those that are there: on a full disk that has no room for both.
    pub(crate) fn overwrite(&self, path: &Path) -> io::Result<()> {
        let bytes = self.bytes()?;
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn push<T>(list: &mut Vec<T>, entry: T, left_out: &mut u64) {
    if list.len() < LISTED_MAX {
        list.push(entry);
    } else {
        *left_out += 1;
    }
}
