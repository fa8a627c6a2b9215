//! A thread beside the worker that has the codecs: it transcodes and mixes what the worker's legs cannot hear as it is.
//!
//! It starts with the first such leg, works when nobody else wants its CPU, and holds up nobody: packets go there and back by rings of a
//! fixed size, and whoever finds one full drops the packet and counts it. Transcoders are driven by the packets, the mixer by a tick.

mod desk;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arrayvec::ArrayVec;
use crossbeam::channel::{self, Receiver, Sender};
use crossbeam::queue::ArrayQueue;
use patchcord_media::Noticed;
use patchcord_relay::HandOut;
use patchcord_relay::detection::Detection;
use patchcord_relay::event::Event;
use patchcord_relay::ids::{LegId, MadeId};
use patchcord_relay::mixing::Mixing;
use patchcord_relay::overhearing::Overhearing;
use patchcord_relay::time::MonoTime;
use patchcord_relay::transcoding::Transcoding;
use patchcord_rtp::{RTP_HEADER_LEN, RtpHeader};

use super::Replies;
use crate::affinity;
use crate::clock::Clock;
use crate::counters::{Counters, Io};
use crate::wake::Wake;

pub(crate) use desk::can_transcode;
use desk::{Desk, detection_of};

/// Packets that can wait on their way, there and back: a second and a half of 300 calls.
const QUEUED_MAX: usize = 512;
/// The longest packet: what fits Ethernet.
const PACKET_LEN_MAX: usize = 1500;

type Bytes = ArrayVec<u8, PACKET_LEN_MAX>;
/// What was made, and for whom.
type Made = (MadeId, Bytes);

/// Whose packet it is.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// A transcoding's.
    Source(MadeId),
    /// An overheard party's, and when it arrived.
    Party(LegId, MonoTime),
}

/// The worker's end.
pub(super) struct MediaThread {
    worker: usize,
    /// Where the thread may run.
    cpus: Vec<usize>,
    wake: Arc<Wake>,
    thread: Option<Thread>,
}

/// Ends with whoever has it.
struct Thread {
    shared: Arc<Shared>,
    news: Sender<News>,
    join: Option<JoinHandle<()>>,
    /// It has something to do that it has not been told of.
    untold: bool,
    /// As far as [`Shared::lost`] has been counted.
    lost: u64,
}

struct Shared {
    given: ArrayQueue<(Whose, Bytes)>,
    made: ArrayQueue<Made>,
    detected: ArrayQueue<(LegId, Detection)>,
    /// Packets for which `made` had no room, and what was heard for which `detected` had none.
    lost: AtomicU64,
    ended: AtomicBool,
}

enum News {
    Transcode(Transcoding),
    Mix(Mixing),
    Overhear(Overhearing),
    End(MadeId),
}

impl MediaThread {
    pub(super) const fn new(worker: usize, cpus: Vec<usize>, wake: Arc<Wake>) -> Self {
        Self { worker, cpus, wake, thread: None }
    }

    /// Takes what the engine hands out. What is recorded goes on to the control plane.
    pub(super) fn take<'a>(
        &mut self,
        handed_out: impl Iterator<Item = HandOut<'a>>,
        replies: &mut Replies,
        counters: &mut Counters,
    ) {
        for one in handed_out {
            match one {
                HandOut::Transcode(transcoding) => self.tell(News::Transcode(transcoding), counters),
                HandOut::Mix(mixing) => self.tell(News::Mix(mixing), counters),
                HandOut::Overhear(overhearing) if needs_codecs(&overhearing) || self.thread.is_some() => {
                    self.tell(News::Overhear(overhearing), counters);
                }
                HandOut::Overhear(_) => {}
                HandOut::End(id) => self.tell(News::End(id), counters),
                HandOut::Packet { id, bytes } => self.give(Whose::Source(id), bytes, counters),
                HandOut::Heard(heard) => {
                    if heard.by.recorder {
                        replies.overheard(&heard, counters);
                    }
                    if heard.by.mixer || heard.by.detector.is_some() {
                        self.give(Whose::Party(heard.leg, heard.at), heard.bytes, counters);
                    }
                }
            }
        }
        if let Some(thread) = self.thread.as_mut().filter(|thread| thread.untold) {
            thread.untold = false;
            thread.wake();
        }
    }

    fn tell(&mut self, news: News, counters: &mut Counters) {
        // Not with each packet, should it not start.
        if self.thread.is_none() {
            self.start();
        }
        let Some(thread) = &mut self.thread else { return counters.count(Io::MediaLost) };
        // It listens until it is told to end.
        let _ = thread.news.send(news);
        thread.untold = true;
    }

    fn give(&mut self, whose: Whose, bytes: &[u8], counters: &mut Counters) {
        let Some(thread) = &mut self.thread else { return counters.count(Io::MediaLost) };
        let taken = match ArrayVec::try_from(bytes) {
            Ok(bytes) => thread.shared.given.push((whose, bytes)).is_ok(),
            Err(_) => false,
        };
        // What is mixed waits for the next tick anyway.
        thread.untold |= taken && matches!(whose, Whose::Source(_));
        counters.add(Io::MediaLost, u64::from(!taken));
    }

    fn start(&mut self) {
        match Thread::start(self.worker, self.cpus.clone(), Arc::clone(&self.wake)) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let advice = "cannot start the thread that transcodes and mixes: raise the limit of processes";
                tracing::error!(worker = self.worker, %error, "{advice}");
            }
        }
    }

    /// Whether nothing that was made or heard waits.
    pub(super) fn is_idle(&self) -> bool {
        self.thread.as_ref().is_none_or(|thread| thread.shared.made.is_empty() && thread.shared.detected.is_empty())
    }

    /// What was heard of parties.
    pub(super) fn detected(&self) -> impl Iterator<Item = Event> + use<'_> {
        let shared = self.thread.as_ref().map(|thread| &*thread.shared);
        core::iter::from_fn(move || shared?.detected.pop()).map(|(leg, detection)| Event::Detected { leg, detection })
    }

    /// What was made, a batch at most.
    pub(super) fn made(&mut self, counters: &mut Counters) -> impl Iterator<Item = Made> + use<'_> {
        const AT_ONCE: usize = 64;
        if let Some(thread) = &mut self.thread {
            let lost = thread.shared.lost.load(Ordering::Relaxed);
            counters.add(Io::MediaLost, lost - thread.lost);
            thread.lost = lost;
        }
        let shared = self.thread.as_ref().map(|thread| &*thread.shared);
        (0..AT_ONCE).map_while(move |_| shared?.made.pop())
    }
}

/// Whether it takes codecs to hear what is overheard.
const fn needs_codecs(overhearing: &Overhearing) -> bool {
    overhearing.by.mixer || overhearing.by.detector.is_some()
}

impl Thread {
    fn start(worker: usize, cpus: Vec<usize>, wake: Arc<Wake>) -> std::io::Result<Self> {
        let (news, told) = channel::unbounded();
        let shared = Arc::new(Shared {
            given: ArrayQueue::new(QUEUED_MAX),
            made: ArrayQueue::new(QUEUED_MAX),
            detected: ArrayQueue::new(QUEUED_MAX),
            lost: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let work = move || {
            // The thread has its worker's place and urgency until then.
            if let Err(error) = affinity::give_way(&cpus) {
                tracing::warn!(worker, %error, "transcoding and mixing may hold up the worker");
            }
            own.work(&told, &wake);
        };
        let join = thread::Builder::new().name(format!("media-{worker}")).spawn(work)?;
        Ok(Self { shared, news, join: Some(join), untold: false, lost: 0 })
    }

    fn wake(&self) {
        if let Some(join) = &self.join {
            join.thread().unpark();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.wake();
        if let Some(join) = self.join.take() {
            // If it panicked, its message is on standard error.
            let _ = join.join();
        }
    }
}

impl Shared {
    fn work(&self, news: &Receiver<News>, worker: &Wake) {
        let mut desk = Desk::new();
        while !self.ended.load(Ordering::Acquire) {
            // What a packet belongs to has been told before it was queued.
            let packet = self.given.pop();
            news.try_iter().for_each(|news| desk.note(news, Clock.now()));
            let is_idle = packet.is_none();
            if let Some((whose, bytes)) = packet {
                let put = &mut |id, header: &_, payload: &_| self.put(id, header, payload, worker);
                desk.take(whose, &bytes, put, &mut |leg, noticed| self.tell(leg, noticed, worker));
            }
            let now = Clock.now();
            let put = &mut |id, header: &_, payload: &_| self.put(id, header, payload, worker);
            desk.tick(now, put, &mut |leg, noticed| self.tell(leg, noticed, worker));
            // Whoever queues something from here on has the next park return at once.
            match desk.tick_at {
                _ if !is_idle => {}
                None => thread::park(),
                Some(at) => thread::park_timeout(Duration::from_nanos(at.nanos_since(now))),
            }
        }
    }

    fn tell(&self, leg: LegId, noticed: Noticed, worker: &Wake) {
        let Some(detection) = detection_of(noticed) else { return };
        match self.detected.push((leg, detection)) {
            Ok(()) => worker.wake(),
            Err(_) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn put(&self, id: MadeId, header: &RtpHeader, payload: &[u8], worker: &Wake) {
        let mut packet = ArrayVec::from([0; PACKET_LEN_MAX]);
        if RTP_HEADER_LEN + payload.len() > PACKET_LEN_MAX {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let header_len = header.build(&mut packet);
        packet[header_len..header_len + payload.len()].copy_from_slice(payload);
        packet.truncate(header_len + payload.len());
        match self.made.push((id, packet)) {
            // Each time: the worker may have taken the one before and fallen asleep since. It is a system call only if it has.
            Ok(()) => worker.wake(),
            Err(_) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }
}
