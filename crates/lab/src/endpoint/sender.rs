//! The sending thread: a heap of what is due at which time.

use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::due::Due;
use super::party::Party;
use super::player::Playback;
use crate::clock;
use crate::stream::RtpStream;

/// What all endpoints have to send, and when.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    agenda: Mutex<Agenda>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Agenda {
    heap: BinaryHeap<Due<Action>>,
    added: u64,
    stopped: bool,
}

#[derive(Debug)]
enum Action {
    /// The next packet of what the party plays, if that is still of this generation.
    Packet(Arc<Party>, u64),
    Report(Arc<Party>),
}

impl Schedule {
    pub(super) fn play(&self, party: &Arc<Party>, stream: Arc<RtpStream>, playback: Playback) {
        if let Some((due_ns, generation)) = party.play(stream, playback) {
            self.add(due_ns, Action::Packet(Arc::clone(party), generation));
        }
    }

    pub(super) fn resume(&self, party: &Arc<Party>) {
        if let Some((due_ns, generation)) = party.resume() {
            self.add(due_ns, Action::Packet(Arc::clone(party), generation));
        }
    }

    pub(super) fn report_from_now_on(&self, party: &Arc<Party>) {
        self.add(clock::now_ns(), Action::Report(Arc::clone(party)));
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Sends until it is stopped. What is due at one time is taken from the heap at once: with hundreds of parties most packets
    /// are, and each would cost a lock.
    pub(super) fn run(&self) {
        let mut packet = Vec::new();
        let mut due = Vec::new();
        let mut again = Vec::new();
        while self.take_due(&mut due, &mut again) {
            for action in due.drain(..) {
                let next_ns = match &action {
                    Action::Packet(party, generation) => party.send_next(*generation, &mut packet),
                    Action::Report(party) => party.send_report(),
                };
                again.extend(next_ns.map(|next_ns| (next_ns, action)));
            }
        }
    }

    /// Puts back what is to be done again, waits, and takes what is due; `false` when stopped.
    fn take_due(&self, due: &mut Vec<Action>, again: &mut Vec<(u64, Action)>) -> bool {
        let mut agenda = self.lock();
        for (at_ns, action) in again.drain(..) {
            agenda.add(at_ns, action);
        }
        loop {
            if agenda.stopped {
                return false;
            }
            let now_ns = clock::now_ns();
            while agenda.heap.peek().is_some_and(|next| next.at_ns() <= now_ns) {
                due.extend(agenda.heap.pop().map(|next| next.what));
            }
            if !due.is_empty() {
                return true;
            }
            let wait = agenda.heap.peek().map(|next| Duration::from_nanos(next.at_ns() - now_ns));
            agenda = match wait {
                Some(wait) => self.changed.wait_timeout(agenda, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(agenda).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn add(&self, at_ns: u64, action: Action) {
        self.lock().add(at_ns, action);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agenda {
    fn add(&mut self, at_ns: u64, action: Action) {
        self.heap.push(Due::at(at_ns, self.added, action));
        self.added += 1;
    }
}
