//! A thread beside the workers that waits for the kernel's news, and ends with whoever started it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use nix::sys::socket::{MsgFlags, recv};

use crate::backend::Unavailable;

/// Ends its thread when dropped, and waits for it.
#[derive(Debug)]
pub(crate) struct Background {
    /// Closed to end the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread learns that it is to end.
pub(crate) struct Stop(UnixStream);

impl Background {
    pub(crate) fn start(name: &str, work: impl FnOnce(Stop) + Send + 'static) -> Result<Self, Unavailable> {
        let (stop, stopped) = UnixStream::pair().map_err(|error| Unavailable::io("a pair of sockets", &error))?;
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(Stop(stopped)))
            .map_err(|error| Unavailable::io("starting a thread", &error))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, its message is on standard error, and the packets go on without it.
            let _ = thread.join();
        }
    }
}

impl Stop {
    /// The thread is to end.
    pub(crate) fn is_due(&self) -> bool {
        recv(self.0.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) == Ok(0)
    }
}

impl AsFd for Stop {
    /// Readable when the thread is to end.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Stop {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
