//! A thread beside the worker that transcodes what the worker's legs cannot hear as it is.
//!
//! It starts with the first such leg, works when nobody else wants its CPU, and holds up nobody: packets go there and back by rings of a
//! fixed size, and whoever finds one full drops the packet and counts it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arrayvec::ArrayVec;
use crossbeam::channel::{self, Receiver, Sender};
use crossbeam::queue::ArrayQueue;
use patchcord_media::{Format, Transcoder};
use patchcord_relay::ids::TranscodingId;
use patchcord_relay::media::Codec;
use patchcord_relay::transcoding::{Transcode, Transcoding};
use patchcord_rtp::RTP_HEADER_LEN;

use crate::affinity;
use crate::counters::{Counters, Io};
use crate::wake::Wake;

/// Packets that can wait on their way, there and back: a second and a half of 300 calls.
const QUEUED_MAX: usize = 512;
/// The longest packet: what fits Ethernet.
const PACKET_LEN_MAX: usize = 1500;

type Packet = (TranscodingId, ArrayVec<u8, PACKET_LEN_MAX>);

/// The worker's end.
pub(super) struct Transcoders {
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
    /// Packets were put into the ring that the thread has not been told of.
    untold: bool,
    /// As far as [`Shared::lost`] has been counted.
    lost: u64,
}

struct Shared {
    to_transcode: ArrayQueue<Packet>,
    transcoded: ArrayQueue<Packet>,
    /// Packets for which `transcoded` had no room.
    lost: AtomicU64,
    ended: AtomicBool,
}

enum News {
    Begin(Transcoding),
    End(TranscodingId),
}

impl Transcoders {
    pub(super) const fn new(worker: usize, cpus: Vec<usize>, wake: Arc<Wake>) -> Self {
        Self { worker, cpus, wake, thread: None }
    }

    /// Takes what the engine hands out.
    pub(super) fn take<'a>(&mut self, handed_out: impl Iterator<Item = Transcode<'a>>, counters: &mut Counters) {
        for one in handed_out {
            // Not with each packet, should it not start.
            if self.thread.is_none() && matches!(one, Transcode::Begin(_)) {
                self.start();
            }
            let Some(thread) = &mut self.thread else {
                counters.count(Io::TranscodingLost);
                continue;
            };
            match one {
                Transcode::Begin(transcoding) => thread.tell(News::Begin(transcoding)),
                Transcode::End(id) => thread.tell(News::End(id)),
                Transcode::Packet { id, bytes } => {
                    let taken = match ArrayVec::try_from(bytes) {
                        Ok(bytes) => thread.shared.to_transcode.push((id, bytes)).is_ok(),
                        Err(_) => false,
                    };
                    thread.untold |= taken;
                    counters.add(Io::TranscodingLost, u64::from(!taken));
                }
            }
        }
        if let Some(thread) = self.thread.as_mut().filter(|thread| thread.untold) {
            thread.untold = false;
            thread.wake();
        }
    }

    fn start(&mut self) {
        match Thread::start(self.worker, self.cpus.clone(), Arc::clone(&self.wake)) {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => {
                let advice = "cannot start the thread that transcodes: raise the limit of processes";
                tracing::error!(worker = self.worker, %error, "{advice}");
            }
        }
    }

    /// Whether nothing that was transcoded waits.
    pub(super) fn is_idle(&self) -> bool {
        self.thread.as_ref().is_none_or(|thread| thread.shared.transcoded.is_empty())
    }

    /// What was transcoded, a batch at most.
    pub(super) fn transcoded(&mut self, counters: &mut Counters) -> impl Iterator<Item = Packet> + use<'_> {
        const AT_ONCE: usize = 64;
        if let Some(thread) = &mut self.thread {
            let lost = thread.shared.lost.load(Ordering::Relaxed);
            counters.add(Io::TranscodingLost, lost - thread.lost);
            thread.lost = lost;
        }
        let shared = self.thread.as_ref().map(|thread| &*thread.shared);
        (0..AT_ONCE).map_while(move |_| shared?.transcoded.pop())
    }
}

impl Thread {
    fn start(worker: usize, cpus: Vec<usize>, wake: Arc<Wake>) -> std::io::Result<Self> {
        let (news, told) = channel::unbounded();
        let shared = Arc::new(Shared {
            to_transcode: ArrayQueue::new(QUEUED_MAX),
            transcoded: ArrayQueue::new(QUEUED_MAX),
            lost: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let work = move || {
            // The thread has its worker's place and urgency until then.
            if let Err(error) = affinity::give_way(&cpus) {
                tracing::warn!(worker, %error, "transcoding may hold up the worker");
            }
            own.work(&told, &wake);
        };
        let join = thread::Builder::new().name(format!("transcoder-{worker}")).spawn(work)?;
        Ok(Self { shared, news, join: Some(join), untold: false, lost: 0 })
    }

    fn tell(&mut self, news: News) {
        // It listens until it is told to end.
        let _ = self.news.send(news);
        self.untold = true;
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
        let mut transcoders = BTreeMap::new();
        while !self.ended.load(Ordering::Acquire) {
            // What a packet belongs to has been told before it was queued.
            let packet = self.to_transcode.pop();
            news.try_iter().for_each(|news| note(&mut transcoders, news));
            match packet {
                Some((id, bytes)) => {
                    if let Some(transcoder) = transcoders.get_mut(&id) {
                        self.transcode(transcoder, id, &bytes, worker);
                    }
                }
                // Whoever queues something afterwards has the next park return at once.
                None => thread::park(),
            }
        }
    }

    fn transcode(&self, transcoder: &mut Transcoder, id: TranscodingId, bytes: &[u8], worker: &Wake) {
        transcoder.push(bytes, &mut |header, payload| {
            let mut packet = ArrayVec::from([0; PACKET_LEN_MAX]);
            if RTP_HEADER_LEN + payload.len() > PACKET_LEN_MAX {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let header_len = header.build(&mut packet);
            packet[header_len..header_len + payload.len()].copy_from_slice(payload);
            packet.truncate(header_len + payload.len());
            match self.transcoded.push((id, packet)) {
                // Each time: the worker may have taken the one before and fallen asleep since. It is a system call only if it has.
                Ok(()) => worker.wake(),
                Err(_) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            }
        });
    }
}

fn note(transcoders: &mut BTreeMap<TranscodingId, Transcoder>, news: News) {
    match news {
        News::Begin(Transcoding { id, from, to, seed }) => {
            let [from, to] = [from, to].map(|codecs| codecs.iter().map(format_of).collect::<Vec<_>>());
            match Transcoder::new(&from, &to, seed) {
                Ok(transcoder) => drop(transcoders.insert(id, transcoder)),
                Err(error) => tracing::error!(%error, "a party is not heard"),
            }
        }
        News::End(id) => drop(transcoders.remove(&id)),
    }
}

fn format_of(codec: &Codec) -> Format {
    Format::of(codec.payload_type, &codec.encoding, codec.clock_rate, codec.channels, codec.fmtp.as_deref())
}

/// Whether it can be done.
pub(crate) fn can_transcode(codec: &Codec) -> bool {
    patchcord_media::is_transcodable(&codec.encoding, codec.clock_rate, codec.channels)
}
