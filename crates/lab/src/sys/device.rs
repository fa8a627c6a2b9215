//! Settings of network devices that `ip` does not know.

use std::ffi::CString;
use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use super::checked;

/// What a device can be told to do or not to do (linux/ethtool.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Generic receive offload: on a veth it is what makes it accept frames of XDP.
    Gro,
    /// Leaving checksums to the device, which on a veth are then never computed.
    SendChecksums,
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Switches a feature of a device of the calling thread's network namespace on or off.
pub(crate) fn set_feature(device: &str, feature: Feature, on: bool) -> io::Result<()> {
    const ETHTOOL_STXCSUM: u32 = 0x17;
    const ETHTOOL_SGRO: u32 = 0x2c;
    let command = match feature {
        Feature::Gro => ETHTOOL_SGRO,
        Feature::SendChecksums => ETHTOOL_STXCSUM,
    };
    let mut value = Value { command, data: u32::from(on) };
    // SAFETY: all zeros are a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = ptr::from_mut(&mut value).cast();
    // Any socket of the namespace will do.
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: the request and the value that it points to live until the call returns.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) })?;
    Ok(())
}

/// The index of a device of the calling thread's network namespace.
pub(crate) fn device_index(device: &str) -> io::Result<u32> {
    let name = CString::new(device)?;
    // SAFETY: the name ends with a zero and lives until the call returns.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(io::Error::last_os_error()) } else { Ok(index) }
}
