//! The stream that the listener hears: one SSRC, one count of packets, frames of one length.

use patchcord_codec::{Codec, Encoder, EncoderOptions};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use crate::CannotTranscode;
use crate::random::Random;

/// Takes the packets that are made.
pub(crate) type Emit<'a> = dyn FnMut(&RtpHeader, &[u8]) + 'a;

/// Packets of audio a second: RFC 3551 4.2 and table 1 have 20 ms as the default.
pub(crate) const PACKETS_PER_SECOND: u32 = 50;

/// Encodes and numbers. Places are in timestamp units of the stream from its beginning; they do not wrap.
#[derive(Debug)]
pub(crate) struct Outlet {
    encoder: Encoder,
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
    /// The next packet of audio begins a talkspurt (RFC 3551 4.1).
    begins_talkspurt: bool,
    payload: Vec<u8>,
    packets: u64,
}

impl Outlet {
    pub(crate) fn new(
        payload_type: PayloadType,
        codec: Codec,
        sample_rate: u32,
        seed: u64,
    ) -> Result<Self, CannotTranscode> {
        let encoder = Encoder::new(codec, sample_rate, EncoderOptions::default())?;
        let mut random = Random::new(seed);
        Ok(Self {
            encoder,
            payload_type,
            ssrc: Ssrc(random.next_u32()),
            sequence: SequenceNumber(random.next_u32() as u16),
            origin: RtpTimestamp(random.next_u32()),
            waiting: Vec::new(),
            frame: (sample_rate / PACKETS_PER_SECOND) as usize,
            place: 0,
            mark: (0, 0),
            begins_talkspurt: true,
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

    /// Samples of a whole packet.
    pub(crate) const fn frame(&self) -> usize {
        self.frame
    }

    /// From here on samples have another rate; there must be none that wait.
    pub(crate) fn set_sample_rate(&mut self, sample_rate: u32) -> Result<(), CannotTranscode> {
        self.encoder = Encoder::new(*self.encoder.codec(), sample_rate, EncoderOptions::default())?;
        self.frame = (sample_rate / PACKETS_PER_SECOND) as usize;
        Ok(())
    }

    /// Leaves out so many whole packets, which nobody hears any more; there must be no samples that wait.
    pub(crate) fn skip(&mut self, packets: u64) {
        let units = self.units(self.frame);
        self.place = self.place.saturating_add((packets as i64).saturating_mul(units));
        self.begins_talkspurt = true;
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
            // Frames of 20 ms are legal for every codec, so that only libopus itself could fail; then nothing is sent, as in silence.
            let encoded = self.encoder.encode(frame, &mut self.payload);
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
        self.packets += 1;
        emit(&header, payload.unwrap_or(&self.payload));
    }

    fn units(&self, samples: usize) -> i64 {
        let units = self.encoder.codec().timestamp_units(samples as u64, self.encoder.sample_rate());
        i64::try_from(units).unwrap_or(0)
    }
}
