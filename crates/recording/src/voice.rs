//! What a party says, put where it belongs.

use patchcord_codec::{Codec, Decoder, Resampler};
use patchcord_rtp::RtpTimestamp;

use crate::mixer::Mixer;
use crate::source_time::{SourceTime, stretch};

/// The longest gap that is filled with something made up, in milliseconds: nothing that is made up is heard for as long.
const FILLED_MAX_MS: i64 = 200;
/// Timestamps that are off by this much or less go on evenly, in milliseconds.
const UNEVEN_MAX_MS: i64 = 5;

/// A packet of audio that is next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next<'a> {
    pub(crate) stream: u32,
    pub(crate) codec: &'a Codec,
    pub(crate) timestamp: RtpTimestamp,
    /// Where it came.
    pub(crate) place: i64,
    pub(crate) payload: &'a [u8],
    /// Packets before it did not come.
    pub(crate) is_after_loss: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is in the file, or at least a part.
    Yes,
    /// Its place had been written.
    Late,
    /// It could not be decoded.
    Malformed,
}

/// Decodes one party.
#[derive(Debug)]
pub(crate) struct Voice {
    rate: u32,
    decoding: Option<Decoding>,
    time: Option<SourceTime>,
    /// Where what was heard has ended. What is written twice would be heard twice.
    end: i64,
    samples: Vec<i16>,
}

#[derive(Debug)]
struct Decoding {
    decoder: Decoder,
    resampler: Resampler,
    /// Samples by which the resampler lags.
    lag: i64,
    decoded: Vec<i16>,
}

impl Voice {
    pub(crate) const fn new(rate: u32) -> Self {
        Self { rate, decoding: None, time: None, end: i64::MIN, samples: Vec::new() }
    }

    const fn samples_in(&self, ms: i64) -> i64 {
        self.rate as i64 * ms / 1000
    }

    /// Takes the next packet; `behind` are those that wait behind it, where they came and their timestamps.
    pub(crate) fn hear(
        &mut self,
        next: &Next<'_>,
        behind: impl Iterator<Item = (i64, RtpTimestamp)> + Clone,
        mixer: &mut Mixer,
    ) -> Heard {
        if self.decoding.as_ref().is_none_or(|decoding| decoding.decoder.codec() != next.codec) {
            self.finish(mixer);
            self.decoding = Decoding::new(*next.codec, self.rate);
        }
        let Some(shift) = self.find_time(next, behind, mixer) else { return Heard::Malformed };
        let mut place = self.time.as_ref().map_or(next.place, |time| time.place(next.timestamp) - shift);
        let gap = place.saturating_sub(self.end);
        if gap > 0 && next.is_after_loss && gap <= self.samples_in(FILLED_MAX_MS) {
            self.fill(gap, next.payload, mixer);
            place = self.end;
        } else if gap > self.samples_in(UNEVEN_MAX_MS) {
            // A pause, or nothing was heard before.
            self.finish(mixer);
            self.end = place;
        } else if gap >= -self.samples_in(UNEVEN_MAX_MS) {
            place = self.end;
        }
        let Some(decoding) = &mut self.decoding else { return Heard::Malformed };
        self.samples.clear();
        if decoding.decode(next.payload, &mut self.samples).is_err() {
            return Heard::Malformed;
        }
        stretch(&mut self.samples, shift);
        if let Some(time) = &mut self.time {
            time.pass(next.timestamp);
        }
        let lag = decoding.lag;
        if self.put(place, lag, mixer) { Heard::Yes } else { Heard::Late }
    }

    /// Sees to it that the packet's time is known. Gives by how many samples its audio is to be longer. `None`: a clock rate of zero.
    fn find_time(
        &mut self,
        next: &Next<'_>,
        behind: impl Iterator<Item = (i64, RtpTimestamp)> + Clone,
        mixer: &mut Mixer,
    ) -> Option<i64> {
        let clock_rate = Some(next.codec.clock_rate()).filter(|&rate| rate > 0)?;
        let around = behind.chain([(next.place, next.timestamp)]);
        // How much later than placed the fastest comes.
        let off = |time: &SourceTime| around.clone().map(|(place, timestamp)| place - time.place(timestamp)).min();
        if let Some(time) = self.time.as_mut().filter(|time| time.is_of(next.stream, clock_rate)) {
            let off = off(time).unwrap_or(0);
            if !time.has_jumped(off) {
                return Some(time.shift(off));
            }
        }
        self.finish(mixer);
        let mut time = SourceTime::new(next.stream, clock_rate, self.rate, next.timestamp, next.place);
        let off = off(&time).unwrap_or(0);
        time.begin_earlier(-off);
        self.time = Some(time);
        Some(0)
    }

    /// Puts something in the place of what did not come; `next` is what came after it.
    fn fill(&mut self, gap: i64, next: &[u8], mixer: &mut Mixer) {
        let Some(decoding) = &mut self.decoding else { return };
        self.samples.clear();
        decoding.recover(gap, self.rate, next, &mut self.samples);
        let lag = decoding.lag;
        self.put(self.end, lag, mixer);
    }

    /// What comes next does not follow from what was: what is left of it in the filter comes out.
    pub(crate) fn finish(&mut self, mixer: &mut Mixer) {
        let Some(decoding) = &mut self.decoding else { return };
        self.samples.clear();
        decoding.flush(&mut self.samples);
        let lag = decoding.lag;
        let samples = core::mem::take(&mut self.samples);
        mixer.add(self.end.saturating_sub(lag), &samples[..samples.len().min(usize::try_from(lag).unwrap_or(0))]);
        self.samples = samples;
    }

    /// Forgets where the party's timestamps lie: the next packet is placed by when it comes.
    pub(crate) fn begin_anew(&mut self, mixer: &mut Mixer) {
        self.finish(mixer);
        self.time = None;
    }

    /// Adds the samples, but for those that lie in what was heard already. Says whether any had a place.
    fn put(&mut self, place: i64, lag: i64, mixer: &mut Mixer) -> bool {
        let skipped = usize::try_from(self.end.saturating_sub(place)).unwrap_or(0).min(self.samples.len());
        let heard = &self.samples[skipped..];
        let place = place.saturating_add(skipped as i64);
        let added = mixer.add(place.saturating_sub(lag), heard);
        self.end = self.end.max(place.saturating_add(heard.len() as i64));
        added > 0
    }
}

impl Decoding {
    /// `None` if libopus makes no decoder: it has no memory.
    fn new(codec: Codec, rate: u32) -> Option<Self> {
        let from = codec.sample_rate_for(rate);
        let decoder = Decoder::new(codec, from).ok()?;
        let resampler = Resampler::new(from, rate).ok()?;
        let lag = (resampler.delay().as_secs_f64() * f64::from(rate)).round() as i64;
        Some(Self { decoder, resampler, lag, decoded: Vec::new() })
    }

    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), patchcord_codec::DecodeError> {
        self.decoded.clear();
        self.decoder.decode(payload, &mut self.decoded)?;
        self.resampler.process(&self.decoded, out);
        Ok(())
    }

    /// Appends about `samples` at `rate` that stand for what was lost before `next`.
    fn recover(&mut self, samples: i64, rate: u32, next: &[u8], out: &mut Vec<i16>) {
        let lost = samples * i64::from(self.decoder.sample_rate()) / i64::from(rate);
        self.decoded.clear();
        self.decoder.recover(next, usize::try_from(lost).unwrap_or(0), &mut self.decoded);
        self.resampler.process(&self.decoded, out);
    }

    fn flush(&mut self, out: &mut Vec<i16>) {
        let (from, to) = self.resampler.rates();
        self.decoded.clear();
        self.decoded.resize((self.lag * i64::from(from) / i64::from(to)).max(0) as usize + 1, 0);
        self.resampler.process(&self.decoded, out);
        self.resampler.reset();
    }
}
