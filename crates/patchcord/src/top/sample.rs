//! One look at the relay.

use std::time::Instant;

use crate::client::api::{Api, ApiError};
use crate::client::call_path;
use crate::client::model::{Call, Calls, Worker, Workers};

/// Calls that are looked at in detail; the others are counted.
const CALLS_MAX: usize = 64;

/// What the relay said.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) calls_total: usize,
    pub(super) calls: Vec<Call>,
    pub(super) workers: Vec<Worker>,
}

/// Asks for everything that the screen shows.
pub(super) fn take(api: &Api) -> Result<Sample, ApiError> {
    let workers = api.get_as::<Workers>("/v1/workers")?.workers;
    let list = api.get_as::<Calls>("/v1/calls")?.calls;
    let mut calls = Vec::new();
    for summary in list.iter().take(CALLS_MAX) {
        match api.get_as::<Call>(&call_path(&summary.call)) {
            Ok(call) => calls.push(call),
            // It has ended since the list was made.
            Err(error) if error.code() == Some("unknown-call") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Sample { at: Instant::now(), calls_total: list.len(), calls, workers })
}

impl Sample {
    /// Datagrams received, packets sent, datagrams dropped; over all workers.
    pub(super) fn totals(&self) -> [u64; 3] {
        self.workers.iter().fold([0; 3], |[received, sent, dropped], worker| {
            [received + worker.datagrams, sent + worker.sent, dropped + worker.drops.values().sum::<u64>()]
        })
    }
}
