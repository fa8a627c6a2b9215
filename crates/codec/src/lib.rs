//! Codecs, tones, WAV and Ogg/Opus: audio in, frames out, and back.
//!
//! Half of this works on whole pieces of audio, before a call needs them or after it has ended: a file or a tone is
//! brought to 8 kHz, encoded once and cut into [`frames::EncodedFrames`], which all calls then share. [`analysis`] goes the
//! other way: it tells from received audio what a party heard.
//!
//! The other half works on streams, packet by packet: a [`JitterBuffer`] puts a party's packets in order, a [`Decoder`]
//! makes samples of them or conceals what is lost, a [`Resampler`] brings them to the rate of another party's [`Encoder`],
//! [`dtmf`] and [`comfort_noise`] know keys and silence, and [`detect`] says whether that is speech, a tone, a human or a
//! machine. Each has the state of one stream, takes its time from its arguments and allocates nothing once it is warm.
//! [`Codec`] says what all that is possible for.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod audio;
pub mod codec;
pub mod comfort_noise;
pub mod concealment;
pub mod country;
pub mod decoder;
pub mod detect;
pub mod dtmf;
pub mod encoder;
pub mod frames;
pub mod g711;
pub mod g722;
pub mod jitter_buffer;
pub mod music;
mod opus_stream;
pub mod prompt;
pub mod resample;
pub mod tone;
pub mod wav;

pub use audio::{Audio, TELEPHONE_RATE};
pub use codec::{Codec, PTIME_MS};
pub use country::Country;
pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder, EncoderOptions};
pub use frames::{EncodedFrames, encode_frames};
pub use g711::Law;
pub use jitter_buffer::JitterBuffer;
pub use resample::Resampler;
