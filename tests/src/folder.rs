//! A place for a test's files.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder for the files of one test. Dropping it removes it, unless the test fails: then the files may tell why.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates one under `parent`, which is `CARGO_TARGET_TMPDIR` for an integration test.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn create(parent: &str, name: &str) -> Self {
        let folder = Path::new(parent).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What is left behind is in nobody's way.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
