//! SIGINT and SIGTERM as a flag, so that namespaces and processes are cleaned up before the end.

use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checked;

static SIGNALLED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    SIGNALLED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM do not end the process but set [`signalled`]. A second one ends it.
pub(crate) fn catch_signals() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all zeros are a valid sigaction: no flags, an empty mask, the default handler.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = libc::SA_RESETHAND;
        // SAFETY: the action lives until the call returns, and its handler does nothing but store to an atomic.
        checked(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })?;
    }
    Ok(())
}

/// Whether the process was asked to end.
pub(crate) fn signalled() -> bool {
    SIGNALLED.load(Ordering::Relaxed)
}
