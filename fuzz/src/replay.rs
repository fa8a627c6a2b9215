//! Replays a corpus through a check, in the tests of the crate whose bytes it is about.

use std::path::Path;
use std::{fs, io};

/// Runs `check` on all files of the corpus, and on every beginning of each, and on each with every bit turned.
pub(crate) fn replay(name: &str, check: fn(&[u8])) -> io::Result<()> {
    for mut bytes in files(name)? {
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

/// Runs `check` on all files of the corpus, and on each without one of its steps, which `end` ends: for checks that take longer.
pub(crate) fn replay_steps(name: &str, end: u8, check: fn(&[u8])) -> io::Result<()> {
    for bytes in files(name)? {
        check(&bytes);
        let steps: Vec<_> = bytes.split(|byte| *byte == end).collect();
        for without in 0..steps.len() {
            check(&[&steps[..without], &steps[without + 1..]].concat().join(&end));
        }
    }
    Ok(())
}

/// The files of a corpus, each named when its turn comes.
#[expect(clippy::print_stdout, reason = "what fails is known only if its file is named")]
pub(crate) fn files(name: &str) -> io::Result<impl Iterator<Item = Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    assert!(!files.is_empty(), "the corpus {name} is empty");
    let files: Vec<_> =
        files.into_iter().map(|file| Ok((file.path(), fs::read(file.path())?))).collect::<io::Result<_>>()?;
    Ok(files.into_iter().map(|(path, bytes)| {
        println!("{}", path.display());
        bytes
    }))
}
