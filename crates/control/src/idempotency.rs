//! Answers by the id that a client chose, so that a repeated request does nothing and gets the first answer again.
//!
//! A request with a known id and the same content gets the first answer, or waits for it. The same id with other content
//! is refused. Refusals for want of room are not kept: trying again may help. The oldest answers are forgotten first.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::error::{ApiError, ErrorCode};

/// Answers of type `T` by id.
#[derive(Debug)]
pub(crate) struct Answers<T> {
    /// Oldest first.
    kept: VecDeque<Kept<T>>,
    /// None for a short list, which is looked through: there is one for every call.
    index: Option<Box<Index>>,
    capacity: usize,
}

/// Where to find what is kept: it is numbered as it comes.
#[derive(Debug, Default)]
struct Index {
    by_id: HashMap<Arc<str>, u64>,
    /// The number of the oldest.
    first: u64,
}

#[derive(Debug)]
struct Kept<T> {
    id: Arc<str>,
    content: u64,
    entry: Entry<T>,
}

#[derive(Debug)]
enum Entry<T> {
    Running(watch::Receiver<Option<T>>),
    Done(T),
    /// It was given up, or made room, behind one that is still running.
    Gone,
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
    /// Remembers `capacity` answers, a few.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { kept: VecDeque::new(), index: None, capacity }
    }

    /// Remembers `capacity` answers, so many that they are better not looked through.
    pub(crate) fn indexed(capacity: usize) -> Self {
        Self { index: Some(Box::default()), ..Self::new(capacity) }
    }

    /// What `id` stands for; if nothing, it stands for `content` from now on.
    ///
    /// # Errors
    /// `id-reused`: it stands for other content.
    pub(crate) fn look_up(&mut self, id: &str, content: &[u8]) -> Result<Lookup<T>, ApiError> {
        let content = digest(content);
        if let Some(known) = self.place_of(id).and_then(|at| self.kept.get(at)) {
            if known.content != content {
                return Err(ApiError::new(
                    ErrorCode::IdReused,
                    format!("id {id:?} was used for a request with other content; choose a new id for a new request"),
                ));
            }
            match &known.entry {
                Entry::Running(answer) => return Ok(Lookup::Running(answer.clone())),
                Entry::Done(answer) => return Ok(Lookup::Done(answer.clone())),
                Entry::Gone => {}
            }
        }
        let (sender, receiver) = watch::channel(None);
        self.make_room();
        let id: Arc<str> = id.into();
        match &mut self.index {
            Some(index) => drop(index.by_id.insert(Arc::clone(&id), index.first + self.kept.len() as u64)),
            // No more room than needed.
            None => self.kept.reserve_exact(1),
        }
        self.kept.push_back(Kept { id, content, entry: Entry::Running(receiver) });
        Ok(Lookup::New(sender))
    }

    /// The id as it is kept here, to be shared.
    pub(crate) fn name_of(&self, id: &str) -> Arc<str> {
        let known = self.place_of(id).and_then(|at| self.kept.get(at));
        known.map_or_else(|| id.into(), |known| Arc::clone(&known.id))
    }

    /// Keeps the answer of `id`; `None`: forgets it, so that it can be tried again.
    pub(crate) fn finish(&mut self, id: &str, answer: Option<T>) {
        let Some(at) = self.place_of(id) else { return };
        match answer {
            Some(answer) => self.kept[at].entry = Entry::Done(answer),
            None => self.forget(at),
        }
    }

    fn place_of(&self, id: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.by_id.get(id).and_then(|number| usize::try_from(number - index.first).ok()),
            None => self.kept.iter().position(|kept| *kept.id == *id),
        }
    }

    fn len(&self) -> usize {
        self.index.as_ref().map_or(self.kept.len(), |index| index.by_id.len())
    }

    /// Forgets the oldest answers; what is still being done is never forgotten.
    fn make_room(&mut self) {
        while self.len() >= self.capacity {
            let Some(oldest) = self.kept.iter().position(|kept| matches!(kept.entry, Entry::Done(_))) else { return };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, at: usize) {
        let Some(index) = &mut self.index else { return drop(self.kept.remove(at)) };
        // Those behind it keep their numbers.
        index.by_id.remove(&self.kept[at].id);
        self.kept[at].entry = Entry::Gone;
        while self.kept.front().is_some_and(|kept| matches!(kept.entry, Entry::Gone)) {
            self.kept.pop_front();
            index.first += 1;
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
        [Answers::new(2), Answers::indexed(2)].into_iter().for_each(repeat);
    }

    fn repeat(mut answers: Answers<u8>) {
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::New(_))));
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::Running(_))));
        answers.finish("1", Some(7));
        assert!(matches!(answers.look_up("1", b"x"), Ok(Lookup::Done(7))));
        assert_eq!(answers.look_up("1", b"y").expect_err("other content").code, ErrorCode::IdReused);
    }

    #[test]
    fn memory_is_bounded_and_running_requests_stay() {
        [Answers::new(2), Answers::indexed(2)].into_iter().for_each(bounded);
    }

    fn bounded(mut answers: Answers<u8>) {
        let _running = answers.look_up("running", b"");
        for id in ["1", "2", "3"] {
            assert!(matches!(answers.look_up(id, b""), Ok(Lookup::New(_))));
            answers.finish(id, Some(0));
        }
        assert_eq!(answers.len(), 2);
        assert!(matches!(answers.look_up("running", b""), Ok(Lookup::Running(_))));
        assert!(matches!(answers.look_up("1", b""), Ok(Lookup::New(_))), "the oldest is forgotten");
    }

    #[test]
    fn what_is_done_behind_a_running_one_is_found_and_nothing_is_left_when_that_is_over() {
        let mut answers = Answers::<u8>::indexed(8);
        for id in ["running", "1", "2", "3"] {
            assert!(matches!(answers.look_up(id, b""), Ok(Lookup::New(_))));
        }
        answers.finish("1", None);
        answers.finish("3", Some(3));
        assert!(matches!(answers.look_up("3", b""), Ok(Lookup::Done(3))));
        assert!(matches!(answers.look_up("2", b""), Ok(Lookup::Running(_))));
        answers.finish("running", None);
        answers.finish("2", None);
        assert_eq!((answers.kept.len(), answers.len()), (1, 1), "what was given up takes no room");
        assert!(matches!(answers.look_up("3", b""), Ok(Lookup::Done(3))));
        assert_eq!(&*answers.name_of("3"), "3");
    }

    #[test]
    fn what_was_given_up_may_be_tried_again() {
        [Answers::new(2), Answers::indexed(2)].into_iter().for_each(given_up);
    }

    fn given_up(mut answers: Answers<u8>) {
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
