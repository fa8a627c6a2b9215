//! Answers by the id that a client chose, so that a repeated request does nothing and gets the first answer again.
//!
//! A request with a known id and the same content gets the first answer, or waits for it. The same id with other content
//! is refused. Refusals for want of room are not kept: trying again may help. The oldest answers are forgotten first.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::error::{ApiError, ErrorCode};

/// Answers of type `T` by id.
#[derive(Debug)]
pub(crate) struct Answers<T> {
    /// Oldest first. A list, because it is short and exists for every call.
    entries: Vec<(Arc<str>, u64, Entry<T>)>,
    capacity: usize,
}

#[derive(Debug)]
enum Entry<T> {
    Running(watch::Receiver<Option<T>>),
    Done(T),
}

/// What an id stands for.
#[derive(Debug)]
pub(crate) enum Lookup<T> {
    /// Nothing so far: do it, then [`Answers::finish`].
    New(watch::Sender<Option<T>>),
    /// It is being done.
    Running(watch::Receiver<Option<T>>),
    /// It was done.
    Done(T),
}

impl<T: Clone> Answers<T> {
    /// Remembers `capacity` answers.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity }
    }

    /// What `id` stands for; if nothing, it stands for `content` from now on.
    ///
    /// # Errors
    /// `id-reused`: it stands for other content.
    pub(crate) fn look_up(&mut self, id: &str, content: &[u8]) -> Result<Lookup<T>, ApiError> {
        let digest = digest(content);
        if let Some((_, known, entry)) = self.entries.iter().find(|(name, ..)| **name == *id) {
            if *known != digest {
                return Err(ApiError::new(
                    ErrorCode::IdReused,
                    format!("id {id:?} was used for a request with other content; choose a new id for a new request"),
                ));
            }
            return Ok(match entry {
                Entry::Running(answer) => Lookup::Running(answer.clone()),
                Entry::Done(answer) => Lookup::Done(answer.clone()),
            });
        }
        let (sender, receiver) = watch::channel(None);
        self.make_room();
        // There is one such list for each call: no more room than needed.
        self.entries.reserve_exact(1);
        self.entries.push((id.into(), digest, Entry::Running(receiver)));
        Ok(Lookup::New(sender))
    }

    /// The id as it is kept here, to be shared.
    pub(crate) fn name_of(&self, id: &str) -> Arc<str> {
        let known = self.entries.iter().find(|(name, ..)| **name == *id);
        known.map_or_else(|| id.into(), |(name, ..)| Arc::clone(name))
    }

    /// Keeps the answer of `id`; `None`: forgets it, so that it can be tried again.
    pub(crate) fn finish(&mut self, id: &str, answer: Option<T>) {
        let Some(at) = self.entries.iter().position(|(name, ..)| **name == *id) else { return };
        match answer {
            Some(answer) => self.entries[at].2 = Entry::Done(answer),
            None => {
                self.entries.remove(at);
            }
        }
    }

    /// Forgets the oldest answers; what is still being done is never forgotten.
    fn make_room(&mut self) {
        while self.entries.len() >= self.capacity {
            let Some(oldest) = self.entries.iter().position(|(.., entry)| matches!(entry, Entry::Done(_))) else {
                return;
            };
            self.entries.remove(oldest);
        }
    }
}

/// Waits for an answer that somebody else works on. `None`: it was given up.
pub(crate) async fn wait<T: Clone>(mut answer: watch::Receiver<Option<T>>) -> Option<T> {
    answer.wait_for(Option::is_some).await.ok()?.clone()
}

/// 64 bits under a key of this process: two contents meet by chance once in 10^19 times, and nobody can aim at it.
fn digest(content: &[u8]) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_gets_the_first_answer_and_other_content_is_refused() {
        let mut answers = Answers::new(2);
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::New(_))));
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::Running(_))));
        answers.finish("1", Some(7));
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::Done(7))));
        assert_eq!(answers.look_up("1", b"y").expect_err("other content").code, ErrorCode::IdReused);
    }

    #[test]
    fn memory_is_bounded_and_running_requests_stay() {
        let mut answers = Answers::new(2);
        let _running = answers.look_up("running", b"");
        for id in ["1", "2", "3"] {
            assert!(matches!(answers.look_up(id, b""), Ok(Lookup::New(_))));
            answers.finish(id, Some(0));
        }
        assert_eq!(answers.entries.len(), 2);
        assert!(matches!(answers.look_up("running", b""), Ok(Lookup::Running(_))));
        assert!(matches!(answers.look_up("1", b""), Ok(Lookup::New(_))), "the oldest is forgotten");
    }

    #[test]
    fn what_was_given_up_may_be_tried_again() {
        let mut answers = Answers::<u8>::new(2);
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::New(_))));
        answers.finish("1", None);
        assert!(matches!(answers.look_up("1", b"y"), Ok(Lookup::New(_))));
    }

    #[tokio::test]
    async fn a_duplicate_waits_for_the_first() {
        let mut answers = Answers::new(2);
        let Ok(Lookup::New(sender)) = answers.look_up("1", b"x") else { panic!("it is new") };
        let Ok(Lookup::Running(receiver)) = answers.look_up("1", b"x") else { panic!("it is running") };
        let waiting = tokio::spawn(wait(receiver));
        assert!(sender.send(Some(7)).is_ok());
        assert_eq!(waiting.await.expect("it does not panic"), Some(7));
    }
}
