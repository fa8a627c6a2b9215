//! What a webhook may answer, and what of it is refused.

use core::fmt;
use core::time::Duration;

use super::{json, xml};
use crate::call::refer_to::is_extra;
use crate::call::sipfrag::phrase_of;
use crate::call::words::Decision;
use crate::call::{MOST_TARGETS, target_uri};
use crate::message::{Address, Header, Status};

/// An answer has no more bytes.
pub const ANSWER_LEN_MAX: usize = 64 * 1024;
/// A target, a header field or a phrase has no more.
const TEXT_LEN_MAX: usize = 1024;
const HEADERS_MAX: usize = 32;

/// What a webhook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is to be done.
    pub decision: Decision,
    /// What it says beside that and has no effect.
    pub ignored: Vec<Box<str>>,
}

/// What is wrong with an answer, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer cannot be used: {0}")]
pub struct AnswerError(pub Box<str>);

impl AnswerError {
    pub(super) fn new(why: impl Into<Box<str>>) -> Self {
        Self(why.into())
    }
}

/// Reads an answer in either form: which one it is says its first character, as frameworks label what they send as they like.
pub(super) fn read(bytes: &[u8]) -> Result<Answer, AnswerError> {
    let text = core::str::from_utf8(bytes)
        .map_err(|error| AnswerError::new(format!("it is no UTF-8 from byte {} on", error.valid_up_to())))?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.chars().next() {
        Some('{') => json::read(text),
        Some('<') => xml::read(text),
        None => Err(AnswerError::new("it is empty; it is a JSON object with `action`, or an XML <Response>")),
        Some(_) => {
            let beginning: String = text.chars().take(40).collect();
            Err(AnswerError::new(format!(
                "it begins with {beginning:?}; it is a JSON object with `action`, or an XML <Response>"
            )))
        }
    }
}

/// The parts of an answer that calls somebody, as they were said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) targets: Vec<String>,
    pub(super) caller_id: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) ring_s: Option<u32>,
}

/// The decision to call somebody. Which targets are allowed is for the trunk's rules.
pub(super) fn dial(said: Said) -> Result<Decision, AnswerError> {
    let Said { targets, caller_id, headers, ring_s } = said;
    if !(1..=MOST_TARGETS).contains(&targets.len()) {
        let count = targets.len();
        return Err(AnswerError::new(format!("it has {count} targets; 1 to {MOST_TARGETS} can be called")));
    }
    for target in &targets {
        uri(target).map_err(|why| AnswerError::new(format!("{:?} is no target: {why}", short(target))))?;
    }
    let caller_id = caller_id.map(|shown| {
        let why = |why| AnswerError::new(format!("{:?} is no caller to show: {why}", short(&shown)));
        uri(&shown).map(|uri| Address { display: Box::default(), uri }).map_err(why)
    });
    if ring_s.is_some_and(|seconds| !(1..=600).contains(&seconds)) {
        let seconds = ring_s.unwrap_or_default();
        return Err(AnswerError::new(format!("it has targets ring for {seconds} s; that is 1 to 600")));
    }
    if headers.len() > HEADERS_MAX {
        return Err(AnswerError::new(format!("it has more than {HEADERS_MAX} header fields")));
    }
    let headers = headers.into_iter().map(|(name, value)| header(&name, &value)).collect::<Result<_, _>>()?;
    Ok(Decision::Dial {
        targets: targets.into_iter().map(|target| target.trim().into()).collect(),
        caller_id: caller_id.transpose()?,
        headers,
        ring: ring_s.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

fn uri(text: &str) -> Result<Box<str>, Box<str>> {
    if text.len() > TEXT_LEN_MAX {
        return Err(format!("it has more than {TEXT_LEN_MAX} bytes").into());
    }
    target_uri(text.trim())
}

fn header(name: &str, value: &str) -> Result<Header, AnswerError> {
    let shown = short(name);
    if !is_extra(name) {
        return Err(AnswerError::new(format!("the header field {shown:?}: its name must begin with X-")));
    }
    if value.len() > TEXT_LEN_MAX || value.chars().any(char::is_control) {
        return Err(AnswerError::new(format!(
            "the header field {shown:?}: its value has control characters or more than {TEXT_LEN_MAX} bytes"
        )));
    }
    Ok(Header { name: name.into(), value: value.into() })
}

/// The decision to refuse.
pub(super) fn refuse(code: u16, reason: Option<&str>) -> Result<Decision, AnswerError> {
    if !(400..=699).contains(&code) {
        return Err(AnswerError::new(format!("it refuses with {code}; a refusal is 400 to 699")));
    }
    let phrase = reason.map(|reason| reason.chars().filter(|char| !char.is_control()).take(128).collect::<String>());
    let phrase = phrase.filter(|phrase| !phrase.trim().is_empty()).unwrap_or_else(|| phrase_of(code).to_owned());
    Ok(Decision::Refuse(Status { code, phrase: phrase.into() }))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.decision {
            Decision::Dial { targets, .. } => write!(f, "dial {}", targets.join(", ")),
            Decision::Proceed => f.write_str("proceed"),
            Decision::Refuse(Status { code, phrase }) => write!(f, "refuse {code} {phrase}"),
            Decision::Failed => f.write_str("failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed, TestRunner};

    use super::*;

    pub(super) fn dialled(text: &str) -> (Vec<String>, Answer) {
        let answer = read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let Decision::Dial { targets, .. } = &answer.decision else { panic!("{text}: {answer:?}") };
        (targets.iter().map(ToString::to_string).collect(), answer)
    }

    #[test]
    fn both_forms_say_the_same() {
        let json = r#"{"action": "dial", "targets": ["+1 555 0199", "sip:desk@desk.example"], "caller_id": "+15550100", "ring_timeout_s": 20}"#;
        let xml = "\u{feff}<?xml version=\"1.0\"?>\n<Response><Dial callerId=\"+15550100\" timeout=\"20\">\
                   <Number>+1 555 0199</Number>\n<!-- then --><Sip>sip:desk@desk.example</Sip></Dial></Response>";
        assert_eq!(read(json.as_bytes()), read(xml.as_bytes()));
        let (targets, answer) = dialled(xml);
        assert_eq!(targets, ["+1 555 0199", "sip:desk@desk.example"]);
        let Decision::Dial { caller_id, ring, .. } = &answer.decision else { panic!("{answer:?}") };
        assert_eq!(caller_id.as_ref().map(|shown| &*shown.uri), Some("tel:+15550100"));
        assert_eq!(*ring, Some(Duration::from_secs(20)));
        assert_eq!(answer.to_string(), "dial +1 555 0199, sip:desk@desk.example");
    }

    #[test]
    fn what_is_no_answer_is_named() {
        for (bytes, why) in [
            (&b""[..], "empty"),
            (b"   \r\n", "empty"),
            (b"OK", "\"OK\""),
            (b"[1]", "\"[1]\""),
            (b"\xff\xfe{", "byte 0"),
            (b"{\"action\": \"proceed\"\xff}", "byte 20"),
        ] {
            let error = read(bytes).expect_err("no answer").to_string();
            assert!(error.contains(why), "{bytes:?}: {error}");
        }
    }

    /// Pieces of answers in any order, and answers cut short: nothing panics, nothing is dialled that was not said.
    #[test]
    fn no_bytes_make_it_panic() {
        let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
        let config =
            Config { cases: 4000, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
        let piece = prop::sample::select(vec![
            "<Response>",
            "</Response>",
            "<Dial>",
            "<Dial timeout=\"9\"",
            "</Dial>",
            "<Number>",
            "</Number>",
            "<Sip>",
            "+1555",
            "&lt;",
            "&a;",
            "<!DOCTYPE a [<!ENTITY a \"b\">]>",
            "<![CDATA[",
            "]]>",
            "{",
            "}",
            "\"action\"",
            ":",
            "\"dial\"",
            ",",
            "\"targets\"",
            "[",
            "]",
            "\"+1555\"",
            "\"proceed\"",
            "null",
            "9",
            "<!--",
            "-->",
            "/>",
            "<Reject",
            " ",
            "\u{0}",
            "é",
        ]);
        let text = prop_oneof![
            prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..64),
            (0_usize..140).prop_map(|cut| {
                let whole = "<Response><Dial callerId=\"+15550100\" timeout=\"20\"><Number>+15550199</Number></Dial></Response>";
                whole.as_bytes()[..cut.min(whole.len())].to_vec()
            }),
            (0_usize..140).prop_map(|cut| {
                let whole = r#"{"action": "dial", "targets": ["+1555", "sip:a@b"], "headers": {"X-A": "b"}}"#;
                whole.as_bytes()[..cut.min(whole.len())].to_vec()
            }),
        ];
        TestRunner::new(config)
            .run(&text, |bytes| {
                if let Ok(Answer { decision: Decision::Dial { targets, .. }, .. }) = read(&bytes) {
                    let text = String::from_utf8_lossy(&bytes);
                    prop_assert!(!targets.is_empty() && targets.iter().all(|target| text.contains(&**target)));
                }
                Ok(())
            })
            .unwrap_or_else(|error| panic!("PROPTEST_RNG_SEED={seed} runs it again: {error}"));
    }
}
