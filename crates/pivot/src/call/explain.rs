//! Why a transfer failed, in words: what is known, what is likely, and what to look at next.

use core::time::Duration;

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
    pub check: &'static str,
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

/// Who answers sooner without having rung has not asked a telephone.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Failure {
    /// What is likely the matter.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let said = self.rejection.as_ref().and_then(|rejection| rejection.reason.as_ref()).and_then(q850_said);
        let q850 = said.or_else(|| q850_of(self.status.code));
        Explanation { sentence: self.sentence().into(), q850, q850_was_said: said.is_some(), causes: self.causes() }
    }

    fn is_local(&self) -> bool {
        self.rejection.as_ref().is_none_or(|rejection| rejection.is_local)
    }

    fn was_at_once(&self) -> bool {
        self.took < AT_ONCE && self.ringing.is_zero() && self.early_media.is_zero()
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

    fn causes(&self) -> Vec<Cause> {
        let causes: &[(&'static str, &'static str)] = match self.by {
            By::Rule(rule) => rule_causes(rule),
            By::RingTimer if self.ringing.is_zero() && self.early_media.is_zero() => &[
                ("the target's network took the call and never rang", "call the number from another telephone"),
                ("the target's telephone is not registered", "see whether its switch lists it as registered"),
            ],
            By::RingTimer => &[
                ("nobody is there", "call the target from another telephone at the same hour"),
                (
                    "the ring timer is shorter than the target's forwarding to a mailbox or a colleague",
                    "compare both times",
                ),
            ],
            By::Machine => &[
                ("a mailbox or an announcement answered", "listen to the recording of the target's first seconds"),
                (
                    "a long greeting was taken for a machine",
                    "raise the limit of a greeting, or transfer without detection",
                ),
            ],
            By::Undecided => &[
                ("whoever answered said nothing", "raise the detection timer"),
                ("the target's audio does not arrive", "look at the packets received from the target in the bundle"),
            ],
            By::Media => &[
                ("both sides have no format in common that can be transcoded", "compare the formats in both SDPs"),
                (
                    "SRTP is wanted on one side and impossible on the other",
                    "look at a=crypto and the profile in the m= line",
                ),
            ],
            By::NoMedia => &[
                (
                    "a firewall or NAT holds up the target's audio",
                    "look for packets from the target's address in the bundle",
                ),
                (
                    "the target waits for the other side to speak first",
                    "have the transferee's audio sent at once: trigger immediate",
                ),
                ("the target's answer names a private address", "look at c= in its SDP"),
            ],
            By::Target => &[
                ("whoever answered did not want the call", "call the target and ask"),
                (
                    "the target's switch found no free agent after it had answered",
                    "look at the Reason header of its BYE",
                ),
            ],
            By::Transferee => {
                &[("the transferee did not want to wait", "look at how long hold and ringback were heard")]
            }
            By::Command => &[("whoever asked for the transfer changed their mind", "look at who sent the command")],
            By::Response => self.response_causes(),
        };
        causes.iter().map(|&(what, check)| Cause { what, check }).collect()
    }

    /// By code, and by how it came: the same code at once and after ringing are different matters.
    fn response_causes(&self) -> &'static [(&'static str, &'static str)] {
        const BUSY: (&str, &str) = ("the line is busy", "try again in a minute, or call from another telephone");
        const BLOCK: (&str, &str) = (
            "the carrier blocks the destination: country, price list or fraud policy",
            "ask the carrier for its geographic permissions",
        );
        const CHANNELS: (&str, &str) =
            ("the trunk's channels are all in use", "compare the carrier's limit with the calls at that time");
        match self.status.code {
            486 | 600 if self.was_at_once() => &[BLOCK, CHANNELS, BUSY],
            486 | 600 if self.ringing > Duration::ZERO => &[("somebody declined the call", "ask who was called"), BUSY],
            486 | 600 => &[BUSY, BLOCK],
            401 | 407 => &[
                ("user name, password or realm are wrong", "patchcord trunk check"),
                ("the trunk has no credentials for this carrier", "look at the trunk's configuration"),
            ],
            403 => &[
                ("the credentials are not the trunk's", "patchcord trunk check"),
                (
                    "our address is not on the carrier's list",
                    "compare the carrier's access list with the address that the INVITE left from",
                ),
                ("the account has no balance", "look at the carrier's portal"),
                ("the number has not the form that the carrier wants", "try +, 00 and national form"),
                (
                    "the caller's number is none of the account's",
                    "set the caller id to the transferor's, or verify the number with the carrier",
                ),
            ],
            402 => &[("the account has no balance", "look at the carrier's portal")],
            404 | 604 | 410 => &[
                ("there is no such number or user", "call it from another telephone"),
                ("the number has not the form that the carrier wants", "try +, 00 and national form"),
                ("the request went to the wrong trunk", "look at the request URI in the trace"),
            ],
            484 => &[
                ("digits are missing", "compare the Refer-To with the whole number"),
                ("a local number was dialled without its prefix", "use the form that begins with +"),
            ],
            408 if self.is_local() => &[
                ("nothing answers at the target's address", "patchcord trunk check"),
                ("a firewall drops our INVITE or the answers", "look at whether any response is in the trace"),
                ("the INVITE was too large for UDP", "use TCP"),
            ],
            408 => &[
                (
                    "nobody answered in the time that the target's network gives",
                    "call the target from another telephone",
                ),
                ("the target's telephone is not registered", "see whether its switch lists it as registered"),
            ],
            480 if self.was_at_once() => &[
                ("the target's telephone is not registered", "see whether its switch lists it as registered"),
                CHANNELS,
                BLOCK,
            ],
            480 | 487 => &[
                ("nobody answered", "call the target from another telephone"),
                ("do not disturb is on", "ask who was called"),
            ],
            603 | 607 | 608 if self.was_at_once() => &[
                (
                    "the carrier or an analytics service rejects the caller's number",
                    "look for the number's reputation and its STIR/SHAKEN level",
                ),
                BLOCK,
                ("the telephone declines by itself", "look at its do-not-disturb and its block list"),
            ],
            603 | 607 | 608 => {
                &[("somebody declined the call", "ask who was called"), ("do not disturb is on", "ask who was called")]
            }
            488 | 606 | 415 => &[
                ("no codec in common", "compare our offer with what the target takes"),
                (
                    "SRTP is demanded or not understood",
                    "compare the profile in the m= line with the trunk's SRTP policy",
                ),
                ("DTMF or ptime is not what the target takes", "look at Warning and at a=fmtp"),
            ],
            482 | 483 => &[("the call came back to where it had been", "look at the routes of both switches")],
            502 | 503 if self.is_local() => &[
                ("the target's name cannot be resolved or its port is closed", "patchcord trunk check"),
                ("TLS failed: certificate or name", "patchcord trunk check"),
            ],
            503 => &[
                CHANNELS,
                (
                    "the carrier's switch is overloaded or has no way to the destination",
                    "try again, or use another trunk",
                ),
                BLOCK,
            ],
            504 => &[("a hop behind the carrier does not answer", "ask the carrier with the Call-ID")],
            300..=399 => &[("the target has moved", "look at Contact of the response, and transfer to that")],
            500..600 => &[("a switch on the way failed", "ask whoever runs the hop that answered, with the Call-ID")],
            600.. => &[("the target wants no call", "ask who was called")],
            _ => &[("the target's side refused the call", "ask whoever runs the hop that answered, with the Call-ID")],
        }
    }
}

const fn rule_causes(rule: Rule) -> &'static [(&'static str, &'static str)] {
    match rule {
        Rule::Unauthorised => &[(
            "the REFER came from an address that is none of the trunk's",
            "add the address to the trunk, or find out whose it is",
        )],
        Rule::TransfersOff => &[("the trunk does not allow transfers", "switch the trunk's transfers on")],
        Rule::PstnOff => {
            &[("the trunk does not allow transfers to the telephone network", "switch its PSTN transfers on")]
        }
        Rule::Emergency => &[("emergency numbers are never dialled by a transfer", "have the caller call it directly")],
        Rule::ForeignDomain => &[
            (
                "the domain is not on the trunk's list of allowed domains",
                "add it, if you trust it: whoever may name domains may spend your money",
            ),
            ("the agent named its own domain instead of the trunk's", "use tel: or the trunk's domain"),
        ],
        Rule::Loop => &[("the target is the pivot itself", "name the number or the telephone behind it")],
        Rule::TooManyTransfers => &[("two user agents refer to each other", "look at the call's chain of transfers")],
        Rule::InTransfer => &[("the call is being transferred", "wait for the final NOTIFY")],
        Rule::NotConnected => &[("nobody is connected with whoever asked", "transfer after the call is answered")],
        Rule::Malformed => &[(
            "the request cannot be understood",
            "compare its Refer-To with tel:+15550100 and <sip:+15550100@DOMAIN>",
        )],
        Rule::NoRefer => &[("the other side does not list REFER in Allow", "use the method invite")],
        Rule::Controller => &[("the webhook refused", "look at its answer")],
        Rule::ControllerSlow => &[(
            "the webhook did not answer in time, or not in a form that is known",
            "call it by hand with the same fields",
        )],
        Rule::Replaces => {
            &[("the dialog that was to be replaced is not there or is over", "compare Call-ID and tags with the trace")]
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
