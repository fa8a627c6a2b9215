//! What is decoded of calls: one party's stream made into another's format. No I/O, no clock, no threads.
//!
//! A [`Transcoder`] is driven by the packets of its source. It has no jitter buffer and paces nothing: a packet in order leaves at
//! once in the listener's format, with a timestamp that follows the source's, so that the listener's own jitter buffer works as if it
//! heard the source itself, and no two clocks can drift apart. Only behind a gap packets wait, for two packets or 60 ms of media.
//!
//! ```text
//!  RTP -> window -> decoder -> resampler -> frames of 20 ms -> encoder -> RTP
//!         order,    gaps are   where no                        DTX        one SSRC, one count,
//!         SSRC      filled     rate is shared                             the source's time
//!             \-> telephone-event, comfort noise: renumbered, scaled -------^
//! ```

#![forbid(unsafe_code)]

mod audio;
mod counts;
mod error;
mod format;
mod intake;
mod marks;
mod outlet;
mod random;
mod timeline;
mod transcoder;
mod window;

pub use counts::Counts;
pub use error::CannotTranscode;
pub use format::{Format, Meaning, is_transcodable};
pub use transcoder::Transcoder;
