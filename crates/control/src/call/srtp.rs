//! SRTP on a leg: which keys, whose, and which suites are good enough.

use std::sync::Arc;

use patchcord_relay::command::{self, SrtpKey, SrtpKeys};
use patchcord_relay::ids::LegId;
use patchcord_srtp::sdes::Crypto;
use patchcord_srtp::{MasterKey, Protections, Suite};
use zeroize::Zeroizing;

use super::plan::{Draft, Plan};
use crate::api::{LegSrtp, LegSrtpDone, Secret};
use crate::error::{ApiError, ErrorCode};
use crate::random::fill_random;

/// The longest master key and salt.
const KEY_AND_SALT_MAX: usize = 46;

impl Plan<'_> {
    pub(super) fn leg_srtp(&mut self, fields: &LegSrtp) -> Result<Draft, ApiError> {
        let bad = |why: &str| ApiError::new(ErrorCode::BadSrtp, format!("{}: {why}", fields.party));
        let (id, done) = self.one(&fields.party)?;
        let LegSrtp { receive, send, suite, .. } = fields;
        if !fields.enabled {
            if receive.is_some() || send.is_some() || suite.is_some() {
                return Err(bad("without SRTP there are no keys; leave out `enabled`, or the rest"));
            }
            self.end_dtls(id);
            self.set_srtp(id, None);
            return Ok(done);
        }
        if send.is_some() && suite.is_some() {
            return Err(bad("`suite` chooses the key that `send` gives; leave one of them out"));
        }
        let read = |text: &Option<Secret>| text.as_ref().map(|text| self.read_key(&fields.party, text)).transpose();
        let (receive, send) = (read(receive)?, read(send)?);
        let present = self.leg(&fields.party)?.srtp.as_deref().cloned().unwrap_or_default();
        let receive = receive.or(present.receive);
        let wanted = match suite {
            Some(name) => Some(name.parse::<Suite>().map_err(|error| bad(&error.to_string()))?),
            None => receive.as_ref().map(|key| key.master.suite()).filter(|_| fields.receive.is_some()),
        };
        let fits = |key: &SrtpKey| wanted.is_none_or(|suite| key.master.suite() == suite);
        let send = match (send.or(present.send.filter(fits)), wanted) {
            (Some(key), _) => Some(key),
            (None, Some(suite)) => {
                self.must_be_allowed(&fields.party, suite, Protections::ALL)?;
                Some(SrtpKey::new(new_key(suite)?))
            }
            (None, None) => None,
        };
        let party = Arc::clone(&self.leg(&fields.party)?.party);
        let answer = LegSrtpDone {
            party,
            send: send.as_ref().map(key_text),
            receive_suite: receive.as_ref().map(|key| key.master.suite().name().to_owned()),
        };
        self.end_dtls(id);
        self.set_srtp(id, Some(SrtpKeys { receive, send, restart: false }));
        Ok(Draft::Srtp(Box::new(answer)))
    }

    /// The leg has these keys from now on, or RTP.
    pub(super) fn set_srtp(&mut self, id: LegId, keys: Option<SrtpKeys>) {
        if let Some(leg) = self.model.legs.get_mut(id) {
            leg.srtp = keys.clone().map(Arc::new);
        }
        self.tell_engine(command::Command::SetSrtp { leg: id, srtp: keys.map(Box::new) });
    }

    fn read_key(&self, party: &str, text: &Secret) -> Result<SrtpKey, ApiError> {
        let bad = |why: String| ApiError::new(ErrorCode::BadSrtp, format!("{party}: {why}"));
        let has_tag = text.as_str().starts_with(|c: char| c.is_ascii_digit());
        let tagged = Zeroizing::new(if has_tag { text.as_str().to_owned() } else { format!("1 {}", text.as_str()) });
        let Crypto { key: master, mki, protections, .. } =
            Crypto::parse(&tagged).map_err(|error| bad(error.to_string()))?;
        self.must_be_allowed(party, master.suite(), protections)?;
        Ok(SrtpKey { master, mki, protections })
    }

    /// What does not protect is for who has asked for it.
    fn must_be_allowed(&self, party: &str, suite: Suite, protections: Protections) -> Result<(), ApiError> {
        if self.env.allows_weak_srtp || is_good(suite, protections) {
            return Ok(());
        }
        let why = format!(
            "{party}: {suite} with these parameters leaves something unprotected; take another suite, or set `srtp.allow_weak`"
        );
        Err(ApiError::new(ErrorCode::BadSrtp, why))
    }
}

/// Whether everything is encrypted and authenticated, by what is still looked at.
pub(crate) fn is_good(suite: Suite, protections: Protections) -> bool {
    !suite.is_for_compatibility() && protections == Protections::ALL
}

/// A key that nobody has had.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn new_key(suite: Suite) -> Result<MasterKey, ApiError> {
    let mut bytes = Zeroizing::new([0; KEY_AND_SALT_MAX]);
    let bytes = &mut bytes[..suite.key_len() + suite.salt_len()];
    fill_random(bytes)?;
    MasterKey::new(suite, bytes).map_err(|error| ApiError::new(ErrorCode::Refused, error.to_string()))
}

/// As in `a=crypto`, without the tag.
fn key_text(key: &SrtpKey) -> Secret {
    let crypto = Crypto { tag: 1, key: key.master.clone(), mki: key.mki.clone(), protections: key.protections };
    Secret::from(crypto.to_value(true).trim_start_matches("1 "))
}
