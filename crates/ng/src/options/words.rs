//! Flags that are one word, and words that belong to a key.

use super::{Ice, Options};
use crate::value::{Value, normal};

/// Keys that are written in front of their words with a hyphen too: `replace-origin`, `rtcp-mux-demux`.
const PREFIXES: [&str; 9] =
    ["replace-", "rtcp-mux-", "sdes-", "osrtp-", "ice-", "dtls-", "codec-", "transport-protocol-", "address-family-"];
/// Transport protocols are written without a key.
const TRANSPORTS: [&str; 9] = [
    "RTP/AVP",
    "RTP/AVPF",
    "RTP/SAVP",
    "RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "UDP/TLS/RTP/SAVPF",
    "UDPTL",
    "RTP/SAVP OSRTP",
    "RTP/SAVPF OSRTP",
];

impl Options {
    /// One word of the list `flags`, or of the string.
    pub(super) fn word(&mut self, word: &str) {
        if let Some((key, value)) = word.split_once('=') {
            match normal(key).as_str() {
                // A word that holds words that hold words would be as deep as the message is long.
                "flags" | "rtpp-flags" => self.unknown.push(word.to_owned()),
                key => self.entry(key, &Value::from(value.trim())),
            }
            return;
        }
        let word = word.trim();
        if let Some(transport) = TRANSPORTS.iter().find(|transport| transport.eq_ignore_ascii_case(word)) {
            self.transport_protocol = Some((*transport).to_owned());
            return;
        }
        let normal = normal(word);
        if normal.is_empty() || self.flags.set(&normal) {
            return;
        }
        if let Some(prefix) = PREFIXES.iter().find(|prefix| normal.starts_with(**prefix)) {
            self.pair(&prefix[..prefix.len() - 1], &word[prefix.len()..]);
            return;
        }
        self.unknown.push(word.to_owned());
    }

    /// A key with one of its words.
    pub(super) fn pair(&mut self, key: &str, word: &str) {
        let said = normal(word);
        let known = match key {
            "ice" => self.ice(&said),
            "ice-lite" => {
                self.flags.ice_lite = said != "off";
                true
            }
            "rtcp-mux" => self.mux(&said),
            "replace" => self.replaced(&said),
            "dtls" => {
                self.dtls = Some(said.clone());
                true
            }
            "sdes" => {
                self.sdes.push(said.clone());
                true
            }
            "osrtp" => {
                self.osrtp.push(said.clone());
                true
            }
            "address-family" | "transport-protocol" => {
                self.entry(key, &Value::from(word));
                true
            }
            "codec" => match word.split_once('-') {
                Some((what, codec)) => {
                    self.codec.push((normal(what), codec.to_owned()));
                    true
                }
                None => false,
            },
            _ => false,
        };
        if !known {
            self.unknown.push(format!("{key}={word}"));
        }
    }

    fn ice(&mut self, word: &str) -> bool {
        self.ice = Some(match word {
            "remove" => Ice::Remove,
            "force" => Ice::Force,
            "force-relay" => Ice::ForceRelay,
            "default" => Ice::Default,
            "optional" => Ice::Optional,
            "lite" => {
                self.flags.ice_lite = true;
                return true;
            }
            _ => return false,
        });
        true
    }

    fn mux(&mut self, word: &str) -> bool {
        let mux = &mut self.rtcp_mux;
        let field = match word {
            "offer" => &mut mux.offer,
            "require" => &mut mux.require,
            "demux" => &mut mux.demux,
            "accept" => &mut mux.accept,
            "reject" => &mut mux.reject,
            _ => return false,
        };
        *field = true;
        true
    }

    fn replaced(&mut self, word: &str) -> bool {
        let replace = &mut self.replace;
        let field = match word {
            "origin" => &mut replace.origin,
            "session-connection" => &mut replace.session_connection,
            "session-name" => &mut replace.session_name,
            "sdp-version" | "force-increment-sdp-ver" => &mut replace.sdp_version,
            "username" => &mut replace.username,
            "zero-address" => &mut replace.zero_address,
            _ => return false,
        };
        *field = true;
        true
    }
}
