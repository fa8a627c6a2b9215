//! What a process before left unfinished.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::metadata::{Metadata, State};
use crate::spec::Format;
use crate::wav_file;

/// Folders in folders: names have no more parts.
const DEPTH_MAX: usize = 8;

/// A recording that was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its metadata, which say so now.
    pub metadata: PathBuf,
    /// The call that it was of.
    pub call: String,
    /// How long it plays, in milliseconds, as far as that can be told.
    pub duration_ms: Option<u64>,
}

/// Marks recordings below `directory` that are in the state `recording` as `interrupted`, and brings the headers of their WAV files
/// into line with what is in them. For the start of a process, when nothing is recorded there: [`Writer::start`](crate::Writer::start)
/// does it.
///
/// # Errors
/// The directory cannot be read. What cannot be read or repaired in it is passed over, with a warning in the log.
pub fn recover(directory: &Path) -> io::Result<Vec<Recovered>> {
    let mut recovered = Vec::new();
    look_into(directory, DEPTH_MAX, &mut recovered)?;
    recovered.sort_by(|a, b| a.metadata.cmp(&b.metadata));
    Ok(recovered)
}

fn look_into(directory: &Path, depth: usize, recovered: &mut Vec<Recovered>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            if let Err(error) = look_into(&path, depth - 1, recovered) {
                tracing::warn!(path = %path.display(), %error, "recordings that may have been interrupted are not looked at");
            }
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "json") {
            match one(&path) {
                Ok(found) => recovered.extend(found),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "this is no recording's metadata, or cannot be mended");
                }
            }
        }
    }
    Ok(())
}

fn one(path: &Path) -> io::Result<Option<Recovered>> {
    let mut metadata = Metadata::read(path)?;
    if metadata.state != State::Recording {
        return Ok(None);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    for file in &mut metadata.files {
        // Only what lies beside the metadata is theirs.
        if file.name.contains('/') || file.name == ".." {
            continue;
        }
        let path = folder.join(&file.name);
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
        if metadata.format == Format::Wav && is_file {
            let wav = OpenOptions::new().read(true).write(true).open(&path)?;
            file.duration_ms = Some(wav_file::ms(&wav, wav_file::repair(&wav)?)?);
        }
        file.bytes = path.metadata().ok().map(|found| found.len());
    }
    let ends = metadata.files.iter().filter_map(|file| Some(file.begins_ms + file.duration_ms?));
    metadata.duration_ms = ends.max();
    metadata.state = State::Interrupted;
    metadata.reason = Some("the relay ended while it was recorded".to_owned());
    metadata.replace(path)?;
    Ok(Some(Recovered { metadata: path.to_owned(), call: metadata.call, duration_ms: metadata.duration_ms }))
}
