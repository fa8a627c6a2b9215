//! The tones of keys (ITU-T Q.23), encoded once in each codec and shared by all calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use patchcord_codec::codec::OpusParameters;
use patchcord_codec::dtmf::{self, Digit};
use patchcord_codec::{Audio, Codec, TELEPHONE_RATE, encode_frames};
use patchcord_relay::media::{self, Frames};

/// In Opus a tone begins some 8 ms late, so that nothing shorter than this is sure to be found behind it (ITU-T Q.24 has 40 ms).
const OPUS_MIN_MS: u16 = 60;
/// Tones that are kept: the longest are 40 kB, so that these are 10 MB at most, and mostly less than one.
const KEPT_MAX: usize = 256;

/// Which tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tone {
    pub(crate) digit: Digit,
    /// Of both frequencies together: dBm0 with the sign dropped.
    pub(crate) volume: u8,
    /// Rounded up to whole packets.
    pub(crate) duration_ms: u16,
}

/// Those that were wanted so far, by codec and milliseconds of a packet.
#[derive(Debug, Default)]
pub(crate) struct Tones(Mutex<BTreeMap<(&'static str, u16, Tone), Frames>>);

impl Tones {
    /// What tones are encoded in, for the error that says so.
    pub(crate) const FORMATS: &str = "PCMU/8000, PCMA/8000, G722/8000 and opus/48000/2";

    /// A tone in the first of these formats that it can be encoded in, in packets as the party is sent others. `None`: it can be in none
    /// of them.
    pub(crate) fn frames_for(&self, tone: Tone, codecs: &[media::Codec]) -> Option<Frames> {
        let (codec, ptime_ms) = codecs.iter().find_map(encoded_in)?;
        let least_ms = if matches!(codec, Codec::Opus(_)) { OPUS_MIN_MS } else { ptime_ms };
        let duration_ms = tone.duration_ms.max(least_ms).checked_next_multiple_of(ptime_ms)?;
        let tone = Tone { duration_ms, ..tone };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (codec.encoding(), ptime_ms, tone);
        if let Some(frames) = kept.get(&key) {
            return Some(frames.clone());
        }
        let frames = tone.encode(codec, ptime_ms)?;
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, frames.clone());
        Some(frames)
    }
}

impl Tone {
    fn encode(&self, codec: Codec, ptime_ms: u16) -> Option<Frames> {
        // No tone is higher than 1633 Hz; in a wider band Opus takes some for something else and blurs them.
        let rate = codec.sample_rate_for(TELEPHONE_RATE);
        let samples = dtmf::samples(self.digit, -f64::from(self.volume), self.duration_ms.into(), rate);
        let audio = Audio { samples: samples.collect(), sample_rate: rate };
        let encoded = encode_frames(&audio, codec, ptime_ms.into()).ok()?;
        let (clock_rate, ptime_ms) = (encoded.clock_rate, encoded.ptime_ms);
        Frames::new(encoded.encoding, clock_rate, ptime_ms, encoded.frame_len, &encoded.bytes)
    }
}

/// How a party's format is encoded, if tones are in it, and in packets of how many milliseconds: as prompts are, in formats that each
/// party has one of.
fn encoded_in(format: &media::Codec) -> Option<(Codec, u16)> {
    let codec = Codec::of(&format.encoding, format.clock_rate, format.channels, format.fmtp.as_deref()).ok()?;
    let ptime_ms = u16::try_from(codec.packet_ms(format.sending.ptime_ms().into())).ok()?;
    match codec {
        Codec::L16 { .. } => None,
        // Whatever a party says of Opus, it can decode.
        Codec::Opus(_) => Some((Codec::Opus(OpusParameters::default()), ptime_ms)),
        codec => Some((codec, ptime_ms)),
    }
}

#[cfg(test)]
mod tests {
    use patchcord_codec::Decoder;
    use patchcord_codec::dtmf::{Detector, Event};
    use patchcord_relay::media::{EncodingName, Sending};
    use patchcord_rtp::PayloadType;

    use super::*;

    fn format(encoding: &str, clock_rate: u32, channels: u8) -> media::Codec {
        let encoding = EncodingName::new(encoding).expect("a short name");
        media::Codec {
            payload_type: PayloadType::default(),
            encoding,
            clock_rate,
            channels,
            fmtp: None,
            sending: Sending::default(),
        }
    }

    #[test]
    fn each_key_is_heard_in_each_codec_as_long_and_as_loud_as_it_is_to_be() {
        let tones = Tones::default();
        let codecs = [("PCMU", 8000, 1), ("pcma", 8000, 1), ("G722", 8000, 1), ("opus", 48_000, 2)];
        for (encoding, clock_rate, channels) in codecs {
            let list = [format("G729", 8000, 1), format(encoding, clock_rate, channels)];
            let (codec, _) = encoded_in(&list[1]).expect("one of the four");
            for (digit, volume, duration_ms) in Digit::all().flat_map(|digit| [(digit, 8, 40), (digit, 20, 110)]) {
                let frames = tones.frames_for(Tone { digit, volume, duration_ms }, &list).expect("a tone");
                let least_ms = if encoding == "opus" { 60 } else { 40 };
                let wanted = u64::from(duration_ms.max(least_ms).next_multiple_of(20));
                assert!(frames.are_in(&list[1]) && u64::from(frames.count()) * 20 == wanted);
                let mut decoder = Decoder::new(codec, codec.sample_rate_for(TELEPHONE_RATE)).expect("its rate");
                let (mut heard, mut samples) = (Vec::new(), Vec::new());
                for index in 0..frames.count() {
                    decoder.decode(frames.payload(index), &mut samples).expect("a frame");
                }
                samples.resize(samples.len() + decoder.sample_rate() as usize / 10, 0);
                Detector::new(decoder.sample_rate()).expect("a rate").process(&samples, &mut heard);
                let [Event::Began(_), Event::Ended(heard)] = heard[..] else {
                    panic!("{digit} in {encoding}: {heard:?}");
                };
                let ms = heard.duration * 1000 / u64::from(decoder.sample_rate());
                assert_eq!(heard.digit, digit, "{encoding}");
                assert!(ms.abs_diff(wanted) <= 12, "{digit} in {encoding}: {ms} ms, not {wanted}");
                let level = heard.level_dbm0 + f64::from(volume);
                assert!(level.abs() < 1.0, "{digit} in {encoding}: off by {level} dB");
            }
        }
    }

    #[test]
    fn a_tone_has_packets_as_the_party_asks_for_and_is_rounded_up_to_them() {
        let tones = Tones::default();
        let tone = Tone { digit: Digit::from_char('5').expect("a key"), volume: 8, duration_ms: 110 };
        for (encoding, clock_rate, channels, asked_ms, (ptime_ms, count)) in [
            ("PCMU", 8000, 1, 0, (20, 6)),
            ("PCMU", 8000, 1, 10, (10, 11)),
            ("PCMA", 8000, 1, 30, (30, 4)),
            ("G722", 8000, 1, 60, (60, 2)),
            ("opus", 48_000, 2, 40, (40, 3)),
            ("opus", 48_000, 2, 30, (20, 6)),
        ] {
            let mut party = format(encoding, clock_rate, channels);
            party.sending = Sending::default().with_ptime(asked_ms);
            let frames = tones.frames_for(tone, &[party]).expect("a tone");
            assert_eq!((frames.ptime().as_millis(), frames.count()), (ptime_ms, count), "{encoding} at {asked_ms}");
        }
    }

    #[test]
    fn a_tone_is_encoded_once() {
        let tones = Tones::default();
        let digit = Digit::from_char('5').expect("a key");
        let frames = |duration_ms, codec: &str| {
            tones.frames_for(Tone { digit, volume: 8, duration_ms }, &[format(codec, 8000, 1)]).is_some()
        };
        assert!(frames(90, "PCMU") && frames(100, "PCMU") && frames(100, "PCMA"));
        assert!(!frames(100, "L16") && !frames(100, "iLBC"));
        assert_eq!(tones.0.lock().expect("whole").len(), 2);
        for duration_ms in (0..20 * KEPT_MAX as u16).step_by(20) {
            assert!(duration_ms == 0 || frames(duration_ms, "PCMU"));
        }
        assert!(tones.0.lock().expect("whole").len() <= KEPT_MAX);
    }
}
