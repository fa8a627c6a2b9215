//! SRTP on a leg (RFC 3711), in JSON.

use std::sync::Arc;

use patchcord_relay::snapshot::{SrtpSnapshot, SrtpStream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::defaults;
use super::secret::Secret;

/// Fields of `leg-srtp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegSrtp {
    /// The party.
    pub party: String,
    /// Whether it speaks SRTP and nothing else.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// Suite and key of what the party sends, as its `a=crypto` has them; absent: as before, or not known yet, and then nothing of it
    /// is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj")]
    pub receive: Option<Secret>,
    /// Suite and key of what the party is sent; absent: the present ones, or a key that is chosen for `suite`, or for the suite of
    /// `receive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub send: Option<Secret>,
    /// The suite to choose a key for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "AEAD_AES_128_GCM")]
    pub suite: Option<String>,
}

impl LegSrtp {
    /// The party speaks SRTP from now on, under the keys that there are.
    #[must_use]
    pub const fn demanded(party: String) -> Self {
        Self { party, enabled: true, receive: None, send: None, suite: None }
    }
}

/// What the party is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LegSrtpDone {
    /// The party.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// Suite and key of what it is sent, for an `a=crypto` behind its tag; null while there is none.
    #[schema(value_type = Option<String>)]
    pub send: Option<Secret>,
    /// The suite of what it sends; null while its key is not known.
    pub receive_suite: Option<String>,
}

/// SRTP of a party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SrtpState {
    /// What the party sends; null while its key is not known, and then nothing of it is accepted.
    pub receive: Option<SrtpStreamState>,
    /// What it is sent; null while there is no key, and then it is sent nothing.
    pub send: Option<SrtpStreamState>,
    /// The party goes on with its former key after a re-keying.
    pub former_key: bool,
}

/// One direction of SRTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SrtpStreamState {
    /// The suite.
    pub suite: String,
    /// Roll-over counter of the latest SSRC; null before the first packet.
    pub roc: Option<u32>,
    /// SSRCs so far.
    pub ssrcs: u32,
}

impl From<SrtpSnapshot> for SrtpState {
    fn from(srtp: SrtpSnapshot) -> Self {
        let state = |stream: SrtpStream| SrtpStreamState {
            suite: stream.suite.name().to_owned(),
            roc: stream.roc,
            ssrcs: stream.ssrcs,
        };
        Self { receive: srtp.receive.map(state), send: srtp.send.map(state), former_key: srtp.former_key }
    }
}
