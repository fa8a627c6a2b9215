//! Watching many descriptors at once (epoll(7)).

#![allow(unsafe_code, reason = "epoll has no safe wrapper in std")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Readable while one of those that it watches is. What is closed everywhere is watched no more.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes an integer and touches no memory.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just created and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches a descriptor, which [`Epoll::ask`] then calls by `name`.
    ///
    /// # Errors
    /// `ENOSPC`: as many as the system permits are watched (`fs.epoll.max_user_watches`).
    pub(super) fn watch(&self, fd: BorrowedFd<'_>, name: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: name };
        // SAFETY: `event` is a valid epoll_event; the kernel copies it.
        let result =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Watches it no more.
    pub(super) fn forget(&self, fd: BorrowedFd<'_>) {
        let none = core::ptr::null_mut();
        // SAFETY: EPOLL_CTL_DEL takes no event.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), none) };
    }

    /// The names of those that are readable, as far as there is room for them in `events`, without waiting. Those that still are come again
    /// behind those that have not been named yet.
    pub(super) fn ask<'a>(&self, events: &'a mut [libc::epoll_event]) -> impl Iterator<Item = u64> + 'a {
        let (start, capacity) = (events.as_mut_ptr(), events.len());
        // SAFETY: `events` has room for `capacity` events.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), start, capacity as libc::c_int, 0) };
        events[..usize::try_from(count).unwrap_or(0)].iter().map(|event| event.u64)
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
