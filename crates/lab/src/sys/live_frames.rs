//! Running an XDP program on frames that really go out (`bpf_prog_run.rst` in the documentation of BPF).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::thread::JoinHandleExt;
use std::ptr;
use std::thread::JoinHandle;

use super::checked;

const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 2;

/// `union bpf_attr` as far as `BPF_PROG_TEST_RUN` reads it (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    zero: u32,
}

const _: () = assert!(size_of::<TestRun>() == 80 && mem::offset_of!(TestRun, batch_size) == 72);

/// Runs an XDP program `repeat` times on frames that begin as `frame`, in batches, in the network namespace of the calling thread.
/// A signal ends it early with [`io::ErrorKind::Interrupted`].
pub(crate) fn run_live_frames(program: BorrowedFd<'_>, frame: &[u8], repeat: u32, batch: u32) -> io::Result<()> {
    let run = TestRun {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        data_size_in: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        data_in: frame.as_ptr() as u64,
        repeat,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        batch_size: batch,
        ..TestRun::default()
    };
    // SAFETY: the attributes have the size that is given and live until the call returns, as does the frame that they point to;
    // the kernel writes only results into them.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, ptr::from_ref(&run), size_of::<TestRun>()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets [`interrupt`] end system calls without ending the process.
pub(crate) fn accept_interrupts() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeros are a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = nothing;
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the action lives until the call returns, and its handler does nothing.
    checked(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) })?;
    Ok(())
}

/// Ends the system call that a thread is in, if it is in one.
pub(crate) fn interrupt<T>(thread: &JoinHandle<T>) {
    // SAFETY: the thread has not been joined, for its handle is still there; SIGUSR1 is handled since `accept_interrupts`.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1) };
}

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`.
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: all zeros are a valid time.
    let mut time: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: the time is borrowed mutably until the call returns; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
