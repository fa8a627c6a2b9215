//! `publish`: somebody sends media that nobody need answer, for others to subscribe to.

use patchcord_ng::{Dict, Options, reason};
use patchcord_sdp::Sdp;

use super::Ng;
use super::call::{call_id, said, unix_s, unix_us};
use super::control::ok;
use super::describe::described;
use super::keying::ToldKeys;
use super::media::{Described, Exchange, Phase, Told, Want};
use super::own_sdp::{accepted, answer};
use super::refuse::Refused;
use super::session::{BadTags, PartyId, Role, Session};
use crate::api::Direction;
use crate::call::Plan;
use crate::error::{ApiError, ErrorCode};
use crate::interfaces::AddressFamily;

impl Ng {
    /// Takes a publisher's offer and answers it at once.
    pub(super) async fn publish(&self, options: &Options) -> Result<Dict, Refused> {
        call_id(options)?;
        let from_tag = said(options.from_tag.as_ref()).ok_or(reason::NO_FROM_TAG)?;
        let bytes = options.sdp.as_deref().ok_or(reason::NO_SDP)?;
        let sdp =
            Sdp::parse(bytes).map_err(|error| Refused::Known { reason: reason::BAD_SDP, detail: error.to_string() })?;
        let mut lines = described(&sdp, options)?;
        for (line, media) in lines.iter_mut().zip(sdp.media()) {
            let format = accepted(media);
            line.codecs.retain(|codec| codec.payload_type.get().to_string() == format);
        }
        loop {
            let (call, is_new) = self.find_or_create(options)?;
            let gate = call.gate.lock().await;
            let mut told = None;
            let mut add = |plan: &mut Plan<'_>| {
                let mut session = call.session().clone();
                let publisher = session.of_publisher(from_tag)?;
                let planned =
                    self.exchange_with(publisher, options, Phase::Offer, &mut session, plan).publish(&lines)?;
                session.note_signal((publisher, publisher), unix_us());
                session.note_description(publisher, sdp.as_str(), options.label.as_deref());
                told = Some((session, publisher, planned));
                Ok(())
            };
            let result = self.0.control.run(&call, None, &mut add).await;
            match (result, told) {
                (Ok(_), Some((mut session, publisher, told))) => {
                    let here = told.iter().find_map(|told| match told {
                        Told::Here { rtp, .. } => Some(rtp.ip()),
                        Told::Disabled => None,
                    });
                    let author = self.author(&call, &session, publisher, here, options);
                    let text = answer(&sdp, &told, options, author);
                    let text = self.versioned(text, &mut session, publisher, true);
                    *call.session() = session;
                    return Ok(ok().with("sdp", text));
                }
                // It ended just now: the next one is a new one.
                (Err(error), _) if error.code == ErrorCode::UnknownCall => drop(gate),
                (Err(error), _) => {
                    drop(gate);
                    if is_new {
                        // Nobody has anything from it: it must not stay behind.
                        drop(self.0.control.delete_call(&call.name.name, None).await);
                    }
                    return Err(error.into());
                }
                (Ok(_), None) => unreachable!("what was planned has an outcome"),
            }
        }
    }
}

impl Exchange<'_, '_> {
    /// Plans the legs that the publisher, both sides of this exchange, sends to.
    fn publish(&mut self, lines: &[Described]) -> Result<Vec<Told>, ApiError> {
        self.choose_interfaces();
        let publisher = self.from;
        let told = lines.iter().enumerate().map(|(index, line)| {
            let media = self.media(publisher, index);
            media.kind.clone_from(&line.kind);
            media.protocol.clone_from(&line.protocol);
            media.mid.clone_from(&line.mid);
            media.packets.say(line.ptime_ms, line.maxptime_ms);
            media.codecs.clone_from(&line.codecs);
            if !line.enabled {
                self.disable(publisher, index)?;
                return Ok(Told::Disabled);
            }
            let leg = self.media(publisher, index).leg.clone();
            let sends =
                !self.config.enforce_direction || matches!(line.direction, Direction::SendRecv | Direction::SendOnly);
            let want = Want {
                remote: line.remote.or(leg.and_then(|leg| leg.remote)),
                remote_rtcp: line.remote_rtcp,
                direction: if sends { Direction::SendOnly } else { Direction::Inactive },
                latch: self.latch(),
                relaying: self.relaying(publisher, index, &line.protocol),
                muxed: line.mux,
                codecs: line.codecs.clone(),
                family: self.family_of(publisher).or(line.remote.map(|remote| AddressFamily::of(remote.ip()))),
                number: index,
            };
            self.set_leg(publisher, index, want)?;
            let Some(leg) = &self.media(publisher, index).leg else { return Ok(Told::Disabled) };
            let (rtp, rtcp) = (leg.advertised, leg.advertised_rtcp);
            let (protocol, keys) = (line.protocol.clone(), ToldKeys::Keep);
            Ok(Told::Here { rtp, rtcp, mux: line.mux, mux_required: false, ice: None, protocol, keys, formats: None })
        });
        told.collect()
    }
}

impl Session {
    /// The publisher of this tag, made if nobody has the tag.
    fn of_publisher(&mut self, tag: &str) -> Result<PartyId, BadTags> {
        let id = match self.tagged(tag) {
            Some(party) if party.role == Role::Publisher => party.id,
            Some(_) => return Err(BadTags::Association),
            None => self.make(Some(tag), None, unix_s()),
        };
        if let Some(party) = self.party_mut(id) {
            party.role = Role::Publisher;
            party.described = true;
        }
        Ok(id)
    }
}
