//! `demo`: three parties, one transfer, one transfer that fails, and the proof from what the parties received.
//!
//! `stage` sets the parties up, `script` lets them act, [`crate::evidence`] takes from their recordings what happened, `checks`
//! judges it, `report` prints it.

mod checks;
mod references;
mod report;
mod script;
mod stage;
mod timeline;

use std::fs;
use std::path::Path;

use patchcord_lab::wav;

use self::report::Outcome;
use self::stage::Stage;
use self::timeline::Timeline;
use crate::child::RelayChild;
use crate::cli::DemoArgs;
use crate::failure::Failure;
use crate::output;

/// Plays the demo, prints its result and leaves the WAV files; a check that fails makes the exit code 1.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    fs::create_dir_all(&args.output).map_err(|error| {
        Failure::failed(format!(
            "cannot create the folder {}: {error}; choose another with --output",
            args.output.display()
        ))
    })?;
    let mut relay = RelayChild::start(&[])?;
    let outcome = play(&relay, args);
    let log = relay.end();
    write(&args.output.join("relay.log"), log.as_bytes())?;
    let outcome = outcome?;
    if args.json {
        output::print_json(&outcome);
    } else {
        output::print(&outcome.text(&args.output));
    }
    if outcome.ok { Ok(()) } else { Err(Failure::Reported) }
}

/// Both calls at the same time: the failing transfer goes on beside the good one and must not touch it.
fn play(relay: &RelayChild, args: &DemoArgs) -> Result<Outcome, Failure> {
    let timeline = Timeline::start(&relay.api().clone())?;
    let good = Stage::set(relay.api(), "transfer", 0, args.srtp)?;
    let failing = Stage::set(relay.api(), "no-answer", 1, args.srtp)?;
    let (good, failing) = std::thread::scope(|scope| {
        let failing = scope.spawn(|| script::failing_transfer(failing, &timeline));
        let good = script::transfer(good, &timeline);
        (good, failing.join())
    });
    let good = good?;
    let failing = failing.map_err(|_| Failure::failed("the failing transfer's thread panicked"))??;
    for played in [&good, &failing] {
        for party in &played.parties {
            let path = args.output.join(format!("{}.wav", party.file_name()));
            wav::write(&party.recording, &path)
                .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
        }
    }
    let checks = checks::all(&good, &failing)?;
    Ok(Outcome::new(&good, &failing, timeline.entries(), checks))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
