//! What an interface can do with XDP: the generic netlink family `netdev` (`Documentation/netlink/specs/netdev.yaml`, Linux 6.3).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// `struct nlmsghdr` and `struct genlmsghdr`.
const HEADER_BYTES: usize = 20;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// The family that knows of the families (`GENL_ID_CTRL`), its question for one by name, and the attributes of that.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `NETDEV_CMD_DEV_GET`, and its attributes.
const GET_DEVICE: u8 = 1;
const INTERFACE: u16 = 1;
const XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_NDO_XMIT`
const TAKES_FRAMES: u64 = 4;
/// `NETDEV_XDP_ACT_XSK_ZEROCOPY`
const COPIES_NOTHING: u64 = 8;

/// Whether an interface sends on what an XDP program in a driver gives it; what it does not, it drops and tells nobody. For a veth that
/// depends on its other end.
///
/// # Errors
/// `ENOENT`: the kernel is older than Linux 6.3 and does not say; `ENODEV`: there is no such interface.
pub(crate) fn takes_frames(interface: u32) -> io::Result<bool> {
    Ok(features(interface)? & TAKES_FRAMES != 0)
}

/// Whether its driver can read and write the memory of AF_XDP sockets itself.
///
/// # Errors
/// As [`takes_frames`].
pub(crate) fn copies_nothing(interface: u32) -> io::Result<bool> {
    Ok(features(interface)? & COPIES_NOTHING != 0)
}

fn features(interface: u32) -> io::Result<u64> {
    let mut socket = Generic::new()?;
    let family = socket.ask(CONTROLLER, GET_FAMILY, FAMILY_NAME, b"netdev\0")?;
    let family = attribute(&family, FAMILY_ID).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let family = family.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let device = socket.ask(family, GET_DEVICE, INTERFACE, &interface.to_ne_bytes())?;
    let features = attribute(&device, XDP_FEATURES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
    Ok(features.unwrap_or(0))
}

struct Generic {
    socket: OwnedFd,
    buffer: Box<[u8]>,
}

impl Generic {
    fn new() -> io::Result<Self> {
        let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkGeneric)?;
        Ok(Self { socket, buffer: vec![0; 16 << 10].into() })
    }

    /// One question with one attribute; the attributes of the answer.
    fn ask(&mut self, family: u16, command: u8, attribute: u16, value: &[u8]) -> io::Result<Vec<u8>> {
        let attribute_len = 4 + value.len();
        let len = HEADER_BYTES + attribute_len.next_multiple_of(4);
        let mut message = Vec::with_capacity(len);
        message.extend((len as u32).to_ne_bytes());
        message.extend(family.to_ne_bytes());
        message.extend(REQUEST.to_ne_bytes());
        // Sequence number and port: there is one question at a time.
        message.extend([0; 8]);
        message.extend([command, 1, 0, 0]);
        message.extend((attribute_len as u16).to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(value);
        message.resize(len, 0);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let len = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        let answer = self.buffer.get(..len).filter(|answer| answer.len() >= HEADER_BYTES);
        let answer = answer.ok_or_else(|| io::Error::other("the kernel's answer is too short"))?;
        if u16::from_ne_bytes([answer[4], answer[5]]) == ERROR {
            let errno = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
            return Err(io::Error::from_raw_os_error(-errno));
        }
        Ok(answer[HEADER_BYTES..].to_vec())
    }
}

/// The value of an attribute, if it is among these.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let [len0, len1, kind0, kind1, ..] = *attributes else { return None };
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        let value = attributes.get(4..len)?;
        if u16::from_ne_bytes([kind0, kind1]) == wanted {
            return Some(value);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{attribute, takes_frames};

    #[test]
    fn attributes_are_found_by_number_and_garbage_has_none() {
        let attributes = [5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 3, 0, 1, 2, 3, 4];
        assert_eq!(attribute(&attributes, 1), Some(&[9][..]));
        assert_eq!(attribute(&attributes, 3), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&attributes, 2), None);
        assert_eq!(attribute(&[200, 0, 3, 0, 1], 3), None);
        assert_eq!(attribute(&[0, 0, 1, 0, 0, 0, 0, 0], 7), None);
    }

    #[test]
    fn the_loopback_takes_no_frames_and_what_is_not_there_is_an_error() {
        match takes_frames(1) {
            // An older kernel.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            answer => {
                assert!(!answer.expect("an answer"));
                assert_eq!(takes_frames(999_999).expect_err("no interface").raw_os_error(), Some(libc::ENODEV));
            }
        }
    }
}
