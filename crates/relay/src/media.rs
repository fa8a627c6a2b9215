//! What a leg is told about the media it carries: codecs, direction, and audio encoded ahead of time.

use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use std::sync::Arc;

use arrayvec::ArrayString;
use patchcord_rtp::PayloadType;

pub use crate::sending::Sending;

/// One entry of a leg's codec list, in the words of SDP's `a=rtpmap` (RFC 8866 6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The number this codec has on the leg.
    pub payload_type: PayloadType,
    /// The encoding name, compared without regard to case: `PCMU`, `opus`, `telephone-event`.
    pub encoding: EncodingName,
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// Channels; 1 where the rtpmap gives none.
    pub channels: u8,
    /// Parameters of the format, as behind the number in `a=fmtp` (RFC 8866 6.15). The engine hands them on to whoever
    /// transcodes, and does not read them.
    pub fmtp: Option<Fmtp>,
    /// How the party is sent it, where it is encoded.
    pub sending: Sending,
}

/// A codec's encoding name. It lies in the codec itself: lists of codecs are copied many times on their way from signalling to a
/// leg.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncodingName(ArrayString<{ Self::LEN_MAX }>);

impl EncodingName {
    /// The most bytes of a name: the longest registered one is 1d-interleaved-parityfec.
    pub const LEN_MAX: usize = 24;

    /// `None`: it is too long.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        ArrayString::from(name).ok().map(Self)
    }
}

impl Deref for EncodingName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EncodingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for EncodingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Parameters of a format in the words of SDP, shared by all copies. One pointer wide: lists of codecs are many, and few
/// formats have any.
#[derive(Clone, PartialEq, Eq)]
pub struct Fmtp(Arc<String>);

impl From<&str> for Fmtp {
    fn from(parameters: &str) -> Self {
        Self(Arc::new(parameters.to_owned()))
    }
}

impl Deref for Fmtp {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Fmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Codec {
    /// Whether both describe the same format, whatever payload type each gives it.
    #[must_use]
    pub fn same_format(&self, other: &Self) -> bool {
        // Parameters do not count: most say what their author would like to receive (RFC 7587 6.1, RFC 4733 2.4.1), and differ between
        // two parties that understand each other well.
        self.clock_rate == other.clock_rate
            && self.channels == other.channels
            && self.encoding.eq_ignore_ascii_case(&other.encoding)
    }

    /// Whether this is more than events and comfort noise beside other formats.
    #[must_use]
    pub fn carries_media(&self) -> bool {
        !self.is_telephone_event() && !self.encoding.eq_ignore_ascii_case("CN")
    }

    /// Whether this is RFC 4733's `telephone-event`.
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.encoding.eq_ignore_ascii_case("telephone-event")
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.encoding, self.clock_rate)?;
        if self.channels != 1 {
            write!(f, "/{}", self.channels)?;
        }
        write!(f, " as {}", self.payload_type)
    }
}

/// What the party at the far end of a leg may do, seen from that party as in its own SDP (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// It sends and receives.
    #[default]
    SendRecv,
    /// It only sends: the relay sends it nothing.
    SendOnly,
    /// It only receives: what it sends is dropped.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the party may send to the relay.
    #[must_use]
    pub const fn party_sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the party wants to be sent media.
    #[must_use]
    pub const fn party_receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// Audio encoded once, cut into frames, shared by every leg that plays it: a clone is a reference.
///
/// All frames have the same size in time. They lie in one piece or in several ([`Frames::joined`]), and within a piece all have the same
/// size in bytes and lie one after the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Frames(Arc<Encoded>);

#[derive(PartialEq, Eq)]
struct Encoded {
    encoding: String,
    clock_rate: u32,
    ptime_ms: u32,
    /// Two frames one after the other are one of twice the length.
    sample_based: bool,
    /// At least one.
    pieces: Box<[Piece]>,
}

#[derive(Clone, PartialEq, Eq)]
struct Piece {
    /// Frames of this piece and those before it.
    until: u32,
    frame_len: usize,
    bytes: Arc<[u8]>,
}

impl Frames {
    /// The longest frame in time: what the engine's timer wheel can see ahead.
    pub const PTIME_MS_MAX: u32 = 200;
    /// The longest frame in bytes: with its header it fits every path without fragments.
    pub const FRAME_LEN_MAX: usize = 1200;

    /// Frames of `frame_len` bytes and `ptime_ms` milliseconds each. `None` if there is no whole frame in `bytes`, if
    /// a length is zero, or if a frame is longer than [`Frames::PTIME_MS_MAX`] or [`Frames::FRAME_LEN_MAX`].
    #[must_use]
    pub fn new(encoding: &str, clock_rate: u32, ptime_ms: u32, frame_len: usize, bytes: &[u8]) -> Option<Self> {
        let fits = (1..=Self::FRAME_LEN_MAX).contains(&frame_len) && (1..=Self::PTIME_MS_MAX).contains(&ptime_ms);
        if !fits || clock_rate == 0 || bytes.len() < frame_len {
            return None;
        }
        let whole = bytes.len() - bytes.len() % frame_len;
        let encoding = encoding.to_owned();
        let until = u32::try_from(whole / frame_len).ok()?;
        let pieces = Box::new([Piece { until, frame_len, bytes: bytes[..whole].into() }]);
        // RFC 3551 4.3 and 4.5.2.
        let sample_based = ["PCMU", "PCMA", "G722", "L16"].iter().any(|name| encoding.eq_ignore_ascii_case(name));
        Some(Self(Arc::new(Encoded { encoding, clock_rate, ptime_ms, sample_based, pieces })))
    }

    /// All of these, one after the other, without copying any. `None` if there are none, if they are in different formats or of different
    /// packet times, or if they are more frames than can be counted.
    #[must_use]
    pub fn joined(list: &[Self]) -> Option<Self> {
        let first = list.first()?;
        if list.len() == 1 {
            return Some(first.clone());
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for Self(next) in list {
            if (&next.encoding, next.clock_rate, next.ptime_ms)
                != (&first.0.encoding, first.0.clock_rate, first.0.ptime_ms)
            {
                return None;
            }
            let before = pieces.last().map_or(0, |piece| piece.until);
            for piece in &next.pieces {
                pieces.push(Piece { until: before.checked_add(piece.until)?, ..piece.clone() });
            }
        }
        let Encoded { encoding, clock_rate, ptime_ms, sample_based, .. } = &*first.0;
        let (encoding, clock_rate, ptime_ms) = (encoding.clone(), *clock_rate, *ptime_ms);
        Some(Self(Arc::new(Encoded {
            encoding,
            clock_rate,
            ptime_ms,
            sample_based: *sample_based,
            pieces: pieces.into(),
        })))
    }

    /// Encoding name, as in [`Codec::encoding`].
    #[must_use]
    pub fn encoding(&self) -> &str {
        &self.0.encoding
    }

    /// RTP timestamp units a second.
    #[must_use]
    pub fn clock_rate(&self) -> u32 {
        self.0.clock_rate
    }

    /// Whether they are in this format.
    #[must_use]
    pub fn are_in(&self, codec: &Codec) -> bool {
        codec.encoding.eq_ignore_ascii_case(self.encoding())
            && codec.clock_rate == self.clock_rate()
            && codec.channels == self.channels()
    }

    /// Their format, under a payload type that means nothing; `None`: no codec has such a long name.
    #[must_use]
    pub fn format(&self) -> Option<Codec> {
        let (encoding, clock_rate) = (EncodingName::new(self.encoding())?, self.clock_rate());
        let (payload_type, channels) = (PayloadType::default(), self.channels());
        Some(Codec { payload_type, encoding, clock_rate, channels, fmtp: None, sending: Sending::default() })
    }

    /// All are mono, but RFC 7587 7 has Opus in two channels whatever it carries.
    fn channels(&self) -> u8 {
        if self.encoding().eq_ignore_ascii_case("opus") { 2 } else { 1 }
    }

    /// Duration of one frame.
    #[must_use]
    pub fn ptime(&self) -> Duration {
        Duration::from_millis(u64::from(self.0.ptime_ms))
    }

    /// Timestamp units of one frame.
    #[must_use]
    pub fn frame_ts_units(&self) -> u32 {
        (u64::from(self.0.clock_rate) * u64::from(self.0.ptime_ms) / 1000) as u32
    }

    /// How many frames there are, at least 1.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.pieces.last().map_or(1, |piece| piece.until)
    }

    /// The payload of frame `index`, counted modulo [`Frames::count`].
    #[must_use]
    pub fn payload(&self, index: u32) -> &[u8] {
        self.payload_of(index, 1).0
    }

    /// The payload of frame `index` and of those behind it, and how many these are: `frames_max` at most, as many as there are to the
    /// end of the piece, and 1 if several are not one longer one.
    #[must_use]
    pub fn payload_of(&self, index: u32, frames_max: u32) -> (&[u8], u32) {
        let index = index % self.count();
        let pieces = &self.0.pieces;
        let at = pieces.partition_point(|piece| piece.until <= index);
        let before = at.checked_sub(1).map_or(0, |before| pieces[before].until);
        let Piece { frame_len, bytes, until } = &pieces[at];
        let fit = if self.0.sample_based { (Self::FRAME_LEN_MAX / frame_len) as u32 } else { 1 };
        let frames = frames_max.min(fit).clamp(1, until - index);
        let start = (index - before) as usize * frame_len;
        (&bytes[start..start + frames as usize * frame_len], frames)
    }

    /// How many frames a packet of so many milliseconds has, 1 at least.
    pub(crate) fn per_packet(&self, packet_ms: u8) -> u32 {
        (u32::from(packet_ms.min(Sending::PACKET_MS_MAX)) / self.0.ptime_ms).max(1)
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frames({}/{}, {} x {:?})", self.encoding(), self.clock_rate(), self.count(), self.ptime())
    }
}

/// How often a player goes through its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// This many times, then [`crate::event::Event::PlayFinished`] and silence.
    Times(u32),
    /// Until something else becomes the source.
    Forever,
}
