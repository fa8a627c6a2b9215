//! The codecs against ffmpeg's, both ways.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use patchcord_codec::analysis::{find, rms_dbfs, tone_dbfs};
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::tone::sine;
use patchcord_codec::{Audio, Codec, Decoder, Encoder, EncoderOptions};

use support::{
    ffmpeg, is_ffmpeg_missing, ogg_of_packets, packets_of_ogg, signal_to_noise_db, speech, to_bytes, to_samples,
};

const OPUS_RATES: [u32; 5] = [8000, 12_000, 16_000, 24_000, 48_000];

/// Eight seconds of a voice at another sample rate.
fn speech_at(sample_rate: u32) -> Vec<i16> {
    let audio = Audio::telephone(speech("transferee")[..64_000].to_vec());
    patchcord_codec::resample::resample(&audio, sample_rate).unwrap().samples
}

/// Speech, music and noise, loud and soft, for a codec that has to be the same to the bit.
fn everything() -> Vec<i16> {
    let mut samples = speech_at(16_000);
    samples.extend(patchcord_codec::music::hold_melody().samples);
    samples.extend(sine(5000.0, -6.0, 1000, 16_000).samples);
    let mut state = 1_u32;
    samples.extend((0..32_000).map(|n| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16 >> (n / 4000)
    }));
    samples
}

fn encoded(codec: Codec, sample_rate: u32, samples: &[i16], options: EncoderOptions) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, sample_rate, options).unwrap();
    let encode = |frame: &[i16]| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).unwrap();
        packet
    };
    samples.chunks_exact(sample_rate as usize / 50).map(encode).collect()
}

fn decoded(codec: Codec, sample_rate: u32, packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec, sample_rate).unwrap();
    let mut samples = Vec::new();
    packets.iter().for_each(|packet| decoder.decode(packet, &mut samples).unwrap());
    samples
}

/// Where two seconds of `heard` lie in `said`, and how alike they are.
#[track_caller]
fn assert_heard(heard: &[i16], said: &[i16], sample_rate: u32, alike: f64) {
    let second = sample_rate as usize;
    let found = find(&heard[3 * second..5 * second], said).unwrap();
    assert!(found.correlation > alike, "at {sample_rate}: {found:?}");
    let delay = (3 * second).abs_diff(found.offset);
    assert!(delay < second / 20, "at {sample_rate}: {delay} samples late");
}

#[test]
fn g722_is_decoded_to_the_bit_as_ffmpeg_does() {
    if is_ffmpeg_missing() {
        return;
    }
    let samples = everything();
    let packets = encoded(Codec::G722, 16_000, &samples, EncoderOptions::default());
    let theirs = to_samples(&ffmpeg("-f g722 -i - -f s16le -", &packets.concat()));
    assert_eq!(decoded(Codec::G722, 16_000, &packets), theirs);
    // Codes that no encoder sends, too.
    let mut state = 1_u32;
    let codes: Vec<u8> = (0..64_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let packets: Vec<Vec<u8>> = codes.chunks(160).map(<[u8]>::to_vec).collect();
    assert_eq!(decoded(Codec::G722, 16_000, &packets), to_samples(&ffmpeg("-f g722 -i - -f s16le -", &codes)));
}

#[test]
fn g722_is_encoded_to_the_bit_as_ffmpeg_does() {
    if is_ffmpeg_missing() {
        return;
    }
    let samples = everything();
    let theirs = ffmpeg("-f s16le -ar 16000 -ac 1 -i - -c:a g722 -f g722 -", &to_bytes(&samples));
    let ours = encoded(Codec::G722, 16_000, &samples, EncoderOptions::default()).concat();
    assert_eq!(ours.len(), samples.len() / 2);
    let differ = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    assert_eq!(differ, None, "of {} bytes", theirs.len());
}

#[test]
fn l16_is_what_ffmpeg_has_in_network_order() {
    if is_ffmpeg_missing() {
        return;
    }
    let samples = speech_at(44_100);
    let codec = Codec::L16 { sample_rate: 44_100 };
    let theirs = ffmpeg("-f s16le -ar 44100 -ac 1 -i - -f s16be -", &to_bytes(&samples));
    let ours = encoded(codec, 44_100, &samples, EncoderOptions::default()).concat();
    assert_eq!(ours, theirs[..ours.len()]);
}

#[test]
fn opus_of_ffmpeg_is_heard_at_every_rate() {
    if is_ffmpeg_missing() {
        return;
    }
    let said = speech_at(48_000);
    for channels in [1, 2] {
        let arguments = format!("-f s16le -ar 48000 -ac 1 -i - -c:a libopus -b:a 40k -ac {channels} -f ogg -");
        let packets = packets_of_ogg(&ffmpeg(&arguments, &to_bytes(&said)));
        for sample_rate in OPUS_RATES {
            let heard = decoded(Codec::Opus(OpusParameters::default()), sample_rate, &packets);
            assert!(heard.len().abs_diff(8 * sample_rate as usize) <= sample_rate as usize / 20);
            assert_heard(&heard, &speech_at(sample_rate), sample_rate, 0.97);
            // ffmpeg shares the power among the channels, and their mean is what is heard.
            let expected = if channels == 2 { -3.01 } else { 0.0 };
            let level = rms_dbfs(&heard) - rms_dbfs(&speech_at(sample_rate));
            assert!((level - expected).abs() < 0.5, "{channels} channels at {sample_rate}: {level} dB louder");
        }
    }
}

#[test]
fn ffmpeg_hears_opus_of_every_rate() {
    if is_ffmpeg_missing() {
        return;
    }
    for sample_rate in OPUS_RATES {
        let said = speech_at(sample_rate);
        for (fmtp, bitrate) in [("", 32_000), ("cbr=1;useinbandfec=1", 24_000), ("maxaveragebitrate=16000", 64_000)] {
            let codec = Codec::of("opus", 48_000, 2, Some(fmtp)).unwrap();
            let options = EncoderOptions { bitrate: Some(bitrate), ..EncoderOptions::default() };
            let packets = encoded(codec, sample_rate, &said, options);
            let seconds = said.len() as f64 / f64::from(sample_rate);
            let bits_a_second = packets.iter().map(Vec::len).sum::<usize>() as f64 * 8.0 / seconds;
            assert!(bits_a_second < 1.1 * f64::from(bitrate.min(32_000)), "{fmtp:?}: {bits_a_second} bit/s");
            let lengths = packets.iter().map(Vec::len).collect::<std::collections::BTreeSet<_>>();
            assert_eq!(lengths.len() == 1, fmtp.contains("cbr"), "{fmtp:?}: {lengths:?}");
            let file = ogg_of_packets(&packets, 960);
            let heard = to_samples(&ffmpeg(&format!("-f ogg -i - -ar {sample_rate} -f s16le -"), &file));
            assert_heard(&heard, &said, sample_rate, 0.9);
        }
    }
}

#[test]
fn what_the_receiver_cannot_play_is_not_sent() {
    // 20 kHz of bandwidth would be wasted on a party that plays 8000 samples a second.
    let codec = Codec::of("opus", 48_000, 2, Some("maxplaybackrate=8000")).unwrap();
    let low = sine(1000.0, -20.0, 1000, 48_000).samples;
    let high = sine(6000.0, -20.0, 1000, 48_000).samples;
    let both: Vec<i16> = low.iter().zip(high).map(|(low, high)| low + high).collect();
    let packets = encoded(codec, 48_000, &both, EncoderOptions::default());
    let heard = decoded(codec, 48_000, &packets);
    assert!((tone_dbfs(&heard[9600..], 48_000, 1000.0) + 20.0).abs() < 1.0);
    assert!(tone_dbfs(&heard[9600..], 48_000, 6000.0) < -55.0);
}

#[test]
fn forward_error_correction_is_nearer_to_what_was_said_than_concealment() {
    let codec = Codec::of("opus", 48_000, 2, Some("useinbandfec=1")).unwrap();
    let options = EncoderOptions { expected_loss_percent: 20, bitrate: Some(24_000), ..EncoderOptions::default() };
    let said = speech_at(16_000);
    let packets = encoded(codec, 16_000, &said, options);
    let whole = decoded(codec, 16_000, &packets);
    let mut decoders = [false, true].map(|fec| (fec, Decoder::new(codec, 16_000).unwrap(), Vec::new()));
    let with_fec = packets.iter().filter(|packet| decoders[0].1.has_fec(packet)).count();
    assert!(with_fec > packets.len() / 4, "{with_fec} of {} packets have it", packets.len());
    for (fec, decoder, heard) in &mut decoders {
        for (index, packet) in packets.iter().enumerate() {
            match packets.get(index + 1) {
                Some(next) if *fec && index % 5 == 2 => decoder.recover(next, 320, heard),
                Some(_) if index % 5 == 2 => decoder.conceal(320, heard),
                _ => decoder.decode(packet, heard).unwrap(),
            }
        }
        assert_eq!(heard.len(), whole.len());
    }
    let [concealed, corrected] = decoders.map(|(_, _, heard)| signal_to_noise_db(&whole, &heard));
    assert!(corrected > concealed + 3.0, "{corrected} dB with correction, {concealed} dB without");
}

#[test]
fn silence_is_not_sent_to_who_would_rather_have_nothing() {
    let codec = Codec::of("opus", 48_000, 2, Some("usedtx=1")).unwrap();
    let mut said = speech_at(16_000);
    said.extend(vec![0; 32_000]);
    let packets = encoded(codec, 16_000, &said, EncoderOptions::default());
    let (spoken, silent) = packets.split_at(400);
    assert!(spoken.iter().filter(|packet| packet.is_empty()).count() < 100);
    assert!(silent.iter().filter(|packet| packet.is_empty()).count() > 70);
}

#[test]
fn comfort_noise_of_ffmpeg_is_the_noise_it_heard() {
    use patchcord_codec::comfort_noise::{ComfortNoise, NoiseGenerator};
    if is_ffmpeg_missing() {
        return;
    }
    // Noise that fades towards high frequencies.
    let mut said = Vec::new();
    let mut generator = NoiseGenerator::new(1);
    generator.update(&ComfortNoise::parse(&[40, 40, 160]).unwrap());
    generator.generate(64_000, &mut said);
    let payloads = ffmpeg("-f s16le -ar 8000 -ac 1 -i - -map 0:a -c:a comfortnoise -f data -", &to_bytes(&said));
    // A level and ten coefficients each.
    let theirs: Vec<ComfortNoise> = payloads.chunks_exact(11).map(|one| ComfortNoise::parse(one).unwrap()).collect();
    assert!(theirs.len() > 50, "{} payloads", theirs.len());
    let last = theirs[theirs.len() / 2];
    let ours = ComfortNoise::of(&said[32_000..], 10);
    assert!(ours.level().abs_diff(last.level()) <= 1, "{ours:?} {last:?}");
    for (ours, theirs) in ours.coefficients().iter().zip(last.coefficients()).take(2) {
        assert!((ours - theirs).abs() < 0.15, "{ours} {theirs}");
    }
}
