//! What a call does to audio: levels, noise, companding, loss.
#![allow(dead_code, reason = "each test uses a part")]

use patchcord_codec::Law;
use patchcord_codec::analysis::{SILENCE_DBFS, rms_dbfs};

/// Random numbers of a seed (`SplitMix64`).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// White noise of a level.
    pub(crate) fn noise(&mut self, samples: usize, dbfs: f64) -> Vec<i16> {
        // The sum of twelve even numbers is all but normal, with a variance of 1.
        let rms = 32768.0 * 10_f64.powf(dbfs / 20.0);
        (0..samples).map(|_| (rms * ((0..12).map(|_| self.part()).sum::<f64>() - 6.0)).round() as i16).collect()
    }
}

/// One thing that happens to audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Variant {
    AsItIs,
    /// Louder by so many dB.
    Gain(f64),
    /// White noise so many dB below it.
    Noise(f64),
    Through(Law),
    /// So many of a hundred packets of 20 ms are lost, and silence in their place.
    Lost(f64),
    /// All at once: softer by 10 dB, noise 20 dB below, 5 % lost, and mu-law.
    All,
}

pub(crate) const VARIANTS: [Variant; 8] = [
    Variant::AsItIs,
    Variant::Gain(-10.0),
    Variant::Gain(-20.0),
    Variant::Noise(20.0),
    Variant::Through(Law::A),
    Variant::Through(Law::Mu),
    Variant::Lost(5.0),
    Variant::All,
];

impl Variant {
    /// What becomes of `samples`.
    pub(crate) fn of(self, samples: &[i16], seed: u64) -> Vec<i16> {
        let mut random = Random(seed);
        match self {
            Self::AsItIs => samples.to_vec(),
            Self::Gain(db) => {
                let times = 10_f64.powf(db / 20.0);
                samples.iter().map(|&sample| (f64::from(sample) * times).round() as i16).collect()
            }
            Self::Noise(db) => {
                let noise = random.noise(samples.len(), sounding_dbfs(samples) - db);
                samples.iter().zip(noise).map(|(&sample, noise)| sample.saturating_add(noise)).collect()
            }
            Self::Through(law) => law.decode(&law.encode(samples)),
            Self::Lost(percent) => {
                let mut heard = samples.to_vec();
                for packet in heard.chunks_mut(160) {
                    if random.part() * 100.0 < percent {
                        packet.fill(0);
                    }
                }
                heard
            }
            Self::All => [Self::Gain(-10.0), Self::Noise(20.0), Self::Lost(5.0), Self::Through(Law::Mu)]
                .into_iter()
                .fold(samples.to_vec(), |heard, variant| variant.of(&heard, seed)),
        }
    }
}

/// The level of what is not silent.
fn sounding_dbfs(samples: &[i16]) -> f64 {
    let sounding: Vec<i16> = samples.chunks(160).filter(|frame| rms_dbfs(frame) > -60.0).flatten().copied().collect();
    if sounding.is_empty() { SILENCE_DBFS } else { rms_dbfs(&sounding) }
}
