//! The formats of an offer, as the receiver gets them.

use std::collections::BTreeSet;

use patchcord_ng::options::Codecs;
use patchcord_relay::media::Codec;
use patchcord_rtp::PayloadType;
use patchcord_sdp::Format;

use super::spec::Spec;
use super::{Line, Negotiation, Offer, is_transcodable, joined, written};

/// Numbers that are free for formats of the relay's own, in the order in which they are given: those that RFC 3551 6 sets aside, and then
/// those that it has not assigned and that RTCP on the same port does not look like (RFC 5761 4).
const FREE: [core::ops::RangeInclusive<u8>; 2] = [96..=127, 35..=63];

/// Where there is no audio to tell.
const EVENTS_CLOCK_RATE: u32 = 8000;

/// What numbers mean already.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Known<'a> {
    /// Formats that the relay has given the receiver before.
    pub(in super::super) given: &'a [Codec],
    /// Formats that have had a number on either side.
    pub(in super::super) ever: &'a [Codec],
}

/// What becomes of a format of the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The receiver is offered it.
    Kept,
    /// As if it were not there.
    Gone(Reason),
    /// The receiver is not offered it, and the offerer may use it.
    Hidden(Reason),
    /// The same, and it is to use it.
    Consumed(Reason),
}

/// Why it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It was named, or `full` was said: what comes back in its place is the relay's own.
    Named,
    /// All are: it comes back itself if it is to be transcoded to.
    All,
}

/// The formats that are offered instead of the line's; `None`: the line stays as it is. Where `transcodes` is not set, packets can only pass:
/// formats are left out and put in order, nothing else.
pub(in super::super) fn offer(options: &Codecs, line: Line<'_>, transcodes: bool, known: Known<'_>) -> Option<Offer> {
    let words = Words::read(options, transcodes);
    // A number that comes again says nothing new.
    let mut seen = BTreeSet::new();
    let mut formats: Vec<Entry<'_>> = line
        .formats
        .iter()
        .filter(|word| seen.insert(word.as_str()))
        .map(|word| {
            let codec = line.codecs.iter().find(|codec| word.parse() == Ok(codec.payload_type.get()));
            Entry { word, codec, fate: words.fate(codec) }
        })
        .collect();
    let is_usable = |entry: &Entry<'_>| match (entry.fate, entry.codec) {
        // What is not offered can only be transcoded.
        (Fate::Hidden(_) | Fate::Consumed(_), Some(codec)) => is_transcodable(codec),
        (fate, _) => fate == Fate::Kept,
    };
    let can_transcode = transcodes
        && formats.iter().any(|entry| {
            is_usable(entry) && entry.codec.is_some_and(is_transcodable)
                // What comes back is there too.
                || entry.fate == Fate::Gone(Reason::All) && entry.codec.is_some_and(|codec| words.restores(codec))
        });
    let mut added: Vec<Codec> = Vec::new();
    let mut restored = Vec::new();
    for spec in &words.transcode {
        match words.source(spec, &formats) {
            Source::Back => {
                for (index, entry) in formats.iter_mut().enumerate() {
                    if entry.fate != Fate::Kept && entry.codec.is_some_and(|codec| spec.is(codec)) {
                        entry.fate = Fate::Kept;
                        restored.push(Place::Theirs(index));
                    }
                }
            }
            Source::New(codec) if can_transcode && !added.iter().any(|other| other.same_format(&codec)) => {
                let Some(codec) = numbered(codec, &formats, &added, known) else {
                    tracing::warn!(
                        codec = spec.name,
                        "ng asks for a codec, and the offer has no payload type left for it"
                    );
                    continue;
                };
                restored.push(Place::Ours(added.len()));
                added.push(codec);
            }
            Source::There | Source::New(_) => {}
            Source::Nowhere => {
                tracing::warn!(
                    codec = spec.name,
                    "ng asks for a codec that this relay does not transcode; it is not offered"
                );
            }
        }
    }
    let media = |entry: &Entry<'_>| entry.codec.is_none_or(Codec::carries_media);
    if !added.iter().any(Codec::carries_media) && !formats.iter().any(|entry| entry.fate == Fate::Kept && media(entry))
    {
        if formats.iter().any(media) {
            tracing::warn!("ng takes all codecs out of an offer; the offer stays as it is");
        }
        return None;
    }
    let events = events_of(&mut added, &formats, known);
    let places = words.order(&formats, &added, restored, events);
    let usable = joined(formats.iter().filter(|entry| is_usable(entry)).filter_map(|entry| entry.codec));
    let of = |fits: &dyn Fn(&Entry<'_>) -> bool| {
        let fitting = formats.iter().filter(|entry| fits(entry)).filter_map(|entry| entry.codec);
        joined(fitting.filter(|codec| is_transcodable(codec)))
    };
    let offered = places.iter().filter_map(|place| match place {
        Place::Theirs(index) => formats[*index].codec,
        Place::Ours(index) => Some(&added[*index]),
    });
    let negotiation = Negotiation {
        usable,
        offered: joined(offered),
        consumed: of(&|entry| matches!(entry.fate, Fate::Consumed(_))),
        accepted: of(&|entry| {
            entry.fate == Fate::Kept && entry.codec.is_some_and(|codec| words.accept.iter().any(|spec| spec.is(codec)))
        }),
        accepts_first: words.accepts_all,
        converts_keys: can_transcode && words.transcode.iter().any(Spec::is_events),
        added: Vec::new(),
    };
    let changed = places.iter().enumerate().any(|(at, place)| *place != Place::Theirs(at))
        || places.len() != formats.len()
        || !negotiation.accepted.is_empty()
        || negotiation.accepts_first
        || negotiation.converts_keys;
    let formats = places.iter().map(|place| match place {
        Place::Theirs(index) => Format::Kept(formats[*index].word.to_owned()),
        Place::Ours(index) => Format::Own(written(&added[*index])),
    });
    changed
        .then(|| Offer { formats: formats.collect(), negotiation: Negotiation { added: added.clone(), ..negotiation } })
}

/// A format of the line.
struct Entry<'a> {
    word: &'a str,
    /// `None`: nobody knows what it means.
    codec: Option<&'a Codec>,
    fate: Fate,
}

/// Where an offered format comes from: the index in the line, or among those that the relay adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Theirs(usize),
    Ours(usize),
}

/// Where a format comes from that is to be transcoded to.
enum Source {
    /// It is offered anyway.
    There,
    /// It was taken out with all others.
    Back,
    New(Codec),
    /// It cannot be made.
    Nowhere,
}

/// Codecs, and whether `all` or `full` stands among them.
#[derive(Default)]
struct Names<'a> {
    specs: Vec<Spec<'a>>,
    all: Option<Reason>,
}

impl<'a> Names<'a> {
    fn read(list: &'a [String]) -> Self {
        let mut names = Self::default();
        for word in list {
            match word.trim() {
                all if all.eq_ignore_ascii_case("all") => names.all = names.all.or(Some(Reason::All)),
                full if full.eq_ignore_ascii_case("full") => names.all = Some(Reason::Named),
                word => match Spec::read(word) {
                    Some(spec) => names.specs.push(spec),
                    None => tracing::warn!(word, "ng names a codec that is none; write it as opus or opus/48000/2"),
                },
            }
        }
        names
    }

    fn has(&self, codec: Option<&Codec>) -> bool {
        codec.is_some_and(|codec| self.specs.iter().any(|spec| spec.is(codec)))
    }
}

/// The option, read.
struct Words<'a> {
    strip: Names<'a>,
    ignore: Names<'a>,
    mask: Names<'a>,
    consume: Names<'a>,
    /// These come first, in this order.
    offer: Vec<Spec<'a>>,
    /// `offer` and `except`.
    kept: Names<'a>,
    transcode: Vec<Spec<'a>>,
    accept: Vec<Spec<'a>>,
    accepts_all: bool,
}

impl<'a> Words<'a> {
    fn read(options: &'a Codecs, transcodes: bool) -> Self {
        let read = |list: &'a [String]| Names::read(list);
        let if_transcoding = |list: &'a [String]| if transcodes { Names::read(list) } else { Names::default() };
        let accept = if_transcoding(&options.accept);
        let (offer, mut kept) = (read(&options.offer), read(&options.except));
        kept.specs.extend(offer.specs.iter().cloned());
        Self {
            strip: read(&options.strip),
            ignore: read(&options.ignore),
            mask: if_transcoding(&options.mask),
            consume: if_transcoding(&options.consume),
            offer: offer.specs,
            kept,
            transcode: read(&options.transcode).specs,
            accepts_all: accept.all.is_some(),
            accept: accept.specs,
        }
    }

    /// A name goes before `all`, and nothing comes back that was named.
    fn fate(&self, codec: Option<&Codec>) -> Fate {
        use Reason::Named;
        if self.ignore.has(codec) || self.strip.has(codec) {
            return Fate::Gone(Named);
        }
        match (self.consume.has(codec), self.mask.has(codec)) {
            (true, _) => return Fate::Consumed(Named),
            (_, true) => return Fate::Hidden(Named),
            _ => {}
        }
        if self.kept.has(codec) {
            return Fate::Kept;
        }
        match (self.ignore.all, self.consume.all, self.mask.all, self.strip.all) {
            (Some(_), ..) => Fate::Gone(Named),
            (_, Some(reason), ..) => Fate::Consumed(reason),
            (_, _, Some(reason), _) => Fate::Hidden(reason),
            // Without a way back from `full` there would be nothing to transcode from.
            (.., Some(_)) => Fate::Gone(Reason::All),
            _ => Fate::Kept,
        }
    }

    fn restores(&self, codec: &Codec) -> bool {
        is_transcodable(codec) && self.transcode.iter().any(|spec| spec.is(codec))
    }

    fn source(&self, spec: &Spec<'_>, formats: &[Entry<'_>]) -> Source {
        use Fate::{Consumed, Gone, Hidden, Kept};
        let of = || formats.iter().filter(|entry| entry.codec.is_some_and(|codec| spec.is(codec)));
        let comes_back = |entry: &Entry<'_>| {
            spec.is_auxiliary() || matches!(entry.fate, Gone(Reason::All) | Hidden(Reason::All) | Consumed(Reason::All))
        };
        if of().any(|entry| entry.fate == Kept) {
            Source::There
        } else if of().any(comes_back) {
            Source::Back
        } else {
            let audio = formats.iter().filter(|entry| entry.fate == Kept).filter_map(|entry| entry.codec);
            let audio_clock_rate = || audio.map(|codec| codec.clock_rate).next().unwrap_or(EVENTS_CLOCK_RATE);
            let codec = if spec.is_events() { spec.to_events(audio_clock_rate()) } else { spec.to_codec() };
            codec.map_or(Source::Nowhere, Source::New)
        }
    }

    /// First what is to be first, then what there was, then what is transcoded to; events and comfort noise, which belong to other formats,
    /// come last where something is added.
    fn order(&self, formats: &[Entry<'_>], added: &[Codec], restored: Vec<Place>, events: Vec<Place>) -> Vec<Place> {
        let codec = |place: &Place| match place {
            Place::Theirs(index) => formats[*index].codec,
            Place::Ours(index) => Some(&added[*index]),
        };
        let kept = (0..formats.len()).filter(|index| formats[*index].fate == Fate::Kept).map(Place::Theirs);
        let mut rest: Vec<Place> = kept.filter(|place| !restored.contains(place)).collect();
        let mut order = Vec::with_capacity(formats.len() + restored.len() + events.len());
        for spec in &self.offer {
            let is_first =
                |place: &mut Place| codec(place).is_some_and(|codec| codec.carries_media() && spec.is(codec));
            order.extend(rest.extract_if(.., is_first));
        }
        if restored.is_empty() {
            order.append(&mut rest);
            return order;
        }
        let is_media = |place: &Place| codec(place).is_none_or(Codec::carries_media);
        let (media, last): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_media);
        let (back, back_last): (Vec<_>, Vec<_>) = restored.into_iter().partition(is_media);
        order.extend(media.into_iter().chain(back).chain(events).chain(last).chain(back_last));
        order
    }
}

/// RFC 4733 2.1: events go by the clock of the audio that they stand for. Where the offer has events at all, each clock rate that the relay adds
/// gets them.
fn events_of(added: &mut Vec<Codec>, formats: &[Entry<'_>], known: Known<'_>) -> Vec<Place> {
    let kept = || formats.iter().filter(|entry| entry.fate == Fate::Kept).filter_map(|entry| entry.codec);
    let is_events = |codec: &&Codec| codec.is_telephone_event();
    let like = kept().find(is_events).or_else(|| added.iter().find(is_events)).cloned();
    let Some(like) = like else { return Vec::new() };
    let mut places = Vec::new();
    for at in 0..added.len() {
        let clock_rate = added[at].clock_rate;
        let has = |codec: &Codec| codec.is_telephone_event() && codec.clock_rate == clock_rate;
        if kept().any(has) || added.iter().any(has) {
            continue;
        }
        // Without them key presses go by another clock, as they do with many telephones.
        if let Some(events) = numbered(Codec { clock_rate, ..like.clone() }, formats, added, known) {
            places.push(Place::Ours(added.len()));
            added.push(events);
        }
    }
    places
}

/// The format with a payload type: that which it had before, that which the offerer has for the same format, its own one, or a free one. `None`:
/// there is none left.
fn numbered(codec: Codec, formats: &[Entry<'_>], added: &[Codec], known: Known<'_>) -> Option<Codec> {
    let said = || formats.iter().filter_map(|entry| entry.codec);
    let kept = || formats.iter().filter(|entry| entry.fate == Fate::Kept).filter_map(|entry| entry.codec);
    let all = || said().chain(known.ever).chain(known.given);
    let is_unknown = |number: u8| formats.iter().any(|entry| entry.codec.is_none() && entry.word.parse() == Ok(number));
    let has = |number: u8, codec: &Codec| codec.payload_type.get() == number;
    // A number stands in a list once, and means one thing.
    let fits = |number: &u8| {
        !is_unknown(*number)
            && !added.iter().chain(kept()).any(|other| has(*number, other))
            && all().all(|other| !has(*number, other) || other.same_format(&codec))
    };
    let is_free = |number: &u8| !is_unknown(*number) && !all().chain(added).any(|other| has(*number, other));
    let before = known.given.iter().chain(said()).filter(|other| other.same_format(&codec));
    let before = before.map(|other| other.payload_type.get());
    let own = patchcord_sdp::Codec::static_payload_type(&codec.encoding, codec.clock_rate, codec.channels);
    let number = before.chain(own).find(fits).or_else(|| FREE.into_iter().flatten().find(is_free))?;
    Some(Codec { payload_type: PayloadType::new(number)?, ..codec })
}
