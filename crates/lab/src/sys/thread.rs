//! Where a thread runs, its CPU and its network namespace, and what it may use.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::checked;

/// Lets the calling thread, and the threads that it starts from now on, run only on one CPU.
pub(crate) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    // SAFETY: all zeros are the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such CPU"));
    }
    // SAFETY: the number is below the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set lives until the call returns; thread 0 is the calling one.
    checked(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// Puts the calling thread before all ordinary ones. Needs `CAP_SYS_NICE`.
pub(crate) fn go_first() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 10 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameter lives until the call returns; thread 0 is the calling one.
    checked(unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) })?;
    Ok(())
}

/// Gives the calling thread most of the time that ordinary ones of its scheduling group get. Needs `CAP_SYS_NICE`.
///
/// For threads that never sleep: the real-time ones of [`go_first`] may use 95 % of a CPU only (sched(7), `sched_rt_runtime_us`) and
/// have to wait for the rest of each second.
pub(crate) fn go_before_ordinary() -> io::Result<()> {
    // SAFETY: setpriority takes no pointers; 0 is the calling thread.
    checked(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) })?;
    Ok(())
}

/// Makes the command's process the leader of a session, and so of a scheduling group, of its own.
pub(crate) fn lead_session(command: &mut Command) {
    let lead = || {
        // SAFETY: setsid takes no pointers.
        checked(unsafe { libc::setsid() }).map(drop)
    };
    // SAFETY: between fork and exec the closure makes one system call and touches no memory of the parent.
    unsafe { command.pre_exec(lead) };
}

/// The CPUs on which the calling thread may run.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: all zeros are the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set has the size that is given and is borrowed mutably; thread 0 is the calling one.
    checked(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|&cpu| {
            // SAFETY: the number is below the size of the set.
            unsafe { libc::CPU_ISSET(cpu, &set) }
        })
        .collect())
}

/// Raises the limit of open files of this process, and of those that it starts, to what the system has for any process; without
/// `CAP_SYS_RESOURCE`, to the hard limit.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is borrowed mutably until the call returns.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open")?.trim().parse().unwrap_or(limit.rlim_max);
    for most in [most, limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: most, rlim_max: limit.rlim_max.max(most) };
        // SAFETY: the limit lives until the call returns.
        if checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) }).is_ok() {
            return Ok(());
        }
    }
    Err(io::Error::last_os_error())
}

/// Moves the calling thread, and no other, into the network namespace that the descriptor refers to.
pub(crate) fn enter_network_namespace(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: setns takes no pointers; a descriptor that is no network namespace gives an error.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}
