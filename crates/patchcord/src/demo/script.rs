//! Who does what when. Everything is timed by media: a step ends when the transferee has spoken for so long.

use std::time::Duration;

use patchcord_lab::endpoint::Endpoint;
use serde_json::{Value, json};

use super::stage::{AGENT, Played, Stage, TARGET, TELEPHONE, TRANSFEREE};
use super::timeline::Timeline;
use crate::failure::Failure;
use crate::media::error;

/// Packets a second of 20 ms frames.
pub(super) const PACKETS_PER_SECOND: u64 = 50;

/// How long anything may take that takes some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The country whose ringing tone the transferee hears: two rings in three seconds.
pub(super) const RINGBACK_COUNTRY: &str = "uk";

/// The transfer: talk, hold with music, ringback, swap on the target's first packet, the agent leaves, talk.
pub(super) fn transfer(mut stage: Stage, timeline: &Timeline) -> Result<Played, Failure> {
    let call = stage.call.clone();
    let note = |what: &str| timeline.note(&call, what);

    note("the transferee and the agent talk");
    let (transferee, agent) = talk(&mut stage)?;
    speak_on(&transferee, 3 * PACKETS_PER_SECOND)?;

    note("hold: the transferee hears music");
    stage.command("hold", json!({ "command": "hold", "party": TRANSFEREE }))?;
    speak_on(&transferee, 2 * PACKETS_PER_SECOND)?;

    note("the target is called and rings: the transferee hears the ringing tone");
    let target = stage.enter(TARGET, TELEPHONE)?;
    stage.command("ringback", json!({ "command": "ringback", "party": TRANSFEREE, "country": RINGBACK_COUNTRY }))?;
    speak_on(&transferee, 3 * PACKETS_PER_SECOND)?;

    note("swap: the target takes the agent's place with its first packet");
    stage.command("swap", swap("hold"))?;
    note("the target answers and speaks");
    stage.speak(&target)?;
    timeline.wait_for(&call, "the cut-over to the target", |event| {
        event["event"] == "cut-over" && event["id"] == "swap" && event["party"] == TRANSFEREE
    })?;

    note("the agent hangs up");
    agent.stop();
    stage.command("agent-leaves", json!({ "command": "leg-delete", "party": AGENT }))?;
    speak_on(&transferee, 3 * PACKETS_PER_SECOND + PACKETS_PER_SECOND / 2)?;

    note("everybody hangs up");
    stage.strike()
}

/// A transfer to somebody who never speaks: rolled back, and the old pair has noticed nothing.
pub(super) fn failing_transfer(mut stage: Stage, timeline: &Timeline) -> Result<Played, Failure> {
    let call = stage.call.clone();
    let note = |what: &str| timeline.note(&call, what);

    note("the transferee and the agent talk");
    let (transferee, _) = talk(&mut stage)?;
    speak_on(&transferee, 2 * PACKETS_PER_SECOND)?;

    note("swap: waits for a target that never speaks");
    stage.enter(TARGET, TELEPHONE)?;
    stage.command("swap", swap("hold"))?;
    speak_on(&transferee, 2 * PACKETS_PER_SECOND)?;

    note("rollback: the transfer is given up");
    stage.command("rollback", json!({ "command": "rollback", "of": "swap" }))?;
    timeline.wait_for(&call, "the rollback", |event| event["event"] == "rolled-back" && event["id"] == "swap")?;
    stage.command("target-leaves", json!({ "command": "leg-delete", "party": TARGET }))?;
    speak_on(&transferee, 2 * PACKETS_PER_SECOND)?;

    note("everybody hangs up");
    stage.strike()
}

/// Bridges the transferee and the agent and lets both speak.
fn talk(stage: &mut Stage) -> Result<(Endpoint, Endpoint), Failure> {
    let transferee = stage.enter(TRANSFEREE, TELEPHONE)?;
    let agent = stage.enter(AGENT, TELEPHONE)?;
    stage.command("bridge", json!({ "command": "bridge", "a": TRANSFEREE, "b": AGENT }))?;
    stage.speak(&transferee)?;
    stage.speak(&agent)?;
    Ok((transferee, agent))
}

/// Lets time pass on the party's own media clock.
pub(super) fn speak_on(party: &Endpoint, packets: u64) -> Result<(), Failure> {
    let wanted = party.progress().sent + packets;
    party
        .wait_until(&format!("{packets} more packets to be sent"), PATIENCE, |progress| progress.sent >= wanted)
        .map_err(error)
}

fn swap(keep_old: &str) -> Value {
    json!({ "command": "swap", "survivor": TRANSFEREE, "old": AGENT, "new": TARGET,
            "trigger": "on-first-packet", "keep_old": keep_old })
}
