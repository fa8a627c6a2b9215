//! A shard with a virtual clock, parties that send numbered packets, and everything that each party receives.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

pub(crate) mod kernel;
pub(crate) mod rng;
pub(crate) mod rtcp;
pub(crate) mod secured;
pub(crate) mod wire;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use patchcord_relay::command::{
    Command, CutOver, EgressMode, LatchMode, LatchPolicy, LegSpec, Refusal, Relaying, Source, SourceChange, SrtpKeys,
    Trigger,
};
use patchcord_relay::event::{Event, Receipt};
use patchcord_relay::ids::{AssociationId, Component, CutOverId, LegId, MadeId, PortId};
use patchcord_relay::media::{Codec, Direction, EncodingName, Frames, Repeat, Sending};
use patchcord_relay::mixing::Mixing;
use patchcord_relay::overhearing::{Ears, Overhearing};
use patchcord_relay::snapshot::LegSnapshot;
use patchcord_relay::time::MonoTime;
use patchcord_relay::transcoding::Transcoding;
use patchcord_relay::verdict::DropReason;
use patchcord_relay::{Datagram, HandOut, Outputs, Shard, ShardConfig, Verdict};
use patchcord_rtp::{NtpTime, PayloadType, Protocol, classify};
use patchcord_srtp::Suite;

use kernel::Kernel;
use secured::{Peer, keys, set_srtp};
use wire::{HeardRtp, Payload, Stream};

/// Packet time of every stream here, unless a test says otherwise.
pub(crate) const PTIME: Duration = Duration::from_millis(20);
/// Timestamp units of one packet time at 8 kHz.
pub(crate) const FRAME: u32 = 160;
pub(crate) const MS: u64 = 1_000_000;
/// Origin of players in [`Payload::origin`]: this plus the number of the clip.
pub(crate) const PLAYER: u32 = 0x1000;
/// Wall clock at the start of every run: 2026-01-01 00:00 UTC, in nanoseconds.
pub(crate) const WALLCLOCK_START: u64 = 1_767_225_600_000_000_000;

/// One packet that a party received.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) at: MonoTime,
    pub(crate) component: Component,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A datagram of DTLS: leg, association, source and bytes.
pub(crate) type HandedOut = (LegId, AssociationId, SocketAddr, Vec<u8>);

/// [`HandOut`], kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Transcode(Transcoding),
    Packet(MadeId, Vec<u8>),
    Mix(Mixing),
    End(MadeId),
    Overhear(Overhearing),
    Heard(LegId, Ears, MonoTime, Vec<u8>),
}

impl From<HandOut<'_>> for Given {
    fn from(handed_out: HandOut<'_>) -> Self {
        match handed_out {
            HandOut::Transcode(transcoding) => Self::Transcode(transcoding),
            HandOut::Packet { id, bytes } => Self::Packet(id, bytes.to_vec()),
            HandOut::Mix(mixing) => Self::Mix(mixing),
            HandOut::End(id) => Self::End(id),
            HandOut::Overhear(overhearing) => Self::Overhear(overhearing),
            HandOut::Heard(heard) => Self::Heard(heard.leg, heard.by, heard.at, heard.bytes.to_vec()),
        }
    }
}

/// One packet on its way to the relay.
#[derive(Clone, Debug)]
pub(crate) struct Arriving {
    pub(crate) leg: u64,
    pub(crate) component: Component,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A shard and the world around it. Legs are named by small numbers.
pub(crate) struct World {
    pub(crate) shard: Shard,
    pub(crate) now: MonoTime,
    /// Forwards in the shard's place.
    pub(crate) kernel: Option<Kernel>,
    slots: BTreeMap<u64, u32>,
    legs: BTreeMap<u32, u64>,
    heard: BTreeMap<u64, Vec<Heard>>,
    events: Vec<(MonoTime, Event)>,
    handshakes: Vec<HandedOut>,
    /// For whoever has the codecs, since the last look.
    pub(crate) given: Vec<Given>,
    next_cut_over: u64,
    /// Parties with SRTP.
    secured: BTreeMap<u64, Peer>,
    /// Keys made so far.
    keys: u32,
    /// Packets and bytes that left, by what was captured.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_room(64, 1)
    }

    pub(crate) fn with_room(legs_max: u32, seed: u64) -> Self {
        let now = MonoTime::from_nanos(1_000_000 * MS);
        let mut shard = Shard::new(ShardConfig { legs_max, seed });
        shard.set_wallclock(NtpTime::from_unix_nanos(WALLCLOCK_START), now);
        let mut world = Self {
            shard,
            now,
            kernel: None,
            slots: BTreeMap::new(),
            legs: BTreeMap::new(),
            heard: BTreeMap::new(),
            events: Vec::new(),
            handshakes: Vec::new(),
            given: Vec::new(),
            next_cut_over: 1000,
            secured: BTreeMap::new(),
            keys: 0,
            sent: 0,
            sent_bytes: 0,
        };
        if crate::OFFLOADED {
            world.offload();
        }
        world
    }

    /// From now on a kernel forwards what needs no decision.
    pub(crate) fn offload(&mut self) {
        let kernel = Kernel::default();
        self.shard.set_offload(Box::new(kernel.clone()));
        self.kernel = Some(kernel);
    }

    /// Adds a leg for each number: PCMU and telephone-event, signalled address known.
    pub(crate) fn with_legs<const N: usize>(legs: [u64; N]) -> Self {
        let mut world = Self::new();
        for leg in legs {
            world.must(&[add(spec(leg))]);
        }
        world
    }

    pub(crate) fn apply(&mut self, commands: &[Command]) -> Result<(), (usize, Refusal)> {
        let now = self.now;
        let taken = Taken::from(self.shard.apply(commands, now)?);
        self.absorb(taken);
        Ok(())
    }

    /// Applies what must not be refused.
    pub(crate) fn must(&mut self, commands: &[Command]) {
        if let Err((index, refusal)) = self.apply(commands) {
            panic!("command {index} was refused: {refusal}");
        }
    }

    /// Applies what must be refused, and holds that nothing at all has changed.
    pub(crate) fn refused(&mut self, commands: &[Command]) -> (usize, Refusal) {
        let before = self.fingerprint();
        let refusal = self.apply(commands).expect_err("the batch must be refused");
        assert_eq!(self.fingerprint(), before, "a refused batch has changed something: {refusal:?}");
        refusal
    }

    /// All that can be seen of the shard.
    pub(crate) fn fingerprint(&self) -> String {
        let legs: Vec<_> = self.slots.keys().map(|&leg| self.shard.leg(LegId(leg), self.now)).collect();
        format!("{:?} {legs:?} {:?}", self.shard.worker(), self.shard.next_deadline())
    }

    /// A cut-over under a new id, which is returned.
    pub(crate) fn cut(&mut self, trigger: Trigger, changes: &[(u64, Source)]) -> CutOverId {
        self.next_cut_over += 1;
        let id = CutOverId(self.next_cut_over);
        self.must(&[cut_over(id.0, trigger, changes)]);
        id
    }

    pub(crate) fn bridge(&mut self, a: u64, b: u64) -> CutOverId {
        self.cut(Trigger::Immediate, &[(a, leg(b)), (b, leg(a))])
    }

    pub(crate) fn deliver_batch(&mut self, arriving: &[Arriving]) -> Vec<Verdict> {
        let now = self.now;
        // The receive buffers are longer than what is in them, as a backend's are.
        let sent: Vec<_> = arriving.iter().map(|packet| self.protected(packet)).collect();
        let mut buffers: Vec<_> = sent.iter().map(|bytes| [&bytes[..], &[0xee; 20]].concat()).collect();
        let mut verdicts = vec![Verdict::Pending; arriving.len()];
        let mut batch = Vec::new();
        for (at, ((packet, sent), buffer)) in arriving.iter().zip(&sent).zip(&mut buffers).enumerate() {
            let port = PortId::new(self.slots.get(&packet.leg).copied().unwrap_or(u32::MAX >> 1), packet.component);
            let seen =
                self.kernel.as_ref().and_then(|kernel| kernel.see(port, packet.from, &mut buffer[..sent.len()], now));
            match seen {
                Some(verdict) => {
                    verdicts[at] = verdict;
                    if let Verdict::Forwarded(hop) = verdict {
                        self.capture(hop.port, hop.to, &buffer[..sent.len()]);
                    }
                }
                None => batch.push(Datagram::new(port, packet.from, now, buffer, sent.len())),
            }
        }
        let taken = Taken::from(self.shard.ingress(&mut batch, now));
        let pending = verdicts.iter_mut().filter(|verdict| **verdict == Verdict::Pending);
        for (verdict, datagram) in pending.zip(&batch) {
            *verdict = datagram.verdict;
        }
        for datagram in &batch {
            if let Verdict::Forwarded(hop) = datagram.verdict {
                self.capture(hop.port, hop.to, datagram.packet());
            }
        }
        self.shard.sent(&batch, now);
        self.absorb(taken);
        verdicts
    }

    pub(crate) fn deliver(&mut self, leg: u64, component: Component, from: SocketAddr, bytes: &[u8]) -> Verdict {
        let bytes = bytes.to_vec();
        self.deliver_batch(&[Arriving { leg, component, from, bytes }])[0]
    }

    /// Gives a leg and its party SRTP, or other keys than they had.
    pub(crate) fn secure(&mut self, leg: u64, suite: Suite) {
        self.keys += 1;
        let keys = keys(suite, self.keys);
        self.must(&[set_srtp(leg, Some(keys.clone()))]);
        match self.secured.get_mut(&leg) {
            Some(peer) => peer.rekey(suite, &keys),
            None => drop(self.secured.insert(leg, Peer::new(suite, &keys))),
        }
    }

    /// The leg and its party go on with RTP.
    pub(crate) fn unsecure(&mut self, leg: u64) {
        self.must(&[set_srtp(leg, None)]);
        self.secured.remove(&leg);
    }

    /// The party and the leg agree on a new association: both count anew, under other keys.
    fn secure_anew(&mut self, leg: u64, suite: Suite) {
        self.keys += 1;
        let keys = SrtpKeys { restart: true, ..keys(suite, self.keys) };
        self.secured.insert(leg, Peer::new(suite, &keys));
        self.must(&[set_srtp(leg, Some(keys))]);
    }

    /// An association with the party has come to keys.
    pub(crate) fn secure_by(&mut self, leg: u64, association: AssociationId) {
        self.keys += 1;
        let suite = Suite::AesCm128HmacSha1_80;
        let keys = SrtpKeys { restart: true, ..keys(suite, self.keys) };
        self.secured.insert(leg, Peer::new(suite, &keys));
        let keys = Box::new(keys);
        self.must(&[Command::SetDtlsKeys { leg: LegId(leg), association, keys, peer: None }]);
    }

    pub(crate) fn is_secured(&self, leg: u64) -> bool {
        self.secured.contains_key(&leg)
    }

    /// A packet as it travels. Strangers have no keys.
    fn protected(&mut self, packet: &Arriving) -> Vec<u8> {
        let is_party = packet.from.ip() == party(packet.leg).ip();
        let Some(peer) = self.secured.get_mut(&packet.leg).filter(|_| is_party) else { return packet.bytes.clone() };
        let suite = peer.suite;
        if let Some(bytes) = peer.protect(&packet.bytes) {
            return bytes;
        }
        self.secure_anew(packet.leg, suite);
        let peer = self.secured.get_mut(&packet.leg).expect("it has just been put there");
        peer.protect(&packet.bytes).expect("the first packet under a key")
    }

    /// One RTP or muxed RTCP packet from where signalling says the party is.
    pub(crate) fn send(&mut self, leg: u64, bytes: &[u8]) -> Verdict {
        self.deliver(leg, Component::Rtp, party(leg), bytes)
    }

    /// `count` packets of a stream, a packet time apart; time goes on after each.
    pub(crate) fn talk(&mut self, leg: u64, stream: &mut Stream, count: u32) {
        for _ in 0..count {
            let packet = stream.packet();
            self.send(leg, &packet);
            self.pass(20);
        }
    }

    /// Lets time pass; whatever is due is done when it is due.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.pass_until(self.now.after_nanos(ms * MS));
    }

    pub(crate) fn pass_until(&mut self, end: MonoTime) {
        let mut ticks_at_once = 0;
        while let Some(due) = self.shard.next_deadline().filter(|&due| due <= end) {
            ticks_at_once = if due > self.now { 0 } else { ticks_at_once + 1 };
            assert!(ticks_at_once < 1_000, "what is due at {due:?} is never done");
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = self.now.max(end);
    }

    /// Time passes, and nobody looks after the shard meanwhile.
    pub(crate) fn stall(&mut self, ms: u64) {
        self.now = self.now.after_nanos(ms * MS);
    }

    pub(crate) fn tick(&mut self) {
        let now = self.now;
        let taken = Taken::from(self.shard.tick(now));
        self.absorb(taken);
    }

    /// Takes what a party has received since the last call.
    pub(crate) fn take(&mut self, leg: u64) -> Vec<Heard> {
        self.heard.remove(&leg).unwrap_or_default()
    }

    /// Takes what all parties have received since the last call.
    pub(crate) fn take_all(&mut self) -> BTreeMap<u64, Vec<Heard>> {
        core::mem::take(&mut self.heard)
    }

    /// Takes the RTP that a party has received, and leaves its RTCP.
    pub(crate) fn rtp(&mut self, leg: u64) -> Vec<HeardRtp> {
        let heard = self.heard.entry(leg).or_default();
        let rtp = heard.extract_if(.., |heard| classify(&heard.bytes) == Protocol::Rtp);
        rtp.map(|heard| HeardRtp::read(&heard)).collect()
    }

    /// Takes the RTCP compounds that a party has received, and leaves its RTP.
    pub(crate) fn rtcp(&mut self, leg: u64) -> Vec<Heard> {
        let heard = self.heard.entry(leg).or_default();
        heard.extract_if(.., |heard| classify(&heard.bytes) == Protocol::Rtcp).collect()
    }

    /// Forgets what was received and told so far.
    pub(crate) fn forget(&mut self) {
        self.heard.clear();
        self.events.clear();
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.events.drain(..).map(|(_, event)| event).collect()
    }

    pub(crate) fn timed_events(&mut self) -> Vec<(MonoTime, Event)> {
        core::mem::take(&mut self.events)
    }

    /// Takes the datagrams of DTLS that were handed out.
    pub(crate) fn handshakes(&mut self) -> Vec<HandedOut> {
        core::mem::take(&mut self.handshakes)
    }

    /// Takes the receipts among the events, and leaves the other events.
    pub(crate) fn receipts(&mut self) -> Vec<Receipt> {
        let receipt = |event| if let Event::CutOver(receipt) = event { Some(receipt) } else { None };
        let receipts = self.events.extract_if(.., |(_, event)| matches!(event, Event::CutOver(_)));
        receipts.filter_map(|(_, event)| receipt(event)).collect()
    }

    /// Takes the receipt for one leg; there must be exactly one.
    pub(crate) fn receipt(&mut self, leg: u64) -> Receipt {
        let receipts: Vec<_> = self.receipts().into_iter().filter(|receipt| receipt.sink == LegId(leg)).collect();
        let [receipt] = receipts[..] else { panic!("leg {leg} has {} receipts: {receipts:?}", receipts.len()) };
        receipt
    }

    pub(crate) fn leg(&self, leg: u64) -> LegSnapshot {
        self.shard.leg(LegId(leg), self.now).expect("the leg exists")
    }

    pub(crate) fn drops(&self, leg: u64, reason: DropReason) -> u32 {
        self.leg(leg).drops.get(reason)
    }

    /// Every datagram is relayed, used up, or dropped by name; every packet that left was counted.
    pub(crate) fn assert_balanced(&self) {
        let worker = self.shard.worker();
        assert_eq!(worker.datagrams, worker.forwarded + worker.consumed + worker.drops.total(), "{worker:?}");
        assert_eq!((worker.sent, worker.sent_bytes), (self.sent, self.sent_bytes), "{worker:?}");
    }

    fn absorb(&mut self, taken: Taken) {
        for slot in taken.closed {
            if let Some(leg) = self.legs.remove(&slot) {
                self.slots.remove(&leg);
                self.secured.remove(&leg);
            }
        }
        for (leg, slot) in taken.opened {
            self.slots.insert(leg.0, slot);
            self.legs.insert(slot, leg.0);
        }
        for (port, to, bytes) in taken.transmits {
            self.capture(port, to, &bytes);
        }
        let now = self.now;
        self.events.extend(taken.events.into_iter().map(|event| (now, event)));
        self.handshakes.extend(taken.handshakes);
        self.given.extend(taken.given);
    }

    /// Somebody has made a packet.
    pub(crate) fn made(&mut self, id: MadeId, bytes: &[u8]) {
        let now = self.now;
        let taken = Taken::from(self.shard.made([(id, bytes)], now));
        self.absorb(taken);
    }

    fn capture(&mut self, port: PortId, to: SocketAddr, bytes: &[u8]) {
        self.sent += 1;
        self.sent_bytes += bytes.len() as u64;
        let leg = *self.legs.get(&port.slot()).expect("packets leave from ports of legs that exist");
        let peer = self.secured.get_mut(&leg);
        let bytes = peer.map_or_else(|| bytes.to_vec(), |peer| peer.unprotect(bytes));
        let heard = Heard { at: self.now, component: port.component(), to, bytes };
        self.heard.entry(leg).or_default().push(heard);
    }
}

/// What one call into the engine produced, out of its hands.
struct Taken {
    transmits: Vec<(PortId, SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
    handshakes: Vec<HandedOut>,
    given: Vec<Given>,
    opened: Vec<(LegId, u32)>,
    closed: Vec<u32>,
}

impl From<Outputs<'_>> for Taken {
    fn from(mut outputs: Outputs<'_>) -> Self {
        let transmits = outputs.transmits().map(|packet| (packet.port, packet.to, packet.bytes.to_vec())).collect();
        let (opened, closed) = (outputs.opened().to_vec(), outputs.closed().to_vec());
        let handshakes =
            outputs.handshakes().map(|one| (one.leg, one.association, one.from, one.bytes.to_vec())).collect();
        let events = outputs.events().collect();
        let given = outputs.hand_outs().map(Given::from).collect();
        Self { transmits, events, handshakes, given, opened, closed }
    }
}

/// Where signalling says that a leg's party is.
pub(crate) fn party(leg: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, leg as u8)), 4000)
}

/// Some address that nobody has mentioned.
pub(crate) fn stranger(number: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, number)), 6000 + u16::from(number))
}

pub(crate) fn local(leg: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 30_000 + 2 * leg as u16)
}

pub(crate) fn codec(payload_type: u8, encoding: &str, clock_rate: u32) -> Codec {
    let payload_type = PayloadType::new(payload_type).expect("below 128");
    let encoding = EncodingName::new(encoding).expect("a short name");
    Codec { payload_type, encoding, clock_rate, channels: 1, fmtp: None, sending: Sending::default() }
}

pub(crate) fn pcmu() -> Vec<Codec> {
    vec![codec(0, "PCMU", 8000), codec(101, "telephone-event", 8000)]
}

pub(crate) fn spec(leg: u64) -> LegSpec {
    LegSpec {
        id: LegId(leg),
        local_rtp: local(leg),
        local_rtcp: None,
        remote_rtp: Some(party(leg)),
        remote_rtcp: None,
        codecs: pcmu(),
        direction: Direction::SendRecv,
        latch: LatchPolicy::default(),
        egress_mode: EgressMode::Continuity,
        media_timeout: None,
        relaying: Relaying::Rtp,
        dscp: None,
    }
}

pub(crate) fn latch(mode: LatchMode, strict: bool) -> LatchPolicy {
    LatchPolicy { mode, strict, ..LatchPolicy::default() }
}

pub(crate) fn add(spec: LegSpec) -> Command {
    Command::AddLeg(Box::new(spec))
}

pub(crate) fn leg(leg: u64) -> Source {
    Source::Leg(LegId(leg))
}

pub(crate) fn cut_over(id: u64, trigger: Trigger, changes: &[(u64, Source)]) -> Command {
    let change = |(sink, source): &(u64, Source)| SourceChange { sink: LegId(*sink), source: source.clone() };
    Command::CutOver(CutOver { id: CutOverId(id), changes: changes.iter().map(change).collect(), trigger })
}

pub(crate) fn on_first_packet_of(leg: u64) -> Trigger {
    Trigger::OnFirstPacket { leg: LegId(leg) }
}

/// Frames of PCMU whose payloads name the clip and the frame.
pub(crate) fn clip(number: u32, frames: u32) -> Frames {
    clip_of(number, frames, "PCMU", 8000, 20)
}

pub(crate) fn clip_of(number: u32, frames: u32, encoding: &str, clock_rate: u32, ptime_ms: u32) -> Frames {
    let payload = |frame| Payload { origin: PLAYER + number, number: frame, ..Payload::default() }.to_bytes();
    let bytes: Vec<u8> = (0..frames).flat_map(payload).collect();
    Frames::new(encoding, clock_rate, ptime_ms, Payload::LEN, &bytes).expect("whole frames within the limits")
}

pub(crate) fn play(frames: Frames, repeat: Repeat) -> Source {
    Source::Player { frames, repeat }
}

pub(crate) fn hold() -> Source {
    play(clip(0, 50), Repeat::Forever)
}

pub(crate) const fn dropped(reason: DropReason) -> Verdict {
    Verdict::Dropped(reason)
}

/// Replaces a leg's codecs by some at 8 kHz.
pub(crate) fn set_codecs(leg: u64, codecs: &[(u8, &str)]) -> Command {
    let codecs = codecs.iter().map(|&(number, encoding)| codec(number, encoding, 8000)).collect();
    Command::SetCodecs { leg: LegId(leg), codecs }
}
