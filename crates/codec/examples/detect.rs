//! Says what is detected in WAV files, one thing a line: `cargo run -p patchcord-codec --example detect -- FILE...`
//!
//! Each file is taken for what a party sends from the answer on; three seconds of silence follow it.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::path::PathBuf;

use patchcord_codec::detect::{Detector, Settings};
use patchcord_codec::wav::{self, WavError};

fn main() -> Result<(), WavError> {
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        println!("{}", path.display());
        let samples = wav::read_telephone(&path)?.samples;
        let mut detector = Detector::new(&Settings::default());
        let mut emit = |detected: patchcord_codec::detect::Detected| {
            let (at_s, long_s) = (detected.at_ms as f64 / 1000.0, detected.duration_ms as f64 / 1000.0);
            println!("  from {at_s:.2} s, {long_s:.2} s: {:?}, confidence {:.2}", detected.what, detected.confidence);
        };
        detector.push(&samples, &mut emit);
        detector.push(&[0; 24_000], &mut emit);
    }
    Ok(())
}
