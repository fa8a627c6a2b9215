//! Questions to the kernel about routes, neighbours and interfaces (rtnetlink(7)), and its news of them.

use core::net::IpAddr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::sys::socket::{
    AddressFamily as Family, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use super::Mac;

/// Larger than what any answer here takes.
const ANSWER_BYTES: usize = 32 << 10;

/// A route to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) interface: u32,
    /// The router, or the destination itself where there is none.
    pub(super) neighbour: IpAddr,
    /// If the route has one of its own.
    pub(super) mtu: Option<u32>,
}

/// An interface that takes Ethernet frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) address: Mac,
    pub(super) mtu: u32,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A neighbour has this hardware address now, or none.
    Neighbour { interface: u32, ip: IpAddr, address: Option<Mac> },
    /// An interface is gone or down.
    Down { interface: u32 },
    /// Anything else that ways may depend on: routes, rules, addresses, interfaces.
    Other,
}

/// A socket to the kernel.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl Netlink {
    /// For questions.
    pub(super) fn new() -> io::Result<Self> {
        Self::with_groups(0, SockFlag::SOCK_CLOEXEC)
    }

    /// For news.
    pub(super) fn listening() -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_NEIGH
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV4_RULE
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV6_ROUTE;
        // RTMGRP_IPV6_RULE does not fit into what this call takes; rules come with routes that they lead to.
        Self::with_groups(groups as u32, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)
    }

    /// For news of interfaces alone.
    pub(crate) fn listening_for_links() -> io::Result<Self> {
        Self::with_groups(libc::RTMGRP_LINK as u32, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)
    }

    fn with_groups(groups: u32, flags: SockFlag) -> io::Result<Self> {
        let socket = socket(Family::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; ANSWER_BYTES].into() })
    }

    /// The route that the kernel would take, policy routing included. `None`: it is no neighbour's to pass on (this host's own
    /// addresses, multicast, unreachable).
    pub(super) fn route(&mut self, from: IpAddr, to: IpAddr) -> io::Result<Option<Route>> {
        let mut message = RouteMessage::default();
        let (family, bits) = if to.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
        message.header.address_family = family;
        message.header.destination_prefix_length = bits;
        message.attributes.push(RouteAttribute::Destination(to.into()));
        if !from.is_unspecified() {
            message.header.source_prefix_length = bits;
            message.attributes.push(RouteAttribute::Source(from.into()));
        }
        let answer = match self.ask(RouteNetlinkMessage::GetRoute(message)) {
            Ok(RouteNetlinkMessage::NewRoute(answer)) => answer,
            Ok(_) => return Ok(None),
            // No route, or a prohibited one.
            Err(error) if is_unreachable(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        if answer.header.kind != RouteType::Unicast {
            return Ok(None);
        }
        let (mut interface, mut neighbour, mut mtu) = (None, to, None);
        for attribute in answer.attributes {
            match attribute {
                RouteAttribute::Oif(index) => interface = Some(index),
                RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => {
                    neighbour = ip.into();
                }
                RouteAttribute::Gateway(RouteAddress::Inet6(ip)) | RouteAttribute::Via(RouteVia::Inet6(ip)) => {
                    neighbour = ip.into();
                }
                RouteAttribute::Metrics(metrics) => {
                    mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        Ok(interface.map(|interface| Route { interface, neighbour, mtu }))
    }

    /// The hardware address of a neighbour, if the kernel knows it.
    pub(super) fn neighbour(&mut self, interface: u32, ip: IpAddr) -> io::Result<Option<Mac>> {
        let mut message = NeighbourMessage::default();
        message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.ifindex = interface;
        message.attributes.push(NeighbourAttribute::Destination(match ip {
            IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
            IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
        }));
        match self.ask(RouteNetlinkMessage::GetNeighbour(message)) {
            Ok(RouteNetlinkMessage::NewNeighbour(answer)) => Ok(usable(&answer)),
            Ok(_) => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) || is_unreachable(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An interface; `None` if it is down, gone, or no Ethernet.
    pub(super) fn link(&mut self, interface: u32) -> io::Result<Option<Link>> {
        let mut message = LinkMessage::default();
        message.header.index = interface;
        match self.ask(RouteNetlinkMessage::GetLink(message)) {
            Ok(RouteNetlinkMessage::NewLink(answer)) => Ok(ethernet(&answer)),
            Ok(_) => Ok(None),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the news that have come, without waiting. What could not be kept or read counts as [`News::Other`].
    pub(crate) fn news(&mut self, mut each: impl FnMut(News)) {
        loop {
            let len = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => len,
                // The kernel had more than it could keep for us.
                Err(nix::errno::Errno::ENOBUFS) => {
                    each(News::Other);
                    continue;
                }
                Err(_) => return,
            };
            let mut rest = &self.buffer[..len];
            while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) {
                each(read(&message.payload));
                let len = (message.header.length as usize).next_multiple_of(4).max(4);
                rest = rest.get(len..).unwrap_or_default();
            }
        }
    }

    fn ask(&mut self, question: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        send(self.socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        loop {
            let len = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&self.buffer[..len])
                .map_err(|error| io::Error::other(format!("the kernel's answer cannot be read: {error}")))?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(message) => Ok(message),
                NetlinkPayload::Error(error) => Err(error.to_io()),
                _ => Err(io::Error::other("the kernel gave no answer")),
            };
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    const UNREACHABLE: [i32; 4] = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL];
    error.raw_os_error().is_some_and(|errno| UNREACHABLE.contains(&errno))
}

fn read(payload: &NetlinkPayload<RouteNetlinkMessage>) -> News {
    let NetlinkPayload::InnerMessage(message) = payload else { return News::Other };
    match message {
        RouteNetlinkMessage::NewNeighbour(neighbour) => about(neighbour, usable(neighbour)),
        RouteNetlinkMessage::DelNeighbour(neighbour) => about(neighbour, None),
        RouteNetlinkMessage::DelLink(link) => News::Down { interface: link.header.index },
        RouteNetlinkMessage::NewLink(link) if ethernet(link).is_none() => News::Down { interface: link.header.index },
        _ => News::Other,
    }
}

fn about(neighbour: &NeighbourMessage, address: Option<Mac>) -> News {
    let ip = neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::from(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::from(*ip)),
        _ => None,
    });
    ip.map_or(News::Other, |ip| News::Neighbour { interface: neighbour.header.ifindex, ip, address })
}

/// The hardware address, as long as the kernel would send to it.
fn usable(neighbour: &NeighbourMessage) -> Option<Mac> {
    if matches!(neighbour.header.state, NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::None) {
        return None;
    }
    neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::try_from(bytes.as_slice()).ok(),
        _ => None,
    })
}

fn ethernet(link: &LinkMessage) -> Option<Link> {
    if link.header.link_layer_type != LinkLayerType::Ether || !link.header.flags.contains(LinkFlags::Up) {
        return None;
    }
    let (mut address, mut mtu) = (None, 1500);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => address = Mac::try_from(bytes.as_slice()).ok(),
            LinkAttribute::Mtu(bytes) => mtu = *bytes,
            _ => {}
        }
    }
    address.map(|address| Link { address, mtu })
}

#[cfg(test)]
mod tests {
    use super::Netlink;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    #[test]
    fn this_hosts_own_addresses_have_no_next_hop() {
        let mut netlink = Netlink::new().expect("a netlink socket takes no privilege");
        for (from, to) in [
            (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv4Addr::LOCALHOST)),
            (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        ] {
            assert_eq!(netlink.route(from, to).expect("an answer"), None, "{from} to {to}");
        }
        // The loopback is no Ethernet, and its neighbours have no addresses; nor does an interface that does not exist.
        assert_eq!(netlink.link(1).expect("an answer"), None);
        assert_eq!(netlink.link(999_999).expect("an answer"), None);
    }
}
