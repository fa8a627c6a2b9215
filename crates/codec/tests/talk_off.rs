//! No key is found in speech.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use patchcord_codec::dtmf::{Detector, Event};

#[test]
fn speech_is_no_key() {
    for name in ["transferee", "agent", "target"] {
        let speech = support::speech(name);
        for sample_rate in [8000, 16_000] {
            let audio = patchcord_codec::Audio::telephone(speech.clone());
            let speech = patchcord_codec::resample::resample(&audio, sample_rate).unwrap().samples;
            let mut events: Vec<Event> = Vec::new();
            Detector::new(sample_rate).unwrap().process(&speech, &mut events);
            assert!(events.is_empty(), "{name} at {sample_rate}: {events:?}");
        }
    }
}
