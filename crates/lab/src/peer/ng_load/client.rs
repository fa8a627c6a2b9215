//! A proxy that is faster than any daemon: one thread, one socket, prepared messages.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use socket2::SockAddr;

use super::messages::{self, Template};
use crate::peer::PeerError;
use crate::peer::rtpengine::CONTROL;
use crate::report::histogram_ns;
use crate::sys::{self, Epoll, Outgoing, Ready, ReceiveBatch, SendBatch};

/// Datagrams in one system call.
const BATCH: usize = 64;
/// After this a request is sent again, with its cookie.
const AGAIN: Duration = Duration::from_secs(1);
/// So often it is sent again.
const REPEATS_MAX: u32 = 5;
/// How long the client sleeps at most when there is nothing to do.
const REST: Duration = Duration::from_millis(1);
/// Ports that the parties name.
const PARTY_PORTS: std::ops::Range<u16> = 20_000..60_000;

/// What was done in a window.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) pairs: u64,
    pub(super) deletes: u64,
    pub(super) repeated: u64,
    pub(super) offer_ns: Histogram<u64>,
    pub(super) answer_ns: Histogram<u64>,
    pub(super) delete_ns: Histogram<u64>,
}

/// What a slot waits for the reply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Offer,
    Answer,
    Delete,
}

/// A place for one call in the making.
#[derive(Debug)]
struct Slot {
    stage: Stage,
    /// The call that it sets up.
    call: u32,
    /// The cookie that the reply must have.
    cookie: u64,
    sent: Instant,
    repeats: u32,
    bytes: Vec<u8>,
}

/// The client, and the calls that it has set up.
pub(super) struct Client<'a> {
    daemon: &'a str,
    socket: UdpSocket,
    to: SockAddr,
    epoll: Epoll,
    ready: Ready,
    sender: SendBatch,
    receiver: ReceiveBatch,
    /// Cookies of the replies of one batch.
    replies: Vec<u64>,
    templates: [Template; 3],
    slots: Vec<Slot>,
    /// Slots whose request is to be sent.
    due: Vec<usize>,
    /// Calls that are set up, the oldest first.
    alive: VecDeque<u32>,
    calls: usize,
    next_call: u32,
    next_cookie: u32,
    counts: Counts,
}

impl<'a> Client<'a> {
    pub(super) fn new(daemon: &'a str, calls: u32, in_flight: u32) -> Result<Self, PeerError> {
        let opened = || -> io::Result<(UdpSocket, Epoll)> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            let epoll = Epoll::new()?;
            epoll.watch(socket.as_fd(), 0)?;
            Ok((socket, epoll))
        };
        let (socket, epoll) = opened().map_err(cannot("open a socket"))?;
        let to: SocketAddr = CONTROL.parse().unwrap_or_else(|_| unreachable!("it is an address"));
        let now = Instant::now();
        let slot = |_| Slot { stage: Stage::Idle, call: 0, cookie: 0, sent: now, repeats: 0, bytes: Vec::new() };
        Ok(Self {
            daemon,
            socket,
            to: to.into(),
            epoll,
            ready: Ready::with_capacity(1),
            sender: SendBatch::new(),
            receiver: ReceiveBatch::new(BATCH),
            replies: Vec::with_capacity(BATCH),
            templates: [Template::offer(), Template::answer(), Template::delete()],
            slots: (0..in_flight.max(1)).map(slot).collect(),
            due: Vec::new(),
            alive: VecDeque::new(),
            calls: calls as usize,
            next_call: 0,
            next_cookie: 0,
            counts: Counts::new(),
        })
    }

    /// Sets all calls up.
    pub(super) fn fill(&mut self) -> Result<Counts, PeerError> {
        self.counts = Counts::new();
        while self.alive.len() < self.calls {
            let missing = self.calls - self.alive.len();
            self.turn(|busy| busy < missing)?;
        }
        self.settle()
    }

    /// Replaces calls by new ones for so long, as fast as replies come or so many a second. Calls that are in the making when the
    /// time is over are finished, and count.
    pub(super) fn run(&mut self, length: Duration, rate: Option<u32>) -> Result<Counts, PeerError> {
        self.counts = Counts::new();
        let start = Instant::now();
        let mut begun = 0;
        loop {
            let passed = start.elapsed();
            if passed >= length {
                return self.settle();
            }
            let allowed = rate.map_or(u64::MAX, |rate| (passed.as_secs_f64() * f64::from(rate)) as u64);
            self.turn(|_| {
                let begins = begun < allowed;
                begun += u64::from(begins);
                begins
            })?;
        }
    }

    /// Finishes what has been begun.
    fn settle(&mut self) -> Result<Counts, PeerError> {
        while self.slots.iter().any(|slot| slot.stage != Stage::Idle) {
            self.turn(|_| false)?;
        }
        Ok(std::mem::replace(&mut self.counts, Counts::new()))
    }

    /// Takes replies, begins calls for as long as `begin` allows it for the number of calls in the making, and sends.
    fn turn(&mut self, mut begin: impl FnMut(usize) -> bool) -> Result<(), PeerError> {
        if sys::signalled() {
            return Err(PeerError::Interrupted);
        }
        let received = self.receive()?;
        let mut busy = self.slots.iter().filter(|slot| slot.stage != Stage::Idle).count();
        for index in 0..self.slots.len() {
            if self.slots[index].stage == Stage::Idle {
                if !begin(busy) {
                    break;
                }
                self.slots[index].call = self.next_call;
                self.next_call += 1;
                self.request(index, Stage::Offer);
                busy += 1;
            }
        }
        let sent = self.send()?;
        if received == 0 && sent == 0 {
            self.repeat()?;
            self.epoll.wait(&mut self.ready, Some(REST)).map_err(cannot("wait"))?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<usize, PeerError> {
        let Self { receiver, socket, replies, .. } = self;
        replies.clear();
        let mut refusal = None;
        let received = receiver.receive(socket, |datagram| match messages::reply(datagram.bytes) {
            Some((cookie, true)) => replies.push(cookie),
            Some((_, false)) | None => refusal = Some(String::from_utf8_lossy(datagram.bytes).into_owned()),
        });
        if let Some(answer) = refusal {
            return Err(self.refused(answer));
        }
        let now = Instant::now();
        for at in 0..self.replies.len() {
            let cookie = self.replies[at];
            let index = (cookie >> 32) as usize;
            // Replies to a request that was sent twice come twice.
            if self.slots.get(index).is_some_and(|slot| slot.cookie == cookie && slot.stage != Stage::Idle) {
                self.answered(index, now);
            }
        }
        received.map_err(cannot("receive"))
    }

    fn answered(&mut self, index: usize, now: Instant) {
        let slot = &mut self.slots[index];
        let ns = u64::try_from(now.saturating_duration_since(slot.sent).as_nanos()).unwrap_or(u64::MAX);
        match slot.stage {
            Stage::Offer => {
                self.counts.offer_ns += ns;
                self.request(index, Stage::Answer);
            }
            Stage::Answer => {
                self.counts.answer_ns += ns;
                self.counts.pairs += 1;
                self.alive.push_back(slot.call);
                slot.stage = Stage::Idle;
                if self.alive.len() > self.calls
                    && let Some(oldest) = self.alive.pop_front()
                {
                    slot.call = oldest;
                    self.request(index, Stage::Delete);
                }
            }
            Stage::Delete => {
                self.counts.delete_ns += ns;
                self.counts.deletes += 1;
                slot.stage = Stage::Idle;
            }
            Stage::Idle => {}
        }
    }

    fn request(&mut self, index: usize, stage: Stage) {
        let template = match stage {
            Stage::Offer => &self.templates[0],
            Stage::Answer => &self.templates[1],
            Stage::Delete | Stage::Idle => &self.templates[2],
        };
        self.next_cookie = self.next_cookie.wrapping_add(1);
        let slot = &mut self.slots[index];
        slot.stage = stage;
        slot.repeats = 0;
        slot.cookie = (index as u64) << 32 | u64::from(self.next_cookie);
        let places = u32::from(PARTY_PORTS.end - PARTY_PORTS.start) / 2;
        let port = PARTY_PORTS.start + 2 * (slot.call % places) as u16;
        template.write(slot.cookie, slot.call, port, &mut slot.bytes);
        self.due.push(index);
    }

    /// Sends what is due.
    fn send(&mut self) -> Result<usize, PeerError> {
        let due = self.due.len().min(BATCH);
        if due == 0 {
            return Ok(0);
        }
        let now = Instant::now();
        for &index in &self.due[..due] {
            self.slots[index].sent = now;
        }
        let outgoing: Vec<Outgoing<'_>> =
            self.due[..due].iter().map(|&index| Outgoing { to: &self.to, bytes: &self.slots[index].bytes }).collect();
        let sent = match self.sender.send(&self.socket, &outgoing) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(cannot("send")(error)),
        };
        self.due.drain(..sent);
        Ok(sent)
    }

    /// Sends again what was not answered for too long.
    fn repeat(&mut self) -> Result<(), PeerError> {
        let now = Instant::now();
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if slot.stage != Stage::Idle && now.saturating_duration_since(slot.sent) > AGAIN {
                slot.repeats += 1;
                if slot.repeats > REPEATS_MAX {
                    return Err(self.refused("nothing at all".to_owned()));
                }
                self.counts.repeated += 1;
                self.due.push(index);
            }
        }
        Ok(())
    }

    fn refused(&self, answer: String) -> PeerError {
        PeerError::Control { relay: self.daemon.to_owned(), request: "a request of the load".to_owned(), answer }
    }
}

impl Counts {
    fn new() -> Self {
        Self {
            pairs: 0,
            deletes: 0,
            repeated: 0,
            offer_ns: histogram_ns(),
            answer_ns: histogram_ns(),
            delete_ns: histogram_ns(),
        }
    }
}

fn cannot(what: &'static str) -> impl Fn(io::Error) -> PeerError {
    move |source| PeerError::Load { what, source }
}
