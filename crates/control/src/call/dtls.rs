//! DTLS on a leg (RFC 5763, RFC 8842): who begins the handshake, whose certificate is expected, and when a new association is wanted.

use std::sync::Arc;

use patchcord_dtls::{Fingerprint, HashFunction, Role, Setup, TlsId};
use patchcord_relay::command::{self, SrtpKeys};
use patchcord_relay::ids::{AssociationId, LegId};

use super::plan::{Draft, Plan};
use crate::api::{DtlsRemote, LegDtls, LegDtlsDone};
use crate::dtls::NewAssociation;
use crate::error::{ApiError, ErrorCode};
use crate::random::fill_random;

/// DTLS of a leg.
#[derive(Clone, Debug)]
pub(crate) struct Dtls {
    pub(crate) association: AssociationId,
    /// Ours; `None`: the party has not chosen yet.
    pub(crate) role: Option<Role>,
    /// Names our end of the association.
    tls_id: TlsId,
    /// The party was offered our end, and has not answered since.
    offered: bool,
    remote: Option<Remote>,
}

/// The party's end of the association.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Remote {
    fingerprints: Vec<Fingerprint>,
    tls_id: Option<TlsId>,
}

impl Plan<'_> {
    pub(super) fn leg_dtls(&mut self, fields: &LegDtls) -> Result<Draft, ApiError> {
        let bad = |why: String| ApiError::new(ErrorCode::BadSrtp, format!("{}: {why}", fields.party));
        let (id, done) = self.one(&fields.party)?;
        let LegDtls { setup, hash, remote, restart, .. } = fields;
        if !fields.enabled {
            if setup.is_some() || hash.is_some() || remote.is_some() || *restart {
                return Err(bad(
                    "without DTLS there is nothing to agree on; leave out `enabled`, or the rest".to_owned()
                ));
            }
            self.end_dtls(id);
            self.set_srtp(id, None);
            return Ok(done);
        }
        let hash =
            hash.as_deref().map_or(Ok(HashFunction::Sha256), str::parse).map_err(|error| bad(error.to_string()))?;
        let setup = setup.as_deref().map(str::parse::<Setup>).transpose().map_err(|error| bad(error.to_string()))?;
        let (remote_setup, remote) = match remote {
            Some(remote) => {
                let (setup, remote) = read(remote).map_err(bad)?;
                (Some(setup), remote)
            }
            None => (None, None),
        };
        let leg = self.leg(&fields.party)?;
        let (party, present, has_ice) = (Arc::clone(&leg.party), leg.dtls.as_deref().cloned(), leg.ice.is_some());
        let is_other = |present: &Dtls| present.remote.is_some() && remote.is_some() && present.remote != remote;
        let kept = present.as_ref().filter(|present| !restart && !is_other(present));
        let role = kept.and_then(|kept| kept.role);
        // RFC 5763 5: who answers begins, which saves a round trip. Where the party's checks say where it is, it is the one who
        // knows when it can begin.
        let prefers = if has_ice { Role::Server } else { Role::Client };
        let told =
            setup.unwrap_or_else(|| remote_setup.map_or(Setup::ActPass, |remote| remote.answered(role, prefers)));
        let settled = match remote_setup {
            None | Some(Setup::HoldConn) => role,
            Some(remote) => Some(Role::settled(told, remote).ok_or_else(|| {
                bad(format!("`setup` {told} does not go with {remote} of the party; leave it out, and it is chosen"))
            })?),
        };
        let goes_on = |kept: &&Dtls| match (kept.role, settled) {
            (None, Some(Role::Client)) => false,
            (Some(was), Some(is)) => was == is,
            _ => true,
        };
        // A party that answers with something new has answered to the name that it was told.
        let answers = present.as_ref().filter(|present| present.offered && remote_setup.is_some());
        let tls_id = match kept.or(answers) {
            Some(known) => known.tls_id.clone(),
            None => new_tls_id()?,
        };
        let offered = remote_setup.is_none();
        let dtls = match kept.filter(goes_on) {
            Some(kept) => {
                if let (None, Some(remote)) = (&kept.remote, &remote) {
                    self.associations.expect(kept.association, remote.fingerprints.clone());
                }
                let remote = remote.or_else(|| kept.remote.clone());
                Dtls { association: kept.association, role: settled, tls_id, offered, remote }
            }
            None => {
                let remote = remote.or_else(|| kept.and_then(|kept| kept.remote.clone()));
                let announced = remote.as_ref().map_or_else(Vec::new, |remote| remote.fingerprints.clone());
                let (worker, role) = (self.worker, settled.unwrap_or(Role::Server));
                let association = self.associations.begin(NewAssociation { leg: id, worker, role, announced })?;
                self.ended.extend(present.as_ref().map(|present| present.association));
                self.demand_keys(id);
                self.tell_engine(command::Command::SetDtls { leg: id, association: Some(association) });
                Dtls { association, role: settled, tls_id, offered, remote }
            }
        };
        let fingerprint = self.env.handshakes.fingerprint(hash)?.to_string();
        let speaks_of_names = offered || dtls.remote.as_ref().is_some_and(|remote| remote.tls_id.is_some());
        let tls_id = Some(dtls.tls_id.to_string()).filter(|_| speaks_of_names);
        if let Some(leg) = self.model.legs.get_mut(id) {
            leg.dtls = Some(Arc::new(dtls));
        }
        Ok(Draft::Dtls(Box::new(LegDtlsDone { party, setup: told.to_string(), fingerprint, tls_id })))
    }

    /// The leg has no DTLS any more. Its keys stay as they are.
    pub(super) fn end_dtls(&mut self, id: LegId) {
        let present = self.model.legs.get_mut(id).and_then(|leg| leg.dtls.take());
        if let Some(present) = present {
            self.ended.push(present.association);
            self.tell_engine(command::Command::SetDtls { leg: id, association: None });
        }
    }

    /// Nothing passes in the clear until there are keys. Those of an association before hold until then.
    fn demand_keys(&mut self, id: LegId) {
        let none = SrtpKeys::default();
        if self.model.legs.get(id).is_some_and(|leg| leg.srtp.as_deref() != Some(&none)) {
            self.set_srtp(id, Some(none));
        }
    }
}

/// What the party says, and its end of the association, unless it wants none for now.
fn read(remote: &DtlsRemote) -> Result<(Setup, Option<Remote>), String> {
    let setup: Setup =
        remote.setup.as_deref().unwrap_or(Setup::Active.name()).parse().map_err(|error| format!("{error}"))?;
    let fingerprints = remote.fingerprints.iter().map(|text| text.parse::<Fingerprint>());
    // RFC 8122 5: one that uses a hash function that is not known, or no longer good, is as if it were not there.
    let fingerprints: Vec<_> = fingerprints.filter_map(Result::ok).collect();
    let tls_id = remote.tls_id.as_deref().map(str::parse).transpose().map_err(|error| format!("{error}"))?;
    match (setup, fingerprints.is_empty()) {
        (Setup::HoldConn, true) => Ok((setup, None)),
        (_, true) => {
            let given = remote.fingerprints.join(", ");
            let why = if given.is_empty() { "there is none".to_owned() } else { format!("none of {given} is one") };
            Err(format!("a party with DTLS needs a fingerprint with SHA-1 or SHA-2 (RFC 8122 5), and {why}"))
        }
        (_, false) => Ok((setup, Some(Remote { fingerprints, tls_id }))),
    }
}

fn new_tls_id() -> Result<TlsId, ApiError> {
    let mut random = [0; 16];
    fill_random(&mut random)?;
    Ok(TlsId::new(random))
}
