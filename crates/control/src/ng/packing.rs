//! Packet times and bit rates: what parties say of them, what the proxy asks for, and what both legs are told.

use patchcord_codec::codec::{PTIME_USUAL_MS, sent_ms};
use patchcord_relay::media::{Codec, Sending};

use super::formats::LegFormats;
use super::media::{Described, Exchange, Phase};
use super::session::Media;

/// What is known of the packets that a party is to be sent, in milliseconds; 0: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packets {
    /// `a=ptime` of its own SDP (RFC 8866 6.4).
    said: u16,
    /// `a=maxptime` of it.
    max: u16,
    /// What the proxy has asked for, whatever the party says.
    wanted: u8,
}

impl Packets {
    /// Its SDP says this.
    pub(super) fn say(&mut self, ptime_ms: Option<u32>, maxptime_ms: Option<u32>) {
        let short = |ms: Option<u32>| u16::try_from(ms.unwrap_or(0)).unwrap_or(0);
        (self.said, self.max) = (short(ptime_ms), short(maxptime_ms));
    }

    /// `a=ptime` of its own SDP.
    pub(super) const fn said(self) -> Option<u32> {
        if self.said == 0 { None } else { Some(self.said as u32) }
    }

    /// Whether it is to be sent such packets even if they have to be cut anew.
    pub(super) const fn is_wanted(self) -> bool {
        self.wanted != 0
    }
}

/// The packet time that is sent in place of this one, in milliseconds.
pub(super) fn within(ms: u32) -> u8 {
    sent_ms(ms) as u8
}

impl Exchange<'_, '_> {
    /// Notes what the SDP and the proxy say of a media's packets. What the proxy says counts from offer to offer.
    pub(super) fn note_packets(&mut self, index: usize, line: &Described) {
        self.media(self.from, index).packets.say(line.ptime_ms, line.maxptime_ms);
        if self.phase == Phase::Answer {
            return;
        }
        let is_audio = line.kind == "audio";
        let settings = self.settings.filter(|_| is_audio).cloned();
        for (party, wanted) in [(self.to, self.options.ptime_ms), (self.from, self.options.ptime_reverse_ms)] {
            let wanted = wanted.filter(|&ms| is_audio && ms > 0).map_or(0, within);
            let media = self.media(party, index);
            media.packets.wanted = wanted;
            media.settings.clone_from(&settings);
        }
    }

    /// Whether the proxy has asked for packets of a length: both sides are sent theirs then.
    pub(super) fn is_repacked(&mut self, index: usize) -> bool {
        [self.from, self.to].into_iter().any(|party| self.media(party, index).packets.is_wanted())
    }

    /// Has both legs' formats sent as their parties, or the proxy, want them.
    pub(super) fn pack(&mut self, index: usize, formats: &mut LegFormats) {
        let is_exact = self.is_repacked(index);
        for (party, codecs) in [(self.from, &mut formats.own), (self.to, &mut formats.others)] {
            let media = self.media(party, index);
            for codec in codecs.iter_mut().filter(|codec| codec.carries_media()) {
                let sending = media.sending(codec);
                codec.sending = if is_exact { sending.exactly() } else { sending };
            }
        }
    }
}

impl Media {
    /// How the party is to be sent a format.
    pub(super) fn sending(&self, codec: &Codec) -> Sending {
        let Packets { said, max, wanted } = self.packets;
        let settings = self.settings.as_deref();
        let asked = match (wanted, settings.and_then(|settings| settings.ptime_ms(codec))) {
            (0, Some(set)) => set,
            (0, None) if said != 0 => within(said.into()),
            (0, None) => PTIME_USUAL_MS as u8,
            (wanted, _) => wanted,
        };
        let ptime_ms = if max == 0 { asked } else { asked.min(within(max.into())) };
        // As usual, it says nothing: lists of formats that mean the same are the same.
        let ptime_ms = if u32::from(ptime_ms) == PTIME_USUAL_MS { 0 } else { ptime_ms };
        let sending = Sending::default().with_ptime(ptime_ms);
        settings.map_or(sending, |settings| settings.with_bitrate(codec, sending))
    }

    /// These formats as the party is to be sent them.
    pub(super) fn packed(&self, codecs: &[Codec]) -> Vec<Codec> {
        codecs.iter().map(|codec| Codec { sending: self.sending(codec), ..codec.clone() }).collect()
    }

    /// The packet time that the party is sent what is encoded for it in, in milliseconds; `None`: nothing can be.
    fn packet_ms(&self) -> Option<u32> {
        let packet_ms = |codec: &Codec| {
            let fmtp = codec.fmtp.as_deref();
            let known = patchcord_codec::Codec::of(&codec.encoding, codec.clock_rate, codec.channels, fmtp).ok()?;
            Some(known.packet_ms(self.sending(codec).ptime_ms().into()))
        };
        self.leg.as_ref()?.codecs.iter().find_map(packet_ms)
    }

    /// `a=ptime` for the party, where the SDP for it is made of one with `author_ms`: what it is sent where the relay cuts packets, else what
    /// that says, and in an answer what the party has said itself if that says nothing.
    pub(super) fn told_ptime(&self, phase: Phase, author_ms: Option<u32>) -> Option<u32> {
        let said = self.packets.said().filter(|_| phase == Phase::Answer);
        let passed = author_ms.or(said);
        let is_cut = self.packets.is_wanted() || phase == Phase::Answer && self.transcodes && passed.is_some();
        if is_cut { self.packet_ms().or(passed) } else { passed }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use patchcord_ng::options::Codecs;
    use patchcord_relay::media::EncodingName;
    use patchcord_rtp::PayloadType;

    use super::super::codecs::Settings;
    use super::*;

    fn codec(encoding: &str, clock_rate: u32, channels: u8) -> Codec {
        Codec {
            payload_type: PayloadType::default(),
            encoding: EncodingName::new(encoding).expect("a short name"),
            clock_rate,
            channels,
            fmtp: None,
            sending: Sending::default(),
        }
    }

    #[test]
    fn the_proxy_goes_before_the_party_and_its_greatest_time_before_both() {
        let pcmu = codec("PCMU", 8000, 1);
        for (said, max, wanted, ptime_ms) in [
            (0, 0, 0, 0),
            (20, 0, 0, 0),
            (30, 0, 0, 30),
            (33, 0, 0, 30),
            (200, 0, 0, 60),
            (5, 0, 0, 10),
            (30, 0, 40, 40),
            (30, 20, 40, 0),
            (0, 10, 0, 10),
            (40, 35, 0, 30),
        ] {
            let media = Media { packets: Packets { said, max, wanted }, ..Media::default() };
            assert_eq!(media.sending(&pcmu).ptime_ms(), ptime_ms, "{said} {max} {wanted}");
        }
    }

    #[test]
    fn what_is_set_for_a_codec_is_of_that_codec() {
        let set = ["opus/48000/2/16000/40", "PCMU/8000/1//60", "G722/8000/1/48000"].map(str::to_owned).to_vec();
        let settings = Settings::read(&Codecs { set, ..Codecs::default() }).expect("all are numbers");
        let media = Media { settings: settings.map(Arc::new), ..Media::default() };
        let of = |encoding, clock_rate, channels| {
            let sending = media.sending(&codec(encoding, clock_rate, channels));
            (sending.ptime_ms(), sending.bitrate())
        };
        assert_eq!(of("opus", 48_000, 2), (40, Some(16_000)));
        assert_eq!(of("PCMU", 8000, 1), (60, None));
        // It has one bit rate.
        assert_eq!(of("G722", 8000, 1), (0, None));
        assert_eq!(of("PCMA", 8000, 1), (0, None));
    }

    #[test]
    fn bit_rates_are_read_in_every_spelling_and_brought_into_range() {
        let bitrate = |text: &str| {
            let set = vec![text.to_owned()];
            let settings = Settings::read(&Codecs { set, ..Codecs::default() })?;
            let opus = codec("opus", 48_000, 2);
            Ok(settings.and_then(|settings| settings.with_bitrate(&opus, Sending::default()).bitrate()))
        };
        for text in
            ["opus/48000/2/16000", "opus/48000/2///bitrate=16000", "opus/48000/2////bitrate--16000", "opus///16000"]
        {
            assert_eq!(bitrate(text), Ok(Some(16_000)), "{text}");
        }
        assert_eq!(bitrate("opus/48000/2/1"), Ok(Some(6000)));
        assert_eq!(bitrate("opus/48000/2/9999999"), Ok(Some(510_000)));
        assert_eq!(bitrate("opus/48000/2/0"), Ok(None));
        assert_eq!(bitrate("opus/48000/1/16000"), Ok(None), "another format");
        assert_eq!(bitrate("opus/48000/2/fast"), Err("codec opus: the bit rate \"fast\" is no number".to_owned()));
        assert_eq!(bitrate("opus/48000/2//x"), Err("codec opus: the packet time \"x\" is no number".to_owned()));
    }
}
