//! The same scenarios against Debian's rtpengine and against `patchcord rtpengine-compat`: the same SDP byte for byte but
//! for the ports' numbers, the same results and error reasons, the same packets forwarded. What differs, on purpose or
//! because it is not built yet, stands in one place, `differences.rs`, with the reason.
//!
//! `PATCHCORD_NG_SCENARIO=TEXT` runs only the scenarios whose names contain the text.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod codecs;
mod dialogues;
mod differences;
mod errors;
mod families;
mod forwarding;
mod ice;
mod interfaces;
mod keying;
mod learning;
mod lines;
mod media_commands;
mod mux;
mod ports;
mod replies;
mod sources;

use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use patchcord_tests::ng::{Daemon, Difference, Scenario, Setup, compare, transcript};

const GROUPS: &[&[Scenario]] = &[
    ports::SCENARIOS,
    lines::SCENARIOS,
    mux::SCENARIOS,
    ice::SCENARIOS,
    keying::SCENARIOS,
    codecs::SCENARIOS,
    dialogues::SCENARIOS,
    errors::SCENARIOS,
    replies::SCENARIOS,
    families::SCENARIOS,
    forwarding::SCENARIOS,
    learning::SCENARIOS,
    sources::SCENARIOS,
    media_commands::SCENARIOS,
    interfaces::SCENARIOS,
];

const SETUPS: &[Setup] = &[
    Setup::Plain,
    Setup::OneAddress,
    Setup::Interfaces,
    Setup::Learning("delayed"),
    Setup::Learning("heuristic"),
    Setup::Learning("immediate"),
    Setup::Learning("off"),
];

/// Starts a daemon.
type Start = fn(&[&str]) -> Daemon;

#[test]
fn patchcord_does_what_rtpengine_does() {
    side_by_side(Daemon::rtpengine, Daemon::patchcord, differences::DIFFERENCES);
}

#[test]
fn rtpengine_does_what_rtpengine_does() {
    // Otherwise the scenarios depend on chance and prove nothing.
    side_by_side(Daemon::rtpengine, Daemon::rtpengine, &[]);
}

fn side_by_side(first: Start, second: Start, meant: &[Difference]) {
    let only = std::env::var("PATCHCORD_NG_SCENARIO").unwrap_or_default();
    // Setups wait for seconds to pass, not for the CPU: they do so at the same time.
    let results: Vec<Outcome> = thread::scope(|scope| {
        let only = &only;
        let runs: Vec<_> =
            SETUPS.iter().map(|&setup| scope.spawn(move || run(setup, first, second, meant, only))).collect();
        runs.into_iter().map(|run| run.join().expect("a scenario stopped")).collect()
    });
    let mut failures: String = results.iter().map(|outcome| outcome.failures.as_str()).collect();
    for (index, difference) in meant.iter().enumerate().filter(|_| only.is_empty()) {
        if !results.iter().any(|outcome| outcome.needed[index]) {
            let Difference { scenario, line, .. } = difference;
            let _ =
                writeln!(failures, "nothing differs any more where {scenario:?} has {line:?}: remove this difference");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

struct Outcome {
    failures: String,
    needed: Vec<bool>,
}

fn run(setup: Setup, first: Start, second: Start, meant: &[Difference], only: &str) -> Outcome {
    let mut outcome = Outcome { failures: String::new(), needed: vec![false; meant.len()] };
    let scenarios: Vec<&Scenario> = GROUPS
        .iter()
        .copied()
        .flatten()
        .filter(|scenario| scenario.setup == setup && scenario.name.contains(only))
        .collect();
    if scenarios.is_empty() {
        return outcome;
    }
    let daemons = [first(&setup.arguments()), second(&setup.arguments())];
    for scenario in scenarios {
        let [first, second] = daemons.each_ref().map(|daemon| {
            // A daemon that goes silent in one scenario must not hide what happens in the others.
            panic::catch_unwind(AssertUnwindSafe(|| transcript(scenario, daemon)))
                .unwrap_or_else(|_| vec!["the scenario stopped".to_owned()])
        });
        if let Err(difference) = compare(scenario.name, &first, &second, meant, &mut outcome.needed) {
            let [first, second] = daemons.each_ref().map(Daemon::name);
            let name = scenario.name;
            let _ = writeln!(outcome.failures, "== {name} ({setup:?}): - is {first}, + is {second}\n{difference}");
        }
    }
    outcome
}

#[test]
fn scenarios_have_names_of_their_own() {
    let mut names: Vec<_> = GROUPS.iter().copied().flatten().map(|scenario| scenario.name).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(names.len() >= 60, "{} scenarios", names.len());
}
