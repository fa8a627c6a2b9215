//! `a=rtpmap` and the static payload types.

/// What a payload type of a media section means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The number in RTP headers, 0 to 127.
    pub payload_type: u8,
    /// The encoding name: `PCMU`, `opus`, `telephone-event`.
    pub encoding: String,
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// Channels; 1 where the rtpmap gives none.
    pub channels: u8,
    /// What `a=fmtp` says of it, without the number (RFC 8866 6.15).
    pub fmtp: Option<String>,
}

/// Static payload types: number, name, clock rate, channels (RFC 3551 6).
const STATIC: [(u8, &str, u32, u8); 24] = [
    (0, "PCMU", 8000, 1),
    (3, "GSM", 8000, 1),
    (4, "G723", 8000, 1),
    (5, "DVI4", 8000, 1),
    (6, "DVI4", 16_000, 1),
    (7, "LPC", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (10, "L16", 44_100, 2),
    (11, "L16", 44_100, 1),
    (12, "QCELP", 8000, 1),
    (13, "CN", 8000, 1),
    (14, "MPA", 90_000, 1),
    (15, "G728", 8000, 1),
    (16, "DVI4", 11_025, 1),
    (17, "DVI4", 22_050, 1),
    (18, "G729", 8000, 1),
    (25, "CelB", 90_000, 1),
    (26, "JPEG", 90_000, 1),
    (28, "nv", 90_000, 1),
    (31, "H261", 90_000, 1),
    (32, "MPV", 90_000, 1),
    (33, "MP2T", 90_000, 1),
    (34, "H263", 90_000, 1),
];

impl Codec {
    /// The codec of a static payload type.
    #[must_use]
    pub fn of_static(payload_type: u8) -> Option<Self> {
        let &(payload_type, encoding, clock_rate, channels) =
            STATIC.iter().find(|(number, ..)| *number == payload_type)?;
        Some(Self { payload_type, encoding: encoding.to_owned(), clock_rate, channels, fmtp: None })
    }

    /// The static payload type of this format, if it has one.
    #[must_use]
    pub fn static_payload_type(encoding: &str, clock_rate: u32, channels: u8) -> Option<u8> {
        let is = |&&(_, name, rate, count): &&(u8, &str, u32, u8)| {
            name.eq_ignore_ascii_case(encoding) && (rate, count) == (clock_rate, channels)
        };
        STATIC.iter().find(is).map(|(number, ..)| *number)
    }

    /// Whether its packets are RFC 4733 events.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("telephone-event")
    }

    /// The value of an `a=rtpmap` line: `96 opus/48000/2`.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (number, format) = value.split_once(char::is_whitespace)?;
        let mut parts = format.trim().split('/');
        let encoding = parts.next().filter(|name| !name.is_empty())?;
        let clock_rate = parts.next()?.trim().parse().ok()?;
        let channels = parts.next().and_then(|channels| channels.trim().parse().ok()).unwrap_or(1);
        let payload_type = number.parse().ok().filter(|number| *number < 128)?;
        Some(Self { payload_type, encoding: encoding.to_owned(), clock_rate, channels, fmtp: None })
    }

    /// The same, written.
    #[must_use]
    pub fn rtpmap(&self) -> String {
        let Self { payload_type, encoding, clock_rate, channels, fmtp: _ } = self;
        match channels {
            1 => format!("{payload_type} {encoding}/{clock_rate}"),
            _ => format!("{payload_type} {encoding}/{clock_rate}/{channels}"),
        }
    }
}
