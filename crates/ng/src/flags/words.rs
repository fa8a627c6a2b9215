//! Values that are one word of a list.

macro_rules! words {
    ($(#[$outer:meta])* $name:ident $($(#[$doc:meta])* $variant:ident = $($word:literal)|+;)*) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// What a word in lower case with hyphens stands for.
            pub(super) fn from_word(word: &str) -> Option<Self> {
                Some(match word {
                    $($($word)|+ => Self::$variant,)*
                    _ => return None,
                })
            }
        }
    };
}

words! {
    /// `address-family`.
    AddressFamily
    /// `IP4`.
    Ip4 = "ip4" | "ipv4";
    /// `IP6`.
    Ip6 = "ip6" | "ipv6";
}

words! {
    /// `ICE`.
    Ice
    /// Its attributes are taken out.
    Remove = "remove";
    /// Its attributes are replaced by the relay's.
    Force = "force";
    /// Candidates stay, and the relay adds itself as a relay candidate.
    ForceRelay = "force-relay";
    /// As `Force` if there was ICE, else nothing is added.
    Default = "default";
    /// The relay adds itself with low priority, or as the only candidate.
    Optional = "optional";
}

words! {
    /// `ICE-lite`: towards whom the relay is lite.
    IceLite
    /// Towards the receiver of the SDP.
    Forward = "forward";
    /// Towards its sender.
    Backward = "backward" | "backwards";
    /// Towards both.
    Both = "both";
    /// Towards nobody.
    Off = "off" | "no" | "disable";
}

words! {
    /// `DTLS` and `DTLS-reverse`.
    Dtls
    /// None.
    Off = "off" | "no" | "disable";
    /// The relay waits for the handshake.
    Passive = "passive";
    /// The relay begins the handshake.
    Active = "active";
}

words! {
    /// `endpoint-learning`.
    Learning
    /// Addresses are those of the SDP.
    Off = "off";
    /// The first packet's source counts.
    Immediate = "immediate";
    /// The source counts some seconds after the last signalling.
    Delayed = "delayed";
    /// The source that is most like the SDP counts.
    Heuristic = "heuristic";
}

words! {
    /// `media-echo`.
    MediaEcho
    /// Media is thrown away.
    Blackhole = "blackhole" | "sinkhole";
    /// The receiver of the SDP hears itself.
    Forward = "forward";
    /// Its sender hears itself.
    Backward = "backward" | "backwards";
    /// Both hear themselves.
    Both = "both";
}

words! {
    /// `sip-message-type`.
    SipMessage
    /// A request.
    Request = "sip-request" | "request";
    /// A reply.
    Reply = "sip-reply" | "reply";
}

words! {
    /// What the streams that are sent look like after a cut-over.
    Egress
    /// As they come: SSRC, numbers and timestamps of the source.
    Transparent = "transparent";
    /// One stream that goes on.
    Continuity = "continuity";
    /// A new SSRC for each source.
    NewSsrc = "new-ssrc";
}

words! {
    /// `all`: which parties or flows are meant.
    #[derive(Default)]
    All
    /// Those that are named.
    #[default]
    None = "none";
    /// All.
    All = "all";
    /// Those of offers and answers.
    OfferAnswer = "offer-answer";
    /// All but those of offers and answers.
    ExceptOfferAnswer = "except-offer-answer";
    /// All flows that there are.
    Flows = "flows";
}

/// `transport-protocol`: the protocol in the `m=` lines that go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportProtocol {
    /// `RTP/AVP` (RFC 3551).
    RtpAvp,
    /// `RTP/AVPF` (RFC 4585).
    RtpAvpf,
    /// `RTP/SAVP` (RFC 3711).
    RtpSavp,
    /// `RTP/SAVPF` (RFC 5124).
    RtpSavpf,
    /// `UDP/TLS/RTP/SAVP` (RFC 5764).
    UdpTlsRtpSavp,
    /// `UDP/TLS/RTP/SAVPF` (RFC 5764).
    UdpTlsRtpSavpf,
    /// `udptl` (RFC 7345).
    Udptl,
    /// An answer's change of protocol is passed on.
    Accept,
}

impl TransportProtocol {
    /// As in an `m=` line; `accept` is none.
    pub const fn in_sdp(self) -> Option<&'static str> {
        Some(match self {
            Self::RtpAvp => "RTP/AVP",
            Self::RtpAvpf => "RTP/AVPF",
            Self::RtpSavp => "RTP/SAVP",
            Self::RtpSavpf => "RTP/SAVPF",
            Self::UdpTlsRtpSavp => "UDP/TLS/RTP/SAVP",
            Self::UdpTlsRtpSavpf => "UDP/TLS/RTP/SAVPF",
            Self::Udptl => "udptl",
            Self::Accept => return None,
        })
    }

    /// What a word in lower case stands for.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "rtp/avp" => Self::RtpAvp,
            "rtp/avpf" => Self::RtpAvpf,
            "rtp/savp" => Self::RtpSavp,
            "rtp/savpf" => Self::RtpSavpf,
            "udp/tls/rtp/savp" => Self::UdpTlsRtpSavp,
            "udp/tls/rtp/savpf" => Self::UdpTlsRtpSavpf,
            "udptl" => Self::Udptl,
            "accept" => Self::Accept,
            _ => return None,
        })
    }
}

/// `TOS`: the byte in the IP header of what is sent (DSCP and ECN).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tos {
    /// Not said, or above 255: as configured.
    #[default]
    Configured,
    /// Negative: as before.
    Unchanged,
    /// This value.
    Set(u8),
}
