//! Sending: one sendmmsg for neighbouring packets of one port.

#![allow(unsafe_code, reason = "a run borrows its packets by raw pointers")]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use patchcord_relay::Transmit;

use super::run::{RUN_MAX, Run};
use crate::backend::Sender;
use crate::counters::{Counters, Io};

/// A port's socket.
#[derive(Debug, Default)]
pub(super) struct Port {
    pub(super) socket: Option<UdpSocket>,
    /// `SO_RXQ_OVFL` as last seen.
    pub(super) dropped: u32,
}

/// The sockets, which both directions need, and the sending half.
pub(crate) struct Outbound {
    pub(super) ports: Box<[Port]>,
    pub(super) counters: Counters,
    run: Box<Run>,
}

impl Outbound {
    pub(super) fn new(ports: usize) -> Self {
        Self { ports: (0..ports).map(|_| Port::default()).collect(), counters: Counters::default(), run: Run::new() }
    }
}

impl Sender for Outbound {
    fn send<'p>(&mut self, packets: impl Iterator<Item = Transmit<'p>>) {
        let mut packets = packets.peekable();
        while let Some(first) = packets.next() {
            let Some(socket) = self.ports.get(first.port.index()).and_then(|port| port.socket.as_ref()) else {
                self.counters.count(Io::SendNoPort);
                continue;
            };
            let run = &mut *self.run;
            run.put(0, &first, &[]);
            let mut len = 1;
            while len < RUN_MAX
                && let Some(packet) = packets.next_if(|packet| packet.port == first.port)
            {
                run.put(len, &packet, &[]);
                len += 1;
            }
            // SAFETY: `len` packets were put just now; what the iterator gave out is borrowed beyond this call.
            unsafe { run.send(socket.as_raw_fd(), len, &mut self.counters) };
        }
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}
