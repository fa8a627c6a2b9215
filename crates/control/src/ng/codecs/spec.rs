//! Codecs as the option `codec` names them.

use patchcord_codec::codec::OPUS_BITRATES;
use patchcord_relay::media::{Codec, EncodingName, Fmtp, Sending};
use patchcord_rtp::PayloadType;

/// `opus`, `opus/48000/2`, or `opus/48000/2/BITRATE/PTIME/FMTP/MORE`. What is more says how to encode in the words of another
/// implementation; nothing here asks for it, but for a bit rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec<'a> {
    pub(super) name: &'a str,
    /// Clock rate and channels, where they are given.
    rate: Option<(u32, u8)>,
    fmtp: Option<Fmtp>,
    /// How it is to be encoded, as it stands there.
    bitrate: Option<&'a str>,
    ptime: Option<&'a str>,
}

/// How a format is to be encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Encoding {
    /// In bit/s; `None`: as is usual.
    pub(super) bitrate: Option<u32>,
    /// The packet time in milliseconds.
    pub(super) ptime_ms: Option<u8>,
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
        let mut given = || parts.next().map(str::trim).filter(|part| !part.is_empty());
        let (bitrate, ptime, fmtp, more) = (given(), given(), given(), given());
        // Some write it as an option.
        let named = [fmtp, more].into_iter().flatten().find_map(|options| items(options).find_map(bitrate_of));
        // An equals sign may be written as two hyphens, where it would mean something else.
        let fmtp = fmtp.map(|fmtp| {
            let kept: Vec<&str> = fmtp.split(';').filter(|item| bitrate_of(item).is_none()).collect();
            kept.join(";").replace("--", "=")
        });
        let fmtp = fmtp.filter(|fmtp| !fmtp.trim().is_empty() && !fmtp.chars().any(char::is_control));
        Some(Self { name, rate, fmtp: fmtp.as_deref().map(Into::into), bitrate: bitrate.or(named), ptime })
    }

    /// Clock rate and channels, where they are given.
    pub(super) const fn rate(&self) -> Option<(u32, u8)> {
        self.rate
    }

    /// Whether it means this format: all of a name, or those with the same clock rate and channels.
    pub(super) fn is(&self, codec: &Codec) -> bool {
        let same_rate = self.rate.is_none_or(|rate| rate == (codec.clock_rate, codec.channels));
        same_rate && codec.encoding.eq_ignore_ascii_case(self.name)
    }

    /// How it asks this format to be encoded, brought within what there is.
    pub(super) fn encoding(&self) -> Result<Encoding, String> {
        let number = |text: Option<&str>, what: &str| match text.map(str::parse::<u32>) {
            // 0 is the usual one, as if it were not there.
            None | Some(Ok(0)) => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => {
                let text = text.unwrap_or_default();
                Err(format!("codec {}: the {what} {text:?} is no number", self.name))
            }
        };
        let bitrate = number(self.bitrate, "bit rate")?;
        let ptime = number(self.ptime, "packet time")?;
        let is_opus = self.name.eq_ignore_ascii_case("opus");
        let bitrate = bitrate.filter(|_| is_opus);
        let bitrate = bitrate.map(|bits| bits.clamp(*OPUS_BITRATES.start(), *OPUS_BITRATES.end()));
        let ptime = ptime.map(super::super::packing::within);
        Ok(Encoding { bitrate, ptime_ms: ptime })
    }

    /// Whether it names something that belongs to other formats.
    pub(super) fn is_auxiliary(&self) -> bool {
        self.is_events() || self.name.eq_ignore_ascii_case("CN")
    }

    /// Whether it names key presses.
    pub(super) fn is_events(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    /// Key presses beside audio of this clock rate, where no other one is given (RFC 4733 2.1); their number is open.
    pub(super) fn to_events(&self, audio_clock_rate: u32) -> Option<Codec> {
        let (clock_rate, channels) = self.rate.unwrap_or((audio_clock_rate, 1));
        Some(Codec {
            payload_type: PayloadType::default(),
            encoding: EncodingName::new("telephone-event")?,
            clock_rate,
            channels,
            // All keys, and nothing else: RFC 4733 7.1.1.
            fmtp: Some(self.fmtp.clone().unwrap_or_else(|| "0-15".into())),
            sending: Sending::default(),
        })
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
            sending: Sending::default(),
        })
    }
}

/// Options as they stand one after the other.
fn items(options: &str) -> impl Iterator<Item = &str> {
    options.split([';', ',', ':', ' '])
}

/// `bitrate=16000`, `bitrate--16000`.
fn bitrate_of(item: &str) -> Option<&str> {
    let value = item.trim().strip_prefix("bitrate")?;
    value.strip_prefix('=').or_else(|| value.strip_prefix("--")).map(str::trim)
}
