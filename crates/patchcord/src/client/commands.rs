//! From a command line to the body of a bridge command.

use std::io::Read;

use serde_json::{Value, json};

use super::args::{CallTarget, ClientCommand, LegArgs, Meta, PairTarget, PartyTarget, Target};
use crate::failure::Failure;

/// A request to `/v1/calls/{call}/commands`.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) call: String,
    pub(crate) meta: Meta,
    pub(crate) body: Value,
}

/// The bridge command that a client command stands for.
pub(crate) fn request(command: ClientCommand) -> Result<Request, Failure> {
    Ok(match command {
        ClientCommand::Leg(args) => leg(args),
        ClientCommand::Remote { on, remote, rtcp } => {
            let mut request = party("leg-remote", on);
            request.body["remote"] = json!(remote);
            put(&mut request.body, "remote_rtcp", rtcp);
            request
        }
        ClientCommand::Direction { on, direction } => {
            let mut request = party("leg-direction", on);
            request.body["direction"] = json!(direction);
            request
        }
        ClientCommand::Unleg(on) => party("leg-delete", on),
        ClientCommand::Bridge { on, trigger } => {
            let mut request = pair("bridge", on);
            put(&mut request.body, "trigger", trigger.as_deref().map(trigger_value).transpose()?);
            request
        }
        ClientCommand::Unbridge(on) => pair("unbridge", on),
        ClientCommand::Check(on) => pair("check", on),
        ClientCommand::Swap { on, survivor, old, new, trigger, keep_old } => {
            let mut body = json!({ "command": "swap", "survivor": survivor, "old": old, "new": new });
            put(&mut body, "trigger", trigger.as_deref().map(trigger_value).transpose()?);
            put(&mut body, "keep_old", keep_old.as_deref().map(keep_old_value).transpose()?);
            finish(on.call, on.meta, body)
        }
        ClientCommand::Hold { on, audio } => {
            let mut request = party("hold", on);
            put(&mut request.body, "audio", Some(one_or_more(&audio)).filter(|_| !audio.is_empty()));
            request
        }
        ClientCommand::Resume(on) => party("resume", on),
        ClientCommand::Play { on, audio, repeat, queue, barge_in, overlay, gain_db, duck_db } => {
            let mut request = party("play", on);
            request.body["audio"] = one_or_more(&audio);
            put(&mut request.body, "queue", queue.then_some(true));
            put(&mut request.body, "barge_in", barge_in);
            let repeat = repeat.map(|text| text.parse::<u32>().map_or_else(|_| json!(text), |n| json!(n)));
            put(&mut request.body, "repeat", repeat);
            put(&mut request.body, "overlay", overlay.then_some(true));
            put(&mut request.body, "gain_db", gain_db);
            put(&mut request.body, "duck_db", duck_db);
            request
        }
        ClientCommand::Stop(on) => party("stop", on),
        ClientCommand::Ringback { on, country } => {
            let mut request = party("ringback", on);
            request.body["country"] = json!(country);
            request
        }
        ClientCommand::Monitor { on, of } => {
            let mut request = party("monitor", on);
            request.body["of"] = one_or_more(&of);
            request
        }
        ClientCommand::Unmonitor(on) => party("unmonitor", on),
        ClientCommand::Conference { call, parties, meta } => {
            finish(call, meta, json!({ "command": "conference", "parties": parties }))
        }
        ClientCommand::Leave(on) => party("leave", on),
        ClientCommand::Whisper { on, by, gain_db } => {
            let mut request = party("whisper", on);
            request.body["by"] = json!(by);
            put(&mut request.body, "gain_db", gain_db);
            request
        }
        ClientCommand::Unwhisper(on) => party("unwhisper", on),
        ClientCommand::Gain { on, gain_db } => {
            let mut request = party("gain", on);
            request.body["gain_db"] = json!(gain_db);
            request
        }
        ClientCommand::Detect { on, settings } => {
            let mut request = party("detect", on);
            put(&mut request.body, "answer_timeout_ms", settings.answer_timeout_ms);
            put(&mut request.body, "audible_dbfs", settings.audible_dbfs);
            put(&mut request.body, "hang_over_ms", settings.hang_over_ms);
            put(&mut request.body, "silence_ms", settings.silence_ms);
            put(&mut request.body, "greeting_max_ms", settings.greeting_max_ms);
            put(&mut request.body, "listening_ms", settings.listening_ms);
            request
        }
        ClientCommand::DetectStop(on) => party("detect-stop", on),
        ClientCommand::Record { on, format, layout, name, party } => {
            let mut request = call("record-start", on);
            put(&mut request.body, "format", format);
            put(&mut request.body, "layout", layout);
            put(&mut request.body, "name", name);
            put(&mut request.body, "parties", Some(party).filter(|parties| !parties.is_empty()));
            request
        }
        ClientCommand::RecordPause(on) => call("record-pause", on),
        ClientCommand::RecordResume(on) => call("record-resume", on),
        ClientCommand::RecordStop { on, discard } => {
            let mut request = call("record-stop", on);
            put(&mut request.body, "discard", discard.then_some(true));
            request
        }
        ClientCommand::Mute(on) => party("mute", on),
        ClientCommand::Unmute(on) => party("unmute", on),
        ClientCommand::Dtmf { on, digits, duration_ms, pause_ms, volume_dbm0, how } => {
            let mut request = party("dtmf-send", on);
            request.body["digits"] = json!(digits);
            put(&mut request.body, "duration_ms", duration_ms);
            put(&mut request.body, "pause_ms", pause_ms);
            put(&mut request.body, "volume_dbm0", volume_dbm0);
            put(&mut request.body, "how", how);
            request
        }
        ClientCommand::DtmfStop(on) => party("dtmf-stop", on),
        ClientCommand::Relatch { on, gate } => {
            let mut request = party("relatch", on);
            request.body["gate"] = match gate.parse::<u8>() {
                Ok(packets) => json!({ "packets": packets }),
                Err(_) => json!(gate),
            };
            request
        }
        ClientCommand::Rollback { on, of } => finish(on.call, on.meta, json!({ "command": "rollback", "of": of })),
        ClientCommand::Command { on, body } => raw(on, &body)?,
        // These are no bridge commands; `client::run` has answered them.
        ClientCommand::Audio(_)
        | ClientCommand::Calls { .. }
        | ClientCommand::Show { .. }
        | ClientCommand::Transfer(_)
        | ClientCommand::Transfers(_)
        | ClientCommand::Records(_)
        | ClientCommand::Explain { .. }
        | ClientCommand::Dump(_)
        | ClientCommand::Workers { .. }
        | ClientCommand::Events { .. }
        | ClientCommand::Create { .. }
        | ClientCommand::Delete { .. } => return Err(Failure::failed("this is no bridge command")),
    })
}

fn leg(args: LegArgs) -> Request {
    let mut request = party("leg-create", args.on);
    let body = &mut request.body;
    body["codecs"] = json!(args.codecs);
    put(body, "remote", args.remote);
    put(body, "remote_rtcp", args.remote_rtcp);
    put(body, "rtcp_mux", args.no_rtcp_mux.then_some(false));
    put(body, "interface", args.interface);
    put(body, "direction", args.direction);
    put(body, "latch", args.latch.map(|mode| json!({ "mode": mode })));
    put(body, "egress", args.egress);
    put(body, "media_timeout_ms", args.media_timeout_ms);
    request
}

fn raw(on: Target, text: &str) -> Result<Request, Failure> {
    let mut stdin = String::new();
    let text = if text == "-" {
        std::io::stdin()
            .read_to_string(&mut stdin)
            .map_err(|error| Failure::failed(format!("cannot read the command from stdin: {error}")))?;
        &stdin
    } else {
        text
    };
    match serde_json::from_str(text) {
        Ok(body @ Value::Object(_)) => Ok(finish(on.call, on.meta, body)),
        Ok(_) => {
            Err(Failure::Usage("a command is a JSON object, such as {\"command\": \"hold\", \"party\": \"a\"}".into()))
        }
        Err(error) => Err(Failure::Usage(format!("the command is not JSON: {error}"))),
    }
}

fn party(command: &str, on: PartyTarget) -> Request {
    finish(on.call, on.meta, json!({ "command": command, "party": on.party }))
}

fn call(command: &str, on: CallTarget) -> Request {
    finish(on.call, on.meta, json!({ "command": command }))
}

fn pair(command: &str, on: PairTarget) -> Request {
    finish(on.call, on.meta, json!({ "command": command, "a": on.a, "b": on.b }))
}

fn finish(call: String, meta: Meta, mut body: Value) -> Request {
    put(&mut body, "id", meta.id.clone());
    put(&mut body, "wait_ms", meta.wait_ms);
    Request { call, meta, body }
}

fn put<T: serde::Serialize>(body: &mut Value, field: &str, value: Option<T>) {
    if let Some(value) = value {
        body[field] = json!(value);
    }
}

/// A name, or a list of names.
fn one_or_more(names: &[String]) -> Value {
    match names {
        [one] => json!(one),
        several => json!(several),
    }
}

/// `immediate`, `on-first-packet`, `on-human`, `after-prompt`, `after=MS`.
fn trigger_value(text: &str) -> Result<Value, Failure> {
    match text.strip_prefix("after=") {
        Some(ms) => Ok(json!({ "after_ms": milliseconds(ms, text)? })),
        None => Ok(json!(text)),
    }
}

/// `hold`, `mute`, `drop`, `drop-after=MS`.
fn keep_old_value(text: &str) -> Result<Value, Failure> {
    match text.strip_prefix("drop-after=") {
        Some(ms) => Ok(json!({ "drop_after_ms": milliseconds(ms, text)? })),
        None => Ok(json!(text)),
    }
}

fn milliseconds(text: &str, whole: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::Usage(format!("`{whole}`: after the `=` comes a number of milliseconds")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn body(line: &str) -> Value {
        let args = std::iter::once("patchcord").chain(line.split('|'));
        request(Line::try_parse_from(args).expect(line).command).expect(line).body
    }

    #[test]
    fn command_lines_become_the_bodies_of_the_http_api() {
        assert_eq!(body("bridge|c|a|b|--id|x"), json!({ "id": "x", "command": "bridge", "a": "a", "b": "b" }));
        assert_eq!(
            body("swap|c|--survivor|s|--old|o|--new|n|--trigger|after=500|--keep-old|drop-after=3000|--wait-ms|9"),
            json!({ "command": "swap", "survivor": "s", "old": "o", "new": "n", "trigger": { "after_ms": 500 },
                    "keep_old": { "drop_after_ms": 3000 }, "wait_ms": 9 })
        );
        assert_eq!(
            body("leg|c|p|--remote|1.2.3.4:5|--codec|PCMU|--codec|101 telephone-event/8000|--no-rtcp-mux|--latch|off"),
            json!({ "command": "leg-create", "party": "p", "remote": "1.2.3.4:5", "rtcp_mux": false,
                    "codecs": ["PCMU", "101 telephone-event/8000"], "latch": { "mode": "off" } })
        );
        assert_eq!(body("relatch|c|p|--gate|5")["gate"], json!({ "packets": 5 }));
        assert_eq!(body("relatch|c|p")["gate"], json!("signalled"));
        assert_eq!(body("play|c|p|welcome|--repeat|3")["repeat"], json!(3));
        assert_eq!(body("play|c|p|welcome|--repeat|forever")["repeat"], json!("forever"));
        assert_eq!(
            body("play|c|p|a|b|--queue|--barge-in|key"),
            json!({ "command": "play", "party": "p", "audio": ["a", "b"], "queue": true, "barge_in": "key" })
        );
        assert_eq!(body("hold|c|p"), json!({ "command": "hold", "party": "p" }));
        assert_eq!(body("hold|c|p|--audio|a")["audio"], json!("a"));
        assert_eq!(
            body("play|c|p|welcome|--overlay|--duck-db|-12"),
            json!({ "command": "play", "party": "p", "audio": "welcome", "overlay": true, "duck_db": -12 })
        );
        assert_eq!(
            body("dtmf|c|p|12w#|--duration-ms|80|--volume-dbm0|-10|--how|tone"),
            json!({
                "command": "dtmf-send", "party": "p", "digits": "12w#", "duration_ms": 80, "volume_dbm0": -10, "how": "tone"
            })
        );
        assert_eq!(body("dtmf-stop|c|p"), json!({ "command": "dtmf-stop", "party": "p" }));
        assert_eq!(body("monitor|c|p|q"), json!({ "command": "monitor", "party": "p", "of": "q" }));
        assert_eq!(body("monitor|c|p|q|r")["of"], json!(["q", "r"]));
        assert_eq!(
            body("record|c|--format|ogg-opus|--party|a|--party|b"),
            json!({ "command": "record-start", "format": "ogg-opus", "parties": ["a", "b"] })
        );
        assert_eq!(body("record-stop|c"), json!({ "command": "record-stop" }));
        assert_eq!(body("record-stop|c|--discard"), json!({ "command": "record-stop", "discard": true }));
        assert_eq!(
            body("detect|c|p|--answer-timeout-ms|2000"),
            json!({ "command": "detect", "party": "p", "answer_timeout_ms": 2000 })
        );
        assert_eq!(
            body("detect|c|p|--audible-dbfs|-60|--silence-ms|500"),
            json!({ "command": "detect", "party": "p", "audible_dbfs": -60, "silence_ms": 500 })
        );
        assert_eq!(body("conference|c|p|q"), json!({ "command": "conference", "parties": ["p", "q"] }));
        assert_eq!(
            body("whisper|c|p|q|--gain-db|-6"),
            json!({ "command": "whisper", "party": "p", "by": "q", "gain_db": -6 })
        );
        assert_eq!(body("gain|c|p|-6"), json!({ "command": "gain", "party": "p", "gain_db": -6 }));
        assert_eq!(body("rollback|c|--of|x"), json!({ "command": "rollback", "of": "x" }));
    }

    #[test]
    fn wrong_milliseconds_are_wrong_usage() {
        assert!(matches!(trigger_value("after=soon"), Err(Failure::Usage(_))));
        assert!(matches!(keep_old_value("drop-after="), Err(Failure::Usage(_))));
    }
}
