//! `demo --warm`: an agent hands a call over in person. It consults the target, whispers to it while the transferee is on the line,
//! has all three in a conference, and drops.
//!
//! `agent` is the voice agent's stream, `script` lets the parties act, `voices` tells who can be heard in a mix, `checks` judges.

mod agent;
mod checks;
mod script;
mod voices;

use super::checks::Check;
use super::stage::{Played, Stage};
use super::timeline::Timeline;
use crate::client::api::Api;
use crate::failure::Failure;

/// Plays the call and judges it.
pub(super) fn play(api: &Api, timeline: &Timeline, srtp: bool) -> Result<(Played, Vec<Check>), Failure> {
    let stage = Stage::set(api, "warm", 0, srtp)?;
    let (played, steps) = script::transfer(stage, timeline)?;
    let checks = checks::all(&played, &steps)?;
    Ok((played, checks))
}
