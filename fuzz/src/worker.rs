//! A worker for tests: an engine shard that is called directly, without sockets.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use patchcord_control::api::{CallState, CutOverState};
use patchcord_control::{Control, Worker};
use patchcord_relay::command::{Command, Refusal};
use patchcord_relay::exchange::{Applied, Overheard, Reply, Request};
use patchcord_relay::ids::{Component, LegId, PortId};
use patchcord_relay::media::Codec;
use patchcord_relay::snapshot::SourceSnapshot;
use patchcord_relay::time::MonoTime;
use patchcord_relay::transcoding::Transcoding;
use patchcord_relay::{Datagram, HandOut, Handshake, Heard, Outputs, Shard, ShardConfig, Transmit, Verdict};

/// Packets that it remembers to have sent.
const SENT_MAX: usize = 1024;

/// A worker that does at once what it is asked.
pub struct TestWorker {
    number: usize,
    clock: Arc<AtomicU64>,
    shard: Mutex<State>,
    control: Mutex<Option<Control>>,
    /// Ports that another program holds.
    pub busy: Mutex<BTreeSet<u16>>,
    /// It takes no requests.
    pub gone: AtomicBool,
    /// It takes requests and answers none until it is told.
    pub stalled: AtomicBool,
    put_off: Mutex<Vec<Request>>,
    /// What has left, oldest first, and whereto.
    sent: Mutex<VecDeque<(SocketAddr, Vec<u8>)>>,
    batches: AtomicU64,
    /// What was to be transcoded, oldest first.
    transcodings: Mutex<VecDeque<Transcoding>>,
}

struct State {
    shard: Shard,
    ports: BTreeMap<SocketAddr, (LegId, PortId)>,
}

impl Worker for TestWorker {
    fn send(&self, request: Request) -> Result<(), Request> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(request);
        }
        if self.stalled.load(Ordering::Relaxed) {
            self.put_off.lock().unwrap().push(request);
            return Ok(());
        }
        self.answer(request);
        Ok(())
    }
}

impl TestWorker {
    /// With a shard of its own, that reads this clock (nanoseconds). [`Self::attach`] comes next.
    pub fn new(number: usize, config: ShardConfig, clock: Arc<AtomicU64>) -> Arc<Self> {
        let mut shard = Shard::new(config);
        // Who has PCMU can be mixed; nobody is transcoded for.
        shard.set_transcoder(|codec| &*codec.encoding == "PCMU");
        Arc::new(Self {
            number,
            clock,
            shard: Mutex::new(State { shard, ports: BTreeMap::new() }),
            control: Mutex::default(),
            busy: Mutex::default(),
            gone: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            put_off: Mutex::default(),
            sent: Mutex::default(),
            batches: AtomicU64::new(0),
            transcodings: Mutex::default(),
        })
    }

    /// Listeners hear sources with whom they share no format, if both have one of these.
    pub fn set_transcoder(&self, can: fn(&Codec) -> bool) {
        self.shard.lock().unwrap().shard.set_transcoder(can);
    }

    /// Whom it answers from now on; `None` at the end, because the two hold each other.
    pub fn attach(&self, control: Option<Control>) {
        *self.control.lock().unwrap() = control;
    }

    fn now(&self) -> MonoTime {
        MonoTime::from_nanos(self.clock.load(Ordering::Relaxed))
    }

    fn control(&self) -> Control {
        self.control.lock().unwrap().clone().expect("set when the relay was made")
    }

    fn answer(&self, request: Request) {
        let now = self.now();
        let mut state = self.shard.lock().unwrap();
        match request {
            Request::Apply { ticket, commands } => {
                self.batches.fetch_add(1, Ordering::Relaxed);
                let (result, events) = match self.apply(&mut state, &commands, now) {
                    Ok(events) => (Ok(Applied { at: now }), events),
                    Err(refused) => (Err(refused), Vec::new()),
                };
                self.control().accept(self.number, Reply::Applied { ticket, result });
                self.tell(now, events);
            }
            Request::Legs { ticket, legs } => {
                let legs = legs.into_iter().filter_map(|leg| state.shard.leg(leg, now)).collect();
                self.control().accept(self.number, Reply::Legs { ticket, legs });
            }
            Request::Worker { ticket } => {
                let worker = Box::new(state.shard.worker());
                self.control().accept(self.number, Reply::Worker { ticket, worker });
            }
            Request::Shutdown => {}
        }
    }

    fn apply(
        &self,
        state: &mut State,
        commands: &[Command],
        now: MonoTime,
    ) -> Result<Vec<patchcord_relay::event::Event>, (usize, Refusal)> {
        let mut locals = BTreeMap::new();
        let busy = self.busy.lock().unwrap();
        for (index, command) in commands.iter().enumerate() {
            let Command::AddLeg(spec) = command else { continue };
            for addr in [Some(spec.local_rtp), spec.local_rtcp].into_iter().flatten() {
                if busy.contains(&addr.port()) || state.ports.contains_key(&addr) {
                    let reason = "Address already in use".to_owned();
                    return Err((index, Refusal::PortUnavailable { addr, reason, busy: true }));
                }
            }
            locals.insert(spec.id, (spec.local_rtp, spec.local_rtcp));
        }
        let mut outputs = state.shard.apply(commands, now)?;
        for &(leg, slot) in outputs.opened() {
            let (rtp, rtcp) = locals[&leg];
            state.ports.insert(rtp, (leg, PortId::new(slot, Component::Rtp)));
            if let Some(rtcp) = rtcp {
                state.ports.insert(rtcp, (leg, PortId::new(slot, Component::Rtcp)));
            }
        }
        for command in commands {
            if let Command::RemoveLeg { leg } = command {
                state.ports.retain(|_, (owner, _)| owner != leg);
            }
        }
        self.take_transmits(&outputs);
        let begun = outputs.hand_outs().filter_map(|given| match given {
            HandOut::Transcode(transcoding) => Some(transcoding),
            _ => None,
        });
        let mut transcodings = self.transcodings.lock().unwrap();
        transcodings.extend(begun);
        let excess = transcodings.len().saturating_sub(SENT_MAX);
        transcodings.drain(..excess);
        drop(transcodings);
        Ok(outputs.events().collect())
    }

    /// What was to be transcoded since this was asked last.
    pub fn take_transcodings(&self) -> Vec<Transcoding> {
        self.transcodings.lock().unwrap().drain(..).collect()
    }

    fn take_transmits(&self, outputs: &Outputs<'_>) {
        for Transmit { to, bytes, .. } in outputs.transmits() {
            self.note_sent(to, bytes);
        }
    }

    fn note_sent(&self, to: SocketAddr, bytes: &[u8]) {
        let mut sent = self.sent.lock().unwrap();
        if sent.len() == SENT_MAX {
            sent.pop_front();
        }
        sent.push_back((to, bytes.to_vec()));
    }

    /// What a party has been sent and not taken yet.
    pub fn take_sent(&self, party: SocketAddr) -> Vec<Vec<u8>> {
        let mut sent = self.sent.lock().unwrap();
        let (its, others) = sent.drain(..).partition::<Vec<_>, _>(|(to, _)| *to == party);
        sent.extend(others);
        its.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn tell(&self, at: MonoTime, events: Vec<patchcord_relay::event::Event>) {
        for event in events {
            self.control().accept(self.number, Reply::Event { at, event });
        }
    }

    /// How many ports are open.
    pub fn open_ports(&self) -> usize {
        self.shard.lock().unwrap().ports.len()
    }

    /// How many legs the engine has.
    pub fn legs(&self) -> u32 {
        self.shard.lock().unwrap().shard.worker().legs
    }

    /// Where ports are open.
    pub fn locals(&self) -> Vec<SocketAddr> {
        self.shard.lock().unwrap().ports.keys().copied().collect()
    }

    /// How many batches it was asked to apply so far.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// What the control plane says that parties hear must be what the engine feeds them.
    pub fn check_sources(&self, state: &CallState) {
        for leg in &state.legs {
            let engine = match self.source_at(leg.local) {
                SourceSnapshot::Silence => "silence".to_owned(),
                SourceSnapshot::Player => "a player".to_owned(),
                // Or one party that is louder than it speaks.
                SourceSnapshot::Mix => "a mix".to_owned(),
                SourceSnapshot::Leg(peer) => {
                    let local = self.local_of(peer);
                    state
                        .legs
                        .iter()
                        .find(|leg| Some(leg.local) == local)
                        .map_or_else(String::new, |leg| leg.party.to_string())
                }
            };
            let is_louder = state.legs.iter().any(|other| *other.party == *leg.hears && other.gain_db.is_some());
            let is_whispered = leg.whisperer.as_deref() == Some(&*leg.hears);
            // A prompt over it may be through, and what was heard before not be back before a waiting cut-over is settled.
            let waits = state.cut_overs.iter().any(|cut_over| cut_over.state == CutOverState::Pending);
            let said = match &*leg.hears {
                hears if hears.contains(" + ") => "a mix",
                _ if waits && engine == "a mix" => "a mix",
                hears if hears.contains(':') => "a player",
                _ if is_louder && !is_whispered => "a mix",
                // With a gain of its own, or the two gains together none.
                _ if is_whispered && engine == "a mix" => "a mix",
                hears => hears,
            };
            assert_eq!(engine, said, "what {} hears in {state:#?}", leg.party);
        }
    }

    /// What the engine feeds the leg at this local port.
    fn source_at(&self, local: SocketAddr) -> SourceSnapshot {
        let state = self.shard.lock().unwrap();
        let (leg, _) = state.ports[&local];
        state.shard.leg(leg, self.now()).unwrap().source
    }

    /// The local port of a leg.
    fn local_of(&self, leg: LegId) -> Option<SocketAddr> {
        let state = self.shard.lock().unwrap();
        state.ports.iter().find(|(_, (owner, _))| *owner == leg).map(|(local, _)| *local)
    }

    /// Answers what was asked while the worker stood still.
    pub fn go_on(&self) {
        self.stalled.store(false, Ordering::Relaxed);
        for request in core::mem::take(&mut *self.put_off.lock().unwrap()) {
            self.answer(request);
        }
    }

    /// How many requests wait.
    pub fn put_off(&self) -> usize {
        self.put_off.lock().unwrap().len()
    }

    /// A party's packet arrives.
    pub fn receive(&self, local: SocketAddr, from: SocketAddr, packet: &[u8]) -> Verdict {
        let now = self.now();
        let mut state = self.shard.lock().unwrap();
        let Some(&(_, port)) = state.ports.get(&local) else { return Verdict::Pending };
        let mut bytes = [0; 1500];
        bytes[..packet.len()].copy_from_slice(packet);
        let mut batch = [Datagram::new(port, from, now, &mut bytes, packet.len())];
        let mut outputs = state.shard.ingress(&mut batch, now);
        self.take_transmits(&outputs);
        for Handshake { leg, association, from, bytes } in outputs.handshakes() {
            let datagram = bytes.into();
            self.control().accept(self.number, Reply::Handshake { leg, association, from, datagram });
        }
        let heard = |heard: Heard<'_>| Overheard { leg: heard.leg, at: heard.at, rtp: heard.bytes.into() };
        let overheard: Vec<_> = outputs
            .hand_outs()
            .filter_map(|given| match given {
                HandOut::Heard(packet) if packet.by.recorder => Some(heard(packet)),
                _ => None,
            })
            .collect();
        let events: Vec<_> = outputs.events().collect();
        drop(outputs);
        for packet in overheard {
            self.control().accept(self.number, Reply::Overheard(Box::new(packet)));
        }
        let [datagram] = batch;
        if let Verdict::Forwarded(hop) = datagram.verdict {
            self.note_sent(hop.to, datagram.packet());
        }
        self.tell(now, events);
        datagram.verdict
    }

    /// The worker does what is due.
    pub fn tick(&self) {
        let now = self.now();
        let mut state = self.shard.lock().unwrap();
        let mut outputs = state.shard.tick(now);
        self.take_transmits(&outputs);
        let events: Vec<_> = outputs.events().collect();
        drop(outputs);
        self.tell(now, events);
    }
}
