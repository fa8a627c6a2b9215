//! A deterministic network with parties that talk over it while a script of commands runs; whatever each party receives is
//! held against the contract.
//!
//! `PATCHCORD_SIM_SEEDS` sets the number of runs; `PATCHCORD_SIM_SEED` runs a single one, as a failure says, and tells what
//! happens in it.

mod dialled;
mod ear;
mod oracle;
mod party;
mod script;
#[path = "../support/mod.rs"]
mod support;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use patchcord_relay::command::{Command, EgressMode, RelatchGate};
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::time::MonoTime;
use patchcord_srtp::Suite;

use oracle::{Oracle, Tally};
use party::Party;
use script::Script;
use support::rng::Rng;
use support::wire::Stream;
use support::{Arriving, MS, World, stranger};

/// Worlds have an offload where a test gives them one.
const OFFLOADED: bool = false;

const SEEDS: u64 = 600;

static TRACES: AtomicBool = AtomicBool::new(false);

#[test]
fn contract_holds_in_every_run() {
    if let Some(seed) = number("PATCHCORD_SIM_SEED") {
        TRACES.store(true, Ordering::Relaxed);
        run(seed);
        return;
    }
    let seeds = number("PATCHCORD_SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let worker = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return tally;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                Ok(run) => tally.add(&run),
                Err(_) => panic!(
                    "run {seed} has failed; repeat it with \
                     PATCHCORD_SIM_SEED={seed} cargo test -p patchcord-relay --test simulation"
                ),
            }
        }
    };
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        for worker in workers {
            tally.add(&worker.join().expect("no run has failed"));
        }
    });
    tally.assert_worth(seeds);
}

/// Tells what happens, if a single run is repeated.
fn trace(line: std::fmt::Arguments<'_>) {
    if TRACES.load(Ordering::Relaxed) {
        // Past the capture of the test's output, whose last line is then the failure's cause.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    Speak(u64),
    Report(u64),
    Arrive(Arriving),
    Command,
    Intrude,
    Rebind,
    Relatch(u64),
    Stall,
}

struct Simulation {
    world: World,
    rng: Rng,
    script: Script,
    oracle: Oracle,
    parties: BTreeMap<u64, Party>,
    /// Time and order of what will happen.
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    planned: u64,
    has_srtp: bool,
}

/// One run. Most are of some seconds, every 25th of some minutes.
fn run(seed: u64) -> Tally {
    let mut simulation = Simulation::new(seed);
    let seconds = if seed % 25 == 24 { 150 } else { simulation.rng.between(5, 15) };
    simulation.run(seconds * 1000 * MS);
    simulation.oracle.assert_consistent(&simulation.world);
    let worker = simulation.world.shard.worker();
    Tally { offloaded: worker.offloaded, climbs: worker.climbs, ..simulation.oracle.finish() }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut simulation = Self {
            world: World::with_room(16, seed),
            rng: Rng::new(seed),
            script: Script::new(),
            oracle: Oracle::default(),
            parties: BTreeMap::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            planned: 0,
            has_srtp: seed % 2 == 1,
        };
        // Runs with and without an offload are held against the same contract.
        if seed % 4 >= 2 {
            simulation.world.offload();
        }
        for first in [Happening::Command, Happening::Intrude, Happening::Rebind, Happening::Stall] {
            simulation.plan(0, first);
        }
        simulation
    }

    fn run(&mut self, nanos: u64) {
        let end = self.world.now.as_nanos() + nanos;
        let mut ticks_at_once = 0;
        while self.world.now.as_nanos() < end {
            let Some(&Reverse((next, _))) = self.queue.peek() else { return };
            match self.world.shard.next_deadline() {
                Some(due) if due.as_nanos() <= next => {
                    ticks_at_once = if due > self.world.now { 0 } else { ticks_at_once + 1 };
                    assert!(ticks_at_once < 1_000, "what is due at {due:?} is never done");
                    self.world.now = self.world.now.max(due);
                    self.world.tick();
                    self.observe();
                }
                _ => self.step(next),
            }
        }
    }

    /// Everything until a little later: what arrives in between is one batch.
    fn step(&mut self, next: u64) {
        let until = next.max(self.world.now.as_nanos()) + self.rng.below(1_000_000);
        let mut batch = Vec::new();
        while let Some(&Reverse((at, order))) = self.queue.peek() {
            if at > until {
                break;
            }
            self.queue.pop();
            match self.happenings.remove(&order).expect("planned") {
                Happening::Arrive(arriving) => batch.push(arriving),
                other => {
                    // Time goes on to the end of the batch, and the packets that arrived so far come first.
                    self.world.now = self.world.now.max(MonoTime::from_nanos(at));
                    self.deliver(&mut batch);
                    self.happen(&other);
                }
            }
        }
        self.world.now = self.world.now.max(MonoTime::from_nanos(until));
        self.deliver(&mut batch);
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Arrive(_) => {}
            Happening::Speak(leg) => {
                let Some(party) = self.parties.get_mut(&leg) else { return };
                let (packet, wait) = party.speak(&mut self.rng);
                self.post(leg, &packet);
                self.plan(wait, Happening::Speak(leg));
            }
            Happening::Report(leg) => {
                let heard = self.oracle.legs.get(&leg).and_then(|leg| leg.ear.expects());
                let Some(party) = self.parties.get(&leg) else { return };
                let report = party.report(self.world.now.as_nanos() / 1_000_000_000, heard);
                self.post(leg, &report);
                let wait = self.rng.between(500, 2_500) * MS;
                self.plan(wait, Happening::Report(leg));
            }
            Happening::Command => {
                let commands = self.script.next(&self.world, &mut self.rng);
                self.command(&commands);
                let wait = self.rng.between(20, 500) * MS;
                self.plan(wait, Happening::Command);
            }
            Happening::Intrude => self.intrude(),
            Happening::Rebind => {
                if let Some(leg) = self.rng.pick(&self.script.live)
                    && self.world.is_secured(leg)
                    && self.rng.chance(200)
                {
                    self.secure(leg);
                }
                // The party's packets come from elsewhere all of a sudden; signalling notices it a little later, or has
                // said so itself.
                if let Some(leg) = self.rng.pick(&self.script.live)
                    && let Some(party) = self.parties.get_mut(&leg)
                    && self.rng.chance(300)
                {
                    let port = party.address.port() + 1;
                    let address = SocketAddr::new(party.address.ip(), port);
                    party.move_to(address);
                    if self.rng.chance(500) {
                        self.command(&[Command::SetRemote { leg: LegId(leg), rtp: address, rtcp: None }]);
                    } else {
                        let wait = self.rng.below(400) * MS;
                        self.plan(wait, Happening::Relatch(leg));
                    }
                }
                let wait = self.rng.between(500, 3_000) * MS;
                self.plan(wait, Happening::Rebind);
            }
            Happening::Relatch(leg) => {
                let gate = RelatchGate::Packets(self.rng.between(2, 4) as u8);
                self.command(&[Command::Relatch { leg: LegId(leg), gate }]);
            }
            Happening::Stall => {
                if self.rng.chance(200) {
                    // The worker does not run for a while.
                    self.world.stall(self.rng.between(30, 1_500));
                }
                let wait = self.rng.between(500, 5_000) * MS;
                self.plan(wait, Happening::Stall);
            }
        }
    }

    fn command(&mut self, commands: &[Command]) {
        trace(format_args!("{} {commands:?}", self.world.now.as_nanos()));
        if self.world.apply(commands).is_err() {
            self.oracle.tally.refused += 1;
        } else {
            self.oracle.obey(commands);
            for command in commands {
                match command {
                    Command::AddLeg(spec) => self.join(spec.id.0),
                    Command::RemoveLeg { leg } => drop(self.parties.remove(&leg.0)),
                    _ => {}
                }
            }
        }
        // Whom the script takes to be there must be there: it forgets what it wanted to delete before it knows.
        self.script.live = self.oracle.legs.keys().copied().collect();
        self.observe();
        self.oracle.assert_consistent(&self.world);
    }

    /// In every second run most parties have SRTP, and now and then other keys. A translator to a party with SRTP numbers on what
    /// begins anew, so that it would not be one to the oracle.
    fn secure(&mut self, leg: u64) {
        let is_translator = self.oracle.legs.get(&leg).is_some_and(|leg| leg.ear.mode == EgressMode::Transparent);
        if is_translator {
            return;
        }
        if let Some(suite) = self.rng.pick(&Suite::ALL) {
            self.world.secure(leg, suite);
            self.observe();
        }
    }

    fn join(&mut self, leg: u64) {
        if self.has_srtp && self.rng.chance(700) {
            self.secure(leg);
        }
        self.parties.insert(leg, Party::new(leg, &mut self.rng));
        let wait = self.rng.below(300) * MS;
        self.plan(wait, Happening::Speak(leg));
        self.plan(wait + 300 * MS, Happening::Report(leg));
    }

    /// A stranger guesses a port and sends media, reports and rubbish.
    fn intrude(&mut self) {
        let wait = self.rng.between(10, 200) * MS;
        self.plan(wait, Happening::Intrude);
        let Some(leg) = self.rng.pick(&self.script.live) else { return };
        let bytes = match self.rng.below(3) {
            0 => {
                let mut stream = Stream::of(leg).numbered(self.rng.next() as u16, self.rng.next() as u32);
                stream.origin = 0xbad;
                stream.packet()
            }
            1 => support::rtcp::bye(self.rng.next() as u32),
            _ => (0..self.rng.below(60)).map(|_| self.rng.next() as u8).collect(),
        };
        let from = stranger(self.rng.next() as u8);
        self.plan(0, Happening::Arrive(Arriving { leg, component: Component::Rtp, from, bytes }));
    }

    /// Hands a party's packet to its network.
    fn post(&mut self, leg: u64, bytes: &[u8]) {
        let Some(party) = self.parties.get(&leg) else { return };
        let (from, now) = (party.address, self.world.now.as_nanos());
        for at in party.network.arrivals(now, &mut self.rng) {
            let bytes = bytes.to_owned();
            self.plan(at - now, Happening::Arrive(Arriving { leg, component: Component::Rtp, from, bytes }));
        }
    }

    fn deliver(&mut self, batch: &mut Vec<Arriving>) {
        // Who is faster than the party while a leg learns gains a moment: that is the latch's rule, and not a fault.
        batch.retain(|packet| {
            let party = self.parties.get(&packet.leg);
            party.is_some_and(|party| party.addresses.contains(&packet.from) || self.world.leg(packet.leg).latched)
        });
        if batch.is_empty() {
            return;
        }
        let heard: Vec<_> = batch.iter().map(|packet| self.oracle.is_heard(packet.leg)).collect();
        let verdicts = self.world.deliver_batch(batch);
        self.observe();
        for ((packet, verdict), heard) in batch.drain(..).zip(verdicts).zip(heard) {
            self.oracle.judge(&packet, verdict, heard);
        }
    }

    fn observe(&mut self) {
        self.oracle.observe(&mut self.world, &self.parties);
    }

    fn plan(&mut self, wait: u64, happening: Happening) {
        self.planned += 1;
        self.queue.push(Reverse((self.world.now.as_nanos() + wait, self.planned)));
        self.happenings.insert(self.planned, happening);
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.offloaded += other.offloaded;
        self.climbs += other.climbs;
        self.packets += other.packets;
        self.splices += other.splices;
        self.ended_keys += other.ended_keys;
        self.switched += other.switched;
        self.cancelled += other.cancelled;
        self.receipts += other.receipts;
        self.reports += other.reports;
        self.rolled_back += other.rolled_back;
        self.refused += other.refused;
        self.stale += other.stale;
        self.dialled += other.dialled;
        self.sounded += other.sounded;
        self.cut_short += other.cut_short;
    }

    /// Runs in which nothing happens prove nothing.
    fn assert_worth(&self, runs: u64) {
        let often = [
            (self.packets, 1_000),
            // Half of the runs have an offload.
            (self.offloaded, 50),
            (self.climbs, 2),
            (self.splices, 10),
            (self.switched, 2),
            (self.receipts, 10),
            (self.reports, 20),
            (self.refused, 1),
            (self.stale, 1),
            (self.dialled + self.sounded, 1),
        ];
        assert!(often.iter().all(|&(count, a_run)| count >= a_run * runs), "in {runs} runs: {self:?}");
        let seldom = [self.ended_keys, self.cancelled, self.rolled_back, self.dialled, self.sounded, self.cut_short];
        assert!(runs < 50 || seldom.iter().all(|&count| count > 0), "in {runs} runs: {self:?}");
    }
}
