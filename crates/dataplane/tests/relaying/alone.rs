//! A network namespace for one test: a steered port is no socket, so that among others the system may choose its number for somebody
//! else's socket, which then hears nothing.
//!
//! It is made without `ip`: a process that is started holds all open sockets until its program begins, and ports that a test
//! has seen closed would be busy for that time.

#![allow(unsafe_code, reason = "unshare and ioctl have no safe wrapper in std")]

use std::io;

/// Runs a test, and all threads that it starts, in a network namespace of its own with its loopback up. It takes root.
pub(crate) fn alone<T: Send>(test: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter()?;
            Ok(test())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn enter() -> io::Result<()> {
    let check = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    // SAFETY: takes an integer; it changes the calling thread only, which the test has to itself.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // struct ifreq: 16 bytes of name, then the flags.
    let mut request = [0_u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&(libc::IFF_UP as u16).to_ne_bytes());
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    // SAFETY: `request` is as long as a struct ifreq, which is all that this reads.
    check(unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, request.as_mut_ptr()) })?;
    Ok(())
}
