//! Sending: one sendmmsg for packets of all ports of an address family.

#![allow(unsafe_code, reason = "a run borrows its packets by raw pointers")]

use core::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use patchcord_relay::Transmit;
use patchcord_relay::ids::PortId;
use patchcord_relay::time::MonoTime;

use super::control::Control;
use super::doors::Claim;
use super::table::Table;
use crate::backend::Sender;
use crate::counters::{Counters, Io};
use crate::mmsg::{RUN_MAX, Run};

/// An address that is steered here and what is sent from it.
pub(crate) struct Opening {
    pub(super) claim: Claim,
    pub(super) control: Control,
    /// Since when it is steered here.
    pub(super) since: MonoTime,
}

/// The sockets and ports, which both directions need, and the sending half.
pub(crate) struct Outbound {
    /// IPv4 and IPv6.
    pub(super) sockets: [Option<UdpSocket>; 2],
    pub(super) ports: Box<[Option<Opening>]>,
    pub(super) table: Table,
    pub(super) counters: Counters,
    run: Box<Run>,
}

impl Outbound {
    pub(super) fn new(ports: usize, sockets: [Option<UdpSocket>; 2]) -> Self {
        Self {
            sockets,
            ports: (0..ports).map(|_| None).collect(),
            table: Table::default(),
            counters: Counters::default(),
            run: Run::new(),
        }
    }

    /// The port that a datagram is for which was sent to `local` and arrived at `arrived`.
    pub(super) fn port_at(&self, local: SocketAddr, arrived: MonoTime) -> Option<PortId> {
        let port = self.table.get(local)?;
        let opening = self.ports[port.index()].as_ref()?;
        (arrived >= opening.since).then_some(port)
    }
}

impl Sender for Outbound {
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>) {
        let Self { sockets, ports, counters, run, .. } = self;
        let mut packets = packets.peekable();
        while let Some(first) = packets.peek() {
            let family = |port: PortId| {
                let opening = ports.get(port.index())?.as_ref()?;
                Some((usize::from(opening.claim.addr.is_ipv6()), &opening.control))
            };
            let Some((index, _)) = family(first.port) else {
                packets.next();
                counters.count(Io::SendNoPort);
                continue;
            };
            let mut len = 0;
            while len < RUN_MAX
                && let Some(packet) = packets.next_if(|packet| family(packet.port).is_some_and(|(of, _)| of == index))
                && let Some((_, control)) = family(packet.port)
            {
                run.put(len, &packet, control.bytes());
                len += 1;
            }
            match &sockets[index] {
                // SAFETY: `len` packets were put just now; what the iterator gave out is borrowed beyond this call, and so are
                // the control messages in `ports`.
                Some(socket) => unsafe { run.send(socket.as_raw_fd(), len, counters) },
                None => counters.add(Io::SendNoPort, len as u64),
            }
        }
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}
