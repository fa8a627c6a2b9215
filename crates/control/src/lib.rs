//! Calls, parties, port leases and bridge commands, and the HTTP front that exposes them.
//!
//! [`Control`] knows what each call is and what each party is to hear, and turns bridge commands into batches for the
//! workers' engines, whole or not at all. It knows workers only as somebody who takes
//! [`Request`](patchcord_relay::exchange::Request)s and says [`Reply`](patchcord_relay::exchange::Reply)s.
//!
//! The code map: `api` has the words that clients use; `call` the model of a call and the planning of commands; `execute` and
//! `calls` the way of a request; `engine` the tickets; `ports` and `interfaces` the leases; `dump` a call's packets as a file; `recording` what is
//! told to the recorder; `http` the front.

#![forbid(unsafe_code)]

pub mod api;
mod audio;
mod call;
mod calls;
mod control;
mod dtls;
mod dump;
mod engine;
mod env;
mod error;
mod execute;
pub mod http;
mod ice;
mod idempotency;
mod interfaces;
mod merge;
pub mod ng;
mod ports;
mod random;
mod recording;
mod tls;
mod tones;

pub use audio::{AudioConfig, AudioError};
pub use control::{Config, ConfigError, Control};
pub use dump::{Seen, Watch, Watched};
pub use engine::Worker;
pub use error::{ApiError, ErrorCode};
pub use interfaces::{AddressFamily, Interface};
pub use patchcord_dtls::Library as DtlsLibrary;
pub use ports::PortCounts;
pub use recording::RecordingConfig;
pub use tls::tls_config;
