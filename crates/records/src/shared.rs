//! What the threads share.

use core::time::Duration;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::counts::Counts;
use crate::line::{self, Item};
use crate::queue::Queue;

/// Records in memory for which there is no room on disk, while the database may take them.
const SPILL_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Something has changed.
    changed: Condvar,
    pub(crate) counts: Counts,
    pub(crate) folder: PathBuf,
    /// Keeps other processes away.
    lock: File,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) queue: Queue,
    /// What the queue could not take.
    pub(crate) spill: VecDeque<Item>,
    /// That has been said.
    pub(crate) is_full: bool,
    /// No more records come.
    pub(crate) is_closed: bool,
    /// The database need not be waited for any more.
    pub(crate) is_given_up: bool,
}

impl Shared {
    pub(crate) fn new(queue: Queue, folder: PathBuf, lock: File) -> Self {
        let state = State { queue, spill: VecDeque::new(), is_full: false, is_closed: false, is_given_up: false };
        let counts = Counts::default();
        counts.waits(state.queue.len(), state.queue.octets());
        Self { state: Mutex::new(state), changed: Condvar::new(), counts, folder, lock }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and wakes whoever waits for it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = {
            let mut state = self.state();
            let done = change(&mut state);
            // Whoever asks for these must not wait for the disk.
            self.counts.waits(state.queue.len() + state.spill.len() as u64, state.queue.octets());
            done
        };
        self.changed.notify_all();
        done
    }

    /// Waits until something has changed, no longer than this.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Puts records into the queue, together with what it could not take before.
    pub(crate) fn enqueue(&self, items: Vec<Item>) {
        let lost = self.change(|state| {
            let mut all: Vec<_> = state.spill.drain(..).collect();
            all.extend(items);
            let (kept, why) = state.queue.append(all);
            match why {
                Some(why) if !state.is_full => {
                    state.is_full = true;
                    tracing::error!(%why, folder = %self.folder.display(),
                        "records cannot be queued on disk: make room, mend the database, or raise `records.queue_mib`");
                }
                None if state.is_full => {
                    state.is_full = false;
                    tracing::info!("records are queued on disk again");
                }
                _ => {}
            }
            state.spill = kept.into();
            let over = state.spill.len().saturating_sub(SPILL_MAX);
            state.spill.drain(..over).collect::<Vec<_>>()
        });
        self.lose(&lost);
    }

    /// What cannot be kept is in the log, whole.
    pub(crate) fn lose(&self, lost: &[Item]) {
        Counts::add(&self.counts.lost, lost.len());
        for item in lost {
            let record = serde_json::to_string(&item.record).unwrap_or_default();
            tracing::error!(record, "a record could not be kept");
        }
    }

    /// Writes a record that the database will not have where somebody can look at it.
    pub(crate) fn set_aside(&self, item: &Item, why: &str) {
        Counts::add(&self.counts.set_aside, 1);
        let path = self.folder.join("refused.records");
        let written = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
            file.write_all(&line::write(item).unwrap_or_default())?;
            file.sync_data()
        });
        let (_, id) = item.record.key();
        match written {
            Ok(()) => {
                tracing::error!(id, why, file = %path.display(), "the database refuses a record, which is put aside");
            }
            Err(_) => self.lose(core::slice::from_ref(item)),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Closing it does not do: a process that is just being started has the file too, until it executes its program (flock(2)).
        let _ = self.lock.unlock();
    }
}
