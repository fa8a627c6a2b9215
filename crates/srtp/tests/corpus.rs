//! Replays the fuzzer's corpus through the fuzzer's own checks, so that every run of the tests holds what it found.

use std::io;

#[path = "../../../fuzz/src/srtp.rs"]
#[expect(unreachable_pub, reason = "the fuzzers' library is a module here")]
mod checks;
#[path = "../../../fuzz/src/replay.rs"]
#[expect(dead_code, reason = "other corpora are replayed otherwise")]
mod replay;

#[test]
fn srtp() -> io::Result<()> {
    replay::replay("srtp", checks::unprotect)
}

#[test]
fn sdes() -> io::Result<()> {
    replay::replay("sdes", checks::sdes)
}
