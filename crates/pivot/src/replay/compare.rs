//! What a message of the pivot has to have in common with the recorded one, and how a difference is told.

use core::fmt;

use serde::Serialize;

use super::message::Message;
use super::sdp;

/// The first thing that was not as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The number of the message in the trace, from 1; none: it is not about a recorded one.
    pub message: Option<usize>,
    /// The peer that it was for, by its address in the recording.
    pub peer: Option<String>,
    /// The party of its dialog.
    pub party: Option<String>,
    /// Which part of it.
    pub part: String,
    /// What the recording has.
    pub expected: String,
    /// What came.
    pub got: String,
    /// What to look at.
    pub look_at: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message {
            Some(number) => write!(f, "message {number}")?,
            None => f.write_str("no message of the recording")?,
        }
        if let Some(party) = self.party.as_ref().filter(|party| !party.is_empty()) {
            write!(f, " to {party}")?;
        }
        if let Some(peer) = &self.peer {
            write!(f, " ({peer})")?;
        }
        let Self { part, expected, got, look_at, .. } = self;
        write!(f, ": {part}\n  recorded: {expected}\n  now:      {got}\n  look at:  {look_at}")
    }
}

/// A part of a message that differs.
pub(super) struct Part {
    pub part: &'static str,
    pub expected: String,
    pub got: String,
    pub look_at: &'static str,
}

/// Compares what the pivot has sent with what it sent then. `translate` gives a recorded value the names of now.
pub(super) fn differs(recorded: &Message, now: &Message, translate: impl Fn(&str) -> String) -> Option<Part> {
    let part = |part, expected: String, got: String, look_at| {
        (expected != got).then_some(Part { part, expected, got, look_at })
    };
    let first = |message: &Message, name: &str| message.first(name).unwrap_or("none").to_owned();
    if let (Some(then), Some(is)) = (recorded.status(), now.status()) {
        let text = |(code, phrase): (u16, &str)| format!("{code} {phrase}");
        let look_at = "the rules of the trunk by which it came (docs/pivot.md has the answers), and what the other side answered before";
        if let Some(found) = part("status", text(then), text(is), look_at) {
            return Some(found);
        }
    }
    // Whom the pivot calls is its decision; a host is where that is reached.
    if recorded.method() == "INVITE" && recorded.tag("To").is_none() && recorded.status().is_none() {
        let look_at = "routes, and how a target becomes a request URI (call/refer_to.rs, call/route.rs)";
        if let Some(found) = part("whom it calls", recorded.called().to_owned(), now.called().to_owned(), look_at) {
            return Some(found);
        }
    }
    let (then, is) = (first(recorded, "Subscription-State"), first(now, "Subscription-State"));
    if let Some(found) =
        part("Subscription-State", steady(&then), steady(&is), "how the subscription ends (call/subscription.rs)")
    {
        return Some(found);
    }
    for (name, look_at) in [
        ("Event", "the subscription's id, which is the REFER's CSeq (call/subscription.rs)"),
        ("Reason", "causes (call/causes.rs), and what the other side said"),
        ("Refer-To", "how a REFER is sent on (call/referring.rs)"),
    ] {
        let (then, is) = (translate(&first(recorded, name)), first(now, name));
        if let Some(found) = part(name, then, is, look_at) {
            return Some(found);
        }
    }
    match (recorded.sdp(), now.sdp()) {
        (Some(then), Some(is)) => {
            let outline = |sdp: &str| sdp::outline(sdp).join(", ");
            let look_at = "which formats are offered and answered, and the direction (media/description.rs)";
            part("session description", outline(then), outline(is), look_at)
        }
        (None, None) if recorded.first("Content-Type").is_some_and(|kind| kind.starts_with("message/sipfrag")) => {
            let text = |message: &Message| message.body().trim().to_owned();
            part(
                "sipfrag",
                translate(&text(recorded)),
                text(now),
                "what the target was answered with, and the transfer's record",
            )
        }
        (None, None) => None,
        (then, is) => {
            let has =
                |sdp: Option<&str>| if sdp.is_some() { "with a session description" } else { "without one" }.to_owned();
            part("session description", has(then), has(is), "when media is offered and answered (media/legs.rs)")
        }
    }
}

/// Without what depends on the time.
fn steady(state: &str) -> String {
    let parts = state.split(';').map(str::trim).filter(|part| !part.starts_with("expires="));
    parts.collect::<Vec<_>>().join(";")
}
