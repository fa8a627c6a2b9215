//! Limits and facts of the process and the machine.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileLimit {
    /// The soft limit; `None`: unlimited.
    pub(crate) soft: Option<u64>,
    /// The hard limit.
    pub(crate) hard: Option<u64>,
}

/// Raises the soft limit of open files to the hard one: every leg needs one or two sockets, and the usual soft limit of
/// 1024 is there for programs that use select(2).
pub(crate) fn raise_file_limit() -> FileLimit {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "cannot raise the limit of open files; `patchcord doctor` says what that means");
        }
    }
    file_limit()
}

/// The limit now.
pub(crate) fn file_limit() -> FileLimit {
    let now = getrlimit(Resource::Nofile);
    FileLimit { soft: now.current, hard: now.maximum }
}

/// `6.18.44` and the like.
pub(crate) fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
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
pub(crate) const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_NICE", 23), ("CAP_BPF", 39)];

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
