//! What was heard: comparing received audio with the audio that should be in it.
//!
//! G.711 and a few lost frames change samples but not much of the sound: the normalised cross-correlation with the
//! right reference at the right offset stays near 1 (lost frames, filled with silence, cost the square root of what is
//! left), with anything else it stays low.

pub(crate) mod fft;
mod level;
mod search;
mod timeline;

pub use level::{SILENCE_DBFS, rms_dbfs, tone_dbfs};
pub use search::{Identified, Match, correlation, find, identify};
pub use timeline::{Heard, Stretch, order_heard, timeline};

/// From this correlation on a segment counts as found in a reference. Half a second of speech reaches about 0.5 with
/// other speech at the best of all offsets.
pub const FOUND_AT: f64 = 0.6;

/// Below this level (RMS) a segment counts as silent: nothing can be told from it.
pub const AUDIBLE_DBFS: f64 = -60.0;
