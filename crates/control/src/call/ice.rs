//! ICE on a leg: who is believed to be its party.

use std::sync::Arc;

use patchcord_relay::command::{self, IceCredentials};

use super::plan::{Draft, Plan};
use crate::api::{LegIce, LegIceDone, Secret};
use crate::error::{ApiError, ErrorCode};
use crate::ice::{PWD_LEN, UFRAG_LEN, candidates, random_text};

impl Plan<'_> {
    pub(super) fn leg_ice(&mut self, fields: &LegIce) -> Result<Draft, ApiError> {
        let bad = |why: &str| ApiError::new(ErrorCode::BadRequest, why.to_owned());
        let (id, done) = self.one(&fields.party)?;
        let chosen = match (&fields.local_ufrag, &fields.local_pwd) {
            (Some(ufrag), Some(Secret(pwd))) => Some((ufrag.clone(), pwd.clone())),
            (None, None) => None,
            _ => return Err(bad("`local_ufrag` and `local_pwd` are given together, or both are left out")),
        };
        if fields.restart && chosen.is_some() {
            return Err(bad("`restart` chooses what `local_ufrag` and `local_pwd` give; leave one of them out"));
        }
        if !fields.enabled {
            if chosen.is_some() || fields.restart || fields.remote_ufrag.is_some() {
                return Err(bad("without ICE there are no credentials; leave out `enabled`, or the rest"));
            }
            if let Some(leg) = self.model.legs.get_mut(id) {
                leg.ice = None;
            }
            self.tell_engine(command::Command::SetIce { leg: id, ice: None });
            return Ok(done);
        }
        let leg = self.leg(&fields.party)?;
        let present = leg.ice.clone().filter(|_| !fields.restart);
        let (local_ufrag, local_pwd) = match (chosen, &present) {
            (Some(chosen), _) => chosen,
            (None, Some(present)) => (present.local_ufrag.clone(), present.local_pwd.clone()),
            (None, None) => (random_text(UFRAG_LEN)?, random_text(PWD_LEN)?),
        };
        // With other credentials of ours the party's are others too (RFC 8839 4.4.1.1.1).
        let known = present.filter(|present| present.local_ufrag == local_ufrag && present.local_pwd == local_pwd);
        let remote_ufrag = fields.remote_ufrag.clone().or_else(|| known?.remote_ufrag.clone());
        let (local, local_rtcp) = self.env.interfaces.local(leg.lease);
        let [rtp, rtcp] =
            [Some(local), local_rtcp].map(|local| local.map(|local| self.env.interfaces.advertised(leg.lease, local)));
        let answer = LegIceDone {
            party: Arc::clone(&leg.party),
            local_ufrag: local_ufrag.clone(),
            local_pwd: Secret(local_pwd.clone()),
            candidates: rtp
                .map_or_else(Vec::new, |rtp| candidates(rtp, rtcp))
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        let credentials = IceCredentials { local_ufrag, local_pwd, remote_ufrag };
        if let Some(leg) = self.model.legs.get_mut(id) {
            leg.ice = Some(Arc::new(credentials.clone()));
        }
        self.tell_engine(command::Command::SetIce { leg: id, ice: Some(credentials) });
        Ok(Draft::Ice(Box::new(answer)))
    }
}
