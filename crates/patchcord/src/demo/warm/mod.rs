//! `demo --warm`: an agent hands a call over in person. It consults the target, whispers to it while the transferee is on the line,
//! has all three in a conference, and drops.
//!
//! `agent` is the voice agent's stream, `script` lets the parties act, `voices` tells who can be heard in a mix, `checks` judges what
//! the parties received, `recording` what the relay recorded.

mod agent;
mod checks;
mod recording;
mod script;
mod voices;

pub(super) use self::recording::Folder;
use self::script::Performance;
use super::checks::Check;
use super::stage::{Played, Stage};
use super::timeline::Timeline;
use crate::client::api::Api;
use crate::failure::Failure;

/// Plays the call and judges it. The relay records into `folder`.
pub(super) fn play(
    api: &Api,
    timeline: &Timeline,
    srtp: bool,
    folder: &Folder,
) -> Result<(Played, Vec<Check>), Failure> {
    let stage = Stage::set(api, "warm", 0, srtp)?;
    let Performance { played, steps, recorded } = script::transfer(stage, timeline)?;
    let mut checks = checks::all(&played, &steps)?;
    checks.push(recording::check(folder, &recorded, &steps)?);
    Ok((played, checks))
}
