//! ICE on a leg (RFC 8445), in JSON.

use std::sync::Arc;

use patchcord_relay::snapshot::IceSnapshot;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::defaults;
use super::secret::Secret;

/// Fields of `leg-ice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegIce {
    /// The party.
    pub party: String,
    /// Whether its connectivity checks are answered.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// Our user name fragment, 4 to 256 letters, digits, `+` and `/`; absent: the present one, or one that is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_ufrag: Option<String>,
    /// Our password, 22 to 256 of them; goes with `local_ufrag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub local_pwd: Option<Secret>,
    /// The party's user name fragment; absent: as it was, or not known yet. Its password is not needed: who sends no checks
    /// need not sign any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ufrag: Option<String>,
    /// Choose others than the present ones: an ICE restart.
    #[serde(default, skip_serializing_if = "defaults::is_false")]
    pub restart: bool,
}

/// What the party is to be told: the SDP of `a=ice-lite` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LegIceDone {
    /// The party.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// For `a=ice-ufrag`.
    pub local_ufrag: String,
    /// For `a=ice-pwd`.
    #[schema(value_type = String)]
    pub local_pwd: Secret,
    /// For `a=candidate`, one each component.
    #[schema(example = json!(["cb007109 1 UDP 2130706431 203.0.113.9 30000 typ host"]))]
    pub candidates: Vec<String>,
}

/// The connectivity checks of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IceState {
    /// The party has nominated where it sends from.
    pub nominated: bool,
    /// Checks that were answered with success.
    pub answered: u64,
    /// Checks that were refused.
    pub refused: u64,
}

impl From<IceSnapshot> for IceState {
    fn from(ice: IceSnapshot) -> Self {
        Self { nominated: ice.nominated, answered: ice.answered, refused: ice.refused }
    }
}
