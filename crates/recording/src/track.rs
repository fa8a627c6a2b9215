//! One party of a recording.

use std::sync::Arc;

use patchcord_codec::Codec;
use patchcord_rtp::{PayloadType, RtpPacket, RtpTimestamp};

use crate::mixer::Mixer;
use crate::order::{Arrived, Order, Waiting};
use crate::report::Counts;
use crate::spec::TrackFormat;
use crate::timeline::Timeline;
use crate::voice::{Heard, Next, Voice};

/// RFC 3551 table 4: comfort noise. It is often sent unannounced.
const COMFORT_NOISE: u8 = 13;

/// A party from its joining to its leaving.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) party: Arc<str>,
    formats: Vec<(u8, Meaning)>,
    order: Order,
    voice: Voice,
    pub(crate) counts: Counts,
    /// Its place in the list of files, and in that of the metadata.
    pub(crate) file: usize,
    pub(crate) entry: Option<usize>,
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Audio(Codec),
    /// Keys, comfort noise: in the recording they are silence.
    Silent,
    Unknown,
}

impl Meaning {
    fn of(format: &TrackFormat) -> Self {
        let is = |name: &str| format.encoding.eq_ignore_ascii_case(name);
        if is("telephone-event") || is("CN") {
            return Self::Silent;
        }
        Codec::of(&format.encoding, format.clock_rate, format.channels, format.fmtp.as_deref())
            .map_or(Self::Unknown, Self::Audio)
    }
}

impl Track {
    pub(crate) fn new(party: Arc<str>, formats: &[TrackFormat], rate: u32, hold_ns: u64, file: usize) -> Self {
        let mut track = Self {
            party,
            formats: Vec::new(),
            order: Order::new(hold_ns),
            voice: Voice::new(rate),
            counts: Counts::default(),
            file,
            entry: None,
        };
        track.set_formats(formats);
        track
    }

    /// What its payload types stand for from now on.
    pub(crate) fn set_formats(&mut self, formats: &[TrackFormat]) {
        self.formats = formats.iter().map(|format| (format.payload_type, Meaning::of(format))).collect();
    }

    fn meaning(&self, payload_type: PayloadType) -> Meaning {
        let known = self.formats.iter().find(|(number, _)| *number == payload_type.get());
        match known {
            Some((_, meaning)) => *meaning,
            None if payload_type.get() == COMFORT_NOISE => Meaning::Silent,
            None => Meaning::Unknown,
        }
    }

    /// Takes a packet.
    pub(crate) fn take(&mut self, at_ns: u64, rtp: Box<[u8]>) {
        self.counts.packets += 1;
        let Ok(packet) = RtpPacket::parse(&rtp) else {
            self.counts.malformed += 1;
            return;
        };
        let header = *packet.header();
        let is_unknown = self.meaning(header.payload_type) == Meaning::Unknown;
        self.counts.unknown += u64::from(is_unknown);
        // What has no meaning does not speak for a stream, but within one it is nothing that is lost.
        if is_unknown && self.order.ssrc() != Some(header.ssrc) {
            return;
        }
        match self.order.insert(at_ns, header, rtp) {
            Arrived::Kept => {}
            Arrived::Late => self.counts.late += 1,
            Arrived::Duplicate => self.counts.duplicates += 1,
            Arrived::Stray => self.counts.malformed += 1,
        }
    }

    /// Adds what has waited long enough at `now_ns`.
    pub(crate) fn advance(&mut self, now_ns: u64, timeline: &Timeline, mixer: &mut Mixer) {
        while let Some(packet) = self.order.take(now_ns) {
            self.hear(&packet, timeline, mixer);
        }
    }

    /// Adds all that waits: nothing more comes, or not for a while.
    pub(crate) fn finish(&mut self, timeline: &Timeline, mixer: &mut Mixer) {
        while let Some(packet) = self.order.take_any() {
            self.hear(&packet, timeline, mixer);
        }
        self.order.begin_anew();
        self.voice.begin_anew(mixer);
    }

    fn hear(&mut self, packet: &Waiting, timeline: &Timeline, mixer: &mut Mixer) {
        self.counts.lost += packet.lost;
        let Meaning::Audio(codec) = self.meaning(packet.header.payload_type) else { return };
        let Ok(view) = RtpPacket::parse(&packet.rtp) else { return };
        // What came within a pause is never taken; an empty packet only keeps a path open.
        let Some(place) = timeline.place(packet.at_ns).filter(|_| !view.payload().is_empty()) else { return };
        let next = Next {
            stream: packet.stream,
            codec: &codec,
            timestamp: packet.header.timestamp,
            place,
            payload: view.payload(),
            is_after_loss: packet.lost > 0,
        };
        let same_clock = |other: &&Waiting| {
            let clock = self.meaning(other.header.payload_type);
            let is_alike = matches!(clock, Meaning::Audio(other) if other.clock_rate() == codec.clock_rate());
            other.stream == packet.stream && is_alike
        };
        let behind: Vec<(i64, RtpTimestamp)> = self
            .order
            .waiting()
            .filter(same_clock)
            .filter_map(|other| Some((timeline.place(other.at_ns)?, other.header.timestamp)))
            .collect();
        match self.voice.hear(&next, behind.into_iter(), mixer) {
            Heard::Yes => {}
            Heard::Late => self.counts.late += 1,
            Heard::Malformed => self.counts.malformed += 1,
        }
    }
}
