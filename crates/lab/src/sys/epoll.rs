//! Waiting for many sockets at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::checked;

/// An epoll instance that watches for readable descriptors.
#[derive(Debug)]
pub(crate) struct Epoll {
    descriptor: OwnedFd,
}

/// The tokens of the descriptors that a wait found readable.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    events: Vec<libc::epoll_event>,
}

impl Ready {
    /// Room for so many descriptors a wait.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { events: Vec::with_capacity(capacity.max(1)) }
    }

    /// The tokens given to [`Epoll::watch`].
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().map(|event| event.u64)
    }
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes no pointers.
        let descriptor = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is open and nobody else knows it.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }

    /// Watches a descriptor for data to read (level-triggered). Closing the descriptor ends the watch.
    pub(crate) fn watch(&self, descriptor: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        let (epoll, watched) = (self.descriptor.as_raw_fd(), descriptor.as_raw_fd());
        // SAFETY: both descriptors are open, and the event lives until the call returns.
        checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, watched, &raw mut event) })?;
        Ok(())
    }

    /// Waits until a descriptor is readable or the time is over.
    pub(crate) fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        let timeout_ms = timeout.map_or(-1, |timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
        ready.events.clear();
        let (room, capacity) = (ready.events.as_mut_ptr(), ready.events.capacity());
        let capacity = i32::try_from(capacity).unwrap_or(i32::MAX);
        // SAFETY: the vector has room for `capacity` events at that address, and it is borrowed mutably.
        let result = checked(unsafe { libc::epoll_wait(self.descriptor.as_raw_fd(), room, capacity, timeout_ms) });
        match result {
            Ok(count) => {
                // SAFETY: the kernel has written so many events, which is no more than the capacity.
                unsafe { ready.events.set_len(count as usize) };
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}
