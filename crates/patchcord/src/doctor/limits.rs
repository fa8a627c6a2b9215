//! Limits of the process and of the kernel's buffers.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use super::machine::Machine;
use crate::config::Config;
use crate::sys;

/// File descriptors that are no media sockets: rings, HTTP connections, logs.
const OTHER_FILES: u64 = 256;

/// What a ring of one worker may lock: entries and provided buffers of some megabytes.
const LOCKED_BYTES_A_WORKER: u64 = 8 << 20;

pub(super) fn examine(machine: &Machine, config: &Config) -> Vec<Finding> {
    let workers = if config.workers.cpus.is_empty() { config.workers.count } else { config.workers.cpus.len() };
    let workers = if workers == 0 { sys::cpus_allowed().len() } else { workers } as u64;
    let mut findings = vec![
        open_files(sys::file_limit().hard, wanted_files(config, workers)),
        locked_memory(getrlimit(Resource::Memlock).current, workers * LOCKED_BYTES_A_WORKER, machine),
    ];
    for (check, sysctl) in [("receive buffer", "net.core.rmem_max"), ("send buffer", "net.core.wmem_max")] {
        findings.push(socket_buffer(check, sysctl, machine));
    }
    findings.push(backlog(machine));
    findings
}

/// Files that a relay opens whose ports are all leased.
fn wanted_files(config: &Config, workers: u64) -> u64 {
    let by_ports = u64::from(config.ports.count()) * config.interfaces.len() as u64;
    by_ports.min(2 * u64::from(config.workers.legs_max) * workers) + OTHER_FILES
}

fn open_files(hard: Option<u64>, wanted: u64) -> Finding {
    const CHECK: &str = "open files";
    let Some(hard) = hard else { return Finding::ok(CHECK, "unlimited") };
    let found = format!("hard limit {hard}, at most {wanted} are needed (serve raises the soft limit itself)");
    let fix = format!("LimitNOFILE={wanted} in the unit, or --ulimit nofile={wanted} for a container");
    let cause = "every leg has a socket, two where RTCP is not muxed; calls are refused when no file is left";
    if hard < 2 * OTHER_FILES {
        Finding::fail(CHECK, found, cause, fix)
    } else if hard < wanted {
        Finding::warn(CHECK, found, cause, fix)
    } else {
        Finding::ok(CHECK, found)
    }
}

fn locked_memory(soft: Option<u64>, wanted: u64, machine: &Machine) -> Finding {
    const CHECK: &str = "locked memory";
    // CAP_IPC_LOCK is bit 14 (linux/capability.h); with it the limit does not count.
    let mask = machine.status("CapEff").and_then(|text| u64::from_str_radix(&text, 16).ok()).unwrap_or(0);
    match soft {
        None => Finding::ok(CHECK, "unlimited"),
        Some(bytes) if bytes >= wanted => Finding::ok(CHECK, format!("{} KiB", bytes / 1024)),
        Some(bytes) if mask >> 14 & 1 == 1 => {
            Finding::ok(CHECK, format!("{} KiB, lifted by CAP_IPC_LOCK", bytes / 1024))
        }
        Some(bytes) => Finding::warn(
            CHECK,
            format!("{} KiB", bytes / 1024),
            format!("io_uring may want up to {} KiB for its rings on older kernels", wanted / 1024),
            "LimitMEMLOCK=infinity in the unit, or --ulimit memlock=-1 for a container",
        ),
    }
}

fn socket_buffer(check: &'static str, sysctl: &str, machine: &Machine) -> Finding {
    // Each leg has its own socket: 212992, the usual default, holds about 200 ms of 250 simultaneous speakers.
    const WANTED: u64 = 212_992;
    match machine.sysctl_number(sysctl) {
        Some(bytes) if bytes < WANTED => Finding::warn(
            check,
            format!("{sysctl} = {bytes}"),
            "packets are lost when a worker is held up for longer than its sockets can hold them",
            format!("sysctl -w {sysctl}={WANTED}, and the same line in /etc/sysctl.d"),
        ),
        Some(bytes) => Finding::ok(check, format!("{sysctl} = {bytes}")),
        None => Finding::ok(check, format!("{sysctl} is not shown here")),
    }
}

fn backlog(machine: &Machine) -> Finding {
    const CHECK: &str = "backlog";
    const SYSCTL: &str = "net.core.netdev_max_backlog";
    let Some(backlog) = machine.sysctl_number(SYSCTL) else {
        return Finding::ok(CHECK, format!("{SYSCTL} is not shown here"));
    };
    // Second column: packets dropped because the backlog was full (Documentation/admin-guide/sysctl/net.rst).
    let softnet = machine.read("/proc/net/softnet_stat").unwrap_or_default();
    let dropped: u64 =
        softnet.lines().filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok()).sum();
    let found = format!("{SYSCTL} = {backlog}, {dropped} packets dropped since boot");
    if dropped > 0 && backlog < 10_000 {
        return Finding::warn(
            CHECK,
            found,
            "packets were dropped before they reached a socket, because one CPU's backlog was full",
            format!("sysctl -w {SYSCTL}=10000, and spread the card's interrupts over the CPUs"),
        );
    }
    Finding::ok(CHECK, found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn too_few_files_are_a_warning_and_hardly_any_a_failure() {
        assert_eq!(open_files(None, 1000).state, State::Ok);
        assert_eq!(open_files(Some(1000), 1000).state, State::Ok);
        assert_eq!(open_files(Some(999), 1000).state, State::Warn);
        assert_eq!(open_files(Some(100), 1000).state, State::Fail);
    }

    #[test]
    fn sysctls_are_compared_with_what_is_needed() {
        let root = std::env::temp_dir().join(format!("patchcord-doctor-limits-{}", std::process::id()));
        let core = root.join("proc/sys/net/core");
        std::fs::create_dir_all(&core).expect("a folder");
        std::fs::create_dir_all(root.join("proc/net")).expect("a folder");
        std::fs::write(core.join("rmem_max"), "65536\n").expect("a file");
        std::fs::write(core.join("wmem_max"), "4194304\n").expect("a file");
        std::fs::write(core.join("netdev_max_backlog"), "1000\n").expect("a file");
        std::fs::write(root.join("proc/net/softnet_stat"), "0000ff 0000000a 0\n0000ff 00000001 0\n").expect("a file");
        let machine = Machine::at(&root);
        let receive = socket_buffer("receive buffer", "net.core.rmem_max", &machine);
        let send = socket_buffer("send buffer", "net.core.wmem_max", &machine);
        let backlog = backlog(&machine);
        std::fs::remove_dir_all(&root).expect("the folder is ours");
        assert_eq!(receive.state, State::Warn);
        assert_eq!(send.state, State::Ok);
        assert_eq!(backlog.state, State::Warn);
        assert!(backlog.found.contains("11 packets dropped"), "{}", backlog.found);
    }
}
