//! The system calls for which the standard library has no function: one file a family, each block with its reason to be sound.

#![allow(
    unsafe_code,
    reason = "epoll, recvmmsg, sendmmsg, scheduling, signals, setns, bpf and ethtool exist only as C functions"
)]

mod device;
mod epoll;
pub(crate) mod layout;
mod live_frames;
mod receive;
mod send;
mod signal;
mod thread;

pub(crate) use device::{Feature, device_index, set_feature};
pub(crate) use epoll::{Epoll, Ready};
pub(crate) use live_frames::{accept_interrupts, interrupt, monotonic_ns, run_live_frames};
pub(crate) use receive::{Datagram, ReceiveBatch, stamp_arrivals};
pub(crate) use send::{Outgoing, SendBatch};
pub(crate) use signal::{catch_signals, signalled};
pub(crate) use thread::{
    allowed_cpus, enter_network_namespace, go_before_ordinary, go_first, lead_session, pin_to_cpu, raise_open_files,
};

use std::io;

/// Turns the -1 of a C function into the error that it left behind.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
