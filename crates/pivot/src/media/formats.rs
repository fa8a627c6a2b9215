//! Which formats are offered to whom, and which are taken.

use patchcord_control::api::CodecParts;

use super::description::{is_audio, is_same_format};

/// Formats that every telephone has and the relay makes any other of, in the order in which they are offered beside a party's own.
const COMMON: [(&str, u8, u32); 2] = [("PCMU", 0, 8000), ("PCMA", 8, 8000)];
/// Formats that the relay decodes and encodes (docs/media.md).
const MADE: [&str; 5] = ["PCMU", "PCMA", "G722", "opus", "L16"];
/// Where dynamic payload types begin (RFC 3551 3).
const DYNAMIC: core::ops::RangeInclusive<u8> = 96..=127;
/// What telephones take key presses by.
const EVENT: u8 = 101;

/// What is offered to a party that is to talk to one with these formats: those first, under the same numbers, so that nothing has to be
/// made; then what everybody has, if the relay can make it of these.
#[must_use]
pub fn offered(to_talk_to: &[CodecParts]) -> Vec<CodecParts> {
    let mut codecs: Vec<_> = to_talk_to.iter().filter(|codec| is_audio(codec)).cloned().collect();
    let can_be_made = |codec: &CodecParts| MADE.iter().any(|name| codec.encoding.eq_ignore_ascii_case(name));
    if codecs.is_empty() || codecs.iter().any(can_be_made) {
        for (encoding, payload_type, clock_rate) in COMMON {
            let codec = CodecParts::new(payload_type, encoding.to_owned(), clock_rate);
            if !codecs.iter().any(|known| is_same_format(known, &codec)) {
                codecs.push(codec);
            }
        }
    }
    // Comfort noise and the like stay with what they belong to.
    let beside = to_talk_to.iter().filter(|codec| !is_audio(codec));
    codecs.extend(beside.cloned());
    let has_events = codecs.iter().any(|codec| codec.is_telephone_event() && codec.clock_rate == 8000);
    if !has_events && let Some(payload_type) = free_number(&codecs) {
        let encoding = "telephone-event".to_owned();
        codecs.push(CodecParts { fmtp: Some("0-16".to_owned()), ..CodecParts::new(payload_type, encoding, 8000) });
    }
    codecs
}

/// What of an offer is taken for a party that will hear, and speak to, one that has taken `other`: the formats that both have, in the
/// other's order; else the first that the relay can make; with key presses, if they are offered. Empty if nothing goes.
#[must_use]
pub fn answered(offer: &[CodecParts], other: &[CodecParts]) -> Vec<CodecParts> {
    let audio = |codec: &&CodecParts| is_audio(codec);
    let common = other
        .iter()
        .filter(audio)
        .filter_map(|wanted| offer.iter().find(|codec| is_same_format(codec, wanted)).cloned());
    let mut taken: Vec<_> = common.collect();
    if taken.is_empty() {
        let can_be_made = |codec: &&CodecParts| MADE.iter().any(|name| codec.encoding.eq_ignore_ascii_case(name));
        taken.extend(offer.iter().filter(audio).find(can_be_made).cloned());
    }
    let Some(first) = taken.first() else { return taken };
    let clock_rate = first.clock_rate;
    let beside = offer.iter().filter(|codec| !is_audio(codec) && codec.clock_rate == clock_rate);
    taken.extend(beside.cloned().collect::<Vec<_>>());
    taken
}

fn free_number(codecs: &[CodecParts]) -> Option<u8> {
    let is_free = |number: &u8| !codecs.iter().any(|codec| codec.payload_type == *number);
    core::iter::once(EVENT).chain(DYNAMIC).find(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(text: &str) -> CodecParts {
        let (number, format) = text.split_once(' ').expect("a number");
        let mut parts = format.split('/');
        let encoding = parts.next().expect("a name").to_owned();
        let clock_rate = parts.next().expect("a rate").parse().expect("a number");
        let channels = parts.next().map_or(1, |channels| channels.parse().expect("a number"));
        CodecParts { channels, ..CodecParts::new(number.parse().expect("a number"), encoding, clock_rate) }
    }

    fn codecs<const N: usize>(texts: [&str; N]) -> Vec<CodecParts> {
        texts.map(codec).to_vec()
    }

    fn names(codecs: &[CodecParts]) -> Vec<String> {
        codecs.iter().map(|codec| format!("{} {}", codec.payload_type, codec.encoding)).collect()
    }

    #[test]
    fn the_other_partys_formats_come_first_and_what_everybody_has_behind() {
        let of = codecs(["111 opus/48000/2", "101 telephone-event/48000"]);
        let offer = offered(&of);
        let wanted = ["111 opus", "0 PCMU", "8 PCMA", "101 telephone-event", "96 telephone-event"];
        assert_eq!(names(&offer), wanted);
        let offer = offered(&codecs(["8 PCMA/8000", "101 telephone-event/8000"]));
        assert_eq!(names(&offer), ["8 PCMA", "0 PCMU", "101 telephone-event"]);
        let offer = offered(&codecs(["18 G729/8000"]));
        assert_eq!(names(&offer), ["18 G729", "101 telephone-event"], "nothing can be made of it");
    }

    #[test]
    fn what_both_have_is_taken_in_the_order_of_who_answered() {
        let offer = codecs(["8 PCMA/8000", "0 PCMU/8000", "111 opus/48000/2", "101 telephone-event/8000"]);
        let other = codecs(["0 PCMU/8000", "8 PCMA/8000"]);
        assert_eq!(names(&answered(&offer, &other)), ["0 PCMU", "8 PCMA", "101 telephone-event"]);
        let other = codecs(["9 G722/8000"]);
        assert_eq!(
            names(&answered(&offer, &other)),
            ["8 PCMA", "101 telephone-event"],
            "the relay makes one of the other"
        );
        assert!(answered(&codecs(["18 G729/8000"]), &other).is_empty());
    }
}
