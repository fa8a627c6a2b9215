//! Replays the fuzzers' corpus through the fuzzers' own checks, so that every run of the tests holds what they found.

use std::path::Path;
use std::{fs, io};

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzzers' library is a module here")]
mod checks;

/// Runs `check` on all files of the corpus, and on every beginning of each, and on each with every bit turned.
#[expect(clippy::print_stdout, reason = "what fails is known only if its file is named")]
fn replay(name: &str, check: fn(&[u8])) -> io::Result<()> {
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

#[test]
fn rtp() -> io::Result<()> {
    replay("rtp", checks::rtp)
}

#[test]
fn rtcp() -> io::Result<()> {
    replay("rtcp", checks::rtcp)
}

#[test]
fn demux() -> io::Result<()> {
    for name in ["demux", "rtp", "rtcp"] {
        replay(name, checks::demux)?;
    }
    Ok(())
}

#[test]
fn receiver() -> io::Result<()> {
    replay("receiver", checks::receiver)
}
