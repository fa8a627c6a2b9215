//! ICE in offers and answers (RFC 8839): who is told of it, and with which credentials.
//!
//! The relay is a lite agent towards each party for itself: what one side does concerns the other one only in that an offer of
//! ICE is passed on as one, unless the request says otherwise.

use patchcord_ng::options::Ice as Wish;
use patchcord_sdp::{Candidate, Media, Sdp};

use super::media::{Described, Exchange, Phase};
use super::session::{Ice, PartyId, RemoteIce};
use crate::api::{Command, LegIce, Secret};
use crate::error::ApiError;
use crate::ice::{IceCredentials, candidates};

/// What an SDP says of ICE for one m= line.
#[derive(Clone, Debug, Default)]
pub(super) struct DescribedIce {
    pub(super) remote: Option<RemoteIce>,
    pub(super) trickles: bool,
    pub(super) ends: bool,
}

/// What the other side is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToldIce {
    pub(super) ufrag: String,
    pub(super) pwd: Secret,
    pub(super) candidates: Vec<Candidate>,
    /// `a=ice-options:trickle`.
    pub(super) trickles: bool,
    /// `a=end-of-candidates`.
    pub(super) ends: bool,
}

/// What a line, or the session for all lines, says of ICE. Without both credentials there is none (RFC 8839 5.4).
pub(super) fn described(sdp: &Sdp, media: &Media) -> DescribedIce {
    let credentials = media.ice_ufrag.clone().zip(media.ice_pwd.clone());
    let remote = credentials.map(|(ufrag, pwd)| RemoteIce { ufrag, pwd });
    let option = |value: &str| value.split_ascii_whitespace().any(|word| word == "trickle");
    let options = media.attribute("ice-options").or_else(|| sdp.session().attribute_value("ice-options"));
    DescribedIce {
        remote: remote.filter(|remote| IceCredentials::is_remote_ufrag(&remote.ufrag)),
        trickles: options.is_some_and(option),
        ends: media.attribute("end-of-candidates").is_some(),
    }
}

impl Exchange<'_, '_> {
    /// Notes what the sender's line says.
    pub(super) fn note_ice(&mut self, index: usize, line: &Described) {
        let (phase, rejected) = (self.phase, self.options.flags.reject_ice);
        let ice = &mut self.media(self.from, index).ice;
        ice.described = true;
        ice.said = line.ice.remote.clone().map(Box::new);
        ice.trickles = line.ice.trickles;
        if phase == Phase::Offer {
            ice.rejected = rejected;
        }
    }

    /// Plans what the exchange means for the checks of both sides, whose legs are there; says what the receiver is told.
    /// `rtcp_muxed`: it is told of no port for RTCP beside that for RTP.
    pub(super) fn agree_on_ice(
        &mut self,
        index: usize,
        line: &Described,
        rtcp_muxed: bool,
    ) -> Result<Option<ToldIce>, ApiError> {
        let wish = self.options.ice.unwrap_or(Wish::Default);
        let receiver = self.media(self.to, index).ice.clone();
        let forced = matches!(wish, Wish::Force | Wish::ForceRelay | Wish::Optional);
        if !forced && receiver.is_unused() && self.media(self.from, index).ice.is_unused() {
            return Ok(None);
        }
        let (told, trickles) = match self.phase {
            Phase::Offer => {
                // Who has answered without ICE is not offered it again just because the other side has it.
                let by_default = if receiver.described { receiver.said.is_some() } else { line.ice.remote.is_some() };
                let offered = match wish {
                    Wish::Remove => false,
                    Wish::Default => by_default,
                    // Who sends no checks cannot be one candidate among others: it is the only one.
                    Wish::Force | Wish::ForceRelay | Wish::Optional => true,
                };
                self.media(self.to, index).ice.offered = offered;
                (offered, self.options.flags.trickle_ice)
            }
            Phase::Answer => {
                self.answered(index)?;
                let told = receiver.said.is_some() && !receiver.rejected && wish != Wish::Remove;
                if !told {
                    self.end_ice(self.to, index)?;
                }
                (told, receiver.trickles)
            }
        };
        if !told {
            return Ok(None);
        }
        let (ufrag, pwd) = self.tell_credentials(index, &receiver)?;
        let Some(leg) = &self.media(self.to, index).leg else { return Ok(None) };
        let rtcp = Some(leg.advertised_rtcp).filter(|_| !rtcp_muxed);
        let candidates = candidates(leg.advertised, rtcp);
        Ok(Some(ToldIce { ufrag, pwd, candidates, trickles, ends: trickles || line.ice.ends }))
    }

    /// The answerer says whether it takes the ICE that it was offered.
    fn answered(&mut self, index: usize) -> Result<(), ApiError> {
        let ice = &mut self.media(self.from, index).ice;
        let Some(said) = ice.said.clone().filter(|_| ice.offered) else { return self.end_ice(self.from, index) };
        let remote_ufrag = said.ufrag.clone();
        ice.paired_with = Some(said);
        let Some((party, present)) = self.present(self.from, index) else { return Ok(()) };
        if present.is_none_or(|present| present.remote_ufrag.as_deref() == Some(&remote_ufrag)) {
            return Ok(());
        }
        self.plan.add(&Command::LegIce(LegIce { remote_ufrag: Some(remote_ufrag), ..plain(party) }))
    }

    /// The receiver's credentials are those that it has, unless it has restarted ICE (RFC 8839 4.4.1.1.1).
    fn tell_credentials(&mut self, index: usize, receiver: &Ice) -> Result<(String, Secret), ApiError> {
        let none = || ApiError::new(crate::error::ErrorCode::Refused, "a leg that was planned is not there");
        let (party, present) = self.present(self.to, index).ok_or_else(none)?;
        let answers = self.phase == Phase::Answer;
        let restarts = answers && receiver.paired_with.is_some() && receiver.paired_with != receiver.said;
        let remote_ufrag = receiver.said.as_ref().map(|said| said.ufrag.clone());
        if let (Some(present), false) = (&present, restarts) {
            let known = present.remote_ufrag == remote_ufrag || !answers;
            let told = (present.local_ufrag.clone(), Secret(present.local_pwd.clone()));
            if !known {
                self.plan.add(&Command::LegIce(LegIce { remote_ufrag, ..plain(party) }))?;
            }
            if answers {
                self.media(self.to, index).ice.paired_with.clone_from(&receiver.said);
            }
            return Ok(told);
        }
        let sibling = self.sibling(index, receiver);
        let (local_ufrag, local_pwd) = sibling.map_or((None, None), |(ufrag, pwd)| (Some(ufrag), Some(pwd)));
        let restart = local_ufrag.is_none();
        self.plan.add(&Command::LegIce(LegIce { local_ufrag, local_pwd, remote_ufrag, restart, ..plain(party) }))?;
        if answers {
            self.media(self.to, index).ice.paired_with.clone_from(&receiver.said);
        }
        let (_, present) = self.present(self.to, index).ok_or_else(none)?;
        present.map(|present| (present.local_ufrag, Secret(present.local_pwd))).ok_or_else(none)
    }

    /// Credentials of another media of the receiver that has the same ones as this media: bundled media must (RFC 8843 7.1.3).
    fn sibling(&self, index: usize, receiver: &Ice) -> Option<(String, Secret)> {
        let party = self.session.party(self.to)?;
        let wanted = receiver.said.as_ref().filter(|_| self.phase == Phase::Answer);
        let mut others = party.media.iter().enumerate().filter(|(other, media)| {
            *other != index && media.leg.is_some() && media.ice.paired_with.as_ref() == wanted
        });
        others.find_map(|(other, _)| {
            let ice = self.plan.model.legs.named(&party.leg_name(other))?.ice.as_ref()?;
            Some((ice.local_ufrag.clone(), Secret(ice.local_pwd.clone())))
        })
    }

    fn end_ice(&mut self, party: PartyId, index: usize) -> Result<(), ApiError> {
        self.media(party, index).ice.paired_with = None;
        match self.present(party, index) {
            Some((party, Some(_))) => self.plan.add(&Command::LegIce(LegIce { enabled: false, ..plain(party) })),
            _ => Ok(()),
        }
    }

    /// The leg of a media, by its name, with its present credentials.
    fn present(&self, party: PartyId, index: usize) -> Option<(String, Option<IceCredentials>)> {
        let name = self.session.party(party)?.leg_name(index);
        let leg = self.plan.model.legs.named(&name)?;
        let present = leg.ice.as_deref().cloned();
        Some((name, present))
    }
}

const fn plain(party: String) -> LegIce {
    LegIce { party, enabled: true, local_ufrag: None, local_pwd: None, remote_ufrag: None, restart: false }
}
