//! A leg's state in three parts: what every received packet touches (`ingress`), what every sent packet touches
//! (`egress`), and the cold rest. They lie in three tables with the same index, the slot, so that a packet loads two
//! short records instead of one long one; and so that a leg that feeds itself needs no special case.

pub(crate) mod dtls;
pub(crate) mod egress;
pub(crate) mod flows;
pub(crate) mod formats;
pub(crate) mod ice;
pub(crate) mod ingress;
pub(crate) mod latch;
pub(crate) mod round_trip;
pub(crate) mod srtp;

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use patchcord_rtp::{RTP_HEADER_LEN, RtpTimestamp, Ssrc};
use patchcord_srtp::{KeyError, Receiver, Sender};

use crate::by_packet::ByPacket;
use crate::command::{LegSpec, Relaying, SrtpKeys};
use crate::datagram::Hop;
use crate::dtmf::Dialer;
use crate::event::Receipt;
use crate::histogram::LatencyHistogram;
use crate::ids::{Component, CutOverId, LegId, MadeId, PortId};
use crate::media::{Codec, Direction, Frames, Repeat};
use crate::mixing::Mix;
use crate::overhearing::Ears;
use crate::player::Player;
use crate::time::MonoTime;
use crate::verdict::Drops;

use dtls::Dtls;
use egress::{Egress, Protection};
use flows::Flows;
use formats::PayloadTypeMap;
use ice::{Ice, Opinion};
use ingress::Ingress;
use latch::Latch;
use round_trip::RoundTrip;
use srtp::Srtp;

/// Index of a leg in the tables; [`NO_SLOT`] where there is none.
pub(crate) type Slot = u32;
/// No leg.
pub(crate) const NO_SLOT: Slot = Slot::MAX;

/// What feeds an egress, by slot. A player's frames lie in [`Cold::player`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceSlot {
    Silence,
    Leg(Slot),
    /// Those of [`Legs::mixes`].
    Mix,
    Player,
}

/// What a packet rarely needs.
#[derive(Debug)]
pub(crate) struct Cold {
    pub(crate) id: LegId,
    pub(crate) local_rtp: SocketAddr,
    pub(crate) local_rtcp: Option<SocketAddr>,
    /// RTCP travels on the RTP port.
    pub(crate) rtcp_muxed: bool,
    /// Of what the party is sent, for the offload; the backend has been told.
    pub(crate) dscp: Option<u8>,
    /// Where RTCP goes to, if not to the RTP address.
    pub(crate) remote_rtcp: Option<SocketAddr>,
    pub(crate) latch: Latch,
    pub(crate) ice: Option<Box<Ice>>,
    pub(crate) dtls: Option<Box<Dtls>>,
    pub(crate) direction: Direction,
    pub(crate) muted: bool,
    /// Telephone-events of the party are not relayed.
    pub(crate) dtmf_blocked: bool,
    /// What comes and goes is copied out.
    pub(crate) tapped: bool,
    pub(crate) codecs: Vec<Codec>,
    /// Every codec that a payload type of this leg has ever named: it must not come to mean anything else.
    pub(crate) codecs_ever: Vec<Codec>,
    /// Payload types of the present source as this leg knows them.
    pub(crate) payload_types: PayloadTypeMap,
    /// The stream that is made for this leg, if it hears a mix, or its source transcoded.
    pub(crate) made: Option<MadeId>,
    /// Legs that hear this one mixed.
    pub(crate) mixes: u16,
    /// Who overhears it, as has been told.
    pub(crate) ears: Ears,
    pub(crate) media_timeout_ms: Option<u32>,
    pub(crate) timed_out: bool,
    pub(crate) created_at: MonoTime,
    pub(crate) drops: Drops,
    pub(crate) rtcp_received: u64,
    pub(crate) rtcp_sent: u64,
    pub(crate) latency: LatencyHistogram,
    pub(crate) player: Option<Player>,
    /// Key presses that the party is being sent.
    pub(crate) dialer: Option<Box<Dialer>>,
    pub(crate) next_report_at: MonoTime,
    pub(crate) cname: Cname,
    /// Cumulative loss and jitter (timestamp units) of the party's last report block about our stream.
    pub(crate) reported: Option<(i32, u32)>,
    pub(crate) round_trip: RoundTrip,
    /// The present source's last sender report that this leg's party was sent, as reception reports call it (LSR).
    pub(crate) relayed_report: Option<u32>,
    /// Packets and bytes that had been sent when the present SSRC began.
    pub(crate) sent_before_ssrc: (u64, u64),
    /// What the party called itself before it changed its SSRC.
    pub(crate) former_ssrc: Option<Ssrc>,
    /// Packets that were late after that, and do not count as received.
    pub(crate) stragglers: u64,
    pub(crate) event_in_flight: Option<EventInFlight>,
    /// Timestamp, as the source counts, of a telephone-event whose start this leg did not hear.
    pub(crate) event_skipped: Option<RtpTimestamp>,
    /// The cut-over whose first packet has yet to leave.
    pub(crate) draft: Option<Draft>,
    pub(crate) last_receipt: Option<Receipt>,
    /// The listener that this leg lost last, by which cut-over and when: its late packets are stale.
    pub(crate) former_sink: Option<(Slot, CutOverId, MonoTime)>,
    pub(crate) undo: Option<Undo>,
    /// The pending cut-over that will feed this leg.
    pub(crate) pending: Option<CutOverId>,
    /// The pending cut-over that waits for this leg's first packet.
    pub(crate) awaited_by: Option<CutOverId>,
    /// The pending cut-over that waits for the end of the prompt that this leg hears.
    pub(crate) prompt_awaited_by: Option<CutOverId>,
}

/// A receipt in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) id: CutOverId,
    pub(crate) trigger: crate::event::TriggerKind,
    pub(crate) commanded_at: MonoTime,
    pub(crate) switched_at: MonoTime,
    /// Late packets of the old source so far.
    pub(crate) stale: u32,
}

impl Draft {
    /// The receipt, if nothing was sent before that the first packet could be measured against.
    pub(crate) const fn receipt(&self, sink: LegId, first_packet_at: MonoTime) -> Receipt {
        Receipt {
            id: self.id,
            sink,
            trigger: self.trigger,
            commanded_at: self.commanded_at,
            switched_at: self.switched_at,
            first_packet_at,
            gap_us: None,
            seq_step: None,
            ts_step: None,
            stale: self.stale,
            command_to_effect_us: first_packet_at.nanos_since(self.commanded_at) / 1000,
        }
    }
}

/// How to go back: what fed the leg before its latest cut-over.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    pub(crate) id: CutOverId,
    pub(crate) previous: crate::command::Source,
}

/// A telephone-event that a listener has heard the start of but not the end (RFC 4733).
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventInFlight {
    pub(crate) event: u8,
    pub(crate) volume: u8,
    pub(crate) duration: u16,
    pub(crate) payload_type: patchcord_rtp::PayloadType,
    /// As the listener counts.
    pub(crate) timestamp: RtpTimestamp,
    /// When the listener was last told of it.
    pub(crate) heard_at: MonoTime,
}

/// The CNAME that a leg's listener knows us by, constant over every cut-over (RFC 7022 wants it unlinkable between
/// sessions; it is the first source's own, or random).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cname {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Cname {
    /// Longer names than this are replaced from the start rather than adopted.
    const MAX: usize = 63;

    pub(crate) const fn unknown() -> Self {
        Self { len: 0, bytes: [0; Self::MAX] }
    }

    pub(crate) const fn is_known(&self) -> bool {
        self.len > 0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Takes `name` if it fits, else a name made of `random`.
    pub(crate) fn settle(&mut self, name: Option<&[u8]>, random: u64) {
        match name {
            Some(name) if !name.is_empty() && name.len() <= Self::MAX => {
                self.bytes[..name.len()].copy_from_slice(name);
                self.len = name.len() as u8;
            }
            _ => {
                for (index, digit) in self.bytes.iter_mut().take(16).enumerate() {
                    *digit = b"0123456789abcdef"[(random >> (4 * index)) as usize & 15];
                }
                self.len = 16;
            }
        }
    }
}

/// The tables, and who lives in which slot. Their room is reserved at start and never grows.
#[derive(Debug)]
pub(crate) struct Legs {
    pub(crate) ingress: Vec<Ingress>,
    pub(crate) egress: Vec<Egress>,
    pub(crate) cold: Vec<Cold>,
    /// Keys of the legs that have SRTP: in a table of their own, because every packet of such a leg needs them.
    pub(crate) srtp: Vec<Option<Box<Srtp>>>,
    slots: HashMap<LegId, Slot>,
    /// Legs whose packets are taken for another leg's: which one's, and how they relay otherwise. Few are, so that others
    /// have no room for it.
    doors: BTreeMap<Slot, (Slot, Relaying)>,
    /// Whom a leg hears mixed. As few have such.
    pub(crate) mixes: BTreeMap<Slot, Mix>,
    /// When prompts over what legs hear are through.
    pub(crate) prompt_ends: BTreeSet<(MonoTime, Slot)>,
    /// What the legs with a player hear after what it plays, the next first. Few have any.
    pub(crate) queues: BTreeMap<Slot, VecDeque<(Frames, Repeat)>>,
    /// Those that hear some formats of their source as they are, and others transcoded.
    pub(crate) by_packet: BTreeMap<Slot, ByPacket>,
    free: Vec<Slot>,
    capacity: u32,
    pub(crate) flows: Flows,
}

impl Legs {
    pub(crate) fn new(capacity: u32) -> Self {
        let room = capacity as usize;
        // Reserved, not touched: a daemon with room for 20,000 legs and none of them in use stays small.
        Self {
            ingress: Vec::with_capacity(room),
            egress: Vec::with_capacity(room),
            cold: Vec::with_capacity(room),
            srtp: Vec::with_capacity(room),
            slots: HashMap::with_capacity(room),
            doors: BTreeMap::new(),
            mixes: BTreeMap::new(),
            prompt_ends: BTreeSet::new(),
            queues: BTreeMap::new(),
            by_packet: BTreeMap::new(),
            free: Vec::with_capacity(room),
            capacity,
            flows: Flows::default(),
        }
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Slots that have ever been used: everything in use is below.
    pub(crate) fn slots_end(&self) -> Slot {
        self.ingress.len() as Slot
    }

    pub(crate) fn slot(&self, id: LegId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    /// Puts a new leg into a free slot. The caller has checked that there is one and that the id is new.
    pub(crate) fn insert(&mut self, spec: &LegSpec, now: MonoTime) -> Slot {
        debug_assert!(self.in_use() < self.capacity, "checked by the batch's validation");
        let ingress = Ingress::new(spec);
        let egress = Egress::new(spec.egress_mode);
        let cold = Cold::new(spec, now);
        let slot = if let Some(slot) = self.free.pop() {
            let at = slot as usize;
            self.ingress[at] = ingress;
            self.egress[at] = egress;
            self.cold[at] = cold;
            slot
        } else {
            self.ingress.push(ingress);
            self.egress.push(egress);
            self.cold.push(cold);
            self.srtp.push(None);
            self.slots_end() - 1
        };
        self.slots.insert(spec.id, slot);
        slot
    }

    /// Frees a slot. The caller has unlinked the leg from its sources and sinks.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let at = slot as usize;
        self.descend(slot);
        self.flows.forget(slot);
        self.slots.remove(&self.cold[at].id);
        self.set_door(slot, None);
        self.end_doors_into(slot);
        self.srtp[at] = None;
        self.ingress[at].retire();
        self.egress[at].retire();
        // What the leg held (codec names, a player's frames) goes now, not when the slot is used again.
        self.cold[at].codecs = Vec::new();
        self.cold[at].codecs_ever = Vec::new();
        self.cold[at].player = None;
        self.cold[at].dialer = None;
        self.cold[at].undo = None;
        self.mixes.remove(&slot);
        self.queues.remove(&slot);
        self.by_packet.remove(&slot);
        self.cold[at].ice = None;
        self.cold[at].dtls = None;
        self.free.push(slot);
    }

    pub(crate) fn is_door(&self, slot: Slot) -> bool {
        self.ingress[slot as usize].is_door()
    }

    /// The leg that a door leads to.
    pub(crate) fn behind_door(&self, slot: Slot) -> Option<Slot> {
        self.doors.get(&slot).map(|&(into, _)| into)
    }

    /// Makes the leg a door into another one, which is none, or ends that. Doors into the leg lead on.
    pub(crate) fn set_door(&mut self, slot: Slot, into: Option<Slot>) {
        self.descend(slot);
        let ingress = &mut self.ingress[slot as usize];
        match (into, self.doors.get_mut(&slot)) {
            (Some(into), Some((present, _))) => *present = into,
            (Some(into), None) => {
                let relaying = ingress.become_door();
                self.doors.insert(slot, (into, relaying));
            }
            (None, Some(&mut (_, relaying))) => {
                ingress.set_relaying(relaying, is_secured(&self.srtp[slot as usize]));
                self.doors.remove(&slot);
            }
            (None, None) => {}
        }
        if let Some(into) = into {
            for (present, _) in self.doors.values_mut().filter(|(present, _)| *present == slot) {
                *present = into;
            }
        }
    }

    /// What the party sends is read, or relayed unread, from now on; for a door: as soon as it is none.
    pub(crate) fn set_relaying(&mut self, slot: Slot, relaying: Relaying) {
        self.descend(slot);
        match self.doors.get_mut(&slot) {
            Some((_, otherwise)) => *otherwise = relaying,
            None => self.ingress[slot as usize].set_relaying(relaying, is_secured(&self.srtp[slot as usize])),
        }
    }

    /// What unprotects a leg's packets, while its key is known.
    pub(crate) fn receiver(&self, slot: Slot) -> Option<&Receiver> {
        self.srtp.get(slot as usize)?.as_ref()?.receiver()
    }

    pub(crate) fn receiver_mut(&mut self, slot: Slot) -> Option<&mut Receiver> {
        self.srtp.get_mut(slot as usize)?.as_mut()?.receiver_mut()
    }

    /// What protects packets to a leg, while there is a key.
    pub(crate) fn sender(&self, slot: Slot) -> Option<&Sender> {
        self.srtp.get(slot as usize)?.as_ref()?.sender()
    }

    pub(crate) fn sender_mut(&mut self, slot: Slot) -> Option<&mut Sender> {
        self.srtp.get_mut(slot as usize)?.as_mut()?.sender_mut()
    }

    /// Takes over keys, or that there are none any more.
    ///
    /// # Errors
    /// Never, for keys that were validated.
    pub(crate) fn set_srtp(&mut self, slot: Slot, keys: Option<&SrtpKeys>) -> Result<(), KeyError> {
        let at = slot as usize;
        self.descend(slot);
        match (keys, &mut self.srtp[at]) {
            (Some(keys), Some(srtp)) => srtp.renew(keys)?,
            (Some(keys), none) => *none = Some(Box::new(Srtp::new(keys)?)),
            (None, Some(srtp)) => srtp.suspend(),
            (None, None) => {}
        }
        self.egress[at].protect(self.srtp[at].as_ref().map_or(Protection::Plain, |srtp| srtp.protection()));
        let secured = is_secured(&self.srtp[at]);
        if !self.doors.contains_key(&slot) && (secured || self.ingress[at].is_secured()) {
            self.ingress[at].set_relaying(Relaying::Rtp, secured);
        }
        self.refresh_flags(slot);
        Ok(())
    }

    fn end_doors_into(&mut self, slot: Slot) {
        while let Some((&door, _)) = self.doors.iter().find(|(_, (into, _))| *into == slot) {
            self.set_door(door, None);
        }
    }

    /// Makes `sink` hear what `source` receives.
    pub(crate) fn link(&mut self, source: Slot, sink: Slot) {
        self.descend_from(source);
        self.egress[sink as usize].next_sink = self.ingress[source as usize].first_sink;
        self.ingress[source as usize].first_sink = sink;
    }

    /// Ends that.
    pub(crate) fn unlink(&mut self, source: Slot, sink: Slot) {
        self.descend_from(source);
        let after = self.egress[sink as usize].next_sink;
        let first = self.ingress[source as usize].first_sink;
        if first == sink {
            self.ingress[source as usize].first_sink = after;
        } else {
            let mut before = first;
            while before != NO_SLOT {
                let next = self.egress[before as usize].next_sink;
                if next == sink {
                    self.egress[before as usize].next_sink = after;
                    break;
                }
                before = next;
            }
        }
        self.egress[sink as usize].next_sink = NO_SLOT;
    }

    /// Where RTCP for this leg's party leaves and goes to; `None` while its address is unknown.
    pub(crate) fn rtcp_hop(&self, slot: Slot) -> Option<Hop> {
        let cold = &self.cold[slot as usize];
        let rtp = self.egress[slot as usize].remote()?;
        if cold.rtcp_muxed {
            let to = cold.remote_rtcp.filter(|_| !cold.latch.is_nominated()).unwrap_or(rtp);
            return Some(Hop { port: PortId::new(slot, Component::Rtp), to });
        }
        // RFC 3550 11: without other word RTCP goes to the next higher port.
        let nominated = cold.ice.as_ref().and_then(|ice| ice.nominated(Component::Rtcp));
        let to =
            nominated.or(cold.remote_rtcp).or_else(|| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)))?;
        Some(Hop { port: PortId::new(slot, Component::Rtcp), to })
    }

    /// Packets, and bytes of payload, sent under the present SSRC: what a sender report says (RFC 3550 6.4.1). Headers
    /// are left out as far as they are of the usual 12 bytes.
    pub(crate) fn sender_counts(&self, slot: Slot) -> (u32, u32) {
        let egress = &self.egress[slot as usize];
        let (packets_before, bytes_before) = self.cold[slot as usize].sent_before_ssrc;
        let packets = egress.packets - packets_before;
        let octets = (egress.bytes - bytes_before).saturating_sub(packets * RTP_HEADER_LEN as u64);
        (packets as u32, octets as u32)
    }

    /// Takes over what a change of latch, signalling, direction or mute means for the packet path.
    pub(crate) fn refresh_flags(&mut self, slot: Slot) {
        let at = slot as usize;
        self.descend(slot);
        let cold = &self.cold[at];
        let open = cold.direction.party_sends() && !cold.muted;
        let reopened = self.ingress[at].refresh(&cold.latch, open);
        self.egress[at].refresh(cold.latch.remote(), cold.direction.party_receives());
        if reopened {
            // Nobody heard the packets in between: continue from the last one that was sent, as after a cut-over.
            let mut sink = self.ingress[at].first_sink;
            while sink != NO_SLOT {
                self.egress[sink as usize].resume_next();
                sink = self.egress[sink as usize].next_sink;
            }
        }
    }
}

fn is_secured(srtp: &Option<Box<Srtp>>) -> bool {
    srtp.as_ref().is_some_and(|srtp| srtp.is_in_force())
}

impl Cold {
    fn new(spec: &LegSpec, now: MonoTime) -> Self {
        Self {
            id: spec.id,
            local_rtp: spec.local_rtp,
            local_rtcp: spec.local_rtcp,
            rtcp_muxed: spec.local_rtcp.is_none(),
            dscp: spec.dscp,
            remote_rtcp: spec.remote_rtcp,
            latch: Latch::new(spec.latch, spec.remote_rtp),
            ice: None,
            dtls: None,
            direction: spec.direction,
            muted: false,
            dtmf_blocked: false,
            tapped: false,
            codecs: spec.codecs.clone(),
            codecs_ever: spec.codecs.clone(),
            payload_types: PayloadTypeMap::identity(),
            made: None,
            mixes: 0,
            ears: Ears::NONE,
            media_timeout_ms: spec.media_timeout.map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
            timed_out: false,
            created_at: now,
            drops: Drops::default(),
            rtcp_received: 0,
            rtcp_sent: 0,
            latency: LatencyHistogram::default(),
            player: None,
            dialer: None,
            next_report_at: now,
            cname: Cname::unknown(),
            reported: None,
            round_trip: RoundTrip::unknown(),
            relayed_report: None,
            sent_before_ssrc: (0, 0),
            former_ssrc: None,
            stragglers: 0,
            event_in_flight: None,
            event_skipped: None,
            draft: None,
            last_receipt: None,
            former_sink: None,
            undo: None,
            pending: None,
            awaited_by: None,
            prompt_awaited_by: None,
        }
    }

    /// RTCP is accepted from where ICE says; without, from where it was signalled or learned to come from, and from the host
    /// that RTP comes from.
    pub(crate) fn takes_rtcp_from(&self, component: Component, from: SocketAddr) -> bool {
        let known = match component {
            Component::Rtp => self.latch.settled(),
            Component::Rtcp => self.remote_rtcp,
        };
        match self.ice.as_ref().map_or(Opinion::None, |ice| ice.opinion(component, from)) {
            Opinion::Valid => true,
            Opinion::Foreign { nominated } => !nominated && known == Some(from),
            Opinion::None if component == Component::Rtp && self.latch.is_nominated() => known == Some(from),
            Opinion::None => {
                let signalled = self.latch.signalled().filter(|_| !self.latch.is_nominated());
                let hosts = [self.latch.remote(), signalled];
                self.remote_rtcp == Some(from) || hosts.into_iter().flatten().any(|known| known.ip() == from.ip())
            }
        }
    }

    /// DTLS is accepted from where ICE says that the party is; without, from where the latch has learned it or may learn it.
    pub(crate) fn takes_dtls_from(&self, from: SocketAddr) -> bool {
        match &self.ice {
            None => self.latch.may_be_party(from),
            Some(ice) => match ice.opinion(Component::Rtp, from) {
                Opinion::Valid => true,
                Opinion::None | Opinion::Foreign { .. } => self.latch.settled() == Some(from),
            },
        }
    }

    /// Whether what comes from there cannot be the party's, whatever it is. While the source is being learned that is not known.
    pub(crate) fn is_foreign(&self, from: SocketAddr) -> bool {
        self.ice.is_none() && self.latch.is_foreign(from)
    }

    /// The clock rate of the format that `payload_type` names here; of the first one, where it names none.
    pub(crate) fn clock_rate_of(&self, payload_type: patchcord_rtp::PayloadType) -> u32 {
        let named = self.codecs.iter().find(|codec| codec.payload_type == payload_type);
        named.or_else(|| self.codecs.first()).map_or(DEFAULT_CLOCK_RATE, |codec| codec.clock_rate)
    }
}

/// RFC 3551's rate of every narrow-band audio format, for legs without a codec list.
pub(crate) const DEFAULT_CLOCK_RATE: u32 = 8000;
