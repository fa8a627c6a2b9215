//! How formats are to be encoded, where the option `codec` says that.

use patchcord_ng::options::Codecs;
use patchcord_relay::media::{Codec, Sending};

use super::spec::{Encoding, Spec};

/// Of formats of which it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Settings(Vec<Setting>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    name: String,
    /// Clock rate and channels; `None`: all of the name.
    rate: Option<(u32, u8)>,
    encoding: Encoding,
}

impl Settings {
    /// What `set`, `transcode` and `accept` say, if that is anything: the first that fits a format counts.
    ///
    /// # Errors
    /// A bit rate or packet time is no number; the text says which.
    pub(in super::super) fn read(options: &Codecs) -> Result<Option<Self>, String> {
        let mut settings = Vec::new();
        for word in [&options.set, &options.transcode, &options.accept].into_iter().flatten() {
            let Some(spec) = Spec::read(word) else { continue };
            let encoding = spec.encoding()?;
            if encoding != Encoding::default() {
                settings.push(Setting { name: spec.name.to_owned(), rate: spec.rate(), encoding });
            }
        }
        Ok((!settings.is_empty()).then_some(Self(settings)))
    }

    /// The packet time that is set for a format, in milliseconds.
    pub(in super::super) fn ptime_ms(&self, codec: &Codec) -> Option<u8> {
        self.of(codec).find_map(|setting| setting.encoding.ptime_ms)
    }

    /// With the bit rate that is set for a format.
    pub(in super::super) fn with_bitrate(&self, codec: &Codec, sending: Sending) -> Sending {
        let bitrate = self.of(codec).find_map(|setting| setting.encoding.bitrate);
        bitrate.map_or(sending, |bitrate| sending.with_bitrate(bitrate))
    }

    fn of(&self, codec: &Codec) -> impl Iterator<Item = &Setting> {
        let (encoding, rate) = (codec.encoding, (codec.clock_rate, codec.channels));
        let fits = move |setting: &&Setting| {
            encoding.eq_ignore_ascii_case(&setting.name) && setting.rate.is_none_or(|wanted| wanted == rate)
        };
        self.0.iter().filter(fits)
    }
}
