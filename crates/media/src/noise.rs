//! What a voice's silence sounds like in a mix: comfort noise (RFC 3389), as long as its party sends nothing else.

use patchcord_codec::comfort_noise::{ComfortNoise, NoiseGenerator};
use patchcord_rtp::{SequenceNumber, Ssrc};

/// A party that has told nothing for so long has gone, or is muted.
const SECONDS_MAX: u32 = 30;

/// The noise of one stream.
#[derive(Debug)]
pub(crate) struct Noise {
    generator: NoiseGenerator,
    /// The packet that told of it.
    told: SequenceNumber,
    /// The party speaks again: the noise ends when that is played.
    ends: bool,
    /// Samples of silence that it is still heard in.
    left: usize,
}

impl Noise {
    /// Silent until it is told of one.
    pub(crate) fn new(ssrc: Ssrc) -> Self {
        Self { generator: NoiseGenerator::new(ssrc.0.into()), told: SequenceNumber(0), ends: false, left: 0 }
    }

    /// Takes a payload of comfort noise at `clock_rate`, for samples at `sample_rate`. One that cannot be read changes nothing.
    pub(crate) fn tell(&mut self, sequence: SequenceNumber, payload: &[u8], clock_rate: u32, sample_rate: u32) {
        let Ok(noise) = ComfortNoise::parse(payload) else { return };
        // The model of a spectrum is one of its own sample rate.
        let noise = if clock_rate == sample_rate { noise } else { ComfortNoise::white(noise.level()) };
        self.generator.update(&noise);
        (self.told, self.ends) = (sequence, false);
        self.left = (sample_rate * SECONDS_MAX) as usize;
    }

    /// The party has sent audio.
    pub(crate) const fn speaks(&mut self, sequence: SequenceNumber) {
        self.ends |= sequence.distance_from(self.told) > 0;
    }

    /// Audio is played: what was sent before the silence, or after it.
    pub(crate) const fn plays(&mut self) {
        if self.ends {
            self.left = 0;
        }
    }

    /// Appends `samples` of what silence sounds like.
    pub(crate) fn fill(&mut self, samples: usize, out: &mut Vec<i16>) {
        let noisy = samples.min(self.left);
        self.left -= noisy;
        let silent = out.len() + samples;
        self.generator.generate(noisy, out);
        out.resize(silent, 0);
    }
}

#[cfg(test)]
mod tests {
    use patchcord_codec::analysis::rms_dbfs;

    use super::*;

    fn level(noise: &mut Noise) -> f64 {
        let mut samples = Vec::new();
        noise.fill(8000, &mut samples);
        assert_eq!(samples.len(), 8000);
        rms_dbfs(&samples[800..])
    }

    #[test]
    fn noise_ends_when_speech_is_played_or_nothing_is_told_for_long() {
        let mut noise = Noise::new(Ssrc(1));
        assert!(level(&mut noise) < -90.0, "nothing was told");
        noise.tell(SequenceNumber(u16::MAX), &[40], 8000, 8000);
        assert!((level(&mut noise) + 40.0).abs() < 1.0);
        // What was sent before it is played late.
        noise.speaks(SequenceNumber(u16::MAX - 1));
        noise.plays();
        assert!((level(&mut noise) + 40.0).abs() < 1.0);
        noise.speaks(SequenceNumber(0));
        assert!((level(&mut noise) + 40.0).abs() < 1.0, "not played yet");
        noise.plays();
        assert!(level(&mut noise) < -90.0);
        noise.tell(SequenceNumber(5), &[], 8000, 8000);
        assert!(level(&mut noise) < -90.0, "it says nothing");
        noise.tell(SequenceNumber(5), &[50, 3, 200], 8000, 16_000);
        assert!((level(&mut noise) + 50.0).abs() < 1.0);
        let mut all = Vec::new();
        noise.fill(16_000 * 31, &mut all);
        assert!(rms_dbfs(&all[16_000 * 30..]) < -90.0);
    }
}
