//! What bytes of audio are: by themselves, by a file's extension, by a content type.

use std::path::Path;

use super::raw::Raw;
use crate::g711::Law;

/// A format of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A WAV file.
    Wav,
    /// Opus in Ogg (RFC 7845).
    OggOpus,
    /// Samples without a header.
    Raw(Raw),
}

/// A content type that says nothing that is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It is none of audio that is read.
    #[error(
        "content type {0:?} is not read: give audio/wav, audio/ogg, audio/PCMU, audio/PCMA, audio/G722 or audio/L16;rate=8000, or \
         application/octet-stream for WAV and Ogg/Opus"
    )]
    Unknown(String),
    /// A parameter has a value that is not read.
    #[error("content type {0:?}: {1}")]
    Parameter(String, &'static str),
}

impl Format {
    /// What bytes are by the first of them: a header says it.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.first_chunk()? {
            b"RIFF" => Some(Self::Wav),
            b"OggS" => Some(Self::OggOpus),
            _ => None,
        }
    }

    /// What a file is said to be by its extension: `.wav`; `.opus`, `.ogg`, `.oga`; `.ulaw`, `.ul`, `.mulaw`, `.pcmu`; `.alaw`, `.al`,
    /// `.pcma`; `.g722`; `.l16` (8 kHz, network order); and Asterisk's `.sln` (8 kHz, little-endian), `.sln12` to `.sln192`.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "wav" | "wave" => Self::Wav,
            "opus" | "ogg" | "oga" => Self::OggOpus,
            "ulaw" | "ul" | "mulaw" | "pcmu" => Self::Raw(Raw::G711(Law::Mu)),
            "alaw" | "al" | "pcma" => Self::Raw(Raw::G711(Law::A)),
            "g722" => Self::Raw(Raw::G722),
            "l16" => Self::Raw(Raw::Linear { sample_rate: 8000, channels: 1, big_endian: true }),
            other => {
                let sample_rate = match other.strip_prefix("sln")? {
                    "" => 8000,
                    "12" => 12_000,
                    "16" => 16_000,
                    "24" => 24_000,
                    "32" => 32_000,
                    "44" => 44_100,
                    "48" => 48_000,
                    "96" => 96_000,
                    "192" => 192_000,
                    _ => return None,
                };
                Self::Raw(Raw::Linear { sample_rate, channels: 1, big_endian: false })
            }
        })
    }

    /// The content type that says this; `None`: none does.
    #[must_use]
    pub fn content_type(self) -> Option<String> {
        Some(match self {
            Self::Wav => "audio/wav".to_owned(),
            Self::OggOpus => "audio/ogg".to_owned(),
            Self::Raw(Raw::G711(Law::Mu)) => "audio/PCMU".to_owned(),
            Self::Raw(Raw::G711(Law::A)) => "audio/PCMA".to_owned(),
            Self::Raw(Raw::G722) => "audio/G722".to_owned(),
            Self::Raw(Raw::Linear { sample_rate, channels, big_endian: true }) => {
                format!("audio/L16;rate={sample_rate};channels={channels}")
            }
            Self::Raw(Raw::Linear { big_endian: false, .. }) => return None,
        })
    }

    /// What a content type says (RFC 9110 8.3): `audio/wav`, `audio/ogg`, `audio/PCMU` and `audio/PCMA` (RFC 4856), `audio/basic` (RFC 2046
    /// 4.3), `audio/G722`, `audio/L16` with `rate` and `channels` (RFC 2586). `None`: it says nothing, as `application/octet-stream`.
    ///
    /// # Errors
    /// It says something that is not read.
    pub fn of_content_type(content_type: &str) -> Result<Option<Self>, FormatError> {
        let mut parts = content_type.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut rate, mut channels) = (None, None);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "rate" => rate = Some(value.parse::<u32>().ok()),
                "channels" => channels = Some(value.parse::<u8>().ok()),
                _ => {}
            }
        }
        let wrong = |why| FormatError::Parameter(content_type.to_owned(), why);
        let telephone = |raw| match (rate.unwrap_or(Some(8000)), channels.unwrap_or(Some(1))) {
            (Some(8000), Some(1)) => Ok(Some(Self::Raw(raw))),
            _ => Err(wrong("its rate is 8000, and it has one channel")),
        };
        match essence.as_str() {
            "" | "application/octet-stream" | "binary/octet-stream" | "application/x-www-form-urlencoded" => Ok(None),
            "audio/wav" | "audio/wave" | "audio/x-wav" | "audio/vnd.wave" => Ok(Some(Self::Wav)),
            "audio/ogg" | "audio/opus" | "application/ogg" => Ok(Some(Self::OggOpus)),
            "audio/pcmu" | "audio/basic" => telephone(Raw::G711(Law::Mu)),
            "audio/pcma" => telephone(Raw::G711(Law::A)),
            "audio/g722" => telephone(Raw::G722),
            "audio/l16" => {
                let sample_rate =
                    rate.flatten().ok_or_else(|| wrong("it needs a rate, such as rate=8000 (RFC 2586)"))?;
                let one_or_two = channels.unwrap_or(Some(1)).filter(|channels| (1..=2).contains(channels));
                let channels = one_or_two.ok_or_else(|| wrong("one or two channels are read"))?;
                Ok(Some(Self::Raw(Raw::Linear { sample_rate, channels, big_endian: true })))
            }
            _ => Err(FormatError::Unknown(content_type.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_read_in_any_case() {
        let of = |name: &str| Format::of_path(Path::new(name));
        assert_eq!(of("a/b.WAV"), Some(Format::Wav));
        assert_eq!(of("b.x.opus"), Some(Format::OggOpus));
        assert_eq!(of("b.ulaw"), Some(Format::Raw(Raw::G711(Law::Mu))));
        let linear = |sample_rate, big_endian| Format::Raw(Raw::Linear { sample_rate, channels: 1, big_endian });
        assert_eq!(of("b.sln"), Some(linear(8000, false)));
        assert_eq!(of("b.sln44"), Some(linear(44_100, false)));
        assert_eq!(of("b.l16"), Some(linear(8000, true)));
        for unknown in ["b.mp3", "b", ".wav", "b.sln7", "b.raw"] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn content_types_say_what_they_are_read_as() {
        for name in ["a.wav", "a.opus", "a.ulaw", "a.alaw", "a.g722", "a.l16", "a.sln16"] {
            let format = Format::of_path(Path::new(name)).expect(name);
            let read = format.content_type().map(|content_type| Format::of_content_type(&content_type));
            assert_eq!(read, (name != "a.sln16").then_some(Ok(Some(format))), "{name}");
        }
    }

    #[test]
    fn content_types_are_read_with_their_parameters() {
        let of = Format::of_content_type;
        assert_eq!(of("Audio/WAV"), Ok(Some(Format::Wav)));
        assert_eq!(of("audio/ogg; codecs=opus"), Ok(Some(Format::OggOpus)));
        assert_eq!(of("audio/pcma;rate=8000"), Ok(Some(Format::Raw(Raw::G711(Law::A)))));
        let linear = Raw::Linear { sample_rate: 44_100, channels: 2, big_endian: true };
        assert_eq!(of("audio/L16 ; channels=2 ; rate=\"44100\""), Ok(Some(Format::Raw(linear))));
        assert_eq!(of("application/octet-stream"), Ok(None));
        assert_eq!(of(""), Ok(None));
        for (content_type, says) in [
            ("audio/mpeg", "is not read"),
            ("audio/L16", "needs a rate"),
            ("audio/L16;rate=fast", "needs a rate"),
            ("audio/L16;rate=8000;channels=6", "one or two channels"),
            ("audio/PCMU;rate=16000", "its rate is 8000"),
            ("text/html", "is not read"),
        ] {
            let error = of(content_type).expect_err(content_type).to_string();
            assert!(error.contains(says) && error.contains(content_type), "{error}");
        }
    }
}
