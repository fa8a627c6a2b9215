//! DTLS on a leg (RFC 5763), in JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::defaults;

/// Fields of `leg-dtls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegDtls {
    /// The party.
    pub party: String,
    /// Whether it agrees on keys by DTLS. Taken back, it speaks RTP.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// What our SDP is to say: `active` (we begin the handshake), `passive` or `actpass`; absent: `actpass` in an offer, and in an answer
    /// what goes with the party's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "passive")]
    pub setup: Option<String>,
    /// The hash function of our fingerprint; absent: `sha-256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sha-256")]
    pub hash: Option<String>,
    /// What the party's SDP says; absent: it has not come yet, or nothing of it has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<DtlsRemote>,
    /// Begin a new association although the party has not asked for one.
    #[serde(default, skip_serializing_if = "defaults::is_false")]
    pub restart: bool,
}

/// What a party's SDP says of DTLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DtlsRemote {
    /// `a=setup`; absent: `active` (RFC 4145 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "actpass")]
    pub setup: Option<String>,
    /// `a=fingerprint`, one or more: the certificate must have one of them.
    #[schema(example = json!(["sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF"]))]
    pub fingerprints: Vec<String>,
    /// `a=tls-id`: with another one a new association is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_id: Option<String>,
}

/// What the party is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LegDtlsDone {
    /// The party.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// For `a=setup`.
    pub setup: String,
    /// For `a=fingerprint`.
    pub fingerprint: String,
    /// For `a=tls-id`; null where the party does not know of it.
    pub tls_id: Option<String>,
}

/// The association with a party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DtlsState {
    /// `handshake`, `connected`, `failed` or `closed` (by the party).
    pub state: String,
    /// `client` (we begin) or `server`; null while the party has not chosen.
    pub role: Option<String>,
    /// The profile of SRTP that was negotiated; null unless connected.
    pub profile: Option<String>,
    /// Why it has failed; null unless it has.
    pub error: Option<String>,
}
