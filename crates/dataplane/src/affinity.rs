//! Where a worker runs and how urgently.

#![allow(
    unsafe_code,
    reason = "sched_setaffinity, sched_setscheduler, setpriority and prctl have no safe wrapper in std"
)]

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
    run_on(&[cpu])
}

/// Puts the calling thread behind all others that want the CPUs: for work that may be late, but not make others late.
pub(crate) fn give_way(cpus: &[usize]) -> io::Result<()> {
    /// As `nice` counts: a tenth of the CPU time of a thread with the usual 0 beside it.
    const NICE: libc::c_int = 10;
    run_on(cpus)?;
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: `param` is a valid sched_param; pid 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const param) })?;
    // SAFETY: setpriority takes integers and touches no memory; on Linux 0 is the calling thread.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) })
}

fn run_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = empty();
    for &cpu in cpus.iter().filter(|&&cpu| cpu < libc::CPU_SETSIZE as usize) {
        // SAFETY: `cpu` is below CPU_SETSIZE, so the bit lies within `set`.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
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
    use super::{allowed, give_way, pin};

    #[test]
    fn a_thread_gives_way_on_the_cpus_that_it_is_given() {
        let cpus = allowed();
        std::thread::spawn(move || {
            pin(cpus[0]).expect("a CPU of the own set is allowed");
            give_way(&cpus).expect("everybody may be nicer");
            assert_eq!(allowed(), cpus);
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
            // The 19th field is its nice value; the name before may have blanks (proc_pid_stat(5)).
            let nice = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16)).expect("a field");
            assert_eq!(nice, "10");
        })
        .join()
        .expect("the thread asserts");
    }

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
