//! How a leg learns its party's address, and how its stream goes on: the engine's policies in JSON.

use core::net::IpAddr;

use patchcord_relay::command::{EgressMode, LatchMode, LatchPolicy, LearnFrom, RelatchGate, Relaying};
use patchcord_relay::media;
use patchcord_relay::scope::AddressScope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Latch policy; what is absent is as the server is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LatchSpec {
    /// What may be learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LatchModeName>,
    /// Drop whatever does not come from the latched source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// How long a provisional source can still be outranked, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u32>,
    /// Follow a new source at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<bool>,
    /// Learn for receiving only, and send to the signalled address all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asymmetric: Option<bool>,
    /// Which hosts may be learned at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_from: Option<LearnFromName>,
    /// Where the party's signalling came from: the host to learn from, for a party behind NAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    pub received_from: Option<IpAddr>,
}

impl LatchSpec {
    /// The policy, with what is absent taken from `default`, for a leg whose party sends to `told`.
    #[must_use]
    pub fn over(self, default: LatchPolicy, told: IpAddr) -> LatchPolicy {
        let anywhere = match self.learn_from {
            Some(name) => name == LearnFromName::Anywhere,
            None => default.learn_from == LearnFrom::Anywhere,
        };
        let party = LearnFrom::Party { vantage: AddressScope::of(told), received_from: self.received_from };
        LatchPolicy {
            mode: self.mode.map_or(default.mode, Into::into),
            strict: self.strict.unwrap_or(default.strict),
            window_ms: self.window_ms.unwrap_or(default.window_ms),
            handover: self.handover.unwrap_or(default.handover),
            asymmetric: self.asymmetric.unwrap_or(default.asymmetric),
            learn_from: if anywhere { LearnFrom::Anywhere } else { party },
        }
    }
}

/// Which hosts a leg may learn its source from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LearnFromName {
    /// The signalled one; for a party behind NAT `received_from`, or any where that is not known.
    Party,
    /// Any: whoever is faster than the party is relayed until its first packet.
    Anywhere,
}

/// What may be learned about the source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LatchModeName {
    /// Nothing: only the signalled address and port are accepted.
    Off,
    /// The port: packets must come from the signalled IP address.
    Signalled,
    /// The first source is taken; the signalled address still wins within the window.
    FirstPacket,
    /// The best source within the window.
    Heuristic,
    /// Each new source is followed within the window; the last one stays.
    Delayed,
}

impl From<LatchModeName> for LatchMode {
    fn from(name: LatchModeName) -> Self {
        match name {
            LatchModeName::Off => Self::Off,
            LatchModeName::Signalled => Self::Signalled,
            LatchModeName::FirstPacket => Self::FirstPacket,
            LatchModeName::Heuristic => Self::Heuristic,
            LatchModeName::Delayed => Self::Delayed,
        }
    }
}

/// Whether what a party sends is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelayingName {
    /// As RTP and RTCP.
    #[default]
    Rtp,
    /// Unread: SRTP with the parties' own keys, T.38, anything over UDP.
    Opaque,
}

impl From<RelayingName> for Relaying {
    fn from(name: RelayingName) -> Self {
        match name {
            RelayingName::Rtp => Self::Rtp,
            RelayingName::Opaque => Self::Opaque,
        }
    }
}

/// How a party's stream goes on when its source changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EgressName {
    /// One SSRC for life; sequence and timestamp continue.
    Continuity,
    /// A fresh SSRC at each cut-over.
    NewSsrc,
    /// Packets pass untouched.
    Transparent,
}

impl From<EgressName> for EgressMode {
    fn from(name: EgressName) -> Self {
        match name {
            EgressName::Continuity => Self::Continuity,
            EgressName::NewSsrc => Self::NewSsrc,
            EgressName::Transparent => Self::Transparent,
        }
    }
}

/// What a new source must prove before a leg follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GateSpec {
    /// It sends from the signalled address.
    Signalled,
    /// It sends this many packets in sequence under one SSRC while the old source is silent.
    Packets(u8),
    /// It sends SRTP that authenticates. For parties with SRTP alone.
    Authentication,
}

impl From<GateSpec> for RelatchGate {
    fn from(gate: GateSpec) -> Self {
        match gate {
            GateSpec::Signalled => Self::Signalled,
            GateSpec::Packets(packets) => Self::Packets(packets),
            GateSpec::Authentication => Self::Authentication,
        }
    }
}

/// Direction, seen from the party as in its own SDP (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// It sends and receives.
    #[default]
    SendRecv,
    /// It only sends.
    SendOnly,
    /// It only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl From<Direction> for media::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::SendRecv => Self::SendRecv,
            Direction::SendOnly => Self::SendOnly,
            Direction::RecvOnly => Self::RecvOnly,
            Direction::Inactive => Self::Inactive,
        }
    }
}

impl From<media::Direction> for Direction {
    fn from(direction: media::Direction) -> Self {
        match direction {
            media::Direction::SendRecv => Self::SendRecv,
            media::Direction::SendOnly => Self::SendOnly,
            media::Direction::RecvOnly => Self::RecvOnly,
            media::Direction::Inactive => Self::Inactive,
        }
    }
}
