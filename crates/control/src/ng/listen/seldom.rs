//! Warnings that whoever can reach a socket can cause as often as he likes, written now and then.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How often such a warning is written at most.
const PERIOD: Duration = Duration::from_secs(10);

/// Says when a warning may be written, and how many have not been.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Whether a warning may be written now. If so: how many have been kept back since the last one.
    pub(super) fn now(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < PERIOD) {
            state.unsaid += 1;
            return None;
        }
        state.said = Some(now);
        Some(core::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_the_others_are_counted() {
        let seldom = Seldom::default();
        let start = Instant::now();
        assert_eq!(seldom.now(start), Some(0));
        assert_eq!(seldom.now(start + PERIOD / 2), None);
        assert_eq!(seldom.now(start + PERIOD / 2), None);
        assert_eq!(seldom.now(start + PERIOD), Some(2));
        assert_eq!(seldom.now(start + PERIOD), None);
    }
}
