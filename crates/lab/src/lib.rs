//! Load generation and measurement: captures, replayed streams, parties on real sockets, and what they received.
//!
//! The crate knows RTP, sockets and clocks. It does not know Patchcord's API: whoever uses it sets the calls up.
//!
//! - [`capture`] reads pcap, pcapng and rtpdump files into datagrams.
//! - [`stream`] finds the RTP streams in them, or makes one from frames.
//! - [`endpoint`] is a party: it plays a stream with its original timing and records what it receives.
//! - [`report`] says what a recording shows: loss, order, jitter, continuity, latency, and whose packets they were.
//! - [`wav`] makes it audible.
//! - [`frames`] makes and counts RTP in the kernel, for relays that sockets cannot load.
//! - [`netns`] makes several hosts of one, [`peer`] measures relays side by side between them, and [`speeds`] those that are faster
//!   than a load of sockets.
//!
//! Two parties that talk to each other:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use patchcord_lab::endpoint::{EndpointOptions, Endpoints, Playback};
//! use patchcord_lab::report::{self, Report};
//! use patchcord_lab::stream::RtpStream;
//! use patchcord_rtp::{PayloadType, Ssrc};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoints = Endpoints::start()?;
//! let any_port = "127.0.0.1:0".parse()?;
//! let alice = endpoints.add("alice", any_port, EndpointOptions::default())?;
//! let bob = endpoints.add("bob", any_port, EndpointOptions::default())?;
//! alice.set_remote(bob.local_addr());
//!
//! // Ten frames of 20 ms of PCMU; RtpStream::find takes them from a capture.
//! let speech = RtpStream::from_frames(Ssrc(0xa11ce), PayloadType::default(), 8000, 160, (0..10).map(|n| [n; 160]));
//! alice.play(Arc::new(speech), Playback::default())?;
//! bob.wait_for_packets(10, Duration::from_secs(10))?;
//!
//! let heard = Report::of(&bob.recording(), &[&alice.sent()]);
//! assert_eq!((heard.packets, heard.lost, heard.breaks().count()), (10, 0, 0));
//! assert_eq!(heard.heard[0].from.as_deref(), Some("alice"));
//! println!("{}", report::table([&heard]));
//! # Ok(())
//! # }
//! ```

pub mod capture;
pub mod clock;
pub mod endpoint;
pub mod frames;
pub mod netns;
pub mod peer;
pub mod report;
mod search;
pub mod speeds;
pub mod stream;
mod sys;
pub mod wav;
