//! How much audio a packet has.

use core::ops::RangeInclusive;

use super::Codec;

/// The packet times that are sent, in milliseconds, in multiples of 10.
pub const PTIME_MS: RangeInclusive<u32> = 10..=60;
/// What is sent to who asks for nothing, in milliseconds (RFC 3551 4.2).
pub const PTIME_USUAL_MS: u32 = 20;
/// Packet times of Opus among [`PTIME_MS`] (RFC 6716 2.1.4).
const OPUS_PTIMES_MS: [u32; 4] = [10, 20, 40, 60];
/// The longest payload without compression, in bytes: with all headers, and the tag of SRTP, it fits Ethernet.
const PAYLOAD_MAX: u32 = 1400;

/// The packet time among [`PTIME_MS`] that is sent in place of this one, in milliseconds: the next shorter one.
#[must_use]
pub fn sent_ms(ms: u32) -> u32 {
    let ms = ms.clamp(*PTIME_MS.start(), *PTIME_MS.end());
    ms - ms % 10
}

impl Codec {
    /// The packet time, in milliseconds, to send to a party that asked for `asked_ms` (`a=ptime`, RFC 8866 6.4); 0: it asked for none.
    /// It is the longest of those that are sent that is not longer than that; L16 is sent in such packets as the network takes, and Opus in
    /// none that are shorter than its `minptime` says.
    #[must_use]
    pub fn packet_ms(&self, asked_ms: u32) -> u32 {
        let asked_ms = if asked_ms == 0 { PTIME_USUAL_MS } else { asked_ms };
        match self {
            Self::G711(_) | Self::G722 => sent_ms(asked_ms),
            Self::L16 { sample_rate } => {
                // Two bytes a sample.
                let longest = PAYLOAD_MAX * 1000 / (2 * (*sample_rate).max(1));
                sent_ms(asked_ms.min(longest))
            }
            Self::Opus(parameters) => {
                let wanted = sent_ms(asked_ms.max(parameters.min_ptime_ms.unwrap_or(0)));
                OPUS_PTIMES_MS.into_iter().rfind(|&ms| ms <= wanted).unwrap_or(PTIME_USUAL_MS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoder, EncoderOptions, Law};

    fn opus(fmtp: &str) -> Codec {
        Codec::of("opus", 48_000, 2, Some(fmtp)).expect("opus")
    }

    #[test]
    fn nobody_is_sent_longer_packets_than_it_asked_for() {
        let asked = [0, 1, 10, 25, 30, 50, 60, 200, u32::MAX];
        assert_eq!(asked.map(|ms| Codec::G711(Law::A).packet_ms(ms)), [20, 10, 10, 20, 30, 50, 60, 60, 60]);
        assert_eq!(asked.map(|ms| opus("").packet_ms(ms)), [20, 10, 10, 20, 20, 40, 60, 60, 60]);
        assert_eq!(asked.map(|ms| opus("minptime=40").packet_ms(ms)), [40, 40, 40, 40, 40, 40, 60, 60, 60]);
    }

    #[test]
    fn linear_samples_fit_a_datagram() {
        let of = |sample_rate| [0, 10, 60].map(|ms| Codec::L16 { sample_rate }.packet_ms(ms));
        assert_eq!([8000, 16_000, 44_100, 48_000].map(of), [[20, 10, 60], [20, 10, 40], [10; 3], [10; 3]]);
    }

    #[test]
    fn whatever_is_chosen_can_be_encoded() {
        let codecs = [Codec::G711(Law::Mu), Codec::G722, opus(""), opus("minptime=3"), opus("minptime=120")];
        for codec in codecs.into_iter().chain([8000, 11_025, 48_000].map(|sample_rate| Codec::L16 { sample_rate })) {
            for asked in 0..=100 {
                for &rate in codec.sample_rates() {
                    let encoder = Encoder::new(codec, rate, EncoderOptions::default()).expect("its rate");
                    let ms = codec.packet_ms(asked);
                    assert!(encoder.takes((rate * ms / 1000) as usize), "{codec:?} at {rate}: {asked} gives {ms}");
                }
            }
        }
    }
}
