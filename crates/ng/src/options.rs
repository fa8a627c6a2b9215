//! What a request asks for: its keys and flags, in whatever spelling, as one typed value.
//!
//! A proxy gives them as keys of the dictionary, as words of the list `flags`, or leaves all of it to the relay as the
//! string `rtpp-flags`. All three end here, so that `ICE=remove`, `{"ICE": "remove"}` and `ICE-remove` are the same thing.

mod string;
mod words;

use core::net::IpAddr;

use crate::value::{Dict, Value, normal};

/// Everything that a request says beside its command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
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
    /// `label`: another name for a party.
    pub label: Option<String>,
    /// `set-label` of `subscribe request` and `publish`.
    pub set_label: Option<String>,
    /// `to-label`.
    pub to_label: Option<String>,
    /// `from-tags` of `subscribe request`.
    pub from_tags: Vec<String>,
    /// `sdp`, as it came.
    pub sdp: Option<Vec<u8>>,
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
    /// `ICE`.
    pub ice: Option<Ice>,
    /// `rtcp-mux`.
    pub rtcp_mux: RtcpMux,
    /// `transport-protocol`: what the m= lines shall say.
    pub transport_protocol: Option<String>,
    /// `replace`.
    pub replace: Replace,
    /// `flags`.
    pub flags: Flags,
    /// `TOS`: the byte of IPv4, or the traffic class of IPv6.
    pub tos: Option<u8>,
    /// `delete-delay`, seconds.
    pub delete_delay_s: Option<u32>,
    /// `media-timeout`, seconds.
    pub media_timeout_s: Option<u32>,
    /// `ptime`, milliseconds.
    pub ptime_ms: Option<u32>,
    /// `SDES`.
    pub sdes: Vec<String>,
    /// `DTLS`.
    pub dtls: Option<String>,
    /// `OSRTP`.
    pub osrtp: Vec<String>,
    /// `codec`: pairs of what to do and with which codec, such as `("strip", "PCMU")`.
    pub codec: Vec<(String, String)>,
    /// `supports`: what the asker understands.
    pub supports: Vec<String>,
    /// `limit` of `list`.
    pub limit: Option<u32>,
    /// `code` or `digit` of `play DTMF`.
    pub code: Option<String>,
    /// `duration`, milliseconds.
    pub duration_ms: Option<u32>,
    /// `pause`, milliseconds.
    pub pause_ms: Option<u32>,
    /// `volume`, dBm0.
    pub volume: Option<i32>,
    /// `file` of `play media`.
    pub file: Option<String>,
    /// `blob` of `play media`.
    pub blob: Option<Vec<u8>>,
    /// `db-id` of `play media`.
    pub db_id: Option<i64>,
    /// `repeat-times` of `play media`.
    pub repeat_times: Option<u32>,
    /// `address`: selects a party by where it is.
    pub address: Option<IpAddr>,
    /// Words that mean nothing here.
    pub unknown: Vec<String>,
}

/// Family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamily {
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
}

/// What becomes of ICE (RFC 8445).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ice {
    /// None towards the receiver of the SDP.
    Remove,
    /// Of our own, whatever the sender has.
    Force,
    /// Our own candidate beside the sender's, as a relay.
    ForceRelay,
    /// Of our own if the sender has it.
    Default,
    /// As `Default`, but the sender's candidates are kept where it has none for us.
    Optional,
}

/// What becomes of RTCP on the RTP port (RFC 5761).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtcpMux {
    /// Offer it, though the sender does not.
    pub offer: bool,
    /// Offer it without an alternative.
    pub require: bool,
    /// Take it from the sender, do not offer it to the receiver.
    pub demux: bool,
    /// Take it from the sender, whatever the receiver says.
    pub accept: bool,
    /// Refuse it to the sender.
    pub reject: bool,
}

/// What of the SDP's own lines is written anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    /// The address of `o=`.
    pub origin: bool,
    /// `c=` of the session.
    pub session_connection: bool,
    /// `s=`.
    pub session_name: bool,
    /// The version of `o=` counts up.
    pub sdp_version: bool,
    /// The user name of `o=`.
    pub username: bool,
    /// 0.0.0.0, instead of passing it on.
    pub zero_address: bool,
}

macro_rules! flags {
    ($($(#[$doc:meta])* $field:ident = $word:literal $(| $other:literal)*;)*) => {
        /// Words that are said or not.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Flags {
            $($(#[$doc])* pub $field: bool,)*
        }

        impl Flags {
            /// Sets the flag of a word in its normal spelling; `false`: there is none.
            fn set(&mut self, word: &str) -> bool {
                match word {
                    $($word $(| $other)* => self.$field = true,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

flags! {
    /// The address of the SDP is right.
    trust_address = "trust-address";
    /// The address that the SIP message came from is right.
    sip_source_address = "sip-source-address" | "always-use-sip-source-address";
    /// The party sends from where it receives.
    symmetric = "symmetric";
    /// The party sends from elsewhere than it receives.
    asymmetric = "asymmetric";
    /// Media flows one way.
    unidirectional = "unidirectional";
    /// Nothing but the learned source is accepted.
    strict_source = "strict-source";
    /// Any new source is followed at any time.
    media_handover = "media-handover";
    /// Local ports stay though the remote one changes.
    port_latching = "port-latching";
    /// Local ports change with the remote one.
    no_port_latching = "no-port-latching";
    /// Forget what was negotiated.
    reset = "reset";
    /// `a=rtcp` with the address too.
    full_rtcp_attribute = "full-rtcp-attribute";
    /// No `a=rtcp`.
    no_rtcp_attribute = "no-rtcp-attribute";
    /// RTCP of our own.
    generate_rtcp = "generate-rtcp";
    /// Mark the SDP as handled, and leave it alone if it is marked.
    loop_protect = "loop-protect";
    /// Directions as the sender wrote them.
    original_sendrecv = "original-sendrecv";
    /// Write `a=inactive`.
    inactive = "inactive";
    /// For both sides, or all parties.
    all = "all";
    /// An unknown call is an error.
    fatal = "fatal";
    /// Telephone-events are not relayed.
    block_dtmf = "block-dtmf";
    /// Nobody hears the party.
    block_media = "block-media";
    /// Both sides of an answer's media.
    bidirectional = "bidirectional";
    /// Our own candidate answers checks but makes none.
    ice_lite = "ice-lite";
    /// The old behaviour of one SSRC for each source: packets pass untouched.
    transparent = "transparent" | "egress-transparent";
    /// One SSRC for life.
    continuity = "continuity" | "egress-continuity";
    /// A fresh SSRC at each cut-over.
    new_ssrc = "new-ssrc" | "egress-new-ssrc";
    /// A part of an SDP with ICE candidates only (RFC 8840).
    fragment = "fragment";
    /// ICE candidates may follow.
    trickle_ice = "trickle-ice";
    /// No ICE answer.
    reject_ice = "reject-ice";
    /// Media may flow before the answer.
    early_media = "early-media";
    /// Record the call.
    record_call = "record-call";
    /// Transcode, even between equals.
    always_transcode = "always-transcode";
    /// Transcoding is possible.
    allow_transcoding = "allow-transcoding";
    /// Let the other side of NAT see packets early.
    pierce_nat = "pierce-nat";
    /// Wait for packets from behind NAT.
    nat_wait = "nat-wait";
    /// Log more.
    debug = "debug";
}

impl Options {
    /// Reads the dictionary of a request. Keys with values that cannot be are left out; words without a meaning are kept in
    /// [`Options::unknown`].
    #[must_use]
    pub fn read(dict: &Dict) -> Self {
        let mut options = Self::default();
        for (key, value) in &dict.0 {
            options.entry(&normal(&String::from_utf8_lossy(key)), value);
        }
        options
    }

    /// What the relay egress of the call shall do, if the request says.
    #[must_use]
    pub const fn is_egress_named(&self) -> bool {
        self.flags.transparent || self.flags.continuity || self.flags.new_ssrc
    }

    fn entry(&mut self, key: &str, value: &Value) {
        let text = || value.text().map(alloc);
        let number = || value.integer().and_then(|number| u32::try_from(number).ok());
        match key {
            "command" | "cookie" | "sip-message-type" | "sip-code" | "metadata" | "xmlrpc-callback"
            | "dtmf-log-dest" | "output-destination" | "recording-dir" | "recording-file" | "recording-path"
            | "recording-pattern" | "media-echo" | "frequency" | "trigger" => {}
            "call-id" => self.call_id = text(),
            "from-tag" => self.from_tag = text(),
            "to-tag" => self.to_tag = text(),
            "via-branch" => self.via_branch = text(),
            "to-call-id" => self.to_call_id = text(),
            "label" | "from-label" => self.label = text(),
            "set-label" => self.set_label = text(),
            "to-label" => self.to_label = text(),
            "from-tags" => self.from_tags = value.texts().into_iter().map(alloc).collect(),
            "sdp" => {
                if let Value::Bytes(bytes) = value {
                    self.sdp = Some(bytes.clone());
                }
            }
            // `[IP4, address]`, or the address alone.
            "received-from" => self.received_from = value.texts().last().and_then(|text| ip(text)),
            "media-address" => self.media_address = text().and_then(|text| ip(&text)),
            "address" => self.address = text().and_then(|text| ip(&text)),
            "address-family" => self.address_family = text().and_then(|text| family(&text)),
            "direction" => self.direction.extend(value.texts().into_iter().map(alloc)),
            "interface" => self.interface = text(),
            "tos" => self.tos = number().and_then(|tos| u8::try_from(tos).ok()),
            "delete-delay" | "delay" => self.delete_delay_s = number(),
            "media-timeout" => self.media_timeout_s = number(),
            "ptime" => self.ptime_ms = number(),
            "limit" => self.limit = number(),
            "code" | "digit" => self.code = text(),
            "duration" => self.duration_ms = number(),
            "pause" => self.pause_ms = number(),
            "volume" => self.volume = value.integer().and_then(|volume| i32::try_from(volume).ok()),
            "file" => self.file = text(),
            "blob" => {
                if let Value::Bytes(bytes) = value {
                    self.blob = Some(bytes.clone());
                }
            }
            "db-id" => self.db_id = value.integer(),
            "repeat-times" => self.repeat_times = number(),
            "supports" => self.supports.extend(value.texts().iter().map(|word| normal(word))),
            "transport-protocol" => self.transport_protocol = text(),
            "flags" => value.texts().iter().for_each(|word| self.word(word)),
            "rtpp-flags" => {
                if let Some(text) = value.text() {
                    self.string(&text);
                }
            }
            "codec" => self.codecs(value),
            _ => {
                let words = value.texts();
                if words.is_empty() {
                    self.unknown.push(key.to_owned());
                }
                for word in words {
                    self.pair(key, &word);
                }
            }
        }
    }

    fn codecs(&mut self, value: &Value) {
        let Value::Dict(dict) = value else { return };
        for (key, codecs) in &dict.0 {
            let what = normal(&String::from_utf8_lossy(key));
            let codecs = codecs.texts().into_iter().map(|codec| (what.clone(), alloc(codec)));
            self.codec.extend(codecs);
        }
    }
}

fn alloc(text: std::borrow::Cow<'_, str>) -> String {
    text.into_owned()
}

fn ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}

fn family(text: &str) -> Option<AddressFamily> {
    match normal(text).as_str() {
        "ip4" | "inet" | "ipv4" => Some(AddressFamily::Ip4),
        "ip6" | "inet6" | "ipv6" => Some(AddressFamily::Ip6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, Value)]) -> Options {
        Options::read(&Dict(entries.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone())).collect()))
    }

    #[test]
    fn the_same_wish_has_many_spellings() {
        for entries in [
            &[("ICE", Value::from("remove"))][..],
            &[("ice", Value::from("REMOVE"))],
            &[("flags", Value::from(vec!["ICE=remove"]))],
            &[("flags", Value::from(vec!["ICE-remove"]))],
            &[("rtpp_flags", Value::from("ICE=remove"))],
        ] {
            assert_eq!(of(entries).ice, Some(Ice::Remove), "{entries:?}");
        }
        for entries in [
            &[("replace", Value::from(vec!["origin", "session connection"]))][..],
            &[("flags", Value::from(vec!["replace-origin", "replace_session_connection"]))],
            &[("rtpp-flags", Value::from("replace-origin replace-session-connection"))],
            &[("rtpp-flags", Value::from("replace=[origin session-connection]"))],
        ] {
            let replace = Replace { origin: true, session_connection: true, ..Replace::default() };
            assert_eq!(of(entries).replace, replace, "{entries:?}");
        }
    }

    #[test]
    fn kamailios_string_is_taken_apart() {
        let options = of(&[(
            "rtpp-flags",
            Value::from(
                "RTP/AVP trust-address symmetric direction=external direction=internal rtcp-mux=[demux accept] \
                 received-from=192.0.2.7 via-branch=z9hG4bK1 codec-strip-G729 delete-delay=0 address-family=IP6 nonsense TOS=184",
            ),
        )]);
        assert_eq!(options.transport_protocol.as_deref(), Some("RTP/AVP"));
        assert!(options.flags.trust_address && options.flags.symmetric);
        assert_eq!(options.direction, ["external", "internal"]);
        assert_eq!(options.rtcp_mux, RtcpMux { demux: true, accept: true, ..RtcpMux::default() });
        assert_eq!(options.received_from, ip("192.0.2.7"));
        assert_eq!(options.via_branch.as_deref(), Some("z9hG4bK1"));
        assert_eq!(options.codec, [("strip".to_owned(), "G729".to_owned())]);
        assert_eq!((options.delete_delay_s, options.tos), (Some(0), Some(184)));
        assert_eq!(options.address_family, Some(AddressFamily::Ip6));
        assert_eq!(options.unknown, ["nonsense"]);
    }

    #[test]
    fn values_of_the_wrong_type_are_left_out() {
        let options = of(&[
            ("call-id", Value::List(Vec::new())),
            ("sdp", Value::Integer(7)),
            ("delete-delay", Value::Integer(-1)),
            ("TOS", Value::Integer(256)),
            ("received-from", Value::from(vec!["IP4", "nowhere"])),
            ("flags", Value::Dict(Dict::new())),
            ("codec", Value::from("strip")),
        ]);
        assert_eq!(options, Options::default());
    }

    #[test]
    fn received_from_is_a_pair_or_an_address() {
        for value in [Value::from(vec!["IP4", "192.0.2.7"]), Value::from("192.0.2.7")] {
            assert_eq!(of(&[("received from", value)]).received_from, ip("192.0.2.7"));
        }
        assert_eq!(of(&[("media address", Value::from("[2001:db8::1]"))]).media_address, ip("2001:db8::1"));
    }
}
