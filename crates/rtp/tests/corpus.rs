//! Replays the fuzzers' corpus through the fuzzers' own checks, so that every run of the tests holds what they found.

use std::io;

#[path = "../../../fuzz/src/rtp.rs"]
#[expect(unreachable_pub, reason = "the fuzzers' library is a module here")]
mod checks;
#[path = "../../../fuzz/src/replay.rs"]
#[expect(dead_code, reason = "other corpora are replayed otherwise")]
mod replay;

use replay::replay;

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
