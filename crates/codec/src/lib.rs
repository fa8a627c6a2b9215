//! G.711, tones and WAV: audio in, frames out.
//!
//! Everything here works on whole pieces of audio, before a call needs them or after it has ended: a file or a tone is
//! brought to 8 kHz, encoded once and cut into [`frames::EncodedFrames`], which all calls then share. Nothing of it
//! runs on the packet path. [`analysis`] goes the other way: it tells from received audio what a party heard.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod audio;
pub mod country;
pub mod frames;
pub mod g711;
pub mod music;
pub mod resample;
pub mod tone;
pub mod wav;

pub use audio::{Audio, TELEPHONE_RATE};
pub use country::Country;
pub use frames::{EncodedFrames, encode_frames};
pub use g711::Law;
