//! The control plane over real engine shards in process, without sockets.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

mod audio;
mod calls;
mod detection;
mod dtls;
mod dtmf;
mod hearing;
mod http;
mod ice;
mod idempotency;
mod merging;
mod mixing;
mod ng;
mod ng_codecs;
mod ng_packets;
mod overlay;
mod playing;
mod random;
mod recording;
mod refusals;
mod relay;
mod srtp;
mod stage;
mod swap;
#[path = "../../../../fuzz/src/worker.rs"]
#[expect(unreachable_pub, dead_code, reason = "the fuzzers' library is a module here, and needs more of it")]
mod worker;
