//! Names of files, which others choose.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Folders of a name, and bytes of each of its parts: with number, party and extension a part stays below the 255 of file systems.
const PARTS_MAX: usize = 8;
const PART_BYTES_MAX: usize = 120;
/// Of a whole name, with its slashes.
pub(crate) const NAME_BYTES_MAX: usize = PARTS_MAX * (PART_BYTES_MAX + 1);
const PARTY_BYTES_MAX: usize = 60;
/// So many numbers are tried behind a name that is taken.
const NUMBERS_MAX: u32 = 10_000;
/// Only whom the relay runs as may read what people have said.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Why a name names no file within the directory of recordings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It begins with a slash.
    #[error("{0:?} is a whole path: give one below the directory of recordings")]
    Absolute(String),
    /// It has a part that is none.
    #[error("{0:?} has an empty part, or one that begins with a dot: give a name such as \"2026/call-1\"")]
    Part(String),
    /// It has a character that a name should not have.
    #[error("{name:?} has the character {character:?}, which the name of a recording must not have")]
    Character {
        /// The name.
        name: String,
        /// What is in it.
        character: char,
    },
    /// It is too long.
    #[error("the name of a recording has at most {PARTS_MAX} parts of {PART_BYTES_MAX} bytes")]
    TooLong,
}

/// Whether `name` names a file below the directory of recordings: parts joined by slashes, none of which is empty or begins with a
/// dot, without control characters and backslashes.
///
/// # Errors
/// It does not.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if let Some(character) = name.chars().find(|character| character.is_control() || *character == '\\') {
        return Err(NameError::Character { name: name.to_owned(), character });
    }
    if name.starts_with('/') {
        return Err(NameError::Absolute(name.to_owned()));
    }
    // What begins with a dot is a way out, or hidden, or the writer's own.
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Err(NameError::Part(name.to_owned()));
    }
    if name.split('/').count() > PARTS_MAX || name.split('/').any(|part| part.len() > PART_BYTES_MAX) {
        return Err(NameError::TooLong);
    }
    Ok(())
}

/// Where the files of one recording lie, and how they begin.
#[derive(Clone, Debug)]
pub(crate) struct Stem {
    folder: PathBuf,
    name: String,
}

impl Stem {
    /// Takes `name` in `directory`, or the first number behind it that is free: its metadata are there from now on, empty.
    pub(crate) fn take(directory: &Path, name: &str, extension: &str) -> io::Result<(Self, File)> {
        check_name(name).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let (folder, last) = name.rsplit_once('/').map_or(("", name), |(folder, last)| (folder, last));
        let folder = directory.join(folder);
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&folder)?;
        for number in 1..=NUMBERS_MAX {
            let name = if number == 1 { last.to_owned() } else { format!("{last}-{number}") };
            let stem = Self { folder: folder.clone(), name };
            // The one whose metadata are there has the name.
            match create(&stem.metadata()) {
                Ok(file) if stem.path(extension).symlink_metadata().is_err() => return Ok((stem, file)),
                Ok(_) => std::fs::remove_file(stem.metadata())?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!("there are {NUMBERS_MAX} recordings of the name {name:?}"),
        ))
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.path("json")
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new file of this recording, for one party or for all; a number is appended if there is one already.
    pub(crate) fn file(&self, party: Option<&str>, extension: &str) -> io::Result<(String, File)> {
        let name = match party {
            Some(party) => format!("{}-{}", self.name, tame(party)),
            None => self.name.clone(),
        };
        for number in 1..=NUMBERS_MAX {
            let name = if number == 1 { format!("{name}.{extension}") } else { format!("{name}-{number}.{extension}") };
            match create(&self.folder.join(&name)) {
                Ok(file) => return Ok((name, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, format!("there are {NUMBERS_MAX} files of the name {name:?}")))
    }
}

/// A file that was not there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path);
    file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// A party's name as part of a file's.
fn tame(party: &str) -> String {
    let tame =
        |character: char| if character.is_alphanumeric() || "-_@+.".contains(character) { character } else { '_' };
    let mut name: String = party.chars().map(tame).collect();
    while name.len() > PARTY_BYTES_MAX {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for good in ["a", "2026/11/27/call 1", "ä-ö", "a.b", "x..y"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\0b", "a\\b", "a\nb"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_name(&"x/".repeat(8)[..15]), Ok(()));
        assert_eq!(check_name(&"x/".repeat(9)[..17]), Err(NameError::TooLong));
        assert_eq!(check_name(&"x".repeat(121)), Err(NameError::TooLong));
    }

    #[test]
    fn a_partys_name_is_no_path() {
        assert_eq!(tame("../a b/ü@x"), ".._a_b_ü@x");
        assert!(tame(&"ü".repeat(100)).len() <= PARTY_BYTES_MAX);
    }
}
