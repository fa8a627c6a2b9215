//! Commands about one leg: create, change, delete.

use core::time::Duration;
use std::sync::Arc;

use patchcord_relay::command::{self, LegSpec};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::Codec;
use patchcord_relay::overhearing::Ears;

use super::change::How;
use super::model::{Heard, Hearing, Leg};
use super::plan::{Draft, Plan};
use crate::api::{
    CodecSpec, CommandName, CutOverState, EventKind, LegCodecs, LegCreate, LegCreated, LegDirection, LegDoor, LegLatch,
    LegRemote, LegRtcpMux, NAME_LEN_MAX, PartyRename, Relatch,
};
use crate::error::{ApiError, ErrorCode};
use crate::interfaces::AddressFamily;

/// Bits of a leg's id that number the legs of one call.
pub(crate) const LEG_BITS: u32 = 16;
/// The most legs of a call at one time: every command looks through them all.
pub(crate) const LEGS_MAX: usize = 64;
/// The most codecs of a leg: there are no more payload types (RFC 3550 5.1).
const CODECS_MAX: usize = 128;

impl Plan<'_> {
    pub(super) fn leg_create(&mut self, fields: &LegCreate) -> Result<Draft, ApiError> {
        let party = party_name(&fields.party)?;
        if self.model.legs.named(&party).is_some() {
            let call = &self.call.name;
            return Err(ApiError::new(
                ErrorCode::PartyExists,
                format!("call {call} has a party {party} already; a second media of it would be {party}/1"),
            ));
        }
        if self.model.legs.0.len() >= LEGS_MAX || self.model.legs_created == u16::MAX {
            return Err(ApiError::new(ErrorCode::NoRoom, format!("a call has at most {LEGS_MAX} legs; delete some")));
        }
        if let Some(dscp) = fields.dscp.filter(|dscp| *dscp > 63) {
            return Err(ApiError::new(ErrorCode::BadRequest, format!("`dscp` is {dscp}: it has six bits, 0 to 63")));
        }
        let codecs = codecs(&fields.codecs)?;
        let family = fields.address_family.or(fields.remote.map(|remote| AddressFamily::of(remote.ip())));
        let interface = self.env.interfaces.choose(fields.interface.as_deref(), family)?;
        let lease = self.leases.take(interface, fields.rtcp_mux, self.now)?;
        let (local, local_rtcp) = self.env.interfaces.local(lease);
        self.model.legs_created += 1;
        let id = LegId(self.call.serial << LEG_BITS | u64::from(self.model.legs_created));
        self.tell_engine(command::Command::AddLeg(Box::new(LegSpec {
            id,
            local_rtp: local,
            local_rtcp,
            remote_rtp: fields.remote,
            remote_rtcp: fields.remote_rtcp,
            codecs: codecs.clone(),
            direction: fields.direction.into(),
            latch: fields.latch.over(self.env.latch, self.env.interfaces.told(lease)),
            egress_mode: fields.egress.map_or(self.env.egress, Into::into),
            media_timeout: match fields.media_timeout_ms {
                None => self.env.media_timeout,
                Some(0) => None,
                Some(ms) => Some(Duration::from_millis(ms.into())),
            },
            relaying: fields.relaying.into(),
            dscp: fields.dscp,
        })));
        if self.model.tapped {
            self.tell_engine(command::Command::SetTapped { leg: id, tapped: true });
        }
        self.model.legs.0.push(Leg {
            id,
            party: Arc::clone(&party),
            lease,
            codecs: self.shared(codecs),
            ice: None,
            srtp: None,
            dtls: None,
            ears: Ears::NONE,
            only_barges_in: false,
            answered: None,
            hearing: Hearing::default(),
            changed_by: None,
        });
        self.record_leg(id);
        self.news.push((Some(Arc::clone(&party)), EventKind::LegCreated { local }));
        let rtcp = local_rtcp.unwrap_or(local);
        Ok(Draft::Created(Box::new(LegCreated {
            party,
            local,
            local_rtcp: rtcp,
            advertised: self.env.interfaces.advertised(lease, local),
            advertised_rtcp: self.env.interfaces.advertised(lease, rtcp),
        })))
    }

    pub(super) fn leg_remote(&mut self, fields: &LegRemote) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        self.tell_engine(command::Command::SetRemote { leg, rtp: fields.remote, rtcp: fields.remote_rtcp });
        Ok(draft)
    }

    pub(super) fn leg_codecs(&mut self, fields: &LegCodecs) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        let codecs = codecs(&fields.codecs)?;
        let shared = self.shared(codecs.clone());
        if let Some(leg) = self.model.legs.get_mut(leg) {
            leg.codecs = shared;
        }
        self.tell_engine(command::Command::SetCodecs { leg, codecs });
        Ok(draft)
    }

    pub(super) fn leg_direction(&mut self, fields: &LegDirection) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        self.tell_engine(command::Command::SetDirection { leg, direction: fields.direction.into() });
        Ok(draft)
    }

    pub(super) fn leg_rtcp_mux(&mut self, fields: &LegRtcpMux) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        self.tell_engine(command::Command::SetRtcpMux { leg, muxed: fields.rtcp_mux });
        Ok(draft)
    }

    pub(super) fn leg_latch(&mut self, fields: &LegLatch) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        let told = self.env.interfaces.told(self.leg(&fields.party)?.lease);
        self.tell_engine(command::Command::SetLatch { leg, policy: fields.latch.over(self.env.latch, told) });
        self.tell_engine(command::Command::SetRelaying { leg, relaying: fields.relaying.into() });
        Ok(draft)
    }

    /// What arrives at the party's ports is the other one's; nobody hears the party itself then.
    pub(super) fn leg_door(&mut self, fields: &LegDoor) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        let into = match &fields.into {
            Some(into) => Some(self.two(&fields.party, into)?.1),
            None => None,
        };
        self.tell_engine(command::Command::SetDoor { leg, into });
        Ok(draft)
    }

    /// All media of the party: `agent`, `agent/1` become `clerk`, `clerk/1`.
    pub(super) fn party_rename(&mut self, fields: &PartyRename) -> Result<Draft, ApiError> {
        let name = party_name(&fields.name)?;
        if name.contains('/') || fields.party.contains('/') {
            let why = format!("{} to {name}: a party is renamed with all its media; leave out the slash", fields.party);
            return Err(ApiError::new(ErrorCode::BadRequest, why));
        }
        if !self.has_party(&fields.party) {
            return Err(self.unknown_party(&fields.party));
        }
        if *name != *fields.party && self.has_party(&name) {
            let call = &self.call.name;
            return Err(ApiError::new(ErrorCode::PartyExists, format!("call {call} has a party {name} already")));
        }
        self.model.legs.rename(&[(fields.party.clone(), name.as_ref().to_owned())]);
        let renamed = EventKind::PartyRenamed { name: Arc::clone(&name) };
        self.news.push((Some(fields.party.as_str().into()), renamed));
        Ok(Draft::Done(name))
    }

    /// Whether it has any media.
    pub(crate) fn has_party(&self, party: &str) -> bool {
        self.model.legs.0.iter().any(|leg| leg.media_of(party).is_some())
    }

    pub(super) fn relatch(&mut self, fields: &Relatch) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(&fields.party)?;
        self.tell_engine(command::Command::Relatch { leg, gate: fields.gate.into() });
        Ok(draft)
    }

    pub(super) fn mute(&mut self, party: &str, muted: bool) -> Result<Draft, ApiError> {
        let (leg, draft) = self.one(party)?;
        self.tell_engine(command::Command::SetMuted { leg, muted });
        Ok(draft)
    }

    /// Whoever heard the leg hears silence; a waiting cut-over that comes to nothing without it is cancelled, and left
    /// alone otherwise. The engine does all of that by itself; but what is heard instead by those who heard it with others is a cut-over,
    /// of which there is a receipt.
    pub(crate) fn leg_delete(&mut self, party: &str) -> Result<Draft, ApiError> {
        let leg = self.leg(party)?.clone();
        let party = Arc::clone(&leg.party);
        let pending: Vec<_> = self.model.records.pending().map(|record| record.id).collect();
        let mut cancelled = Vec::new();
        for id in pending {
            let Some(record) = self.model.records.get_mut(id) else { continue };
            if record.is_void_without(leg.id) {
                cancelled.push(id);
                record.state = CutOverState::Cancelled;
                record.lost_a_leg = true;
                let gone = Some(Arc::clone(&party));
                let told = EventKind::CutOverCancelled { cut_over: id.0, id: record.request.clone(), gone };
                self.news.push((Some(Arc::clone(&party)), told));
            } else {
                record.leave_out(leg.id);
            }
        }
        let legs = &self.model.legs;
        let hears_mixed = |other: &Leg| {
            let heard = legs.heard(other);
            matches!(heard, Heard::Mix(_) | Heard::Overlay(_)) && heard.has(leg.id)
        };
        if legs.0.iter().any(hears_mixed) {
            let mut after = legs.clone();
            after.silence(leg.id);
            // While something waits that concerns them, they are left to the engine.
            let _ = self.change(after, &How::now(CommandName::LegDelete));
        }
        self.tell_engine(command::Command::RemoveLeg { leg: leg.id });
        self.model.legs.remove(leg.id);
        self.freed.push(leg.lease);
        self.ended.extend(leg.dtls.as_ref().map(|dtls| dtls.association));
        let (local, _) = self.env.interfaces.local(leg.lease);
        self.news.push((Some(Arc::clone(&party)), EventKind::LegDeleted { local }));
        Ok(Draft::Deleted { party, cancelled })
    }

    /// Ends the leg that a swap has replaced, unless the swap was undone.
    pub(crate) fn drop_leg(&mut self, leg: LegId, cut_over: CutOverId) -> Result<(), ApiError> {
        let undone = self.model.records.get(cut_over).is_some_and(|record| record.state != CutOverState::Done);
        let party = self.model.legs.get(leg).map(|leg| Arc::clone(&leg.party));
        if let Some(party) = party.filter(|_| !undone) {
            let draft = self.leg_delete(&party)?;
            self.drafts.push(draft);
        }
        Ok(())
    }

    /// The list, of which the legs of a call mostly have the same: then they share it.
    fn shared(&self, codecs: Vec<Codec>) -> Arc<[Codec]> {
        let same = self.model.legs.0.iter().find(|leg| *leg.codecs == *codecs);
        same.map_or_else(|| codecs.into(), |leg| Arc::clone(&leg.codecs))
    }

    pub(super) fn one(&self, party: &str) -> Result<(LegId, Draft), ApiError> {
        let leg = self.leg(party)?;
        Ok((leg.id, Draft::Done(Arc::clone(&leg.party))))
    }
}

/// `agent`, or `agent/1` for a further media; `agent/0` is `agent`.
pub(crate) fn party_name(name: &str) -> Result<Arc<str>, ApiError> {
    let bad = |why: &str| ApiError::new(ErrorCode::BadRequest, format!("party {name:?}: {why}"));
    let (party, media) = name.split_once('/').unwrap_or((name, "0"));
    if party.is_empty() || name.len() > NAME_LEN_MAX || name.chars().any(char::is_control) {
        return Err(bad(&format!("a name has 1 to {NAME_LEN_MAX} bytes and no control characters")));
    }
    match media.parse::<u8>() {
        Ok(0) => Ok(party.into()),
        Ok(index) if index.to_string() == media => Ok(name.into()),
        _ => Err(bad("after the slash stands the number of the media, 0 to 255")),
    }
}

fn codecs(specs: &[CodecSpec]) -> Result<Vec<Codec>, ApiError> {
    let bad = |why: String| ApiError::new(ErrorCode::BadRequest, why);
    if specs.len() > CODECS_MAX {
        return Err(bad(format!("`codecs` has {} entries; {CODECS_MAX} are possible", specs.len())));
    }
    let codecs = specs.iter().map(CodecSpec::to_codec).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    for (index, codec) in codecs.iter().enumerate() {
        if codecs[..index].iter().any(|other| other.payload_type == codec.payload_type) {
            return Err(bad(format!("`codecs` has payload type {} twice", codec.payload_type.get())));
        }
    }
    Ok(codecs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn party_names_have_one_form() {
        for (name, canonical) in [("agent", "agent"), ("agent/0", "agent"), ("agent/1", "agent/1")] {
            assert_eq!(party_name(name).as_deref(), Ok(canonical));
        }
        for name in ["", "/1", "a/", "a/x", "a/01", "a/1/2", "a/256", "a\n", &"x".repeat(256)] {
            assert!(party_name(name).is_err(), "{name:?}");
        }
    }
}
