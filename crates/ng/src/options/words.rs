//! Words of the list `flags` and of the string `rtpp-flags`, and words that belong to a key.

use super::{IceLite, Options};
use crate::value::{Value, normal};

/// Keys that are written in front of their words with a hyphen too: `replace-origin`, `rtcp-mux-demux`. Those that begin with
/// another one come first.
const PREFIXES: [&str; 15] = [
    "replace-",
    "rtcp-mux-",
    "sdes-",
    "osrtp-",
    "ice-lite-",
    "ice-",
    "dtls-reverse-",
    "dtls-",
    "codec-",
    "t.38-",
    "t38-",
    "transport-protocol-",
    "address-family-",
    "endpoint-learning-",
    "from-tags-",
];

/// Transport protocols, which are written without a key.
const TRANSPORTS: [&str; 7] =
    ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "udptl"];

/// Parts of a transport protocol, which change what is said so far.
const TRANSPORT_PARTS: [&str; 4] = ["RTP", "SRTP", "AVP", "AVPF"];

/// Words that a proxy's module obeys itself; they come through if it leaves reading them to the relay.
const OF_THE_PROXY: [&str; 4] = ["to-tag", "from-tag", "force", "force-answer"];

impl Options {
    /// One word of the list `flags`, or of the string.
    pub(super) fn word(&mut self, word: &str) {
        let word = word.trim();
        if let Some((key, value)) = word.split_once('=') {
            match &*normal(key) {
                // A word that holds words that hold words would be as deep as the message is long.
                "flags" | "rtpp-flags" => self.note_unknown(word),
                // A proxy asks its own module to find the branch.
                "via-branch" if is_for_the_proxy(value) => {}
                key if is_prefix(key) => self.pair(key, value.trim()),
                key => self.entry(key, &Value::from(value.trim())),
            }
            return;
        }
        let said = normal(word);
        if said.is_empty() || self.transport_word(word) || self.flags.set(&said) || self.alias(&said) {
            self.flags_that_mean_more(&said);
            return;
        }
        // Both have the same length: only case and the marks between words differ.
        if let Some(prefix) = PREFIXES.iter().find(|prefix| said.starts_with(**prefix)) {
            self.pair(&prefix[..prefix.len() - 1], &word[prefix.len()..]);
        } else if !OF_THE_PROXY.contains(&&*said) {
            self.note_unknown(word);
        }
    }

    /// A key with one of its words.
    pub(super) fn pair(&mut self, key: &str, word: &str) {
        let said = normal(word);
        let known = match key {
            "replace" => self.replace.set(&said),
            "rtcp-mux" => self.rtcp_mux.set(&said),
            "sdes" => self.sdes.set(word),
            "osrtp" => self.osrtp.set(&said),
            "t.38" | "t38" => {
                self.t38.push(word.to_owned());
                true
            }
            "codec" => {
                let list = said.split_once('-').and_then(|(what, _)| Some((what.len() + 1, self.codec.list(what)?)));
                list.is_some_and(|(at, list)| {
                    list.extend(word.trim().get(at..).filter(|codec| !codec.is_empty()).map(str::to_owned));
                    true
                })
            }
            "ice" if said == "lite" => {
                self.ice_lite = Some(IceLite::Both);
                true
            }
            _ => return self.entry(key, &Value::from(word)),
        };
        if !known {
            self.note_unknown(&format!("{key}={word}"));
        }
    }

    /// Words that are short for others.
    fn alias(&mut self, said: &str) -> bool {
        match said {
            "pad-crypto" => self.sdes.pad = true,
            "generate-rtcp" => self.generate_rtcp = Some(true),
            "record-call" => self.record_call = Some(true),
            "ice-lite" => self.ice_lite = Some(IceLite::Both),
            // All that a browser asks for.
            "webrtc" => {
                for word in
                    ["UDP/TLS/RTP/SAVPF", "ICE-force", "trickle-ICE", "rtcp-mux-offer", "rtcp-mux-require", "SDES-off"]
                {
                    self.word(word);
                }
                self.flags.no_rtcp_attribute = true;
                self.flags.generate_mid = true;
            }
            _ => return false,
        }
        true
    }

    fn flags_that_mean_more(&mut self, said: &str) {
        match said {
            "all" => self.all = super::All::All,
            "always-transcode" => self.codec.accept.push("all".to_owned()),
            _ => {}
        }
    }

    /// `transport-protocol`.
    pub(super) fn transport(&mut self, value: &Value) -> bool {
        let Some(word) = value.text() else { return false };
        if normal(&word) == "accept" {
            self.transport_protocol = Some("accept".to_owned());
            return true;
        }
        self.transport_word(word.trim())
    }

    /// A transport protocol, or a part of one.
    fn transport_word(&mut self, word: &str) -> bool {
        if let Some(transport) = TRANSPORTS.iter().find(|transport| transport.eq_ignore_ascii_case(word)) {
            self.transport_protocol = Some((*transport).to_owned());
            return true;
        }
        if !TRANSPORT_PARTS.iter().any(|part| part.eq_ignore_ascii_case(word)) {
            return false;
        }
        let so_far = self.transport_protocol.as_deref().unwrap_or("RTP/AVP");
        let (secure, feedback) = (so_far.contains("SAVP"), so_far.ends_with('F'));
        let (secure, feedback) = match word.to_ascii_uppercase().as_str() {
            "RTP" => (false, feedback),
            "SRTP" => (true, feedback),
            "AVP" => (secure, false),
            _ => (secure, true),
        };
        let of = |secure, feedback| TRANSPORTS[usize::from(feedback) + 2 * usize::from(secure)];
        self.transport_protocol = Some(of(secure, feedback).to_owned());
        true
    }
}

fn is_prefix(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| prefix.strip_suffix('-') == Some(key))
}

/// A branch that a proxy's module looks up in the SIP message, and gives as a key of its own.
fn is_for_the_proxy(value: &str) -> bool {
    matches!(&*normal(value), "auto" | "auto-next" | "auto-extra" | "next" | "extra" | "1" | "2" | "")
}
