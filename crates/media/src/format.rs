//! What payload types stand for.

use patchcord_codec::Codec;
use patchcord_rtp::PayloadType;

/// RFC 3551 table 4: comfort noise at 8000 Hz. It is often sent unannounced.
const COMFORT_NOISE: u8 = 13;
const COMFORT_NOISE_CLOCK_RATE: u32 = 8000;

/// A payload type and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The number.
    pub payload_type: PayloadType,
    /// What it stands for.
    pub meaning: Meaning,
    /// The packet time that the party would like to be sent, in milliseconds, where this is encoded for it; 0: it does not say. See
    /// [`Codec::packet_ms`].
    pub ptime_ms: u32,
    /// Bits a second that are to be spent on it then, where the codec has the choice; `None`: as is usual.
    pub bitrate: Option<u32>,
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Audio that can be decoded and encoded.
    Audio(Codec),
    /// Keys and other events (RFC 4733).
    TelephoneEvent {
        /// Units of timestamp and duration a second.
        clock_rate: u32,
    },
    /// What silence sounds like (RFC 3389).
    ComfortNoise {
        /// Units of the timestamp a second.
        clock_rate: u32,
    },
    /// Nothing that can be made into something else.
    Other,
}

impl Format {
    /// The format of SDP's `a=rtpmap:N ENCODING/CLOCK_RATE/CHANNELS` and `a=fmtp:N FMTP`, the encoding in any case.
    #[must_use]
    pub fn of(payload_type: PayloadType, encoding: &str, clock_rate: u32, channels: u8, fmtp: Option<&str>) -> Self {
        let is = |name: &str| encoding.eq_ignore_ascii_case(name) && clock_rate > 0;
        let meaning = if is("telephone-event") {
            Meaning::TelephoneEvent { clock_rate }
        } else if is("CN") {
            Meaning::ComfortNoise { clock_rate }
        } else {
            Codec::of(encoding, clock_rate, channels, fmtp).map_or(Meaning::Other, Meaning::Audio)
        };
        Self { payload_type, meaning, ptime_ms: 0, bitrate: None }
    }

    /// What a listener of these formats is sent: its first audio.
    pub(crate) fn spoken(formats: &[Self]) -> Option<(&Self, Codec)> {
        formats.iter().find_map(|format| Some((format, format.meaning.audio()?)))
    }

    /// The same, as it is to be encoded: [`Format::ptime_ms`] and [`Format::bitrate`].
    #[must_use]
    pub const fn encoded(self, ptime_ms: u32, bitrate: Option<u32>) -> Self {
        Self { ptime_ms, bitrate, ..self }
    }
}

impl Meaning {
    /// What the payload type stands for with a party of these formats.
    pub(crate) fn of(payload_type: PayloadType, formats: &[Format]) -> Self {
        let known = formats.iter().find(|format| format.payload_type == payload_type);
        match known {
            Some(format) => format.meaning,
            None if payload_type.get() == COMFORT_NOISE => Self::ComfortNoise { clock_rate: COMFORT_NOISE_CLOCK_RATE },
            None => Self::Other,
        }
    }

    pub(crate) const fn audio(&self) -> Option<Codec> {
        match self {
            Self::Audio(codec) => Some(*codec),
            _ => None,
        }
    }
}

/// Whether a [`Transcoder`](crate::Transcoder) decodes and encodes this format: two parties can hear each other if both have one.
#[must_use]
pub fn is_transcodable(encoding: &str, clock_rate: u32, channels: u8) -> bool {
    Codec::of(encoding, clock_rate, channels, None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(encoding: &str, clock_rate: u32, channels: u8) -> Meaning {
        Format::of(PayloadType::default(), encoding, clock_rate, channels, None).meaning
    }

    #[test]
    fn names_of_sdp_have_their_meaning() {
        assert_eq!(meaning("g722", 8000, 1), Meaning::Audio(Codec::G722));
        assert_eq!(meaning("Telephone-Event", 48_000, 1), Meaning::TelephoneEvent { clock_rate: 48_000 });
        assert_eq!(meaning("cn", 8000, 1), Meaning::ComfortNoise { clock_rate: 8000 });
        assert_eq!(meaning("telephone-event", 0, 1), Meaning::Other);
        assert_eq!(meaning("G729", 8000, 1), Meaning::Other);
        assert!(is_transcodable("opus", 48_000, 2) && is_transcodable("pcmu", 8000, 1));
        assert!(!is_transcodable("opus", 48_000, 1) && !is_transcodable("CN", 8000, 1));
    }

    #[test]
    fn comfort_noise_is_known_unannounced_unless_its_number_is_taken() {
        let number = PayloadType::new(13).expect("7 bits");
        assert_eq!(Meaning::of(number, &[]), Meaning::ComfortNoise { clock_rate: 8000 });
        let taken = Format { payload_type: number, meaning: Meaning::Other, ptime_ms: 0, bitrate: None };
        assert_eq!(Meaning::of(number, &[taken]), Meaning::Other);
    }
}
