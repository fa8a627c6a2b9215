//! A UDP socket whose replies leave from the address that the request came to, also if it is bound to all of them.

use core::net::SocketAddr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for requests that come at once, bytes. The kernel may give less.
const RECEIVE_BUFFER_LEN: usize = 4 * 1024 * 1024;

/// A UDP socket for [`Server::udp`](super::Server::udp).
#[derive(Debug)]
pub struct UdpListener {
    socket: UdpSocket,
    /// It is bound to all addresses of the machine: each datagram is asked for the one that it came to.
    is_wildcard: bool,
}

/// Opens a socket. Replies leave from the address that the request came to.
///
/// # Errors
/// The address is in use, not of this machine, or not allowed.
pub async fn bind_udp(addr: SocketAddr) -> io::Result<UdpListener> {
    let socket = UdpSocket::bind(addr).await?;
    // Less room loses a request that will be repeated: no reason not to start.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_LEN);
    let is_wildcard = addr.ip().is_unspecified();
    if is_wildcard && addr.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else if is_wildcard {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(UdpListener { socket, is_wildcard })
}

/// The address of this machine that a datagram came to, as the kernel takes it for the reply.
#[derive(Clone, Copy)]
pub(super) enum Local {
    /// The one that the socket is bound to.
    Bound,
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl UdpListener {
    /// Where it listens.
    ///
    /// # Errors
    /// Only if the system is broken.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes a datagram if there is one: its length, who sent it, and where it came to.
    pub(super) fn try_receive(&self, datagram: &mut [u8]) -> io::Result<(usize, SocketAddr, Local)> {
        if !self.is_wildcard {
            return self.socket.try_recv_from(datagram).map(|(len, peer)| (len, peer, Local::Bound));
        }
        self.socket.try_io(Interest::READABLE, || {
            let mut space = cmsg_space!(in6_pktinfo, in_pktinfo);
            let mut parts = [IoSliceMut::new(datagram)];
            let received =
                recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
            let local = received.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(of_v4(info))),
                ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(of_v6(info))),
                _ => None,
            });
            let peer = received.address.as_ref().and_then(peer);
            let peer = peer.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
            Ok((received.bytes, peer, local.unwrap_or(Local::Bound)))
        })
    }

    /// Sends a reply from where its request came to.
    pub(super) async fn send(&self, reply: &[u8], peer: SocketAddr, local: Local) -> io::Result<()> {
        let message = match &local {
            Local::Bound => return self.socket.send_to(reply, peer).await.map(drop),
            Local::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Local::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        };
        let peer = SockaddrStorage::from(peer);
        let once = || {
            let parts = [IoSlice::new(reply)];
            Ok(sendmsg(self.socket.as_raw_fd(), &parts, &[message], MsgFlags::empty(), Some(&peer))?)
        };
        self.socket.async_io(Interest::WRITABLE, once).await.map(drop)
    }
}

/// The source address of a reply; the route chooses the interface.
fn of_v4(info: in_pktinfo) -> in_pktinfo {
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_spec_dst, ipi_addr: in_addr { s_addr: 0 } }
}

/// The source address of a reply; the route chooses the interface, unless the address means nothing without it.
fn of_v6(info: in6_pktinfo) -> in6_pktinfo {
    let is_link_local = info.ipi6_addr.s6_addr[0] == 0xfe && info.ipi6_addr.s6_addr[1] & 0xc0 == 0x80;
    in6_pktinfo { ipi6_addr: info.ipi6_addr, ipi6_ifindex: if is_link_local { info.ipi6_ifindex } else { 0 } }
}

fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}
