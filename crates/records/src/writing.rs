//! The thread that brings records from the disk into the database, and comes back to it when it cannot be had.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::counts::Counts;
use crate::database::{Database, Problem, Target};
use crate::line::Item;
use crate::shared::Shared;

/// So many records at most are one transaction.
const BATCH: usize = 256;

/// How long is waited before the database is tried again: twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often old records are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

pub(crate) struct Writing {
    shared: Arc<Shared>,
    target: Target,
    retention: Option<Duration>,
    database: Option<Box<dyn Database>>,
    /// That it cannot be had has been said.
    is_down: bool,
    /// Since then.
    pause: Duration,
    /// Records that were written since it was back.
    caught_up: u64,
    swept: Option<Instant>,
}

impl Writing {
    pub(crate) fn new(shared: Arc<Shared>, target: Target, retention: Option<Duration>) -> Self {
        let pause = FIRST_PAUSE;
        Self { shared, target, retention, database: None, is_down: false, pause, caught_up: 0, swept: None }
    }

    pub(crate) fn run(mut self) {
        // A database that cannot be had is to be known before there are records.
        let mut due = self.open().is_none().then(|| Instant::now() + self.pause);
        loop {
            let is_closed = {
                let mut state = self.shared.state();
                loop {
                    let has_work = !state.queue.is_empty() || !state.spill.is_empty();
                    if state.is_given_up || state.is_closed && (!has_work || due.is_some()) {
                        break;
                    }
                    let now = Instant::now();
                    let longest = match due {
                        Some(due) if due <= now => break,
                        Some(due) => due - now,
                        None if has_work || self.is_sweep_due() => break,
                        None => SWEEP,
                    };
                    state = self.shared.wait(state, longest);
                }
                if state.is_given_up || state.is_closed && state.queue.is_empty() && state.spill.is_empty() {
                    break;
                }
                state.is_closed
            };
            due = match self.turn() {
                Ok(()) => None,
                // Whoever stops does not wait for it to come back.
                Err(_) if is_closed => break,
                Err(problem) => {
                    self.say_down(&problem);
                    let pause = self.pause;
                    self.pause = (pause * 2).min(LONGEST_PAUSE);
                    Some(Instant::now() + pause)
                }
            };
        }
        self.leave();
    }

    /// What is in memory alone goes to the disk, or into the log.
    fn leave(self) {
        self.shared.enqueue(Vec::new());
        let lost: Vec<_> = self.shared.state().spill.drain(..).collect();
        self.shared.lose(&lost);
    }

    fn is_sweep_due(&self) -> bool {
        self.retention.is_some() && self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP)
    }

    /// Opens the database if it is not open.
    fn open(&mut self) -> Option<&mut Box<dyn Database>> {
        if self.database.is_none() {
            match self.target.open() {
                Ok(database) => self.database = Some(database),
                Err(problem) => {
                    self.say_down(&problem);
                    return None;
                }
            }
            // An idle one is up when it could be opened.
            if self.shared.state().queue.is_empty() {
                self.say_up();
            }
        }
        self.database.as_mut()
    }

    /// Brings in everything that waits.
    fn turn(&mut self) -> Result<(), Problem> {
        let mut database = match self.database.take() {
            Some(database) => database,
            None => self.target.open()?,
        };
        self.catch_up(database.as_mut())?;
        self.say_up();
        if self.is_sweep_due()
            && let Some(retention) = self.retention
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let before = now.saturating_sub(retention).as_millis();
            // More of them are there: it goes on with the next turn.
            if database.sweep(u64::try_from(before).unwrap_or(u64::MAX))? == 0 {
                self.swept = Some(Instant::now());
            }
        }
        self.database = Some(database);
        Ok(())
    }

    fn catch_up(&mut self, database: &mut dyn Database) -> Result<(), Problem> {
        loop {
            let front = {
                let mut state = self.shared.state();
                if state.is_given_up {
                    return Ok(());
                }
                let front = state.queue.front(BATCH);
                match front {
                    Ok(front) => front,
                    Err(error) => {
                        let aside = state.queue.set_front_aside().unwrap_or_default();
                        tracing::error!(%error, file = %aside.display(), "a file of the queue cannot be read, and is put aside");
                        continue;
                    }
                }
            };
            self.write(database, &front.items)?;
            self.shared.change(|state| {
                let before = state.queue.damaged();
                state.queue.done(&front);
                let damaged = state.queue.damaged() - before;
                if damaged > 0 {
                    Counts::add(&self.shared.counts.set_aside, usize::try_from(damaged).unwrap_or(usize::MAX));
                    tracing::warn!(
                        lines = damaged,
                        "lines of the queue were damaged, as by a crash in the middle of one"
                    );
                }
            });
            let spilt: Vec<_> = self.shared.state().spill.iter().take(BATCH).cloned().collect();
            if !spilt.is_empty() {
                self.write(database, &spilt)?;
                let is_written = |item: &Item| spilt.iter().any(|written| written.revision == item.revision);
                self.shared.change(|state| state.spill.retain(|item| !is_written(item)));
            }
            let state = self.shared.state();
            if state.queue.is_empty() && state.spill.is_empty() {
                return Ok(());
            }
        }
    }

    /// Writes records, one by one if one of them cannot be.
    fn write(&mut self, database: &mut dyn Database, items: &[Item]) -> Result<(), Problem> {
        if items.is_empty() {
            return Ok(());
        }
        match database.write(items) {
            Ok(()) => {}
            Err(problem) if problem.is_of_a_record => {
                for item in items {
                    match database.write(core::slice::from_ref(item)) {
                        Err(problem) if problem.is_of_a_record => self.shared.set_aside(item, &problem.text),
                        done => done?,
                    }
                }
            }
            Err(problem) => return Err(problem),
        }
        self.caught_up += items.len() as u64;
        Counts::add(&self.shared.counts.written, items.len());
        Ok(())
    }

    fn say_down(&mut self, problem: &Problem) {
        self.shared.counts.is_up.store(false, Ordering::Relaxed);
        if !core::mem::replace(&mut self.is_down, true) {
            let (database, why) = (self.target.to_string(), &problem.text);
            tracing::warn!(
                database,
                why,
                "the database of records cannot be had: records wait on disk until it is back"
            );
            self.caught_up = 0;
        }
    }

    fn say_up(&mut self) {
        self.shared.counts.is_up.store(true, Ordering::Relaxed);
        self.pause = FIRST_PAUSE;
        if core::mem::replace(&mut self.is_down, false) {
            tracing::info!(database = %self.target, records = self.caught_up, "the database of records is back, and has those that waited");
        }
    }
}
