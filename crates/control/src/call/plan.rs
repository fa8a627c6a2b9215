//! Planning a batch: on a copy of the call's model, with ports leased on approval, into one batch for the engine.
//!
//! Nothing of a plan is in force until the engine has applied its commands: a plan that is dropped has not happened.

use std::sync::Arc;

use patchcord_recording::RecordingId;
use patchcord_relay::command::{self, Refusal};
use patchcord_relay::ids::{AssociationId, CutOverId, LegId};
use patchcord_relay::time::MonoTime;

use super::model::{CallModel, Leg};
use crate::api::{CheckResult, Command, EventKind, LegCreated, LegDtlsDone, LegIceDone, LegSrtpDone};
use crate::dtls::NewAssociations;
use crate::env::Env;
use crate::error::{ApiError, ErrorCode};
use crate::interfaces::{Lease, NewLeases};

/// A batch on its way to the engine.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) env: &'a Env,
    pub(super) call: &'a CallName,
    /// That has the call's legs.
    pub(super) worker: usize,
    /// The id of the request; `None` where nobody asked.
    pub(super) request: Option<Arc<str>>,
    pub(super) now: MonoTime,
    /// The call as it will be.
    pub(crate) model: CallModel,
    /// For the engine.
    engine: Vec<command::Command>,
    /// The index of the command in the batch that each of them comes from.
    engine_from: Vec<usize>,
    /// What will be answered, one entry a command.
    pub(crate) drafts: Vec<Draft>,
    /// What will be told, and about which party.
    pub(crate) news: Vec<(Option<Arc<str>>, EventKind)>,
    pub(crate) leases: NewLeases,
    /// Ports of legs that will be gone.
    pub(crate) freed: Vec<Lease>,
    pub(crate) associations: NewAssociations,
    /// Associations that will be over.
    pub(crate) ended: Vec<AssociationId>,
    /// A recording that will be over, whose files are not kept.
    pub(crate) discards: Option<RecordingId>,
}

/// Which call this is.
#[derive(Debug)]
pub(crate) struct CallName {
    pub(crate) name: Arc<str>,
    /// Unique for the life of the process; the upper bits of its legs' ids.
    pub(crate) serial: u64,
}

/// The answer to a command, before it is known what came of it.
#[derive(Debug)]
pub(crate) enum Draft {
    Created(Box<LegCreated>),
    Ice(Box<LegIceDone>),
    Srtp(Box<LegSrtpDone>),
    Dtls(Box<LegDtlsDone>),
    Deleted {
        party: Arc<str>,
        cancelled: Vec<CutOverId>,
    },
    Check(CheckResult),
    /// Nothing to change, or the cut-overs that change it.
    CutOver(Vec<CutOverId>),
    /// The name of a recording.
    Recording(Arc<str>),
    Done(Arc<str>),
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        env: &'a Env,
        call: &'a CallName,
        worker: usize,
        request: Option<Arc<str>>,
        model: CallModel,
        now: MonoTime,
    ) -> Self {
        Self {
            env,
            call,
            worker,
            request,
            now,
            model,
            engine: Vec::new(),
            engine_from: Vec::new(),
            drafts: Vec::new(),
            news: Vec::new(),
            leases: NewLeases::new(Arc::clone(&env.interfaces)),
            freed: Vec::new(),
            associations: NewAssociations::new(Arc::clone(&env.handshakes)),
            ended: Vec::new(),
            discards: None,
        }
    }

    /// Plans all commands of a batch.
    ///
    /// # Errors
    /// The first command that cannot be done, with its index.
    pub(crate) fn add_all(&mut self, commands: &[Command]) -> Result<(), ApiError> {
        commands.iter().enumerate().try_for_each(|(index, command)| self.add(command).map_err(|error| error.at(index)))
    }

    /// The commands for the engine, which are gone from the plan then.
    pub(crate) fn take_engine_commands(&mut self) -> Vec<command::Command> {
        self.listen_for_barge_in();
        core::mem::take(&mut self.engine)
    }

    /// Plans one command.
    ///
    /// # Errors
    /// It cannot be done.
    pub(crate) fn add(&mut self, command: &Command) -> Result<(), ApiError> {
        let draft = match command {
            Command::LegCreate(fields) => self.leg_create(fields)?,
            Command::LegRemote(fields) => self.leg_remote(fields)?,
            Command::LegCodecs(fields) => self.leg_codecs(fields)?,
            Command::LegDirection(fields) => self.leg_direction(fields)?,
            Command::LegRtcpMux(fields) => self.leg_rtcp_mux(fields)?,
            Command::LegLatch(fields) => self.leg_latch(fields)?,
            Command::LegIce(fields) => self.leg_ice(fields)?,
            Command::LegSrtp(fields) => self.leg_srtp(fields)?,
            Command::LegDtls(fields) => self.leg_dtls(fields)?,
            Command::LegDoor(fields) => self.leg_door(fields)?,
            Command::LegDelete(fields) => self.leg_delete(&fields.party)?,
            Command::PartyRename(fields) => self.party_rename(fields)?,
            Command::Relatch(fields) => self.relatch(fields)?,
            Command::Mute(fields) => self.mute(&fields.party, true)?,
            Command::Unmute(fields) => self.mute(&fields.party, false)?,
            Command::DtmfBlock(fields) => self.block_dtmf(&fields.party, true)?,
            Command::DtmfUnblock(fields) => self.block_dtmf(&fields.party, false)?,
            Command::DtmfSend(fields) => self.dtmf_send(fields)?,
            Command::DtmfStop(fields) => self.dtmf_stop(&fields.party)?,
            Command::Detect(fields) => self.detect(fields)?,
            Command::DetectStop(fields) => self.detect_stop(&fields.party)?,
            Command::Check(fields) => self.check(fields)?,
            Command::Bridge(fields) => self.bridge(fields)?,
            Command::Unbridge(fields) => self.unbridge(fields)?,
            Command::Swap(fields) => self.swap(fields)?,
            Command::Hold(fields) => self.hold(fields)?,
            Command::Resume(fields) => self.resume(&fields.party)?,
            Command::Play(fields) => self.play(fields)?,
            Command::Stop(fields) => self.stop(&fields.party)?,
            Command::Ringback(fields) => self.ringback(fields)?,
            Command::Monitor(fields) => self.monitor(fields)?,
            Command::Unmonitor(fields) => self.unmonitor(&fields.party)?,
            Command::Conference(fields) => self.conference(&fields.parties)?,
            Command::Leave(fields) => self.leave(&fields.party)?,
            Command::Whisper(fields) => self.whisper(fields)?,
            Command::Unwhisper(fields) => self.unwhisper(&fields.party)?,
            Command::Gain(fields) => self.gain(fields)?,
            Command::RecordStart(fields) => self.record_start(fields)?,
            Command::RecordPause(_) => self.record_pause(true)?,
            Command::RecordResume(_) => self.record_pause(false)?,
            Command::RecordStop(fields) => self.record_stop(fields.discard)?,
            Command::Rollback(fields) => self.rollback(&fields.of)?,
        };
        self.drafts.push(draft);
        Ok(())
    }

    /// Adds a command for the engine on behalf of the command that is being planned.
    pub(crate) fn tell_engine(&mut self, command: command::Command) {
        self.engine.push(command);
        self.engine_from.push(self.drafts.len());
    }

    /// The leg of that name.
    pub(super) fn leg(&self, party: &str) -> Result<&Leg, ApiError> {
        self.model.legs.named(party).ok_or_else(|| self.unknown_party(party))
    }

    pub(super) fn unknown_party(&self, party: &str) -> ApiError {
        let known: Vec<_> = self.model.legs.0.iter().map(|leg| &*leg.party).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let call = &self.call.name;
        ApiError::new(ErrorCode::UnknownParty, format!("call {call} has no party {party}; it has: {known}"))
    }

    /// Two different legs.
    pub(super) fn two(&self, a: &str, b: &str) -> Result<(LegId, LegId), ApiError> {
        let (one, other) = (self.leg(a)?.id, self.leg(b)?.id);
        if one == other {
            return Err(ApiError::new(ErrorCode::BadRequest, format!("{a} is given twice; name two parties")));
        }
        Ok((one, other))
    }

    /// The name of a leg in messages.
    pub(super) fn party(&self, id: LegId) -> &str {
        self.model.legs.get(id).map_or("a party that is gone", |leg| &leg.party)
    }

    /// What a refusal of the engine means to the client.
    pub(crate) fn refused(&self, at: usize, refusal: &Refusal) -> ApiError {
        let (code, message) = match refusal {
            Refusal::ShardFull { .. } => (ErrorCode::NoRoom, refusal.to_string()),
            Refusal::NotTheLatest(_) => (ErrorCode::NotTheLatest, refusal.to_string()),
            Refusal::Pending { leg, pending } => (
                ErrorCode::CutOverPending,
                format!("{} already waits for {pending}: roll that back first", self.party(*leg)),
            ),
            Refusal::BadChanges(_) => (ErrorCode::BadChanges, refusal.to_string()),
            Refusal::BadTrigger(_) => (ErrorCode::BadTrigger, refusal.to_string()),
            Refusal::Incompatible { sink, reason } => {
                (ErrorCode::Incompatible, format!("{} cannot hear that source: {reason}", self.party(*sink)))
            }
            Refusal::BadMix { sink, reason } => {
                (ErrorCode::Incompatible, format!("{} cannot hear that mixed: {reason}", self.party(*sink)))
            }
            Refusal::NoDtmf { leg, reason } => {
                (ErrorCode::NoDtmf, format!("{} cannot be sent key presses: {reason}", self.party(*leg)))
            }
            Refusal::PayloadTypeChanged { leg, payload_type, was, wanted } => (
                ErrorCode::PayloadTypeChanged,
                format!(
                    "{}: payload type {payload_type} is {was} in this session and cannot become {wanted}",
                    self.party(*leg)
                ),
            ),
            Refusal::BadDoor { leg, into } => (
                ErrorCode::BadRequest,
                format!("{} cannot be a door into {}, which is one itself", self.party(*leg), self.party(*into)),
            ),
            Refusal::BadAddress { leg, reason } => (ErrorCode::BadAddress, format!("{}: {reason}", self.party(*leg))),
            Refusal::BadSrtp { leg, reason } => (ErrorCode::BadSrtp, format!("{}: {reason}", self.party(*leg))),
            Refusal::BadIce { leg, reason } => (ErrorCode::BadIce, format!("{}: {reason}", self.party(*leg))),
            Refusal::PortUnavailable { .. } => (ErrorCode::PortUnavailable, refusal.to_string()),
            _ => (ErrorCode::Refused, refusal.to_string()),
        };
        let error = ApiError::new(code, message);
        match self.engine_from.get(at) {
            Some(&index) => error.at(index),
            None => error,
        }
    }
}
