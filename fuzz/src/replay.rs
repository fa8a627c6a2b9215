//! Replays a corpus through a check, in the tests of the crate whose bytes it is about.

use std::path::Path;
use std::{fs, io};

/// Runs `check` on all files of the corpus, and on every beginning of each, and on each with every bit turned.
#[expect(clippy::print_stdout, reason = "what fails is known only if its file is named")]
pub(crate) fn replay(name: &str, check: fn(&[u8])) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    assert!(!files.is_empty(), "the corpus {name} is empty");
    for file in files {
        let mut bytes = fs::read(file.path())?;
        println!("{}", file.path().display());
        for len in 0..=bytes.len() {
            check(&bytes[..len]);
        }
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    Ok(())
}
