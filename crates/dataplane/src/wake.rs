//! How a sleeping worker is woken: an eventfd, written only when the worker really sleeps.

#![allow(unsafe_code, reason = "eventfd and ppoll have no safe wrapper in std")]

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Shared by a worker and everybody who sends it requests.
#[derive(Debug)]
pub(crate) struct Wake {
    eventfd: OwnedFd,
    asleep: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers and touches no memory.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just created and belongs to nobody else.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { eventfd, asleep: AtomicBool::new(false) })
    }

    /// Called by a requester after its request is queued: wakes the worker if it sleeps or is about to. A busy worker
    /// looks at its queue anyway, so this costs it and the requester nothing.
    pub(crate) fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.signal();
        }
    }

    /// Called by the worker before it waits. It must look at its queue once more after this: a request that was queued
    /// before did not see the worker asleep.
    pub(crate) fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Called by the worker after it waited.
    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Waits until woken, until `timeout`, or until one of `others` becomes readable.
    pub(crate) fn wait(&self, others: [Option<RawFd>; 2], timeout: Option<Duration>) {
        // A negative descriptor is skipped by the kernel.
        let [one, other] = others.map(|fd| Self::watched(fd.unwrap_or(-1)));
        self.wait_among(&mut [Self::watched(-1), one, other], timeout);
    }

    /// An entry for [`Wake::wait_among`].
    pub(crate) const fn watched(fd: RawFd) -> libc::pollfd {
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    }

    /// As [`Wake::wait`], for any number of others: those in `fds` behind the first, which is ours to fill in.
    pub(crate) fn wait_among(&self, fds: &mut [libc::pollfd], timeout: Option<Duration>) {
        let limit = timeout.map(|timeout| libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        let Some(first) = fds.first_mut() else { return };
        first.fd = self.eventfd.as_raw_fd();
        // SAFETY: `fds` are as many as said, `limit` is null or a valid timespec, the signal mask is not used.
        unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit, core::ptr::null()) };
        if fds[0].revents != 0 {
            self.drain();
        }
    }

    fn signal(&self) {
        let one = 1_u64;
        // SAFETY: `one` is eight readable bytes. The counter cannot overflow, so the write cannot fail.
        unsafe { libc::write(self.eventfd.as_raw_fd(), (&raw const one).cast(), size_of_val(&one)) };
    }

    fn drain(&self) {
        let mut count = 0_u64;
        // SAFETY: `count` is eight writable bytes. EAGAIN, if another wait was faster, is fine.
        unsafe { libc::read(self.eventfd.as_raw_fd(), (&raw mut count).cast(), size_of_val(&count)) };
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Wake;
    use core::time::Duration;
    use std::sync::Arc;

    #[test]
    fn a_sleeper_is_woken_and_can_sleep_again() {
        let wake = Arc::new(Wake::new().expect("an eventfd"));
        for _ in 0..100 {
            wake.fall_asleep();
            let waker = Arc::clone(&wake);
            let thread = std::thread::spawn(move || waker.wake());
            // Without the wake-up this would never return.
            wake.wait([None; 2], None);
            wake.awake();
            thread.join().expect("wake does not panic");
        }
        // Nothing is left over: the next wait ends by its timeout.
        let before = std::time::Instant::now();
        wake.wait([None; 2], Some(Duration::from_millis(5)));
        assert!(before.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn nobody_writes_for_a_worker_that_is_awake() {
        let wake = Wake::new().expect("an eventfd");
        wake.wake();
        let before = std::time::Instant::now();
        wake.wait([None; 2], Some(Duration::from_millis(5)));
        assert!(before.elapsed() >= Duration::from_millis(5));
    }
}
