//! Session descriptions (RFC 8866) as far as one voice of a party goes: read from theirs, written as ours.

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use patchcord_control::api::{CodecParts, Direction};
use patchcord_sdp::{Codec, Media, Sdp, SdpError};
use thiserror::Error;

/// What a party says of its audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theirs {
    /// Where it receives RTP; none while it does not want any (`c=` of 0.0.0.0, as before RFC 3264).
    pub remote: Option<SocketAddr>,
    /// Where it receives RTCP, if that is somewhere unusual.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// In the order of its preference.
    pub codecs: Vec<CodecParts>,
    /// Seen from it.
    pub direction: Direction,
    /// `RTP/AVP`, `RTP/SAVP` and their kin.
    pub protocol: String,
    /// The first `a=crypto` (RFC 4568).
    pub crypto: Option<Crypto>,
    /// All m= lines, in their order: an answer has as many (RFC 3264 6).
    lines: Vec<Line>,
}

/// An `a=crypto` line.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Its tag.
    pub tag: u32,
    /// Suite and key, as the relay's `leg-srtp` has them.
    pub key: String,
}

impl core::fmt::Debug for Crypto {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Crypto").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// An m= line as an answer that refuses it repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    kind: String,
    protocol: String,
    formats: String,
    mid: Option<String>,
    /// It is the one that is meant.
    is_voice: bool,
}

/// Why a description is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// It cannot be read.
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// No m= line is audio by RTP that is on.
    #[error("it has no audio by RTP: an m=audio line with a port other than 0 is needed")]
    NoAudio,
    /// No address.
    #[error("its audio has no address: a c= line is needed")]
    NoAddress,
    /// No format has a meaning.
    #[error("its audio has no format that is known: each payload type above 95 needs an a=rtpmap")]
    NoFormat,
    /// SRTP without a key that comes by SDP.
    #[error("it wants {0} and has no a=crypto: DTLS-SRTP is not spoken here")]
    NoKey(String),
}

impl Theirs {
    /// Reads an offer or an answer.
    ///
    /// # Errors
    /// It has no audio that could be relayed; the text says why.
    pub fn read(text: &str) -> Result<Self, Unusable> {
        let sdp = Sdp::parse(text.as_bytes())?;
        let usable = |media: &Media| media.kind == "audio" && media.port != 0 && media.is_rtp();
        let chosen = sdp.media().iter().position(usable).ok_or(Unusable::NoAudio)?;
        let media = &sdp.media()[chosen];
        let address = media.address.ok_or(Unusable::NoAddress)?;
        let wanting =
            |codec: CodecParts| if is_audio(&codec) { codec.wanting(media.ptime_ms, media.maxptime_ms) } else { codec };
        let codecs: Vec<_> = media.codecs.iter().map(parts).map(wanting).collect();
        if !codecs.iter().any(is_audio) {
            return Err(Unusable::NoFormat);
        }
        let crypto = media.attribute("crypto").and_then(Crypto::read);
        if media.is_secure() && crypto.is_none() {
            return Err(Unusable::NoKey(media.protocol.clone()));
        }
        let reachable = !address.is_unspecified();
        let rtcp = media.rtcp.map(|rtcp| SocketAddr::new(rtcp.address.unwrap_or(address), rtcp.port));
        let lines = sdp.media().iter().enumerate().map(|(index, media)| Line {
            kind: media.kind.clone(),
            protocol: media.protocol.clone(),
            formats: media.formats.join(" "),
            mid: media.mid.clone(),
            is_voice: index == chosen,
        });
        Ok(Self {
            remote: reachable.then(|| SocketAddr::new(address, media.port)),
            remote_rtcp: rtcp.filter(|rtcp| reachable && !media.rtcp_mux && rtcp.port() != 0),
            rtcp_mux: media.rtcp_mux,
            codecs,
            direction: if reachable { direction(media.direction) } else { Direction::SendOnly },
            protocol: media.protocol.clone(),
            crypto: crypto.filter(|_| media.is_secure()),
            lines: lines.collect(),
        })
    }

    /// Whether it speaks SRTP.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.crypto.is_some()
    }
}

impl Crypto {
    /// `1 AES_CM_128_HMAC_SHA1_80 inline:...`.
    fn read(value: &str) -> Option<Self> {
        let (tag, key) = value.trim().split_once(' ')?;
        Some(Self { tag: tag.parse().ok()?, key: key.trim().to_owned() })
    }
}

/// What we say of the leg that a party is to send to.
#[derive(Clone, Debug)]
pub struct Ours<'a> {
    /// Tells the session from all others (RFC 8866 5.2).
    pub id: u64,
    /// Grows with each description of the session.
    pub version: u64,
    /// Where the leg receives RTP.
    pub rtp: SocketAddr,
    /// Where it receives RTCP.
    pub rtcp: SocketAddr,
    /// RTCP on the RTP port: offered, or taken.
    pub rtcp_mux: bool,
    /// In the order of preference.
    pub codecs: &'a [CodecParts],
    /// Seen from us.
    pub direction: Direction,
    /// What we send with, which makes it SRTP.
    pub crypto: Option<Crypto>,
}

impl Ours<'_> {
    /// An offer.
    #[must_use]
    pub fn offer(&self) -> Box<str> {
        let mut text = self.session();
        let protocol = if self.crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
        self.voice(&mut text, protocol, None);
        text.into()
    }

    /// The answer to an offer: what is no voice is refused.
    #[must_use]
    pub fn answer(&self, offer: &Theirs) -> Box<str> {
        let mut text = self.session();
        for line in &offer.lines {
            if line.is_voice {
                self.voice(&mut text, &line.protocol, line.mid.as_deref());
            } else {
                put(&mut text, format_args!("m={} 0 {} {}", line.kind, line.protocol, line.formats));
            }
        }
        text.into()
    }

    fn session(&self) -> String {
        let (Self { id, version, .. }, address) = (self, self.rtp.ip());
        let family = family(address);
        let mut text = String::new();
        put(&mut text, format_args!("v=0"));
        put(&mut text, format_args!("o=patchcord {id} {version} IN {family} {address}"));
        put(&mut text, format_args!("s=-"));
        put(&mut text, format_args!("c=IN {family} {address}"));
        put(&mut text, format_args!("t=0 0"));
        text
    }

    fn voice(&self, text: &mut String, protocol: &str, mid: Option<&str>) {
        let numbers: Vec<_> = self.codecs.iter().map(|codec| codec.payload_type.to_string()).collect();
        put(text, format_args!("m=audio {} {protocol} {}", self.rtp.port(), numbers.join(" ")));
        if let Some(mid) = mid {
            put(text, format_args!("a=mid:{mid}"));
        }
        for CodecParts { payload_type, encoding, clock_rate, channels, fmtp, .. } in self.codecs {
            match channels {
                1 => put(text, format_args!("a=rtpmap:{payload_type} {encoding}/{clock_rate}")),
                _ => put(text, format_args!("a=rtpmap:{payload_type} {encoding}/{clock_rate}/{channels}")),
            }
            if let Some(fmtp) = fmtp {
                put(text, format_args!("a=fmtp:{payload_type} {fmtp}"));
            }
        }
        if let Some(Crypto { tag, key }) = &self.crypto {
            put(text, format_args!("a=crypto:{tag} {key}"));
        }
        if self.rtcp_mux {
            put(text, format_args!("a=rtcp-mux"));
        }
        if self.rtcp != self.rtp && !self.rtcp_mux && self.rtcp.port() != self.rtp.port().wrapping_add(1) {
            put(text, format_args!("a=rtcp:{}", self.rtcp.port()));
        }
        // In an answer what is sent, where the relay encodes; in an offer what the other party wants, for that may be relayed.
        let ptime = self.codecs.iter().find(|codec| is_audio(codec)).map_or(20, CodecParts::packet_ms);
        put(text, format_args!("a=ptime:{ptime}"));
        put(text, format_args!("a={}", word(self.direction)));
    }
}

fn put(text: &mut String, line: core::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{line}\r\n");
}

const fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}

fn parts(codec: &Codec) -> CodecParts {
    let Codec { payload_type, encoding, clock_rate, channels, fmtp } = codec.clone();
    CodecParts { channels, fmtp, ..CodecParts::new(payload_type, encoding, clock_rate) }
}

/// Whether it is a voice, and neither key presses nor the silence between words.
#[must_use]
pub fn is_audio(codec: &CodecParts) -> bool {
    !codec.is_telephone_event() && !codec.encoding.eq_ignore_ascii_case("CN")
}

/// Whether two are the same but for the number and the parameters.
#[must_use]
pub fn is_same_format(one: &CodecParts, other: &CodecParts) -> bool {
    one.encoding.eq_ignore_ascii_case(&other.encoding)
        && (one.clock_rate, one.channels) == (other.clock_rate, other.channels)
}

const fn direction(direction: patchcord_sdp::Direction) -> Direction {
    match direction {
        patchcord_sdp::Direction::SendRecv => Direction::SendRecv,
        patchcord_sdp::Direction::SendOnly => Direction::SendOnly,
        patchcord_sdp::Direction::RecvOnly => Direction::RecvOnly,
        patchcord_sdp::Direction::Inactive => Direction::Inactive,
    }
}

/// What the other side of a direction is (RFC 3264 6.1).
#[must_use]
pub const fn mirrored(direction: Direction) -> Direction {
    match direction {
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        other => other,
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
        m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
        m=audio 4000 RTP/AVP 8 0 101\r\na=mid:a\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=rtcp:4009\r\n";

    fn ours(codecs: &[CodecParts]) -> Ours<'_> {
        let at = |port| SocketAddr::from(([203, 0, 113, 9], port));
        let (rtp, rtcp) = (at(30_000), at(30_001));
        Ours { id: 7, version: 1, rtp, rtcp, rtcp_mux: false, codecs, direction: Direction::SendRecv, crypto: None }
    }

    #[test]
    fn an_answer_takes_the_voice_and_refuses_the_rest_in_the_order_of_the_offer() {
        let theirs = Theirs::read(OFFER).expect("it is an offer");
        assert_eq!(theirs.remote, Some(SocketAddr::from(([192, 0, 2, 7], 4000))));
        assert_eq!(theirs.remote_rtcp, Some(SocketAddr::from(([192, 0, 2, 7], 4009))));
        assert_eq!(theirs.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [8, 0, 101]);
        let answer = ours(&theirs.codecs).answer(&theirs);
        let media: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(media, ["m=video 0 RTP/AVP 96", "m=audio 30000 RTP/AVP 8 0 101"]);
        let read = Theirs::read(&answer).expect("what we write can be read");
        assert_eq!((read.codecs, read.remote), (theirs.codecs, Some(SocketAddr::from(([203, 0, 113, 9], 30_000)))));
    }

    #[test]
    fn what_is_of_no_use_is_said() {
        for (text, why) in [
            ("v=0\r\n", "m=audio"),
            ("v=0\r\nm=audio 0 RTP/AVP 0\r\nc=IN IP4 192.0.2.7\r\n", "m=audio"),
            ("v=0\r\nm=audio 4000 RTP/AVP 0\r\n", "c= line"),
            (
                "v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n",
                "format",
            ),
            ("v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:x\r\n", "a=crypto"),
            ("\u{0}", "line 1"),
        ] {
            let error = Theirs::read(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn hold_without_an_address_is_a_direction() {
        let text = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let theirs = Theirs::read(text).expect("RFC 2543 had it so");
        assert_eq!((theirs.remote, theirs.direction), (None, Direction::SendOnly));
        assert_eq!(mirrored(theirs.direction), Direction::RecvOnly);
    }

    #[test]
    fn keys_of_an_offer_are_told_and_never_shown() {
        let text = "v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 4000 RTP/SAVP 0\r\n\
            a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
        let theirs = Theirs::read(text).expect("it has a key");
        let crypto = theirs.crypto.clone().expect("it has one");
        assert_eq!(crypto.tag, 2);
        assert!(crypto.key.starts_with("AES_CM_128_HMAC_SHA1_80 inline:"));
        assert!(!format!("{theirs:?}").contains("inline"));
        let answer = Ours { crypto: Some(crypto), ..ours(&theirs.codecs) }.answer(&theirs);
        assert!(answer.contains("m=audio 30000 RTP/SAVP 0\r\n") && answer.contains("a=crypto:2 AES_CM"), "{answer}");
    }
}
