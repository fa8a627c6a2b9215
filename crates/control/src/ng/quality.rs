//! How good what the parties of a call send has been: samples of a few seconds each, taken while the call lasts.
//!
//! A life's totals hide the half minute in which nobody understood a word: loss and jitter are those of each sample's own
//! time, and the worst and the best sample are kept with the time at which they were taken.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use patchcord_ng::Dict;
use patchcord_relay::ids::LegId;
use patchcord_relay::snapshot::{LegSnapshot, SourceSnapshot};

use super::call::unix_s;
use super::mos::mos;
use super::{Ng, Shared};
use crate::call::Call;

/// Time from one sample of a call to the next: what RFC 3550 6.2 takes for the time between reports.
const PERIOD: Duration = Duration::from_secs(5);
/// Calls that are asked about in one request to a worker: a few dozen microseconds of its time.
const CALLS_AT_ONCE: usize = 16;
/// Fewer packets than half a second has say little about loss.
const PACKETS_MIN: u64 = 25;

/// The samples of a call so far, by leg.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quality(Vec<(LegId, Samples)>);

/// The samples of what one party has sent.
#[derive(Clone, Copy, Debug, Default)]
struct Samples {
    /// Packets received and lost up to the end of the latest one.
    packets: u64,
    lost: u64,
    count: u32,
    sum: Measures,
    lowest: Sample,
    highest: Sample,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at_s: u64,
    measures: Measures,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measures {
    /// 1 to 4.5.
    mos: f64,
    jitter_ms: f64,
    /// 0 to 1.
    loss: f64,
    /// From the party to the one that hears it, and back; 0: not known.
    round_trip_us: f64,
    /// The part of it between the party and the relay.
    leg_round_trip_us: f64,
}

impl Quality {
    /// Takes a sample of each leg from which enough has come since the one before.
    pub(super) fn sample(&mut self, snapshots: &[LegSnapshot], now_s: u64) {
        self.0.retain(|(leg, _)| snapshots.iter().any(|snapshot| snapshot.leg == *leg));
        for snapshot in snapshots {
            self.sample_leg(snapshot, snapshots, PACKETS_MIN, now_s);
        }
    }

    /// A copy with what has come since the last samples: for whoever asks in between. What was never sampled is by this.
    pub(super) fn up_to_now(&self, snapshots: &[LegSnapshot], now_s: u64) -> Self {
        let mut now = self.clone();
        for snapshot in snapshots {
            let is_known = self.of(snapshot.leg).is_some();
            now.sample_leg(snapshot, snapshots, if is_known { PACKETS_MIN } else { 1 }, now_s);
        }
        now
    }

    /// Takes over the samples of another call.
    pub(super) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn of(&self, leg: LegId) -> Option<&Samples> {
        self.0.iter().find(|(known, _)| *known == leg).map(|(_, samples)| samples)
    }

    fn sample_leg(&mut self, snapshot: &LegSnapshot, all: &[LegSnapshot], packets_min: u64, now_s: u64) {
        let known = self.0.iter().position(|(leg, _)| *leg == snapshot.leg);
        let before = known.map(|at| self.0[at].1).unwrap_or_default();
        let received = snapshot.ingress.packets.saturating_sub(before.packets);
        if received < packets_min {
            return;
        }
        // A packet that was given up and came after all makes up for one of this time.
        let lost = snapshot.ingress.lost.saturating_sub(before.lost);
        let measures = measure(snapshot, all, lost as f64 / (received + lost) as f64);
        let samples = before.with(Sample { at_s: now_s, measures });
        let samples = Samples { packets: snapshot.ingress.packets, lost: snapshot.ingress.lost, ..samples };
        match known {
            Some(at) => self.0[at].1 = samples,
            None => self.0.push((snapshot.leg, samples)),
        }
    }

    /// Puts the blocks about a leg into an entry about its SSRC.
    pub(super) fn describe(&self, leg: LegId, entry: &mut Dict) {
        let Some(samples) = self.of(leg) else { return };
        let average = samples.average().blocks().with("samples", u64::from(samples.count));
        entry.set("average MOS", average);
        entry.set("lowest MOS", samples.lowest.blocks());
        entry.set("highest MOS", samples.highest.blocks());
    }
}

impl Samples {
    fn with(mut self, sample: Sample) -> Self {
        if self.count == 0 || sample.measures.mos < self.lowest.measures.mos {
            self.lowest = sample;
        }
        if self.count == 0 || sample.measures.mos > self.highest.measures.mos {
            self.highest = sample;
        }
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.plus(&sample.measures);
        self
    }

    fn average(&self) -> Measures {
        let share = 1.0 / f64::from(self.count.max(1));
        let Measures { mos, jitter_ms, loss, round_trip_us, leg_round_trip_us } = self.sum;
        Measures {
            mos: mos * share,
            jitter_ms: jitter_ms * share,
            loss: loss * share,
            round_trip_us: round_trip_us * share,
            leg_round_trip_us: leg_round_trip_us * share,
        }
    }
}

impl Sample {
    fn blocks(&self) -> Dict {
        self.measures.blocks().with("reported at", self.at_s)
    }
}

impl Measures {
    fn plus(self, other: &Self) -> Self {
        Self {
            mos: self.mos + other.mos,
            jitter_ms: self.jitter_ms + other.jitter_ms,
            loss: self.loss + other.loss,
            round_trip_us: self.round_trip_us + other.round_trip_us,
            leg_round_trip_us: self.leg_round_trip_us + other.leg_round_trip_us,
        }
    }

    /// In whole numbers: tenths of the score, milliseconds of jitter, percent of loss, microseconds of round trip.
    fn blocks(&self) -> Dict {
        let whole = |value: f64| value.round() as u64;
        Dict::new()
            .with("MOS", whole(self.mos * 10.0))
            .with("round-trip time", whole(self.round_trip_us))
            .with("round-trip time leg", whole(self.leg_round_trip_us))
            .with("jitter", whole(self.jitter_ms))
            .with("packet loss", whole(self.loss * 100.0))
    }
}

fn measure(snapshot: &LegSnapshot, all: &[LegSnapshot], loss: f64) -> Measures {
    let us = |leg: &LegSnapshot| leg.round_trip_us.unwrap_or(0) as f64;
    let listener = all.iter().find(|other| other.source == SourceSnapshot::Leg(snapshot.leg));
    let leg_round_trip_us = us(snapshot);
    let round_trip_us = leg_round_trip_us + listener.map_or(0.0, us);
    let jitter_ms = snapshot.ingress.jitter_ms;
    let mos = mos(loss, jitter_ms, round_trip_us / 1000.0);
    Measures { mos, jitter_ms, loss, round_trip_us, leg_round_trip_us }
}

impl Ng {
    /// Samples the calls until the front is gone.
    pub(super) fn sample_calls(&self) {
        self.0.control.spawn(sample_on(Arc::downgrade(&self.0)));
    }

    /// Takes a sample of calls that live on one worker.
    async fn sample(&self, worker: usize, calls: &[Arc<Call>]) {
        let legs_of = |call: &Call| call.inner().model.legs.0.iter().map(|leg| leg.id).collect::<Vec<_>>();
        let legs: Vec<_> = calls.iter().map(|call| legs_of(call)).collect();
        let Ok(snapshots) = self.0.control.leg_snapshots(worker, legs.concat()).await else { return };
        let now_s = unix_s();
        let mut rest = snapshots.as_slice();
        for (call, legs) in calls.iter().zip(&legs) {
            // In the order of the question; legs that are gone by now are left out.
            let count = rest.iter().take_while(|snapshot| legs.contains(&snapshot.leg)).count();
            let (own, others) = rest.split_at(count);
            rest = others;
            call.quality().get_or_insert_default().sample(own, now_s);
        }
    }
}

async fn sample_on(shared: Weak<Shared>) {
    loop {
        let calls = {
            let Some(shared) = shared.upgrade() else { return };
            // A call with several names is one.
            let calls = shared.control.signalled_calls();
            let once: BTreeMap<u64, Arc<Call>> = calls.into_iter().map(|call| (call.name.serial, call)).collect();
            let mut calls = BTreeMap::<usize, Vec<Arc<Call>>>::new();
            for call in once.into_values() {
                calls.entry(call.worker).or_default().push(call);
            }
            calls
        };
        let chunks = calls.iter().flat_map(|(worker, calls)| calls.chunks(CALLS_AT_ONCE).map(|chunk| (*worker, chunk)));
        let chunks: Vec<_> = chunks.collect();
        // Spread over the period: no worker is asked about all of its calls at once.
        let wait = PERIOD / u32::try_from(chunks.len().max(1)).unwrap_or(u32::MAX);
        if chunks.is_empty() {
            tokio::time::sleep(wait).await;
        }
        for (worker, chunk) in chunks {
            tokio::time::sleep(wait).await;
            let Some(shared) = shared.upgrade() else { return };
            Ng(shared).sample(worker, chunk).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use patchcord_ng::Value;

    use crate::engine::new_leg;

    /// A leg that has received and lost so many packets.
    fn snapshot(leg: u64, packets: u64, lost: u64, round_trip_us: Option<u64>) -> LegSnapshot {
        let mut snapshot = new_leg(LegId(leg));
        (snapshot.ingress.packets, snapshot.ingress.lost) = (packets, lost);
        snapshot.round_trip_us = round_trip_us;
        snapshot
    }

    fn read(quality: &Quality, block: &str, key: &str) -> Option<i64> {
        let mut entry = Dict::new();
        quality.describe(LegId(1), &mut entry);
        entry.dict(block)?.get(key).and_then(Value::integer)
    }

    #[test]
    fn loss_is_that_of_each_samples_own_time() {
        let mut quality = Quality::default();
        quality.sample(&[snapshot(1, 250, 0, None)], 1000);
        quality.sample(&[snapshot(1, 375, 125, None)], 1005);
        quality.sample(&[snapshot(1, 625, 125, None)], 1010);
        let loss = |block| read(&quality, block, "packet loss");
        assert_eq!((loss("lowest MOS"), loss("highest MOS"), loss("average MOS")), (Some(50), Some(0), Some(17)));
        assert_eq!(read(&quality, "lowest MOS", "reported at"), Some(1005));
        assert_eq!(read(&quality, "highest MOS", "reported at"), Some(1000));
        assert_eq!(read(&quality, "average MOS", "samples"), Some(3));
        let mos = |block| read(&quality, block, "MOS").expect("a score");
        assert!(mos("lowest MOS") < 25 && mos("highest MOS") == 44, "{quality:?}");
        assert!((mos("lowest MOS")..mos("highest MOS")).contains(&mos("average MOS")), "{quality:?}");
    }

    #[test]
    fn whoever_asks_in_between_is_told_what_is_known() {
        let mut quality = Quality::default();
        assert_eq!(read(&quality.up_to_now(&[snapshot(1, 0, 0, None)], 1), "average MOS", "samples"), None);
        assert_eq!(read(&quality.up_to_now(&[snapshot(1, 3, 0, None)], 1), "average MOS", "samples"), Some(1));
        quality.sample(&[snapshot(1, 250, 0, None)], 5);
        let samples = |packets| read(&quality.up_to_now(&[snapshot(1, packets, 0, None)], 9), "average MOS", "samples");
        assert_eq!((samples(260), samples(300)), (Some(1), Some(2)), "a few packets say nothing");
        assert_eq!(read(&quality, "average MOS", "samples"), Some(1), "asking changes nothing");
    }

    #[test]
    fn silence_is_no_sample_and_late_packets_are_no_loss() {
        let mut quality = Quality::default();
        quality.sample(&[snapshot(1, 250, 10, None)], 5);
        quality.sample(&[snapshot(1, 250, 10, None)], 10);
        quality.sample(&[snapshot(1, 500, 4, None)], 15);
        assert_eq!(read(&quality, "average MOS", "samples"), Some(2));
        assert_eq!(read(&quality, "highest MOS", "packet loss"), Some(0));
    }

    #[test]
    fn round_trip_goes_on_to_the_one_who_hears_the_party() {
        let mut quality = Quality::default();
        let mut listener = snapshot(2, 0, 0, Some(700_000));
        listener.source = SourceSnapshot::Leg(LegId(1));
        quality.sample(&[snapshot(1, 250, 0, Some(100_000)), listener], 5);
        assert_eq!(read(&quality, "average MOS", "round-trip time leg"), Some(100_000));
        assert_eq!(read(&quality, "average MOS", "round-trip time"), Some(800_000));
        assert!(read(&quality, "average MOS", "MOS").is_some_and(|mos| mos < 36), "talking is hard over that");
        // Its leg ends.
        quality.sample(&[], 10);
        assert_eq!(read(&quality, "average MOS", "MOS"), None);
    }
}
