//! Sending: whole frames by a packet socket where the way is known, else by the UDP socket.

#![allow(unsafe_code, reason = "runs borrow their packets by raw pointers")]

use core::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

use patchcord_relay::Transmit;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use super::control::Control;
use super::doors::Claim;
use super::frames::Frames;
use super::table::Table;
use crate::backend::Sender;
use crate::counters::{Counters, Io};
use crate::mmsg::{RUN_MAX, Run};
use crate::network::frame::Header;
use crate::network::hops::{Hops, Told};
use crate::network::{Way, default_ttl};

/// An address that is steered here and what is sent from it.
pub(crate) struct Opening {
    pub(super) claim: Claim,
    pub(super) control: Control,
    pub(super) dscp: u8,
    /// Since when it is steered here.
    pub(super) since: MonoTime,
    /// Where the last packet went.
    last: Option<Last>,
}

/// The headers of packets to one party.
struct Last {
    to: SocketAddr,
    /// [`Hops::version`] when this was made.
    version: u64,
    /// The interface and the headers; `None`: by the UDP socket.
    frame: Option<(u32, Header)>,
}

impl Opening {
    pub(super) fn new(claim: Claim, dscp: Option<u8>, since: MonoTime) -> Self {
        let control = Control::new(claim.addr, dscp);
        Self { claim, control, dscp: dscp.unwrap_or(0), since, last: None }
    }

    /// Index of the socket: 0 for IPv4, 1 for IPv6.
    fn family(&self) -> usize {
        usize::from(self.claim.addr.is_ipv6())
    }

    /// The interface and headers for packets to `to`, if the way is known.
    fn frame(&mut self, to: SocketAddr, hops: &mut Hops, ttl: u8) -> Option<&(u32, Header)> {
        let version = hops.version();
        if !self.last.as_ref().is_some_and(|last| last.to == to && last.version == version) {
            let from = self.claim.addr;
            // Which source address a wildcard has, the kernel decides.
            let hop = if from.ip().is_unspecified() { None } else { hops.get(Way { from: from.ip(), to: to.ip() }) };
            let frame = hop.and_then(|hop| Some((hop.interface, Header::new(&hop, from, to, self.dscp, ttl)?)));
            self.last = Some(Last { to, version, frame });
        }
        self.last.as_ref()?.frame.as_ref()
    }
}

/// The sockets and ports, which both directions need, and the sending half.
pub(crate) struct Outbound {
    /// IPv4 and IPv6.
    pub(crate) sockets: [Option<UdpSocket>; 2],
    ports: Box<[Option<Opening>]>,
    table: Table,
    /// Ports of each.
    open: [usize; 2],
    pub(crate) counters: Counters,
    hops: Hops,
    frames: Frames,
    /// Time to live of frames, as of everything that this host sends.
    ttl: u8,
    /// What goes by the UDP sockets, and how much of it has been put.
    runs: [(Box<Run>, usize); 2],
}

impl Outbound {
    pub(super) fn new(ports: usize, sockets: [Option<UdpSocket>; 2], hops: Hops, frames: Frames) -> Self {
        Self {
            sockets,
            ports: (0..ports).map(|_| None).collect(),
            table: Table::default(),
            open: [0; 2],
            counters: Counters::default(),
            hops,
            frames,
            ttl: default_ttl(),
            runs: [(Run::new(), 0), (Run::new(), 0)],
        }
    }

    /// Makes a port of an address. There must be none.
    pub(crate) fn open(&mut self, port: PortId, opening: Opening) {
        self.table.insert(opening.claim.addr, port);
        self.open[opening.family()] += 1;
        self.ports[port.index()] = Some(opening);
    }

    /// Forgets a port, if it is open, and gives its address back.
    pub(crate) fn close(&mut self, port: PortId) {
        if let Some(opening) = self.ports[port.index()].take() {
            self.table.remove(opening.claim.addr);
            self.open[opening.family()] -= 1;
        }
    }

    /// The socket of an address family, if there are ports that it receives for.
    pub(super) fn listening(&self, family: usize) -> Option<&UdpSocket> {
        self.sockets[family].as_ref().filter(|_| self.open[family] > 0)
    }

    /// The sockets to be watched: what is left for ports that are closed must not wake anybody.
    pub(crate) fn listening_fds(&self) -> [Option<RawFd>; 2] {
        [0, 1].map(|family| self.listening(family).map(AsRawFd::as_raw_fd))
    }

    /// The port that a datagram is for which was sent to `local` and arrived at `arrived`.
    pub(crate) fn port_at(&self, local: SocketAddr, arrived: MonoTime) -> Option<PortId> {
        let port = self.table.get(local)?;
        let opening = self.ports[port.index()].as_ref()?;
        (arrived >= opening.since).then_some(port)
    }

    /// Takes news of the ways to the parties.
    pub(crate) fn listen(&mut self) {
        let Self { hops, frames, .. } = self;
        hops.listen(|told| {
            if let Told::Hop(_, Some(hop)) = told {
                frames.open(hop.interface);
            }
            // With the next packet.
            false
        });
    }

    /// The interface and the headers that a packet leaves by, if it is to be a frame.
    pub(crate) fn frame(&mut self, packet: &Transmit<'_>) -> Option<&(u32, Header)> {
        let Self { ports, hops, ttl, .. } = self;
        let frame = ports.get_mut(packet.port.index())?.as_mut()?.frame(packet.to, hops, *ttl)?;
        frame.1.fits(packet.bytes.len()).then_some(frame)
    }

    /// Puts a packet into the run that it is sent with by [`Outbound::flush`].
    ///
    /// # Safety
    /// The packet must be where it is until then, and no port may be opened or closed.
    pub(crate) unsafe fn put(&mut self, packet: &Transmit<'_>) {
        let Self { ports, hops, frames, counters, ttl, .. } = self;
        let Some(opening) = ports.get_mut(packet.port.index()).and_then(Option::as_mut) else {
            counters.count(Io::SendNoPort);
            return;
        };
        if let Some((interface, header)) = opening.frame(packet.to, hops, *ttl)
            && header.fits(packet.bytes.len())
            // SAFETY: the packet is where it is until it is flushed.
            && unsafe { frames.put(*interface, header, packet.bytes, counters) }
        {
            return;
        }
        let family = opening.family();
        if self.runs[family].1 == RUN_MAX {
            self.flush_udp(family);
        }
        let (run, len) = &mut self.runs[family];
        let Some(opening) = &self.ports[packet.port.index()] else { return };
        run.put(*len, packet, opening.control.bytes());
        *len += 1;
    }

    /// Sends what was put.
    pub(crate) fn flush(&mut self) {
        self.frames.flush(&mut self.counters);
        self.flush_udp(0);
        self.flush_udp(1);
    }

    fn flush_udp(&mut self, family: usize) {
        let (run, len) = &mut self.runs[family];
        let len = core::mem::take(len);
        match &self.sockets[family] {
            _ if len == 0 => {}
            // SAFETY: `len` packets were put since the last flush, and are still where they were; so are their control messages, in
            // `ports`.
            Some(socket) => unsafe { run.send(socket.as_raw_fd(), len, &mut self.counters) },
            None => self.counters.add(Io::SendNoPort, len as u64),
        }
    }
}

impl Sender for Outbound {
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>) {
        for packet in packets {
            // SAFETY: flushed below, while the packet is still borrowed.
            unsafe { self.put(&packet) };
        }
        self.flush();
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}
