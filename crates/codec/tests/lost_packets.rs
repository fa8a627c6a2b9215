//! Concealed speech is nearer to what was said than if the packet before were heard again, and about as loud as that.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use patchcord_codec::analysis::rms_dbfs;
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Audio, Codec, Decoder, Encoder, EncoderOptions, Law};

#[test]
fn concealed_speech_is_nearer_to_what_was_said_than_repeated_packets() {
    for codec in
        [Codec::G711(Law::A), Codec::G722, Codec::L16 { sample_rate: 48_000 }, Codec::Opus(OpusParameters::default())]
    {
        let rate = codec.sample_rate_for(16_000);
        for voice in ["transferee", "target"] {
            let speech = Audio::telephone(support::speech(voice));
            let said = patchcord_codec::resample::resample(&speech, rate).unwrap().samples;
            let frame = rate as usize / 50;
            let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
            let mut decoders = [(); 3].map(|()| Decoder::new(codec, rate).unwrap());
            let mut heard = [(); 3].map(|()| Vec::new());
            let mut louder_db = Vec::new();
            for (index, samples) in said.chunks_exact(frame).enumerate() {
                let mut packet = Vec::new();
                encoder.encode(samples, &mut packet).unwrap();
                let is_lost = index % 10 == 3 || index % 50 == 4;
                for (way, (decoder, heard)) in decoders.iter_mut().zip(&mut heard).enumerate() {
                    match way {
                        1 if is_lost => decoder.conceal(frame, heard),
                        2 if is_lost => heard.extend_from_within(heard.len() - frame..),
                        _ => decoder.decode(&packet, heard).unwrap(),
                    }
                }
                if is_lost {
                    let [whole, concealed, _] = heard.each_ref().map(|heard| rms_dbfs(&heard[heard.len() - frame..]));
                    louder_db.extend((whole > -35.0).then_some(concealed - whole));
                }
            }
            let [whole, concealed, again] = heard;
            let [concealed, again] = [concealed, again].map(|heard| support::signal_to_noise_db(&whole, &heard));
            assert!(concealed > again + 0.5, "{codec:?}, {voice}: {concealed} dB concealed, {again} dB heard again");
            let mean = louder_db.iter().sum::<f64>() / louder_db.len() as f64;
            // libopus fades sooner.
            let softest_db = if matches!(codec, Codec::Opus(_)) { -12.0 } else { -7.0 };
            assert!(louder_db.len() > 40 && (softest_db..1.0).contains(&mean), "{codec:?}, {voice}: {mean} dB louder");
        }
    }
}
