//! `records`: calls of the pivot with their transfers, those of former processes too.

use serde_json::Value;

use super::api::encoded;
use super::args::RecordsCommand;
use super::transfers::{list as transfers, word};
use crate::failure::Failure;
use crate::table::Table;

/// Runs one of the commands about records.
pub(super) fn run(command: RecordsCommand) -> Result<(), Failure> {
    match command {
        RecordsCommand::List { call, limit, to } => {
            let mut path = format!("/v1/records/calls?limit={limit}");
            if let Some(call) = call {
                path += &format!("&call={}", encoded(&call));
            }
            to.print(&to.api().get(&path)?, |answer| Ok(list(answer)))
        }
        RecordsCommand::Show { record, to } => {
            let path = format!("/v1/records/calls/{}", encoded(&record));
            to.print(&to.api().get(&path)?, |answer| Ok(one(answer)))
        }
    }
}

fn list(answer: &Value) -> String {
    let calls = answer["calls"].as_array().map_or(&[][..], Vec::as_slice);
    let mut table = Table::new(&["RECORD", "FROM", "TO", "TALKED", "TRANSFERS", "CALL"]);
    for call in calls {
        let transfers = call["transfers"].as_array().map_or(0, Vec::len).to_string();
        let talked = seconds(&call["answered_ms"], &call["ended_ms"]);
        table.row([
            word(&call["record"]),
            word(&call["from"]),
            word(&call["to"]),
            talked,
            transfers,
            word(&call["call_id"]),
        ]);
    }
    let mut text = if calls.is_empty() { "no records\n".to_owned() } else { table.render(0) };
    if let Some(why) = answer["incomplete"].as_str() {
        text += &format!("those of former processes are missing: {why}\n");
    }
    text
}

fn one(answer: &Value) -> String {
    let call = &answer["call"];
    let field = |name: &str| word(&call[name]);
    let mut text = format!(
        "record {} of {}\n{} ({}) called {} ({}), talked {}, cause {}, refused {}\n",
        field("record"),
        field("call_id"),
        field("from"),
        field("from_trunk"),
        field("to"),
        field("to_trunk"),
        seconds(&call["answered_ms"], &call["ended_ms"]),
        field("cause"),
        field("refused"),
    );
    text += &transfers(answer);
    let components = call["components"].as_array().map_or(&[][..], Vec::as_slice);
    if !components.is_empty() {
        let mut table = Table::new(&["BILLED AS", "FROM", "TO", "TIME", "TRANSFER"]);
        for part in components {
            let columns = ["service", "from_uri", "to_uri"].map(|column| word(&part[column]));
            let [service, from, to] = columns;
            table.row([service, from, to, seconds(&part["began_ms"], &part["ended_ms"]), word(&part["transfer"])]);
        }
        text += &table.render(0);
    }
    text
}

/// From one time to another.
fn seconds(from: &Value, until: &Value) -> String {
    match from.as_u64().zip(until.as_u64()) {
        Some((from, until)) => format!("{:.1} s", until.saturating_sub(from) as f64 / 1000.0),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_shown_with_its_transfers_and_its_bill() {
        let call = json!({ "record": "p-1", "call_id": "x@y", "from": "sip:a", "to": "sip:b", "from_trunk": "t", "to_trunk": "u",
            "answered_ms": 1000, "ended_ms": 3500, "cause": "Q.850 16", "refused": null, "transfers": ["p-1-1"],
            "components": [{ "service": "origination", "from_uri": "sip:a", "to_uri": "sip:b", "began_ms": 1000, "ended_ms": 2000 }] });
        let text = one(&json!({ "call": call, "transfers": [] }));
        assert!(
            text.contains("record p-1 of x@y") && text.contains("talked 2.5 s, cause Q.850 16, refused -"),
            "{text}"
        );
        assert!(text.contains("origination") && text.contains("1.0 s"), "{text}");
        let text = list(&json!({ "calls": [call], "incomplete": "it is gone" }));
        assert!(text.contains("p-1") && text.contains("are missing: it is gone"), "{text}");
        assert_eq!(list(&json!({ "calls": [] })), "no records\n");
    }
}
