//! Answers in JSON.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::answer::{Answer, AnswerError, Said, dial, refuse};
use crate::call::words::Decision;

/// All that an answer may have; which of it, says `action`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    action: String,
    targets: Option<Vec<String>>,
    caller_id: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    ring_timeout_s: Option<u32>,
    code: Option<u16>,
    reason: Option<String>,
}

pub(super) fn read(text: &str) -> Result<Answer, AnswerError> {
    let said: Json = serde_json::from_str(text).map_err(|error| AnswerError::new(format!("JSON: {error}")))?;
    let fields = [
        ("targets", said.targets.is_some(), "dial"),
        ("caller_id", said.caller_id.is_some(), "dial"),
        ("headers", said.headers.is_some(), "dial"),
        ("ring_timeout_s", said.ring_timeout_s.is_some(), "dial"),
        ("code", said.code.is_some(), "refuse"),
        ("reason", said.reason.is_some(), "refuse"),
    ];
    let ignored = fields.into_iter().filter(|&(_, is_there, of)| is_there && of != said.action);
    let ignored = ignored.map(|(name, ..)| Box::from(name)).collect();
    let decision = match said.action.as_str() {
        "dial" => dial(Said {
            targets: said.targets.unwrap_or_default(),
            caller_id: said.caller_id,
            headers: said.headers.unwrap_or_default().into_iter().collect(),
            ring_s: said.ring_timeout_s,
        })?,
        "proceed" => Decision::Proceed,
        "refuse" => refuse(said.code.unwrap_or(603), said.reason.as_deref())?,
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(AnswerError::new(format!("the action is {other:?}; it is dial, proceed or refuse")));
        }
    };
    Ok(Answer { decision, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Status;

    #[test]
    fn the_actions_are_read() {
        let decision = |text: &str| read(text).unwrap_or_else(|error| panic!("{text}: {error}")).decision;
        assert_eq!(decision(r#"{"action": "proceed"}"#), Decision::Proceed);
        let refused = |code, phrase: &str| Decision::Refuse(Status { code, phrase: phrase.into() });
        assert_eq!(decision(r#"{"action": "refuse"}"#), refused(603, "Decline"));
        assert_eq!(decision(r#"{"action": "refuse", "code": 486, "reason": "At\r\nlunch"}"#), refused(486, "Atlunch"));
        let answer = read(r#"{"action": "proceed", "code": 486, "targets": []}"#).expect("an answer");
        assert_eq!(answer.ignored, ["targets".into(), "code".into()]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let deep = format!(r#"{{"action": {}"#, "[".repeat(60_000));
        for (text, why) in [
            (r#"{"action": "dial"}"#, "0 targets"),
            (r#"{"action": "dial", "targets": []}"#, "0 targets"),
            (r#"{"action": "dial", "targets": "+1555"}"#, "column"),
            (r#"{"action": "dial", "targets": [5]}"#, "column"),
            (r#"{"action": "dial", "targets": ["no target"]}"#, "no target"),
            (r#"{"action": "dial", "targets": ["http://a.example"]}"#, "http"),
            (r#"{"action": "dial", "targets": ["+1555"], "ring_timeout_s": 0}"#, "1 to 600"),
            (r#"{"action": "dial", "targets": ["+1555"], "ring_timeout_s": -1}"#, "invalid value"),
            (r#"{"action": "dial", "targets": ["+1555"], "headers": {"Route": "x"}}"#, "X-"),
            (r#"{"action": "dial", "targets": ["+1555"], "headers": {"X-A\r\nRoute": "x"}}"#, "X-"),
            (r#"{"action": "dial", "targets": ["+1555"], "headers": {"X-A": "b\r\nRoute: c"}}"#, "control"),
            (r#"{"action": "dial", "targets": ["+1555"], "caller_id": "a b"}"#, "caller"),
            (r#"{"action": "refuse", "code": 200}"#, "400 to 699"),
            (r#"{"action": "refuse", "code": 70000}"#, "invalid value"),
            (r#"{"action": "transfer"}"#, "transfer"),
            (r#"{"action": 1}"#, "invalid type"),
            (r#"{"action": "proceed", "fast": true}"#, "fast"),
            (r#"{"targets": ["+1555"]}"#, "action"),
            (r#"{"action": "proceed""#, "EOF"),
            (r#"{"action": "proceed"} {}"#, "trailing"),
            (&deep, "invalid type"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text:.80}: {error}");
        }
        let many = vec!["\"+1555\""; 17].join(",");
        let error = read(&format!(r#"{{"action": "dial", "targets": [{many}]}}"#)).expect_err("too many").to_string();
        assert!(error.contains("17 targets"), "{error}");
    }
}
