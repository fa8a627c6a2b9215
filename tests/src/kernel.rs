//! What the kernel knows about the relay, whatever the relay says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those it starts from now on, open as many files as the hard limit allows: hundreds of calls need
/// more sockets than the usual 1024.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // The soft limit may always rise to the hard one; if not, the test fails where it opens one file too many.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Resident memory of a process in KiB (`VmRSS` of proc(5)).
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn resident_kib(process_id: u32) -> u64 {
    let path = format!("/proc/{process_id}/status");
    let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// One row of `/proc/net/udp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UdpPort {
    /// Bytes that wait to be read, with the kernel's own around them.
    pub receive_queue: u64,
    /// Datagrams dropped because the queue was full.
    pub drops: u64,
}

/// All UDP ports of IPv4 sockets in the network namespace that this thread is in.
///
/// # Panics
/// If `/proc` is not there.
#[must_use]
pub fn udp_ports() -> BTreeMap<u16, UdpPort> {
    let table = fs::read_to_string("/proc/thread-self/net/udp").expect("/proc is mounted");
    table.lines().skip(1).filter_map(row).collect()
}

/// Bytes that wait to be read from all UDP sockets of a process, whatever their ports are.
///
/// # Panics
/// If there is no such process, or it is somebody else's.
#[must_use]
pub fn unread_by(process_id: u32) -> u64 {
    let read = |what: &str| {
        let path = format!("/proc/{process_id}/{what}");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let open: BTreeSet<String> = fs::read_dir(format!("/proc/{process_id}/fd"))
        .expect("the process runs")
        .filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let tables = [read("net/udp"), read("net/udp6")];
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let mine = rows.filter(|line| {
        let inode = line.split_whitespace().nth(9).unwrap_or_default();
        open.contains(&format!("socket:[{inode}]"))
    });
    mine.filter_map(row).map(|(_, port)| port.receive_queue).sum()
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ref pointer drops`
fn row(line: &str) -> Option<(u16, UdpPort)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = u16::from_str_radix(fields.get(1)?.split_once(':')?.1, 16).ok()?;
    let receive_queue = u64::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok()?;
    let drops = fields.get(12)?.parse().ok()?;
    Some((port, UdpPort { receive_queue, drops }))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_full_queue_is_seen() -> std::io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        assert_eq!(udp_ports().get(&address.port()), Some(&UdpPort::default()));
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        for _ in 0..10_000 {
            sender.send_to(&[0; 1000], address)?;
        }
        let port = udp_ports()[&address.port()];
        assert!(port.drops > 0 && port.receive_queue > 0, "{port:?}");
        assert!(unread_by(std::process::id()) >= port.receive_queue);
        Ok(())
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_kib(std::process::id()) > 100);
    }
}
