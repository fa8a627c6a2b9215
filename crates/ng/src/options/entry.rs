//! Keys with their values.

use core::net::IpAddr;

use super::{AddressFamily, All, Dtls, Ice, IceLite, Learning, MediaEcho, Options, SipMessage, Tos};
use crate::value::{Value, normal};

impl Options {
    /// One key in its normal spelling, with its value.
    pub(super) fn entry(&mut self, key: &str, value: &Value) {
        if !self.known_entry(key, value) {
            self.bad_value(key, value);
        }
    }

    /// False: nobody knows the key, or the value cannot be.
    fn known_entry(&mut self, key: &str, value: &Value) -> bool {
        match key {
            // Read elsewhere.
            "command" | "cookie" | "rtpp-flags" => true,

            "call-id" => name(&mut self.call_id, value),
            "to-call-id" => name(&mut self.to_call_id, value),
            "from-tag" => name(&mut self.from_tag, value),
            "to-tag" => name(&mut self.to_tag, value),
            "via-branch" => text(&mut self.via_branch, value),
            "label" | "from-label" => text(&mut self.label, value),
            "set-label" => text(&mut self.set_label, value),
            "to-label" => text(&mut self.to_label, value),
            "from-tags" => texts(&mut self.from_tags, value),
            "address" => set(&mut self.address, ip(value)),
            "all" => self.all(value),
            "sip-message-type" => set(&mut self.sip_message, word(value, SipMessage::from_word)),
            "sip-code" => set(&mut self.sip_code, number(value)),

            // `[IP4, address]`, or the address alone.
            "received-from" => match value {
                Value::List(list) => set(&mut self.received_from, list.last().and_then(ip)),
                _ => set(&mut self.received_from, ip(value)),
            },
            "media-address" => set(&mut self.media_address, ip(value)),
            "address-family" => set(&mut self.address_family, word(value, AddressFamily::from_word)),
            "direction" => {
                if matches!(value, Value::List(_)) {
                    self.direction.clear();
                }
                texts(&mut self.direction, value)
            }
            "interface" => text(&mut self.interface, value),
            "from-interface" => self.interface_at(0, value),
            "to-interface" => self.interface_at(1, value),
            "endpoint-learning" => set(&mut self.learning, word(value, Learning::from_word)),

            "sdp" => bytes(&mut self.sdp, value),
            "flags" => self.words(value),
            "transport-protocol" => self.transport(value),
            "ice" => set(&mut self.ice, word(value, Ice::from_word)),
            "ice-lite" => set(&mut self.ice_lite, word(value, IceLite::from_word)),
            "dtls" => set(&mut self.dtls, word(value, Dtls::from_word)),
            "dtls-reverse" => set(&mut self.dtls_reverse, word(value, Dtls::from_word)),
            "dtls-fingerprint" => text(&mut self.dtls_fingerprint, value),
            "replace" | "rtcp-mux" | "sdes" | "osrtp" | "t.38" | "t38" => self.pairs(key, value),
            "codec" => self.codecs(value),
            "ptime" => set(&mut self.ptime_ms, number(value)),
            "ptime-reverse" => set(&mut self.ptime_reverse_ms, number(value)),
            "sdp-attr" => {
                let dict = if let Value::Dict(dict) = value { Some(dict.clone()) } else { None };
                set(&mut self.sdp_attr, dict)
            }
            "sdp-media-remove" => texts(&mut self.media_remove, value),
            "generate-rtcp" => set(&mut self.generate_rtcp, truth(value)),

            "tos" => value.integer().map(|number| self.tos = Tos::from(number)).is_some(),
            "drop-traffic" => set(
                &mut self.drop_traffic,
                word(value, |word| match word {
                    "start" => Some(true),
                    "stop" => Some(false),
                    _ => None,
                }),
            ),
            "media-echo" => set(&mut self.media_echo, word(value, MediaEcho::from_word)),
            "dtmf-security" => set(&mut self.dtmf_security, value.text().map(|text| normal(&text).into_owned())),

            "delete-delay" | "delay" => set(&mut self.delete_delay_s, number(value)),
            "media-timeout" | "timeout" => set(&mut self.media_timeout_s, number(value)),
            "silent-timeout" => set(&mut self.silent_timeout_s, number(value)),
            "final-timeout" => set(&mut self.final_timeout_s, number(value)),

            "file" => text(&mut self.file, value),
            "blob" => bytes(&mut self.blob, value),
            "db-id" => set(&mut self.db_id, value.integer()),
            "repeat-times" => set(&mut self.repeat_times, number(value)),
            "repeat-duration" => set(&mut self.repeat_duration_ms, number(value)),
            "start-pos" => set(&mut self.start_pos, number(value)),
            "code" | "digit" => text(&mut self.code, value),
            "duration" => set(&mut self.duration_ms, number(value)),
            // Of `stop recording`: yes or no; of `play DTMF`: milliseconds.
            "pause" => match truth(value) {
                Some(pause) if value.integer().is_none() => {
                    self.flags.pause = pause;
                    true
                }
                _ => set(&mut self.pause_ms, number(value)),
            },
            "volume" => set(&mut self.volume, number(value)),
            "frequency" | "frequencies" => self.frequencies(value),

            "supports" => {
                self.supports.extend(value.texts().iter().map(|word| normal(word).into_owned()));
                is_text_or_list(value)
            }
            "limit" => set(&mut self.limit, number(value)),
            "template" => text(&mut self.template, value),
            "record-call" => set(&mut self.record_call, truth(value)),
            "metadata" => text(&mut self.metadata, value),
            "recording-dir" => text(&mut self.recording_dir, value),
            "recording-file" => text(&mut self.recording_file, value),
            "recording-path" => text(&mut self.recording_path, value),
            "recording-pattern" => text(&mut self.recording_pattern, value),
            "output-destination" => text(&mut self.output_destination, value),
            "xmlrpc-callback" => set(&mut self.xmlrpc_callback, ip(value)),

            "audio-player"
            | "delay-buffer"
            | "dtmf-security-trigger"
            | "dtmf-security-trigger-end"
            | "dtmf-delay"
            | "dtmf-log-dest"
            | "trigger"
            | "trigger-end"
            | "end-trigger"
            | "trigger-end-time"
            | "trigger-end-digits"
            | "moh"
            | "recording-announcement"
            | "recording-vsc"
            | "bundle"
            | "extmap"
            | "instance" => {
                self.note_ignored(key);
                true
            }
            // A list of codecs, as `codec` has it.
            "transcode" | "codec-strip" | "codec-offer" | "codec-except" | "codec-mask" | "codec-transcode"
            | "codec-consume" | "codec-accept" | "codec-set" | "codec-ignore" => {
                let list = self.codec.list(key.strip_prefix("codec-").unwrap_or(key));
                list.is_some_and(|list| texts(list, value))
            }
            _ => match truth(value) {
                // `trust-address: yes`, as some write what is a word elsewhere.
                Some(true) => self.flags.set(key),
                _ => false,
            },
        }
    }

    fn all(&mut self, value: &Value) -> bool {
        let Some(all) = word(value, All::from_word) else { return false };
        self.all = all;
        self.flags.all |= all == All::All;
        true
    }

    fn interface_at(&mut self, index: usize, value: &Value) -> bool {
        let Some(name) = value.text().filter(|name| !name.is_empty()) else { return false };
        self.direction.resize(self.direction.len().max(index + 1), String::new());
        self.direction[index] = name.into_owned();
        true
    }

    /// A list of words, or a single one, that belong to a key.
    fn pairs(&mut self, key: &str, value: &Value) -> bool {
        for word in value.texts() {
            self.pair(key, &word);
        }
        is_text_or_list(value)
    }

    fn words(&mut self, value: &Value) -> bool {
        for word in value.texts() {
            self.word(&word);
        }
        is_text_or_list(value)
    }

    fn codecs(&mut self, value: &Value) -> bool {
        let Value::Dict(dict) = value else { return self.pairs("codec", value) };
        for (key, codecs) in &dict.0 {
            let key = String::from_utf8_lossy(key);
            let key = normal(&key);
            let list = self.codec.list(&key);
            if !list.is_some_and(|list| texts(list, codecs)) {
                self.bad_value(&format!("codec-{key}"), codecs);
            }
        }
        true
    }

    fn frequencies(&mut self, value: &Value) -> bool {
        let texts = value.texts();
        let numbers = texts.iter().flat_map(|text| text.split(',')).map(|number| number.trim().parse());
        match numbers.collect::<Result<Vec<u32>, _>>() {
            Ok(numbers) => {
                self.frequencies = numbers;
                is_text_or_list(value)
            }
            Err(_) => false,
        }
    }
}

/// Keeps a value that can be.
fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let is_some = value.is_some();
    if is_some {
        *field = value;
    }
    is_some
}

fn text(field: &mut Option<String>, value: &Value) -> bool {
    set(field, value.text().map(std::borrow::Cow::into_owned))
}

/// What names something is a text: a number there is a mistake of the asker's, and no name.
fn name(field: &mut Option<String>, value: &Value) -> bool {
    matches!(value, Value::Bytes(_)) && text(field, value)
}

fn bytes(field: &mut Option<Vec<u8>>, value: &Value) -> bool {
    let Value::Bytes(bytes) = value else { return false };
    set(field, Some(bytes.to_vec()))
}

fn texts(field: &mut Vec<String>, value: &Value) -> bool {
    field.extend(value.texts().into_iter().map(std::borrow::Cow::into_owned));
    is_text_or_list(value)
}

const fn is_text_or_list(value: &Value) -> bool {
    !matches!(value, Value::Dict(_))
}

fn number<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    T::try_from(value.integer()?).ok()
}

/// A word, or a list of one.
fn word<T>(value: &Value, from_word: impl Fn(&str) -> Option<T>) -> Option<T> {
    let value =
        if let Value::List(list) = value { <&[Value; 1]>::try_from(&**list).ok().map(|[one]| one)? } else { value };
    from_word(&normal(&value.text()?))
}

fn truth(value: &Value) -> Option<bool> {
    match &*normal(&value.text()?) {
        "yes" | "on" | "true" | "1" => Some(true),
        "no" | "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

fn ip(value: &Value) -> Option<IpAddr> {
    let text = value.text()?;
    let text = text.trim();
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}
