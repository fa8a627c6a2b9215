//! The receiving thread: waits for all sockets at once and hands what arrives to the parties.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Epoll;
use super::party::Party;
use super::recording::Received;
use crate::clock::ClockPair;
use crate::sys::{Datagram, Ready, ReceiveBatch};

/// Datagrams taken by one system call.
const BATCH: usize = 64;

/// The token of the descriptor that wakes the thread up.
const WAKE: u64 = u64::MAX;

/// The sockets on which something can arrive.
#[derive(Debug)]
pub(super) struct Arrivals {
    epoll: Epoll,
    parties: Mutex<Vec<Arc<Party>>>,
    /// Readable once the other end is shut down.
    wake: (UnixStream, UnixStream),
    stopped: AtomicBool,
}

impl Arrivals {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let wake = UnixStream::pair()?;
        epoll.watch(wake.0.as_fd(), WAKE)?;
        Ok(Self { epoll, parties: Mutex::default(), wake, stopped: AtomicBool::new(false) })
    }

    pub(super) fn watch(&self, party: &Arc<Party>) -> io::Result<()> {
        let mut parties = self.lock();
        self.epoll.watch(party.socket.as_fd(), parties.len() as u64)?;
        parties.push(Arc::clone(party));
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // The thread wakes up; if this failed, it would wake up with the next datagram.
        let _ = self.wake.1.shutdown(std::net::Shutdown::Both);
    }

    /// Receives until it is stopped.
    pub(super) fn run(&self) {
        let mut ready = Ready::with_capacity(BATCH);
        let mut batch = ReceiveBatch::new(BATCH);
        while !self.stopped.load(Ordering::Relaxed) {
            if self.epoll.wait(&mut ready, None).is_err() {
                return;
            }
            for token in ready.tokens() {
                let party = usize::try_from(token).ok().and_then(|token| self.lock().get(token).cloned());
                if let Some(party) = party {
                    receive(&mut batch, &party);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Party>>> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one batch; what is left keeps the socket ready.
fn receive(batch: &mut ReceiveBatch, party: &Party) {
    let mut arrived = Vec::with_capacity(BATCH);
    // An error is that of an earlier send (ICMP port unreachable): reading it has cleared it.
    let _ = batch.receive(&party.socket, |datagram: Datagram<'_>| {
        if let Some(from) = datagram.from {
            arrived.push((datagram.kernel_unix_ns, from, datagram.bytes.to_vec()));
        }
    });
    let clocks = ClockPair::now();
    party.received(arrived.iter().map(|(kernel_unix_ns, from, bytes)| Received {
        at_ns: clocks.monotonic(*kernel_unix_ns),
        from: *from,
        bytes,
    }));
}
