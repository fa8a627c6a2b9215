//! Keys of calls whose callees speak SRTP: both the relay and the load know them by the call's number.

use patchcord_srtp::sdes::Crypto;
use patchcord_srtp::{MasterKey, Protections, SessionKeys, Suite};

use super::PeerError;
use crate::endpoint::Secured;

/// The keys of one call.
#[derive(Debug)]
pub(super) struct CallKeys {
    from_callee: MasterKey,
    to_callee: MasterKey,
}

impl CallKeys {
    /// Those of a call: nobody else has them, and nobody has to keep them secret.
    pub(super) fn new(suite: Suite, call: u32) -> Result<Self, PeerError> {
        let key = |direction: u8| {
            let mut bytes = vec![direction; suite.key_len() + suite.salt_len()];
            bytes[..4].copy_from_slice(&call.to_be_bytes());
            MasterKey::new(suite, &bytes).map_err(|error| PeerError::Keys(error.to_string()))
        };
        Ok(Self { from_callee: key(1)?, to_callee: key(2)? })
    }

    /// What the callee sends with and what it is sent with, as in `a=crypto` (RFC 4568).
    pub(super) fn texts(&self) -> [String; 2] {
        [&self.from_callee, &self.to_callee].map(|key| text(key, 1))
    }

    /// What the callee sends with, for an answer that accepts the crypto attribute with this tag.
    pub(super) fn accepting(&self, tag: u32) -> String {
        text(&self.from_callee, tag)
    }

    /// The callee's end.
    pub(super) fn callee(&self) -> Result<Secured, PeerError> {
        let keys = |master: &MasterKey| {
            let keys = SessionKeys::derive(master, None, Protections::ALL);
            keys.map_err(|error| PeerError::Keys(error.to_string()))
        };
        Ok(Secured::new(keys(&self.from_callee)?, keys(&self.to_callee)?))
    }
}

fn text(key: &MasterKey, tag: u32) -> String {
    let crypto = Crypto { tag, key: key.clone(), mki: None, protections: Protections::ALL };
    crypto.to_value(true).to_string()
}
