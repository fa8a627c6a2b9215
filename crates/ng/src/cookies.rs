//! Replies by cookie: a request that comes again gets the reply of the first one, and is not done twice.
//!
//! A request comes again if cookie and content are the same. Proxies count their cookies from one under a process number,
//! so two of them may well choose the same: with another content it is another request.

use core::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::message::COOKIE_LEN_MAX;

/// How long a reply is remembered, milliseconds. A proxy repeats a request for some seconds.
pub const REMEMBERED_MS: u64 = 30_000;
/// The most replies that are remembered; above it the oldest go early.
pub const REPLIES_MAX: usize = 100_000;
/// The most bytes of all replies and cookies that are remembered; above it the oldest go early. At 20,000 requests a second
/// with an SDP each that is after four seconds, in which a proxy has repeated itself several times.
pub const REPLIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a digest.
const DIGEST_LEN: usize = 8;

/// What is known of a request. `W` is how those who repeat it wait for its reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<W> {
    /// Never seen: the caller does the work and calls [`Cookies::finish`] or [`Cookies::forget`] with this.
    New(Key),
    /// Somebody works on it.
    Running(W),
    /// It was answered with these bytes.
    Done(Arc<[u8]>),
}

/// What tells a request from others: its cookie and a digest of its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// The memory of replies.
#[derive(Debug)]
pub struct Cookies<W> {
    entries: HashMap<Key, Entry<W>>,
    /// When each was answered, the oldest first.
    ages: VecDeque<(u64, Key)>,
    /// Of all replies and keys in `ages`.
    bytes: usize,
    replies_max: usize,
    bytes_max: usize,
    hasher: RandomState,
}

#[derive(Debug)]
enum Entry<W> {
    /// With a waiter as soon as somebody waits.
    Running(Option<W>),
    Done(Arc<[u8]>),
}

impl<W: Clone> Default for Cookies<W> {
    fn default() -> Self {
        Self::new(REPLIES_MAX, REPLIES_BYTES_MAX)
    }
}

impl<W: Clone> Cookies<W> {
    /// With room for so many replies, and so many bytes in them.
    #[must_use]
    pub fn new(replies_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            ages: VecDeque::new(),
            bytes: 0,
            replies_max,
            bytes_max,
            hasher: RandomState::new(),
        }
    }

    /// Looks a request up; one that is new is running from now on. `waiter` is made when the first one has to wait.
    pub fn look_up(&mut self, cookie: &[u8], content: &[u8], now_ms: u64, waiter: impl FnOnce() -> W) -> Seen<W> {
        self.age(now_ms);
        // On the stack, because most look-ups of a repetition need no key of their own.
        let mut key = [0; COOKIE_LEN_MAX + DIGEST_LEN];
        let cookie = &cookie[..cookie.len().min(COOKIE_LEN_MAX)];
        let (in_front, behind) = key.split_at_mut(cookie.len());
        in_front.copy_from_slice(cookie);
        behind[..DIGEST_LEN].copy_from_slice(&self.hasher.hash_one(content).to_ne_bytes());
        let key = &key[..cookie.len() + DIGEST_LEN];
        match self.entries.get_mut(key) {
            Some(Entry::Running(waiting)) => Seen::Running(waiting.get_or_insert_with(waiter).clone()),
            Some(Entry::Done(reply)) => Seen::Done(Arc::clone(reply)),
            None => {
                let key = Key(key.into());
                self.entries.insert(key.clone(), Entry::Running(None));
                Seen::New(key)
            }
        }
    }

    /// Remembers the reply; gives back what those who repeated the request wait for, if there are any.
    pub fn finish(&mut self, key: &Key, reply: Arc<[u8]>, now_ms: u64) -> Option<W> {
        let entry = self.entries.get_mut(key)?;
        let Entry::Running(waiting) = entry else { return None };
        let waiting = waiting.take();
        self.bytes += key.0.len() + reply.len();
        *entry = Entry::Done(reply);
        self.ages.push_back((now_ms, key.clone()));
        waiting
    }

    /// The request came to nothing: the next one like it is new. Gives back what those who repeated it wait for.
    pub fn forget(&mut self, key: &Key) -> Option<W> {
        match self.entries.get(key)? {
            Entry::Done(_) => None,
            Entry::Running(_) => match self.entries.remove(key)? {
                Entry::Running(waiting) => waiting,
                Entry::Done(_) => None,
            },
        }
    }

    fn age(&mut self, now_ms: u64) {
        while let Some((since, _)) = self.ages.front() {
            let is_full = self.ages.len() > self.replies_max || self.bytes > self.bytes_max;
            if now_ms.saturating_sub(*since) < REMEMBERED_MS && !is_full {
                break;
            }
            let Some((_, key)) = self.ages.pop_front() else { break };
            if let Some(Entry::Done(reply)) = self.entries.remove(&key) {
                self.bytes -= key.0.len() + reply.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(seen: Seen<u8>) -> Key {
        let Seen::New(key) = seen else { panic!("it is new: {seen:?}") };
        key
    }

    #[test]
    fn a_repetition_gets_the_first_reply_until_it_is_forgotten() {
        let mut cookies = Cookies::new(10, 1000);
        let key = new(cookies.look_up(b"1", b"x", 0, || 7));
        assert_eq!(cookies.look_up(b"1", b"x", 5, || 8), Seen::Running(8));
        assert_eq!(cookies.look_up(b"1", b"x", 5, || 9), Seen::Running(8), "all wait for the same");
        assert_eq!(cookies.finish(&key, b"reply"[..].into(), 10), Some(8));
        assert_eq!(cookies.look_up(b"1", b"x", REMEMBERED_MS + 9, || 9), Seen::Done(b"reply"[..].into()));
        new(cookies.look_up(b"1", b"x", REMEMBERED_MS + 10, || 9));
    }

    #[test]
    fn the_same_cookie_with_other_content_is_another_request() {
        let mut cookies = Cookies::new(10, 1000);
        let one = new(cookies.look_up(b"1", b"x", 0, || 7));
        let other = new(cookies.look_up(b"1", b"y", 0, || 7));
        assert_ne!(one, other);
        assert_eq!(cookies.finish(&one, b"reply"[..].into(), 10), None, "nobody waits");
        assert_eq!(cookies.look_up(b"1", b"y", 0, || 7), Seen::Running(7));
        assert_eq!(cookies.look_up(b"1", b"x", 0, || 7), Seen::Done(b"reply"[..].into()));
    }

    #[test]
    fn memory_is_bounded_in_replies_and_in_bytes() {
        for mut cookies in [Cookies::new(2, 1000), Cookies::new(100, 2 * (1 + DIGEST_LEN + 5))] {
            let running = new(cookies.look_up(b"running", b"x", 0, || 0));
            for cookie in [b"1", b"2", b"3"] {
                let key = new(cookies.look_up(cookie, b"x", 0, || 0));
                cookies.finish(&key, b"reply"[..].into(), 0);
            }
            assert!(matches!(cookies.look_up(b"3", b"x", 0, || 0), Seen::Done(_)));
            new(cookies.look_up(b"1", b"x", 0, || 0));
            assert_eq!(cookies.ages.len(), 2, "the oldest went");
            assert_eq!(cookies.look_up(b"running", b"x", 0, || 1), Seen::Running(1), "what runs stays");
            assert_eq!(cookies.forget(&running), Some(1));
            cookies.age(REMEMBERED_MS);
            assert_eq!((cookies.bytes, cookies.entries.len()), (0, 1));
        }
    }

    #[test]
    fn what_came_to_nothing_may_be_tried_again() {
        let mut cookies = Cookies::new(2, 1000);
        let key = new(cookies.look_up(b"1", b"x", 0, || 0));
        assert_eq!(cookies.forget(&key), None);
        let key = new(cookies.look_up(b"1", b"x", 0, || 0));
        cookies.finish(&key, b"reply"[..].into(), 0);
        assert_eq!(cookies.forget(&key), None, "an answer is not forgotten");
        assert!(matches!(cookies.look_up(b"1", b"x", 0, || 0), Seen::Done(_)));
    }

    #[test]
    fn a_cookie_that_is_too_long_does_no_harm() {
        let mut cookies = Cookies::new(2, 1000);
        new(cookies.look_up(&[b'x'; 1000], b"x", 0, || 0));
    }
}
