//! How a party is sent a format that is encoded for it.

/// How a party is sent a format, where that is encoded for it: what is relayed comes as it was sent. The engine hands it on to whoever
/// encodes, as a codec's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// In [`BITRATE_STEP`]; 0: as is usual.
    bitrate: u16,
    /// 0: nobody has asked.
    ptime_ms: u8,
    is_exact: bool,
}

/// Bit rates are kept in steps of so many bit/s.
const BITRATE_STEP: u32 = 100;

/// The packet time where nobody asks for one, in milliseconds (RFC 3551 4.2).
const USUAL_MS: u8 = 20;

impl Sending {
    /// The longest packet that anybody is sent who does not hear what another one sends.
    pub(crate) const PACKET_MS_MAX: u8 = 60;

    /// In packets of so many milliseconds (`a=ptime`, RFC 8866 6.4), or the nearest that the codec has; 0: as is usual.
    #[must_use]
    pub const fn with_ptime(self, ptime_ms: u8) -> Self {
        Self { ptime_ms, ..self }
    }

    /// What the party's source sends in other packets than the party is to be sent is encoded anew, even if the two share the format. Of
    /// `telephone-event`: with a party that has none keys are converted between events and tones, even if the two share a format.
    #[must_use]
    pub const fn exactly(self) -> Self {
        Self { is_exact: true, ..self }
    }

    /// With so many bit/s, in steps of 100; 0: as is usual.
    #[must_use]
    pub const fn with_bitrate(self, bitrate: u32) -> Self {
        let steps = bitrate / BITRATE_STEP;
        Self { bitrate: if steps > u16::MAX as u32 { u16::MAX } else { steps as u16 }, ..self }
    }

    /// The packet time that was asked for, in milliseconds; 0: none was.
    #[must_use]
    pub const fn ptime_ms(self) -> u8 {
        self.ptime_ms
    }

    /// See [`Sending::exactly`].
    #[must_use]
    pub const fn is_exact(self) -> bool {
        self.is_exact
    }

    /// Bits a second; `None`: as is usual.
    #[must_use]
    pub const fn bitrate(self) -> Option<u32> {
        if self.bitrate == 0 { None } else { Some(self.bitrate as u32 * BITRATE_STEP) }
    }

    /// Whether what a party with `source` sends has to be encoded anew to come as this says. Parties are taken to send such packets as
    /// they want to be sent.
    pub(crate) const fn repacks(self, source: Self) -> bool {
        self.is_exact && self.packet_ms() != source.packet_ms()
    }

    const fn packet_ms(self) -> u8 {
        if self.ptime_ms == 0 { USUAL_MS } else { self.ptime_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;

    #[test]
    fn it_takes_no_room() {
        // Lists of codecs are many.
        assert_eq!((size_of::<Sending>(), size_of::<Codec>()), (4, 48));
    }

    #[test]
    fn what_was_said_is_given_back() {
        let sending = Sending::default().with_ptime(40).with_bitrate(16_050).exactly();
        assert_eq!((sending.ptime_ms(), sending.bitrate(), sending.is_exact()), (40, Some(16_000), true));
        assert_eq!(Sending::default().bitrate(), None);
        assert_eq!(Sending::default().with_bitrate(u32::MAX).bitrate(), Some(6_553_500));
    }

    #[test]
    fn packets_are_cut_anew_only_where_that_is_asked_for_and_they_differ() {
        let (usual, forty) = (Sending::default(), Sending::default().with_ptime(40));
        assert!(forty.exactly().repacks(usual) && usual.exactly().repacks(forty));
        assert!(!forty.repacks(usual) && !forty.exactly().repacks(forty));
        assert!(!usual.exactly().repacks(usual.with_ptime(20)));
    }
}
