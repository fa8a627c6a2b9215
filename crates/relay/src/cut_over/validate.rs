//! All or nothing: a batch is judged as a whole before any of it is done.
//!
//! Commands of one batch build on each other (create a leg, bridge it), so each is judged against the shard as the
//! commands before it will have left it. The plan holds just the differences.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::command::{
    CUT_OVER_CHANGES_MAX, Command, CutOver, EgressMode, LegSpec, Overlay, PLAY_NEXT_MAX, Refusal, RelatchGate,
    Relaying, Source, SourceChange, SrtpKeys, Talker, Trigger,
};
use crate::ids::{AssociationId, CutOverId, LegId};
use crate::leg::SourceSlot;
use crate::leg::formats::{list, payload_type_for, share_a_format};
use crate::media::{Codec, Frames, Repeat};
use crate::player::Player;
use crate::shard::Shard;

impl Shard {
    /// Judges a batch; nothing changes.
    ///
    /// # Errors
    /// Index of the first command that cannot be done, and why.
    pub(crate) fn validate(&self, commands: &[Command]) -> Result<(), (usize, Refusal)> {
        let mut plan = Plan {
            shard: self,
            added: Vec::new(),
            removed: Vec::new(),
            codecs: Vec::new(),
            relaying: Vec::new(),
            dialled: Vec::new(),
            queued: Vec::new(),
            doors: Vec::new(),
            srtp: Vec::new(),
            dtls: Vec::new(),
            cut_overs: Vec::new(),
            rolled_back: Vec::new(),
            legs: i64::from(self.legs.in_use()),
        };
        for (index, command) in commands.iter().enumerate() {
            plan.command(command).map_err(|refusal| (index, refusal))?;
        }
        Ok(())
    }
}

/// The shard as the commands so far will have left it.
pub(crate) struct Plan<'a> {
    pub(crate) shard: &'a Shard,
    added: Vec<&'a LegSpec>,
    removed: Vec<LegId>,
    pub(crate) codecs: Vec<(LegId, &'a [Codec])>,
    relaying: Vec<(LegId, Relaying)>,
    /// Steps of key presses that the batch adds.
    pub(crate) dialled: Vec<(LegId, usize)>,
    /// What the batch has played behind what plays to a leg.
    queued: Vec<(LegId, Repeat)>,
    /// Where legs lead that the batch makes doors, or no longer doors.
    doors: Vec<(LegId, Option<LegId>)>,
    /// Legs to which the batch gives SRTP, or takes it from them.
    srtp: Vec<(LegId, bool)>,
    /// Legs to which the batch gives an association, or takes it from them.
    dtls: Vec<(LegId, Option<AssociationId>)>,
    /// Those that the batch commands, and those that its rollbacks amount to.
    cut_overs: Vec<Cow<'a, CutOver>>,
    rolled_back: Vec<CutOverId>,
    legs: i64,
}

impl<'a> Plan<'a> {
    fn command(&mut self, command: &'a Command) -> Result<(), Refusal> {
        match command {
            Command::AddLeg(spec) => self.add_leg(spec),
            Command::RemoveLeg { leg } => {
                self.must_exist(*leg)?;
                self.added.retain(|spec| spec.id != *leg);
                self.removed.push(*leg);
                self.queued.retain(|(other, _)| other != leg);
                self.legs -= 1;
                // What comes to nothing without the leg is cancelled with it and stands in nobody's way any more.
                let removed = &self.removed;
                let gone = |leg: LegId| removed.contains(&leg);
                let void = self.shard.cut_overs.pending().filter(|(_, record)| record.is_void_without(gone));
                self.rolled_back.extend(void.map(|(id, _)| id));
                self.cut_overs
                    .retain(|planned| planned.trigger == Trigger::Immediate || !planned.is_void_without(gone));
                Ok(())
            }
            Command::SetRemote { leg, rtp, rtcp } => {
                let local = self.must_exist(*leg)?;
                must_be_remote(*leg, local, *rtp)?;
                rtcp.map_or(Ok(()), |rtcp| must_be_remote(*leg, local, rtcp))
            }
            Command::SetCodecs { leg, codecs } => {
                self.must_exist(*leg)?;
                self.must_keep_meaning(*leg, codecs)?;
                self.codecs.push((*leg, codecs));
                Ok(())
            }
            Command::SetIce { leg, ice } => {
                self.must_exist(*leg)?;
                ice.as_ref().map_or(Ok(()), |ice| ice.check(*leg))
            }
            Command::SetSrtp { leg, srtp } => self.set_srtp(*leg, srtp.as_deref()),
            Command::SetDtls { leg, association } => {
                self.dtls.push((*leg, *association));
                self.must_exist(*leg).map(drop)
            }
            Command::SendDtls { leg, association, to, .. } => {
                self.must_have_association(*leg, *association)?;
                let local = self.must_exist(*leg)?;
                to.map_or(Ok(()), |to| must_be_remote(*leg, local, to))
            }
            Command::SetDtlsKeys { leg, association, keys, .. } => {
                self.must_have_association(*leg, *association)?;
                self.set_srtp(*leg, Some(keys))
            }
            Command::SetDoor { leg, into } => self.set_door(*leg, *into),
            Command::Relatch { leg, gate } => self.relatch(*leg, *gate),
            Command::SetDirection { leg, .. }
            | Command::SetRtcpMux { leg, .. }
            | Command::SetLatch { leg, .. }
            | Command::SetMuted { leg, .. }
            | Command::SetTapped { leg, .. }
            | Command::SetOverheard { leg, .. }
            | Command::BlockDtmf { leg, .. }
            | Command::StopDtmf { leg } => self.must_exist(*leg).map(drop),
            Command::SetRelaying { leg, relaying } => {
                self.relaying.push((*leg, *relaying));
                self.must_exist(*leg).map(drop)
            }
            Command::SendDtmf { leg, steps } => self.send_dtmf(*leg, steps),
            Command::PlayNext { leg, frames, repeat } => self.play_next(*leg, frames, *repeat),
            Command::EndPlay { leg } => {
                self.must_exist(*leg)?;
                let reason = "nothing is played to it";
                let plays = self.last_played(*leg).is_some() || self.prompt_over(*leg).is_some();
                if plays { Ok(()) } else { Err(Refusal::NotPlaying { leg: *leg, reason }) }
            }
            Command::CutOver(cut_over) => self.cut_over(cut_over),
            Command::Fire { id } => self.fire(*id),
            Command::Rollback { id, by } => self.rollback(*id, *by),
        }
    }

    fn add_leg(&mut self, spec: &'a LegSpec) -> Result<(), Refusal> {
        if self.must_exist(spec.id).is_ok() || self.removed.contains(&spec.id) {
            return Err(Refusal::DuplicateLeg(spec.id));
        }
        let capacity = self.shard.legs.capacity();
        if self.legs >= i64::from(capacity) {
            return Err(Refusal::ShardFull { capacity });
        }
        must_be_unambiguous(spec.id, &spec.codecs)?;
        for remote in [spec.remote_rtp, spec.remote_rtcp].into_iter().flatten() {
            must_be_remote(spec.id, spec.local_rtp, remote)?;
        }
        self.added.push(spec);
        self.legs += 1;
        Ok(())
    }

    fn set_srtp(&mut self, leg: LegId, keys: Option<&SrtpKeys>) -> Result<(), Refusal> {
        self.must_exist(leg)?;
        for key in keys.into_iter().flat_map(|keys| [&keys.receive, &keys.send]).flatten() {
            key.check(leg)?;
        }
        self.srtp.push((leg, keys.is_some()));
        Ok(())
    }

    fn must_have_association(&self, leg: LegId, association: AssociationId) -> Result<(), Refusal> {
        self.must_exist(leg)?;
        let planned = self.dtls.iter().rev().find(|(other, _)| *other == leg).map(|(_, association)| *association);
        if planned.unwrap_or_else(|| self.shard.association_of(leg)) == Some(association) {
            return Ok(());
        }
        Err(Refusal::OtherAssociation { leg, association })
    }

    fn relatch(&self, leg: LegId, gate: RelatchGate) -> Result<(), Refusal> {
        self.must_exist(leg)?;
        let planned = self.srtp.iter().rev().find(|(other, _)| *other == leg).map(|(_, secured)| *secured);
        let present =
            || self.shard.legs.slot(leg).is_some_and(|slot| self.shard.legs.egress[slot as usize].is_secured());
        if gate == RelatchGate::Authentication && !planned.unwrap_or_else(present) {
            let reason = "only SRTP authenticates, and the leg has none; use another gate".to_owned();
            return Err(Refusal::BadSrtp { leg, reason });
        }
        Ok(())
    }

    fn set_door(&mut self, leg: LegId, into: Option<LegId>) -> Result<(), Refusal> {
        self.must_exist(leg)?;
        if let Some(into) = into {
            self.must_exist(into)?;
            let planned = self.doors.iter().rev().find(|(other, _)| *other == into).map(|(_, into)| into.is_some());
            let present = || self.shard.legs.slot(into).is_some_and(|slot| self.shard.legs.is_door(slot));
            if into == leg || planned.unwrap_or_else(present) {
                return Err(Refusal::BadDoor { leg, into });
            }
        }
        self.doors.push((leg, into));
        Ok(())
    }

    fn cut_over(&mut self, cut_over: &'a CutOver) -> Result<(), Refusal> {
        self.must_be_new(cut_over.id)?;
        if cut_over.changes.is_empty() {
            return Err(Refusal::BadChanges("there are none"));
        }
        if cut_over.changes.len() > CUT_OVER_CHANGES_MAX {
            return Err(Refusal::BadChanges("there are too many"));
        }
        for (index, change) in cut_over.changes.iter().enumerate() {
            if cut_over.changes[..index].iter().any(|earlier| earlier.sink == change.sink) {
                return Err(Refusal::BadChanges("one leg is a sink twice"));
            }
            self.change(change)?;
        }
        self.trigger(cut_over)?;
        self.plan_cut_over(Cow::Borrowed(cut_over));
        Ok(())
    }

    fn plan_cut_over(&mut self, cut_over: Cow<'a, CutOver>) {
        if cut_over.trigger == Trigger::Immediate {
            self.queued.retain(|(leg, _)| cut_over.changes.iter().all(|change| change.sink != *leg));
        }
        self.cut_overs.push(cut_over);
    }

    fn play_next(&mut self, leg: LegId, frames: &Frames, repeat: Repeat) -> Result<(), Refusal> {
        self.must_exist(leg)?;
        let no = |reason| Err(Refusal::NotPlaying { leg, reason });
        match self.last_played(leg) {
            Some(Repeat::Times(_)) => {}
            Some(Repeat::Forever) => return no("what is played to it repeats for ever: nothing can follow"),
            None => return no("nothing is played to it that anything could follow"),
        }
        let waiting = self.shard.legs.slot(leg).and_then(|slot| self.shard.legs.queues.get(&slot));
        let waiting = if self.planned_source(leg).is_some() { 0 } else { waiting.map_or(0, VecDeque::len) };
        if waiting + self.queued.iter().filter(|(other, _)| *other == leg).count() >= PLAY_NEXT_MAX {
            return no("as much waits to be played to it as can");
        }
        let awaited = |trigger| matches!(trigger, Trigger::AfterPrompt { leg: other } if other == leg);
        if repeat == Repeat::Forever {
            self.must_not_be_awaited(leg, awaited, |slot| self.shard.legs.cold[slot].prompt_awaited_by)?;
        }
        self.hears_player(leg, frames)?;
        let clock_rate = match self.planned_source(leg) {
            Some(Source::Player { frames, .. }) => Some(frames.clock_rate()),
            _ => self.player_of(leg).map(Player::clock_rate),
        };
        if clock_rate != Some(frames.clock_rate()) {
            let (encoding, rate) = (frames.encoding(), frames.clock_rate());
            let reason = format!("the audio is {encoding}/{rate}, and what it is to follow has another clock rate");
            return Err(Refusal::Incompatible { sink: leg, reason });
        }
        self.queued.push((leg, repeat));
        Ok(())
    }

    fn player_of(&self, leg: LegId) -> Option<&Player> {
        self.shard.legs.cold[self.shard.legs.slot(leg)? as usize].player.as_ref()
    }

    /// What is played last of all that plays, and waits to be played, to a leg.
    fn last_played(&self, leg: LegId) -> Option<Repeat> {
        if let Some((_, repeat)) = self.queued.iter().rev().find(|(other, _)| *other == leg) {
            return Some(*repeat);
        }
        match self.planned_source(leg) {
            Some(Source::Player { repeat, .. }) => Some(*repeat),
            Some(Source::Silence | Source::Leg(_) | Source::Mix(_) | Source::Overlay(_)) => None,
            None => self.shard.last_played(self.shard.legs.slot(leg)?),
        }
    }

    /// Whether a leg has a format for frames.
    fn hears_player(&self, sink: LegId, frames: &Frames) -> Result<(), Refusal> {
        let codecs = self.codecs_of(sink);
        if payload_type_for(frames, codecs).is_some() {
            return Ok(());
        }
        let reason = format!("the audio is {}/{}, it has {}", frames.encoding(), frames.clock_rate(), list(codecs));
        Err(Refusal::Incompatible { sink, reason })
    }

    fn change(&self, change: &SourceChange) -> Result<(), Refusal> {
        self.must_exist(change.sink)?;
        let sink_codecs = self.codecs_of(change.sink);
        match &change.source {
            Source::Silence => Ok(()),
            Source::Leg(source) => {
                self.must_exist(*source)?;
                let source_codecs = self.codecs_of(*source);
                if share_a_format(source_codecs, sink_codecs)
                    || self.shard.must_transcode(source_codecs, sink_codecs, self.mode_of(change.sink))
                {
                    return Ok(());
                }
                let reason = format!(
                    "{source} has {}, it has {}; which is not transcoded here; they need a re-INVITE",
                    list(source_codecs),
                    list(sink_codecs)
                );
                Err(Refusal::Incompatible { sink: change.sink, reason })
            }
            Source::Mix(talkers) => self.must_mix(change.sink, talkers, None),
            Source::Overlay(overlay) => self.must_mix(change.sink, &overlay.talkers, Some(overlay)),
            Source::Player { frames, .. } => self.hears_player(change.sink, frames),
        }
    }

    fn must_mix(&self, sink: LegId, talkers: &[Talker], overlay: Option<&Overlay>) -> Result<(), Refusal> {
        for talker in talkers {
            self.must_exist(talker.leg)?;
        }
        let (to, mode) = (self.codecs_of(sink), self.mode_of(sink));
        let fault = self.shard.mix_fault(talkers, overlay, to, mode, |leg| self.codecs_of(leg));
        fault.map_or(Ok(()), |reason| Err(Refusal::BadMix { sink, reason }))
    }

    fn trigger(&self, cut_over: &CutOver) -> Result<(), Refusal> {
        if cut_over.trigger == Trigger::Immediate {
            return Ok(());
        }
        for change in &cut_over.changes {
            if let Some(pending) = self.pending_for(change.sink) {
                return Err(Refusal::Pending { leg: change.sink, pending });
            }
        }
        match cut_over.trigger {
            Trigger::Immediate | Trigger::At(_) | Trigger::OnCommand => Ok(()),
            Trigger::OnFirstPacket { leg } => {
                if !cut_over.changes.iter().any(|change| change.source.has(leg)) {
                    return Err(Refusal::BadTrigger("the leg to wait for is the source of none of the changes"));
                }
                let waited_for = |trigger| matches!(trigger, Trigger::OnFirstPacket { leg: other } if other == leg);
                self.must_not_be_awaited(leg, waited_for, |slot| self.shard.legs.cold[slot].awaited_by)
            }
            Trigger::AfterPrompt { leg } => {
                self.must_exist(leg)?;
                if !self.hears_a_prompt(leg) {
                    return Err(Refusal::BadTrigger("no prompt with an end plays to the leg to wait for"));
                }
                let waited_for = |trigger| matches!(trigger, Trigger::AfterPrompt { leg: other } if other == leg);
                self.must_not_be_awaited(leg, waited_for, |slot| self.shard.legs.cold[slot].prompt_awaited_by)
            }
        }
    }

    /// Two cut-overs must not wait for the same thing: which one came first would be chance.
    fn must_not_be_awaited(
        &self,
        leg: LegId,
        waited_for: impl Fn(Trigger) -> bool,
        awaited_by: impl Fn(usize) -> Option<CutOverId>,
    ) -> Result<(), Refusal> {
        let planned = self.cut_overs.iter().find(|planned| waited_for(planned.trigger)).map(|planned| planned.id);
        let existing = self.shard.legs.slot(leg).and_then(|slot| awaited_by(slot as usize));
        match planned.or_else(|| existing.filter(|id| !self.rolled_back.contains(id))) {
            Some(pending) => Err(Refusal::Pending { leg, pending }),
            None => Ok(()),
        }
    }

    fn fire(&self, id: CutOverId) -> Result<(), Refusal> {
        let planned = self.cut_overs.iter().find(|planned| planned.id == id).map(|planned| planned.trigger);
        let cut_overs = &self.shard.cut_overs;
        let waiting = || cut_overs.get(id).filter(|_| cut_overs.is_pending(id)).map(|record| record.trigger);
        match planned.or_else(waiting) {
            Some(Trigger::OnCommand) if !self.rolled_back.contains(&id) => Ok(()),
            _ => Err(Refusal::NotWaiting(id)),
        }
    }

    fn rollback(&mut self, id: CutOverId, by: CutOverId) -> Result<(), Refusal> {
        self.must_be_new(by)?;
        let touched = |sink: LegId| {
            self.removed.contains(&sink)
                || self.cut_overs.iter().any(|planned| {
                    planned.trigger == Trigger::Immediate && planned.changes.iter().any(|change| change.sink == sink)
                })
        };
        if self.rolled_back.contains(&id) {
            return Err(Refusal::NotTheLatest(id));
        }
        if !self.shard.cut_overs.is_pending(id) {
            let changes = self.shard.way_back(id)?;
            for change in &changes {
                if touched(change.sink) {
                    return Err(Refusal::NotTheLatest(id));
                }
                self.change(change)?;
            }
            self.plan_cut_over(Cow::Owned(CutOver { id: by, changes, trigger: Trigger::Immediate }));
        }
        self.rolled_back.push(id);
        Ok(())
    }

    /// Finds a leg, in the shard or among those that the batch adds; its local address is the answer.
    pub(crate) fn must_exist(&self, leg: LegId) -> Result<core::net::SocketAddr, Refusal> {
        if let Some(spec) = self.added.iter().find(|spec| spec.id == leg) {
            return Ok(spec.local_rtp);
        }
        match self.shard.legs.slot(leg) {
            Some(slot) if !self.removed.contains(&leg) => Ok(self.shard.legs.cold[slot as usize].local_rtp),
            _ => Err(Refusal::UnknownLeg(leg)),
        }
    }

    fn must_be_new(&self, id: CutOverId) -> Result<(), Refusal> {
        if self.shard.cut_overs.get(id).is_some() || self.cut_overs.iter().any(|planned| planned.id == id) {
            return Err(Refusal::DuplicateCutOver(id));
        }
        Ok(())
    }

    fn must_keep_meaning(&self, leg: LegId, codecs: &[Codec]) -> Result<(), Refusal> {
        must_be_unambiguous(leg, codecs)?;
        let in_shard =
            self.shard.legs.slot(leg).map_or(&[][..], |slot| &self.shard.legs.cold[slot as usize].codecs_ever);
        let in_batch = self.codecs.iter().filter(|(other, _)| *other == leg).flat_map(|(_, codecs)| codecs.iter());
        let added = self.added.iter().filter(|spec| spec.id == leg).flat_map(|spec| spec.codecs.iter());
        for known in in_shard.iter().chain(in_batch).chain(added) {
            must_agree(leg, known, codecs)?;
        }
        Ok(())
    }

    pub(crate) fn codecs_of(&self, leg: LegId) -> &[Codec] {
        if let Some((_, codecs)) = self.codecs.iter().rev().find(|(other, _)| *other == leg) {
            return codecs;
        }
        if let Some(spec) = self.added.iter().find(|spec| spec.id == leg) {
            return &spec.codecs;
        }
        self.shard.legs.slot(leg).map_or(&[], |slot| &self.shard.legs.cold[slot as usize].codecs)
    }

    fn mode_of(&self, leg: LegId) -> EgressMode {
        let planned = self.added.iter().find(|spec| spec.id == leg).map(|spec| spec.egress_mode);
        let present = || self.shard.legs.slot(leg).map(|slot| self.shard.legs.egress[slot as usize].mode());
        planned.or_else(present).unwrap_or_default()
    }

    /// What an immediate cut-over of the batch gives the leg to hear.
    pub(crate) fn planned_source(&self, sink: LegId) -> Option<&Source> {
        let planned = self.cut_overs.iter().rev().filter(|planned| planned.trigger == Trigger::Immediate);
        planned.flat_map(|planned| &planned.changes).find(|change| change.sink == sink).map(|change| &change.source)
    }

    /// The leg that this one hears.
    pub(crate) fn source_of(&self, sink: LegId) -> Option<LegId> {
        let source = match self.planned_source(sink) {
            Some(Source::Leg(source)) => *source,
            Some(Source::Silence | Source::Mix(_) | Source::Overlay(_) | Source::Player { .. }) => return None,
            None => {
                let slot = self.shard.legs.slot(sink)?;
                let SourceSlot::Leg(source) = self.shard.legs.egress[slot as usize].source else { return None };
                self.shard.legs.cold[source as usize].id
            }
        };
        (!self.removed.contains(&source)).then_some(source)
    }

    /// Whether what the leg's party sends is relayed unread.
    pub(crate) fn is_opaque(&self, leg: LegId) -> bool {
        if let Some((_, relaying)) = self.relaying.iter().rev().find(|(other, _)| *other == leg) {
            return *relaying == Relaying::Opaque;
        }
        if let Some(spec) = self.added.iter().find(|spec| spec.id == leg) {
            return spec.relaying == Relaying::Opaque;
        }
        self.shard.legs.slot(leg).is_some_and(|slot| self.shard.legs.ingress[slot as usize].is_opaque())
    }

    fn pending_for(&self, sink: LegId) -> Option<CutOverId> {
        let wants = |planned: &&Cow<'_, CutOver>| {
            planned.trigger != Trigger::Immediate && planned.changes.iter().any(|change| change.sink == sink)
        };
        if let Some(planned) = self.cut_overs.iter().find(wants) {
            return Some(planned.id);
        }
        let slot = self.shard.legs.slot(sink)?;
        self.shard.legs.cold[slot as usize].pending.filter(|id| !self.rolled_back.contains(id))
    }

    /// How often a prompt is played over what a leg hears, if one is.
    fn prompt_over(&self, leg: LegId) -> Option<Repeat> {
        match self.planned_source(leg) {
            Some(Source::Overlay(overlay)) => Some(overlay.prompt.repeat),
            Some(_) => None,
            None => self.shard.legs.prompt_over(self.shard.legs.slot(leg)?),
        }
    }

    fn hears_a_prompt(&self, leg: LegId) -> bool {
        matches!(self.last_played(leg).or_else(|| self.prompt_over(leg)), Some(Repeat::Times(_)))
    }
}

/// One list must not give a payload type two meanings.
fn must_be_unambiguous(leg: LegId, codecs: &[Codec]) -> Result<(), Refusal> {
    codecs.iter().enumerate().try_for_each(|(index, known)| must_agree(leg, known, &codecs[index + 1..]))
}

fn must_agree(leg: LegId, known: &Codec, codecs: &[Codec]) -> Result<(), Refusal> {
    let same_number = |codec: &&Codec| codec.payload_type == known.payload_type;
    match codecs.iter().filter(same_number).find(|codec| !codec.same_format(known)) {
        None => Ok(()),
        Some(wanted) => Err(Refusal::PayloadTypeChanged {
            leg,
            payload_type: known.payload_type.get(),
            was: format!("{}/{}", known.encoding, known.clock_rate),
            wanted: format!("{}/{}", wanted.encoding, wanted.clock_rate),
        }),
    }
}

fn must_be_remote(leg: LegId, local: core::net::SocketAddr, remote: core::net::SocketAddr) -> Result<(), Refusal> {
    let reason = if remote.port() == 0 {
        format!("{remote} cannot be a remote address: its port is 0")
    } else if remote.ip().is_unspecified() || remote.ip().is_multicast() {
        format!("{remote} cannot be a remote address: it is not the address of one host")
    } else if local.is_ipv4() != remote.is_ipv4() {
        format!("{remote} cannot be reached from {local}: choose an interface of the same address family")
    } else {
        return Ok(());
    };
    Err(Refusal::BadAddress { leg, reason })
}
