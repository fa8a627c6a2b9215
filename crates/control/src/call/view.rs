//! A call as it is shown.

use std::sync::Arc;

use patchcord_dtls::Role;
use patchcord_relay::event::Receipt;
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Codec;
use patchcord_relay::snapshot::LegSnapshot;
use patchcord_relay::time::MonoTime;

use super::Call;
use super::dtls::Dtls;
use super::model::{CallModel, Heard, Leg, Legs};
use crate::api::{
    CallState, CallSummary, DtlsState, LegState, OffloadState, RecordingState, SentState, by_name, rtpmap,
};
use crate::dtls::Progress;
use crate::env::Env;
use crate::recording::CallRecording;

impl Call {
    /// A line in a list of calls.
    pub(crate) fn summary(&self, now: MonoTime) -> CallSummary {
        let inner = self.inner();
        CallSummary {
            call: Arc::clone(&self.name.name),
            worker: self.worker,
            parties: inner.model.legs.parties(),
            age_ms: self.age_ms(now),
            cut_overs: inner.model.records.count,
        }
    }

    pub(crate) const fn age_ms(&self, now: MonoTime) -> u64 {
        now.nanos_since(self.created) / 1_000_000
    }

    /// The whole call, from its model and the engine's copies of its legs. A leg that only one of them knows was being
    /// created or deleted at that moment and is left out.
    pub(crate) fn state(&self, model: &CallModel, snapshots: &[LegSnapshot], env: &Env, now: MonoTime) -> CallState {
        let legs = &model.legs;
        let leg_states = legs.0.iter().filter_map(|leg| {
            let snapshot = snapshots.iter().find(|snapshot| snapshot.leg == leg.id)?;
            Some(leg_state(model, leg, snapshot, env))
        });
        let cut_overs = model.records.iter().map(|record| {
            let mut record = record.clone();
            for proof in &mut record.receipts {
                let latest = snapshots.iter().filter_map(|snapshot| snapshot.last_cut_over);
                let same = |live: &Receipt| (live.id, live.sink) == (proof.receipt.id, proof.receipt.sink);
                // Late packets of the old source go on being counted after the receipt was written.
                if let Some(live) = latest.into_iter().find(same) {
                    proof.receipt.stale = live.stale;
                }
            }
            record.view()
        });
        CallState {
            call: Arc::clone(&self.name.name),
            worker: self.worker,
            age_ms: self.age_ms(now),
            parties: legs.parties(),
            legs: leg_states.collect(),
            recording: model.recording.as_deref().map(|recording| recording_state(recording, env)),
            bridges: bridges(legs),
            cut_overs: cut_overs.collect(),
        }
    }
}

fn bridges(legs: &Legs) -> Vec<[Arc<str>; 2]> {
    let mut pairs = Vec::new();
    for (index, leg) in legs.0.iter().enumerate() {
        let mutual = |other: &&Leg| leg.hearing.peer == Some(other.id) && other.hearing.peer == Some(leg.id);
        if let Some(other) = legs.0[index + 1..].iter().find(mutual) {
            pairs.push([Arc::clone(&leg.party), Arc::clone(&other.party)]);
        }
    }
    pairs
}

/// What a party hears, in words.
pub(super) fn hears(legs: &Legs, leg: &Leg) -> String {
    match legs.heard(leg) {
        Heard::Silence => "silence".to_owned(),
        Heard::Leg(id) => legs.get(id).map_or("silence", |peer| &peer.party).to_owned(),
        Heard::Mix(talkers) => names(legs, talkers.iter().map(|talker| talker.leg)),
        Heard::Overlay(over) => {
            let others = match &over.under {
                Some((sound, _)) => format!("hold:{}", sound.name),
                None if over.talkers.is_empty() => "silence".to_owned(),
                None => names(legs, over.talkers.iter().map(|talker| talker.leg)),
            };
            if over.finished { others } else { format!("{others} + play:{}", over.sound.name) }
        }
        Heard::Player { sound, .. } => {
            let play = leg.hearing.play.as_ref();
            play.map_or_else(|| format!("hold:{}", sound.name), |play| format!("{}:{}", play.kind, play.names()))
        }
    }
}

/// Several parties: `agent + target`.
fn names(legs: &Legs, ids: impl Iterator<Item = LegId>) -> String {
    let names: Vec<&str> = ids.filter_map(|id| legs.get(id)).map(|leg| &*leg.party).collect();
    names.join(" + ")
}

/// `None`: the call has ended, and the association with it.
fn dtls_state(dtls: &Dtls, env: &Env) -> Option<DtlsState> {
    let role = dtls.role.map(|role| match role {
        Role::Client => "client".to_owned(),
        Role::Server => "server".to_owned(),
    });
    let progress = env.handshakes.progress_of(dtls.association)?;
    let state = progress.name().to_owned();
    let (profile, error) = match progress {
        Progress::Connected(profile) => (Some(profile.name().to_owned()), None),
        Progress::Failed(error) => (None, Some(error)),
        Progress::Handshake | Progress::Closed => (None, None),
    };
    Some(DtlsState { state, role, profile, error })
}

fn recording_state(recording: &CallRecording, env: &Env) -> RecordingState {
    let CallRecording { id, wish, paused } = recording;
    RecordingState {
        name: env.recorder.name_of(*id).unwrap_or_else(|| Arc::clone(&wish.name)),
        format: wish.format,
        layout: wish.layout,
        paused: *paused,
    }
}

fn leg_state(model: &CallModel, leg: &Leg, snapshot: &LegSnapshot, env: &Env) -> LegState {
    let LegSnapshot { ingress, egress, .. } = snapshot;
    let (local, local_rtcp) = env.interfaces.local(leg.lease);
    let monitors = leg.hearing.company().monitor.as_deref().map(|of| names(&model.legs, of.iter().copied()));
    let whisperer = leg.hearing.company().whisper.and_then(|whisper| model.legs.get(whisper.leg));
    LegState {
        party: Arc::clone(&leg.party),
        local,
        local_rtcp: local_rtcp.unwrap_or(local),
        advertised: env.interfaces.advertised(leg.lease, local),
        remote: snapshot.remote_rtp,
        latched: snapshot.latched,
        ice: snapshot.ice.map(Into::into),
        srtp: snapshot.srtp.map(Into::into),
        dtls: leg.dtls.as_deref().and_then(|dtls| dtls_state(dtls, env)),
        offload: snapshot.offload.map(|offload| OffloadState {
            active: offload.is_ok(),
            obstacle: offload.err().map(|obstacle| obstacle.text().to_owned()),
        }),
        direction: snapshot.direction.into(),
        muted: snapshot.muted,
        detecting: leg.ears.detector.is_some(),
        answered: leg.answered.as_deref().cloned(),
        codecs: leg.codecs.iter().map(|codec: &Codec| rtpmap(codec)).collect(),
        peer: leg.hearing.peer.and_then(|peer| model.legs.get(peer)).map(|peer| Arc::clone(&peer.party)),
        held: leg.hearing.hold.is_some(),
        conference: model.legs.conference_of(leg).map(|other| Arc::clone(&other.party)).collect(),
        monitors: monitors.filter(|names| !names.is_empty()),
        gain_db: Some(leg.hearing.company().gain_db).filter(|gain_db| *gain_db != 0),
        whisperer: whisperer.map(|by| Arc::clone(&by.party)),
        hears: hears(&model.legs, leg),
        transcoded: snapshot.transcoded,
        pending: model.records.pending_for(leg.id).map(|record| record.id.0),
        packets: ingress.packets,
        bytes: ingress.bytes,
        rtcp_packets: ingress.rtcp_packets,
        datagrams: ingress.datagrams,
        lost: ingress.lost,
        reordered: ingress.reordered,
        duplicates: ingress.duplicates,
        jitter_ms: ingress.jitter_ms,
        round_trip_us: snapshot.round_trip_us,
        idle_ms: ingress.idle_ms,
        ssrc: ingress.ssrc.map(|ssrc| ssrc.0),
        sent: SentState {
            packets: egress.packets,
            bytes: egress.bytes,
            rtcp_packets: egress.rtcp_packets,
            ssrc: egress.ssrc.map(|ssrc| ssrc.0),
            next_sequence: egress.next_sequence,
            reported_lost: egress.reported_lost,
            reported_jitter_ms: egress.reported_jitter_ms,
        },
        relay_latency_us: egress.latency.into(),
        drops: by_name(&snapshot.drops),
    }
}
