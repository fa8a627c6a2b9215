//! Replies by cookie: a request that comes again gets the reply of the first one, and is not done twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How long a reply is remembered at least, milliseconds. A proxy repeats a request for some seconds.
pub const REMEMBERED_MS: u64 = 30_000;
/// The most replies that are remembered; above it the oldest go early. At 20,000 requests a second that is after five
/// seconds, as long as proxies repeat themselves.
pub const REPLIES_MAX: usize = 100_000;

/// What is known of a cookie. `W` is how those who repeat a request wait for its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<W> {
    /// Never seen: the caller does the work and calls [`Cookies::finish`] or [`Cookies::forget`].
    New,
    /// Somebody works on it.
    Running(W),
    /// It was answered with these bytes.
    Done(Arc<[u8]>),
}

/// The memory of replies.
#[derive(Debug)]
pub struct Cookies<W> {
    entries: HashMap<Arc<[u8]>, Entry<W>>,
    /// When each was answered, the oldest first.
    ages: VecDeque<(u64, Arc<[u8]>)>,
    replies_max: usize,
}

#[derive(Debug)]
enum Entry<W> {
    Running(W),
    Done(Arc<[u8]>),
}

impl<W> Default for Cookies<W> {
    fn default() -> Self {
        Self::new(REPLIES_MAX)
    }
}

impl<W> Cookies<W> {
    /// With room for so many replies.
    #[must_use]
    pub fn new(replies_max: usize) -> Self {
        Self { entries: HashMap::new(), ages: VecDeque::new(), replies_max }
    }

    /// Looks a cookie up; one that is new is running from now on. `waiter` is made only then.
    pub fn look_up(&mut self, cookie: &[u8], now_ms: u64, waiter: impl FnOnce() -> W) -> Seen<W>
    where
        W: Clone,
    {
        self.age(now_ms);
        match self.entries.get(cookie) {
            Some(Entry::Running(waiter)) => Seen::Running(waiter.clone()),
            Some(Entry::Done(reply)) => Seen::Done(Arc::clone(reply)),
            None => {
                self.entries.insert(cookie.into(), Entry::Running(waiter()));
                Seen::New
            }
        }
    }

    /// Remembers the reply; gives back what those who repeated the request wait for.
    pub fn finish(&mut self, cookie: &[u8], reply: Arc<[u8]>, now_ms: u64) -> Option<W> {
        let (cookie, running) = self.entries.remove_entry(cookie)?;
        self.ages.push_back((now_ms, Arc::clone(&cookie)));
        self.entries.insert(cookie, Entry::Done(reply));
        match running {
            Entry::Running(waiter) => Some(waiter),
            Entry::Done(_) => None,
        }
    }

    /// The request came to nothing: the next one with this cookie is new.
    pub fn forget(&mut self, cookie: &[u8]) {
        self.entries.remove(cookie);
    }

    fn age(&mut self, now_ms: u64) {
        while let Some((since, _)) = self.ages.front() {
            if now_ms.saturating_sub(*since) < REMEMBERED_MS && self.ages.len() <= self.replies_max {
                break;
            }
            if let Some((_, cookie)) = self.ages.pop_front() {
                self.entries.remove(&cookie);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_gets_the_first_reply_until_it_is_forgotten() {
        let mut cookies = Cookies::new(10);
        assert_eq!(cookies.look_up(b"1", 0, || 7), Seen::New);
        assert_eq!(cookies.look_up(b"1", 5, || 8), Seen::Running(7));
        assert_eq!(cookies.finish(b"1", b"reply"[..].into(), 10), Some(7));
        assert_eq!(cookies.look_up(b"1", REMEMBERED_MS + 9, || 9), Seen::Done(b"reply"[..].into()));
        assert_eq!(cookies.look_up(b"1", REMEMBERED_MS + 10, || 9), Seen::New);
    }

    #[test]
    fn memory_is_bounded() {
        let mut cookies = Cookies::new(2);
        for cookie in [b"1", b"2", b"3"] {
            assert_eq!(cookies.look_up(cookie, 0, || ()), Seen::New);
            cookies.finish(cookie, b"reply"[..].into(), 0);
        }
        assert_eq!(cookies.look_up(b"1", 0, || ()), Seen::New, "the oldest went");
        assert!(matches!(cookies.look_up(b"3", 0, || ()), Seen::Done(_)));
    }

    #[test]
    fn what_came_to_nothing_may_be_tried_again() {
        let mut cookies = Cookies::new(2);
        assert_eq!(cookies.look_up(b"1", 0, || ()), Seen::New);
        cookies.forget(b"1");
        assert_eq!(cookies.look_up(b"1", 0, || ()), Seen::New);
    }
}
