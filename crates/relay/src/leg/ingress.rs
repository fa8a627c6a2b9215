//! What every received packet touches.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use patchcord_rtp::{PayloadType, ReceiverState};

use super::latch::Latch;
use super::{DEFAULT_CLOCK_RATE, NO_SLOT, Slot};
use crate::command::{LegSpec, Relaying};
use crate::flow::Progress;
use crate::media::Codec;
use crate::time::MonoTime;

/// An address that no packet comes from.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Receiving side of a leg: two cache lines, fetched as one pair.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Ingress {
    /// The settled source; [`NOBODY`] while there is none.
    accepted: SocketAddr,
    /// First of the legs that hear this one; the others follow by `Egress::next_sink`.
    pub(crate) first_sink: Slot,
    life: Life,
    /// The party may speak and somebody may hear it.
    open: bool,
    /// The latch has settled, and nothing waits for this leg: a packet from `accepted` needs no second look.
    plain: bool,
    attention: Attention,
    /// The payload types that are RFC 4733's telephone-event here; [`NO_EVENT`] in unused places. A list has one for
    /// each clock rate that its audio has.
    telephone_events: [u8; TELEPHONE_EVENTS_MAX],
    /// Meaningless before the first packet.
    pub(crate) last_packet_at: MonoTime,
    pub(crate) bytes: u64,
    pub(crate) receiver: ReceiverState,
    /// Of the format that the party sends.
    pub(crate) clock_rate: u32,
}

/// Whether a leg lives in the slot, and how what it receives is relayed: one byte, for want of a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Gone,
    Rtp,
    /// What arrives is unprotected first.
    Srtp,
    Opaque,
    /// What arrives is another leg's.
    Door,
}

impl Life {
    const fn of(relaying: Relaying) -> Self {
        match relaying {
            Relaying::Rtp => Self::Rtp,
            Relaying::Opaque => Self::Opaque,
        }
    }
}

/// What a packet of the leg means beside reaching its listeners: one byte, and one question to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Attention(u8);

impl Attention {
    /// A pending cut-over waits for the first one.
    const AWAITED: u8 = 1;
    /// Somebody overhears it.
    const OVERHEARD: u8 = 2;

    const fn has(self, what: u8) -> bool {
        self.0 & what != 0
    }

    const fn set(&mut self, what: u8, on: bool) {
        self.0 = if on { self.0 | what } else { self.0 & !what };
    }
}

const _: () = assert!(size_of::<Ingress>() == 128, "a third line would be a third miss for every packet of a cold leg");

/// Telephone-event payload types that a leg can have: RFC 4733 2.1 wants one for each clock rate in use.
const TELEPHONE_EVENTS_MAX: usize = 4;
const NO_EVENT: u8 = 0xff;

impl Ingress {
    pub(crate) fn new(spec: &LegSpec) -> Self {
        Self {
            accepted: NOBODY,
            first_sink: NO_SLOT,
            life: Life::of(spec.relaying),
            open: spec.direction.party_sends(),
            plain: false,
            attention: Attention::default(),
            telephone_events: telephone_events(&spec.codecs),
            last_packet_at: MonoTime::ZERO,
            bytes: 0,
            receiver: ReceiverState::new(DEFAULT_CLOCK_RATE),
            clock_rate: DEFAULT_CLOCK_RATE,
        }
    }

    pub(crate) const fn is_live(&self) -> bool {
        !matches!(self.life, Life::Gone)
    }

    /// Whether what the party sends is relayed unread.
    pub(crate) const fn is_opaque(&self) -> bool {
        matches!(self.life, Life::Opaque)
    }

    /// Whether what the party sends is SRTP that is read.
    pub(crate) const fn is_secured(&self) -> bool {
        matches!(self.life, Life::Srtp)
    }

    pub(crate) const fn set_relaying(&mut self, relaying: Relaying, secured: bool) {
        // What has keys is read, or it would pass without having proved anything.
        self.life = if secured { Life::Srtp } else { Life::of(relaying) };
    }

    /// Whether what arrives is taken for another leg.
    pub(crate) const fn is_door(&self) -> bool {
        matches!(self.life, Life::Door)
    }

    /// Makes it a door; says how it has relayed until now.
    pub(crate) const fn become_door(&mut self) -> Relaying {
        let was = if self.is_opaque() { Relaying::Opaque } else { Relaying::Rtp };
        self.life = Life::Door;
        was
    }

    /// Whether a packet means anything beside reaching the listeners.
    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        self.attention != Attention::default()
    }

    /// Whether a pending cut-over waits for this leg's first packet.
    pub(crate) const fn is_awaited(&self) -> bool {
        self.attention.has(Attention::AWAITED)
    }

    pub(crate) const fn set_awaited(&mut self, awaited: bool) {
        self.attention.set(Attention::AWAITED, awaited);
    }

    /// Whether somebody beside the listeners hears this leg.
    pub(crate) const fn is_overheard(&self) -> bool {
        self.attention.has(Attention::OVERHEARD)
    }

    pub(crate) const fn set_overheard(&mut self, overheard: bool) {
        self.attention.set(Attention::OVERHEARD, overheard);
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Whether a packet from `from` can be relayed without asking the latch.
    #[inline]
    pub(crate) fn is_plain_from(&self, from: &SocketAddr) -> bool {
        self.plain && self.accepted == *from
    }

    /// The source whose packets can be relayed without asking the latch, if there is one.
    pub(crate) fn plain_source(&self) -> Option<SocketAddr> {
        self.plain.then_some(self.accepted)
    }

    /// Goes on from where the offload is.
    pub(crate) const fn resume(&mut self, progress: &Progress) {
        self.receiver.resume(&progress.reception);
        self.bytes = progress.bytes;
        self.last_packet_at = MonoTime::from_nanos(progress.last_packet_at);
    }

    /// When the leg accepted its last packet.
    pub(crate) fn last_packet_at(&self) -> Option<MonoTime> {
        (self.last_packet_at != MonoTime::ZERO).then_some(self.last_packet_at)
    }

    #[inline]
    pub(crate) fn is_telephone_event(&self, payload_type: PayloadType) -> bool {
        self.telephone_events.contains(&payload_type.get())
    }

    pub(crate) fn retire(&mut self) {
        self.life = Life::Gone;
        self.plain = false;
        self.first_sink = NO_SLOT;
    }

    /// Takes over the latch's answer; returns whether the leg can be heard now and could not before.
    pub(crate) fn refresh(&mut self, latch: &Latch, open: bool) -> bool {
        let settled = latch.settled_source();
        self.accepted = settled.unwrap_or(NOBODY);
        self.plain = settled.is_some() && !latch.is_relearning() && open && !self.is_awaited();
        let reopened = open && !self.open;
        self.open = open;
        reopened
    }

    /// The party sends another format from now on.
    pub(crate) fn set_clock_rate(&mut self, clock_rate: u32, now: MonoTime) {
        self.clock_rate = clock_rate;
        self.receiver.set_clock_rate(clock_rate, now.as_nanos());
    }

    pub(crate) fn set_codecs(&mut self, codecs: &[Codec]) {
        self.telephone_events = telephone_events(codecs);
    }
}

fn telephone_events(codecs: &[Codec]) -> [u8; TELEPHONE_EVENTS_MAX] {
    let mut numbers = [NO_EVENT; TELEPHONE_EVENTS_MAX];
    let events = codecs.iter().filter(|codec| codec.is_telephone_event());
    for (number, codec) in numbers.iter_mut().zip(events) {
        *number = codec.payload_type.get();
    }
    numbers
}
