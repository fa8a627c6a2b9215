//! The records of a process, as others see them.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use thiserror::Error;

use crate::counts::Standing;
use crate::database::{Problem, Target};
use crate::hand;
use crate::line::Item;
use crate::question::Question;
use crate::queue::Queue;
use crate::reading::{self, Tell};
use crate::record::Record;
use crate::shared::Shared;
use crate::writing::Writing;

/// Records that wait for the thread that puts them on disk.
const HANDED_MAX: usize = 8192;

/// Questions that wait.
const QUESTIONS_MAX: usize = 64;

/// How often a stopping one looks whether it is done.
const LOOK: Duration = Duration::from_millis(2);

/// How records are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the queue is, and the `SQLite` file; of this process alone.
    pub directory: PathBuf,
    /// Where they go.
    pub target: Target,
    /// Octets of the queue at most.
    pub queue_octets: u64,
    /// How long they are kept; none: for ever.
    pub retention: Option<Duration>,
}

/// Why records cannot be kept.
#[derive(Debug, Error)]
pub enum StartError {
    /// The directory cannot be used.
    #[error("cannot keep records in {}: {reason}; give a directory that this user may write to with `records.directory`", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Somebody else uses it.
    #[error("cannot keep records in {}: another process does; give each its own `records.directory`", directory.display())]
    InUse {
        /// Which.
        directory: PathBuf,
    },
}

/// What a question gets.
pub type Answer = Result<Vec<Value>, Problem>;

/// Keeps records. Dropping it leaves what waits in the queue, for the next process.
pub struct Records {
    shared: Arc<Shared>,
    revision: AtomicU64,
    hand: Mutex<Option<SyncSender<Item>>>,
    questions: Mutex<Option<SyncSender<(Question, Tell)>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

impl Records {
    /// Begins to keep records. A database that cannot be had is no error: records wait for it.
    ///
    /// # Errors
    /// The directory cannot be written to, or is another process's.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let directory = settings.directory;
        let bad = |reason| StartError::Directory { directory: directory.clone(), reason };
        fs::create_dir_all(&directory).map_err(bad)?;
        let lock = File::create(directory.join("lock")).map_err(bad)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse { directory }),
            Err(TryLockError::Error(reason)) => return Err(bad(reason)),
        }
        let queue = Queue::open(&directory.join("queue"), settings.queue_octets).map_err(bad)?;
        if !queue.is_empty() {
            tracing::info!(records = queue.len(), "records of a former process wait for the database");
        }
        let shared = Arc::new(Shared::new(queue, directory.clone(), lock));
        let (hand, handed) = mpsc::sync_channel(HANDED_MAX);
        let (questions, asked) = mpsc::sync_channel(QUESTIONS_MAX);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(body).map_err(bad)
        };
        let taker = Arc::clone(&shared);
        let writing = Writing::new(Arc::clone(&shared), settings.target.clone(), settings.retention);
        let target = settings.target;
        let threads = vec![
            spawn("records-queue", Box::new(move || hand::run(&taker, &handed)))?,
            spawn("records-write", Box::new(move || writing.run()))?,
            spawn("records-read", Box::new(move || reading::run(&target, &asked)))?,
        ];
        // Greater than those of a former process, should one have used the same ids.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Ok(Self {
            shared,
            revision: AtomicU64::new(u64::try_from(now).unwrap_or(0)),
            hand: Mutex::new(Some(hand)),
            questions: Mutex::new(Some(questions)),
            threads: Mutex::new(threads),
        })
    }

    /// Keeps a record, in the place of the former one with its id. Never waits: if more records come than the disk takes, they are in the
    /// log alone, and counted as lost.
    pub fn keep(&self, record: Record) {
        let item = Item { revision: self.revision.fetch_add(1, Ordering::Relaxed), record };
        let hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match hand.as_ref() {
            Some(hand) => hand.try_send(item),
            None => Err(TrySendError::Disconnected(item)),
        };
        drop(hand);
        if let Err(TrySendError::Full(item) | TrySendError::Disconnected(item)) = sent {
            self.shared.lose(&[item]);
        }
    }

    /// Asks the database; `tell` is called with the answer, by another thread or at once.
    pub fn ask(&self, question: Question, tell: impl FnOnce(Answer) + Send + 'static) {
        let busy = || Problem::of_the_database("too many questions wait for it");
        let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match questions.as_ref() {
            Some(questions) => questions.try_send((question, Box::new(tell))),
            None => Err(TrySendError::Disconnected((question, Box::new(tell) as Tell))),
        };
        drop(questions);
        if let Err(TrySendError::Full((_, tell)) | TrySendError::Disconnected((_, tell))) = sent {
            tell(Err(busy()));
        }
    }

    /// How they stand.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let counts = &self.shared.counts;
        Standing {
            is_database_up: counts.is_up.load(Ordering::Relaxed),
            written: counts.written.load(Ordering::Relaxed),
            waiting: counts.waiting.load(Ordering::Relaxed),
            waiting_octets: counts.waiting_octets.load(Ordering::Relaxed),
            lost: counts.lost.load(Ordering::Relaxed),
            set_aside: counts.set_aside.load(Ordering::Relaxed),
        }
    }

    /// Takes no more records, and gives the database so long to have those that there are; what it has not then is in the queue. Blocks.
    pub fn stop(&self, patience: Duration) {
        drop(self.hand.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.questions.lock().unwrap_or_else(PoisonError::into_inner).take());
        let threads = core::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let until = Instant::now() + patience;
        while threads.iter().any(|thread| !thread.is_finished()) {
            if Instant::now() >= until {
                // Whoever hangs in the database is left to the end of the process.
                return self.shared.change(|state| state.is_given_up = true);
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_given_up = true);
        self.stop(Duration::from_secs(1));
    }
}
