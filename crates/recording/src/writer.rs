//! The thread that makes recordings, as others see it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::recover::{Recovered, recover};
use crate::report::Report;
use crate::spec::{RecordingId, Spec, TrackSpec};
use crate::thread::{Message, Order, Thread};

/// Keeps two processes from recording to one directory: one would take the other's recordings for left over.
const LOCK: &str = ".patchcord.lock";

/// How recordings are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where they lie. Created if it is not there.
    pub directory: PathBuf,
    /// How far behind the present files are written. Half of it packets wait for those before them.
    pub delay: Duration,
    /// Packets that may lie in the queue; more are dropped.
    pub queue_packets: usize,
    /// Bytes of samples after which a WAV file is followed by a second one: below 4 GiB, which is as much as its header can tell.
    pub wav_bytes_max: u64,
    /// Who makes them, for the files that say so: `patchcord 0.1.0`.
    pub producer: String,
}

impl Settings {
    /// Recordings below `directory`: a second behind, 8192 packets of queue, parts of 4 GB.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, producer: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            delay: Duration::from_secs(1),
            queue_packets: 8192,
            wav_bytes_max: 4_000_000_000,
            producer: producer.into(),
        }
    }
}

/// Why there is no writer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory cannot be had.
    #[error("recordings cannot be written to {}: {error}", directory.display())]
    Directory {
        /// Which one.
        directory: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process records there.
    #[error("another process records to {}: give each a directory of its own", directory.display())]
    InUse {
        /// Which one.
        directory: PathBuf,
    },
    /// There is no thread.
    #[error("no thread for recordings: {0}")]
    Thread(io::Error),
}

/// Makes recordings, on a thread of its own. Nobody waits for it: orders lie in a queue, and packets for which there is no room in it are
/// dropped and counted. Its end finishes all recordings.
#[derive(Debug)]
pub struct Writer {
    messages: Sender<Message>,
    queue: Arc<Queue>,
    queue_packets: usize,
    recovered: Vec<Recovered>,
    thread: Option<JoinHandle<()>>,
    /// Held as long as anything is written.
    lock: File,
}

/// What both sides know of the queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Packets in it.
    pub(crate) packets: AtomicUsize,
    /// Packets of each recording for which there was no room. Locked where one is dropped, and for a moment by the thread.
    pub(crate) dropped: Mutex<BTreeMap<RecordingId, u64>>,
}

impl Writer {
    /// Marks recordings that a process before left unfinished ([`recover`]), and starts the thread. `clock` gives the present time in
    /// nanoseconds of the clock that packets are stamped with; `report` is called on the thread.
    ///
    /// # Errors
    /// The directory cannot be created or written to, another process records to it, or there is no thread.
    pub fn start(
        settings: Settings,
        clock: impl Fn() -> u64 + Send + 'static,
        report: impl FnMut(Report) + Send + 'static,
    ) -> Result<Self, StartError> {
        let directory = &settings.directory;
        let failed = |error| StartError::Directory { directory: directory.clone(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let path = directory.join(LOCK);
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::InUse { directory: directory.clone() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let recovered = recover(directory).map_err(failed)?;
        let (messages, inbox) = channel();
        let queue = Arc::new(Queue::default());
        let queue_packets = settings.queue_packets;
        let thread = Thread::new(settings, Arc::clone(&queue), Box::new(clock), Box::new(report));
        let thread = thread::Builder::new().name("patchcord-record".to_owned()).spawn(move || thread.run(&inbox));
        let thread = Some(thread.map_err(StartError::Thread)?);
        Ok(Self { messages, queue, queue_packets, recovered, thread, lock })
    }

    /// Recordings that a process before left unfinished.
    #[must_use]
    pub fn recovered(&self) -> &[Recovered] {
        &self.recovered
    }

    /// Begins a recording. [`Report::Started`] or [`Report::Failed`] says what came of it.
    pub fn begin(&self, id: RecordingId, spec: Spec) {
        self.tell(id, Order::Begin(Box::new(spec)));
    }

    /// A party joins at `at_ns`, or its formats have changed. If a track of its number was another party's, that one has left.
    pub fn track(&self, id: RecordingId, at_ns: u64, track: TrackSpec) {
        self.tell(id, Order::Track(at_ns, track));
    }

    /// The party of a track has sent a packet of RTP that came at `at_ns`. Dropped and counted if the queue is full.
    pub fn packet(&self, id: RecordingId, track: u16, at_ns: u64, rtp: Box<[u8]>) {
        if self.queue.packets.fetch_add(1, Ordering::Relaxed) >= self.queue_packets {
            self.queue.packets.fetch_sub(1, Ordering::Relaxed);
            *self.queue.dropped.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
            return;
        }
        self.tell(id, Order::Packet { track, at_ns, rtp });
    }

    /// The party of a track leaves at `at_ns`.
    pub fn end_track(&self, id: RecordingId, at_ns: u64, track: u16) {
        self.tell(id, Order::EndTrack(at_ns, track));
    }

    /// Nothing is recorded from `at_ns` on. The files go on without a gap when the recording is resumed; the metadata say where.
    pub fn pause(&self, id: RecordingId, at_ns: u64) {
        self.tell(id, Order::Pause(at_ns));
    }

    /// Goes on at `at_ns`.
    pub fn resume(&self, id: RecordingId, at_ns: u64) {
        self.tell(id, Order::Resume(at_ns));
    }

    /// Has the metadata say that something has happened at `at_ns`.
    pub fn mark(&self, id: RecordingId, at_ns: u64, text: String) {
        self.tell(id, Order::Mark(at_ns, text));
    }

    /// Ends a recording at `at_ns`. [`Report::Finished`] or [`Report::Failed`] says what there is.
    pub fn stop(&self, id: RecordingId, at_ns: u64) {
        self.tell(id, Order::Stop(at_ns));
    }

    /// Ends a recording at `at_ns` and deletes its files, of which only the metadata stay. [`Report::Discarded`] says that they are gone,
    /// [`Report::Failed`] that one could not be deleted.
    pub fn discard(&self, id: RecordingId, at_ns: u64) {
        self.tell(id, Order::Discard(at_ns));
    }

    fn tell(&self, id: RecordingId, order: Order) {
        // The thread ends with the writer, not before.
        drop(self.messages.send(Message::Order(id, order)));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.messages.send(Message::End));
        // A report may let go of what holds the writer: then the thread cannot be waited for, and ends by itself.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            drop(thread.join());
        }
        // Closing it does not do: a process that is just being started has the file too, until it executes its program (flock(2)).
        let _ = self.lock.unlock();
    }
}
