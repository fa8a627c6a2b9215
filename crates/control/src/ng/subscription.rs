//! From what a subscriber is to hear to the commands for its legs.

use patchcord_ng::reason;
use patchcord_relay::media::Codec;

use super::keying::ToldKeys;
use super::media::{Described, Exchange, Told, Want};
use super::refuse::Refused;
use super::session::{PartyId, Session, Source};
use crate::api::{Command, Direction, Monitor, OneOrMore, OneParty};
use crate::error::ApiError;
use crate::interfaces::AddressFamily;

impl Exchange<'_, '_> {
    /// Plans that the subscriber, both sides of this exchange, hears so many media of each of these parties and nothing else;
    /// says what it is to be told, one entry a line, in the order of the parties and of their own lines.
    pub(super) fn subscribe(&mut self, publishers: &[(PartyId, usize)]) -> Result<Vec<Told>, ApiError> {
        self.choose_interfaces();
        let mut sources = Vec::new();
        for &(party, lines) in publishers {
            sources.extend((0..lines).map(|media| (party, media)));
        }
        let told = sources.iter().enumerate().map(|(index, source)| self.subscribed_line(index, *source));
        let told = told.collect::<Result<Vec<_>, _>>()?;
        let lines = self.session.party(self.to).map_or(0, |subscriber| subscriber.media.len());
        for index in told.len()..lines {
            self.drop_leg(index)?;
        }
        if let Some(subscriber) = self.session.party_mut(self.to) {
            subscriber.media.truncate(told.len());
        }
        Ok(told)
    }

    fn subscribed_line(&mut self, index: usize, (party, media): (PartyId, usize)) -> Result<Told, ApiError> {
        let subscriber = self.to;
        let codecs = self.session.understood(party, media);
        let source = self.media(party, media).clone();
        let line = self.media(subscriber, index);
        line.kind.clone_from(&source.kind);
        // What the relay decrypts a subscriber hears as RTP: keys of its own it is not offered yet.
        let decrypted = source.keys.terminates;
        let protocol = if decrypted { "RTP/AVP" } else { source.protocol.as_str() };
        protocol.clone_into(&mut line.protocol);
        let (Some(leg), false) = (source.leg.as_ref(), source.leg.as_ref().is_none_or(|leg| leg.disabled)) else {
            self.drop_leg(index)?;
            return Ok(Told::Disabled);
        };
        let renumbered = line.leg.as_ref().is_some_and(|own| !keep_their_meaning(&own.codecs_ever, &codecs));
        if renumbered {
            // A payload type must not change its meaning within a session: this is another one.
            self.drop_leg(index)?;
        }
        let line = self.media(subscriber, index);
        line.codecs.clone_from(&codecs);
        line.mid.clone_from(&source.mid);
        line.hears = Some(Source { party, media, leg: leg.number });
        let own = line.leg.clone();
        let wish = self.options.rtcp_mux;
        let in_use = own.as_ref().is_some_and(|own| own.muxed);
        self.media(subscriber, index).mux.offered = in_use || wish.offer || wish.require;
        let family = self.family_of(subscriber).or(Some(AddressFamily::of(leg.advertised.ip())));
        let want = Want {
            remote: own.as_ref().and_then(|own| own.remote),
            remote_rtcp: own.as_ref().and_then(|own| own.remote_rtcp),
            direction: Direction::RecvOnly,
            latch: self.latch(),
            relaying: self.relaying(subscriber, index, protocol),
            muxed: in_use,
            codecs,
            family,
            number: index,
        };
        self.set_leg(subscriber, index, want)?;
        self.listen(index)?;
        let mux = self.media(subscriber, index).mux.offered;
        let Some(own) = &self.media(subscriber, index).leg else { return Ok(Told::Disabled) };
        let (rtp, rtcp) = (own.advertised, own.advertised_rtcp);
        let keys = if decrypted { ToldKeys::NONE } else { ToldKeys::Keep };
        let protocol = protocol.to_owned();
        Ok(Told::Here { rtp, rtcp, mux, mux_required: mux && wish.require, ice: None, protocol, keys, formats: None })
    }

    /// Takes the subscriber's answer, which [`Session::must_be_answer`] has found good: where each line is to be sent, and in
    /// which formats.
    pub(super) fn take_answer(&mut self, lines: &[Described]) -> Result<(), ApiError> {
        let subscriber = self.to;
        for (index, line) in lines.iter().enumerate() {
            self.media(subscriber, index).packets.say(line.ptime_ms, line.maxptime_ms);
            let media = self.media(subscriber, index).clone();
            let codecs = media.packed(&line.codecs);
            let Some(leg) = media.leg else { continue };
            let said = if self.config.enforce_direction { line.direction } else { Direction::RecvOnly };
            let receives = matches!(said, Direction::RecvOnly | Direction::SendRecv);
            let want = Want {
                remote: line.remote.or(leg.remote),
                remote_rtcp: if line.remote.is_some() { line.remote_rtcp } else { leg.remote_rtcp },
                direction: match line.enabled && receives && line.remote.is_some() {
                    true => Direction::RecvOnly,
                    false => Direction::Inactive,
                },
                latch: leg.latch,
                relaying: leg.relaying,
                muxed: line.mux && media.mux.offered,
                codecs: if codecs.is_empty() { leg.codecs } else { codecs },
                family: None,
                number: leg.number,
            };
            self.set_leg(subscriber, index, want)?;
        }
        Ok(())
    }

    /// The line's leg monitors its source.
    fn listen(&mut self, index: usize) -> Result<(), ApiError> {
        let subscriber = self.to;
        let media = self.media(subscriber, index);
        let (Some(leg), Some(source)) = (media.leg.as_ref().map(|leg| leg.number), media.hears) else { return Ok(()) };
        let (party, of) = (self.leg_name(subscriber, leg), self.leg_name(source.party, source.leg));
        self.plan.add(&Command::Monitor(Monitor { party, of: OneOrMore::One(of) }))
    }

    /// After an offer or answer: who subscribes to one of its sides goes on hearing it, though by another leg.
    pub(super) fn keep_subscribers(&mut self) -> Result<(), ApiError> {
        let (from, to) = (self.from, self.to);
        let mut moved = Vec::new();
        for party in &self.session.parties {
            for (index, media) in party.media.iter().enumerate() {
                let Some(source) = media.hears.filter(|source| source.party == from || source.party == to) else {
                    continue;
                };
                let present = self.session.party(source.party).and_then(|party| party.media.get(source.media));
                let present = present.and_then(|media| media.leg.as_ref()).map_or(source.leg, |leg| leg.number);
                if present != source.leg {
                    moved.push((party.id, index, Source { leg: present, ..source }));
                }
            }
        }
        for (subscriber, index, source) in moved {
            self.media(subscriber, index).hears = Some(source);
            let Some(number) = self.media(subscriber, index).leg.as_ref().map(|leg| leg.number) else { continue };
            let (party, of) = (self.leg_name(subscriber, number), self.leg_name(source.party, source.leg));
            self.plan.add(&Command::Monitor(Monitor { party, of: OneOrMore::One(of) }))?;
        }
        Ok(())
    }

    /// Ends a line of the subscriber, whose port is free then.
    fn drop_leg(&mut self, index: usize) -> Result<(), ApiError> {
        let subscriber = self.to;
        let media = self.media(subscriber, index);
        media.hears = None;
        let Some(leg) = media.leg.take() else { return Ok(()) };
        let party = self.leg_name(subscriber, leg.number);
        self.plan.add(&Command::LegDelete(OneParty { party }))
    }
}

fn keep_their_meaning(known: &[Codec], codecs: &[Codec]) -> bool {
    let agree = |codec: &Codec, other: &Codec| codec.payload_type != other.payload_type || codec.same_format(other);
    known.iter().all(|codec| codecs.iter().all(|other| agree(codec, other)))
}

impl Session {
    /// The formats that a party sends in one of its media: of its own those that its peer takes too; all, where the peer has
    /// said nothing yet.
    pub(super) fn understood(&self, party: PartyId, media: usize) -> Vec<Codec> {
        let Some(publisher) = self.party(party) else { return Vec::new() };
        let codecs = |party: &super::session::Party| party.media.get(media).map_or_else(Vec::new, |m| m.codecs.clone());
        let own = codecs(publisher);
        let peers = publisher.peer.and_then(|peer| self.party(peer)).map_or_else(Vec::new, codecs);
        let both: Vec<_> =
            own.iter().filter(|codec| peers.iter().any(|other| other.same_format(codec))).cloned().collect();
        if both.is_empty() { own } else { both }
    }

    /// Whether these lines can answer what the subscriber was offered. It takes every format, as nothing is transcoded; key
    /// presses and comfort noise may be left out.
    pub(super) fn must_be_answer(
        &self,
        subscriber: PartyId,
        lines: &[Described],
        allow_transcoding: bool,
    ) -> Result<(), Refused> {
        let bad = |detail: String| Err(Refused::Known { reason: reason::BAD_SUBSCRIPTION_ANSWER, detail });
        let media = self.party(subscriber).map_or(&[][..], |party| &party.media);
        if lines.len() > media.len() {
            return bad(format!("it has {} m= lines, and the offer had {}", lines.len(), media.len()));
        }
        let carries_media = |codec: &&Codec| !codec.is_telephone_event() && !codec.encoding.eq_ignore_ascii_case("CN");
        for (index, (line, media)) in lines.iter().zip(media).enumerate().filter(|(_, (line, _))| line.enabled) {
            let offered: Vec<_> = media.codecs.iter().filter(carries_media).collect();
            let accepts = |codec: &&&Codec| line.codecs.iter().any(|other| other.same_format(codec));
            let accepted = offered.iter().filter(accepts).count();
            let Some(refused) = offered.iter().find(|codec| !accepts(codec)) else { continue };
            if accepted == 0 || !allow_transcoding {
                let name = format!("{}/{}", refused.encoding, refused.clock_rate);
                return bad(format!(
                    "m= line {index} leaves out {name}, and this relay does not transcode: accept all formats of the offer"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use patchcord_relay::media::{EncodingName, Sending};

    use super::*;

    #[test]
    fn a_payload_type_keeps_its_meaning() {
        let codec = |payload_type, encoding: &str| Codec {
            payload_type: patchcord_rtp::PayloadType::new(payload_type).expect("it has seven bits"),
            encoding: EncodingName::new(encoding).expect("a short name"),
            clock_rate: 8000,
            channels: 1,
            fmtp: None,
            sending: Sending::default(),
        };
        let known = [codec(0, "PCMU"), codec(96, "x")];
        for (codecs, keeps) in [
            (vec![codec(0, "pcmu"), codec(97, "y")], true),
            (vec![codec(97, "x")], true),
            (vec![codec(96, "y")], false),
        ] {
            assert_eq!(keep_their_meaning(&known, &codecs), keeps, "{codecs:?}");
        }
    }
}
