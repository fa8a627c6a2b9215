//! The result as a table and as JSON.

use std::path::Path;

use patchcord_lab::report::Report;
use serde::Serialize;

use super::checks::Check;
use super::stage::Played;
use super::timeline::Entry;
use crate::evidence::Evidence;
use crate::table::Table;

/// Everything that the demo found out.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// All checks passed.
    pub(super) ok: bool,
    parties: Vec<PartyLine>,
    cut_overs: Vec<CutOverLine>,
    checks: Vec<Check>,
    timeline: Vec<Entry>,
}

/// What one party received.
#[derive(Debug, Serialize)]
struct PartyLine {
    call: String,
    party: String,
    packets: u64,
    /// Packets that reached the relay for this party and never arrived.
    lost: u64,
    /// Sequence numbers that the sender's own network had lost before.
    lost_before_relay: u64,
    reordered: u64,
    duplicates: u64,
    jitter_ms: f64,
    /// From the sender's system call to the arrival at the receiver's socket; null if no sender's packet came through.
    relay_latency_us: Option<Latency>,
    ssrcs: Vec<String>,
    markers: u64,
    heard: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

/// One direction of a cut-over, by the relay's receipt.
#[derive(Debug, Serialize)]
struct CutOverLine {
    call: String,
    cut_over: u64,
    id: String,
    command: String,
    state: String,
    party: Option<String>,
    trigger: String,
    gap_us: Option<u64>,
    seq_step: Option<u64>,
    ts_step: Option<u64>,
    stale: Option<u64>,
    command_to_effect_us: Option<u64>,
}

impl Outcome {
    pub(super) fn new(calls: &[Played], timeline: Vec<Entry>, checks: Vec<Check>) -> Self {
        Self {
            ok: checks.iter().all(|check| check.ok),
            parties: calls.iter().flat_map(parties).collect(),
            cut_overs: calls.iter().flat_map(cut_overs).collect(),
            checks,
            timeline,
        }
    }

    /// For people.
    pub(super) fn text(&self, folder: &Path) -> String {
        let mut text = "Timeline (<- said by the relay)\n".to_owned();
        let mut table = Table::new(&[">s", "CALL", "WHAT"]);
        for entry in &self.timeline {
            table.row([format!("{:.3}", entry.at_ms / 1e3), entry.call.clone(), entry.what.clone()]);
        }
        text.push_str(&table.render(2));
        text.push_str("\nWhat the parties received\n");
        text.push_str(&self.parties_table());
        text.push_str("\nCut-overs\n");
        text.push_str(&self.cut_overs_table());
        text.push_str("\nChecks, by what was received\n");
        let mut table = Table::new(&["", "CHECK", "FOUND"]);
        for check in &self.checks {
            let state = if check.ok { "ok" } else { "FAIL" };
            table.row([state.to_owned(), check.name.clone(), check.detail.clone()]);
        }
        text.push_str(&table.render(2));
        let failed = self.checks.iter().filter(|check| !check.ok).count();
        let verdict = match failed {
            0 => format!("All {} checks passed.", self.checks.len()),
            failed => format!("{failed} of {} checks failed; the relay's log is relay.log.", self.checks.len()),
        };
        text.push_str(&format!("\n{verdict} What each party heard is in {}/*.wav\n", folder.display()));
        text
    }

    fn parties_table(&self) -> String {
        let mut table = Table::new(&[
            "CALL",
            "PARTY",
            ">PACKETS",
            ">LOST",
            ">LOST BEFORE",
            ">REORDERED",
            ">JITTER ms",
            ">p50 us",
            ">p99 us",
            ">p99.9 us",
            "HEARD",
        ]);
        for line in &self.parties {
            let latency = |pick: fn(Latency) -> f64| {
                line.relay_latency_us.map_or_else(|| "-".to_owned(), |latency| format!("{:.0}", pick(latency)))
            };
            table.row([
                line.call.clone(),
                line.party.clone(),
                line.packets.to_string(),
                line.lost.to_string(),
                line.lost_before_relay.to_string(),
                line.reordered.to_string(),
                format!("{:.2}", line.jitter_ms),
                latency(|latency| latency.p50),
                latency(|latency| latency.p99),
                latency(|latency| latency.p999),
                line.heard.join(", "),
            ]);
        }
        table.render(2)
    }

    fn cut_overs_table(&self) -> String {
        let mut table = Table::new(&[
            "CALL",
            "COMMAND",
            "STATE",
            "PARTY",
            "TRIGGER",
            ">GAP us",
            ">SEQ STEP",
            ">TS STEP",
            ">STALE",
            ">EFFECT us",
        ]);
        let number = crate::client::show::number;
        for line in &self.cut_overs {
            table.row([
                line.call.clone(),
                line.command.clone(),
                line.state.clone(),
                line.party.clone().unwrap_or_default(),
                line.trigger.clone(),
                number(line.gap_us),
                number(line.seq_step),
                number(line.ts_step),
                number(line.stale),
                number(line.command_to_effect_us),
            ]);
        }
        table.render(2)
    }
}

fn parties(call: &Played) -> Vec<PartyLine> {
    let sent = call.sent();
    let line = |party: &super::stage::PlayedParty| {
        let report = Report::of(&party.recording, &sent);
        let evidence = Evidence::of(&party.recording, &sent);
        let latency = evidence.latency_us([0.5, 0.99, 0.999]);
        PartyLine {
            call: call.call.clone(),
            party: party.name.clone(),
            packets: report.packets,
            lost: evidence.passed().1.max(evidence.missing_unexplained),
            lost_before_relay: evidence.missing_before_relay,
            reordered: report.reordered,
            duplicates: report.duplicates,
            jitter_ms: report.jitter_ms,
            relay_latency_us: latency.map(|[p50, p99, p999]| Latency { p50, p99, p999 }),
            ssrcs: report.ssrcs,
            markers: report.markers,
            heard: evidence.order().into_iter().map(str::to_owned).collect(),
        }
    };
    call.parties.iter().map(line).collect()
}

fn cut_overs(call: &Played) -> Vec<CutOverLine> {
    let mut lines = Vec::new();
    for cut_over in &call.state.cut_overs {
        let line = |trigger: &str| CutOverLine {
            call: call.call.clone(),
            cut_over: cut_over.cut_over,
            id: cut_over.id.clone(),
            command: cut_over.command.clone(),
            state: cut_over.state.clone(),
            party: None,
            trigger: trigger.to_owned(),
            gap_us: None,
            seq_step: None,
            ts_step: None,
            stale: None,
            command_to_effect_us: None,
        };
        if cut_over.receipts.is_empty() {
            lines.push(line(&cut_over.trigger));
        }
        for receipt in &cut_over.receipts {
            lines.push(CutOverLine {
                party: Some(receipt.party.clone()),
                gap_us: receipt.gap_us,
                seq_step: receipt.seq_step,
                ts_step: receipt.ts_step,
                stale: Some(receipt.stale),
                command_to_effect_us: Some(receipt.command_to_effect_us),
                ..line(&receipt.trigger)
            });
        }
    }
    lines
}
