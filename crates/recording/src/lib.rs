//! Recordings of calls: parties' packets in, files of audio or packets out.
//!
//! All recordings of a process are made by one thread, the [`Writer`], which nobody waits for: what it is given lies in a queue, and
//! what does not fit is dropped and counted. It knows nothing of calls' control: it is told of [`Track`](TrackSpec)s, which are parties,
//! and given the RTP that they send, decrypted, with the time at which it came.
//!
//! ```text
//!  RTP -> order -> voice ------------------------> mixer -> file
//!         500 ms   decoder, resampler, its place   500 ms   WAV, Ogg/Opus
//!     \------------------------------------------------------> pcapng
//! ```
//!
//! Files are written a fixed time behind the present. Nobody listens, so that there is no jitter buffer that would have to guess: a
//! packet's place is told by its timestamp and by when those around it came, and what parties say lies in the file as it would in
//! time. Beside the files of a recording lies `NAME.json` with who was there from when to when, what is missing, and how it ended.
//!
//! Files are of use at any moment: after a crash they end where they were last written, a second or two before.

#![forbid(unsafe_code)]

mod audio_file;
mod internet;
mod metadata;
mod mixer;
mod names;
mod opus_file;
mod order;
mod packet_file;
mod pattern;
pub mod pcapng;
mod recording;
mod recover;
mod report;
mod source_time;
mod spec;
mod thread;
mod timeline;
mod track;
mod utc;
mod voice;
mod wav_file;
mod writer;

pub use names::{NameError, check_name};
pub use pattern::{PatternError, Subject, name_by_pattern};
pub use recover::{Recovered, recover};
pub use report::{Counts, Report, Summary};
pub use spec::{Format, Layout, RecordingId, Spec, SpecError, TrackFormat, TrackSpec};
pub use writer::{Settings, StartError, Writer};
