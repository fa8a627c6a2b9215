//! `transfer` and `transfers`: the pivot's.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};

use super::api::{encoded, random_id};
use super::args::{TransferArgs, TransferCommand};
use crate::failure::Failure;
use crate::output;
use crate::rerun;
use crate::table::Table;

/// Begins a transfer.
pub(super) fn begin(arguments: &TransferArgs) -> Result<(), Failure> {
    let answer = arguments.to.api().post("/v1/transfers", &body(arguments)?)?;
    arguments.to.print(&answer, |answer| {
        let mut text = format!("transfer {} is under way\n", word(&answer["transfer"]));
        for setting in answer["without_effect"].as_array().into_iter().flatten() {
            text += &format!("without effect in this method: {}\n", word(setting));
        }
        Ok(text)
    })
}

/// Runs one of the commands about transfers.
pub(super) fn run(command: TransferCommand) -> Result<(), Failure> {
    let change = |transfer: String, body: Value, to: super::args::Connection| {
        let answer = to.api().post(&format!("{}/commands", path_of(&transfer)), &body)?;
        to.print(&answer, |answer| Ok(format!("transfer {}\n", word(&answer["transfer"]))))
    };
    match command {
        TransferCommand::List { limit, to } => {
            to.print(&to.api().get(&format!("/v1/transfers?limit={limit}"))?, |answer| Ok(list(answer)))
        }
        TransferCommand::Show { transfer, bundle: Some(file), to } => bundle(&transfer, &file, &to),
        TransferCommand::Show { transfer, bundle: None, to } => {
            to.print(&to.api().get(&path_of(&transfer))?, |answer| Ok(one(answer)))
        }
        TransferCommand::Replay(arguments) => rerun::run(&arguments),
        TransferCommand::Cancel { transfer, to } => change(transfer, json!({ "command": "cancel" }), to),
        TransferCommand::Complete { transfer, to } => change(transfer, json!({ "command": "complete" }), to),
        TransferCommand::Conference { transfer, to } => change(transfer, json!({ "command": "conference" }), to),
        TransferCommand::Whisper { transfer, off, to } => {
            change(transfer, json!({ "command": "whisper", "on": !off }), to)
        }
    }
}

/// Writes a transfer's evidence.
fn bundle(transfer: &str, file: &str, to: &super::args::Connection) -> Result<(), Failure> {
    if file == "-" && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a bundle is no text: name a file, or pipe it (`patchcord transfers show 1-1 --bundle - | tar -xv`)"
                .to_owned(),
        ));
    }
    let bundle = to.api().file(&format!("{}/bundle", path_of(transfer)))?;
    let written = if file == "-" {
        io::stdout().lock().write_all(&bundle).and_then(|()| io::stdout().flush())
    } else {
        std::fs::write(file, &bundle)
    };
    written.map_err(|error| Failure::failed(format!("cannot write {file}: {error}")))?;
    output::tell(&format!("{file}: {} bytes", bundle.len()));
    Ok(())
}

fn path_of(transfer: &str) -> String {
    format!("/v1/transfers/{}", encoded(transfer))
}

fn body(arguments: &TransferArgs) -> Result<Value, Failure> {
    let mut body = json!({
        "id": arguments.id.clone().unwrap_or_else(random_id),
        "call": arguments.call,
        "targets": arguments.targets,
    });
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[key] = value;
        }
    };
    put("method", arguments.method.as_ref().map(|method| json!(method)));
    put("transferee", arguments.transferee.as_ref().map(|party| json!(party)));
    put("at_once", arguments.at_once.then_some(json!(true)));
    put("show", arguments.show.as_ref().map(|show| json!(show)));
    put("ring_timeout_s", arguments.ring_timeout_s.map(|seconds| json!(seconds)));
    put("detection_timeout_ms", arguments.detection_timeout_ms.map(|ms| json!(ms)));
    put("hold_audio", arguments.hold_audio.as_ref().map(|name| json!(name)));
    put("on_fail", arguments.on_fail.as_ref().map(|what| json!(what)));
    let mut headers = serde_json::Map::new();
    for header in &arguments.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::Usage(format!("--header {header}: it is written --header 'X-Name: value'")))?;
        headers.insert(name.trim().to_owned(), json!(value.trim()));
    }
    put("headers", (!headers.is_empty()).then_some(Value::Object(headers)));
    Ok(body)
}

pub(super) fn list(answer: &Value) -> String {
    let transfers = answer["transfers"].as_array().map_or(&[][..], Vec::as_slice);
    if transfers.is_empty() {
        return "no transfers\n".to_owned() + &missing(answer);
    }
    let mut table = Table::new(&["TRANSFER", "STATE", "METHOD", "FROM", "WHO", "TO", "CALL"]);
    for transfer in transfers {
        let columns = ["transfer", "state", "method", "transferor", "transferee", "refer_to", "call"];
        table.row(columns.map(|column| word(&transfer[column])));
    }
    table.render(0) + &missing(answer)
}

fn missing(answer: &Value) -> String {
    let why = answer["incomplete"].as_str();
    why.map_or_else(String::new, |why| format!("those of former processes are missing: {why}\n"))
}

fn one(transfer: &Value) -> String {
    let field = |name: &str| word(&transfer[name]);
    let mut text = format!(
        "transfer {} of {}: {}\n{} transfers {} to {} ({}, by {})\n",
        field("transfer"),
        field("call"),
        field("state"),
        field("transferor"),
        field("transferee"),
        field("refer_to"),
        field("method"),
        field("chosen_by"),
    );
    if !transfer["rule"].is_null() {
        text += &format!("refused by the rule {}\n", field("rule"));
    }
    for receipt in transfer["receipts"].as_array().into_iter().flatten() {
        let gap = receipt["gap_us"].as_u64().map_or_else(|| "-".to_owned(), |gap| format!("{gap} us"));
        let (party, step) = (word(&receipt["party"]), word(&receipt["seq_step"]));
        text += &format!("receipt: {party} hears the next one after {gap}, sequence step {step}\n");
    }
    for failure in transfer["failures"].as_array().into_iter().flatten() {
        text += &format!("{}\n", word(&failure["explanation"]));
        for cause in failure["causes"].as_array().into_iter().flatten() {
            text += &format!("  - {}: {}\n", word(&cause["what"]), word(&cause["check"]));
        }
    }
    text += &media(&transfer["media"]);
    for setting in transfer["without_effect"].as_array().into_iter().flatten() {
        text += &format!("without effect: {}\n", word(setting));
    }
    text
}

/// What the media did, as it stood at last.
fn media(media: &Value) -> String {
    let facts = if media["at_call_end"].is_null() { &media["when_over"] } else { &media["at_call_end"] };
    let Some(parties) = facts["parties"].as_array() else { return String::new() };
    let mut text = format!("media: the transferee waited {} ms\n", word(&media["waited_ms"]));
    for party in parties {
        let field = |name: &str| word(&party[name]);
        let silent = if party["received"] == 0 { ": nothing has come from it" } else { "" };
        text += &format!(
            "  {}: {} packets in, {} out, {} lost, {} refused by SRTP, {} stale{silent}\n",
            field("party"),
            field("received"),
            field("sent"),
            field("lost"),
            field("srtp_failures"),
            field("stale"),
        );
    }
    text
}

/// A value as it is read.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_transfer_is_shown_with_why_and_what_to_look_at() {
        let transfer = json!({
            "transfer": "1-2", "call": "c", "state": "failed", "method": "pivot", "chosen_by": "refer",
            "transferor": "agent", "transferee": "caller", "refer_to": "tel:+1555", "rule": null, "receipts": [],
            "failures": [{ "explanation": "It was busy.", "causes": [{ "what": "a block", "check": "ask" }] }],
        });
        let text = one(&transfer);
        assert!(text.contains("agent transfers caller to tel:+1555 (pivot, by refer)"), "{text}");
        assert!(text.contains("It was busy.\n  - a block: ask\n"), "{text}");
        assert_eq!(list(&json!({ "transfers": [] })), "no transfers\n");
        let row = list(&json!({ "transfers": [transfer] }));
        assert!(row.contains("1-2") && row.contains("failed"), "{row}");
    }
}
