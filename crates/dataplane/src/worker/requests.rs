//! Requests: commands with the ports they need, and questions.

use core::ops::ControlFlow;
use std::io;

use patchcord_relay::command::{Command, LegSpec, Refusal};
use patchcord_relay::exchange::{Applied, Reply, Request};
use patchcord_relay::ids::{Component, LegId, PortId};

use super::Worker;
use crate::backend::{Backend, Sender};
use crate::socket::{self, SocketOptions};

/// The addresses of a leg that does not exist yet.
struct Bound<Opening> {
    leg: LegId,
    rtp: Opening,
    rtcp: Option<Opening>,
}

impl<B: Backend> Worker<B> {
    pub(super) fn answer(&mut self, request: Request) -> ControlFlow<()> {
        let reply = match request {
            Request::Apply { ticket, commands } => {
                self.apply(ticket, &commands);
                return ControlFlow::Continue(());
            }
            Request::Legs { ticket, legs } => {
                let now = self.clock.now();
                let legs = legs.into_iter().filter_map(|leg| self.shard.leg(leg, now)).collect();
                Reply::Legs { ticket, legs }
            }
            Request::Worker { ticket } => {
                let mut worker = Box::new(self.shard.worker());
                worker.backend = B::NAME.to_owned();
                worker.io = self.backend.sender().counters().named();
                Reply::Worker { ticket, worker }
            }
            Request::Shutdown => return ControlFlow::Break(()),
        };
        self.replies.send(reply, self.backend.sender().counters());
        ControlFlow::Continue(())
    }

    /// Opens the ports, applies the batch, and says what came of it. If any of it cannot be done, nothing is.
    fn apply(&mut self, ticket: u64, commands: &[Command]) {
        let result =
            bind_all(commands, |spec| self.bind(spec)).and_then(|bound| self.apply_bound(ticket, commands, bound));
        if let Err(refused) = result {
            self.replies.send(Reply::Applied { ticket, result: Err(refused) }, self.backend.sender().counters());
        }
    }

    fn bind(&mut self, spec: &LegSpec) -> Result<Bound<B::Opening>, Refusal> {
        let options = SocketOptions { dscp: spec.dscp.or(self.sockets.dscp), ..self.sockets };
        let mut open = |addr| {
            let bound = if self.shard.is_offloaded_for_another(addr) {
                Err(io::Error::from_raw_os_error(libc::EADDRINUSE))
            } else {
                self.backend.bind(addr, &options)
            };
            bound.map_err(|error| socket::refusal(addr, &error))
        };
        Ok(Bound { leg: spec.id, rtp: open(spec.local_rtp)?, rtcp: spec.local_rtcp.map(open).transpose()? })
    }

    fn apply_bound(
        &mut self,
        ticket: u64,
        commands: &[Command],
        bound: Vec<Bound<B::Opening>>,
    ) -> Result<(), (usize, Refusal)> {
        let now = self.clock.now();
        let mut outputs = self.shard.apply(commands, now)?;
        // A slot may have been freed and used again within the batch: first close, then open.
        let closed: Vec<PortId> = outputs.closed().iter().flat_map(|&slot| ports(slot)).collect();
        self.taps.forget(outputs.closed());
        self.backend.close(&closed);
        // The engine reports new legs in the order of the commands, in which they were bound.
        let mut bound = bound.into_iter();
        for &(leg, slot) in outputs.opened() {
            let Some(addresses) = bound.find(|bound| bound.leg == leg) else { continue };
            if is_removed(leg, commands) {
                continue;
            }
            let [rtp, rtcp] = ports(slot);
            self.backend.open(rtp, addresses.rtp);
            if let Some(opening) = addresses.rtcp {
                self.backend.open(rtcp, opening);
            }
        }
        let sender = self.backend.sender();
        if !self.taps.is_empty() {
            self.taps.sent(outputs.transmits(), now, &mut self.replies, sender.counters());
        }
        sender.send(outputs.transmits());
        self.replies.send(Reply::Applied { ticket, result: Ok(Applied { at: now }) }, sender.counters());
        self.replies.events(now, outputs.events(), sender.counters());
        self.media.take(outputs.hand_outs(), &mut self.replies, sender.counters());
        drop(outputs);
        self.taps.note(commands, &self.shard);
        Ok(())
    }
}

fn bind_all<Opening>(
    commands: &[Command],
    mut bind: impl FnMut(&LegSpec) -> Result<Bound<Opening>, Refusal>,
) -> Result<Vec<Bound<Opening>>, (usize, Refusal)> {
    let mut bound = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        if let Command::AddLeg(spec) = command {
            bound.push(bind(spec).map_err(|refusal| (index, refusal))?);
        }
    }
    Ok(bound)
}

/// Whether the batch that creates the leg also deletes it; ids are never used twice, so the order does not matter.
fn is_removed(leg: LegId, commands: &[Command]) -> bool {
    commands.iter().any(|command| matches!(command, Command::RemoveLeg { leg: removed } if *removed == leg))
}

const fn ports(slot: u32) -> [PortId; 2] {
    [PortId::new(slot, Component::Rtp), PortId::new(slot, Component::Rtcp)]
}
