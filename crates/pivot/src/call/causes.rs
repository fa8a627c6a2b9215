//! What is likely the matter when a transfer has failed, the likeliest first, and what to look at next.

use core::time::Duration;
use std::borrow::Cow;

use super::explain::{By, Cause, Failure};
use super::route::Rule;

/// Says the trunk's name where that is known.
const TRUNK_CHECK: &str = "patchcord trunk check NAME";

/// Who answers sooner without having rung has not asked a telephone.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Failure {
    pub(super) fn causes(&self) -> Vec<Cause> {
        let causes: &[(&'static str, &'static str)] = match self.by {
            By::Rule(rule) => rule_causes(rule),
            By::Refer => refer_causes(self.status.code),
            By::NoOutcome => &[
                (
                    "the other side sends no NOTIFY",
                    "look at the trace for NOTIFY, and listen to whether the target was called",
                ),
                ("its NOTIFY went to another address", "compare the Contact of our REFER with where the NOTIFY went"),
            ],
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
        causes.iter().map(|&(what, check)| Cause { what, check: self.check(check) }).collect()
    }

    fn check(&self, check: &'static str) -> Cow<'static, str> {
        match &self.trunk {
            Some(name) if check == TRUNK_CHECK => {
                let is_word = name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
                let name = if is_word { name.to_string() } else { format!("'{}'", name.replace('\'', r"'\''")) };
                Cow::Owned(check.replace("NAME", &name))
            }
            _ => Cow::Borrowed(check),
        }
    }

    fn was_at_once(&self) -> bool {
        self.took < AT_ONCE && self.ringing.is_zero() && self.early_media.is_zero()
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
                ("user name, password or realm are wrong", TRUNK_CHECK),
                ("the trunk has no credentials for this carrier", "look at the trunk's configuration"),
            ],
            403 => &[
                ("the credentials are not the trunk's", TRUNK_CHECK),
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
                ("nothing answers at the target's address", TRUNK_CHECK),
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
            // So TLS says it, and then what is the matter with it.
            502 | 503 if self.is_local() && self.status.phrase.contains("certificate") => &[(
                "the target's certificate has expired, is for another name, or is vouched for by nobody whom `pivot.ca` has",
                "have it renewed; openssl s_client -connect HOST:PORT shows it",
            )],
            502 | 503 if self.is_local() => &[
                ("the target's name cannot be resolved or its port is closed", TRUNK_CHECK),
                ("TLS failed: certificate or name", TRUNK_CHECK),
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

/// By what a REFER was answered with.
const fn refer_causes(code: u16) -> &'static [(&'static str, &'static str)] {
    match code {
        405 | 420 | 501 => &[("the other side takes no REFER", "use the method invite")],
        401 | 407 => &[("user name, password or realm are wrong", TRUNK_CHECK)],
        403 | 603 => &[
            (
                "transfers are not switched on for the trunk at the carrier",
                "look for call transfer, SIP REFER and PSTN transfer in its settings",
            ),
            ("the carrier wants another form of Refer-To", "try tel:, and the trunk's own domain"),
            ("the carrier does not transfer to this destination", "ask the carrier for its geographic permissions"),
        ],
        400 | 404 | 416 | 484 => {
            &[("the carrier wants another form of Refer-To", "try tel:, and the trunk's own domain")]
        }
        408 => &[(
            "the REFER did not arrive, or its answer did not",
            "look at the trace, and at Contact and Record-Route of the call",
        )],
        481 => &[("the call was over for the other side", "look for a BYE in the trace")],
        491 => &[("the other side is transferring or re-inviting", "try again in two seconds")],
        _ => &[("the other side refused", "ask whoever runs the hop that answered, with the Call-ID")],
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
