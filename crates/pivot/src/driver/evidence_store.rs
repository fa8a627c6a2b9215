//! Bundles of failed transfers in a directory: a thread of its own writes them, so that no call waits for a disk, and deletes the oldest.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use crate::http::Evidence;

/// So many bundles wait to be written; more are left out.
const WAITING_MAX: usize = 64;

/// What the names of bundles begin and end with; other files are let alone.
const PREFIX: &str = "transfer-";
const SUFFIX: &str = ".tar";

/// While it is written it has another name, so that whoever looks finds whole files alone.
const UNFINISHED: &str = ".unfinished";

/// Where bundles of failed transfers are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceSettings {
    /// The directory, of this pivot alone; created if it is not there.
    pub directory: PathBuf,
    /// Octets of all bundles; the oldest are deleted.
    pub bytes: u64,
}

/// Writes bundles. Dropping it waits until those that it has are written.
pub(super) struct EvidenceStore {
    queue: Option<SyncSender<Box<Evidence>>>,
    writer: Option<JoinHandle<()>>,
}

impl core::fmt::Debug for EvidenceStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EvidenceStore").finish_non_exhaustive()
    }
}

impl EvidenceStore {
    /// Finds out what is there, and begins.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(super) fn open(settings: EvidenceSettings) -> io::Result<Self> {
        let mut folder = Folder::open(settings)?;
        let (queue, waiting): (_, Receiver<Box<Evidence>>) = sync_channel(WAITING_MAX);
        let writer = thread::Builder::new().name("evidence".to_owned()).spawn(move || {
            for evidence in waiting {
                let name = format!("{PREFIX}{}-{}{SUFFIX}", evidence.began_ms(), evidence.id());
                if let Err(error) = folder.write(&name, &evidence.bundle()) {
                    tracing::warn!(%error, name, directory = %folder.settings.directory.display(),
                        "the evidence of a transfer cannot be written");
                }
            }
        })?;
        Ok(Self { queue: Some(queue), writer: Some(writer) })
    }

    /// Has a bundle written; one of the same transfer is replaced.
    pub(super) fn write(&self, evidence: Evidence) {
        let sent = self.queue.as_ref().map(|queue| queue.try_send(Box::new(evidence)));
        if let Some(Err(TrySendError::Full(evidence))) = sent {
            tracing::warn!(transfer = %evidence.id(), "the disk is too slow: the evidence of a transfer is not written");
        }
    }
}

impl Drop for EvidenceStore {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // It says itself what goes wrong.
            let _ = writer.join();
        }
    }
}

/// The directory, and what is in it, the oldest first.
struct Folder {
    settings: EvidenceSettings,
    files: VecDeque<(String, u64)>,
    bytes: u64,
}

impl Folder {
    fn open(settings: EvidenceSettings) -> io::Result<Self> {
        let directory = &settings.directory;
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.starts_with(PREFIX) {
                continue;
            }
            if name.ends_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            } else if name.ends_with(SUFFIX) {
                let of = entry.metadata()?;
                found.push((of.modified()?, name, of.len()));
            }
        }
        found.sort();
        // That it can be written is known now, and not when the first transfer fails.
        let trial = directory.join(format!("{PREFIX}trial{UNFINISHED}"));
        create(&trial)?;
        fs::remove_file(&trial)?;
        let bytes = found.iter().map(|(_, _, len)| len).sum();
        let files = found.into_iter().map(|(_, name, len)| (name, len)).collect();
        let mut folder = Self { settings, files, bytes };
        folder.fit(0)?;
        Ok(folder)
    }

    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let len = content.len() as u64;
        if len > self.settings.bytes {
            return Err(io::Error::other(format!("it has {len} octets, more than `pivot.evidence_mib` allows in all")));
        }
        if let Some(former) = self.files.iter().position(|(known, _)| known == name) {
            self.delete(former)?;
        }
        self.fit(len)?;
        let unfinished = self.settings.directory.join(format!("{name}{UNFINISHED}"));
        let written = create(&unfinished).and_then(|mut file| file.write_all(content));
        let written = written.and_then(|()| fs::rename(&unfinished, self.settings.directory.join(name)));
        if written.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(&unfinished);
        } else {
            self.files.push_back((name.to_owned(), len));
            self.bytes += len;
        }
        written
    }

    /// Makes room for so many octets.
    fn fit(&mut self, len: u64) -> io::Result<()> {
        while self.bytes + len > self.settings.bytes && !self.files.is_empty() {
            self.delete(0)?;
        }
        Ok(())
    }

    fn delete(&mut self, index: usize) -> io::Result<()> {
        let Some((name, len)) = self.files.get(index) else { return Ok(()) };
        match fs::remove_file(self.settings.directory.join(name)) {
            // Somebody has tidied up.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.bytes -= len;
        self.files.remove(index);
        Ok(())
    }
}

/// Who may read calls' signalling is for the operator to say.
fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, bytes: u64) -> Folder {
        let directory = std::env::temp_dir().join(format!("patchcord-evidence-{name}-{}", std::process::id()));
        Folder::open(EvidenceSettings { directory, bytes }).expect("a directory")
    }

    fn names(folder: &Folder) -> Vec<String> {
        let entries = fs::read_dir(&folder.settings.directory).expect("it is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("one").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_are_deleted_and_what_is_not_ours_is_let_alone() {
        let mut folder = folder("oldest", 100);
        fs::write(folder.settings.directory.join("notes"), [0; 500]).expect("room");
        for number in 0..5 {
            folder.write(&format!("transfer-{number}.tar"), &[0; 30]).expect("room");
        }
        assert_eq!(names(&folder), ["notes", "transfer-2.tar", "transfer-3.tar", "transfer-4.tar"]);
        // One that is written again is counted once, and is the latest.
        folder.write("transfer-2.tar", &[0; 40]).expect("room");
        assert_eq!((folder.bytes, folder.files.len()), (100, 3));
        fs::remove_file(folder.settings.directory.join("transfer-3.tar")).expect("it was there");
        folder.write("transfer-5.tar", &[0; 30]).expect("room");
        assert_eq!(names(&folder), ["notes", "transfer-2.tar", "transfer-4.tar", "transfer-5.tar"]);
        assert!(folder.write("transfer-6.tar", &[0; 101]).is_err());
        assert_eq!(names(&folder).len(), 4, "what cannot be kept costs nothing else");

        fs::write(folder.settings.directory.join("transfer-7.tar.unfinished"), [0; 9]).expect("room");
        let EvidenceSettings { directory, .. } = folder.settings.clone();
        let again = Folder::open(EvidenceSettings { directory: directory.clone(), bytes: 75 }).expect("a directory");
        assert_eq!((again.bytes, names(&again).len()), (70, 3), "{:?}", names(&again));
        fs::remove_dir_all(directory).expect("it was there");
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_known_at_once() {
        let file = std::env::temp_dir().join(format!("patchcord-evidence-file-{}", std::process::id()));
        fs::write(&file, "x").expect("room");
        assert!(EvidenceStore::open(EvidenceSettings { directory: file.clone(), bytes: 100 }).is_err());
        fs::remove_file(file).expect("it was there");
    }
}
