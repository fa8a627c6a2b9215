//! What every sent packet touches: the stream that a leg's party sees, whoever feeds it.
//!
//! Sequence numbers and timestamps of the source are moved by two offsets, which change only at a **splice**: the first
//! packet of a new source. Between splices loss, reordering and timing of the source pass through as they are.
//!
//! ```text
//!   source A   7 8 9                    offset -0        out   7 8 9
//!   source B         500 501 503 502    offset -490            10 11 13 12
//!                    ^ splice: next number, elapsed time, marker
//! ```

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use super::{NO_SLOT, Slot, SourceSlot};
use crate::command::EgressMode;
use crate::flow::Sending;
use crate::rng::Rng;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// How far behind the newest packet a late one may be and still be told from a duplicate: the bits of the window.
const WINDOW: u64 = 64;
/// Egress indices start one roll-over up, so that a packet sent before the very first one still has an index.
const FIRST_ROLL_OVER: u64 = 1 << 16;
/// RFC 3550 A.1: within so many packets behind the newest one and ahead of it, a packet is late or others are lost; beyond,
/// the source has started anew.
const SAME_RUN: core::ops::RangeInclusive<i16> = -99..=2999;
/// RFC 3551 4.2: the frame of a source that has not shown its own yet.
const DEFAULT_FRAMES_PER_SECOND: u32 = 50;
/// Timestamps of one source that are off the time by a quarter of a second and more are of two clocks.
const OWN_CLOCK_OFF_MAX: u32 = 4;
/// RFC 3551's video clock: there the marker bit ends a picture and must not be set by us.
const VIDEO_CLOCK_RATE: u32 = 90_000;

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Sending side of a leg: two cache lines, fetched as one pair.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Egress {
    remote: SocketAddr,
    pub(crate) source: SourceSlot,
    /// Next of the legs that hear the same source.
    pub(crate) next_sink: Slot,
    numbering: Numbering,
    gate: Gate,
    following: Following,
    /// Something was sent, ever.
    started: bool,
    pub(crate) hearing: Hearing,
    protection: Protection,
    sequence_offset: u16,
    timestamp_offset: u32,
    source_ssrc: Ssrc,
    ssrc: Ssrc,
    /// Index (roll-overs and sequence number, as RFC 3711 3.3.1 counts) of the newest packet sent.
    newest: u64,
    /// Index of the present source's first packet; nothing older is sent.
    first: u64,
    /// Bit n: index `newest - n` was sent.
    sent_window: u64,
    /// Timestamp of the newest packet, and when the first packet with that timestamp was sent.
    timestamp: u32,
    timestamp_at: MonoTime,
    /// Timestamp units from one packet to the next.
    frame_ts_units: u16,
    frame_ts_units_max: u16,
    pub(crate) last_sent_at: MonoTime,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// [`EgressMode`], and what becomes of a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbering {
    Continuity,
    NewSsrc,
    /// Packets pass untouched.
    Transparent,
    /// Packets of our own were put into a stream that passed untouched, or it must not repeat a number: what its source sends under
    /// the same SSRC is numbered on. Another SSRC passes untouched again.
    Shifted,
}

/// What becomes of the payload types of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// They pass as they are.
    AsIs,
    /// They are translated into this leg's numbers.
    Mapped,
    /// It hears packets that somebody makes for it, with its own numbers.
    Made,
}

/// Whether the party is sent SRTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// RTP.
    Plain,
    /// SRTP, and its key is not known yet.
    Awaited,
    /// SRTP.
    Srtp,
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// Nothing: the party's address is unknown, or its direction does not let it receive.
    Closed,
    /// What the source sends.
    Open,
    /// A telephone-event of our own, in the place of what the source sends.
    Key,
}

/// Whether the offsets hold for the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Following {
    /// The next packet is a new source's first.
    Nobody,
    /// The next packet goes on where the same source left off, but its numbers may not.
    Paused,
    /// As that, under whatever SSRC it comes: the source's own, or of what is made of it.
    Changing,
    /// The present source's first packet has been sent.
    Source,
}

const _: () = assert!(size_of::<Egress>() == 128, "a third line would be a third miss for every packet of a cold leg");

/// What a splice did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// Time since the last packet; `None` if this is the first one ever.
    pub(crate) gap_nanos: Option<u64>,
    /// `None` if this is the first packet ever, or of a new SSRC.
    pub(crate) sequence_step: Option<u16>,
    pub(crate) timestamp_step: Option<u32>,
    /// The SSRC that ended, in the mode that takes a fresh one.
    pub(crate) ended_ssrc: Option<Ssrc>,
    /// The SSRC that the same source used before.
    pub(crate) former_source_ssrc: Option<Ssrc>,
    /// The source is the same: it was relayed before and is made of now, or the other way around.
    pub(crate) is_change: bool,
}

/// A packet that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) header: RtpHeader,
    pub(crate) splice: Option<Splice>,
}

impl Egress {
    pub(crate) const fn new(mode: EgressMode) -> Self {
        Self {
            remote: NOWHERE,
            source: SourceSlot::Silence,
            next_sink: NO_SLOT,
            numbering: match mode {
                EgressMode::Continuity => Numbering::Continuity,
                EgressMode::NewSsrc => Numbering::NewSsrc,
                EgressMode::Transparent => Numbering::Transparent,
            },
            gate: Gate::Closed,
            following: Following::Nobody,
            started: false,
            hearing: Hearing::AsIs,
            protection: Protection::Plain,
            sequence_offset: 0,
            timestamp_offset: 0,
            source_ssrc: Ssrc(0),
            ssrc: Ssrc(0),
            newest: 0,
            first: 0,
            sent_window: 0,
            timestamp: 0,
            timestamp_at: MonoTime::ZERO,
            frame_ts_units: 0,
            frame_ts_units_max: 0,
            last_sent_at: MonoTime::ZERO,
            packets: 0,
            bytes: 0,
        }
    }

    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        (self.remote.port() != 0).then_some(self.remote)
    }

    pub(crate) const fn mode(&self) -> EgressMode {
        match self.numbering {
            Numbering::Continuity => EgressMode::Continuity,
            Numbering::NewSsrc => EgressMode::NewSsrc,
            Numbering::Transparent | Numbering::Shifted => EgressMode::Transparent,
        }
    }

    /// Packets pass as they are: this is a translator that nothing was put into.
    pub(crate) const fn is_untouched(&self) -> bool {
        matches!(self.numbering, Numbering::Transparent)
    }

    /// The source's numbers are the stream's.
    pub(crate) const fn is_translator(&self) -> bool {
        matches!(self.mode(), EgressMode::Transparent)
    }

    /// This is a translator that packets of our own were put into.
    pub(crate) const fn is_shifted(&self) -> bool {
        matches!(self.numbering, Numbering::Shifted)
    }

    /// The SSRC that the party sees; `None` before the first packet.
    pub(crate) fn ssrc(&self) -> Option<Ssrc> {
        self.started.then_some(self.ssrc)
    }

    /// The source's SSRC behind it, while a source is followed.
    pub(crate) fn source_ssrc(&self) -> Option<Ssrc> {
        self.follows_any().then_some(self.source_ssrc)
    }

    /// Source numbering is passed on as it is: nothing was ever cut over.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.is_untouched()
            || (self.follows_any()
                && !self.is_made()
                && self.sequence_offset == 0
                && self.timestamp_offset == 0
                && self.ssrc == self.source_ssrc)
    }

    /// (sequence, timestamp) that are added to the source's.
    pub(crate) const fn offsets(&self) -> (u16, u32) {
        (self.sequence_offset, self.timestamp_offset)
    }

    /// Timestamp of the newest packet and when it began.
    pub(crate) const fn clock(&self) -> (RtpTimestamp, MonoTime) {
        (RtpTimestamp(self.timestamp), self.timestamp_at)
    }

    pub(crate) fn retire(&mut self) {
        self.protection = Protection::Plain;
        self.remote = NOWHERE;
        self.gate = Gate::Closed;
        self.source = SourceSlot::Silence;
        self.next_sink = NO_SLOT;
    }

    /// Takes over what signalling, the latch and the direction say.
    pub(crate) fn refresh(&mut self, remote: Option<SocketAddr>, party_receives: bool) {
        self.remote = remote.unwrap_or(NOWHERE);
        if !party_receives || remote.is_none() || self.protection == Protection::Awaited {
            self.gate = Gate::Closed;
        } else if self.gate == Gate::Closed {
            self.gate = Gate::Open;
            self.resume_next();
        }
    }

    /// The next packet is the first of a new source: numbering continues from what was sent, whatever it brings.
    pub(crate) const fn splice_next(&mut self) {
        self.following = Following::Nobody;
    }

    /// As [`Egress::splice_next`], but the source is the same: no reason to take a fresh SSRC in the mode that does.
    pub(crate) fn resume_next(&mut self) {
        if self.following == Following::Source {
            self.following = Following::Paused;
        }
    }

    /// The next packet is the same source's, relayed after others were made of it, or the other way around.
    pub(crate) fn change_next(&mut self) {
        if self.following != Following::Nobody {
            self.following = Following::Changing;
        }
    }

    /// The source has started its sequence anew, at `sequence`; unless that follows from what was sent: a splice has
    /// noticed it already.
    pub(crate) fn restart(&mut self, sequence: SequenceNumber) {
        if self.is_made() {
            // Who transcodes numbers on by himself.
            return;
        }
        let ahead = sequence.wrapping_add(self.sequence_offset).distance_from(SequenceNumber(self.newest as u16));
        if !SAME_RUN.contains(&ahead) {
            self.resume_next();
        }
    }

    /// Why nothing of a source can be sent to this leg now, if that is so.
    #[inline]
    pub(crate) fn obstacle(&self) -> Option<DropReason> {
        match self.gate {
            Gate::Open => None,
            Gate::Key => Some(DropReason::ReplacedByDtmf),
            Gate::Closed if self.remote == NOWHERE => Some(DropReason::NoRemote),
            Gate::Closed if self.protection == Protection::Awaited => Some(DropReason::SrtpRequired),
            Gate::Closed => Some(DropReason::SinkDirection),
        }
    }

    /// Whether the party hears what somebody makes for it, of one source or of several.
    #[inline]
    pub(crate) const fn is_made(&self) -> bool {
        matches!(self.hearing, Hearing::Made)
    }

    /// Whether the party is sent SRTP alone.
    #[inline]
    pub(crate) const fn is_secured(&self) -> bool {
        !matches!(self.protection, Protection::Plain)
    }

    pub(crate) const fn protection(&self) -> Protection {
        self.protection
    }

    /// How far it is, for the offload.
    pub(crate) const fn sending(&self) -> Sending {
        Sending {
            newest: self.newest,
            first: self.first,
            sent_window: self.sent_window,
            packets: self.packets,
            bytes: self.bytes,
            last_sent_at: self.last_sent_at.as_nanos(),
            timestamp_at: self.timestamp_at.as_nanos(),
            timestamp: self.timestamp,
            frame_ts_units: self.frame_ts_units,
            frame_ts_units_max: self.frame_ts_units_max,
        }
    }

    /// Goes on from where the offload is.
    pub(crate) const fn resume(&mut self, from: &Sending) {
        self.newest = from.newest;
        self.first = from.first;
        self.sent_window = from.sent_window;
        self.packets = from.packets;
        self.bytes = from.bytes;
        self.last_sent_at = MonoTime::from_nanos(from.last_sent_at);
        self.timestamp_at = MonoTime::from_nanos(from.timestamp_at);
        self.timestamp = from.timestamp;
        self.frame_ts_units = from.frame_ts_units;
        self.frame_ts_units_max = from.frame_ts_units_max;
    }

    /// What follows from it is for [`Egress::refresh`] to do.
    pub(crate) const fn protect(&mut self, protection: Protection) {
        self.protection = protection;
    }

    /// Whether the party can be sent anything.
    pub(crate) const fn is_reachable(&self) -> bool {
        !matches!(self.gate, Gate::Closed)
    }

    /// Whether a telephone-event of our own is in the source's place.
    pub(crate) const fn has_key(&self) -> bool {
        matches!(self.gate, Gate::Key)
    }

    /// Whether a packet of `source_ssrc` belongs to the stream that is followed.
    #[inline]
    pub(crate) fn follows(&self, source_ssrc: Ssrc) -> bool {
        self.follows_any() && self.source_ssrc == source_ssrc
    }

    /// Whether a source is being followed: its first packet has been sent.
    #[inline]
    pub(crate) const fn follows_any(&self) -> bool {
        matches!(self.following, Following::Source)
    }

    /// Whether the next packet would be spliced on to what another source has sent.
    pub(crate) const fn joins_another_source(&self) -> bool {
        self.started && !self.follows_any()
    }

    /// Numbers one packet of the present source and counts it as sent.
    ///
    /// # Errors
    /// The packet must not be sent: it is late, or it was sent already. Nothing has changed then.
    #[inline]
    pub(crate) fn pass(&mut self, packet: &Incoming<'_>, rng: &mut Rng) -> Result<Passed, DropReason> {
        let header = packet.header;
        if self.follows(header.ssrc) && self.numbering != Numbering::Transparent {
            let sequence = header.sequence.wrapping_add(self.sequence_offset);
            let newest = self.claim(sequence)?;
            let timestamp = header.timestamp.wrapping_add(self.timestamp_offset);
            self.count(packet, timestamp, newest);
            let header = RtpHeader {
                marker: header.marker,
                payload_type: packet.payload_type,
                sequence,
                timestamp,
                ssrc: self.ssrc,
            };
            return Ok(Passed { header, splice: None });
        }
        Ok(self.pass_slowly(packet, rng))
    }

    #[cold]
    fn pass_slowly(&mut self, packet: &Incoming<'_>, rng: &mut Rng) -> Passed {
        let header = packet.header;
        if self.is_shifted() && header.ssrc != self.ssrc {
            self.numbering = Numbering::Transparent;
        }
        if self.is_untouched() {
            return self.pass_untouched(packet);
        }
        let changed_from = self.source_ssrc().filter(|&ssrc| ssrc != header.ssrc);
        let splice = self.splice(packet, changed_from, rng);
        let sequence = SequenceNumber(self.newest as u16);
        let timestamp = header.timestamp.wrapping_add(self.timestamp_offset);
        // `newest` was set by the splice; the first packet has no predecessor to measure a frame from.
        self.count(packet, timestamp, Newest::NotByOne);
        // RFC 5761 4: with a marker these payload types would be taken for RTCP.
        let looks_like_rtcp = matches!(packet.payload_type.get(), 64..=95);
        let starts_talkspurt = splice.gap_nanos.is_some()
            && packet.clock_rate != VIDEO_CLOCK_RATE
            && !looks_like_rtcp
            && !self.is_shifted();
        let header = RtpHeader {
            marker: header.marker || starts_talkspurt,
            payload_type: packet.payload_type,
            sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        Passed { header, splice: Some(splice) }
    }

    /// Sets the offsets so that `packet` is the next one, and claims its number.
    fn splice(&mut self, packet: &Incoming<'_>, former_source_ssrc: Option<Ssrc>, rng: &mut Rng) -> Splice {
        let header = packet.header;
        let gap_nanos = self.started.then(|| packet.now.nanos_since(self.last_sent_at));
        let mut splice = Splice {
            gap_nanos,
            sequence_step: None,
            timestamp_step: None,
            ended_ssrc: None,
            former_source_ssrc,
            is_change: self.following == Following::Changing,
        };
        if !self.started {
            // The first source's own numbering: a call that is never transferred is relayed bit for bit.
            self.ssrc = header.ssrc;
            self.sequence_offset = 0;
            self.timestamp_offset = 0;
            self.newest = FIRST_ROLL_OVER + u64::from(header.sequence.0);
            self.first = 0;
        } else if self.numbering == Numbering::NewSsrc && !self.resumes(header.ssrc) {
            splice.ended_ssrc = Some(self.ssrc);
            self.ssrc = Ssrc(rng.next_u32());
            let sequence = rng.next_u32() as u16;
            self.sequence_offset = sequence.wrapping_sub(header.sequence.0);
            self.timestamp_offset = rng.next_u32();
            self.newest = FIRST_ROLL_OVER + u64::from(sequence);
            self.first = self.newest;
        } else {
            // The timestamps of a translator are its source's own, which have gone on meanwhile.
            let step = match self.numbering {
                Numbering::Shifted => header.timestamp.0.wrapping_sub(self.timestamp),
                _ => self.own_ts_units(packet).unwrap_or_else(|| self.elapsed_ts_units(packet.clock_rate, packet.now)),
            };
            splice.sequence_step = Some(1);
            splice.timestamp_step = Some(step);
            self.newest += 1;
            self.first = self.newest;
            self.sequence_offset = (self.newest as u16).wrapping_sub(header.sequence.0);
            self.timestamp_offset = self.timestamp.wrapping_add(step).wrapping_sub(header.timestamp.0);
        }
        self.source_ssrc = header.ssrc;
        self.sent_window = 1;
        self.following = Following::Source;
        self.started = true;
        self.frame_ts_units_max = frame_ts_units_max(packet.clock_rate);
        splice
    }

    /// The time since the newest packet's timestamp began, in timestamp units.
    fn elapsed_ts_units(&self, clock_rate: u32, now: MonoTime) -> u32 {
        let elapsed = u128::from(now.nanos_since(self.timestamp_at)) * u128::from(clock_rate);
        // At least one frame: packets arrive in bunches, and a timestamp must not stand still.
        let frame = match self.frame_ts_units {
            0 => clock_rate / DEFAULT_FRAMES_PER_SECOND,
            known => u32::from(known),
        };
        ((elapsed / 1_000_000_000) as u32).max(frame).max(1)
    }

    /// The step that the timestamps of a source itself make on the way between relayed and made: they go on, if both have one clock.
    fn own_ts_units(&self, packet: &Incoming<'_>) -> Option<u32> {
        if self.following != Following::Changing {
            return None;
        }
        let step = packet.header.timestamp.0.wrapping_add(self.timestamp_offset).wrapping_sub(self.timestamp);
        let elapsed = self.elapsed_ts_units(packet.clock_rate, packet.now);
        let off = step.wrapping_sub(elapsed).cast_signed().unsigned_abs();
        (step.cast_signed() > 0 && off <= packet.clock_rate / OWN_CLOCK_OFF_MAX).then_some(step)
    }

    /// Whether a packet of `source_ssrc` goes on where the same source left off.
    fn resumes(&self, source_ssrc: Ssrc) -> bool {
        match self.following {
            Following::Changing => true,
            Following::Paused => self.source_ssrc == source_ssrc,
            Following::Nobody | Following::Source => false,
        }
    }

    /// Claims an egress sequence number: each is sent at most once (RFC 3711 9.1: two packets under one index would
    /// share key stream).
    #[inline]
    fn claim(&mut self, sequence: SequenceNumber) -> Result<Newest, DropReason> {
        let ahead = sequence.distance_from(SequenceNumber(self.newest as u16));
        if ahead > 0 {
            let ahead = ahead as u64;
            self.sent_window = if ahead < WINDOW { self.sent_window << ahead | 1 } else { 1 };
            self.newest += ahead;
            return Ok(if ahead == 1 { Newest::ByOne } else { Newest::NotByOne });
        }
        let behind = u64::from(ahead.unsigned_abs());
        if self.newest - self.first < behind {
            return Err(DropReason::StaleAfterCutover);
        }
        if behind >= WINDOW {
            return Err(DropReason::TooOld);
        }
        if self.sent_window >> behind & 1 == 1 {
            return Err(DropReason::Duplicate);
        }
        self.sent_window |= 1 << behind;
        Ok(Newest::No)
    }

    #[inline]
    fn count(&mut self, packet: &Incoming<'_>, timestamp: RtpTimestamp, newest: Newest) {
        self.packets += 1;
        self.bytes += packet.len as u64;
        self.last_sent_at = packet.now;
        if newest != Newest::No && timestamp.0 != self.timestamp {
            let step = timestamp.0.wrapping_sub(self.timestamp);
            if newest == Newest::ByOne && step <= u32::from(self.frame_ts_units_max) {
                self.frame_ts_units = step as u16;
            }
            self.timestamp = timestamp.0;
            self.timestamp_at = packet.now;
        }
    }

    /// A packet that was counted as sent cannot be sent after all: a translator's, whose index was used before.
    #[cold]
    pub(crate) const fn take_back(&mut self, len: usize) {
        self.packets -= 1;
        self.bytes -= len as u64;
    }

    fn pass_untouched(&mut self, packet: &Incoming<'_>) -> Passed {
        let header = packet.header;
        let joins = !self.follows(header.ssrc);
        let splice = joins.then(|| Splice {
            gap_nanos: self.started.then(|| packet.now.nanos_since(self.last_sent_at)),
            sequence_step: self.started.then(|| header.sequence.0.wrapping_sub(self.newest as u16)),
            timestamp_step: self.started.then(|| header.timestamp.0.wrapping_sub(self.timestamp)),
            ended_ssrc: None,
            former_source_ssrc: self.follows_any().then_some(self.source_ssrc),
            is_change: false,
        });
        let ahead = header.sequence.distance_from(SequenceNumber(self.newest as u16));
        let newest = match ahead {
            _ if joins || !SAME_RUN.contains(&ahead) => Newest::NotByOne,
            ..=0 => Newest::No,
            1 => Newest::ByOne,
            _ => Newest::NotByOne,
        };
        if newest != Newest::No {
            self.newest = FIRST_ROLL_OVER + u64::from(header.sequence.0);
        }
        if joins {
            self.frame_ts_units_max = frame_ts_units_max(packet.clock_rate);
        }
        self.first = 0;
        self.source_ssrc = header.ssrc;
        self.ssrc = header.ssrc;
        self.following = Following::Source;
        self.started = true;
        if self.is_secured() {
            // An index of SRTP is never used twice (RFC 3711 9.1): should the source begin anew under this SSRC, it is numbered on.
            self.numbering = Numbering::Shifted;
            self.sequence_offset = 0;
            self.timestamp_offset = 0;
            self.sent_window = 1;
        }
        self.count(packet, header.timestamp, newest);
        Passed { header: *header, splice }
    }

    /// Takes the source's place for a telephone-event of our own, and gives its timestamp. Where nothing was ever sent, `origin` is
    /// where the stream begins.
    pub(crate) fn press_key(&mut self, origin: &Origin, clock_rate: u32, now: MonoTime) -> RtpTimestamp {
        let timestamp = if self.started {
            RtpTimestamp(self.timestamp).wrapping_add(self.elapsed_ts_units(clock_rate, now))
        } else {
            self.started = true;
            self.ssrc = origin.ssrc;
            self.newest = FIRST_ROLL_OVER + u64::from(origin.sequence.0);
            self.first = self.newest + 1;
            origin.timestamp
        };
        if self.is_untouched() {
            self.numbering = Numbering::Shifted;
            self.sequence_offset = 0;
            self.timestamp_offset = 0;
        }
        self.gate = Gate::Key;
        self.resume_next();
        self.set_clock(timestamp, now);
        timestamp
    }

    /// The newest packet's timestamp, and when it began.
    pub(crate) const fn set_clock(&mut self, timestamp: RtpTimestamp, at: MonoTime) {
        self.timestamp = timestamp.0;
        self.timestamp_at = at;
    }

    /// As [`Egress::set_clock`] for a packet of audio of our own, which lasts for so many units.
    pub(crate) fn set_frame(&mut self, timestamp: RtpTimestamp, at: MonoTime, frame_ts_units: u32) {
        self.set_clock(timestamp, at);
        self.frame_ts_units = u16::try_from(frame_ts_units).unwrap_or(u16::MAX);
    }

    /// The source is heard again.
    pub(crate) fn release_key(&mut self) {
        if self.has_key() {
            self.gate = Gate::Open;
        }
    }

    /// Time from one packet to the next, nanoseconds; `None` as long as it has not shown.
    pub(crate) fn frame_nanos(&self, clock_rate: u32) -> Option<u64> {
        let nanos = u64::from(self.frame_ts_units) * 1_000_000_000 / u64::from(clock_rate.max(1));
        (nanos > 0).then_some(nanos)
    }

    /// Claims the next number for a packet of our own within the present stream: of a telephone-event.
    /// `None` if there is no stream, or if numbers are not ours to give.
    pub(crate) fn insert(&mut self, len: usize, now: MonoTime) -> Option<(SequenceNumber, Ssrc)> {
        if !self.started || self.is_untouched() {
            return None;
        }
        self.newest += 1;
        self.sent_window = self.sent_window << 1 | 1;
        self.packets += 1;
        self.bytes += len as u64;
        self.last_sent_at = now;
        Some((SequenceNumber(self.newest as u16), self.ssrc))
    }
}

/// Longer steps are pauses of the sender, not frames; an eighth of a second of every rate in use fits 16 bits.
fn frame_ts_units_max(clock_rate: u32) -> u16 {
    u16::try_from(clock_rate / 8).unwrap_or(u16::MAX)
}

/// Where a stream begins that has no source yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) ssrc: Ssrc,
    /// The number before the first one.
    pub(crate) sequence: SequenceNumber,
    pub(crate) timestamp: RtpTimestamp,
}

/// One packet of a source on its way to a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) header: &'a RtpHeader,
    /// As the listener calls the format.
    pub(crate) payload_type: PayloadType,
    /// Of the source.
    pub(crate) clock_rate: u32,
    /// Whole packet, in bytes.
    pub(crate) len: usize,
    pub(crate) now: MonoTime,
}

/// Whether a packet is the newest of its stream, and whether it is the direct successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newest {
    No,
    ByOne,
    NotByOne,
}
