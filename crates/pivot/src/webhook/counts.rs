//! What came of questions and reports to webhooks, counted.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{Answer, Asked};
use crate::call::words::Decision;

/// What a webhook is asked or told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A REFER.
    Refer,
    /// A call that comes in.
    Call,
    /// How a transfer stands.
    Status,
}

/// What came of it, by what about: `failed` is without an answer that can be used.
const KINDS: [(About, &str); 11] = [
    (About::Refer, "dial"),
    (About::Refer, "proceed"),
    (About::Refer, "refuse"),
    (About::Refer, "failed"),
    (About::Call, "dial"),
    (About::Call, "proceed"),
    (About::Call, "refuse"),
    (About::Call, "failed"),
    (About::Status, "delivered"),
    (About::Status, "failed"),
    (About::Status, "dropped"),
];

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; KINDS.len()]);

impl About {
    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refer => "refer",
            Self::Call => "call",
            Self::Status => "status",
        }
    }
}

impl Counts {
    /// Counts one that has come to an end.
    pub(crate) fn count(&self, about: About, outcome: &str) {
        if let Some(at) = KINDS.iter().position(|kind| *kind == (about, outcome)) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a question.
    pub(crate) fn asked(&self, about: About, asked: &Asked) {
        self.count(
            about,
            match &asked.outcome {
                Ok(Answer { decision: Decision::Dial { .. }, .. }) => "dial",
                Ok(Answer { decision: Decision::Proceed, .. }) => "proceed",
                Ok(Answer { decision: Decision::Refuse(_), .. }) => "refuse",
                Ok(Answer { decision: Decision::Failed, .. }) | Err(_) => "failed",
            },
        );
    }

    /// About what, what came of it, and how often; all that there are.
    pub fn read(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        KINDS
            .iter()
            .zip(&self.0)
            .map(|((about, outcome), count)| (about.as_str(), *outcome, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn each_outcome_has_its_own_count() {
        let counts = Counts::default();
        let asked = |outcome| Asked { delivery: "d".into(), tries: 1, took: Duration::ZERO, outcome };
        let proceed = Answer { decision: Decision::Proceed, ignored: Vec::new() };
        counts.asked(About::Call, &asked(Ok(proceed)));
        counts.asked(About::Refer, &asked(Err("down".into())));
        counts.count(About::Status, "dropped");
        counts.count(About::Status, "no such outcome");
        let counted: Vec<_> = counts.read().filter(|(.., count)| *count > 0).collect();
        assert_eq!(counted, [("refer", "failed", 1), ("call", "proceed", 1), ("status", "dropped", 1)]);
    }
}
