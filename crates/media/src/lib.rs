//! What is decoded of calls: one party's stream made into another's format, several made into one, and what a party says. No I/O, no clock, no threads.
//!
//! A [`Transcoder`] is driven by the packets of its source. It has no jitter buffer and paces nothing: a packet in order leaves at
//! once in the listener's format, with a timestamp that follows the source's, so that the listener's own jitter buffer works as if it
//! heard the source itself, and no two clocks can drift apart. Only behind a gap packets wait, for two packets or 60 ms of media.
//!
//! ```text
//!  RTP -> window -> decoder -> resampler -> whole packets   -> encoder -> RTP
//!         order,    gaps are   where no                        DTX        one SSRC, one count,
//!         SSRC      filled     rate is shared                             the source's time
//!             \-> telephone-event, comfort noise: renumbered, scaled -------^
//!              \-> telephone-event that the listener does not know: tones --^
//! ```
//!
//! Tones of keys, of a source that has no telephone-event, are made such for a listener that has it.
//!
//! A [`Mixer`] is driven by a tick of 20 ms: parties have clocks of their own, so that what each sends goes through a jitter buffer
//! first. It is decoded once, however many hear it.
//!
//! ```text
//!  RTP -> jitter buffer -> decoder -> 8 and 16 kHz -+-> sum for each listener -> encoder -> RTP
//!  RTP -> jitter buffer -> decoder -> 8 and 16 kHz -+
//!     \-> telephone-event: one key at a time, in the place of the sum; an event, or a tone
//! ```

#![forbid(unsafe_code)]

mod audio;
mod counts;
mod error;
mod format;
mod heard_key;
mod intake;
mod marks;
mod mixer;
mod noise;
mod outlet;
mod presses;
mod pressing;
mod prompt;
mod random;
mod sounding;
mod telling;
mod timeline;
mod toned;
mod transcoder;
mod voice;
mod window;

pub use counts::Counts;
pub use error::CannotTranscode;
pub use format::{Format, Meaning, is_transcodable};
pub use mixer::{Mixer, TICK};
pub use patchcord_codec::detect;
pub use prompt::{Clip, Prompt};
pub use transcoder::Transcoder;
pub use voice::Noticed;
