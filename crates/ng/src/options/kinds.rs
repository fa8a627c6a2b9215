//! Values that are one word of several.

macro_rules! kinds {
    ($($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal $(| $other:literal)*,)* })*) => {$(
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// What a word in its normal spelling means.
            pub(super) fn from_word(word: &str) -> Option<Self> {
                Some(match word {
                    $($word $(| $other)* => Self::$variant,)*
                    _ => return None,
                })
            }
        }
    )*};
}

kinds! {
    /// Family of an address.
    AddressFamily {
        /// IPv4.
        Ip4 = "ip4" | "ipv4" | "inet",
        /// IPv6.
        Ip6 = "ip6" | "ipv6" | "inet6",
    }

    /// What becomes of ICE (RFC 8445).
    Ice {
        /// None towards the receiver of the SDP.
        Remove = "remove",
        /// Of our own, whatever the sender has.
        Force = "force",
        /// Our own candidate beside the sender's, as a relay.
        ForceRelay = "force-relay",
        /// Of our own if the sender has it.
        Default = "default",
        /// Our own candidate beside the sender's with low priority, or alone if he has none.
        Optional = "optional",
    }

    /// Towards whom ICE is lite (RFC 8445 2.5).
    IceLite {
        /// The receiver of the SDP.
        Forward = "forward",
        /// Its sender.
        Backward = "backward" | "backwards",
        /// Both.
        Both = "both",
        /// Nobody.
        Off = "off" | "no" | "disable",
    }

    /// What becomes of DTLS-SRTP (RFC 5764).
    Dtls {
        /// None.
        Off = "off" | "no" | "disable",
        /// The other side begins the handshake.
        Passive = "passive",
        /// The relay begins it.
        Active = "active",
    }

    /// How the source of a party's media is found.
    Learning {
        /// The SDP says it.
        Off = "off",
        /// It is the first one that sends.
        Immediate = "immediate",
        /// It is who sends some seconds after the last signalling.
        Delayed = "delayed",
        /// It is the one most like the SDP.
        Heuristic = "heuristic",
    }

    /// Who hears himself.
    MediaEcho {
        /// Nobody hears anything.
        Blackhole = "blackhole" | "sinkhole",
        /// The receiver of the SDP.
        Forward = "forward",
        /// Its sender.
        Backward = "backward" | "backwards",
        /// Both.
        Both = "both",
    }

    /// What a proxy works on.
    SipMessage {
        /// A request.
        Request = "sip-request" | "request",
        /// A response.
        Response = "sip-response" | "sip-reply" | "response" | "reply",
    }

    /// Which parties or flows a command is for.
    #[derive(Default)]
    All {
        /// Those that it names.
        #[default]
        None = "none",
        /// All.
        All = "all",
        /// Those of offers and answers.
        OfferAnswer = "offer-answer",
        /// All but those of offers and answers.
        ExceptOfferAnswer = "except-offer-answer",
        /// All flows.
        Flows = "flows",
    }
}

/// The byte of IPv4, or the traffic class of IPv6, of what is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tos {
    /// As configured: the request says nothing, or a number above 255.
    #[default]
    Configured,
    /// As before: a negative number.
    Unchanged,
    /// This one.
    Set(u8),
}

impl From<i64> for Tos {
    fn from(number: i64) -> Self {
        match u8::try_from(number) {
            Ok(tos) => Self::Set(tos),
            Err(_) if number < 0 => Self::Unchanged,
            Err(_) => Self::Configured,
        }
    }
}
