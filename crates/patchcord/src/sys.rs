//! What the system says about this process.

use rustix::process::{Resource, getrlimit};

/// What the process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileLimit {
    /// The soft limit; `None`: unlimited.
    pub(crate) soft: Option<u64>,
    /// The hard limit.
    pub(crate) hard: Option<u64>,
}

/// How many files the process may open; starting the workers lifts the soft limit to the hard one.
pub(crate) fn file_limit() -> FileLimit {
    let now = getrlimit(Resource::Nofile);
    FileLimit { soft: now.current, hard: now.maximum }
}

/// The CPUs that this process may run on.
pub(crate) fn cpus_allowed() -> Vec<usize> {
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => all.filter(|&cpu| set.is_set(cpu)).collect(),
        Err(_) => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    }
}

/// The capabilities that count for a relay, with their bit numbers (linux/capability.h).
pub(crate) const CAPABILITIES: [(&str, u32); 4] =
    [("CAP_NET_ADMIN", 12), ("CAP_SYS_NICE", 23), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// The effective capabilities, as the bit mask that /proc/self/status gives; `None` where there is no /proc.
pub(crate) fn effective_capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// `uid 0 (CAP_NET_ADMIN, CAP_SYS_NICE)` and the like.
pub(crate) fn privileges() -> String {
    let held = effective_capabilities().unwrap_or(0);
    let names: Vec<&str> = CAPABILITIES.iter().filter(|(_, bit)| held >> bit & 1 == 1).map(|&(name, _)| name).collect();
    let names = if names.is_empty() { "no capabilities".to_owned() } else { names.join(", ") };
    format!("uid {}, {names}", rustix::process::getuid().as_raw())
}
