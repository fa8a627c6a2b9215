//! What root may do and a relay need not is given up before anything is listened to.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

use crate::config::{Backend, Config};

/// Network, packet sockets and BPF programs, which also come and go while the relay runs.
const NEEDED: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW).union(CapabilitySet::BPF).union(CapabilitySet::PERFMON);

/// Ports below this are the system's to give (`net.ipv4.ip_unprivileged_port_start`, as it is unless changed).
const UNPRIVILEGED_PORTS: u16 = 1024;

/// Gives up, for this thread and those that it will start, all capabilities but those that the configuration needs: to be called
/// while there is no other thread. What was not held is not gained.
pub(super) fn give_up(config: &Config) {
    let needed = needed(config);
    let Ok(held) = capabilities(None) else { return };
    if held.permitted.is_empty() {
        return;
    }
    // No program that is started from here gets them back either.
    for capability in CapabilitySet::all().difference(needed).iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = set_no_new_privs(true);
    let sets = CapabilitySets {
        effective: held.effective & needed,
        permitted: held.permitted & needed,
        inheritable: held.inheritable & needed,
    };
    if let Err(error) = set_capabilities(None, sets) {
        tracing::warn!(%error, "capabilities that the relay does not need could not be given up");
    }
}

fn needed(config: &Config) -> CapabilitySet {
    let mut needed = NEEDED;
    if matches!(config.workers.backend, Backend::Auto | Backend::AfXdp) {
        // What packets are received into is locked, and interfaces may come later.
        needed |= CapabilitySet::IPC_LOCK;
    }
    if config.workers.realtime_priority > 0 {
        needed |= CapabilitySet::SYS_NICE;
    }
    let listens = config.ng.listen.iter().filter_map(|listen| Some(listen.address()?.port()));
    let ports = [config.http.listen.port(), config.ports.first].into_iter().chain(listens);
    // Port 0 is any.
    if ports.into_iter().any(|port| (1..UNPRIVILEGED_PORTS).contains(&port)) {
        needed |= CapabilitySet::NET_BIND_SERVICE;
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::{CapabilitySet, NEEDED, needed};
    use crate::config::{Config, Layer};

    fn with(assignments: &[&str]) -> CapabilitySet {
        let mut flags = Layer::flags();
        for assignment in assignments {
            flags.set(assignment).expect(assignment);
        }
        needed(&Config::load(None, std::iter::empty(), flags).expect("a configuration"))
    }

    #[test]
    fn what_is_kept_follows_from_the_configuration() {
        const STEERED: &str = "workers.backend=steered";
        assert_eq!(with(&[STEERED]), NEEDED);
        assert_eq!(with(&[STEERED, "workers.realtime_priority=10"]), NEEDED | CapabilitySet::SYS_NICE);
        assert_eq!(with(&[STEERED, "http.listen=127.0.0.1:80"]), NEEDED | CapabilitySet::NET_BIND_SERVICE);
        assert_eq!(with(&[STEERED, "ports=1000-2000"]), NEEDED | CapabilitySet::NET_BIND_SERVICE);
        for backend in ["auto", "af-xdp"] {
            assert_eq!(with(&[&format!("workers.backend={backend}")]), NEEDED | CapabilitySet::IPC_LOCK);
        }
    }
}
