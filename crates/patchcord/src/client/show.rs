//! The API's answers as text.

use patchcord_control::api::{AudioSource, AudioState};
use serde_json::Value;

use super::model::{Call, Calls, CutOver, Percentiles, Workers};
use crate::table::Table;

/// The list of calls.
pub(crate) fn calls(answer: &Calls) -> String {
    if answer.calls.is_empty() {
        return "no calls\n".to_owned();
    }
    let mut table = Table::new(&["CALL", ">WORKER", ">AGE", ">CUT-OVERS", "PARTIES"]);
    for call in &answer.calls {
        table.row([
            call.call.clone(),
            call.worker.to_string(),
            age(call.age_ms),
            call.cut_overs.to_string(),
            call.parties.join(", "),
        ]);
    }
    table.render(0)
}

/// Audio that can be played.
pub(crate) fn audio(list: &[AudioState]) -> String {
    let mut table = Table::new(&["NAME", "SOURCE", ">SECONDS", ">BYTES", "FORMATS"]);
    for AudioState { name, source, duration_ms, bytes, formats } in list {
        let source = match source {
            AudioSource::BuiltIn => "built-in",
            AudioSource::File => "file",
            AudioSource::Upload => "upload",
            AudioSource::Url => "url",
        };
        let seconds = format!("{:.2}", *duration_ms as f64 / 1e3);
        table.row([name.clone(), source.to_owned(), seconds, bytes.to_string(), formats.join(", ")]);
    }
    table.render(0)
}

/// One call.
pub(crate) fn call(call: &Call) -> String {
    let mut text = format!("call {}  worker {}  age {}\n", call.call, call.worker, age(call.age_ms));
    if call.legs.is_empty() {
        text.push_str("no legs\n");
        return text;
    }
    let mut legs = Table::new(&[
        "PARTY",
        "LOCAL",
        "REMOTE",
        "HEARS",
        ">RECEIVED",
        ">LOST",
        ">JITTER ms",
        ">RTT ms",
        ">SENT",
        ">p50 us",
        ">p99 us",
        "STATE",
    ]);
    for leg in &call.legs {
        legs.row([
            leg.party.clone(),
            leg.local.clone(),
            leg.remote.clone().unwrap_or_else(|| "-".to_owned()),
            leg.hears.clone(),
            leg.packets.to_string(),
            leg.lost.to_string(),
            format!("{:.2}", leg.jitter_ms),
            leg.round_trip_us.map_or_else(|| "-".to_owned(), |us| format!("{:.1}", us as f64 / 1e3)),
            leg.sent.packets.to_string(),
            percentile(leg.relay_latency_us, leg.relay_latency_us.p50),
            percentile(leg.relay_latency_us, leg.relay_latency_us.p99),
            state(leg),
        ]);
    }
    text.push_str(&legs.render(2));
    for [a, b] in &call.bridges {
        text.push_str(&format!("  bridge {a} <-> {b}\n"));
    }
    text.push_str(&cut_overs(&call.cut_overs));
    text
}

fn state(leg: &super::model::Leg) -> String {
    let mut words = vec![if leg.latched { "latched" } else { "unlatched" }.to_owned()];
    if leg.direction != "sendrecv" {
        words.push(leg.direction.clone());
    }
    if let Some(gain_db) = leg.gain_db {
        words.push(format!("heard {gain_db:+} dB"));
    }
    if leg.muted {
        words.push("muted".to_owned());
    }
    if leg.held {
        words.push("held".to_owned());
    }
    if let Some(pending) = leg.pending {
        words.push(format!("waits for cut-over {pending}"));
    }
    words.join(", ")
}

fn cut_overs(all: &[CutOver]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ">CUT-OVER",
        "COMMAND",
        "ID",
        "STATE",
        "TRIGGER",
        "PARTY",
        ">GAP us",
        ">SEQ STEP",
        ">TS STEP",
        ">STALE",
        ">EFFECT us",
    ]);
    for cut_over in all {
        let head = |trigger: &str| {
            vec![
                cut_over.cut_over.to_string(),
                cut_over.command.clone(),
                cut_over.id.clone(),
                cut_over.state.clone(),
                trigger.to_owned(),
            ]
        };
        if cut_over.receipts.is_empty() {
            table.row(head(&cut_over.trigger));
        }
        for receipt in &cut_over.receipts {
            let mut row = head(&receipt.trigger);
            row.extend([
                receipt.party.clone(),
                number(receipt.gap_us),
                number(receipt.seq_step),
                number(receipt.ts_step),
                receipt.stale.to_string(),
                receipt.command_to_effect_us.to_string(),
            ]);
            table.row(row);
        }
    }
    table.render(2)
}

/// The workers.
pub(crate) fn workers(answer: &Workers) -> String {
    let mut table = Table::new(&[
        ">WORKER",
        "BACKEND",
        ">LEGS",
        ">OF",
        ">RECEIVED",
        ">FORWARDED",
        ">SENT",
        ">DROPPED",
        ">p50 us",
        ">p99 us",
        ">p999 us",
        ">BATCH p50",
    ]);
    let mut notes = String::new();
    for worker in &answer.workers {
        if let Some(error) = &worker.error {
            notes.push_str(&format!("worker {}: {error}\n", worker.worker));
            continue;
        }
        let latency = worker.relay_latency_us;
        table.row([
            worker.worker.to_string(),
            worker.backend.clone(),
            worker.legs.to_string(),
            worker.legs_max.to_string(),
            worker.datagrams.to_string(),
            worker.forwarded.to_string(),
            worker.sent.to_string(),
            worker.drops.values().sum::<u64>().to_string(),
            percentile(latency, latency.p50),
            percentile(latency, latency.p99),
            percentile(latency, latency.p999),
            percentile(worker.batch_datagrams, worker.batch_datagrams.p50),
        ]);
        let named = worker.drops.iter().chain(&worker.io).filter(|&(_, &count)| count > 0);
        let named: Vec<String> = named.map(|(name, count)| format!("{name} {count}")).collect();
        if !named.is_empty() {
            notes.push_str(&format!("worker {}: {}\n", worker.worker, named.join(", ")));
        }
    }
    let mut text = if table.is_empty() { String::new() } else { table.render(0) };
    text.push_str(&notes);
    text
}

/// A call that was created.
pub(crate) fn created(answer: &Value) -> String {
    format!("{}\n", answer["call"].as_str().unwrap_or_default())
}

/// The answers to a command or a batch: a line each, and one a receipt.
pub(crate) fn results(answer: &Value) -> String {
    let mut text = String::new();
    for result in answer["results"].as_array().into_iter().flatten() {
        text.push_str(result["command"].as_str().unwrap_or("?"));
        for (field, value) in result.as_object().into_iter().flatten() {
            if field != "command" && field != "receipts" && !value.is_null() {
                text.push_str(&format!("  {field} {}", plain(value)));
            }
        }
        text.push('\n');
        for receipt in result["receipts"].as_array().into_iter().flatten() {
            text.push_str("  receipt");
            for (field, value) in receipt.as_object().into_iter().flatten() {
                text.push_str(&format!("  {field} {}", plain(value)));
            }
            text.push('\n');
        }
    }
    text.push_str(&format!("id {}\n", plain(&answer["id"])));
    text
}

/// One event as a line.
pub(crate) fn event(event: &Value) -> String {
    let seconds = event["at_us"].as_u64().unwrap_or(0) as f64 / 1e6;
    let mut line = format!("{seconds:12.6}  {:20}  {}", plain(&event["event"]), plain(&event["call"]));
    if let Some(party) = event["party"].as_str() {
        line.push_str(&format!(" {party}"));
    }
    for (field, value) in event.as_object().into_iter().flatten() {
        if !["at_us", "event", "call", "party"].contains(&field.as_str()) {
            line.push_str(&format!("  {field} {}", plain(value)));
        }
    }
    line
}

/// A JSON value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// `1:02:03`, or `12.3 s` below a minute.
pub(crate) fn age(ms: u64) -> String {
    let s = ms / 1000;
    match (s / 3600, s / 60 % 60) {
        (0, 0) => format!("{s}.{} s", ms % 1000 / 100),
        (0, minutes) => format!("{minutes}:{:02}", s % 60),
        (hours, minutes) => format!("{hours}:{minutes:02}:{:02}", s % 60),
    }
}

/// A percentile, or `-` where nothing was counted.
pub(crate) fn percentile(of: Percentiles, value: u64) -> String {
    if of.count == 0 { "-".to_owned() } else { value.to_string() }
}

/// A number, or `-`.
pub(crate) fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_documented_answers_are_understood() {
        let documented = json!({"call": "c1", "worker": 0, "age_ms": 5120, "parties": ["transferee", "agent"],
            "legs": [{"party": "transferee", "local": "127.0.0.1:30000", "local_rtcp": "127.0.0.1:30000",
              "advertised": "127.0.0.1:30000", "remote": "127.0.0.1:40000", "latched": true, "direction": "sendrecv",
              "muted": false, "codecs": ["0 PCMU/8000"], "peer": "agent", "held": false, "hears": "agent", "pending": null,
              "packets": 250, "bytes": 43000, "rtcp_packets": 1, "datagrams": 251, "lost": 3, "reordered": 0,
              "duplicates": 0, "jitter_ms": 0.12, "round_trip_us": 42310, "idle_ms": 14, "ssrc": 305419896,
              "sent": {"packets": 249, "bytes": 42828, "rtcp_packets": 1, "ssrc": 2271560481u32, "next_sequence": 4711,
                "reported_lost": null, "reported_jitter_ms": null},
              "relay_latency_us": {"count": 249, "p50": 18, "p99": 60, "p999": 88}, "drops": {"no_sink": 12}}],
            "bridges": [["transferee", "agent"]],
            "cut_overs": [{"cut_over": 12, "id": "cmd-9", "command": "swap", "state": "done", "trigger": "on-first-packet",
              "receipts": [{"party": "transferee", "trigger": "on-first-packet", "at_us": 5120331, "gap_us": 20011,
                "seq_step": 1, "ts_step": 160, "stale": 0, "command_to_effect_us": 812004}]}]});
        let text = call(&serde_json::from_value(documented).expect("as documented"));
        for part in [
            "call c1",
            "transferee",
            "127.0.0.1:40000",
            "0.12",
            "42.3",
            "bridge transferee <-> agent",
            "20011",
            "812004",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn ages_are_readable() {
        assert_eq!(age(5120), "5.1 s");
        assert_eq!(age(62_000), "1:02");
        assert_eq!(age(3_723_000), "1:02:03");
    }
}
