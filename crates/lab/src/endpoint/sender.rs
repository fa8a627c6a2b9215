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

    /// Sends until it is stopped.
    pub(super) fn run(&self) {
        let mut packet = Vec::new();
        while let Some(action) = self.next() {
            match action {
                Action::Packet(party, generation) => {
                    if let Some(due_ns) = party.send_next(generation, &mut packet) {
                        self.add(due_ns, Action::Packet(party, generation));
                    }
                }
                Action::Report(party) => {
                    if let Some(due_ns) = party.send_report() {
                        self.add(due_ns, Action::Report(party));
                    }
                }
            }
        }
    }

    /// Waits for the next thing that is due; `None` when stopped.
    fn next(&self) -> Option<Action> {
        let mut agenda = self.lock();
        loop {
            if agenda.stopped {
                return None;
            }
            let wait_ns = agenda.heap.peek().map(|due| due.at_ns().saturating_sub(clock::now_ns()));
            agenda = match wait_ns {
                Some(0) => return agenda.heap.pop().map(|due| due.what),
                Some(wait_ns) => {
                    let wait = Duration::from_nanos(wait_ns);
                    self.changed.wait_timeout(agenda, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(agenda).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn add(&self, at_ns: u64, action: Action) {
        let mut agenda = self.lock();
        let order = agenda.added;
        agenda.added += 1;
        agenda.heap.push(Due::at(at_ns, order, action));
        drop(agenda);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
