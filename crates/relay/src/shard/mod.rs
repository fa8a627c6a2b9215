//! The door of the engine.

mod apply;
mod inspect;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use hdrhistogram::Histogram;
use patchcord_rtp::NtpTime;

use crate::command::{Command, Refusal};
use crate::cut_over::CutOvers;
use crate::datagram::{Datagram, Verdict};
use crate::flow::Offload;
use crate::ids::{Component, LegId};
use crate::leg::{Legs, Slot};
use crate::outbox::{Outbox, Outputs};
use crate::player::Wheel;
use crate::rng::Rng;
use crate::snapshot::{LegSnapshot, WorkerSnapshot};
use crate::time::MonoTime;
use crate::transcoding::Transcodable;
use crate::verdict::Drops;

/// What a shard is made with.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// Room for this many legs, reserved at start. At least 1.
    pub legs_max: u32,
    /// For SSRCs, sequence numbers and timestamps of our own.
    pub seed: u64,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self { legs_max: 1024, seed: 0 }
    }
}

/// The engine of one worker: a fixed number of legs and everything that happens between them.
#[derive(Debug)]
pub struct Shard {
    pub(crate) legs: Legs,
    pub(crate) cut_overs: CutOvers,
    pub(crate) wheel: Wheel,
    /// Legs that are being sent key presses.
    pub(crate) dials: Wheel,
    pub(crate) outbox: Outbox,
    pub(crate) rng: Rng,
    pub(crate) counters: Counters,
    /// The earliest time of a pending timed cut-over.
    pub(crate) next_timed: Option<MonoTime>,
    pub(crate) next_inspection: MonoTime,
    pub(crate) inspected: u32,
    pub(crate) nowhere: SocketAddr,
    /// `None`: nothing can be transcoded.
    pub(crate) transcodable: Option<Transcodable>,
    /// How many streams were made.
    pub(crate) made: u32,
    /// See [`Shard::ears_change`].
    pub(crate) ears_changed: Vec<Slot>,
    wallclock: Option<(NtpTime, MonoTime)>,
}

/// What a worker counts.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) datagrams: u64,
    pub(crate) forwarded: u64,
    pub(crate) forwarded_bytes: u64,
    pub(crate) consumed: u64,
    pub(crate) drops: Drops,
    pub(crate) batches: Histogram<u64>,
    latency_us: Histogram<u64>,
    gap_us: Histogram<u64>,
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let legs_max = config.legs_max.clamp(1, u32::MAX >> 1);
        Self {
            legs: Legs::new(legs_max),
            cut_overs: CutOvers::default(),
            wheel: Wheel::new(legs_max),
            dials: Wheel::new(legs_max),
            outbox: Outbox::new(),
            rng: Rng::new(config.seed),
            counters: Counters::new(),
            next_timed: None,
            next_inspection: MonoTime::ZERO,
            inspected: 0,
            nowhere: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            transcodable: None,
            made: 0,
            ears_changed: Vec::with_capacity(64),
            wallclock: None,
        }
    }

    /// Applies a batch of commands, all of them or none.
    ///
    /// # Errors
    /// Index of the first command that cannot be done, and why; nothing has changed then.
    pub fn apply(&mut self, commands: &[Command], now: MonoTime) -> Result<Outputs<'_>, (usize, Refusal)> {
        self.validate(commands)?;
        for command in commands {
            self.obey(command, now);
        }
        self.protect_outbox();
        Ok(Outputs::new(&mut self.outbox))
    }

    /// Judges one batch of received datagrams; each carries its verdict afterwards. `now` is the time of the batch.
    pub fn ingress(&mut self, batch: &mut [Datagram<'_>], now: MonoTime) -> Outputs<'_> {
        self.forward_batch(batch, now);
        self.protect_outbox();
        Outputs::new(&mut self.outbox)
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: MonoTime) -> Outputs<'_> {
        self.keep_house(now);
        self.protect_outbox();
        Outputs::new(&mut self.outbox)
    }

    /// Lets the offload look after its flows; to be called some times a second.
    pub fn look_after_offload(&mut self) {
        self.legs.flows.keep_house();
    }

    /// Whether the offload has a flow of somebody else's at a local address: no leg can have it then.
    #[must_use]
    pub fn is_offloaded_for_another(&self, local: SocketAddr) -> bool {
        self.legs.flows.has_another(local)
    }

    /// When [`Shard::tick`] is next needed; `None` while there is nothing to wait for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.next_chore()
    }

    /// From now on flows that need no decision are given to `offload`. To be called before there are legs.
    pub fn set_offload(&mut self, offload: Box<dyn Offload>) {
        debug_assert_eq!(self.legs.in_use(), 0, "the offload is there before the legs");
        self.legs.flows.set_offload(offload, self.legs.capacity());
    }

    /// Notes that the forwarded ones of `batch` were handed to the kernel at `sent_at`: the end of their relay latency. What
    /// follows on them may be for the offload to forward.
    pub fn sent(&mut self, batch: &[Datagram<'_>], sent_at: MonoTime) {
        for datagram in batch {
            if let Verdict::Forwarded(hop) = datagram.verdict {
                let us = sent_at.nanos_since(datagram.arrived) / 1000;
                self.counters.latency_us.saturating_record(us);
                if let Some(cold) = self.legs.cold.get_mut(hop.port.slot() as usize) {
                    cold.latency.record_us(us);
                }
                if self.legs.flows.has_offload() && datagram.port.component() == Component::Rtp {
                    // Why not, whoever asks is told.
                    let _ = self.legs.climb(datagram.port.slot());
                }
            }
        }
    }

    /// Says what the wall clock shows at `at`. Sender reports need it; without it none are made.
    pub const fn set_wallclock(&mut self, ntp: NtpTime, at: MonoTime) {
        self.wallclock = Some((ntp, at));
    }

    /// The slot of a leg: its ports are `PortId::new(slot, ..)`.
    #[must_use]
    pub fn slot(&self, leg: LegId) -> Option<u32> {
        self.legs.slot(leg)
    }

    /// A leg at this moment.
    #[must_use]
    pub fn leg(&self, id: LegId, now: MonoTime) -> Option<LegSnapshot> {
        self.legs.slot(id).map(|slot| self.leg_snapshot(slot, now))
    }

    /// The shard's counters; the owner adds which backend drives it and what its sockets did.
    #[must_use]
    pub fn worker(&self) -> WorkerSnapshot {
        self.worker_snapshot()
    }

    pub(crate) fn wallclock_at(&self, now: MonoTime) -> Option<NtpTime> {
        let (ntp, at) = self.wallclock?;
        Some(NtpTime::from_unix_nanos(ntp.as_unix_nanos() + now.nanos_since(at)))
    }
}

impl Counters {
    fn new() -> Self {
        // Fixed ranges: recording saturates, and never allocates. One minute is as good as for ever.
        let up_to = |max| Histogram::new_with_max(max, 2).expect("2 digits and a range above 2 are within its limits");
        Self {
            datagrams: 0,
            forwarded: 0,
            forwarded_bytes: 0,
            consumed: 0,
            drops: Drops::default(),
            batches: up_to(4096),
            latency_us: up_to(60_000_000),
            gap_us: up_to(60_000_000),
        }
    }

    pub(crate) fn record_gap(&mut self, gap_us: u64) {
        self.gap_us.saturating_record(gap_us);
    }
}
