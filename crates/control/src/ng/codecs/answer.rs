//! What an answer to a changed offer means: for the offerer's SDP, and for both legs.

use patchcord_relay::media::Codec;
use patchcord_sdp::Format;

use super::{Line, Negotiation, is_transcodable, joined, written};

/// What becomes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Answer {
    /// What the offerer is answered, in order.
    pub(in super::super) formats: Vec<Format>,
    /// The list of the offerer's leg.
    pub(in super::super) offerer: Vec<Codec>,
    /// The list of the answerer's leg.
    pub(in super::super) answerer: Vec<Codec>,
    /// The two share no format then, or keys are converted between them, so that the engine transcodes.
    pub(in super::super) transcodes: bool,
}

/// `None`: the two have nothing in common, and nothing can be transcoded. What comes first in the answer decides between relaying and transcoding,
/// because that is what its author will send (RFC 3264 6.1).
pub(in super::super) fn answer(negotiation: &Negotiation, line: Line<'_>) -> Option<Answer> {
    let is_theirs = |codec: &Codec| negotiation.usable.iter().any(|usable| usable.same_format(codec));
    let mut media = line.codecs.iter().filter(|codec| codec.carries_media());
    let is_relayed = media.next().is_some_and(is_theirs);
    let spoken = spoken(negotiation, line, is_relayed);
    let transcoded = spoken.and_then(|codec| transcoded(negotiation, line, codec));
    transcoded.or_else(|| {
        let any = is_relayed || media.any(is_theirs);
        any.then(|| converted(negotiation, line, &is_theirs).unwrap_or_else(|| relayed(negotiation, line, &is_theirs)))
    })
}

/// The format that the offerer is to be spoken with in, if that takes transcoding.
fn spoken<'a>(negotiation: &'a Negotiation, line: Line<'_>, is_relayed: bool) -> Option<&'a Codec> {
    let is_refused = |codec: &&Codec| !line.codecs.iter().any(|other| other.same_format(codec));
    let first = negotiation.usable.iter().find(|codec| codec.carries_media());
    let first = first.filter(|codec| negotiation.accepts_first && is_transcodable(codec));
    let wanted = negotiation.consumed.first();
    let wanted = wanted.or_else(|| negotiation.accepted.iter().find(is_refused)).or_else(|| first.filter(is_refused));
    wanted.or_else(|| negotiation.usable.iter().find(|codec| !is_relayed && is_transcodable(codec)))
}

/// One format for the offerer, so that the answerer may send all that it has chosen but that one.
fn transcoded(negotiation: &Negotiation, line: Line<'_>, spoken: &Codec) -> Option<Answer> {
    let others = line.codecs.iter().filter(|codec| !(codec.carries_media() && codec.same_format(spoken)));
    let answerer = joined(others);
    if !answerer.iter().any(is_transcodable) {
        return None;
    }
    let has_events = answerer.iter().any(Codec::is_telephone_event);
    // RFC 4733 2.1: of the clock rate of the audio, if there is the choice.
    let events = negotiation.usable.iter().filter(|codec| has_events && codec.is_telephone_event());
    let events = events.min_by_key(|codec| codec.clock_rate != spoken.clock_rate);
    let offerer = joined(core::iter::once(spoken).chain(events));
    let formats = offerer.iter().map(|codec| Format::Own(written(codec))).collect();
    Some(Answer { formats, offerer, answerer, transcodes: true })
}

/// What the two share, and key presses for the one that knows them; `None`: both do or neither, or it has not been asked for.
fn converted(negotiation: &Negotiation, line: Line<'_>, is_theirs: &dyn Fn(&Codec) -> bool) -> Option<Answer> {
    let events = |codecs: &[Codec]| codecs.iter().find(|codec| codec.is_telephone_event()).cloned();
    let exact = |codec: Codec| Codec { sending: codec.sending.exactly(), ..codec };
    let (theirs, others) = (events(&negotiation.usable), events(line.codecs));
    let is_media = |codec: &&Codec| codec.carries_media() && is_theirs(codec);
    let shared: Vec<&Codec> = line.codecs.iter().filter(is_media).collect();
    let one_knows = theirs.is_some() != others.is_some();
    if !negotiation.converts_keys || !one_knows || !shared.iter().copied().all(is_transcodable) {
        return None;
    }
    let own = negotiation.usable.iter().filter(|codec| shared.iter().any(|other| other.same_format(codec)));
    let mut offerer = joined(own.chain(shared.iter().copied()));
    let mut answerer = joined(shared.iter().copied());
    let mut formats = relayed(negotiation, line, is_theirs).formats;
    if let Some(events) = theirs {
        formats.push(Format::Own(written(&events)));
        offerer.push(exact(events));
    }
    answerer.extend(others.map(exact));
    Some(Answer { formats, offerer, answerer, transcodes: true })
}

/// RFC 3264 6.1: what the offerer has offered, as it was answered.
fn relayed(negotiation: &Negotiation, line: Line<'_>, is_theirs: &dyn Fn(&Codec) -> bool) -> Answer {
    let codec = |word: &String| line.codecs.iter().find(|codec| word.parse() == Ok(codec.payload_type.get()));
    let stays = |word: &&String| codec(word).is_none_or(is_theirs);
    let formats = line.formats.iter().filter(stays).map(|word| Format::Kept(word.clone())).collect();
    let shared = line.codecs.iter().filter(|codec| is_theirs(codec));
    Answer {
        formats,
        // Each side may number a format as the other one does, or in its own way.
        offerer: joined(negotiation.usable.iter().chain(shared)),
        answerer: joined(line.codecs.iter().chain(&negotiation.offered)),
        transcodes: false,
    }
}
