//! The thread that makes recordings.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};

use crate::recording::Recording;
use crate::report::{Counts, Report, Summary};
use crate::spec::{RecordingId, Spec, TrackSpec};
use crate::writer::{Queue, Settings};

/// How often files are looked after, if nothing comes, and at most.
const TICK: Duration = Duration::from_millis(100);

/// Why a recording ends after a panic.
const FAULT: &str = "the relay has a fault, which the log shows; please report it";

/// What the thread is told.
pub(crate) enum Message {
    /// Something about a recording.
    Order(RecordingId, Order),
    /// Finish everything, and end.
    End,
}

/// What is to be done with a recording. Times are nanoseconds.
pub(crate) enum Order {
    Begin(Box<Spec>),
    Track(u64, TrackSpec),
    Packet { track: u16, at_ns: u64, rtp: Box<[u8]> },
    EndTrack(u64, u16),
    Pause(u64),
    Resume(u64),
    Mark(u64, String),
    Stop(u64),
    Discard(u64),
}

impl Order {
    fn at_ns(&self) -> u64 {
        match self {
            Self::Begin(spec) => spec.at_ns,
            Self::Packet { at_ns, .. }
            | Self::Track(at_ns, _)
            | Self::EndTrack(at_ns, _)
            | Self::Pause(at_ns)
            | Self::Resume(at_ns)
            | Self::Mark(at_ns, _)
            | Self::Stop(at_ns)
            | Self::Discard(at_ns) => *at_ns,
        }
    }
}

/// See the module.
pub(crate) struct Thread {
    settings: Settings,
    queue: Arc<Queue>,
    clock: Box<dyn Fn() -> u64 + Send>,
    report: Box<dyn FnMut(Report) + Send>,
    recordings: BTreeMap<RecordingId, Recording>,
    /// The latest time that orders spoke of, and that at which files were last looked after.
    seen_ns: u64,
    tended_ns: u64,
}

impl Thread {
    pub(crate) fn new(
        settings: Settings,
        queue: Arc<Queue>,
        clock: Box<dyn Fn() -> u64 + Send>,
        report: Box<dyn FnMut(Report) + Send>,
    ) -> Self {
        Self { settings, queue, clock, report, recordings: BTreeMap::new(), seen_ns: 0, tended_ns: 0 }
    }

    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            // Read before the queue is looked at: if that is empty, nothing older is to come.
            let now_ns = (self.clock)();
            match inbox.recv_timeout(TICK) {
                Ok(Message::Order(id, order)) => {
                    self.seen_ns = self.seen_ns.max(order.at_ns());
                    self.guarded(id, order);
                }
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return self.finish(now_ns),
                Err(RecvTimeoutError::Timeout) => self.seen_ns = self.seen_ns.max(now_ns),
            }
            // While orders keep coming, they tell the time: what waits behind them is not late.
            if self.seen_ns.saturating_sub(self.tended_ns) >= TICK.as_nanos() as u64 {
                self.tended_ns = self.seen_ns;
                self.tend();
            }
        }
    }

    /// Does what an order says. Nothing that goes wrong with one recording is another one's business.
    fn guarded(&mut self, id: RecordingId, order: Order) {
        if matches!(order, Order::Packet { .. }) {
            self.queue.packets.fetch_sub(1, Ordering::Relaxed);
        }
        self.guard(id, |thread| thread.follow(id, order));
    }

    /// Does something about a recording, which ends if that cannot be done, or panics.
    fn guard(&mut self, id: RecordingId, act: impl FnOnce(&mut Self) -> io::Result<()>) {
        let done = panic::catch_unwind(AssertUnwindSafe(|| act(self)));
        self.judge(id, done.unwrap_or_else(|_| Err(io::Error::other(FAULT))));
    }

    fn follow(&mut self, id: RecordingId, order: Order) -> io::Result<()> {
        if let Order::Begin(spec) = order {
            return self.begin(id, *spec);
        }
        let Some(recording) = self.recordings.get_mut(&id) else { return Ok(()) };
        match order {
            Order::Begin(_) => {}
            Order::Track(at_ns, track) => recording.track(at_ns, &track)?,
            Order::Packet { track, at_ns, rtp } => recording.packet(track, at_ns, rtp)?,
            Order::EndTrack(at_ns, track) => recording.end_track(at_ns, track)?,
            Order::Pause(at_ns) => recording.pause(at_ns),
            Order::Resume(at_ns) => recording.resume(at_ns),
            Order::Mark(at_ns, text) => recording.mark(at_ns, &text),
            Order::Stop(at_ns) => self.stop(id, at_ns)?,
            Order::Discard(at_ns) => self.discard(id, at_ns)?,
        }
        Ok(())
    }

    fn begin(&mut self, id: RecordingId, spec: Spec) -> io::Result<()> {
        if self.recordings.contains_key(&id) {
            return Ok(());
        }
        match Recording::begin(id, spec, &self.settings) {
            Ok(recording) => {
                let metadata = recording.metadata_path();
                self.recordings.insert(id, recording);
                (self.report)(Report::Started { id, metadata });
            }
            Err(error) => {
                let counts = Counts::default();
                let summary = Summary { id, metadata: None, files: Vec::new(), duration_ms: 0, counts };
                (self.report)(Report::Failed { summary, reason: error.to_string() });
            }
        }
        Ok(())
    }

    fn stop(&mut self, id: RecordingId, at_ns: u64) -> io::Result<()> {
        let dropped = self.take_dropped(id);
        let Some(recording) = self.recordings.get_mut(&id) else { return Ok(()) };
        recording.dropped(dropped);
        recording.finish(at_ns)?;
        let summary = recording.summary();
        self.recordings.remove(&id);
        (self.report)(Report::Finished(summary));
        Ok(())
    }

    fn discard(&mut self, id: RecordingId, at_ns: u64) -> io::Result<()> {
        let dropped = self.take_dropped(id);
        let Some(recording) = self.recordings.get_mut(&id) else { return Ok(()) };
        recording.dropped(dropped);
        recording.discard(at_ns)?;
        let summary = recording.summary();
        self.recordings.remove(&id);
        (self.report)(Report::Discarded(summary));
        Ok(())
    }

    /// A recording for which something could not be done ends.
    fn judge(&mut self, id: RecordingId, done: io::Result<()>) {
        let Err(error) = done else { return };
        let Some(mut recording) = self.recordings.remove(&id) else { return };
        let reason = error.to_string();
        recording.fail(&reason);
        (self.report)(Report::Failed { summary: recording.summary(), reason });
    }

    fn take_dropped(&self, id: RecordingId) -> u64 {
        self.queue.dropped.lock().unwrap_or_else(PoisonError::into_inner).remove(&id).unwrap_or(0)
    }

    /// Writes what is old enough.
    fn tend(&mut self) {
        let dropped = core::mem::take(&mut *self.queue.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        let ids: Vec<RecordingId> = self.recordings.keys().copied().collect();
        for id in ids {
            let Some(recording) = self.recordings.get_mut(&id) else { continue };
            if let Some(&packets) = dropped.get(&id) {
                recording.dropped(packets);
            }
            self.guard(id, |thread| {
                let seen_ns = thread.seen_ns;
                thread.recordings.get_mut(&id).map_or(Ok(()), |recording| recording.advance(seen_ns))
            });
        }
    }

    fn finish(&mut self, now_ns: u64) {
        let at_ns = self.seen_ns.max(now_ns);
        let ids: Vec<RecordingId> = self.recordings.keys().copied().collect();
        for id in ids {
            self.guard(id, |thread| thread.stop(id, at_ns));
        }
    }
}
