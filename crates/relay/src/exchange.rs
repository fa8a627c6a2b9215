//! What travels between the control plane and a worker. Neither knows the other: they know these values.

use core::net::SocketAddr;

use crate::command::{Command, Refusal};
use crate::event::Event;
use crate::ids::{AssociationId, Component, LegId};
use crate::snapshot::{LegSnapshot, WorkerSnapshot};
use crate::time::MonoTime;

/// Chosen by the asker; the answer carries it back.
pub type Ticket = u64;

/// To a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Apply a batch of commands, as a whole or not at all.
    Apply {
        /// Returned in [`Reply::Applied`].
        ticket: Ticket,
        /// In this order.
        commands: Vec<Command>,
    },
    /// Copy out the state of these legs.
    Legs {
        /// Returned in [`Reply::Legs`].
        ticket: Ticket,
        /// Unknown ones are left out of the answer.
        legs: Vec<LegId>,
    },
    /// Copy out the worker's counters.
    Worker {
        /// Returned in [`Reply::Worker`].
        ticket: Ticket,
    },
    /// Stop after the current batch; sockets are closed.
    Shutdown,
}

/// From a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The batch was applied or refused.
    Applied {
        /// Of the request.
        ticket: Ticket,
        /// When the engine did it; or why it did not, with the index of the command that could not be done.
        result: Result<Applied, (usize, Refusal)>,
    },
    /// Answer to [`Request::Legs`].
    Legs {
        /// Of the request.
        ticket: Ticket,
        /// In the order of the request.
        legs: Vec<LegSnapshot>,
    },
    /// Answer to [`Request::Worker`].
    Worker {
        /// Of the request.
        ticket: Ticket,
        /// The counters.
        worker: Box<WorkerSnapshot>,
    },
    /// A datagram of DTLS has come, unasked.
    Handshake {
        /// The leg.
        leg: LegId,
        /// The leg's association.
        association: AssociationId,
        /// Who sent it.
        from: SocketAddr,
        /// UDP payload.
        datagram: Box<[u8]>,
    },
    /// A datagram of a leg that is tapped ([`Command::SetTapped`]), unasked.
    Tapped(Box<Tapped>),
    /// A packet that the party of a recorded leg has sent ([`Command::SetOverheard`]), unasked.
    Overheard(Box<Overheard>),
    /// Something happened, unasked.
    Event {
        /// When.
        at: MonoTime,
        /// What.
        event: Event,
    },
}

/// A datagram as it was on the wire, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    /// Whose port.
    pub leg: LegId,
    /// Which of its ports.
    pub component: Component,
    /// It came to the port; else it left from there.
    pub received: bool,
    /// Who sent it, or is sent it.
    pub remote: SocketAddr,
    /// When it arrived, or left.
    pub at: MonoTime,
    /// UDP payload.
    pub datagram: Box<[u8]>,
}

/// A packet that a party has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overheard {
    /// Whose party.
    pub leg: LegId,
    /// When it arrived.
    pub at: MonoTime,
    /// RTP, not encrypted.
    pub rtp: Box<[u8]>,
}

/// A batch that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Between which two batches of packets: the worker's time at which all of it was in force.
    pub at: MonoTime,
}
