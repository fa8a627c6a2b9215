//! What a request asks for: its keys and flags, in whatever spelling, as one typed value.
//!
//! A proxy gives them as keys of the dictionary, as words of the list `flags`, or leaves all of it to the relay as the
//! string `rtpp-flags`. All three end here, so that `ICE=remove`, `{"ICE": "remove"}` and `ICE-remove` are the same thing.

mod entry;
mod flags;
mod kinds;
mod media;
mod string;
mod words;

use core::net::IpAddr;

pub use flags::{Flags, Replace, RtcpMux};
pub use kinds::{AddressFamily, All, Dtls, Ice, IceLite, Learning, MediaEcho, SipMessage, Tos};
pub use media::{Codecs, Osrtp, Sdes};

use crate::value::{Dict, Value, normal};

/// The most entries of [`Options::unknown`].
pub const UNKNOWN_MAX: usize = 32;
/// The longest of them, bytes.
const UNKNOWN_LEN_MAX: usize = 100;

/// Everything that a request says beside its command. What it does not say is `None`, false or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    // Who: the call and its parties.
    /// `call-id`.
    pub call_id: Option<String>,
    /// `from-tag`.
    pub from_tag: Option<String>,
    /// `to-tag`.
    pub to_tag: Option<String>,
    /// `via-branch`: tells the branches of a forked call apart before they have tags.
    pub via_branch: Option<String>,
    /// `to-call-id` of `connect`.
    pub to_call_id: Option<String>,
    /// `label` or `from-label`: another name for a party.
    pub label: Option<String>,
    /// `set-label` of `subscribe request` and `publish`.
    pub set_label: Option<String>,
    /// `to-label`.
    pub to_label: Option<String>,
    /// `from-tags` of `subscribe request`.
    pub from_tags: Vec<String>,
    /// `address`: selects a party by where it is.
    pub address: Option<IpAddr>,
    /// `all`: selects parties or flows.
    pub all: All,
    /// `sip-message-type`: what the proxy works on.
    pub sip_message: Option<SipMessage>,
    /// `sip-code`: the status of a SIP reply.
    pub sip_code: Option<u16>,

    // Where: addresses and interfaces.
    /// `received-from`: where the SIP message came from.
    pub received_from: Option<IpAddr>,
    /// `media-address`: what the SDP shall say instead of the interface's address.
    pub media_address: Option<IpAddr>,
    /// `address-family`.
    pub address_family: Option<AddressFamily>,
    /// `direction`: names of the interfaces towards the sender and the receiver of the SDP.
    pub direction: Vec<String>,
    /// `interface`: one name for both.
    pub interface: Option<String>,
    /// `endpoint-learning`.
    pub learning: Option<Learning>,

    // The SDP and what is written into it.
    /// `sdp`, as it came.
    pub sdp: Option<Vec<u8>>,
    /// `flags`.
    pub flags: Flags,
    /// `replace`.
    pub replace: Replace,
    /// `ICE`.
    pub ice: Option<Ice>,
    /// `ICE-lite`.
    pub ice_lite: Option<IceLite>,
    /// `rtcp-mux`.
    pub rtcp_mux: RtcpMux,
    /// `transport-protocol`: what the m= lines shall say, in the spelling of SDP; or `accept`: an answer's change is passed on.
    pub transport_protocol: Option<String>,
    /// `SDES`.
    pub sdes: Sdes,
    /// `OSRTP`.
    pub osrtp: Osrtp,
    /// `DTLS`.
    pub dtls: Option<Dtls>,
    /// `DTLS-reverse`: towards the sender of the SDP.
    pub dtls_reverse: Option<Dtls>,
    /// `DTLS-fingerprint`: the name of a hash function.
    pub dtls_fingerprint: Option<String>,
    /// `codec`.
    pub codec: Codecs,
    /// `ptime`, milliseconds.
    pub ptime_ms: Option<u32>,
    /// `ptime-reverse`, milliseconds.
    pub ptime_reverse_ms: Option<u32>,
    /// `T.38`: what to do, as it came.
    pub t38: Vec<String>,
    /// `sdp-attr`, as it came.
    pub sdp_attr: Option<Dict>,
    /// `sdp-media-remove`: kinds of media that are taken out.
    pub media_remove: Vec<String>,
    /// `generate-RTCP`: on or off.
    pub generate_rtcp: Option<bool>,

    // What happens to packets.
    /// `TOS`.
    pub tos: Tos,
    /// `drop-traffic`: start or stop.
    pub drop_traffic: Option<bool>,
    /// `media-echo`.
    pub media_echo: Option<MediaEcho>,
    /// `DTMF-security`: how DTMF is blocked, in small letters.
    pub dtmf_security: Option<String>,

    // Times.
    /// `delete-delay`, seconds.
    pub delete_delay_s: Option<u32>,
    /// `media-timeout`, seconds. Not known to others, as the next two.
    pub media_timeout_s: Option<u32>,
    /// `silent-timeout`: the same on hold, seconds.
    pub silent_timeout_s: Option<u32>,
    /// `final-timeout`: of the whole call, seconds.
    pub final_timeout_s: Option<u32>,

    // Players and DTMF.
    /// `file` of `play media`.
    pub file: Option<String>,
    /// `blob` of `play media`.
    pub blob: Option<Vec<u8>>,
    /// `db-id` of `play media`.
    pub db_id: Option<i64>,
    /// `repeat-times` of `play media`.
    pub repeat_times: Option<u32>,
    /// `repeat-duration` of `play media`, milliseconds.
    pub repeat_duration_ms: Option<u32>,
    /// `start-pos` of `play media`, frames.
    pub start_pos: Option<u32>,
    /// `code` or `digit` of `play DTMF`: see [`Options::dtmf_event`].
    pub code: Option<String>,
    /// `duration`, milliseconds.
    pub duration_ms: Option<u32>,
    /// `pause`, milliseconds.
    pub pause_ms: Option<u32>,
    /// `volume`, dBm0; of either sign, as it came.
    pub volume: Option<i32>,
    /// `frequency` or `frequencies`, hertz.
    pub frequencies: Vec<u32>,

    // The rest.
    /// `supports`: what the asker understands, in small letters with hyphens.
    pub supports: Vec<String>,
    /// `limit` of `list`, as it came: below zero it is a mistake.
    pub limit: Option<i64>,
    /// `template`: the name of a set of flags in the configuration.
    pub template: Option<String>,
    /// `record-call`: on or off.
    pub record_call: Option<bool>,
    /// `metadata` of a recording.
    pub metadata: Option<String>,
    /// `recording-dir`: the folder of a recording.
    pub recording_dir: Option<String>,
    /// `recording-file`: the name of a recording.
    pub recording_file: Option<String>,
    /// `recording-path`: folder and name of a recording.
    pub recording_path: Option<String>,
    /// `recording-pattern`: how the name of a recording is made.
    pub recording_pattern: Option<String>,
    /// `output-destination` of a recording.
    pub output_destination: Option<String>,
    /// `xmlrpc-callback`: who is told of a timeout.
    pub xmlrpc_callback: Option<IpAddr>,
    /// Keys and words that rtpengine knows and that change nothing here, in their normal spelling.
    pub ignored: Vec<String>,
    /// Keys, words and values that mean nothing, as they came; no more than [`UNKNOWN_MAX`], and the longest are cut.
    pub unknown: Vec<String>,
}

impl Options {
    /// Reads the dictionary of a request. Keys with values that cannot be are left out; words without a meaning are kept in
    /// [`Options::unknown`]. A key of the dictionary goes before the same key in the string `rtpp-flags`.
    #[must_use]
    pub fn read(dict: &Dict) -> Self {
        let mut options = Self::default();
        if let Some(string) = dict.text("rtpp-flags") {
            options.string(&string);
        }
        if dict.get("direction").is_some() {
            options.direction.clear();
        }
        // Backwards, so that the first one counts of two keys that are the same, as in `Dict::get`.
        for (key, value) in dict.0.iter().rev() {
            let key = String::from_utf8_lossy(key);
            let key = normal(&key);
            options.entry(&key, value);
        }
        options
    }

    /// The event that `play DTMF` plays, as in RFC 4733 3.2: 0-9, 10 for `*`, 11 for `#`, 12-15 for A-D; said by its number or by
    /// the character on the key. `None`: `code` is missing or names something else.
    #[must_use]
    pub fn dtmf_event(&self) -> Option<u8> {
        let code = self.code.as_deref()?.trim();
        if let Ok(event) = code.parse() {
            return Some(event).filter(|event| *event <= 15);
        }
        match code.as_bytes() {
            b"*" => Some(10),
            b"#" => Some(11),
            [letter] => Some(letter.to_ascii_uppercase())
                .filter(|letter| (b'A'..=b'D').contains(letter))
                .map(|letter| letter - b'A' + 12),
            _ => None,
        }
    }

    /// Keeps what means nothing.
    fn note_unknown(&mut self, text: &str) {
        if self.unknown.len() < UNKNOWN_MAX {
            let end = text.floor_char_boundary(UNKNOWN_LEN_MAX);
            self.unknown.push(text[..end].to_owned());
        }
    }

    /// Keeps what has a meaning elsewhere.
    fn note_ignored(&mut self, key: &str) {
        if self.ignored.len() < UNKNOWN_MAX && !self.ignored.iter().any(|known| known == key) {
            self.ignored.push(key.to_owned());
        }
    }

    /// Keeps a key whose value cannot be.
    fn bad_value(&mut self, key: &str, value: &Value) {
        let text = match value {
            Value::Bytes(_) | Value::Integer(_) => value.text().unwrap_or_default(),
            Value::List(_) => "[...]".into(),
            Value::Dict(_) => "{...}".into(),
        };
        self.note_unknown(&format!("{key}={text}"));
    }
}

#[cfg(test)]
mod tests;
