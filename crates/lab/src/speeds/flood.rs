//! A generator and its sinks, with or without a relay between them.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use super::bed::{self, Bed};
use super::{Settings, Speed};
use crate::frames::{
    Arrivals, Batch, Expected, FramesError, Generator, Host, SentFrames, Sink, Span, StreamPlan, port,
};
use crate::netns::Mac;
use crate::peer::relay::{self, Process};
use crate::peer::{CallPlan, PeerError, Topology, cpu};

/// Frames on their way to sinks. The rate is 0 at first.
pub(super) struct Flood {
    generator: Generator,
    sinks: Vec<Sink>,
    /// The relay, if there is one.
    pub(super) process: Option<Process>,
    /// Time that it took to set all calls up.
    pub(super) set_up: Duration,
    /// Memory of the relay before its first call and with all calls, in KiB.
    pub(super) rss_kib: [u64; 2],
}

impl Flood {
    /// Starts a relay and gives it its calls.
    pub(super) fn through(speed: &Speed, bed: &Bed, settings: &Settings, calls: u32) -> Result<Self, PeerError> {
        let relay = speed.relay(calls, settings.callee_suite);
        let tag_len = settings.callee_suite.map(|suite| suite.rtp_tag_len() as u32);
        let at_callees = tag_len.map_or(Expected::Rtp, |tag_len| Expected::Srtp { tag_len });
        let sinks = bed.party_ends().into_iter().zip([Expected::Rtp, at_callees]);
        let sinks = sinks.map(|(end, expected)| Sink::attach(end, calls, expected)).collect::<Result<Vec<_>, _>>()?;
        let process = Process::start(&*relay, &bed.topology, settings.relay_cpu)?;
        let empty_kib = cpu::resident_kib(process.id());
        let begun = Instant::now();
        let ports = bed.topology.relay.run(|| {
            let party = |ip, number| Ok::<_, FramesError>(SocketAddr::new(ip, numbered(number)?));
            (0..calls)
                .map(|number| {
                    let caller = party(Topology::CALLER, number)?;
                    let callee = party(Topology::CALLEE, number)?;
                    relay.create_call(&CallPlan { number, caller, callee })
                })
                .collect::<Result<Vec<_>, PeerError>>()
        })??;
        let set_up = begun.elapsed();
        let mut plans = Vec::new();
        for (number, ports) in (0..).zip(&ports) {
            for ((device, from, next_hop), to) in senders(settings)?.into_iter().zip([ports.to_caller, ports.to_callee])
            {
                let to = SocketAddrV4::new(bed::v4(to.ip())?, to.port());
                plans.push(StreamPlan { from, number, next_hop, to, device });
            }
        }
        let generator = Generator::start(&plans, &bed.party_ends(), Some(settings.load_cpu))?;
        let rss_kib = [empty_kib, cpu::resident_kib(process.id())];
        Ok(Self { generator, sinks, process: Some(process), set_up, rss_kib })
    }

    /// Straight to sinks where the relay would be: what generator and sinks cost by themselves.
    pub(super) fn without_relay(bed: &Bed, settings: &Settings, calls: u32) -> Result<Self, PeerError> {
        let sinks = bed.relay_ends().map(|end| Sink::attach(end, calls, Expected::Rtp));
        let mut plans = Vec::new();
        for number in 0..calls {
            for (device, from, next_hop) in senders(settings)? {
                let to = SocketAddrV4::new(from.ip, numbered(number)?);
                plans.push(StreamPlan { from, number, next_hop, to, device });
            }
        }
        let generator = Generator::start(&plans, &bed.party_ends(), Some(settings.load_cpu))?;
        let sinks = sinks.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self { generator, sinks, process: None, set_up: Duration::ZERO, rss_kib: [0, 0] })
    }

    /// For what follows, rates or latencies.
    pub(super) fn set_batch(&mut self, batch: Batch) -> Result<(), FramesError> {
        self.generator.set_batch(batch)
    }

    /// Sends at a rate for a while, unmeasured.
    pub(super) fn run_at(&mut self, packets_per_s: u32, time: Duration) -> Result<(), PeerError> {
        self.generator.set_packets_per_s(f64::from(packets_per_s))?;
        relay::pause(time)?;
        self.still_runs()
    }

    pub(super) fn still_runs(&mut self) -> Result<(), PeerError> {
        self.process.as_mut().map_or(Ok(()), Process::still_runs)
    }

    pub(super) fn count_in(&mut self, span: Span) -> Result<(), FramesError> {
        self.generator.count_in(span)?;
        self.sinks.iter_mut().try_for_each(|sink| sink.count_in(span))
    }

    /// What was sent, and what has arrived at all sinks.
    pub(super) fn counted(&self) -> Result<(SentFrames, Arrivals), FramesError> {
        let sent = self.generator.sent()?;
        let mut all = Arrivals::default();
        for sink in &self.sinks {
            all.add(&sink.arrivals()?);
        }
        Ok((sent, all))
    }
}

/// Who sends: the device, the party, and the relay's Ethernet address for it.
fn senders(settings: &Settings) -> Result<Vec<(u16, Host, Mac)>, FramesError> {
    let parties = (0..).zip(Bed::parties()?).map(|(device, (party, relay))| (device, party, relay));
    Ok(parties.take(if settings.callee_suite.is_some() { 1 } else { 2 }).collect())
}

fn numbered(number: u32) -> Result<u16, FramesError> {
    port(number).ok_or_else(|| FramesError::System {
        what: format!("number a call {number}"),
        source: std::io::Error::other("there are not so many ports"),
    })
}
