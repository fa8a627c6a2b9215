//! The kernel: io_uring, capabilities, clock source, container.

use patchcord_dataplane::probe::{self, IoUringProbe, Probe};

use super::finding::Finding;
use super::machine::Machine;
use crate::config::{Backend, Config, Offload};
use crate::sys;

pub(super) fn examine(machine: &Machine, config: &Config) -> Vec<Finding> {
    vec![
        xdp(config),
        af_xdp(config),
        steered(config),
        io_uring(machine, config, &probe::io_uring()),
        container(machine),
        capabilities(machine, config),
        clock_source(machine),
    ]
}

/// Whether a speed is to be had, by what the configuration says of it.
enum Wanted {
    Yes,
    IfPossible,
    No,
}

fn speed(check: &'static str, wanted: &Wanted, probed: Probe, otherwise: &str) -> Finding {
    let fix = format!("what the reason says; until then {otherwise}");
    match wanted {
        _ if probed.usable => Finding::ok(check, probed.reason),
        Wanted::Yes => Finding::fail(check, "does not work", probed.reason, fix),
        Wanted::IfPossible => Finding::warn(check, "does not work", probed.reason, fix),
        Wanted::No => Finding::ok(check, "does not work; not asked for"),
    }
}

fn xdp(config: &Config) -> Finding {
    let wanted = match config.workers.offload {
        Offload::Xdp => Wanted::Yes,
        Offload::Auto => Wanted::IfPossible,
        Offload::Off => Wanted::No,
    };
    speed("XDP", &wanted, probe::xdp(), "the workers forward all media, at a multiple of the CPU")
}

fn af_xdp(config: &Config) -> Finding {
    let wanted = if config.workers.backend == Backend::AfXdp { Wanted::Yes } else { Wanted::No };
    speed(
        "AF_XDP",
        &wanted,
        probe::af_xdp(),
        "packets for the workers go by the network stack, at half as much CPU again",
    )
}

fn steered(config: &Config) -> Finding {
    let wanted = match config.workers.backend {
        Backend::Steered | Backend::AfXdp => Wanted::Yes,
        Backend::Auto => Wanted::IfPossible,
        Backend::IoUring | Backend::Mmsg => Wanted::No,
    };
    speed("steered sockets", &wanted, probe::steered(), "a port takes a socket, and a packet half as much CPU again")
}

fn io_uring(machine: &Machine, config: &Config, probed: &IoUringProbe) -> Finding {
    let kernel = probe::kernel();
    let seccomp = match machine.status("Seccomp").as_deref() {
        Some("0") | None => "",
        Some(_) => ", a seccomp filter is active",
    };
    let disabled = machine.sysctl("kernel.io_uring_disabled").unwrap_or_else(|| "absent".to_owned());
    let found = format!("kernel {kernel}, kernel.io_uring_disabled {disabled}{seccomp}");
    if probed.usable {
        return Finding::ok("io_uring", format!("works ({found})"));
    }
    let missing = probed.features.iter().filter(|feature| feature.needed && !feature.present);
    let missing: Vec<String> = missing.map(|f| format!("{} ({}, Linux {})", f.name, f.purpose, f.since)).collect();
    let reason = match missing.as_slice() {
        [] => probed.reason.clone(),
        missing => format!("{}; missing: {}", probed.reason, missing.join(", ")),
    };
    let found = format!("does not work ({found})");
    let fix =
        "what the reason says; until then --backend auto takes recvmmsg and sendmmsg, which cost more CPU a packet";
    match config.workers.backend {
        Backend::IoUring => Finding::fail("io_uring", found, reason, fix),
        Backend::Auto => Finding::warn("io_uring", found, reason, fix),
        Backend::Mmsg | Backend::Steered | Backend::AfXdp => {
            Finding::ok("io_uring", format!("{found}; not asked for by workers.backend"))
        }
    }
}

fn container(machine: &Machine) -> Finding {
    let kind = if machine.exists("/.dockerenv") {
        Some("Docker")
    } else if machine.exists("/run/.containerenv") {
        Some("Podman")
    } else if machine.exists("/var/run/secrets/kubernetes.io") {
        Some("Kubernetes")
    } else if machine.read("/proc/1/environ").is_some_and(|text| text.split('\0').any(|v| v.starts_with("container=")))
    {
        Some("a container")
    } else {
        None
    };
    match kind {
        None => Finding::ok("container", "none detected"),
        Some(kind) => Finding::ok(
            "container",
            format!("{kind}: give it the host's network, or every media port costs a NAT entry and a proxy process"),
        ),
    }
}

fn capabilities(machine: &Machine, config: &Config) -> Finding {
    const CHECK: &str = "capabilities";
    let Some(mask) = machine.status("CapEff").and_then(|text| u64::from_str_radix(&text, 16).ok()) else {
        return Finding::warn(CHECK, "unknown", "/proc/self/status cannot be read", "mount /proc");
    };
    let has = |wanted: &str| sys::CAPABILITIES.iter().any(|&(name, bit)| name == wanted && mask >> bit & 1 == 1);
    let held: Vec<_> = sys::CAPABILITIES.iter().filter(|(name, _)| has(name)).map(|&(name, _)| name).collect();
    let missing: Vec<_> = sys::CAPABILITIES.iter().filter(|(name, _)| !has(name)).map(|&(name, _)| name).collect();
    let list = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let found = format!("held: {}; missing: {}", list(&held), list(&missing));
    if config.workers.realtime_priority > 0 && !has("CAP_SYS_NICE") {
        return Finding::fail(
            CHECK,
            found,
            "workers.realtime_priority is set, and only CAP_SYS_NICE allows SCHED_FIFO",
            "AmbientCapabilities=CAP_SYS_NICE in the unit, --cap-add SYS_NICE for a container, or set it to 0",
        );
    }
    Finding::ok(CHECK, found)
}

fn clock_source(machine: &Machine) -> Finding {
    const CHECK: &str = "clock source";
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let Some(current) = machine.read(&format!("{folder}/current_clocksource")) else {
        return Finding::ok(CHECK, "not shown by this kernel");
    };
    let available = machine.read(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let found = format!("{current} (available: {available})");
    // The vDSO reads these without a system call.
    if ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"].contains(&current.as_str()) {
        return Finding::ok(CHECK, found);
    }
    let fix = if available.split_whitespace().any(|name| name == "tsc") {
        format!("echo tsc > {folder}/current_clocksource, and boot with clocksource=tsc")
    } else {
        "see the kernel's log for why the TSC was not trusted; a hypervisor may have to pass it on".to_owned()
    };
    Finding::warn(CHECK, found, "every look at the clock is a system call, several a batch of packets", fix)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::config::Layer;

    fn config(assignments: &[&str]) -> Config {
        let mut flags = Layer::flags();
        for assignment in assignments {
            flags.set(assignment).expect(assignment);
        }
        Config::load(None, std::iter::empty(), flags).expect("a configuration")
    }

    #[test]
    fn a_missing_io_uring_fails_only_where_it_was_asked_for() {
        let machine = Machine::this();
        let probed = |usable| IoUringProbe { usable, reason: "io_uring_setup: EPERM".to_owned(), features: Vec::new() };
        assert_eq!(io_uring(&machine, &config(&[]), &probed(false)).state, State::Warn);
        assert_eq!(io_uring(&machine, &config(&["workers.backend=io-uring"]), &probed(false)).state, State::Fail);
        assert_eq!(io_uring(&machine, &config(&["workers.backend=mmsg"]), &probed(false)).state, State::Ok);
        assert_eq!(io_uring(&machine, &config(&[]), &probed(true)).state, State::Ok);
    }

    #[test]
    fn real_time_without_the_capability_fails() {
        let root = std::env::temp_dir().join(format!("patchcord-doctor-kernel-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc/self")).expect("a folder");
        std::fs::write(root.join("proc/self/status"), "Name:\tx\nCapEff:\t0000000000001000\n").expect("a file");
        let machine = Machine::at(&root);
        let wanted = capabilities(&machine, &config(&["workers.realtime_priority=10"]));
        let unwanted = capabilities(&machine, &config(&[]));
        std::fs::remove_dir_all(&root).expect("the folder is ours");
        assert_eq!(wanted.state, State::Fail);
        assert_eq!(unwanted.state, State::Ok);
        assert!(
            unwanted.found.contains("held: CAP_NET_ADMIN; missing: CAP_SYS_NICE, CAP_PERFMON, CAP_BPF"),
            "{}",
            unwanted.found
        );
    }
}
