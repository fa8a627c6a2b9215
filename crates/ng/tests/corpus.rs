//! Replays the fuzzers' corpus through the fuzzers' own checks, so that every run of the tests holds what they found.

use std::io;

#[path = "../../../fuzz/src/ng.rs"]
#[expect(unreachable_pub, reason = "the fuzzers' library is a module here")]
mod checks;
#[path = "../../../fuzz/src/replay.rs"]
#[expect(dead_code, reason = "other corpora are replayed otherwise")]
mod replay;

use replay::replay;

#[test]
fn bencode() -> io::Result<()> {
    replay("bencode", checks::bencode)
}

#[test]
fn flags() -> io::Result<()> {
    replay("flags", checks::flags)
}
