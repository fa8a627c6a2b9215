//! Obeying commands that the batch's validation has accepted.

use core::net::SocketAddr;

use crate::command::{Command, IceCredentials, LegSpec, SrtpKeys};
use crate::ids::LegId;
use crate::leg::dtls::Dtls;
use crate::leg::ice::Ice;
use crate::leg::{NO_SLOT, Slot};
use crate::media::Codec;
use crate::shard::Shard;
use crate::time::MonoTime;

impl Shard {
    pub(super) fn obey(&mut self, command: &Command, now: MonoTime) {
        match command {
            Command::AddLeg(spec) => self.add_leg(spec, now),
            Command::RemoveLeg { leg } => self.with_leg(*leg, |shard, slot| shard.remove_leg(*leg, slot, now)),
            Command::SetRemote { leg, rtp, rtcp } => {
                self.with_leg(*leg, |shard, slot| shard.set_remote(slot, *rtp, *rtcp));
            }
            Command::SetCodecs { leg, codecs } => self.with_leg(*leg, |shard, slot| shard.set_codecs(slot, codecs)),
            Command::SetDirection { leg, direction } => self.with_leg(*leg, |shard, slot| {
                shard.legs.cold[slot as usize].direction = *direction;
                shard.legs.refresh_flags(slot);
                shard.check_dtmf(slot);
            }),
            Command::SetRtcpMux { leg, muxed } => self.with_leg(*leg, |shard, slot| {
                let cold = &mut shard.legs.cold[slot as usize];
                cold.rtcp_muxed = *muxed || cold.local_rtcp.is_none();
            }),
            Command::SetLatch { leg, policy } => self.with_leg(*leg, |shard, slot| {
                shard.legs.cold[slot as usize].latch.set_policy(*policy);
                shard.legs.refresh_flags(slot);
            }),
            Command::SetRelaying { leg, relaying } => self.with_leg(*leg, |shard, slot| {
                shard.legs.set_relaying(slot, *relaying);
            }),
            Command::SetIce { leg, ice } => self.with_leg(*leg, |shard, slot| shard.set_ice(slot, ice.as_ref())),
            Command::SetSrtp { leg, srtp } => self.with_leg(*leg, |shard, slot| shard.set_srtp(slot, srtp.as_deref())),
            Command::SetDtls { leg, association } => self.with_leg(*leg, |shard, slot| {
                let dtls = &mut shard.legs.cold[slot as usize].dtls;
                if dtls.is_some() || association.is_some() {
                    dtls.get_or_insert_with(|| Box::new(Dtls::new(now))).association = *association;
                }
            }),
            Command::SendDtls { leg, to, datagram, .. } => {
                self.with_leg(*leg, |shard, slot| shard.send_dtls(slot, *to, datagram));
            }
            Command::SetDtlsKeys { leg, keys, peer, .. } => self.with_leg(*leg, |shard, slot| {
                shard.set_srtp(slot, Some(keys));
                if peer.is_some_and(|peer| shard.legs.cold[slot as usize].latch.reach(peer)) {
                    shard.legs.refresh_flags(slot);
                }
            }),
            Command::SetTapped { leg, tapped } => self.with_leg(*leg, |shard, slot| {
                shard.legs.descend(slot);
                shard.legs.cold[slot as usize].tapped = *tapped;
            }),
            Command::SetOverheard { leg, by, listening } => {
                self.with_leg(*leg, |shard, slot| shard.set_overheard(slot, *by, *listening));
            }
            Command::SetDoor { leg, into } => {
                let into = into.and_then(|into| self.legs.slot(into));
                self.with_leg(*leg, |shard, slot| shard.legs.set_door(slot, into));
            }
            Command::SetMuted { leg, muted } => self.with_leg(*leg, |shard, slot| {
                shard.legs.cold[slot as usize].muted = *muted;
                shard.legs.refresh_flags(slot);
            }),
            Command::BlockDtmf { leg, blocked } => self.with_leg(*leg, |shard, slot| {
                shard.legs.descend_from(slot);
                shard.legs.cold[slot as usize].dtmf_blocked = *blocked;
                let mut sink = shard.legs.ingress[slot as usize].first_sink;
                while *blocked && sink != NO_SLOT {
                    // Who has heard a key go down must hear it come up.
                    shard.end_event_in_flight(sink, now);
                    sink = shard.legs.egress[sink as usize].next_sink;
                }
            }),
            Command::SendDtmf { leg, steps } => self.with_leg(*leg, |shard, slot| shard.send_dtmf(slot, steps, now)),
            Command::StopDtmf { leg } => self.with_leg(*leg, |shard, slot| shard.stop_dtmf(slot, now)),
            Command::Relatch { leg, gate } => self.with_leg(*leg, |shard, slot| {
                shard.legs.cold[slot as usize].latch.relearn(*gate);
                shard.legs.refresh_flags(slot);
            }),
            Command::PlayNext { leg, frames, repeat } => {
                self.with_leg(*leg, |shard, slot| shard.play_next(slot, frames.clone(), *repeat));
            }
            Command::EndPlay { leg } => self.with_leg(*leg, |shard, slot| shard.end_play(slot, now)),
            Command::CutOver(cut_over) => self.begin(cut_over, now),
            Command::Fire { id } => self.fire(*id, now),
            Command::Rollback { id, by } => self.roll_back(*id, *by, now),
        }
    }

    fn with_leg(&mut self, leg: LegId, act: impl FnOnce(&mut Self, Slot)) {
        match self.legs.slot(leg) {
            Some(slot) => act(self, slot),
            None => debug_assert!(false, "{leg} was there when the batch was validated"),
        }
    }

    fn add_leg(&mut self, spec: &LegSpec, now: MonoTime) {
        let slot = self.legs.insert(spec, now);
        self.wheel.cover(slot);
        self.legs.refresh_flags(slot);
        if self.legs.in_use() == 1 {
            self.next_inspection = now;
        }
        self.outbox.opened(spec.id, slot);
    }

    fn remove_leg(&mut self, leg: LegId, slot: Slot, now: MonoTime) {
        self.do_without(leg);
        loop {
            let sink = self.legs.ingress[slot as usize].first_sink;
            if sink == NO_SLOT {
                break;
            }
            self.end_event_in_flight(sink, now);
            self.detach(sink, None);
        }
        self.leave_mixes(leg, slot);
        self.detach(slot, None);
        self.refresh_ears();
        self.end_overhearing(slot);
        self.forget_dtmf(slot);
        if let Some(undo) = self.legs.cold[slot as usize].undo.take() {
            self.cut_overs.forget(undo.id);
        }
        self.legs.remove(slot);
        self.outbox.withdraw(slot);
        self.outbox.closed(slot);
    }

    fn set_remote(&mut self, slot: Slot, rtp: SocketAddr, rtcp: Option<SocketAddr>) {
        let cold = &mut self.legs.cold[slot as usize];
        if cold.latch.signalled() != Some(rtp) || rtcp.is_some() {
            cold.remote_rtcp = rtcp;
        }
        cold.latch.set_signalled(rtp);
        self.legs.refresh_flags(slot);
    }

    fn set_ice(&mut self, slot: Slot, credentials: Option<&IceCredentials>) {
        let cold = &mut self.legs.cold[slot as usize];
        match (credentials, &mut cold.ice) {
            (Some(credentials), Some(ice)) => ice.renew(credentials),
            (Some(credentials), none) => *none = Some(Box::new(Ice::new(credentials))),
            (None, Some(_)) => {
                cold.ice = None;
                cold.latch.forget_nomination();
                self.legs.refresh_flags(slot);
            }
            (None, None) => {}
        }
    }

    fn set_srtp(&mut self, slot: Slot, keys: Option<&SrtpKeys>) {
        // What was made under the present keys leaves under them.
        self.protect_outbox();
        let taken = self.legs.set_srtp(slot, keys);
        debug_assert!(taken.is_ok(), "checked by the batch's validation");
        self.check_dtmf(slot);
    }

    fn set_codecs(&mut self, slot: Slot, codecs: &[Codec]) {
        let at = slot as usize;
        self.legs.descend(slot);
        let ever = &mut self.legs.cold[at].codecs_ever;
        for codec in codecs {
            if !ever.iter().any(|known| known.payload_type == codec.payload_type) {
                ever.push(codec.clone());
            }
        }
        self.legs.cold[at].codecs = codecs.to_vec();
        self.legs.ingress[at].set_codecs(codecs);
        self.map_payload_types(slot);
        self.formats_of_overheard_change(slot);
        let mut sink = self.legs.ingress[at].first_sink;
        while sink != NO_SLOT {
            self.map_payload_types(sink);
            sink = self.legs.egress[sink as usize].next_sink;
        }
    }
}
