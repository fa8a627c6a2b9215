//! Codecs as a client writes them.

use core::fmt;

use patchcord_codec::PTIME_MS;
use patchcord_codec::codec::{OPUS_BITRATES, PTIME_USUAL_MS};
use patchcord_relay::media::{Codec, EncodingName, Fmtp, Sending};
use patchcord_rtp::PayloadType;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One entry of a codec list: `"PCMU"`, `"101 telephone-event/8000"`, or an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CodecSpec {
    /// A static payload type by its name (RFC 3551 6), or an rtpmap's value (RFC 8866 6.6).
    #[schema(example = "101 telephone-event/8000")]
    Text(String),
    /// In parts.
    Parts(CodecParts),
}

/// A codec in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodecParts {
    /// The number in RTP headers, 0 to 127.
    #[schema(maximum = 127)]
    pub payload_type: u8,
    /// The encoding name: `PCMU`, `opus`, `telephone-event`.
    pub encoding: String,
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// Channels.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub channels: u8,
    /// The format's parameters, as SDP has them behind the number in `a=fmtp` (RFC 8866 6.15). Whoever transcodes for the party
    /// obeys those of Opus (RFC 7587 6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "useinbandfec=1;maxaveragebitrate=24000", max_length = 1024)]
    pub fmtp: Option<String>,
    /// The packet time in milliseconds that the party would like (`a=ptime`): what is transcoded or mixed for it is sent in packets of so
    /// much, or of the next shorter ones that the codec has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 10, maximum = 60, example = 40)]
    pub ptime_ms: Option<u8>,
    /// What comes in other packets is transcoded too, even if the parties share the format.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ptime_exact: bool,
    /// Of `telephone-event`: with a party that has none, keys are converted, its tones to events for this party and this party's events
    /// to tones for it; the two are transcoded for that, even if they share a format.
    #[serde(default, skip_serializing_if = "is_false")]
    pub convert_tones: bool,
    /// Bits a second that the relay encodes Opus with, but never more than the party's `maxaveragebitrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 6000, maximum = 510_000, example = 16_000)]
    pub bitrate: Option<u32>,
}

impl CodecParts {
    /// A codec of one channel of which no more is said.
    #[must_use]
    pub const fn new(payload_type: u8, encoding: String, clock_rate: u32) -> Self {
        let (channels, fmtp, ptime_ms, ptime_exact) = (1, None, None, false);
        let (convert_tones, bitrate) = (false, None);
        Self { payload_type, encoding, clock_rate, channels, fmtp, ptime_ms, ptime_exact, convert_tones, bitrate }
    }

    /// The same for a party whose SDP has these `a=ptime` and `a=maxptime` (RFC 8866 6.4), in milliseconds.
    #[must_use]
    pub fn wanting(self, ptime_ms: Option<u32>, maxptime_ms: Option<u32>) -> Self {
        let said = |ms: Option<u32>| ms.filter(|&ms| ms > 0);
        let wanted = said(ptime_ms).unwrap_or(PTIME_USUAL_MS).min(said(maxptime_ms).unwrap_or(u32::MAX));
        let wanted = wanted.clamp(*PTIME_MS.start(), *PTIME_MS.end());
        Self { ptime_ms: u8::try_from(wanted).ok().filter(|_| wanted != PTIME_USUAL_MS), ..self }
    }

    /// Whether it is RFC 4733's `telephone-event`.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("telephone-event")
    }

    /// The packet time, in milliseconds, of what the relay encodes in it; the usual one if it does not encode it.
    #[must_use]
    pub fn packet_ms(&self) -> u32 {
        let Self { encoding, clock_rate, channels, fmtp, ptime_ms, .. } = self;
        let known = patchcord_codec::Codec::of(encoding, *clock_rate, *channels, fmtp.as_deref());
        known.map_or(PTIME_USUAL_MS, |known| known.packet_ms(ptime_ms.unwrap_or(0).into()))
    }
}

/// The most bytes of [`CodecParts::fmtp`] over HTTP.
const FMTP_LEN_MAX: usize = 1024;

const fn one() -> u8 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(channels: &u8) -> bool {
    *channels == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(set: &bool) -> bool {
    !*set
}

impl<'de> Deserialize<'de> for CodecSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = CodecSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a codec: \"PCMU\", \"101 telephone-event/8000\", or an object with payload_type, encoding, clock_rate")
            }

            fn visit_str<E>(self, text: &str) -> Result<CodecSpec, E> {
                Ok(CodecSpec::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CodecSpec, A::Error> {
                CodecParts::deserialize(MapAccessDeserializer::new(map)).map(CodecSpec::Parts)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Static payload types that a name alone identifies (RFC 3551 6): name, number, clock rate.
const STATIC: [(&str, u8, u32); 10] = [
    ("PCMU", 0, 8000),
    ("GSM", 3, 8000),
    ("G723", 4, 8000),
    ("LPC", 7, 8000),
    ("PCMA", 8, 8000),
    ("G722", 9, 8000),
    ("QCELP", 12, 8000),
    ("CN", 13, 8000),
    ("G728", 15, 8000),
    ("G729", 18, 8000),
];

impl CodecSpec {
    /// The engine's form of it, or what is wrong with it.
    ///
    /// # Errors
    /// A sentence that names the entry.
    pub fn to_codec(&self) -> Result<Codec, String> {
        match self {
            Self::Text(text) => from_text(text),
            Self::Parts(parts) => {
                let CodecParts { payload_type, encoding, clock_rate, channels, fmtp, .. } = parts;
                let codec = build((*payload_type).into(), encoding, *clock_rate, *channels, encoding)?;
                Ok(Codec { fmtp: parameters(encoding, fmtp.as_deref())?, sending: sending(parts)?, ..codec })
            }
        }
    }
}

/// How a codec is written in answers: an rtpmap's value.
#[must_use]
pub fn rtpmap(codec: &Codec) -> String {
    let Codec { payload_type, encoding, clock_rate, channels, .. } = codec;
    match channels {
        1 => format!("{} {encoding}/{clock_rate}", payload_type.get()),
        _ => format!("{} {encoding}/{clock_rate}/{channels}", payload_type.get()),
    }
}

fn from_text(text: &str) -> Result<Codec, String> {
    let Some((number, format)) = text.split_once(' ') else {
        let found = STATIC.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
        let &(name, number, clock_rate) = found.ok_or_else(|| {
            format!("codec {text:?} is no static payload type; write it as an rtpmap: \"96 {text}/48000\"")
        })?;
        return build(number.into(), name, clock_rate, 1, text);
    };
    let bad = || format!("codec {text:?} is not of the form \"101 telephone-event/8000\" or \"96 opus/48000/2\"");
    let mut parts = format.trim().split('/');
    let encoding = parts.next().ok_or_else(bad)?;
    let clock_rate = parts.next().and_then(|rate| rate.parse().ok()).ok_or_else(bad)?;
    let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok()).ok_or_else(bad)?;
    if parts.next().is_some() {
        return Err(bad());
    }
    build(number.parse().map_err(|_| bad())?, encoding, clock_rate, channels, text)
}

fn build(number: u32, encoding: &str, clock_rate: u32, channels: u8, text: &str) -> Result<Codec, String> {
    let payload_type = u8::try_from(number)
        .ok()
        .and_then(PayloadType::new)
        .ok_or_else(|| format!("codec {text:?}: payload type {number} is above 127"))?;
    let well_formed = !encoding.is_empty() && encoding.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let Some(encoding) = EncodingName::new(encoding).filter(|_| well_formed) else {
        return Err(format!("codec {text:?}: {encoding:?} is no encoding name"));
    };
    if clock_rate == 0 || channels == 0 {
        return Err(format!("codec {text:?}: clock rate and channels must not be zero"));
    }
    Ok(Codec { payload_type, encoding, clock_rate, channels, fmtp: None, sending: Sending::default() })
}

fn sending(parts: &CodecParts) -> Result<Sending, String> {
    let CodecParts { encoding, ptime_ms, ptime_exact, convert_tones, bitrate, .. } = parts;
    let is_events = parts.is_telephone_event();
    let mut sending = Sending::default();
    if let Some(ms) = *ptime_ms {
        let (min, max) = (PTIME_MS.start(), PTIME_MS.end());
        if !PTIME_MS.contains(&ms.into()) {
            return Err(format!("codec {encoding:?}: ptime_ms is {min} to {max}, not {ms}"));
        }
        sending = sending.with_ptime(ms);
    }
    if is_events && *ptime_exact {
        return Err(
            "codec \"telephone-event\": it has no packets of a length; only audio takes `ptime_exact`".to_owned()
        );
    }
    if *convert_tones && !is_events {
        return Err(format!("codec {encoding:?}: it has no keys; only telephone-event takes `convert_tones`"));
    }
    if *ptime_exact || *convert_tones {
        sending = sending.exactly();
    }
    if let Some(bitrate) = *bitrate {
        let (min, max) = (OPUS_BITRATES.start(), OPUS_BITRATES.end());
        if !encoding.eq_ignore_ascii_case("opus") {
            return Err(format!("codec {encoding:?}: it has one bit rate; only opus takes `bitrate`"));
        }
        if !OPUS_BITRATES.contains(&bitrate) {
            return Err(format!("codec {encoding:?}: bitrate is {min} to {max} bit/s, not {bitrate}"));
        }
        sending = sending.with_bitrate(bitrate);
    }
    Ok(sending)
}

/// Empty parameters are none.
fn parameters(encoding: &str, fmtp: Option<&str>) -> Result<Option<Fmtp>, String> {
    let Some(fmtp) = fmtp.filter(|fmtp| !fmtp.trim().is_empty()) else { return Ok(None) };
    if fmtp.len() > FMTP_LEN_MAX {
        return Err(format!("codec {encoding:?}: fmtp has {} bytes; at most {FMTP_LEN_MAX} are possible", fmtp.len()));
    }
    if fmtp.chars().any(char::is_control) {
        return Err(format!(
            "codec {encoding:?}: fmtp has control characters; give what stands in a=fmtp behind the number"
        ));
    }
    Ok(Some(fmtp.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<String, String> {
        let spec: CodecSpec = serde_json::from_str(json).map_err(|error| error.to_string())?;
        spec.to_codec().map(|codec| rtpmap(&codec))
    }

    #[test]
    fn all_three_forms_are_read() {
        assert_eq!(parse(r#""pcmu""#).as_deref(), Ok("0 PCMU/8000"));
        assert_eq!(parse(r#""101 telephone-event/8000""#).as_deref(), Ok("101 telephone-event/8000"));
        assert_eq!(parse(r#""96 opus/48000/2""#).as_deref(), Ok("96 opus/48000/2"));
        let object = r#"{"payload_type": 96, "encoding": "opus", "clock_rate": 48000, "channels": 2}"#;
        assert_eq!(parse(object).as_deref(), Ok("96 opus/48000/2"));
    }

    #[test]
    fn parameters_are_kept_as_they_are() {
        let fmtp = |fmtp: &str| {
            let json = serde_json::json!({"payload_type": 96, "encoding": "opus", "clock_rate": 48000, "fmtp": fmtp});
            let spec: CodecSpec = serde_json::from_value(json).expect("it is a codec");
            spec.to_codec().map(|codec| codec.fmtp)
        };
        assert_eq!(fmtp("stereo=1; cbr=1"), Ok(Some("stereo=1; cbr=1".into())));
        assert_eq!(fmtp(" "), Ok(None));
        assert!(fmtp(&"x".repeat(1025)).expect_err("too long").contains("at most 1024"));
    }

    #[test]
    fn how_a_party_is_sent_a_codec_is_taken() {
        let json = r#"{"payload_type": 96, "encoding": "opus", "clock_rate": 48000, "channels": 2, "ptime_ms": 40,
            "ptime_exact": true, "bitrate": 16000}"#;
        let spec: CodecSpec = serde_json::from_str(json).expect("it is a codec");
        let sending = spec.to_codec().map(|codec| codec.sending);
        assert_eq!(sending, Ok(Sending::default().with_ptime(40).with_bitrate(16_000).exactly()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, word) in [
            (r#""opus""#, "rtpmap"),
            (r#""128 x/8000""#, "above 127"),
            (r#""96 x""#, "form"),
            (r#""96 x/0""#, "zero"),
            (r#""96 x/8000/1/1""#, "form"),
            (r#"{"payload_type": 96, "encoding": "", "clock_rate": 8000}"#, "encoding name"),
            (r#"{"payload_type": 96, "encoding": "x", "clock_rate": 8000, "ptime": 20}"#, "unknown field `ptime`"),
            (r#"{"payload_type": 96, "encoding": "x", "clock_rate": 8000, "fmtp": "a\nb"}"#, "control characters"),
            (r#"{"payload_type": 0, "encoding": "PCMU", "clock_rate": 8000, "convert_tones": true}"#, "has no keys"),
            (
                r#"{"payload_type": 101, "encoding": "telephone-event", "clock_rate": 8000, "ptime_exact": true}"#,
                "only audio",
            ),
            (r#"{"payload_type": 0, "encoding": "PCMU", "clock_rate": 8000, "ptime_ms": 5}"#, "10 to 60, not 5"),
            (r#"{"payload_type": 0, "encoding": "PCMU", "clock_rate": 8000, "bitrate": 9000}"#, "only opus"),
            (
                r#"{"payload_type": 96, "encoding": "opus", "clock_rate": 48000, "channels": 2, "bitrate": 5999}"#,
                "6000 to 510000 bit/s, not 5999",
            ),
            ("7", "a codec"),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.contains(word), "{json}: {error}");
        }
    }
}
