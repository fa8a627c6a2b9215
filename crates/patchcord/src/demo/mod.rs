//! `demo`: three parties, one transfer, one transfer that fails, and the proof from what the parties received.
//!
//! `warm` is another call, `demo --warm`: the transfer in person.
//!
//! `stage` sets the parties up, `script` lets them act, [`crate::evidence`] takes from their recordings what happened, `checks`
//! judges it, `report` prints it.

mod checks;
mod references;
mod report;
mod script;
mod stage;
mod timeline;
mod warm;

use std::fs;
use std::path::Path;

use patchcord_codec::wav;

use self::checks::Check;
use self::report::Outcome;
use self::stage::{Played, Stage};
use self::timeline::Timeline;
use self::warm::Folder;
use crate::child::RelayChild;
use crate::cli::DemoArgs;
use crate::client::api::Api;
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
    let recordings = if args.warm { Some(Folder::create(&args.output)?) } else { None };
    let setting = recordings.as_ref().map(Folder::setting);
    let arguments: Vec<&str> = setting.iter().flat_map(|setting| ["--set", setting]).collect();
    let mut relay = RelayChild::start(&arguments)?;
    let outcome = play(&relay, args, recordings.as_ref());
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

fn play(relay: &RelayChild, args: &DemoArgs, recordings: Option<&Folder>) -> Result<Outcome, Failure> {
    let timeline = Timeline::start(&relay.api().clone())?;
    let (calls, checks) = if let Some(folder) = recordings {
        let (call, checks) = warm::play(relay.api(), &timeline, args.srtp, folder)?;
        (vec![call], checks)
    } else {
        both_transfers(relay.api(), &timeline, args.srtp)?
    };
    for party in calls.iter().flat_map(|call| &call.parties) {
        let path = args.output.join(format!("{}.wav", party.file_name()));
        wav::write_file(&path, &party.audio()?)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(Outcome::new(&calls, timeline.entries(), checks))
}

/// Both calls at the same time: the failing transfer goes on beside the good one and must not touch it.
fn both_transfers(api: &Api, timeline: &Timeline, srtp: bool) -> Result<(Vec<Played>, Vec<Check>), Failure> {
    let good = Stage::set(api, "transfer", 0, srtp)?;
    let failing = Stage::set(api, "no-answer", 1, srtp)?;
    let (good, failing) = std::thread::scope(|scope| {
        let failing = scope.spawn(|| script::failing_transfer(failing, timeline));
        let good = script::transfer(good, timeline);
        (good, failing.join())
    });
    let good = good?;
    let failing = failing.map_err(|_| Failure::failed("the failing transfer's thread panicked"))??;
    let checks = checks::all(&good, &failing)?;
    Ok((vec![good, failing], checks))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
