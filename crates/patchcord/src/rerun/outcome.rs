//! What came of the transfer now, beside what came of it then.

use std::thread::sleep;
use std::time::{Duration, Instant};

use patchcord_pivot::replay::{Difference, Heard, Outcome, Player, Recording};

use crate::client::api::{Api, encoded};
use crate::failure::Failure;

/// How long the pivot may take to have its record as it was then: it is written when everything was said.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(20);

/// What came of it, and the first difference.
pub(super) fn compare(
    api: &Api,
    recording: &Recording,
    player: &Player,
) -> Result<(Option<Outcome>, Option<Difference>), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = now(api, recording, player)?;
        let found = match &outcome {
            None => Some(difference(
                "the transfer",
                "one of this call",
                "none",
                "whether the pivot kept the call by its Call-ID",
            )),
            Some(now) => differs(&recording.transfer, now),
        };
        // What is over stays as it is.
        let is_over = found.is_some() && outcome.as_ref().is_some_and(|now| now.ended_ms.is_some());
        let found = match (&outcome, found) {
            (Some(now), None) => {
                let timeline = api.get(&format!("/v1/transfers/{}/timeline", encoded(&now.transfer)))?;
                let lanes: Vec<Heard> = api.typed(timeline["parties"].clone())?;
                heard_otherwise(&recording.heard, &lanes)
            }
            (_, found) => found,
        };
        if found.is_none() || is_over || Instant::now() > deadline {
            return Ok((outcome, found));
        }
        sleep(LOOK);
    }
}

/// Whether the target has the place.
pub(super) fn is_connected(api: &Api, recording: &Recording, player: &Player) -> Result<bool, Failure> {
    Ok(now(api, recording, player)?.is_some_and(|outcome| outcome.connected_ms.is_some()))
}

/// The transfer of now.
fn now(api: &Api, recording: &Recording, player: &Player) -> Result<Option<Outcome>, Failure> {
    let call_id = player.call_id(recording.call_id()).unwrap_or_default();
    let answer = api.get(&format!("/v1/transfers?limit=1000&call={}", encoded(call_id)))?;
    let transfers = answer["transfers"].as_array().map_or(&[][..], Vec::as_slice);
    // The latest is the first.
    let transfer = transfers.iter().rev().nth(recording.ordinal());
    Ok(transfer.map(|transfer| api.typed(transfer.clone())).transpose()?)
}

fn difference(part: &str, expected: impl Into<String>, got: impl Into<String>, look_at: &str) -> Difference {
    Difference {
        message: None,
        peer: None,
        party: None,
        part: part.to_owned(),
        expected: expected.into(),
        got: got.into(),
        look_at: look_at.to_owned(),
    }
}

/// Times and names are those of each run; all else has to be the same.
fn differs(then: &Outcome, now: &Outcome) -> Option<Difference> {
    let part = |part: &str, expected: String, got: String, look_at: &str| {
        (expected != got).then(|| difference(part, expected, got, look_at))
    };
    let none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let failures = |outcome: &Outcome| {
        let failures = outcome.failures.iter().map(|failure| {
            let q850 = failure.q850.map_or_else(|| "-".to_owned(), |cause| cause.to_string());
            format!(
                "{} while {}, Q.850 {q850}",
                format!("{} {}", failure.code, failure.phrase).trim_end(),
                failure.stage
            )
        });
        failures.collect::<Vec<_>>().join("; then ")
    };
    let cause = |outcome: &Outcome| {
        let likeliest = outcome.failures.last().and_then(|failure| failure.causes.first());
        likeliest.map_or_else(String::new, |cause| cause.what.clone())
    };
    part("the transfer's state", then.state.clone(), now.state.clone(), "its record: `patchcord transfers show`")
        .or_else(|| {
            part("the rule that refused it", none(&then.rule), none(&now.rule), "the trunk's rules (call/route.rs)")
        })
        .or_else(|| part("why targets could not be had", failures(then), failures(now), "call/explain.rs"))
        .or_else(|| part("the likeliest cause", cause(then), cause(now), "call/causes.rs"))
        .or_else(|| {
            let left = |outcome: &Outcome| outcome.transferor_left.to_string();
            part("whether the transferor had left", left(then), left(now), "call/leaving.rs")
        })
}

/// What was heard then is what is heard first now: this run may have gone on for a moment longer.
fn heard_otherwise(then: &[Heard], now: &[Heard]) -> Option<Difference> {
    then.iter().find_map(|lane| {
        let pieces = |lane: &Heard| lane.heard.iter().map(|piece| piece.what.clone()).collect::<Vec<_>>();
        let expected = pieces(lane);
        let got = now.iter().find(|other| other.party == lane.party).map(pieces).unwrap_or_default();
        if got.starts_with(&expected) {
            return None;
        }
        let mut found = difference(
            "what a party heard, one after the other",
            expected.join(", "),
            got.join(", "),
            "the bridge commands of the call (driver/bridging.rs), and its timeline",
        );
        found.party = Some(lane.party.clone());
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use patchcord_pivot::replay::{CauseOf, FailureOf, Piece};

    use super::*;

    #[test]
    fn an_outcome_differs_in_what_it_says() {
        let failure = FailureOf {
            stage: "dialling".to_owned(),
            code: 486,
            phrase: "Busy Here".to_owned(),
            q850: Some(17),
            causes: vec![CauseOf { what: "a block".to_owned() }],
        };
        let then = Outcome {
            transfer: "1".to_owned(),
            state: "failed".to_owned(),
            failures: vec![failure],
            ..Outcome::default()
        };
        assert_eq!(differs(&then, &Outcome { transfer: "2".to_owned(), ended_ms: Some(1), ..then.clone() }), None);
        let mut now = then.clone();
        now.failures[0].code = 603;
        let found = differs(&then, &now).expect("a difference");
        assert_eq!(
            (&*found.expected, &*found.got),
            ("486 Busy Here while dialling, Q.850 17", "603 Busy Here while dialling, Q.850 17")
        );
        now = Outcome { failures: then.failures.clone(), ..now };
        now.failures[0].causes.clear();
        assert_eq!(differs(&then, &now).expect("a difference").part, "the likeliest cause");
    }

    #[test]
    fn what_was_heard_may_go_on_and_not_be_another() {
        let lane = |pieces: &[&str]| {
            let heard = pieces.iter().map(|what| Piece { kind: String::new(), what: (*what).to_owned() }).collect();
            vec![Heard { party: "caller".to_owned(), heard }]
        };
        assert_eq!(heard_otherwise(&lane(&["agent", "hold audio"]), &lane(&["agent", "hold audio", "target-1"])), None);
        let found =
            heard_otherwise(&lane(&["agent", "target-1"]), &lane(&["agent", "hold audio"])).expect("a difference");
        assert_eq!((found.party.as_deref(), &*found.got), (Some("caller"), "agent, hold audio"));
    }
}
