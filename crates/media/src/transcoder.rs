//! One party's stream for one listener.

use patchcord_codec::Codec;
use patchcord_rtp::{PayloadType, RtpHeader, RtpPacket, Ssrc};

use crate::format::{Format, Meaning};
use crate::intake::{Intake, encoder_rate};
use crate::outlet::{Emit, Outlet};
use crate::presses::Presses;
use crate::sounding::Sounding;
use crate::timeline::Timeline;
use crate::toned::Toned;
use crate::window::{Place, Window};
use crate::{CannotTranscode, Counts};

/// The longest that packets wait for one that is missing before them, in milliseconds of media.
const WAIT_MAX_MS: u32 = 60;
/// As long as nothing is known of the source's clock.
const TELEPHONE_CLOCK_RATE: u32 = 8000;

/// Makes one party's stream into what one listener understands.
///
/// Give it every packet of the source, also those that nothing can be made of: they have sequence numbers, and one that is missing is
/// taken for lost. Once it has seen the longest packet it allocates nothing, unless the source begins anew or changes its codec.
#[derive(Debug)]
pub struct Transcoder {
    pub(crate) from: Box<[Format]>,
    /// The listener's events and comfort noise.
    pub(crate) events: Option<Named>,
    pub(crate) comfort_noise: Option<PayloadType>,
    ssrc: Option<Ssrc>,
    window: Window,
    /// Packets of media did not come since the latest that did.
    pub(crate) missing: u64,
    pub(crate) intake: Intake,
    /// None if the source begins with the next packet.
    pub(crate) timeline: Option<Timeline>,
    /// The timestamp of the latest event, and its place.
    pub(crate) event: Option<(u32, i64)>,
    /// Keys of a source whose listener knows no events.
    pub(crate) presses: Presses,
    pub(crate) sounding: Option<Sounding>,
    /// Tones of a source that knows no events, whose listener does.
    pub(crate) toned: Option<Box<Toned>>,
    pub(crate) outlet: Outlet,
    pub(crate) counts: Counts,
}

/// A payload type of the listener, and its clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) payload_type: PayloadType,
    pub(crate) clock_rate: u32,
}

impl Named {
    /// The events of a listener, if it knows any: of the clock rate of its audio, if it has the choice (RFC 4733 2.1).
    pub(crate) fn events(formats: &[Format], audio_clock_rate: u32) -> Option<Self> {
        let events = formats.iter().filter_map(|format| match format.meaning {
            Meaning::TelephoneEvent { clock_rate } => Some(Self { payload_type: format.payload_type, clock_rate }),
            _ => None,
        });
        events.min_by_key(|named| named.clock_rate != audio_clock_rate)
    }
}

impl Transcoder {
    /// From one party's formats to the first audio format of the other's. The stream's SSRC, first sequence number and first timestamp
    /// come of `seed`.
    ///
    /// # Errors
    /// One of them has no format that can be transcoded, or libopus makes no stream.
    pub fn new(from: &[Format], to: &[Format], seed: u64) -> Result<Self, CannotTranscode> {
        let source = from.iter().find_map(|format| format.meaning.audio()).ok_or(CannotTranscode::NoSource)?;
        let (format, codec) = Format::spoken(to).ok_or(CannotTranscode::NoListener)?;
        let outlet = Outlet::new(format, codec, encoder_rate(&source, &codec), seed)?;
        let intake = Intake::new(source, outlet.sample_rate())?;
        let noise = Meaning::ComfortNoise { clock_rate: codec.clock_rate() };
        let events = Named::events(to, codec.clock_rate());
        Ok(Self {
            from: from.into(),
            events,
            comfort_noise: to.iter().find(|format| format.meaning == noise).map(|format| format.payload_type),
            ssrc: None,
            window: Window::new(),
            missing: 0,
            intake,
            timeline: None,
            event: None,
            presses: Presses::default(),
            sounding: None,
            toned: Toned::new(from, events, outlet.sample_rate()),
            outlet,
            counts: Counts::default(),
        })
    }

    /// The codec of the source that is decoded.
    #[must_use]
    pub const fn from(&self) -> &Codec {
        self.intake.codec()
    }

    /// The codec of the listener that is encoded.
    #[must_use]
    pub const fn to(&self) -> &Codec {
        self.outlet.codec()
    }

    /// What became of the packets so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        Counts { packets_out: self.outlet.packets(), ..self.counts }
    }

    /// Takes a packet of the source, RTP without SRTP, and calls `emit` with header and payload of each packet to be sent, in order.
    pub fn push(&mut self, packet: &[u8], emit: &mut dyn FnMut(&RtpHeader, &[u8])) {
        self.counts.packets_in += 1;
        let Ok(packet) = RtpPacket::parse(packet) else {
            self.counts.malformed += 1;
            return;
        };
        let header = packet.header();
        if self.ssrc != Some(header.ssrc) {
            // What has no meaning does not speak for a source.
            if Meaning::of(header.payload_type, &self.from) == Meaning::Other {
                self.counts.unknown += 1;
                return;
            }
            self.begin(header, emit);
        }
        match self.window.arrive(header.sequence) {
            Place::Next => self.take(header, packet.payload(), emit),
            Place::Ahead => self.window.keep(header, packet.payload()),
            Place::Late => self.counts.late += 1,
            Place::Duplicate => self.counts.duplicates += 1,
            Place::Restart => {
                self.begin(header, emit);
                self.window.arrive(header.sequence);
                self.take(header, packet.payload(), emit);
            }
        }
        let clock_rate = self.timeline.map_or(TELEPHONE_CLOCK_RATE, |timeline| timeline.clock_rate());
        let wait_max_units = clock_rate / 1000 * WAIT_MAX_MS;
        while let Some(packet) = self.window.take(wait_max_units) {
            self.take_waiting(packet, emit);
        }
    }

    /// The listener has been sent other packets meanwhile, the source's own: the next one begins anew, and nothing of before is sent any
    /// more. If source and listener have one clock, timestamps are the source's from here on.
    pub fn resume(&mut self) {
        while let Some(packet) = self.window.take_any() {
            self.window.give_back(packet);
        }
        if let Some(toned) = &mut self.toned {
            toned.drop_key(&mut self.outlet);
        }
        self.outlet.resume();
        self.renew_intake();
        (self.ssrc, self.timeline, self.event, self.sounding) = (None, None, None, None);
        self.missing = 0;
    }

    /// The source begins with this packet, for the first time or anew.
    fn begin(&mut self, header: &RtpHeader, emit: &mut Emit<'_>) {
        while let Some(packet) = self.window.take_any() {
            self.take_waiting(packet, emit);
        }
        if self.ssrc.is_some() {
            self.begin_anew(emit);
        }
        self.presses = Presses::default();
        self.ssrc = Some(header.ssrc);
        self.window.begin(header.sequence);
    }

    fn take_waiting(&mut self, packet: crate::window::Waiting, emit: &mut Emit<'_>) {
        self.counts.lost += u64::from(packet.lost);
        self.missing += u64::from(packet.lost);
        self.take(&packet.header, &packet.payload, emit);
        self.window.give_back(packet);
    }

    /// The next packet in order.
    fn take(&mut self, header: &RtpHeader, payload: &[u8], emit: &mut Emit<'_>) {
        match Meaning::of(header.payload_type, &self.from) {
            Meaning::Audio(codec) => self.take_audio(&codec, header, payload, emit),
            Meaning::TelephoneEvent { clock_rate } => self.take_event(clock_rate, header, payload, emit),
            Meaning::ComfortNoise { .. } => self.take_comfort_noise(header, payload, emit),
            Meaning::Other => self.counts.unknown += 1,
        }
    }
}
