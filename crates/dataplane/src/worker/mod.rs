//! A worker's loop: requests, datagrams, time, rest.

mod media;
mod replies;
mod requests;
mod taps;

use core::ops::ControlFlow;
use core::time::Duration;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use patchcord_relay::exchange::Request;
use patchcord_relay::time::MonoTime;
use patchcord_relay::{Outputs, Shard, Transmit, Verdict};
use patchcord_rtp::NtpTime;

use crate::backend::{Backend, Batch, Sender};
use crate::clock::{Arrival, Clock};
use crate::config::Wait;
use crate::counters::Io;
use crate::overload::Overload;
use crate::socket::SocketOptions;
use crate::wait::{Pace, Rest};
use crate::wake::Wake;

use media::MediaThread;
pub(crate) use media::can_transcode;
pub(crate) use replies::{Replies, Told};
use taps::Taps;

/// How often the clocks are compared and failed receives retried. Less than what makes an overload, so that a jump of the
/// wall clock is noticed before it could be taken for one.
const HOUSEKEEPING: Duration = Duration::from_millis(50);
/// How often the engine is told the wall-clock time.
const WALLCLOCK: Duration = Duration::from_secs(60);

/// What a worker is given at its start.
pub(crate) struct Assignment {
    /// The worker's number.
    pub(crate) index: usize,
    pub(crate) shard: Shard,
    pub(crate) requests: Receiver<Request>,
    pub(crate) replies: Replies,
    pub(crate) wake: Arc<Wake>,
    pub(crate) wait: Wait,
    pub(crate) sockets: SocketOptions,
    /// CPUs on which others may work for it.
    pub(crate) helper_cpus: Vec<usize>,
}

/// One shard, the sockets of its legs, and the loop that brings them together.
pub(crate) struct Worker<B> {
    backend: B,
    shard: Shard,
    requests: Receiver<Request>,
    replies: Replies,
    wake: Arc<Wake>,
    sockets: SocketOptions,
    clock: Clock,
    arrival: Arrival,
    pace: Pace,
    overload: Overload,
    taps: Taps,
    media: MediaThread,
    housekeeping_at: MonoTime,
    wallclock_at: MonoTime,
}

impl<B: Backend> Worker<B> {
    pub(crate) fn new(backend: B, assignment: Assignment) -> Self {
        let clock = Clock;
        let now = clock.now();
        let media = MediaThread::new(assignment.index, assignment.helper_cpus, Arc::clone(&assignment.wake));
        Self {
            backend,
            shard: assignment.shard,
            requests: assignment.requests,
            replies: assignment.replies,
            wake: assignment.wake,
            sockets: assignment.sockets,
            clock,
            arrival: Arrival::measure(),
            pace: Pace::new(assignment.wait, now),
            overload: Overload::new(B::queue_bytes(assignment.sockets.receive_buffer_bytes), B::QUEUE_BYTES_MIN, now),
            taps: Taps::default(),
            media,
            housekeeping_at: now,
            wallclock_at: now,
        }
    }

    /// Works until told to stop; the sockets are closed when this returns.
    pub(crate) fn run(mut self) {
        while self.obey().is_continue() {
            // Who asked is not made to wait for the packets.
            self.replies.tell();
            let now = self.clock.now();
            self.housekeep(now);
            let moved = self.relay(now) + self.take_made(now) + self.tick(now);
            self.replies.tell();
            self.resize_queues(now);
            // A datagram without content stops its socket's receive: who sends many must not stop it for a tick each.
            if !self.pace.goes_on(moved, now) && !self.backend.has_stopped_receives() {
                self.rest(now);
            }
        }
    }

    /// One batch from the sockets through the engine and out; how many datagrams it were.
    fn relay(&mut self, now: MonoTime) -> usize {
        let mut batch = Batch::new();
        let sender = self.backend.receive(&mut batch, self.arrival, now);
        let received = batch.len();
        let was_overloaded = self.overload.is_on();
        let shed = self.overload.shed(&mut batch, now);
        let counters = sender.counters();
        counters.add(Io::Overloads, u64::from(self.overload.is_on() && !was_overloaded));
        counters.add(Io::OverloadDropped, shed);
        if !batch.is_empty() {
            if !self.taps.is_empty() {
                self.taps.received(&batch, &mut self.replies, sender.counters());
            }
            let mut outputs = self.shard.ingress(&mut batch, now);
            let forwarded = batch.iter().filter_map(|datagram| match datagram.verdict {
                Verdict::Forwarded(hop) => Some(Transmit { port: hop.port, to: hop.to, bytes: datagram.packet() }),
                _ => None,
            });
            let packets = forwarded.chain(outputs.transmits());
            if !self.taps.is_empty() {
                self.taps.sent(packets.clone(), self.clock.now(), &mut self.replies, sender.counters());
            }
            sender.send(packets);
            self.replies.handshakes(outputs.handshakes(), sender.counters());
            self.replies.events(now, outputs.events(), sender.counters());
            self.media.take(outputs.hand_outs(), &mut self.replies, sender.counters());
            drop(outputs);
            self.shard.sent(&batch, self.clock.now());
        }
        drop(batch);
        self.backend.release();
        received
    }

    /// What was transcoded or mixed goes to who is to hear it. How many packets it were.
    fn take_made(&mut self, now: MonoTime) -> usize {
        if self.media.is_idle() {
            return 0;
        }
        let sender = self.backend.sender();
        self.replies.events(now, self.media.detected(), sender.counters());
        let packets = self.media.made(sender.counters());
        let mut outputs = self.shard.made(packets, now);
        let sent = put_out(&mut outputs, now, sender, &self.taps, &mut self.replies);
        sender.counters().add(Io::MediaMade, sent as u64);
        sent
    }

    /// Gives the sockets, and those to come, shorter or longer queues if the load asks for it.
    fn resize_queues(&mut self, now: MonoTime) {
        if let Some(bytes) = self.overload.resize(now, || self.backend.sockets().count()) {
            self.sockets.receive_buffer_bytes = bytes;
            self.backend.resize_queues(bytes);
        }
    }

    /// What the passing of time brings: players, timeouts, reports. How many packets it were.
    fn tick(&mut self, now: MonoTime) -> usize {
        if self.shard.next_deadline().is_none_or(|deadline| deadline > now) {
            return 0;
        }
        let mut outputs = self.shard.tick(now);
        let sender = self.backend.sender();
        let packets = put_out(&mut outputs, now, sender, &self.taps, &mut self.replies);
        self.media.take(outputs.hand_outs(), &mut self.replies, sender.counters());
        packets
    }

    fn housekeep(&mut self, now: MonoTime) {
        if now < self.housekeeping_at {
            return;
        }
        self.housekeeping_at = now.after(HOUSEKEEPING);
        self.arrival = Arrival::measure();
        self.backend.housekeep();
        self.shard.look_after_offload();
        if now >= self.wallclock_at {
            self.wallclock_at = now.after(WALLCLOCK);
            self.shard.set_wallclock(NtpTime::from_unix_nanos(self.clock.unix_nanos()), self.clock.now());
        }
    }

    fn rest(&mut self, now: MonoTime) {
        self.overload.rests(now);
        let rest = self.pace.rest(now, self.shard.next_deadline(), self.overload.is_on());
        if rest == Rest::Spin {
            return core::hint::spin_loop();
        }
        self.wake.fall_asleep();
        // Whoever queued something before this line has not seen the worker asleep.
        if self.requests.is_empty() && self.media.is_idle() {
            let counters = self.backend.sender().counters();
            match rest {
                Rest::Spin => {}
                Rest::Tick(period) => {
                    counters.count(Io::Ticks);
                    self.wake.wait([None; 2], Some(period));
                }
                Rest::Sleep(limit) => {
                    counters.count(Io::Sleeps);
                    self.backend.wait(limit);
                }
            }
        }
        self.wake.awake();
        // The rest ends here and not where it began: a worker that was idle, or that the host let wait for its CPU, has not
        // been busy all that time, and what has gathered meanwhile is late but no overload.
        self.overload.works(self.clock.now());
    }

    /// Requests that are there, a few at a time so that datagrams do not wait for all of them.
    fn obey(&mut self) -> ControlFlow<()> {
        const AT_ONCE: usize = 16;
        for _ in 0..AT_ONCE {
            match self.requests.try_recv() {
                Ok(request) => self.answer(request)?,
                Err(_) => break,
            }
        }
        ControlFlow::Continue(())
    }
}

/// Sends what the engine has made, and tells what has happened. How many packets it were.
fn put_out(
    outputs: &mut Outputs<'_>,
    now: MonoTime,
    sender: &mut impl Sender,
    taps: &Taps,
    replies: &mut Replies,
) -> usize {
    if !taps.is_empty() {
        taps.sent(outputs.transmits(), now, replies, sender.counters());
    }
    sender.send(outputs.transmits());
    replies.events(now, outputs.events(), sender.counters());
    outputs.transmits().len()
}
