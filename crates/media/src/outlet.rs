//! The stream that the listener hears: one SSRC, one count of packets, frames of one length.

use patchcord_codec::{Codec, Encoder, EncoderOptions};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::CannotTranscode;
use crate::format::Format;
use crate::random::Random;

/// Takes the packets that are made.
pub(crate) type Emit<'a> = dyn FnMut(&RtpHeader, &[u8]) + 'a;

/// Ticks of a mix in a second, and packets of audio where a listener asks for nothing else: RFC 3551 4.2 and table 1 have 20 ms as the
/// default.
pub(crate) const TICKS_PER_SECOND: u32 = 50;

/// Encodes and numbers. Places are in timestamp units of the stream from its beginning; they do not wrap.
#[derive(Debug)]
pub(crate) struct Outlet {
    encoder: Encoder,
    options: EncoderOptions,
    /// Audio of a whole packet, in milliseconds.
    packet_ms: u32,
    payload_type: PayloadType,
    ssrc: Ssrc,
    /// Of the next packet.
    sequence: SequenceNumber,
    /// The timestamp of place 0.
    origin: RtpTimestamp,
    /// Samples that wait for a whole packet.
    waiting: Vec<i16>,
    /// Samples of a whole packet.
    frame: usize,
    /// Of the first sample that waits, or comes next.
    place: i64,
    /// Where the latest event or comfort noise begins, and where it ends as far as is known.
    mark: (i64, i64),
    /// Audio from this place on is not sent, if there is one.
    muted: Option<i64>,
    /// The next packet of audio begins a talkspurt (RFC 3551 4.1).
    begins_talkspurt: bool,
    /// Nothing has been sent since the listener was sent other packets.
    resumed: bool,
    payload: Vec<u8>,
    packets: u64,
}

impl Outlet {
    /// In `codec`, which is the listener's `format`.
    pub(crate) fn new(format: &Format, codec: Codec, sample_rate: u32, seed: u64) -> Result<Self, CannotTranscode> {
        let options = EncoderOptions { bitrate: format.bitrate, ..EncoderOptions::default() };
        let encoder = Encoder::new(codec, sample_rate, options)?;
        let packet_ms = codec.packet_ms(format.ptime_ms);
        let mut random = Random::new(seed);
        Ok(Self {
            encoder,
            options,
            packet_ms,
            payload_type: format.payload_type,
            ssrc: Ssrc(random.next_u32()),
            sequence: SequenceNumber(random.next_u32() as u16),
            origin: RtpTimestamp(random.next_u32()),
            waiting: Vec::new(),
            frame: samples_in(packet_ms, sample_rate),
            place: 0,
            mark: (0, 0),
            muted: None,
            begins_talkspurt: true,
            resumed: false,
            payload: Vec::new(),
            packets: 0,
        })
    }

    pub(crate) const fn codec(&self) -> &Codec {
        self.encoder.codec()
    }

    pub(crate) const fn sample_rate(&self) -> u32 {
        self.encoder.sample_rate()
    }

    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Audio of a whole packet, in milliseconds.
    pub(crate) const fn packet_ms(&self) -> u32 {
        self.packet_ms
    }

    /// Samples of a tick.
    pub(crate) const fn tick(&self) -> usize {
        (self.sample_rate() / TICKS_PER_SECOND) as usize
    }

    /// From here on samples have another rate; there must be none that wait.
    pub(crate) fn set_sample_rate(&mut self, sample_rate: u32) -> Result<(), CannotTranscode> {
        self.encoder = Encoder::new(*self.encoder.codec(), sample_rate, self.options)?;
        self.frame = samples_in(self.packet_ms, sample_rate);
        Ok(())
    }

    /// Leaves out so many ticks, which nobody hears any more. Samples that wait are heard with those that come next.
    pub(crate) fn skip(&mut self, ticks: u64) {
        let units = self.units(self.tick());
        self.place = self.place.saturating_add((ticks as i64).saturating_mul(units));
        self.begins_talkspurt = true;
    }

    /// Nothing is heard for a tick, and nothing is sent. Samples that wait go out in their packet, with silence behind them.
    pub(crate) fn pause(&mut self, emit: &mut Emit<'_>) {
        if self.waiting.is_empty() {
            return self.skip(1);
        }
        let tick = self.tick();
        self.waiting.resize(self.waiting.len() + tick, 0);
        self.send(emit);
        if self.waiting.len() < tick {
            // The packet is gone, and what is left is the silence behind it.
            self.place = self.end();
            self.waiting.clear();
            self.begins_talkspurt = true;
        }
    }

    /// The listener was sent other packets; what waits is over.
    pub(crate) fn resume(&mut self) {
        self.waiting.clear();
        // All that was sent is before what comes.
        self.place = self.reach();
        self.mark = (self.place, self.place);
        self.begins_talkspurt = true;
        self.resumed = true;
    }

    /// Whether nothing has been sent since.
    pub(crate) const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// What is at `place` has this timestamp.
    pub(crate) fn set_origin(&mut self, timestamp: RtpTimestamp, place: i64) {
        self.origin = timestamp.wrapping_add((place as u32).wrapping_neg());
    }

    /// The last `len` samples, as many of them as wait, and all that follow are not heard. A packet with others goes out with silence in
    /// their place. Gives the place behind that one.
    pub(crate) fn mute(&mut self, len: usize) -> i64 {
        let heard = self.waiting.len().saturating_sub(len);
        self.waiting[heard..].fill(0);
        let place = self.place + self.units(heard.next_multiple_of(self.frame));
        self.muted = Some(place);
        place
    }

    /// What is appended from here on is heard again.
    pub(crate) const fn unmute(&mut self) {
        self.muted = None;
    }

    /// Where samples are appended.
    pub(crate) const fn samples(&mut self) -> &mut Vec<i16> {
        &mut self.waiting
    }

    /// The next packet of audio begins a talkspurt.
    pub(crate) const fn begin_talkspurt(&mut self) {
        self.begins_talkspurt = true;
    }

    /// Sends whole packets of what waits.
    pub(crate) fn send(&mut self, emit: &mut Emit<'_>) {
        let mut sent = 0;
        while let Some(frame) = self.waiting.get(sent..sent + self.frame) {
            self.payload.clear();
            let is_muted = self.muted.is_some_and(|from| self.place >= from);
            // Its packet times are legal for every codec, so that only libopus itself could fail; then nothing is sent, as in silence.
            let encoded = if is_muted { Ok(()) } else { self.encoder.encode(frame, &mut self.payload) };
            sent += self.frame;
            if encoded.is_ok() && !self.payload.is_empty() {
                let marker = core::mem::take(&mut self.begins_talkspurt);
                self.number(marker, self.payload_type, self.place, None, emit);
            } else {
                self.begins_talkspurt = true;
            }
            self.place += self.units(self.frame);
        }
        self.waiting.drain(..sent);
    }

    /// Samples without which those that wait are no whole packet.
    pub(crate) const fn missing(&self) -> usize {
        match self.waiting.len() % self.frame {
            0 => 0,
            over => self.frame - over,
        }
    }

    /// Sends what waits as a whole packet, with silence at its end. If it waits for so long that an event was sent since, it is
    /// dropped: it is over.
    pub(crate) fn finish(&mut self, emit: &mut Emit<'_>) {
        if self.mark.0 > self.place {
            self.place = self.end();
            self.waiting.clear();
            return;
        }
        let frames = self.waiting.len().div_ceil(self.frame);
        self.waiting.resize(frames * self.frame, 0);
        self.send(emit);
    }

    /// Where the samples that come next will be.
    pub(crate) fn end(&self) -> i64 {
        self.place + self.units(self.waiting.len())
    }

    /// Where all that was sent is over.
    pub(crate) fn reach(&self) -> i64 {
        self.end().max(self.mark.1)
    }

    /// The next samples are at `place`, but not before others; there must be none that wait.
    pub(crate) fn move_to(&mut self, place: i64) {
        self.place = self.place.max(place);
    }

    /// Sends something else than audio; it takes `units`.
    pub(crate) fn send_mark(
        &mut self,
        marker: bool,
        payload_type: PayloadType,
        place: i64,
        units: i64,
        payload: &[u8],
        emit: &mut Emit<'_>,
    ) {
        self.mark = (place, place + units);
        self.number(marker, payload_type, place, Some(payload), emit);
    }

    /// Sends a packet, of what was encoded if there is no other payload.
    fn number(
        &mut self,
        marker: bool,
        payload_type: PayloadType,
        place: i64,
        payload: Option<&[u8]>,
        emit: &mut Emit<'_>,
    ) {
        // RFC 5761 4: with a marker these payload types would be taken for RTCP.
        let looks_like_rtcp = matches!(payload_type.get(), 64..=95);
        let header = RtpHeader {
            marker: marker && !looks_like_rtcp,
            payload_type,
            sequence: self.sequence,
            timestamp: self.origin.wrapping_add(place as u32),
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.next();
        self.resumed = false;
        self.packets += 1;
        emit(&header, payload.unwrap_or(&self.payload));
    }

    fn units(&self, samples: usize) -> i64 {
        let units = self.encoder.codec().timestamp_units(samples as u64, self.encoder.sample_rate());
        i64::try_from(units).unwrap_or(0)
    }
}

const fn samples_in(ms: u32, sample_rate: u32) -> usize {
    (sample_rate as u64 * ms as u64 / 1000) as usize
}
