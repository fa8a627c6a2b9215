//! UDP sockets as the data plane wants them.

#![allow(unsafe_code, reason = "SO_TIMESTAMPNS, SO_RXQ_OVFL, SO_*BUFFORCE and SO_MEMINFO are not in socket2")]

use core::net::SocketAddr;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd};

use patchcord_relay::command::Refusal;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How every socket of a worker is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// `SO_RCVBUF`; the kernel doubles it for its own overhead.
    pub(crate) receive_buffer_bytes: usize,
    /// `SO_SNDBUF`, likewise.
    pub(crate) send_buffer_bytes: usize,
    /// Differentiated services code point of what is sent (RFC 2474).
    pub(crate) dscp: Option<u8>,
}

/// A nonblocking socket on `addr` that reports receive timestamps and its drops.
///
/// # Errors
/// The address cannot be bound. Everything else that a kernel may refuse (buffer sizes, timestamps, DSCP) the relay can
/// do without.
pub(crate) fn bind(addr: SocketAddr, options: &SocketOptions) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        // An IPv6 socket that also took IPv4 would make two spellings of one port.
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    optional("SO_RCVBUF", receive_buffer(&socket, options.receive_buffer_bytes));
    optional("SO_SNDBUF", send_buffer(&socket, options.send_buffer_bytes));
    optional("SO_TIMESTAMPNS", set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1));
    optional("SO_RXQ_OVFL", set(&socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1));
    if let Some(dscp) = options.dscp {
        // RFC 2474 3: the code point is the upper six bits of the former TOS byte.
        let tos = i32::from(dscp) << 2;
        let (level, name) =
            if addr.is_ipv6() { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
        optional("IP_TOS", set(&socket, level, name, tos));
    }
    Ok(socket.into())
}

/// A nonblocking socket on `addr` for the datagrams of many ports: it reports which port each was sent to, and takes the source
/// port of each that it sends where a departure time would stand (see `bpf/egress.c`).
///
/// # Errors
/// As [`bind`], or the kernel lacks one of these options.
pub(crate) fn bind_steered(addr: SocketAddr, options: &SocketOptions) -> io::Result<UdpSocket> {
    let socket = bind(addr, options)?;
    let raw = SockRef::from(&socket);
    let (level, name) = if addr.is_ipv4() {
        (libc::SOL_IP, libc::IP_RECVORIGDSTADDR)
    } else {
        (libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR)
    };
    set(&raw, level, name, 1)?;
    set(&raw, libc::SOL_SOCKET, libc::SO_TXTIME, libc::sock_txtime { clockid: libc::CLOCK_MONOTONIC, flags: 0 })?;
    Ok(socket)
}

/// What the kernel calls the socket, in all its tables and for good (`SO_COOKIE`).
pub(crate) fn cookie(socket: &UdpSocket) -> io::Result<u64> {
    SockRef::from(socket).cookie()
}

/// The refusal of a leg whose port cannot be opened, with what to do about it.
pub(crate) fn refusal(addr: SocketAddr, error: &io::Error) -> Refusal {
    let errno = error.raw_os_error();
    let advice = match errno {
        Some(libc::EADDRINUSE) => "; another socket has the port",
        Some(libc::EADDRNOTAVAIL) => "; no interface of this host has the address",
        Some(libc::EACCES) => "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE",
        Some(libc::EMFILE) => "; raise the limit of open files (LimitNOFILE, ulimit -n)",
        Some(libc::ENOBUFS) => "; as many ports are open as the workers have legs for (limits.legs)",
        Some(libc::ENFILE) => "; raise the system's limit of open files (sysctl fs.file-max)",
        _ => "",
    };
    Refusal::PortUnavailable { addr, reason: format!("{error}{advice}"), busy: errno == Some(libc::EADDRINUSE) }
}

/// Datagrams that the socket has dropped in its life because its queue was full.
pub(crate) fn dropped(socket: &UdpSocket) -> Option<u32> {
    // linux/sock_diag.h: the array of SO_MEMINFO, SK_MEMINFO_DROPS being its ninth and last element.
    let mut info = [0_u32; 9];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` has room for `len` bytes; both are valid for writes during the call.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    (result == 0 && len as usize == size_of_val(&info)).then_some(info[8])
}

/// Gives the receive queue another size, as in `SO_RCVBUF`. What is in it stays, even if it no longer fits.
pub(crate) fn resize_queue(socket: &UdpSocket, bytes: usize) {
    optional("SO_RCVBUF", receive_buffer(&SockRef::from(socket), bytes));
}

/// Lifts the soft limit of open files to the hard one: each leg needs one or two sockets, and 1024, the usual soft limit,
/// is there for the sake of `select`, which nobody here calls.
pub(crate) fn raise_file_limit() {
    raise_limit(libc::RLIMIT_NOFILE);
}

/// Likewise for locked memory, which is what AF_XDP sockets receive into. Whoever has `CAP_IPC_LOCK` has no limit.
pub(crate) fn raise_memory_limit() {
    raise_limit(libc::RLIMIT_MEMLOCK);
}

fn raise_limit(resource: libc::__rlimit_resource_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to write to.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 || limit.rlim_cur >= limit.rlim_max {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit to read from.
    if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "cannot raise the limit of open files or locked memory");
    }
}

/// Has the kernel make its table of open files as large as it may become. It doubles it otherwise when it is full, and a process
/// with threads waits some 15 ms for all CPUs each time (`expand_fdtable` in linux/fs/file.c).
pub(crate) fn grow_file_table() {
    /// Entries at most: sockets of 16,000 calls.
    const ENTRIES_MAX: u64 = 1 << 16;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to write to.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    let last = libc::c_int::try_from(limit.rlim_cur.min(ENTRIES_MAX)).unwrap_or(1) - 1;
    let Ok(file) = std::fs::File::open("/dev/null") else { return };
    // SAFETY: `file` is open; the call takes and gives integers.
    let highest = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, last) };
    if highest >= 0 {
        // SAFETY: the descriptor was made just above and belongs to nobody else.
        drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(highest) });
    }
}

/// Beyond `net.core.rmem_max` if `CAP_NET_ADMIN` allows it, else as far as that. One system call where it does: a call opens four
/// sockets, and thousands of calls may begin in a second.
fn receive_buffer(socket: &Socket, bytes: usize) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, i32::try_from(bytes).unwrap_or(i32::MAX))
        .or_else(|_| socket.set_recv_buffer_size(bytes))
}

/// Likewise.
fn send_buffer(socket: &Socket, bytes: usize) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, i32::try_from(bytes).unwrap_or(i32::MAX))
        .or_else(|_| socket.set_send_buffer_size(bytes))
}

/// `value` is what the option takes: an int for most.
fn set<T: Copy>(socket: &Socket, level: libc::c_int, name: libc::c_int, value: T) -> io::Result<()> {
    // SAFETY: pointer and length describe `value`, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn optional(option: &'static str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(option, %error, "socket option not available");
    }
}

#[cfg(test)]
mod tests {
    use super::{SocketOptions, bind, dropped, refusal};
    use patchcord_relay::command::Refusal;
    use socket2::SockRef;

    const OPTIONS: SocketOptions =
        SocketOptions { receive_buffer_bytes: 16 << 10, send_buffer_bytes: 16 << 10, dscp: Some(46) };

    #[test]
    fn options_reach_the_socket() {
        let v4 = bind("127.0.0.1:0".parse().expect("a literal"), &OPTIONS).expect("loopback");
        assert_eq!(SockRef::from(&v4).tos_v4().expect("IP_TOS"), 46 << 2);
        assert!(SockRef::from(&v4).recv_buffer_size().expect("SO_RCVBUF") >= 16 << 10);
        let v6 = bind("[::1]:0".parse().expect("a literal"), &OPTIONS).expect("loopback");
        assert_eq!(SockRef::from(&v6).tclass_v6().expect("IPV6_TCLASS"), 46 << 2);
        assert!(SockRef::from(&v6).only_v6().expect("IPV6_V6ONLY"));
    }

    #[test]
    fn a_busy_port_is_called_busy() {
        let first = bind("127.0.0.1:0".parse().expect("a literal"), &OPTIONS).expect("loopback");
        let addr = first.local_addr().expect("bound");
        let error = bind(addr, &OPTIONS).expect_err("the port is taken");
        assert!(matches!(refusal(addr, &error), Refusal::PortUnavailable { busy: true, .. }));
        let foreign = "192.0.2.1:9".parse().expect("a literal");
        let error = bind(foreign, &OPTIONS).expect_err("a documentation address");
        assert!(matches!(refusal(foreign, &error), Refusal::PortUnavailable { busy: false, .. }));
    }

    #[test]
    fn a_full_queue_shows_as_drops() {
        let socket = bind("127.0.0.1:0".parse().expect("a literal"), &OPTIONS).expect("loopback");
        assert_eq!(dropped(&socket), Some(0));
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
        for _ in 0..1000 {
            sender.send_to(&[0; 1000], socket.local_addr().expect("bound")).expect("loopback takes it");
        }
        assert!(dropped(&socket).expect("SO_MEMINFO") > 0);
    }
}
