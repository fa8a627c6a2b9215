//! Whether more comes than can be answered. What is begun is finished then, and calls that would begin are refused: otherwise answers come so
//! late that all of them fail.

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::time::Instant;

/// Messages that a socket takes before those that they wake have their turn.
pub(super) const TURN: usize = 32;

/// A socket with something left to read after so many turns in a row is behind. A machine that stood still for a moment has caught up by then.
const TURNS_MIN: u32 = 16;

/// How far behind one socket is.
#[derive(Debug)]
pub(super) struct Backlog {
    /// So long is too long; none: nothing is refused.
    limit: Option<Duration>,
    /// Since when there has always been something to read.
    since: Option<Instant>,
    turns: u32,
    is_told: bool,
}

impl Backlog {
    pub(super) const fn new(limit: Option<Duration>) -> Self {
        Self { limit, since: None, turns: 0, is_told: false }
    }

    /// A turn is over, and something is left to read. How long that has been so, if that is too long and nobody knows it yet.
    pub(super) fn goes_on(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        self.turns = self.turns.saturating_add(1);
        let is_news = self.is_too_long(now) && !core::mem::replace(&mut self.is_told, true);
        is_news.then(|| now.saturating_duration_since(since))
    }

    /// Nothing is left to read. How long that took, if it had been too long.
    pub(super) fn is_gone(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since.take();
        self.turns = 0;
        core::mem::take(&mut self.is_told).then(|| since.map(|since| now.saturating_duration_since(since))).flatten()
    }

    /// Whether calls that would begin are to be refused.
    pub(super) const fn refuses(&self) -> bool {
        self.is_told
    }

    fn is_too_long(&self, now: Instant) -> bool {
        let since = self.limit.zip(self.since);
        let is_too_long = since.is_some_and(|(limit, since)| now.saturating_duration_since(since) > limit);
        is_too_long && self.turns >= TURNS_MIN
    }
}

/// Lets everybody who waits for it have a turn. tokio's `yield_now` lets those have one that are woken by time and sockets, and few others.
pub(super) async fn next_turn() {
    let mut has_waited = false;
    poll_fn(|context| {
        if core::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_begins_is_refused_while_a_socket_is_behind() {
        let mut backlog = Backlog::new(Some(ms(250)));
        let began = Instant::now();
        for turn in 0..TURNS_MIN {
            assert_eq!(backlog.goes_on(began + ms(turn.into())), None, "after {turn} turns");
        }
        assert_eq!((backlog.goes_on(began + ms(250)), backlog.refuses()), (None, false));
        assert_eq!((backlog.goes_on(began + ms(251)), backlog.refuses()), (Some(ms(251)), true));
        assert_eq!(backlog.goes_on(began + ms(300)), None, "it is told once");
        assert_eq!((backlog.is_gone(began + ms(400)), backlog.refuses()), (Some(ms(400)), false));
        assert_eq!(backlog.is_gone(began + ms(401)), None);
    }

    #[test]
    fn a_machine_that_stood_still_is_not_behind() {
        let mut backlog = Backlog::new(Some(ms(250)));
        let began = Instant::now();
        assert_eq!(backlog.goes_on(began), None);
        assert_eq!((backlog.goes_on(began + ms(5_000)), backlog.refuses()), (None, false));
        assert_eq!(backlog.is_gone(began + ms(5_001)), None);
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let mut backlog = Backlog::new(None);
        let began = Instant::now();
        assert!((0..100).all(|turn| backlog.goes_on(began + ms(turn * 1_000)).is_none()) && !backlog.refuses());
    }

    #[tokio::test]
    async fn those_who_wait_go_first() {
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let other = std::sync::Arc::clone(&order);
        tokio::spawn(async move { other.lock().expect("no panic").push("other") });
        next_turn().await;
        order.lock().expect("no panic").push("we");
        assert_eq!(*order.lock().expect("no panic"), ["other", "we"]);
    }
}
