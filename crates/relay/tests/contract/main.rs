//! The cut-over contract, rule by rule: what each party receives, and what is told about it.

mod by_packet;
mod continuity;
mod directions;
mod doors;
mod drops;
mod dtls;
mod dtmf;
mod formats;
mod ice;
mod latching;
mod mixing;
mod modes;
mod opaque;
mod overhearing;
mod overlay;
mod packet_times;
mod players;
mod playlists;
mod receipts;
mod refusals;
mod relaying;
mod relearning;
mod rollback;
mod round_trip;
mod rtcp;
mod rtcp_mapping;
mod source_changes;
mod srtp;
#[path = "../support/mod.rs"]
mod support;
mod telephone_events;
mod timeouts;
mod transcoding;
mod triggers;
mod writers;

/// See `tests/offloaded`.
const OFFLOADED: bool = false;
