//! The ring itself: queueing, submitting, waiting.

#![allow(unsafe_code, reason = "the submission queue takes raw pointers; io_uring_enter is a raw system call")]

use core::time::Duration;
use std::io;

use io_uring::types::{CancelBuilder, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Submitter, cqueue, squeue};

use super::diagnosis;
use crate::backend::Unavailable;

/// Submission entries: a batch's sends with room for players, fan-out and re-armed receives.
pub(super) const SUBMISSIONS: u32 = 512;

/// An io_uring that only the thread that made it uses.
pub(super) struct Ring {
    ring: IoUring,
    /// Waiting is idling, not waiting for a disk: without this flag (Linux 6.15) an idle relay shows as 100 % iowait.
    wait_flags: EnterFlags,
    retried: u64,
}

impl Ring {
    /// `completions`: how many completions may wait at once; beyond that the kernel keeps them on a slower list.
    pub(super) fn new(completions: u32) -> Result<Self, Unavailable> {
        let ring = IoUring::builder()
            // Completions are worked off in this thread when it asks for them, never by interrupting it.
            .setup_single_issuer()
            .setup_defer_taskrun()
            // A flag in shared memory says whether asking is worth a system call.
            .setup_taskrun_flag()
            // One bad entry must not hold up those behind it.
            .setup_submit_all()
            .setup_cqsize(completions)
            .setup_clamp()
            .build(SUBMISSIONS)
            .map_err(|error| diagnosis::setup(&error))?;
        diagnosis::check(&ring)?;
        let no_iowait = ring.params().is_feature_no_iowait();
        let wait_flags = if no_iowait { EnterFlags::NO_IOWAIT } else { EnterFlags::empty() };
        Ok(Self { ring, wait_flags: wait_flags | EnterFlags::GETEVENTS, retried: 0 })
    }

    /// Queues an entry, submitting first if the queue is full.
    ///
    /// # Safety
    /// What the entry points to must stay valid until a [`Ring::submit`] has returned, and for operations that are not
    /// done by then, until they have completed.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: the caller vouches for the entry's pointers.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            self.submit();
        }
    }

    /// Hands everything queued to the kernel. Operations that can be done at once are done when this returns.
    pub(super) fn submit(&mut self) {
        while !self.ring.submission().is_empty() {
            match self.enter(0, EnterFlags::empty(), None) {
                Ok(_) => {}
                Err(error) => self.survive(&error),
            }
        }
    }

    /// Submits and lets completions appear, without waiting. `false` if nothing came of it.
    pub(super) fn poll(&mut self) -> bool {
        let submission = self.ring.submission();
        let pending = submission.taskrun() || submission.cq_overflow();
        let queued = !submission.is_empty();
        if !pending && !queued {
            return false;
        }
        drop(submission);
        let before = self.ring.completion().len();
        let flags = if pending { EnterFlags::GETEVENTS } else { EnterFlags::empty() };
        if let Err(error) = self.enter(0, flags, None) {
            self.survive(&error);
        }
        // The flag can outlive the work that it announces: the kernel raises it after queueing the work, and by then this
        // thread, on another CPU, may have done it. It stays up until there is work again, and who asked until it falls
        // would ask until the next datagram comes.
        queued || self.ring.completion().len() > before
    }

    /// As [`Ring::poll`], with the completions that what is submitted brings about by itself, as a cancellation does.
    pub(super) fn poll_all(&mut self) -> bool {
        let before = self.ring.completion().len();
        if let Err(error) = self.enter(0, EnterFlags::GETEVENTS, None) {
            self.survive(&error);
        }
        self.ring.completion().len() > before
    }

    /// Submits and waits until at least one completion is there or `timeout` is over.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        match self.enter(1, self.wait_flags, timeout) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
            Err(error) => self.survive(&error),
        }
    }

    /// Completions that are there.
    pub(super) fn completions(&mut self) -> cqueue::CompletionQueue<'_> {
        self.ring.completion()
    }

    pub(super) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    /// How often the kernel was too short of memory or completion room to take submissions, since the last call.
    pub(super) fn take_retried(&mut self) -> u64 {
        core::mem::take(&mut self.retried)
    }

    fn enter(&mut self, want: u32, flags: EnterFlags, timeout: Option<Duration>) -> io::Result<usize> {
        let queued = self.ring.submission().len() as u32;
        let submitter = self.ring.submitter();
        let Some(timeout) = timeout else {
            // SAFETY: no argument is passed; the entries' pointers are vouched for by those who pushed them.
            return unsafe { submitter.enter::<libc::sigset_t>(queued, want, flags.bits(), None) };
        };
        let timeout = Timespec::from(timeout);
        let args = SubmitArgs::new().timespec(&timeout);
        let flags = flags | EnterFlags::EXT_ARG;
        // SAFETY: `args` is what EXT_ARG announces (SubmitArgs is a transparent io_uring_getevents_arg) and outlives the
        // call, as does the timespec it points to.
        unsafe { submitter.enter(queued, want, flags.bits(), Some(&args)) }
    }

    /// An interrupted call, a lack of memory and a full completion queue pass by. Anything else means that the ring was
    /// used wrongly, which no packet and no command can bring about.
    fn survive(&mut self, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => {
                self.retried += 1;
                // Completions that were moved on make room for submissions.
                let _ = self.enter(0, EnterFlags::GETEVENTS, Some(Duration::from_micros(100)));
            }
            _ => panic!("io_uring_enter: {error}: the ring is misused"),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Nothing may be written to the receive buffers once they are unmapped. This submits nothing: what is still
        // queued may point to packets that are gone.
        let timeout = Timespec::from(Duration::from_millis(100));
        let _ = self.ring.submitter().register_sync_cancel(Some(timeout), CancelBuilder::any());
    }
}
