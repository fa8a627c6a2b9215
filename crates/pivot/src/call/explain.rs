//! Why a transfer failed, in words: what is known, what is likely, and what to look at next.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use super::route::{Rule, TargetKind};
use crate::message::{Reason, Rejection, Status};

/// How far a target was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The request was judged.
    Request,
    /// The INVITE was out and nothing had come back.
    Dialling,
    /// The target rang.
    Ringing,
    /// It had answered, and it was not found out that a human had.
    Detection,
    /// It had answered, and its media was waited for.
    Connecting,
    /// It had answered and talked with the transferor.
    Consultation,
}

impl Stage {
    /// Its name on records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Dialling => "dialling",
            Self::Ringing => "ringing",
            Self::Detection => "detection",
            Self::Connecting => "connecting",
            Self::Consultation => "consultation",
        }
    }
}

/// Who or what ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A response to the INVITE, or none.
    Response,
    /// A response to the REFER that we sent.
    Refer,
    /// Whoever was sent a REFER did not tell what came of it.
    NoOutcome,
    /// Our own ring timer.
    RingTimer,
    /// A machine answered.
    Machine,
    /// Nobody was heard in time.
    Undecided,
    /// The target's media could not be joined.
    Media,
    /// No packet of it came.
    NoMedia,
    /// The target hung up.
    Target,
    /// The transferee hung up.
    Transferee,
    /// The transferor, or whoever commanded the transfer, took it back.
    Command,
    /// A rule of ours.
    Rule(Rule),
}

/// What is known of a target that was not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How far it was.
    pub stage: Stage,
    /// What ended it.
    pub by: By,
    /// Whom it was about, as asked for.
    pub target: Box<str>,
    /// Number or SIP, if that was found out.
    pub kind: Option<TargetKind>,
    /// The trunk by which it was sent, if by one.
    pub trunk: Option<Arc<str>>,
    /// What the transferor is told, and what the target's side said if it said something.
    pub status: Status,
    /// The response; without it [`Failure::status`] is our own.
    pub rejection: Option<Box<Rejection>>,
    /// From the INVITE to the end.
    pub took: Duration,
    /// So much of it after the first 180.
    pub ringing: Duration,
    /// So much of it with early media.
    pub early_media: Duration,
}

/// One thing that may be the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What.
    pub what: &'static str,
    /// What to look at next.
    pub check: Cow<'static, str>,
}

/// A failure explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One sentence for people.
    pub sentence: Box<str>,
    /// The Q.850 cause.
    pub q850: Option<u16>,
    /// The other side said it; else it is derived from the status (RFC 3398 8.2.6.1).
    pub q850_was_said: bool,
    /// Likely causes, the likeliest first.
    pub causes: Vec<Cause>,
}

impl Failure {
    /// What is likely the matter.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let said = self.rejection.as_ref().and_then(|rejection| rejection.reason.as_ref()).and_then(q850_said);
        let q850 = said.or_else(|| q850_of(self.status.code));
        Explanation { sentence: self.sentence().into(), q850, q850_was_said: said.is_some(), causes: self.causes() }
    }

    pub(super) fn is_local(&self) -> bool {
        self.rejection.as_ref().is_none_or(|rejection| rejection.is_local)
    }

    fn sentence(&self) -> String {
        let (code, phrase) = (self.status.code, &self.status.phrase);
        let target = &self.target;
        let seconds = |time: Duration| format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100);
        let took = seconds(self.took);
        match self.by {
            By::Rule(rule) => {
                format!("The transfer to {target} was refused by the rule {} ({code} {phrase}).", rule.as_str())
            }
            By::Refer => format!("The REFER to {target} was answered with {code} {phrase} after {took}."),
            By::NoOutcome => {
                format!("The REFER to {target} was accepted, and after {took} nobody had told what came of it.")
            }
            By::RingTimer => format!(
                "{target} rang for {} of {took} and nobody answered in the time that was set.",
                seconds(self.ringing)
            ),
            By::Machine => format!("A machine answered at {target}."),
            By::Undecided => format!("{target} answered, but no human was heard in the time that was set."),
            By::Media => format!("{target} answered, but its media could not be joined with the transferee's."),
            By::NoMedia => format!("{target} answered, but no audio came from it."),
            By::Target => format!("{target} answered and hung up before it was connected."),
            By::Transferee => format!("The transferee hung up after {took}, before {target} was connected."),
            By::Command => format!("The transfer to {target} was taken back after {took}."),
            By::Response if self.is_local() && code == 408 => {
                format!("Nobody answered the INVITE for {target} within {took}.")
            }
            By::Response if self.is_local() => {
                format!("The INVITE for {target} could not be delivered ({code} {phrase}).")
            }
            By::Response => {
                let hop = self.rejection.as_ref().and_then(|rejection| rejection.by.as_deref());
                let hop = hop.map(|hop| format!(" by {hop}")).unwrap_or_default();
                let rung = match (self.ringing.is_zero(), self.early_media.is_zero()) {
                    (true, true) => "without having rung".into(),
                    (true, false) => format!("after {} of early media", seconds(self.early_media)),
                    (false, _) => format!("after ringing for {}", seconds(self.ringing)),
                };
                format!("{target} was answered with {code} {phrase}{hop} after {took}, {rung}.")
            }
        }
    }
}

fn q850_said(reason: &Reason) -> Option<u16> {
    reason.protocol.eq_ignore_ascii_case("Q.850").then_some(reason.cause).filter(|cause| (1..=127).contains(cause))
}

/// The cause that a status stands for (RFC 3398 8.2.6.1).
#[must_use]
pub const fn q850_of(code: u16) -> Option<u16> {
    Some(match code {
        404 | 485 | 604 => 1,
        486 | 600 => 17,
        480 => 18,
        401 | 402 | 403 | 407 | 603 | 607 | 608 => 21,
        410 => 22,
        482 | 483 => 25,
        484 => 28,
        502 => 38,
        400 | 481 | 500 | 503 => 41,
        405 | 501 => 63,
        406 | 415 | 488 | 606 => 88,
        408 | 504 => 102,
        487 => 16,
        413 | 414 | 416 | 420 | 421 | 423 | 505 => 127,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sipfrag::status;
    use super::*;

    fn rejected(code: u16, took_ms: u64, ringing_ms: u64, is_local: bool) -> Failure {
        let rejection = Rejection {
            status: status(code),
            is_local,
            reason: None,
            by: Some("Carrier/1".into()),
            warning: None,
            retry_after_s: None,
        };
        Failure {
            stage: Stage::Dialling,
            by: By::Response,
            target: "tel:+1555".into(),
            kind: Some(TargetKind::Pstn),
            trunk: Some("carrier".into()),
            status: status(code),
            rejection: Some(Box::new(rejection)),
            took: Duration::from_millis(took_ms),
            ringing: Duration::from_millis(ringing_ms),
            early_media: Duration::ZERO,
        }
    }

    fn first_cause(failure: &Failure) -> &'static str {
        failure.explain().causes[0].what
    }

    #[test]
    fn busy_at_once_is_a_block_and_busy_after_a_while_is_busy() {
        let at_once = rejected(486, 300, 0, false);
        assert!(first_cause(&at_once).contains("blocks the destination"));
        let sentence = "tel:+1555 was answered with 486 Busy Here by Carrier/1 after 0.3 s, without having rung.";
        assert_eq!(&*at_once.explain().sentence, sentence);
        assert_eq!(first_cause(&rejected(486, 2500, 0, false)), "the line is busy");
        assert_eq!(first_cause(&rejected(486, 6000, 4000, false)), "somebody declined the call");
    }

    #[test]
    fn a_code_means_different_things_by_who_made_it_and_when() {
        assert!(first_cause(&rejected(403, 80, 0, false)).contains("credentials"));
        assert_eq!(rejected(403, 80, 0, false).explain().causes.len(), 5);
        assert!(first_cause(&rejected(408, 32_000, 0, true)).contains("nothing answers"));
        assert!(first_cause(&rejected(408, 30_000, 25_000, false)).contains("nobody answered"));
        assert!(first_cause(&rejected(503, 5, 0, true)).contains("resolved"));
        let mut expired = rejected(503, 5, 0, true);
        expired.status.phrase =
            "cannot connect to 192.0.2.1:5061: invalid peer certificate: certificate expired".into();
        assert!(first_cause(&expired).contains("has expired"));
        assert!(first_cause(&rejected(503, 500, 0, false)).contains("channels"));
        assert!(first_cause(&rejected(603, 100, 0, false)).contains("analytics"));
        assert!(first_cause(&rejected(603, 9000, 8000, false)).contains("declined"));
        assert!(first_cause(&rejected(488, 100, 0, false)).contains("codec"));
        let timer = Failure { by: By::RingTimer, ..rejected(408, 30_000, 25_000, true) };
        assert!(first_cause(&timer).contains("nobody is there"));
        let rule = Failure { by: By::Rule(Rule::ForeignDomain), ..rejected(403, 0, 0, true) };
        assert!(rule.explain().sentence.contains("foreign-domain") && first_cause(&rule).contains("list"));
    }

    #[test]
    fn a_hint_names_the_trunk_that_it_is_about() {
        let checks = |failure: &Failure| {
            failure.explain().causes.iter().map(|cause| cause.check.to_string()).collect::<Vec<_>>()
        };
        for failure in [
            rejected(401, 80, 0, false),
            rejected(403, 80, 0, false),
            rejected(503, 5, 0, true),
            rejected(408, 32_000, 0, true),
        ] {
            assert_eq!(checks(&failure)[0], "patchcord trunk check carrier");
            let unknown = Failure { trunk: None, ..failure.clone() };
            assert_eq!(checks(&unknown)[0], "patchcord trunk check NAME");
            // A name that a shell would read otherwise.
            let odd = Failure { trunk: Some("a b".into()), ..failure };
            assert_eq!(checks(&odd)[0], "patchcord trunk check 'a b'");
        }
        let refer = Failure { by: By::Refer, ..rejected(407, 80, 0, false) };
        assert_eq!(checks(&refer), ["patchcord trunk check carrier"]);
    }

    #[test]
    fn a_refused_refer_is_another_matter_than_a_refused_call() {
        let refused = |code| Failure { by: By::Refer, ..rejected(code, 100, 0, false) };
        assert!(first_cause(&refused(405)).contains("takes no REFER"));
        assert!(first_cause(&refused(403)).contains("switched on"));
        assert_eq!(
            &*refused(403).explain().sentence,
            "The REFER to tel:+1555 was answered with 403 Forbidden after 0.1 s."
        );
        assert!((300..700).all(|code| !refused(code).explain().causes.is_empty()));
    }

    #[test]
    fn a_cause_that_was_said_goes_before_one_that_is_derived() {
        let mut failure = rejected(480, 20_000, 18_000, false);
        let explained = failure.explain();
        assert_eq!((explained.q850, explained.q850_was_said), (Some(18), false));
        let rejection = failure.rejection.as_mut().expect("a response");
        rejection.reason = Some(Reason { protocol: "q.850".into(), cause: 19, text: None });
        let explained = failure.explain();
        assert_eq!((explained.q850, explained.q850_was_said), (Some(19), true));
        failure.rejection.as_mut().expect("a response").reason =
            Some(Reason { protocol: "SIP".into(), cause: 480, text: None });
        assert!(!failure.explain().q850_was_said);
    }

    #[test]
    fn whatever_is_answered_is_explained() {
        for code in 300..700 {
            for (took, ringing) in [(10, 0), (5000, 0), (5000, 4000)] {
                for is_local in [false, true] {
                    let explained = rejected(code, took, ringing, is_local).explain();
                    assert!(!explained.causes.is_empty() && explained.sentence.ends_with('.'), "{code}");
                }
            }
        }
    }
}
