//! From what an SDP says of an m= line to the commands for its legs.

use core::net::SocketAddr;
use std::sync::Arc;

use patchcord_ng::Options;
use patchcord_ng::options::Tos;
use patchcord_relay::media::Codec;
use patchcord_sdp::Format;

use super::NgConfig;
use super::codecs::Settings;
use super::formats::LegFormats;
use super::ice::{DescribedIce, ToldIce};
use super::keying::{Keying, ToldKeys};
use super::sdes::DescribedSdes;
use super::session::{Leg, Mux, PartyId, Role, Session, leg_name};
use crate::api::{
    Bridge, CodecParts, CodecSpec, Command, Direction, DtlsRemote, EgressName, LatchModeName, LatchSpec, LegCodecs,
    LegCreate, LegDirection, LegDoor, LegLatch, LegRemote, LegRtcpMux, OneParty, PartyRename, RelayingName,
};
use crate::call::{Draft, Plan};
use crate::error::ApiError;
use crate::interfaces::AddressFamily;

/// Legs of one media that are kept for addresses of before, where ports follow the remote side; their ports lead to the
/// present leg.
const SPARE_LEGS_MAX: usize = 7;

/// What an SDP says of one m= line, as far as relaying goes.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) kind: String,
    pub(super) protocol: String,
    /// The port is not 0.
    pub(super) enabled: bool,
    /// Where the party receives; `None` where the SDP says so by the zero address.
    pub(super) remote: Option<SocketAddr>,
    pub(super) remote_rtcp: Option<SocketAddr>,
    pub(super) direction: Direction,
    pub(super) mux: bool,
    /// The words of the m= line, if they are payload types.
    pub(super) formats: Vec<String>,
    /// Those that are known, each number once.
    pub(super) codecs: Vec<Codec>,
    pub(super) mid: Option<String>,
    pub(super) ptime_ms: Option<u32>,
    pub(super) maxptime_ms: Option<u32>,
    pub(super) ice: DescribedIce,
    pub(super) sdes: DescribedSdes,
    /// What it says of DTLS (RFC 5763).
    pub(super) dtls: Option<DtlsRemote>,
}

/// What the other side is to be told of an m= line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each m= line of a message, and few are disabled")]
pub(super) enum Told {
    /// It is disabled.
    Disabled,
    /// Media is received here.
    Here {
        rtp: SocketAddr,
        rtcp: SocketAddr,
        /// `a=rtcp-mux`.
        mux: bool,
        /// There is no port for RTCP to fall back on.
        mux_required: bool,
        ice: Option<Box<ToldIce>>,
        /// In which protocol.
        protocol: String,
        keys: ToldKeys,
        /// The formats, where they are others than in the SDP.
        formats: Option<Box<[Format]>>,
    },
}

/// Whether an SDP asks or answers (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Offer,
    Answer,
}

/// An offer or answer on its way into the call.
pub(super) struct Exchange<'a, 'p> {
    pub(super) config: &'a NgConfig,
    pub(super) options: &'a Options,
    /// What the options say of how formats are to be encoded.
    pub(super) settings: Option<&'a Arc<Settings>>,
    pub(super) phase: Phase,
    /// Who sent the SDP.
    pub(super) from: PartyId,
    /// Who will get it.
    pub(super) to: PartyId,
    pub(super) session: &'a mut Session,
    pub(super) plan: &'a mut Plan<'p>,
}

impl Exchange<'_, '_> {
    /// Plans what the SDP means for the legs of both sides; says what the other side is to be told, one entry a line.
    pub(super) fn describe(&mut self, lines: &[Described]) -> Result<Vec<Told>, ApiError> {
        self.choose_interfaces();
        self.name_parties()?;
        let told = lines.iter().enumerate().map(|(index, line)| self.line(index, line)).collect();
        self.keep_subscribers()?;
        if let Some(party) = self.session.party_mut(self.from) {
            party.described = true;
        }
        told
    }

    fn line(&mut self, index: usize, line: &Described) -> Result<Told, ApiError> {
        let media = self.media(self.from, index);
        media.kind.clone_from(&line.kind);
        media.protocol.clone_from(&line.protocol);
        media.mid.clone_from(&line.mid);
        self.note_packets(index, line);
        if !line.enabled {
            self.disable(self.from, index)?;
            self.disable(self.to, index)?;
            return Ok(Told::Disabled);
        }
        let media = self.media(self.from, index);
        media.codecs.clone_from(&line.codecs);
        media.mux.said = line.mux;
        for party in [self.from, self.to] {
            self.media(party, index).read |= self.options.flags.inject_dtmf;
        }
        self.note_ice(index, line);
        let protocol = self.protocol_towards(index, line);
        self.note_keying(index, line, &protocol);
        if self.phase == Phase::Offer && self.options.flags.generate_mid && line.mid.is_none() {
            self.media(self.to, index).given_mid = Some((index + 1).to_string());
        }
        let (mux, mux_required) = self.agree_on_mux(index, &protocol);
        let LegFormats { own, others, told: formats } = self.formats(index, line, &protocol);

        let leg = self.media(self.from, index).leg.as_ref().map(|leg| (leg.remote, leg.remote_rtcp));
        let (remote_before, rtcp_before) = leg.unwrap_or_default();
        let receives = line.remote.is_some();
        let from = Want {
            // The zero address says that nothing is to be sent there (RFC 2543 B.5), and not where it will be again.
            remote: line.remote.or(remote_before),
            remote_rtcp: if receives { line.remote_rtcp } else { rtcp_before },
            direction: self.direction(line),
            latch: self.latch(),
            relaying: self.relaying(self.from, index, &line.protocol),
            muxed: self.media(self.from, index).mux.agreed,
            codecs: own,
            family: line.remote.map(|remote| AddressFamily::of(remote.ip())),
            number: index,
        };
        let family = from.family;
        self.set_leg(self.from, index, from)?;
        // The address of a line with ICE is one of its candidates; where the party is, its checks show. And keys belong to a leg: the
        // receiver's would have to be agreed on anew.
        let follows = line.ice.remote.is_none() && !self.media(self.to, index).keys.terminates;
        self.follow_remote(index, line.remote.filter(|_| follows))?;
        let relaying = self.relaying(self.to, index, &protocol);
        let latch = self.latch_before_answer();
        let family_to = self.family_of(self.to).or(family);
        let media = self.media(self.to, index);
        let to = match &media.leg {
            Some(leg) => Want {
                remote: leg.remote,
                remote_rtcp: leg.remote_rtcp,
                direction: if leg.disabled { Direction::SendRecv } else { leg.direction },
                latch: leg.latch,
                relaying,
                muxed: media.mux.agreed,
                codecs: others,
                family,
                number: leg.number,
            },
            None => Want {
                remote: None,
                remote_rtcp: None,
                direction: Direction::SendRecv,
                latch,
                relaying,
                muxed: false,
                codecs: others,
                family: family_to,
                number: index,
            },
        };
        self.set_leg(self.to, index, to)?;
        self.bridge(index)?;
        let rtcp_muxed = mux && (mux_required || self.phase == Phase::Answer);
        let ice = self.agree_on_ice(index, line, rtcp_muxed)?.map(Box::new);
        let keys = self.agree_on_keys(index, line, &protocol)?;
        let Some(leg) = &mut self.media(self.to, index).leg else { return Ok(Told::Disabled) };
        leg.told_to = leg.told_to.or(line.remote);
        let (rtp, rtcp) = (leg.advertised, leg.advertised_rtcp);
        Ok(Told::Here { rtp, rtcp, mux, mux_required, ice, protocol, keys, formats })
    }

    /// Where ports follow the remote side: another address of the sender gives the receiver another local port, and the same
    /// one again the port of before.
    fn follow_remote(&mut self, index: usize, remote: Option<SocketAddr>) -> Result<(), ApiError> {
        let follows = self.config.ports_follow_remote && !self.options.flags.port_latching;
        let (true, Some(remote)) = (follows, remote) else { return Ok(()) };
        let another = |leg: &&Leg| leg.told_to.is_some_and(|told| told != remote);
        let Some(mut present) = self.media(self.to, index).leg.as_ref().filter(another).cloned() else {
            return Ok(());
        };
        present.bridged_with = None;
        let mut want = Want {
            remote: present.remote,
            remote_rtcp: present.remote_rtcp,
            direction: present.direction,
            latch: present.latch,
            relaying: present.relaying,
            muxed: present.muxed,
            codecs: present.codecs.clone(),
            family: Some(AddressFamily::of(present.advertised.ip())),
            number: index,
        };
        let spare = &mut self.media(self.to, index).spare;
        let known = spare.iter().position(|leg| leg.told_to == Some(remote));
        let next = known.map(|known| spare.remove(known));
        let oldest = (spare.len() >= SPARE_LEGS_MAX).then(|| spare.remove(0));
        spare.push(present);
        if let Some(oldest) = oldest {
            let party = self.leg_name(self.to, oldest.number);
            self.plan.add(&Command::LegDelete(OneParty { party }))?;
        }
        match next {
            Some(ref leg) => want.number = leg.number,
            None => want.number = self.free_number(self.to),
        }
        self.media(self.to, index).leg = next;
        self.set_leg(self.to, index, want)?;
        if let Some(leg) = &mut self.media(self.to, index).leg {
            leg.told_to = Some(remote);
        }
        self.open_doors(index)
    }

    /// Ports that the receiver was told before lead to the present one: it goes on using them until it knows better.
    fn open_doors(&mut self, index: usize) -> Result<(), ApiError> {
        let media = self.media(self.to, index);
        let Some(present) = media.leg.as_ref().map(|leg| leg.number) else { return Ok(()) };
        let spare: Vec<_> = media.spare.iter().map(|leg| leg.number).collect();
        let into = self.leg_name(self.to, present);
        self.plan.add(&Command::LegDoor(LegDoor { party: into.clone(), into: None }))?;
        for number in spare {
            let party = self.leg_name(self.to, number);
            self.plan.add(&Command::LegDoor(LegDoor { party, into: Some(into.clone()) }))?;
        }
        Ok(())
    }

    /// A number for one more leg of a party, beyond those of its media.
    fn free_number(&self, party: PartyId) -> usize {
        let free = |number: &usize| self.plan.model.legs.named(&self.leg_name(party, *number)).is_none();
        (patchcord_sdp::MEDIA_MAX..=usize::from(u8::MAX)).find(free).unwrap_or(usize::from(u8::MAX))
    }

    /// RFC 5761 5.1.1: who wants it offers it, and it is in force when the answer has it too. Gives whether the other side is
    /// told of it, and whether it is told of nothing else.
    fn agree_on_mux(&mut self, index: usize, towards: &str) -> (bool, bool) {
        let wish = self.options.rtcp_mux;
        let said = self.media(self.from, index).mux.said;
        if self.phase == Phase::Answer {
            let answerer = &mut self.media(self.from, index).mux;
            answerer.agreed = answerer.said;
            let agreed = answerer.agreed;
            let offerer = &mut self.media(self.to, index).mux;
            offerer.agreed = offerer.said && offerer.granted.unwrap_or(agreed);
            return (offerer.agreed, false);
        }
        let Mux { agreed: in_use, .. } = self.media(self.to, index).mux;
        // Once in use it stays, unless it is taken back explicitly.
        // RFC 5764 4.1.2: without it DTLS would need a second association, for RTCP.
        let handshakes = self.media(self.to, index).keys.terminates && Keying::of(towards) == Keying::Dtls;
        let suggested = said || handshakes;
        let offered = in_use || wish.offer || wish.require || (suggested && !wish.demux);
        self.media(self.to, index).mux.offered = offered;
        // Where it is offered on, the receiver decides; split, the relay does.
        let splits = wish.demux && !wish.offer && !wish.require;
        self.media(self.from, index).mux.granted = match (wish.reject, wish.accept || splits) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        };
        (offered, offered && (wish.require || in_use))
    }

    fn direction(&self, line: &Described) -> Direction {
        let said = if self.config.enforce_direction { line.direction } else { Direction::SendRecv };
        match (line.remote, said) {
            (Some(_), said) => said,
            // Its address is found out by checks: that it names none says nothing.
            (None, said) if line.ice.remote.is_some() => said,
            (None, Direction::SendRecv | Direction::SendOnly) => Direction::SendOnly,
            (None, Direction::RecvOnly | Direction::Inactive) => Direction::Inactive,
        }
    }

    pub(super) fn latch(&self) -> LatchSpec {
        let flags = &self.options.flags;
        let fixed = flags.asymmetric.then_some(LatchModeName::FirstPacket);
        LatchSpec {
            mode: fixed,
            strict: flags.strict_source.then_some(true),
            handover: flags.media_handover.then_some(true),
            asymmetric: flags.asymmetric.then_some(true),
            received_from: self.options.received_from,
            ..LatchSpec::default()
        }
    }

    /// Of a party that has not said yet where it is: nobody can be told from it, unless everybody may be taken for it.
    fn latch_before_answer(&self) -> LatchSpec {
        let nobody = (!self.plan.env.learns_from_anywhere()).then_some(LatchModeName::Signalled);
        LatchSpec { mode: nobody, received_from: None, ..self.latch() }
    }

    /// What the relay has no keys for, or no protocol, it passes unread.
    pub(super) fn relaying(&mut self, party: PartyId, index: usize, protocol: &str) -> RelayingName {
        let media = self.media(party, index);
        let (read, terminates) = (media.read, media.keys.terminates);
        let read = !self.config.relay_unread || read;
        if terminates || (is_readable(protocol) && read) { RelayingName::Rtp } else { RelayingName::Opaque }
    }

    /// `direction` names the interface towards the sender first, then the one towards the receiver.
    pub(super) fn choose_interfaces(&mut self) {
        let family = self.options.address_family.map(|family| match family {
            patchcord_ng::options::AddressFamily::Ip4 => AddressFamily::Ip4,
            patchcord_ng::options::AddressFamily::Ip6 => AddressFamily::Ip6,
        });
        let both = self.options.interface.as_deref();
        let mut named = self.options.direction.iter().map(String::as_str);
        let names = [named.next().or(both), named.next().or(both)];
        for (party, name) in [self.from, self.to].into_iter().zip(names) {
            let Some(name) = name else { continue };
            if !self.plan.env.interfaces.is_named(Some(name), None) {
                tracing::warn!(name, "ng names an interface that there is not; the first one is taken");
                continue;
            }
            if let Some(party) = self.session.party_mut(party) {
                party.interface = Some(name.into());
            }
        }
        if let (Some(party), Some(family)) = (self.session.party_mut(self.to), family) {
            party.family = Some(family);
        }
    }

    /// Parties are called by their tags as soon as these are known.
    fn name_parties(&mut self) -> Result<(), ApiError> {
        for id in [self.from, self.to] {
            let Some(party) = self.session.party(id) else { continue };
            let Some(tag) = party.tag.clone() else { continue };
            let (present, wanted) = (Arc::clone(&party.name), self.session.free_name(&tag));
            let named = *present == *tag || !wanted.starts_with(&*tag);
            let taken = self.plan.has_party(&wanted);
            if named || taken {
                continue;
            }
            // Its first media may be disabled and have no leg.
            if self.plan.has_party(&present) {
                let rename = PartyRename { party: present.as_ref().to_owned(), name: wanted.as_ref().to_owned() };
                self.plan.add(&Command::PartyRename(rename))?;
            }
            if let Some(party) = self.session.party_mut(id) {
                party.name = wanted;
            }
        }
        Ok(())
    }

    pub(super) fn family_of(&self, party: PartyId) -> Option<AddressFamily> {
        self.session.party(party).and_then(|party| party.family)
    }

    pub(super) fn media(&mut self, party: PartyId, index: usize) -> &mut super::session::Media {
        let party = self.session.parties.iter_mut().find(|other| other.id == party);
        party.expect("both sides of an exchange are parties of its session").media_mut(index)
    }

    pub(super) fn name(&self, party: PartyId, index: usize) -> String {
        self.session.party(party).map_or_else(String::new, |party| party.leg_name(index))
    }

    pub(super) fn leg_name(&self, party: PartyId, number: usize) -> String {
        self.session.party(party).map_or_else(String::new, |party| leg_name(&party.name, number))
    }

    /// RFC 3264 8.2: the index stays, and so does the port, for the day that the media comes back.
    pub(super) fn disable(&mut self, party: PartyId, index: usize) -> Result<(), ApiError> {
        let name = self.name(party, index);
        let Some(leg) = &mut self.media(party, index).leg else { return Ok(()) };
        leg.disabled = true;
        if leg.direction != Direction::Inactive {
            leg.direction = Direction::Inactive;
            let direction = Direction::Inactive;
            self.plan.add(&Command::LegDirection(LegDirection { party: name, direction }))?;
        }
        Ok(())
    }

    /// Each hears the other from now on, unless signalling has said so before: what a transfer has changed since stays.
    fn bridge(&mut self, index: usize) -> Result<(), ApiError> {
        let (from, to) = (self.from, self.to);
        let are_peers = self.session.party(from).is_some_and(|party| party.peer == Some(to))
            && self.session.party(to).is_some_and(|party| party.peer == Some(from));
        let with =
            |exchange: &mut Self, party| exchange.media(party, index).leg.as_ref().and_then(|leg| leg.bridged_with);
        if !are_peers || (with(self, from) == Some(to) && with(self, to) == Some(from)) {
            return Ok(());
        }
        let (a, b) = (self.name(from, index), self.name(to, index));
        self.plan.add(&Command::Bridge(Bridge { a, b, trigger: None }))?;
        for (one, other) in [(from, to), (to, from)] {
            if let Some(leg) = &mut self.media(one, index).leg {
                leg.bridged_with = Some(other);
            }
        }
        Ok(())
    }

    /// Has the leg be as wanted: created, or told what is different.
    pub(super) fn set_leg(&mut self, party: PartyId, index: usize, want: Want) -> Result<(), ApiError> {
        let name = self.leg_name(party, want.number);
        let Some(mut leg) = self.media(party, index).leg.take() else {
            return self.create_leg(party, index, name, want);
        };
        if let Some(remote) = want.remote
            && (leg.remote, leg.remote_rtcp) != (want.remote, want.remote_rtcp)
        {
            let remote_rtcp = want.remote_rtcp;
            self.plan.add(&Command::LegRemote(LegRemote { party: name.clone(), remote, remote_rtcp }))?;
        }
        if leg.codecs != want.codecs {
            let codecs = specs(&want.codecs);
            self.plan.add(&Command::LegCodecs(LegCodecs { party: name.clone(), codecs }))?;
            leg.note_codecs(&want.codecs);
        }
        if leg.direction != want.direction {
            let direction = want.direction;
            self.plan.add(&Command::LegDirection(LegDirection { party: name.clone(), direction }))?;
        }
        if (leg.latch, leg.relaying) != (want.latch, want.relaying) {
            let (latch, relaying) = (want.latch, want.relaying);
            self.plan.add(&Command::LegLatch(LegLatch { party: name.clone(), latch, relaying }))?;
        }
        if leg.muxed != want.muxed {
            self.plan.add(&Command::LegRtcpMux(LegRtcpMux { party: name, rtcp_mux: want.muxed }))?;
        }
        leg.remote = want.remote;
        leg.remote_rtcp = want.remote_rtcp;
        leg.direction = want.direction;
        leg.disabled = false;
        leg.latch = want.latch;
        leg.relaying = want.relaying;
        leg.muxed = want.muxed;
        leg.codecs = want.codecs;
        self.media(party, index).leg = Some(leg);
        Ok(())
    }

    fn create_leg(&mut self, party: PartyId, index: usize, name: String, want: Want) -> Result<(), ApiError> {
        let Want { remote, remote_rtcp, direction, latch, relaying, muxed, codecs, family, number } = want;
        let interface = self.session.party(party).and_then(|party| party.interface.as_deref().map(str::to_owned));
        // A call over the wrong family is better than none: the far side may be able to reach it.
        let family = family.filter(|family| self.plan.env.interfaces.is_named(interface.as_deref(), Some(*family)));
        let flags = &self.options.flags;
        let egress = match (flags.transparent, flags.continuity, flags.new_ssrc) {
            (true, ..) => Some(EgressName::Transparent),
            (_, true, _) => Some(EgressName::Continuity),
            (.., true) => Some(EgressName::NewSsrc),
            _ => None,
        };
        let mut transparent = egress.map_or(self.plan.env.is_transparent(), |egress| egress == EgressName::Transparent);
        let mut egress = egress;
        if transparent && self.may_transcode(index) {
            // What is transcoded is a stream of the relay's own.
            (egress, transparent) = (Some(EgressName::Continuity), false);
        }
        let listens = self.session.party(party).is_some_and(|party| party.role == Role::Subscriber);
        let media_timeout_ms = match self.options.media_timeout_s.map(|seconds| seconds.saturating_mul(1000)) {
            // Nothing is expected of whoever only listens.
            _ if listens => Some(0),
            timeout => timeout,
        };
        self.plan.add(&Command::LegCreate(LegCreate {
            party: name.clone(),
            codecs: specs(&codecs),
            remote,
            remote_rtcp,
            // The answer may do without muxing: both ports are there until it is known.
            rtcp_mux: false,
            interface,
            address_family: family,
            direction,
            latch,
            relaying,
            // RFC 2474 3: the code point is the upper six bits of the former TOS byte.
            dscp: match self.options.tos {
                Tos::Set(tos) => Some(tos >> 2),
                Tos::Configured | Tos::Unchanged => None,
            },
            egress,
            media_timeout_ms,
        }))?;
        let Some(Draft::Created(created)) = self.plan.drafts.last() else {
            unreachable!("the draft of a leg that was planned to be created says so");
        };
        let (advertised, advertised_rtcp) = (created.advertised, created.advertised_rtcp);
        if muxed {
            self.plan.add(&Command::LegRtcpMux(LegRtcpMux { party: name, rtcp_mux: true }))?;
        }
        self.media(party, index).leg = Some(Leg {
            number,
            told_to: None,
            advertised,
            advertised_rtcp,
            remote,
            remote_rtcp,
            direction,
            latch,
            relaying,
            muxed,
            codecs_ever: codecs.clone(),
            codecs,
            bridged_with: None,
            disabled: false,
            transparent,
        });
        Ok(())
    }
}

/// RTP as it is, without keys.
pub(super) fn is_readable(protocol: &str) -> bool {
    matches!(protocol, "RTP/AVP" | "RTP/AVPF")
}

/// How a leg is to be.
pub(super) struct Want {
    pub(super) remote: Option<SocketAddr>,
    pub(super) remote_rtcp: Option<SocketAddr>,
    pub(super) direction: Direction,
    pub(super) latch: LatchSpec,
    pub(super) relaying: RelayingName,
    pub(super) muxed: bool,
    pub(super) codecs: Vec<Codec>,
    pub(super) family: Option<AddressFamily>,
    pub(super) number: usize,
}

impl Leg {
    fn note_codecs(&mut self, codecs: &[Codec]) {
        for codec in codecs {
            if !self.codecs_ever.iter().any(|known| known.payload_type == codec.payload_type) {
                self.codecs_ever.push(codec.clone());
            }
        }
    }
}

fn specs(codecs: &[Codec]) -> Vec<CodecSpec> {
    let spec = |codec: &Codec| {
        CodecSpec::Parts(CodecParts {
            payload_type: codec.payload_type.get(),
            encoding: codec.encoding.to_string(),
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            fmtp: codec.fmtp.as_deref().map(str::to_owned),
            ptime_ms: Some(codec.sending.ptime_ms()).filter(|&ms| ms != 0),
            ptime_exact: codec.carries_media() && codec.sending.is_exact(),
            convert_tones: codec.is_telephone_event() && codec.sending.is_exact(),
            bitrate: codec.sending.bitrate(),
        })
    };
    codecs.iter().map(spec).collect()
}
