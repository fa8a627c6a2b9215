//! Who used how much CPU time, and how much memory a process has.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// /proc/stat counts in units of 1/100 s: `USER_HZ` is 100 on every architecture that Patchcord runs on.
const NS_PER_TICK: u64 = 10_000_000;

/// CPU time used so far, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// By the relay's tasks.
    pub(crate) relay_ns: u64,
    /// By this process and the kernel's packet threads: generators, sinks and their share of the IP stack.
    pub(crate) load_ns: u64,
    /// By the kernel's packet threads alone.
    pub(crate) softirq_ns: u64,
    /// By everybody, on all CPUs.
    pub(crate) total_ns: u64,
    /// By other machines on the same hardware.
    pub(crate) steal_ns: u64,
}

impl Usage {
    pub(crate) fn now(relay: u32) -> Self {
        // Takes long the first time, and the rest has to be of one moment.
        let softirqs_apart = softirqs_are_accounted_apart();
        let softirq_ns = ksoftirqd_ns();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let (total_ns, steal_ns) = busy(&stat, softirqs_apart);
        Self {
            relay_ns: tasks_ns(&format!("/proc/{relay}/task")),
            load_ns: tasks_ns("/proc/self/task") + softirq_ns,
            softirq_ns,
            total_ns,
            steal_ns,
        }
    }

    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            relay_ns: self.relay_ns.saturating_sub(earlier.relay_ns),
            load_ns: self.load_ns.saturating_sub(earlier.load_ns),
            softirq_ns: self.softirq_ns.saturating_sub(earlier.softirq_ns),
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
            steal_ns: self.steal_ns.saturating_sub(earlier.steal_ns),
        }
    }

    /// What neither the relay nor the load used.
    pub(crate) const fn foreign_ns(self) -> u64 {
        self.total_ns.saturating_sub(self.relay_ns + self.load_ns)
    }
}

/// Resident memory of a process in KiB; 0 if it is gone.
pub(crate) fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Datagrams that the UDP sockets of the calling thread's network namespace had no room for.
pub(crate) fn udp_receive_drops() -> u64 {
    let snmp = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
    receive_buffer_errors(&snmp).unwrap_or(0)
}

fn receive_buffer_errors(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let column = lines.next()?.split(' ').position(|name| name == "RcvbufErrors")?;
    lines.next()?.split(' ').nth(column)?.parse().ok()
}

/// Sum over the tasks of a process: the first number of schedstat is the time on a CPU in nanoseconds.
fn tasks_ns(tasks: &str) -> u64 {
    let Ok(tasks) = fs::read_dir(tasks) else { return 0 };
    tasks.flatten().map(|task| schedstat_ns(&task.path())).sum()
}

fn schedstat_ns(task: &Path) -> u64 {
    let schedstat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    schedstat.split(' ').next().and_then(|on_cpu| on_cpu.parse().ok()).unwrap_or(0)
}

/// The kernel threads that process packets when the softirqs get too many.
fn ksoftirqd_ns() -> u64 {
    static PROCESSES: OnceLock<Vec<std::path::PathBuf>> = OnceLock::new();
    let processes = PROCESSES.get_or_init(|| {
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let is_one = |path: &std::path::PathBuf| {
            fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("ksoftirqd/"))
        };
        processes.flatten().map(|entry| entry.path()).filter(is_one).collect()
    });
    processes.iter().map(|process| schedstat_ns(process)).sum()
}

/// Busy and stolen time of the line of all CPUs.
fn busy(stat: &str, softirqs_apart: bool) -> (u64, u64) {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Vec<u64> = all.unwrap_or_default().split_whitespace().filter_map(|ticks| ticks.parse().ok()).collect();
    let &[user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = &ticks[..] else { return (0, 0) };
    let busy = user + nice + system + if softirqs_apart { 0 } else { irq + softirq };
    (busy * NS_PER_TICK, steal * NS_PER_TICK)
}

/// Whether the scheduler leaves the time in softirqs out of a task's time (`CONFIG_IRQ_TIME_ACCOUNTING`): then it must not be
/// looked for there. Assumed not to be so where the kernel's configuration cannot be read.
fn softirqs_are_accounted_apart() -> bool {
    static APART: OnceLock<bool> = OnceLock::new();
    *APART.get_or_init(|| {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let config = fs::read_to_string(format!("/boot/config-{}", release.trim())).ok().or_else(|| {
            let output = Command::new("zcat").arg("/proc/config.gz").output().ok()?;
            String::from_utf8(output.stdout).ok()
        });
        config.is_some_and(|config| config.lines().any(|line| line == "CONFIG_IRQ_TIME_ACCOUNTING=y"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let stat = "cpu  100 1 50 9000 4 2 10 7 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(busy(stat, false), (163 * NS_PER_TICK, 7 * NS_PER_TICK));
        assert_eq!(busy(stat, true), (151 * NS_PER_TICK, 7 * NS_PER_TICK));
        assert_eq!(busy("", false), (0, 0));
        let snmp = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts RcvbufErrors\nUdp: 15294 40 3956\n";
        assert_eq!(receive_buffer_errors(snmp), Some(3956));
        assert_eq!(receive_buffer_errors("Udp: InDatagrams\nUdp: 1\n"), None);
    }

    #[test]
    fn a_busy_process_uses_time_and_memory() {
        let before = Usage::now(std::process::id());
        let mut sum = 0_u64;
        while Usage::now(std::process::id()).since(before).relay_ns < 1_000_000 {
            sum = (0..100_000_u64).fold(sum, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        assert!(resident_kib(std::process::id()) > 100, "{sum}");
        assert_eq!(resident_kib(u32::MAX), 0);
    }
}
