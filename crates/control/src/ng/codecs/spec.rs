//! Codecs as the option `codec` names them.

use patchcord_relay::media::{Codec, EncodingName, Fmtp};
use patchcord_rtp::PayloadType;

/// `opus`, `opus/48000/2`, or `opus/48000/2/BITRATE/PTIME/FMTP/MORE`. Bit rate, ptime and what else stands behind say how to encode in
/// the words of another implementation; nothing here asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec<'a> {
    pub(super) name: &'a str,
    /// Clock rate and channels, where they are given.
    rate: Option<(u32, u8)>,
    fmtp: Option<Fmtp>,
}

impl<'a> Spec<'a> {
    /// `None`: it is none.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.trim().splitn(7, '/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        // One channel where none are given, as in SDP.
        let rate = match (parts.next().filter(|rate| !rate.is_empty()), parts.next().filter(|count| !count.is_empty()))
        {
            (None, _) => None,
            (Some(rate), channels) => Some((rate.parse().ok()?, channels.map_or(Some(1), |count| count.parse().ok())?)),
        };
        // An equals sign may be written as two hyphens, where it would mean something else.
        let fmtp = parts.nth(2).map(|fmtp| fmtp.trim().replace("--", "="));
        let fmtp = fmtp.filter(|fmtp| !fmtp.is_empty() && !fmtp.chars().any(char::is_control));
        Some(Self { name, rate, fmtp: fmtp.as_deref().map(Into::into) })
    }

    /// Whether it means this format: all of a name, or those with the same clock rate and channels.
    pub(super) fn is(&self, codec: &Codec) -> bool {
        let same_rate = self.rate.is_none_or(|rate| rate == (codec.clock_rate, codec.channels));
        same_rate && codec.encoding.eq_ignore_ascii_case(self.name)
    }

    /// Whether it names something that belongs to other formats, which the relay does not make.
    pub(super) fn is_auxiliary(&self) -> bool {
        ["telephone-event", "CN"].iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// The format to transcode to; its number is open. `None`: the relay does not transcode it, or it has to be named with its clock rate.
    pub(super) fn to_codec(&self) -> Option<Codec> {
        // RFC 7587 7: Opus has two channels at 48 kHz, whatever it carries.
        let usual = if self.name.eq_ignore_ascii_case("opus") { (48_000, 2) } else { (8000, 1) };
        // RFC 3551 4.5.11: L16 has no usual clock rate.
        let unnamed = Some(usual).filter(|_| !self.name.eq_ignore_ascii_case("L16"));
        let (clock_rate, channels) = self.rate.or(unnamed)?;
        let known = patchcord_codec::Codec::of(self.name, clock_rate, channels, None).ok()?;
        Some(Codec {
            payload_type: PayloadType::default(),
            encoding: EncodingName::new(known.encoding())?,
            clock_rate,
            channels,
            fmtp: self.fmtp.clone(),
        })
    }
}
