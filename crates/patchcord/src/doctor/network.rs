//! Addresses and ports.

use std::net::{TcpListener, UdpSocket};

use patchcord_dataplane::probe;

use super::finding::Finding;
use super::machine::Machine;
use crate::config::{Config, PortRange};

pub(super) fn examine(machine: &Machine, config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config.interfaces.iter().map(interface).collect();
    findings.push(port_range(machine, config.ports));
    findings.push(http(config));
    findings
}

fn interface(interface: &crate::config::Interface) -> Finding {
    const CHECK: &str = "interface";
    match UdpSocket::bind((interface.address, 0)) {
        Ok(_) if interface.address.is_loopback() => {
            Finding::ok(CHECK, format!("{interface}: loopback, reachable from this machine only"))
        }
        Ok(_) => Finding::ok(CHECK, interface.to_string()),
        Err(error) => Finding::fail(
            CHECK,
            interface.to_string(),
            format!("cannot open a socket on {}: {error}", interface.address),
            "name an address that `ip addr` shows; the public one of a NAT goes behind the `!`",
        ),
    }
}

fn port_range(machine: &Machine, ports: PortRange) -> Finding {
    const CHECK: &str = "port range";
    const SYSCTL: &str = "net.ipv4.ip_local_port_range";
    let Some(text) = machine.sysctl(SYSCTL) else { return Finding::ok(CHECK, format!("{ports}")) };
    let local: Option<PortRange> = text.split_whitespace().collect::<Vec<_>>().join("-").parse().ok();
    let reserved = machine.sysctl("net.ipv4.ip_local_reserved_ports").unwrap_or_default();
    let found = format!("{ports}; {SYSCTL} = {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    match local {
        Some(_) if probe::gives_out(&text, &reserved, ports.first, ports.last) => Finding::warn(
            CHECK,
            found,
            "other programs' outgoing connections can take ports of ours; each such port is skipped, at the cost of a retry, \
             and --backend auto does without steered sockets",
            format!("sysctl -w net.ipv4.ip_local_reserved_ports={ports}, and the same line in /etc/sysctl.d"),
        ),
        Some(local) if local.overlaps(ports) => Finding::ok(CHECK, format!("{found}, reserved: {reserved}")),
        _ => Finding::ok(CHECK, found),
    }
}

fn http(config: &Config) -> Finding {
    const CHECK: &str = "HTTP address";
    let listen = config.http.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok(CHECK, format!("{listen} is free")),
        Err(error) => Finding::warn(
            CHECK,
            listen.to_string(),
            format!("cannot listen there: {error}; perhaps a relay is running already"),
            "end the other program, or choose another address with --http",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn an_overlap_with_the_local_ports_is_found_unless_reserved() {
        let root = std::env::temp_dir().join(format!("patchcord-doctor-network-{}", std::process::id()));
        let folder = root.join("proc/sys/net/ipv4");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("ip_local_port_range"), "32768\t60999\n").expect("a file");
        std::fs::write(folder.join("ip_local_reserved_ports"), "\n").expect("a file");
        let machine = Machine::at(&root);
        let state = |ports: &str| port_range(&machine, ports.parse().expect("a range")).state;
        let overlapping = state("30000-40000");
        let apart = state("20000-30000");
        std::fs::write(folder.join("ip_local_reserved_ports"), "8000,30000-40000\n").expect("a file");
        let reserved = state("30000-40000");
        std::fs::remove_dir_all(&root).expect("the folder is ours");
        assert_eq!((overlapping, apart, reserved), (State::Warn, State::Ok, State::Ok));
    }

    #[test]
    fn an_address_that_is_not_ours_fails() {
        // TEST-NET-1 (RFC 5737) is nobody's.
        let foreign = "192.0.2.1".parse().expect("an interface");
        assert_eq!(interface(&foreign).state, State::Fail);
        let ours = "127.0.0.1".parse().expect("an interface");
        assert_eq!(interface(&ours).state, State::Ok);
    }
}
