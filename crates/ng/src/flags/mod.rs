//! Everything that modifies what a command does, as one typed structure.
//!
//! The same thing can be said in several ways: as a key of the request (`ICE: remove`), as an item of its list `flags`
//! (`ICE=remove`, `ICE-remove`), or within the string `rtpp-flags`, which is what a script gave to a SIP proxy. All of
//! them end in [`Flags`]; what nobody knows ends in [`Flags::unknown`].

mod codec;
mod read;
mod rtpp;
mod sdes;
mod switches;
mod words;

use core::net::IpAddr;

pub use codec::Codecs;
pub use sdes::{Osrtp, Sdes};
pub use switches::{Replace, RtcpMux, Switches};
pub use words::{
    AddressFamily, All, Dtls, Egress, Ice, IceLite, Learning, MediaEcho, SipMessage, Tos, TransportProtocol,
};

/// What a request says besides its command and its SDP. Absent things are `None`, `false` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    // Who: the call and its parties.
    /// `call-id`.
    pub call_id: Option<String>,
    /// `to-call-id`: the other call of a `connect`.
    pub to_call_id: Option<String>,
    /// `from-tag`.
    pub from_tag: Option<String>,
    /// `to-tag`.
    pub to_tag: Option<String>,
    /// `from-tags`: several parties.
    pub from_tags: Vec<String>,
    /// `via-branch`.
    pub via_branch: Option<String>,
    /// `label` or `from-label`: names a party, or selects it.
    pub label: Option<String>,
    /// `set-label`.
    pub set_label: Option<String>,
    /// `to-label`.
    pub to_label: Option<String>,
    /// `address`: selects a party by the address in its SDP.
    pub address: Option<IpAddr>,
    /// `all`: selects parties.
    pub all: All,
    /// `sip-message-type`.
    pub sip_message_type: Option<SipMessage>,
    /// `sip-code`: status of a SIP reply.
    pub sip_code: Option<u16>,

    // Where: addresses and interfaces.
    /// `received-from`: where the SIP message came from.
    pub received_from: Option<IpAddr>,
    /// `media-address`: instead of all addresses in SDP.
    pub media_address: Option<IpAddr>,
    /// `address-family`: of the address in the SDP that goes out.
    pub address_family: Option<AddressFamily>,
    /// `direction`: interface towards the sender of the SDP, and towards its receiver. Longer lists are cut to two.
    pub direction: Vec<String>,
    /// `interface`: where only one is asked for.
    pub interface: Option<String>,
    /// `trust address` (true) or `SIP source address` (false).
    pub trust_address: Option<bool>,
    /// `port latching` (true) or `no port latching` (false).
    pub port_latching: Option<bool>,
    /// `endpoint-learning`.
    pub endpoint_learning: Option<Learning>,

    // SDP and media.
    /// The flags that are just words.
    pub switches: Switches,
    /// `replace`.
    pub replace: Replace,
    /// `ICE`.
    pub ice: Option<Ice>,
    /// `ICE-lite`.
    pub ice_lite: Option<IceLite>,
    /// `rtcp-mux`.
    pub rtcp_mux: RtcpMux,
    /// `transport-protocol`.
    pub transport_protocol: Option<TransportProtocol>,
    /// `SDES`.
    pub sdes: Sdes,
    /// `OSRTP`.
    pub osrtp: Osrtp,
    /// `DTLS`.
    pub dtls: Option<Dtls>,
    /// `DTLS-reverse`.
    pub dtls_reverse: Option<Dtls>,
    /// `DTLS-fingerprint`: name of a hash function.
    pub dtls_fingerprint: Option<String>,
    /// `codec`.
    pub codec: Codecs,
    /// `ptime`, in milliseconds.
    pub ptime: Option<u32>,
    /// `ptime-reverse`, in milliseconds.
    pub ptime_reverse: Option<u32>,
    /// `T.38`.
    pub t38: Vec<String>,
    /// `sdp-attr`, as it came.
    pub sdp_attr: Option<crate::Dict>,
    /// `generate RTCP`.
    pub generate_rtcp: Option<bool>,
    /// `TOS`.
    pub tos: Tos,
    /// `drop-traffic`: `start` (true) or `stop` (false).
    pub drop_traffic: Option<bool>,
    /// `media-echo`.
    pub media_echo: Option<MediaEcho>,
    /// `transparent`, `continuity` or `new ssrc`: what the streams that are sent look like after a cut-over. Patchcord's own.
    pub egress: Option<Egress>,

    // Times, in seconds.
    /// `delete-delay`.
    pub delete_delay: Option<u64>,
    /// `timeout` or `media-timeout`: without any packet. Patchcord's own, as the next two.
    pub timeout: Option<u64>,
    /// `silent-timeout`: without any packet on hold.
    pub silent_timeout: Option<u64>,
    /// `final-timeout`: of the whole call.
    pub final_timeout: Option<u64>,

    // Players and DTMF.
    /// `file`: a path.
    pub file: Option<String>,
    /// `blob`: contents of a file.
    pub blob: Option<Vec<u8>>,
    /// `db-id`.
    pub db_id: Option<i64>,
    /// `repeat-times`.
    pub repeat_times: Option<u64>,
    /// `repeat-duration`, in milliseconds.
    pub repeat_duration: Option<u64>,
    /// `start-pos`, in frames.
    pub start_pos: Option<u64>,
    /// `code` or `digit`: the events to play, as numbers 0-15 (RFC 4733 3.2).
    pub digits: Vec<u8>,
    /// `duration`, in milliseconds.
    pub duration: Option<u64>,
    /// `pause`, in milliseconds.
    pub pause: Option<u64>,
    /// `volume`, in decibels as it came: of either sign.
    pub volume: Option<i64>,
    /// `frequency` or `frequencies`, in hertz.
    pub frequencies: Vec<u32>,
    /// `DTMF-security`.
    pub dtmf_security: Option<String>,

    // Recording and the rest.
    /// `record call`.
    pub record_call: Option<bool>,
    /// `metadata`.
    pub metadata: Option<String>,
    /// `output-destination`.
    pub output_destination: Option<String>,
    /// `recording-file`.
    pub recording_file: Option<String>,
    /// `xmlrpc-callback`.
    pub xmlrpc_callback: Option<String>,
    /// `template`: name of a set of flags in the configuration.
    pub template: Option<String>,
    /// `limit` of a `list`.
    pub limit: Option<u64>,
    /// `supports: [load limit]`.
    pub supports_load_limit: bool,

    /// Keys, flags and values that nobody knows, as they were written; at most [`UNKNOWN_MAX`].
    pub unknown: Vec<String>,
}

/// Unknown flags that are kept of one request.
pub const UNKNOWN_MAX: usize = 32;
