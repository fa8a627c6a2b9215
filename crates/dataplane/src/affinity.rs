//! Where a worker runs and how urgently.

#![allow(unsafe_code, reason = "sched_setaffinity, sched_setscheduler and prctl have no safe wrapper in std")]

use std::io;

/// CPUs that this process may run on, ascending.
pub(crate) fn allowed() -> Vec<usize> {
    let mut set = empty();
    // SAFETY: `set` is a valid cpu_set_t of the size given; pid 0 is the calling thread.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result != 0 {
        return Vec::new();
    }
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| contains(cpu, &set)).collect()
}

/// Pins the calling thread to one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut set = empty();
    // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies within `set`.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is an initialised cpu_set_t of the size given; pid 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })
}

/// Puts the calling thread into the real-time class `SCHED_FIFO`.
pub(crate) fn realtime(priority: u8) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: `param` is a valid sched_param; pid 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) })
}

/// Lets the calling thread's timers fire when they are due and not up to 50 us later, which is what normal threads get.
pub(crate) fn exact_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

fn empty() -> libc::cpu_set_t {
    // SAFETY: cpu_set_t is a plain array of integers, for which all zeroes is the empty set.
    unsafe { std::mem::zeroed() }
}

fn contains(cpu: usize, set: &libc::cpu_set_t) -> bool {
    // SAFETY: the callers' `cpu` is below CPU_SETSIZE, so the bit lies within `set`.
    unsafe { libc::CPU_ISSET(cpu, set) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::{allowed, pin};

    #[test]
    fn a_thread_pins_itself() {
        std::thread::spawn(|| {
            let cpu = *allowed().last().expect("a process runs on at least one CPU");
            pin(cpu).expect("a CPU of the own set is allowed");
            assert_eq!(allowed(), [cpu]);
            assert!(pin(usize::MAX).is_err());
        })
        .join()
        .expect("the thread asserts");
    }
}
