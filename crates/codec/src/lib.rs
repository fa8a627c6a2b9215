//! G.711, tones and WAV: audio in, frames out.
