//! Replays the fuzzer's corpus through the fuzzer's own checks, so that every run of the tests holds what it found, and goes on
//! with random requests.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

use std::io;

use patchcord_ng::{Command, reason};

#[path = "../../../fuzz/src/calls/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzzers' library is a module here")]
mod calls;
#[path = "../../../fuzz/src/replay.rs"]
#[expect(dead_code, reason = "other corpora are replayed otherwise")]
mod replay;
#[path = "../../../fuzz/src/worker.rs"]
#[expect(unreachable_pub, dead_code, reason = "the fuzzers' library is a module here; other tests need more of it")]
mod worker;

/// Scripts of random requests.
const RUNS: u64 = 100;
/// Requests and the like in each.
const STEPS: usize = 40;

#[test]
fn calls_of_the_corpus() -> io::Result<()> {
    replay::replay_steps("calls", 0xff, calls::calls)
}

/// What was never asked or refused is not held by a replay.
#[test]
fn the_corpus_has_every_command_and_every_reason() -> io::Result<()> {
    let outcomes: Vec<_> = replay::files("calls")?.flat_map(|bytes| calls::outcomes(&bytes)).collect();
    for command in Command::ALL {
        assert!(outcomes.iter().any(|(asked, _)| *asked == Some(*command)), "nobody asks for {command:?}");
    }
    let done = [
        Command::Offer,
        Command::Answer,
        Command::Delete,
        Command::Query,
        Command::List,
        Command::Statistics,
        Command::Connect,
        Command::BlockDtmf,
        Command::UnblockDtmf,
        Command::BlockMedia,
        Command::UnblockMedia,
        Command::SilenceMedia,
        Command::UnsilenceMedia,
        Command::PlayMedia,
        Command::StopMedia,
    ];
    for command in done {
        assert!(outcomes.contains(&(Some(command), "ok".to_owned())), "{command:?} is never done");
        let refused = outcomes.iter().any(|(asked, said)| *asked == Some(command) && said != "ok");
        assert!(refused || matches!(command, Command::List | Command::Statistics), "{command:?} is never refused");
    }
    for expected in [
        reason::NO_PAYLOAD,
        reason::BAD_FORMAT,
        reason::BAD_BENCODE,
        reason::BAD_JSON,
        reason::NO_COMMAND,
        reason::UNKNOWN_COMMAND,
        reason::NO_CALL_ID,
        reason::NO_FROM_TAG,
        reason::NO_TO_TAG,
        reason::NO_SDP,
        reason::BAD_SDP,
        reason::INCOMPLETE_SDP,
        reason::BAD_DIALOGUE,
        reason::UNKNOWN_CALL,
        reason::UNKNOWN_CALL_MEDIA,
        reason::TOO_MANY_CALLS,
        reason::NO_PORTS,
        reason::NOTHING_DELETED,
        "load limit",
        "No media file specified",
        "No participant party specified",
        "From-tag given, but no such tag exists",
        "No monologue matching the given label",
        "Failed to start media playback from file",
        "Failed to start media playback from blob",
        "Failed to start media playback from database",
        "the offer has no a=fingerprint",
        "cannot hear that source",
        "cannot be encoded for",
        "a name has 1 to",
        "is not supported by this relay",
    ] {
        assert!(outcomes.iter().any(|(_, said)| said.contains(expected)), "nobody is told {expected:?}");
    }
    Ok(())
}

/// Any sequence of requests holds the fuzzer's checks. `PATCHCORD_NG_SEED=N` runs one again.
#[test]
#[expect(clippy::print_stdout, reason = "what is random says its seed")]
fn random_requests_hold_the_fuzzers_checks() {
    let one = std::env::var("PATCHCORD_NG_SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in one.map_or(0..RUNS, |seed| seed..seed + 1) {
        println!("PATCHCORD_NG_SEED={seed}");
        calls::calls(&script(seed));
    }
}

/// Most choices are the first of their pools, so that requests get far.
fn script(seed: u64) -> Vec<u8> {
    let mut state = seed;
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mut random = move |end: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    };
    let mut script = Vec::new();
    for _ in 0..STEPS {
        script.push(u8::try_from(random(0x20)).unwrap());
        for _ in 0..16 {
            let plain = random(3) > 0;
            script.push(if plain { 0 } else { u8::try_from(random(0xff)).unwrap() });
        }
        script.push(0xff);
    }
    script
}
