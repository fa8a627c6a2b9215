//! Waiting for what has no event of its own.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen. Nothing depends on its length but how late a failure is told: it is long
/// enough for a machine that does many other things.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `look` finds what `what` names, and gives it.
///
/// # Panics
/// If [`PATIENCE`] is over before.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Looks again and again until it finds something, or [`PATIENCE`] is over.
pub(crate) fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        thread::sleep(LOOK);
    }
}
