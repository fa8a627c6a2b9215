//! Maps and links that outlive their process, under names in a folder of a BPF filesystem.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, statfs};

use super::sys;

/// linux/magic.h
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// A folder with pinned objects. They are the kernel's as long as their names are there.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    folder: PathBuf,
}

impl Pins {
    /// A folder, which is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made, or does not lie in a BPF filesystem.
    pub(crate) fn at(folder: &Path) -> io::Result<Self> {
        // Its parents are made in a BPF filesystem or nowhere.
        let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
        if statfs(there)?.filesystem_type() != FsType(BPF_FS_MAGIC) {
            return Err(io::Error::other(format!("{} does not lie in a BPF filesystem", there.display())));
        }
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Lets an object live on under a name.
    pub(super) fn put(&self, name: &str, object: BorrowedFd<'_>) -> io::Result<()> {
        sys::pin(object, &self.path(name)?)
    }

    /// The object of a name; `None`: there is none.
    pub(super) fn get(&self, name: &str) -> io::Result<Option<OwnedFd>> {
        match sys::pinned(&self.path(name)?) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends the object of a name, unless somebody else has it.
    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.folder.join(name));
    }

    /// Ends all objects that nobody else has.
    pub(crate) fn clear(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }

    fn path(&self, name: &str) -> io::Result<CString> {
        Ok(CString::new(self.folder.join(name).as_os_str().as_bytes())?)
    }
}

/// How many entries a map has room for, as the kernel tells of a descriptor.
pub(super) fn entries_max(map: &OwnedFd) -> Option<usize> {
    let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", map.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("max_entries:")?.trim().parse().ok())
}
