//! What is remembered of answers to challenges of ours: each counts once (RFC 7616 3.4.5), and who guesses is stopped.

use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a challenge may be answered, in seconds.
pub(super) const FRESH_S: u64 = 60;

/// Nonces whose counts are remembered: 1,000 answers a second.
const NONCES_MAX: usize = 65_536;

/// The same request may come so much later, in seconds, before it has a transaction by which it is known to come again.
const AGAIN_S: u64 = 2;

/// So many wrong answers of one user at one address are asked again; then it is refused for [`FRESH_S`].
const WRONG_MAX: u8 = 5;

/// Users at addresses whose wrong answers are counted.
const GUESSERS_MAX: usize = 4_096;

/// A nonce as it was issued: when, in seconds since 1970, and what makes it differ from others of that second.
pub(super) type Nonce = (u64, u64);

/// Who answers: an address, and the hash of a user that there is, or 0.
pub(super) type Guesser = (IpAddr, u64);

/// What is remembered. Its size is limited whatever comes.
#[derive(Default)]
pub(super) struct Guard {
    issued: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: BTreeMap<Nonce, Used>,
    /// What was used of nonces of up to then is forgotten, so that they are stale.
    forgotten: u64,
    wrong: BTreeMap<Guesser, Wrong>,
}

struct Used {
    count: u32,
    request: u64,
    at: u64,
}

struct Wrong {
    count: u8,
    since: u64,
}

impl Guard {
    /// A number that no other nonce has.
    pub(super) fn next(&self) -> u64 {
        self.issued.fetch_add(1, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a right answer has come with this count; `false`: it has been used, or is too old to know. `request` names what it came with.
    pub(super) fn uses(&self, nonce: Nonce, count: u32, request: u64, now: u64) -> bool {
        let mut state = self.state();
        while let Some(oldest) = state.used.first_entry() {
            let issued = oldest.key().0;
            if issued + FRESH_S >= now {
                break;
            }
            oldest.remove();
        }
        if nonce.0 <= state.forgotten {
            return false;
        }
        if let Some(used) = state.used.get_mut(&nonce) {
            let is_again = used.count == count && used.request == request && now.saturating_sub(used.at) <= AGAIN_S;
            if !is_again && count <= used.count {
                return false;
            }
            if count > used.count {
                *used = Used { count, request, at: now };
            }
            return true;
        }
        if state.used.len() >= NONCES_MAX
            && let Some(((issued, _), _)) = state.used.pop_first()
        {
            state.forgotten = issued;
            if nonce.0 <= issued {
                return false;
            }
        }
        state.used.insert(nonce, Used { count, request, at: now });
        true
    }

    /// Whether it has guessed too often.
    pub(super) fn is_stopped(&self, who: Guesser, now: u64) -> bool {
        let state = self.state();
        state.wrong.get(&who).is_some_and(|wrong| wrong.count >= WRONG_MAX && now < wrong.since + FRESH_S)
    }

    /// Counts a wrong answer; `true`: it was one too many, and this is the first time that it is.
    pub(super) fn fails(&self, who: Guesser, now: u64) -> bool {
        let mut state = self.state();
        if state.wrong.len() >= GUESSERS_MAX && !state.wrong.contains_key(&who) {
            state.wrong.retain(|_, wrong| now < wrong.since + FRESH_S);
            if state.wrong.len() >= GUESSERS_MAX {
                state.wrong.pop_first();
            }
        }
        let wrong = state.wrong.entry(who).or_insert(Wrong { count: 0, since: now });
        if now >= wrong.since + FRESH_S {
            *wrong = Wrong { count: 0, since: now };
        }
        wrong.count = wrong.count.saturating_add(1);
        if wrong.count == WRONG_MAX {
            wrong.since = now;
        }
        wrong.count == WRONG_MAX
    }

    /// A right answer: what was wrong before is forgotten.
    pub(super) fn succeeds(&self, who: Guesser) {
        self.state().wrong.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(last: u8, user: u64) -> Guesser {
        (IpAddr::from([192, 0, 2, last]), user)
    }

    #[test]
    fn an_answer_counts_once() {
        let guard = Guard::default();
        assert_ne!(guard.next(), guard.next());
        assert!(guard.uses((100, 1), 1, 7, 100));
        assert!(guard.uses((100, 1), 1, 7, 102), "the same request, sent again");
        assert!(!guard.uses((100, 1), 1, 7, 103), "too late for that");
        assert!(!guard.uses((100, 1), 1, 8, 100), "another request");
        assert!(guard.uses((100, 1), 3, 8, 100) && !guard.uses((100, 1), 2, 9, 100), "counts only rise");
        assert!(guard.uses((100, 2), 1, 8, 100), "another nonce");
        assert!(guard.uses((161, 1), 1, 8, 161));
        assert_eq!(guard.state().used.len(), 1, "what is stale needs no place");
    }

    #[test]
    fn what_had_to_be_forgotten_is_stale() {
        let guard = Guard::default();
        for salt in 0..NONCES_MAX as u64 {
            assert!(guard.uses((100 + salt / 4096, salt), 1, 0, 100));
        }
        assert!(guard.uses((120, 0), 1, 0, 120));
        assert_eq!(guard.state().used.len(), NONCES_MAX);
        assert!(!guard.uses((100, 0), 1, 1, 120) && !guard.uses((100, 9), 2, 1, 120));
        assert!(guard.uses((101, 1), 1, 1, 120), "one of the next second is remembered");
    }

    #[test]
    fn who_guesses_is_stopped_for_a_while_and_told_once() {
        let guard = Guard::default();
        let told: Vec<_> = (0..7).map(|_| guard.fails(who(1, 9), 100)).collect();
        assert_eq!(told, [false, false, false, false, true, false, false]);
        assert!(guard.is_stopped(who(1, 9), 159) && !guard.is_stopped(who(1, 9), 160));
        assert!(!guard.is_stopped(who(1, 8), 100) && !guard.is_stopped(who(2, 9), 100));
        assert!(!guard.fails(who(1, 9), 160), "it begins again");
        assert!(!guard.is_stopped(who(1, 9), 160));
        guard.succeeds(who(1, 9));
        assert!((0..4).all(|_| !guard.fails(who(1, 9), 161)), "a right answer wipes the slate");
        for user in 0..GUESSERS_MAX as u64 + 10 {
            guard.fails(who(3, user), 161);
        }
        assert_eq!(guard.state().wrong.len(), GUESSERS_MAX);
    }
}
