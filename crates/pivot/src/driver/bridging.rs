//! Between the call and the relay: what the call wants heard, as bridge commands; and what the relay has done of it.

use std::sync::Arc;

use patchcord_control::ApiError;
use patchcord_control::api::{
    Bridge, CallEvent, Command, Conference, CutOverEvent, Detect, EventKind, Hold, KeepOld, Monitor, OneOrMore,
    OneParty, Ringback, Rollback, Sound, Swap, Trigger as When, Whisper,
};

use super::task::{Party, Swap as Waiting, Task};
use crate::call::words::{Receipt, Trigger};
use crate::call::{Input, MediaAct, MediaInput, PartyId};

/// The relay's audio of that name.
const SILENCE: &str = "silence";

impl Task {
    /// Does what is said about media.
    pub(super) async fn bridge(&mut self, act: MediaAct) {
        let about = about(&act);
        for (id, party) in &self.parties {
            self.timeline.joined(*id, &party.name);
        }
        match self.try_bridge(act.clone()).await {
            Ok(()) => self.timeline.executed(&act, self.shared.settings.ringback.is_some()),
            Err(error) => {
                tracing::warn!(call = %self.name, ?act, %error, "the relay refuses a bridge command");
                if let Some(party) = about {
                    self.happened.push(Input::Media(MediaInput::Failed(party)));
                }
            }
        }
        self.note_heard();
    }

    /// Keeps what is heard otherwise than before.
    fn note_heard(&mut self) {
        let news = self.timeline.news(self.now(), |party| self.parties.contains_key(&party));
        if !news.is_empty() {
            self.shared.book.heard(&self.name, self.number, news);
        }
    }

    async fn try_bridge(&mut self, act: MediaAct) -> Result<(), ApiError> {
        let commands = match act {
            MediaAct::Bridge { a, b } => {
                self.are_peers(a, b);
                vec![Command::Bridge(Bridge { a: self.name(a), b: self.name(b), trigger: None })]
            }
            MediaAct::Hold { party, audio } => {
                if let Some(known) = self.parties.get_mut(&party) {
                    known.hold_audio = audio.clone();
                }
                let mut commands = vec![hold(self.name(party), audio.as_deref())];
                commands.extend(self.end_early(party));
                self.set_held(party, true);
                commands
            }
            MediaAct::Resume(party) => {
                let mut commands = Vec::new();
                if self.parties.get(&party).is_some_and(|party| party.is_held) {
                    commands.push(Command::Resume(OneParty { party: self.name(party) }));
                }
                commands.extend(self.end_early(party));
                self.set_held(party, false);
                commands
            }
            MediaAct::Ringback(party) => match self.shared.settings.ringback.clone() {
                Some(country) => vec![Command::Ringback(Ringback { party: self.name(party), country })],
                None => Vec::new(),
            },
            MediaAct::EarlyMedia { listener, from } => self.early_media(listener, from),
            MediaAct::Stop(party) => {
                let mut commands = vec![Command::Stop(OneParty { party: self.name(party) })];
                if self.parties.get(&party).is_some_and(|party| party.early.is_some()) {
                    commands.extend(self.end_early(party));
                    if let Some(known) = self.parties.get(&party).filter(|party| party.is_held) {
                        commands.push(hold(self.name(party), known.hold_audio.as_deref()));
                    }
                }
                commands
            }
            MediaAct::Swap { survivor, old, new, trigger } => return self.swap(survivor, old, new, trigger).await,
            MediaAct::CancelSwap(survivor) => {
                self.cancel_swap(survivor).await;
                return Ok(());
            }
            MediaAct::Conference(parties) => {
                for &party in &parties {
                    self.set_held(party, false);
                    if let Some(party) = self.parties.get_mut(&party) {
                        (party.early, party.peer) = (None, None);
                    }
                }
                vec![Command::Conference(Conference {
                    parties: parties.into_iter().map(|party| self.name(party)).collect(),
                })]
            }
            MediaAct::Leave(party) => vec![Command::Leave(OneParty { party: self.name(party) })],
            MediaAct::Whisper { party, by } => {
                vec![Command::Whisper(Whisper { party: self.name(party), by: self.name(by), gain_db: 0 })]
            }
            MediaAct::Unwhisper(party) => vec![Command::Unwhisper(OneParty { party: self.name(party) })],
            MediaAct::Detect(party) => {
                // All else is as the relay is configured.
                let patience = self.shared.settings.timing.detection;
                let answer_timeout_ms =
                    patience.and_then(|patience| u32::try_from(patience.as_millis().clamp(500, 60_000)).ok());
                vec![Command::Detect(Detect { party: self.name(party), answer_timeout_ms, ..Detect::default() })]
            }
            MediaAct::Drop(party) => {
                self.drop_party(party).await;
                return Ok(());
            }
        };
        if commands.is_empty() {
            return Ok(());
        }
        self.legs.execute(commands).await.map(drop)
    }

    fn name(&self, party: PartyId) -> String {
        self.parties.get(&party).map(|party| party.name.to_string()).unwrap_or_default()
    }

    /// The two hear each other from now on; whoever they heard before hears nobody.
    fn are_peers(&mut self, a: PartyId, b: PartyId) {
        for (one, other) in [(a, b), (b, a)] {
            if let Some(party) = self.parties.get_mut(&one) {
                (party.peer, party.is_held, party.early) = (Some(other), false, None);
            }
        }
    }

    fn set_held(&mut self, party: PartyId, is_held: bool) {
        if let Some(party) = self.parties.get_mut(&party) {
            party.is_held = is_held;
        }
    }

    /// The listener hears the party that rings. Its own peer is put on hold meanwhile: so nobody hears the listener.
    fn early_media(&mut self, listener: PartyId, from: PartyId) -> Vec<Command> {
        let Some(party) = self.parties.get_mut(&listener) else { return Vec::new() };
        let first = party.early.replace(from).is_none();
        let (is_held, peer) = (party.is_held, party.peer);
        let mut commands = Vec::new();
        if first && let Some(peer) = peer.filter(|peer| self.parties.contains_key(peer)) {
            commands.push(hold(self.name(peer), Some(SILENCE)));
        }
        let (listener, of) = (self.name(listener), OneOrMore::One(self.name(from)));
        commands.push(Command::Monitor(Monitor { party: listener.clone(), of }));
        if is_held && first {
            commands.push(Command::Resume(OneParty { party: listener }));
        } else {
            // A ringing tone would cover it.
            commands.push(Command::Stop(OneParty { party: listener }));
        }
        commands
    }

    /// The party hears early media no longer.
    fn end_early(&mut self, party: PartyId) -> Vec<Command> {
        let Some(known) = self.parties.get_mut(&party) else { return Vec::new() };
        if known.early.take().is_none() {
            return Vec::new();
        }
        let peer = known.peer.filter(|peer| self.parties.get(peer).is_some_and(|peer| !peer.is_held));
        let mut commands = vec![Command::Unmonitor(OneParty { party: self.name(party) })];
        commands.extend(peer.map(|peer| Command::Resume(OneParty { party: self.name(peer) })));
        commands
    }

    async fn swap(
        &mut self,
        survivor: PartyId,
        old: Option<PartyId>,
        new: PartyId,
        trigger: Trigger,
    ) -> Result<(), ApiError> {
        self.cancel_swap(survivor).await;
        let at_once = trigger == Trigger::Immediate;
        let trigger = Some(match trigger {
            Trigger::Immediate => When::Immediate,
            Trigger::FirstPacket => When::OnFirstPacket,
            Trigger::Human => When::OnHuman,
        });
        let (name, to) = (self.name(survivor), self.name(new));
        let command = match old.filter(|old| self.parties.contains_key(old)) {
            Some(old) => {
                let old = self.name(old);
                Command::Swap(Swap { survivor: name, old, new: to, trigger, keep_old: KeepOld::Hold })
            }
            None => Command::Bridge(Bridge { a: name, b: to, trigger }),
        };
        let answer = self.legs.execute(vec![command]).await?;
        if let Some(party) = self.parties.get_mut(&survivor) {
            party.swap = Some(Waiting { id: answer.id.to_string(), new, receipts: Vec::new(), is_done: at_once });
        }
        if at_once {
            // A party that is silent, or muted, has its place all the same: what is proven later goes to the record.
            self.are_peers(survivor, new);
            self.timeline.swapped(survivor, new);
            self.happened.push(Input::Media(MediaInput::CutOver { survivor, new, receipts: Vec::new() }));
        }
        Ok(())
    }

    /// Takes a swap back that has not happened.
    async fn cancel_swap(&mut self, survivor: PartyId) {
        let swap = self.parties.get_mut(&survivor).and_then(|party| party.swap.take());
        let Some(Waiting { id, is_done: false, .. }) = swap else { return };
        if let Err(error) = self.legs.execute(vec![Command::Rollback(Rollback { of: id })]).await {
            tracing::debug!(call = %self.name, %error, "a swap that is to be taken back");
        }
    }

    async fn drop_party(&mut self, party: PartyId) {
        let Some(gone) = self.parties.remove(&party) else { return };
        self.shared.forget(&gone, &mut self.shared.index());
        self.party_leaves(&gone.name).await;
        self.legs.remove(&gone.name).await;
        for other in self.parties.values_mut() {
            other.peer = other.peer.filter(|peer| *peer != party);
            other.early = other.early.filter(|early| *early != party);
            if other.swap.as_ref().is_some_and(|swap| swap.new == party) {
                other.swap = None;
            }
        }
    }

    /// The relay says something about the call.
    pub(super) fn media_said(&mut self, event: &CallEvent) {
        self.facts.note(event, self.now());
        let party = event
            .party
            .as_ref()
            .and_then(|name| self.parties.iter().find(|(_, party)| party.name == *name).map(|(id, _)| *id));
        let input = match &event.kind {
            EventKind::Detected { sound: Sound::Human, .. } => party.map(MediaInput::Human),
            EventKind::Detected { sound: Sound::Machine, .. } => party.map(MediaInput::Machine),
            EventKind::Detected { sound: Sound::Undecided, .. } => party.map(MediaInput::Undecided),
            EventKind::CutOver(cut_over) => self.cut_over(event, cut_over),
            EventKind::CallDeleted => {
                // Somebody has deleted it at the relay.
                self.hang_up();
                None
            }
            _ => None,
        };
        self.happened.extend(input.map(Input::Media));
    }

    /// One direction of a cut-over. That of the survivor tells that a swap has happened; what is proven later goes to the record.
    fn cut_over(&mut self, event: &CallEvent, cut_over: &CutOverEvent) -> Option<MediaInput> {
        let of = cut_over.id.as_deref();
        let is_of = |party: &Party| party.swap.as_ref().is_some_and(|swap| of == Some(swap.id.as_str()));
        let survivor = self.parties.iter().find(|(_, party)| is_of(party)).map(|(id, _)| *id)?;
        let proven = &cut_over.receipt;
        let receipt = Receipt {
            party: event.party.clone().unwrap_or_default(),
            gap_us: proven.gap_us,
            sequence_step: proven.seq_step.map(i64::from),
            timestamp_step: proven.ts_step.map(i64::from),
            stale: proven.stale.into(),
            command_to_effect_us: proven.command_to_effect_us,
        };
        let party = self.parties.get_mut(&survivor)?;
        let is_the_survivors = event.party.as_ref() == Some(&party.name);
        let swap = party.swap.as_mut()?;
        let new = swap.new;
        if swap.is_done {
            let target = self.parties.get(&new).map(|party| Arc::clone(&party.name))?;
            self.shared.book.receipt(self.number, &target, receipt);
            return None;
        }
        swap.receipts.push(receipt);
        if !is_the_survivors {
            return None;
        }
        swap.is_done = true;
        let receipts = core::mem::take(&mut swap.receipts);
        self.are_peers(survivor, new);
        self.timeline.swapped(survivor, new);
        self.note_heard();
        Some(MediaInput::CutOver { survivor, new, receipts })
    }
}

fn hold(party: String, audio: Option<&str>) -> Command {
    Command::Hold(Hold { party, audio: audio.map(|name| OneOrMore::One(name.to_owned())) })
}

/// Whose media it is about, for whoever has to know that it failed.
const fn about(act: &MediaAct) -> Option<PartyId> {
    Some(match act {
        MediaAct::Bridge { b, .. } => *b,
        MediaAct::Swap { new, .. } => *new,
        MediaAct::EarlyMedia { from, .. } => *from,
        MediaAct::Detect(party) => *party,
        _ => return None,
    })
}
