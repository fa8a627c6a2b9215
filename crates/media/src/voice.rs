//! One party's voice in a mix: in order, in time, and at the rates that its listeners want.

use patchcord_codec::detect::{Detected, Detector, Settings};
use patchcord_codec::dtmf::{self, Digit};
use patchcord_codec::jitter_buffer::{Config, Packet, Playout};
use patchcord_codec::{Codec, Decoder, JitterBuffer, Resampler};
use patchcord_rtp::{RtpPacket, Ssrc, TelephoneEvent};

use crate::CannotTranscode;
use crate::format::{Format, Meaning};
use crate::noise::Noise;
use crate::pressing::{Press, Pressing};

/// Samples a second of telephony, and of wideband speech: what is mixed has one of the two.
pub(crate) const NARROW: u32 = 8000;
pub(crate) const WIDE: u32 = 16_000;
/// A piece with no sample louder than this is quiet: some 50 dB below the loudest. Nobody hears the play being moved there.
const QUIET_MAX: u16 = 100;

/// Samples of one tick.
const fn per_tick(rate: u32) -> usize {
    (rate / crate::outlet::TICKS_PER_SECOND) as usize
}

/// Something that a party has said, or pressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noticed {
    /// Found in its audio; how many milliseconds ago that began, as it is played.
    Heard(Detected, u64),
    /// A key.
    Key {
        /// Which.
        digit: Digit,
        /// How long it was down, in milliseconds.
        duration_ms: u32,
        /// Power as dBm0 with the sign dropped, 0 (loud) to 63.
        volume: u8,
        /// Found in its audio (ITU-T Q.23), and not told as an event (RFC 4733).
        in_band: bool,
    },
}

/// Finds out what a party says.
#[derive(Debug)]
struct Detecting {
    detector: Detector,
    keys: dtmf::Detector,
    pressed: Vec<dtmf::Event>,
    /// Samples so far.
    samples: u64,
}

/// What a party sends, on its way to the sums.
#[derive(Debug)]
pub(crate) struct Voice {
    formats: Box<[Format]>,
    /// Nothing before the first packet of audio.
    stream: Option<Stream>,
    narrow: Lane,
    wide: Lane,
    detecting: Option<Box<Detecting>>,
    pressing: Pressing,
}

/// One codec of it.
#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    jitter: JitterBuffer,
    decoder: Decoder,
    /// What was decoded last.
    decoded: Vec<i16>,
    is_quiet: bool,
    /// What its silence sounds like, if it has ever told.
    noise: Option<Box<Noise>>,
}

/// Samples at one rate.
#[derive(Debug)]
struct Lane {
    rate: u32,
    /// Somebody wants it.
    wanted: bool,
    /// From what the decoder gives, if that has another rate.
    resampler: Option<Resampler>,
    waiting: Vec<i16>,
    /// Of `waiting`, those of this tick.
    taken: usize,
}

impl Voice {
    pub(crate) fn new(formats: &[Format]) -> Self {
        let lane = |rate| Lane { rate, wanted: false, resampler: None, waiting: Vec::new(), taken: 0 };
        Self {
            formats: formats.into(),
            stream: None,
            narrow: lane(NARROW),
            wide: lane(WIDE),
            detecting: None,
            pressing: Pressing::default(),
        }
    }

    /// Its payload types have these meanings from now on.
    pub(crate) fn set_formats(&mut self, formats: &[Format]) {
        self.formats = formats.into();
    }

    /// Whether any of its formats has more than telephony has.
    pub(crate) fn is_wide(&self) -> bool {
        self.formats
            .iter()
            .filter_map(|format| format.meaning.audio())
            .any(|codec| codec.sample_rate_for(WIDE) > NARROW)
    }

    /// Which rates the sums ask for.
    pub(crate) fn want(&mut self, narrow: bool, wide: bool) {
        let narrow = narrow || self.detecting.is_some();
        for (lane, wanted) in [(&mut self.narrow, narrow), (&mut self.wide, wide)] {
            if wanted != lane.wanted {
                lane.wanted = wanted;
                lane.waiting.clear();
                lane.taken = 0;
            }
        }
    }

    /// What it says is found out from now on, or no longer; [`Voice::want`] has to follow.
    pub(crate) fn detect(&mut self, settings: Option<&Settings>) {
        self.detecting = settings.and_then(|settings| {
            let detector = Detector::new(settings);
            Some(Box::new(Detecting {
                detector,
                keys: dtmf::Detector::new(NARROW).ok()?,
                pressed: Vec::new(),
                samples: 0,
            }))
        });
    }

    pub(crate) const fn is_detected(&self) -> bool {
        self.detecting.is_some()
    }

    /// It has answered now, and what it said before does not matter.
    pub(crate) fn answered(&mut self) {
        if let Some(detecting) = &mut self.detecting {
            detecting.detector.answered();
        }
    }

    /// Takes a packet that arrived at `at_ns`. What is neither audio, nor an event, nor comfort noise is left out.
    pub(crate) fn push(&mut self, packet: &[u8], at_ns: u64, notice: &mut dyn FnMut(Noticed)) {
        let Ok(packet) = RtpPacket::parse(packet) else { return };
        let (header, payload) = (packet.header(), packet.payload());
        let codec = match Meaning::of(header.payload_type, &self.formats) {
            Meaning::Audio(codec) => codec,
            Meaning::TelephoneEvent { clock_rate } => {
                let event = TelephoneEvent::read(payload);
                let told = event.and_then(|event| self.pressing.take(header, &event, clock_rate));
                // A key is told of when it comes up.
                if let Some(told) = told.filter(|told| told.ended && self.detecting.is_some()) {
                    let (digit, volume, duration_ms) = (told.digit, told.volume, told.duration_ms(clock_rate));
                    notice(Noticed::Key { digit, duration_ms, volume, in_band: false });
                }
                return;
            }
            Meaning::ComfortNoise { clock_rate } => {
                // Before its first audio nothing is heard of it.
                if let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == header.ssrc) {
                    let rate = stream.decoder.sample_rate();
                    let noise = stream.noise.get_or_insert_with(|| Box::new(Noise::new(header.ssrc)));
                    noise.tell(header.sequence, payload, clock_rate, rate);
                }
                return;
            }
            Meaning::Other => return,
        };
        if self.stream.as_ref().is_none_or(|stream| *stream.decoder.codec() != codec) {
            match self.begin(codec, header.ssrc) {
                Ok(stream) => self.stream = Some(stream),
                // libopus has no memory left.
                Err(_) => return,
            }
        }
        let Some(stream) = &mut self.stream else { return };
        if stream.ssrc != header.ssrc {
            stream.ssrc = header.ssrc;
            stream.jitter.reset();
            stream.noise = None;
        }
        if let Some(noise) = &mut stream.noise {
            noise.speaks(header.sequence);
        }
        let Ok(samples) = stream.decoder.samples_in(payload) else { return };
        let units = codec.timestamp_units(samples as u64, stream.decoder.sample_rate());
        let packet = Packet {
            sequence: header.sequence.0,
            timestamp: header.timestamp.0,
            units: u32::try_from(units).unwrap_or(0),
            payload,
        };
        stream.jitter.insert(&packet, at_ns);
    }

    fn begin(&mut self, codec: Codec, ssrc: Ssrc) -> Result<Stream, CannotTranscode> {
        let rate = codec.sample_rate_for(WIDE);
        for lane in [&mut self.narrow, &mut self.wide] {
            lane.resampler = if rate == lane.rate { None } else { Some(Resampler::new(rate, lane.rate)?) };
        }
        let jitter = JitterBuffer::new(Config::new(codec.clock_rate()));
        Ok(Stream {
            ssrc,
            jitter,
            decoder: Decoder::new(codec, rate)?,
            decoded: Vec::new(),
            is_quiet: true,
            noise: None,
        })
    }

    /// Has the samples of the next tick ready, at `now_ns` of the packets' clock.
    pub(crate) fn tick(&mut self, now_ns: u64, notice: &mut dyn FnMut(Noticed)) {
        self.play(now_ns);
        self.pressing.tick();
        if let Some(detecting) = &mut self.detecting {
            detecting.hear(&self.narrow.waiting[..self.narrow.taken], notice);
        }
    }

    fn play(&mut self, now_ns: u64) {
        let Self { stream, narrow, wide, .. } = self;
        for lane in [&mut *narrow, &mut *wide] {
            lane.go_on();
        }
        while narrow.is_short() || wide.is_short() {
            let Some(stream) = stream else {
                narrow.fill();
                wide.fill();
                return;
            };
            stream.play(now_ns);
            for lane in [&mut *narrow, &mut *wide] {
                lane.append(&stream.decoded);
            }
        }
    }

    /// The key of this tick, if there is one.
    pub(crate) const fn press(&self) -> Option<&Press> {
        self.pressing.now.as_ref()
    }

    /// The samples of this tick at one of the two rates; none if nobody wanted it.
    pub(crate) fn samples(&self, wide: bool) -> &[i16] {
        let lane = if wide { &self.wide } else { &self.narrow };
        &lane.waiting[..lane.taken]
    }
}

impl Detecting {
    fn hear(&mut self, samples: &[i16], notice: &mut dyn FnMut(Noticed)) {
        self.samples += samples.len() as u64;
        let now_ms = self.samples * 1000 / u64::from(NARROW);
        self.detector
            .push(samples, &mut |detected| notice(Noticed::Heard(detected, now_ms.saturating_sub(detected.at_ms))));
        self.keys.process(samples, &mut self.pressed);
        for event in self.pressed.drain(..) {
            if let dtmf::Event::Ended(heard) = event {
                let duration_ms = u32::try_from(heard.duration * 1000 / u64::from(NARROW)).unwrap_or(u32::MAX);
                let volume = (-heard.level_dbm0).round().clamp(0.0, 63.0) as u8;
                notice(Noticed::Key { digit: heard.digit, duration_ms, volume, in_band: true });
            }
        }
    }
}

impl Stream {
    /// Decodes the next piece.
    fn play(&mut self, now_ns: u64) {
        let Self { jitter, decoder, decoded, noise, .. } = self;
        decoded.clear();
        let (codec, rate) = (*decoder.codec(), decoder.sample_rate());
        let samples = |units: u32| usize::try_from(codec.samples(units.into(), rate)).unwrap_or(0).max(1);
        match jitter.playout(now_ns, self.is_quiet) {
            Playout::Play { payload, units } => {
                if let Some(noise) = noise {
                    noise.plays();
                }
                if decoder.decode(payload, decoded).is_err() {
                    decoder.conceal(samples(units), decoded);
                }
            }
            Playout::Fec { next, units } => decoder.recover(next, samples(units), decoded),
            Playout::Conceal { units } => decoder.conceal(samples(units), decoded),
            Playout::Silence { units } => match noise {
                Some(noise) => noise.fill(samples(units), decoded),
                None => decoded.resize(samples(units), 0),
            },
        }
        self.is_quiet = decoded.iter().all(|sample| sample.unsigned_abs() <= QUIET_MAX);
    }
}

impl Lane {
    /// What was taken has been heard.
    fn go_on(&mut self) {
        self.waiting.drain(..self.taken);
        self.taken = 0;
        self.take();
    }

    const fn is_short(&self) -> bool {
        self.wanted && self.taken == 0
    }

    fn take(&mut self) {
        if self.wanted && self.waiting.len() >= per_tick(self.rate) {
            self.taken = per_tick(self.rate);
        }
    }

    fn append(&mut self, decoded: &[i16]) {
        if !self.wanted {
            return;
        }
        match &mut self.resampler {
            Some(resampler) => resampler.process(decoded, &mut self.waiting),
            None => self.waiting.extend_from_slice(decoded),
        }
        self.take();
    }

    /// Nothing is heard in this tick.
    fn fill(&mut self) {
        if self.wanted {
            self.waiting.resize(per_tick(self.rate), 0);
            self.take();
        }
    }
}
