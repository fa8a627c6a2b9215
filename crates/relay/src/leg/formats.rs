//! Payload types of a source, translated into those of a listener.

use patchcord_rtp::PayloadType;

use crate::media::{Codec, Frames};

/// No payload type.
const NONE: u8 = 0xff;
/// The listener does not have the format, and hears it transcoded.
const CONVERTED: u8 = 0xfe;

/// One entry for each of a source's 128 payload types: what the listener calls it, that it is transcoded for it, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct PayloadTypeMap([u8; 128]);

impl PayloadTypeMap {
    /// Everything keeps its number.
    pub(crate) fn identity() -> Self {
        Self(core::array::from_fn(|index| index as u8))
    }

    /// Same format, the listener's number. A number that neither list has (comfort noise is often sent unannounced)
    /// passes as it is; one that the listener uses for something else does not: RFC 3264 8.3.2 forbids that a payload
    /// type changes its meaning.
    pub(crate) fn between(source: &[Codec], sink: &[Codec]) -> Self {
        if source.is_empty() || sink.is_empty() {
            return Self::identity();
        }
        Self(core::array::from_fn(|index| {
            let number = index as u8;
            let known = source.iter().find(|codec| codec.payload_type.get() == number);
            match known {
                // The same number first: a list may name one format twice.
                Some(codec) => sink
                    .iter()
                    .filter(|wanted| wanted.same_format(codec))
                    .min_by_key(|wanted| wanted.payload_type.get() != number)
                    .map_or(NONE, |wanted| wanted.payload_type.get()),
                None if sink.iter().any(|codec| codec.payload_type.get() == number) => NONE,
                None => number,
            }
        }))
    }

    /// Nothing is relayed as it is.
    pub(crate) const fn nothing() -> Self {
        Self([NONE; 128])
    }

    /// What is not relayed is transcoded, of the formats that `can` be.
    pub(crate) fn converting(mut self, source: &[Codec], can: impl Fn(&Codec) -> bool) -> Self {
        for codec in source.iter().filter(|codec| can(codec)) {
            let entry = &mut self.0[usize::from(codec.payload_type.get() & 0x7f)];
            if *entry == NONE {
                *entry = CONVERTED;
            }
        }
        self
    }

    /// Whether this is transcoded.
    pub(crate) fn converts(&self, payload_type: PayloadType) -> bool {
        self.0[usize::from(payload_type.get() & 0x7f)] == CONVERTED
    }

    /// Whether anything is transcoded.
    pub(crate) fn converts_any(&self) -> bool {
        self.0.contains(&CONVERTED)
    }

    pub(crate) fn is_identity(&self) -> bool {
        self.0.iter().enumerate().all(|(index, &number)| usize::from(number) == index)
    }

    #[inline]
    pub(crate) fn get(&self, payload_type: PayloadType) -> Option<PayloadType> {
        PayloadType::new(self.0[usize::from(payload_type.get() & 0x7f)])
    }
}

/// Whether `sink` can hear `source` without transcoding: they share a format that carries media, not events alone.
pub(crate) fn share_a_format(source: &[Codec], sink: &[Codec]) -> bool {
    source.is_empty()
        || sink.is_empty()
        || source
            .iter()
            .filter(|codec| codec.carries_media())
            .any(|codec| sink.iter().any(|wanted| wanted.same_format(codec)))
}

/// The payload type that `codecs` has for these frames; where there is no list, the static one of RFC 3551.
pub(crate) fn payload_type_for(frames: &Frames, codecs: &[Codec]) -> Option<PayloadType> {
    if codecs.is_empty() {
        let number = match frames.encoding() {
            "PCMU" => 0,
            "PCMA" => 8,
            "G722" => 9,
            _ => return None,
        };
        return PayloadType::new(number);
    }
    codecs.iter().find(|codec| frames.are_in(codec)).map(|codec| codec.payload_type)
}

/// Format names for an error text.
pub(crate) fn list(codecs: &[Codec]) -> String {
    codecs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::EncodingName;

    fn codec(number: u8, encoding: &str) -> Codec {
        Codec {
            payload_type: PayloadType::new(number).expect("below 128"),
            encoding: EncodingName::new(encoding).expect("a short name"),
            clock_rate: 8000,
            channels: 1,
            fmtp: None,
            sending: crate::media::Sending::default(),
        }
    }

    fn mapped(map: &PayloadTypeMap, number: u8) -> Option<u8> {
        map.get(PayloadType::new(number).expect("below 128")).map(PayloadType::get)
    }

    #[test]
    fn formats_keep_their_meaning_and_numbers_follow_the_listener() {
        let source = [codec(0, "PCMU"), codec(101, "telephone-event"), codec(8, "PCMA")];
        let sink = [codec(96, "pcmu"), codec(0, "PCMU"), codec(100, "telephone-event"), codec(102, "iLBC")];
        let map = PayloadTypeMap::between(&source, &sink);
        assert_eq!(mapped(&map, 0), Some(0), "the same number is preferred");
        assert_eq!(mapped(&map, 101), Some(100));
        assert_eq!(mapped(&map, 8), None, "the listener has no PCMA");
        assert_eq!(mapped(&map, 13), Some(13), "comfort noise that nobody announced");
        assert_eq!(mapped(&map, 102), None, "the listener uses the number for something else");
        assert!(!map.is_identity());
        assert!(PayloadTypeMap::between(&source, &source).is_identity());
        assert!(PayloadTypeMap::between(&[], &sink).is_identity());
    }

    #[test]
    fn what_the_listener_has_is_relayed_and_what_can_be_is_transcoded() {
        let source = [codec(0, "PCMU"), codec(8, "PCMA"), codec(18, "G729"), codec(101, "telephone-event")];
        let sink = [codec(96, "PCMA")];
        let plain = PayloadTypeMap::between(&source, &sink);
        assert!(!plain.converts_any());
        let map = plain.converting(&source, |codec| codec.encoding.starts_with("PCM"));
        assert_eq!([0, 8, 18, 101].map(|number| mapped(&map, number)), [None, Some(96), None, None]);
        let converts = |number| map.converts(PayloadType::new(number).expect("below 128"));
        assert_eq!([0, 8, 18, 101].map(converts), [true, false, false, false]);
        assert!(!PayloadTypeMap::nothing().converts_any() && !map.is_identity());
    }

    #[test]
    fn events_alone_are_not_a_common_format() {
        assert!(!share_a_format(
            &[codec(0, "PCMU"), codec(101, "telephone-event")],
            &[codec(8, "PCMA"), codec(101, "telephone-event")]
        ));
        assert!(share_a_format(&[codec(0, "PCMU")], &[codec(96, "PCMU")]));
    }
}
