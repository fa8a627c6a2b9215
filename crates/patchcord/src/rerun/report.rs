//! What is told of a replay.

use std::collections::BTreeMap;

use patchcord_pivot::replay::{Difference, Outcome, Player, Recording, Script, Tally};
use serde::Serialize;

use super::stage::Played;

/// The report; the names of the fields are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The recorded transfer's id.
    transfer: String,
    /// Everything was as recorded.
    pub same: bool,
    seed: u64,
    /// 0: without pauses.
    speed: f64,
    recorded_ms: u128,
    took_ms: u128,
    peers: usize,
    #[serde(flatten)]
    tally: Tally,
    /// How the transfer stood then, and stands now.
    recorded_state: String,
    state: Option<String>,
    /// Which party heard whom, in packets.
    heard: BTreeMap<String, BTreeMap<String, u64>>,
    difference: Option<Difference>,
}

impl Report {
    #[allow(clippy::too_many_arguments, reason = "it is put together once, from what each part has to say")]
    pub(super) fn new(
        recording: &Recording,
        script: &Script,
        player: &Player,
        seed: u64,
        speed: Option<f64>,
        played: Played,
        outcome: Option<Outcome>,
        difference: Option<Difference>,
    ) -> Self {
        Self {
            transfer: recording.transfer.transfer.clone(),
            same: difference.is_none(),
            seed,
            speed: speed.unwrap_or(0.0),
            recorded_ms: script.length().as_millis(),
            took_ms: played.took.as_millis(),
            peers: script.peers.len(),
            tally: player.tally(),
            recorded_state: recording.transfer.state.clone(),
            state: outcome.map(|outcome| outcome.state),
            heard: played.heard,
            difference,
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { transfer, seed, recorded_ms, took_ms, peers, tally, .. } = self;
        let mut text = format!(
            "transfer {transfer}: {} messages of {peers} peers sent, {} of the pivot compared, in {took_ms} ms ({recorded_ms} ms then); seed {seed}\n",
            tally.sent, tally.compared
        );
        for (listener, speakers) in self.heard.iter().filter(|(_, speakers)| !speakers.is_empty()) {
            let speakers: Vec<_> =
                speakers.iter().map(|(speaker, packets)| format!("{packets} of {speaker}")).collect();
            text += &format!("  {listener} heard packets: {}\n", speakers.join(", "));
        }
        match &self.difference {
            Some(difference) => text += &format!("DIFFERENT: {difference}\n"),
            None => {
                text += &format!("same: every message, the transfer ({}) and what was heard\n", self.recorded_state);
            }
        }
        text
    }
}
