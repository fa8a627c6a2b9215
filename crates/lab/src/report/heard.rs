//! Whom a party heard, one after the other.

use serde::Serialize;

use super::origin::Origin;
use super::{Arrived, ms_between};
use crate::endpoint::SentLog;

/// A run of packets of the same origin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    /// The name of the party that sent them; `None` if nobody did, so the relay made them.
    pub from: Option<String>,
    /// When the first one arrived, in milliseconds after the recording's first packet.
    pub start_ms: f64,
    /// When the last one arrived.
    pub end_ms: f64,
    /// How many there were.
    pub packets: u64,
}

pub(super) fn of(packets: &[Arrived<'_>], origins: &[Option<Origin>], senders: &[&SentLog]) -> Vec<Heard> {
    let mut runs: Vec<Heard> = Vec::new();
    let mut current = None;
    for (packet, origin) in packets.iter().zip(origins) {
        let sender = origin.map(|origin| origin.sender);
        let at_ms = ms_between(&packets[0], packet);
        match runs.last_mut() {
            Some(run) if current == Some(sender) => {
                run.end_ms = at_ms;
                run.packets += 1;
            }
            _ => runs.push(Heard {
                from: sender.map(|sender| senders[sender].name().to_owned()),
                start_ms: at_ms,
                end_ms: at_ms,
                packets: 1,
            }),
        }
        current = Some(sender);
    }
    runs
}
