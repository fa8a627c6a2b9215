//! The formats of a media: what both legs are told of them, and what the other side is.

use std::sync::Arc;

use patchcord_ng::options::Codecs;
use patchcord_relay::media::Codec;
use patchcord_sdp::Format;

use super::codecs::{self, Answer, Known, Line};
use super::keying::Keying;
use super::media::{Described, Exchange, Phase};
use super::session::PartyId;

/// What an offer or answer says of the formats of a media.
pub(super) struct LegFormats {
    /// The list of its author's leg.
    pub(super) own: Vec<Codec>,
    /// The list of the other side's leg.
    pub(super) others: Vec<Codec>,
    /// What the other side is told; `None`: what stands there.
    pub(super) told: Option<Box<[Format]>>,
}

impl Exchange<'_, '_> {
    /// The lists of both legs, and what the other side is told. `towards` is the protocol in which it is told.
    pub(super) fn formats(&mut self, index: usize, line: &Described, towards: &str) -> LegFormats {
        let mut formats = match self.phase {
            Phase::Offer => self.offered_formats(index, line, towards),
            Phase::Answer => self.answered_formats(index, line),
        };
        // RFC 3264 8: until the answer comes, media goes on as it was.
        let goes_on = self.phase == Phase::Offer && self.is_transcoded(index);
        if !goes_on {
            self.pack(index, &mut formats);
        }
        formats
    }

    fn offered_formats(&mut self, index: usize, line: &Described, towards: &str) -> LegFormats {
        let offer = self.changed_offer(index, line, towards);
        let told = offer.as_ref().map(|offer| offer.formats.clone().into_boxed_slice());
        let negotiation = offer.map(|offer| offer.negotiation);
        let negotiation = negotiation.map(Arc::new);
        let to = self.media(self.to, index);
        to.negotiation.clone_from(&negotiation);
        if let Some(negotiation) = &negotiation {
            for codec in &negotiation.added {
                if !to.given.iter().any(|known| known.same_format(codec)) {
                    to.given.push(codec.clone());
                }
            }
        }
        if self.may_transcode(index) {
            for party in [self.from, self.to] {
                self.media(party, index).read = true;
            }
        }
        // RFC 3264 8: until the answer comes, media goes on as it was.
        let present = [self.from, self.to].map(|party| {
            let media = self.media(party, index);
            media.leg.as_ref().filter(|_| media.transcodes).map(|leg| leg.codecs.clone())
        });
        let (own, others) = match (present, negotiation) {
            ([Some(own), Some(others)], _) => (own, others),
            (_, Some(negotiation)) => {
                let answered = self.media(self.to, index).codecs.clone();
                let usable = &negotiation.usable;
                let shared = answered.iter().filter(|codec| usable.iter().any(|usable| usable.same_format(codec)));
                let own = self.meaningful(self.from, index, usable.iter().chain(shared));
                (own, self.meaningful(self.to, index, answered.iter().chain(&negotiation.offered)))
            }
            _ => self.passing(index),
        };
        LegFormats { own, others, told }
    }

    fn answered_formats(&mut self, index: usize, line: &Described) -> LegFormats {
        let negotiation = self.media(self.from, index).negotiation.clone();
        let line = Line { formats: &line.formats, codecs: &line.codecs };
        let answer = negotiation.and_then(|negotiation| codecs::answer(&negotiation, line));
        let is_relayed = !answer.as_ref().is_some_and(|answer| answer.transcodes);
        let is_repacked = is_relayed && self.is_repacked(index);
        let transcodes = !is_relayed || is_repacked;
        for party in [self.from, self.to] {
            self.media(party, index).transcodes = transcodes;
        }
        let mut formats = match answer {
            Some(Answer { formats, offerer, answerer, .. }) => LegFormats {
                own: self.meaningful(self.from, index, &answerer),
                others: self.meaningful(self.to, index, &offerer),
                told: Some(formats.into_boxed_slice()),
            },
            None => {
                let (own, others) = self.passing(index);
                LegFormats { own, others, told: None }
            }
        };
        if is_repacked {
            only_answered(&mut formats.own, line.codecs);
            only_answered(&mut formats.others, line.codecs);
        }
        formats
    }

    /// Whether both sides have agreed on formats that are transcoded.
    fn is_transcoded(&mut self, index: usize) -> bool {
        [self.from, self.to].into_iter().all(|party| {
            let media = self.media(party, index);
            media.transcodes && media.leg.is_some()
        })
    }

    /// Whether the media is transcoded, or may be when an offer is answered.
    pub(super) fn may_transcode(&mut self, index: usize) -> bool {
        [self.from, self.to].into_iter().any(|party| {
            let media = self.media(party, index);
            media.transcodes
                || media.packets.is_wanted()
                || media.negotiation.as_deref().is_some_and(codecs::Negotiation::may_transcode)
        })
    }

    /// What the option `codec` makes of an offer, if anything.
    fn changed_offer(&mut self, index: usize, line: &Described, towards: &str) -> Option<codecs::Offer> {
        if self.options.codec == Codecs::default() || line.formats.is_empty() {
            return None;
        }
        let is_plain = |protocol: &str| Keying::of(protocol) == Keying::Plain;
        // What passes unread cannot be transcoded.
        let reads = self.media(self.from, index).keys.terminates || (is_plain(&line.protocol) && is_plain(towards));
        let is_transparent = |party| {
            self.session
                .party(party)
                .and_then(|party| party.media.get(index)?.leg.as_ref())
                .is_some_and(|leg| leg.transparent)
        };
        let reads = reads && !is_transparent(self.from) && !is_transparent(self.to);
        let ever: Vec<Codec> = [self.from, self.to]
            .into_iter()
            .filter_map(|party| self.media(party, index).leg.as_ref().map(|leg| leg.codecs_ever.clone()))
            .flatten()
            .collect();
        let given = self.media(self.to, index).given.clone();
        let known = Known { given: &given, ever: &ever };
        let line_of = Line { formats: &line.formats, codecs: &line.codecs };
        codecs::offer(&self.options.codec, line_of, reads && line.kind == "audio", known)
    }

    /// A leg's list without numbers that have meant something else on it: these pass as they are.
    fn meaningful<'c>(
        &mut self,
        party: PartyId,
        index: usize,
        codecs: impl IntoIterator<Item = &'c Codec>,
    ) -> Vec<Codec> {
        let leg = self.media(party, index).leg.as_ref();
        let ever = leg.map_or(&[][..], |leg| &leg.codecs_ever);
        let keeps = |codec: &&Codec| {
            ever.iter().all(|known| known.payload_type != codec.payload_type || known.same_format(codec))
        };
        codecs::joined(codecs.into_iter().filter(keeps))
    }

    /// The codec lists of both legs. In an offer and its answer each side numbers formats as the other one receives them, so
    /// that within a dialogue a number passes as it is: both lists have all formats of both, each its own first.
    fn passing(&self, index: usize) -> (Vec<Codec>, Vec<Codec>) {
        let [one, other] =
            [self.from, self.to].map(|party| self.session.party(party).and_then(|party| party.media.get(index)));
        let [own, others] = [one, other].map(|media| media.map_or(&[][..], |media| &media.codecs));
        let ever = [one, other].into_iter().flatten().filter_map(|media| media.leg.as_ref());
        let ever = ever.flat_map(|leg| &leg.codecs_ever);
        // A number that has had two meanings has none: it passes as it is.
        let clear = |codec: &&Codec| {
            let same_number = |other: &&Codec| other.payload_type == codec.payload_type;
            let all = own.iter().chain(others).chain(ever.clone());
            all.filter(same_number).all(|other| other.same_format(codec))
        };
        let list = |first: &[Codec], then: &[Codec]| codecs::joined(first.iter().chain(then).filter(clear));
        (list(own, others), list(others, own))
    }
}

/// What is cut anew is sent in the format that was answered first (RFC 3264 6.1), and nothing else comes.
fn only_answered(codecs: &mut Vec<Codec>, answered: &[Codec]) {
    let rank = |codec: &Codec| answered.iter().position(|other| other.same_format(codec));
    if codecs.iter().any(|codec| codec.carries_media() && rank(codec).is_some()) {
        codecs.retain(|codec| rank(codec).is_some());
        codecs.sort_by_key(rank);
    }
}
