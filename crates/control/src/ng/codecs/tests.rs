use patchcord_ng::options::Codecs;
use patchcord_relay::media::{EncodingName, Sending};
use patchcord_rtp::PayloadType;

use super::*;

/// What numbers mean in these tests.
const MEANINGS: [(u8, &str, u32, u8); 9] = [
    (0, "PCMU", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (13, "CN", 8000, 1),
    (18, "G729", 8000, 1),
    (96, "opus", 48_000, 2),
    (97, "L16", 16_000, 1),
    (98, "telephone-event", 48_000, 1),
    (101, "telephone-event", 8000, 1),
];

fn codec(number: u8) -> Option<Codec> {
    let &(_, encoding, clock_rate, channels) = MEANINGS.iter().find(|(known, ..)| *known == number)?;
    Some(Codec {
        payload_type: PayloadType::new(number)?,
        encoding: EncodingName::new(encoding)?,
        clock_rate,
        channels,
        fmtp: (number == 101).then(|| "0-15".into()),
        sending: Sending::default(),
    })
}

struct Section {
    formats: Vec<String>,
    codecs: Vec<Codec>,
}

impl Section {
    fn new(formats: &str) -> Self {
        let formats: Vec<String> = formats.split_ascii_whitespace().map(str::to_owned).collect();
        let codecs = joined(&formats.iter().filter_map(|word| codec(word.parse().ok()?)).collect::<Vec<_>>());
        Self { formats, codecs }
    }

    fn line(&self) -> Line<'_> {
        Line { formats: &self.formats, codecs: &self.codecs }
    }
}

/// `strip=PCMU,PCMA mask=opus`.
fn options(text: &str) -> Codecs {
    let mut codecs = Codecs::default();
    for (key, words) in text.split_ascii_whitespace().map(|entry| entry.split_once('=').expect("key=words")) {
        let list = match key {
            "strip" => &mut codecs.strip,
            "offer" => &mut codecs.offer,
            "except" => &mut codecs.except,
            "mask" => &mut codecs.mask,
            "transcode" => &mut codecs.transcode,
            "consume" => &mut codecs.consume,
            "accept" => &mut codecs.accept,
            "set" => &mut codecs.set,
            "ignore" => &mut codecs.ignore,
            other => panic!("{other}"),
        };
        list.extend(words.split(',').map(str::to_owned));
    }
    codecs
}

const NOTHING: Known<'_> = Known { given: &[], ever: &[] };

fn offered(formats: &str, text: &str) -> Option<Offer> {
    offer(&options(text), Section::new(formats).line(), true, NOTHING)
}

/// Formats in one line: their numbers, and the names of those that are the relay's own.
fn told(formats: &[Format]) -> String {
    let word = |format: &Format| match format {
        Format::Kept(word) => word.clone(),
        Format::Own(codec) => format!("{}:{}", codec.payload_type, codec.encoding),
    };
    formats.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn numbers(codecs: &[Codec]) -> String {
    codecs.iter().map(|codec| codec.payload_type.get().to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_offer_is_changed_as_the_words_say() {
    for (formats, text, expected) in [
        // As rtpengine does it.
        ("0 8 101", "strip=PCMU", "8 101"),
        ("0 8 101", "strip=PCMU/16000,PCMA/8000", "0 101"),
        ("0 8 9 101", "strip=all except=G722,PCMU", "0 9"),
        ("0 8 9 101", "strip=all offer=G722,PCMU,opus", "9 0"),
        ("0 8 9 101", "strip=PCMU except=PCMU", "8 9 101"),
        ("0 8 101", "transcode=opus", "0 8 96:opus 97:telephone-event 101"),
        ("0 8", "transcode=opus", "0 8 96:opus"),
        ("96 101", "transcode=PCMA,PCMU", "96 8:PCMA 0:PCMU 101"),
        ("0 8 101", "strip=all transcode=PCMA,opus", "8 96:opus"),
        ("0 8 101", "strip=full transcode=PCMA,opus", "8 96:opus"),
        ("0 8 101", "mask=full transcode=PCMA,opus", "8:PCMA 96:opus"),
        ("0 8 101", "strip=PCMU transcode=PCMU", "8 0:PCMU 101"),
        ("96 0 101", "mask=opus", "0 101"),
        ("96 0 101", "mask=opus transcode=PCMA", "0 8:PCMA 101"),
        ("96 0 101", "mask=all transcode=PCMA", "8:PCMA"),
        ("96 0 101", "mask=all transcode=PCMA,telephone-event", "8:PCMA 101"),
        ("96 0 8 101", "mask=all except=PCMU,telephone-event", "0 101"),
        ("0 96 101", "consume=opus", "0 101"),
        ("0 96 101", "consume=all transcode=G722", "9:G722"),
        ("96 0 101", "accept=opus", "96 0 101"),
        ("0 96 101 98", "transcode=G722", "0 96 9:G722 101 98"),
        ("0 8 101", "strip=all offer=PCMA transcode=G722,telephone-event", "8 9:G722 101"),
        ("96 0 101", "strip=opus transcode=opus", "0 96:opus 97:telephone-event 101"),
        ("0 8 101", "strip=telephone-event", "0 8"),
        ("0 8 101", "strip=all transcode=FOO,PCMA", "8"),
        // As its manual has it.
        ("0 8 9 101", "offer=G722,PCMA", "9 8 0 101"),
        ("0 8 101", "ignore=PCMU transcode=PCMU", "8 0:PCMU 101"),
        ("0 96 101", "transcode=L16/16000/1", "0 96 97:L16 98:telephone-event 101"),
        // Key presses for somebody who has none.
        ("0 8", "transcode=telephone-event", "0 8 96:telephone-event"),
        ("0 8", "transcode=telephone-event,opus", "0 8 97:opus 98:telephone-event 96:telephone-event"),
        ("0 8 101", "transcode=telephone-event", "0 8 101"),
        ("96", "transcode=telephone-event", "96 97:telephone-event"),
        ("0 8 101", "strip=telephone-event transcode=telephone-event", "0 8 101"),
        // What nobody knows goes with all others, and belongs to those that carry media.
        ("0 77 101", "strip=all except=PCMU", "0"),
        ("77 101 0", "transcode=PCMA", "77 0 8:PCMA 101"),
        // What its numbers mean already is not changed.
        ("0 97 101 77", "strip=L16 transcode=opus", "0 77 96:opus 98:telephone-event 101"),
        // Twice the same is once.
        ("0", "transcode=opus,OPUS,opus/48000/2", "0 96:opus"),
    ] {
        let offer = offered(formats, text).unwrap_or_else(|| panic!("{formats} {text}"));
        assert_eq!(told(&offer.formats), expected, "{formats} {text}");
    }
}

#[test]
fn an_offer_stays_as_it_is_where_nothing_is_to_be_changed_or_nothing_would_be_left() {
    for (formats, text) in [
        ("0 8 101", "strip=G729,opus/48000"),
        ("0 96 101", "strip=opus/48000"),
        ("0 8 101", "transcode=PCMA,all,full"),
        ("0 8 101", "transcode=FOO,G729,opus/48000/1,L16,opus/x,,/,PCMU/16000"),
        ("0 8 101", "set=opus/48000/2/16000"),
        ("0 8 101", "offer=opus"),
        // Nothing would be left.
        ("0 8 101", "strip=all"),
        ("0 8 101", "strip=PCMU,PCMA"),
        ("0 8 101", "strip=all transcode=FOO"),
        ("96 0 101", "mask=all"),
        // The relay can make nothing of what it would have to transcode.
        ("18 101", "transcode=PCMU"),
        ("18 0 101", "strip=all,PCMU transcode=PCMU"),
        ("0 8", "transcode=CN"),
        ("18", "transcode=telephone-event"),
        ("", "strip=all transcode=opus"),
    ] {
        assert_eq!(offered(formats, text), None, "{formats} {text}");
    }
}

#[test]
fn what_passes_unread_is_only_stripped_and_put_in_order() {
    let unread = |text: &str| {
        let offer = offer(&options(text), Section::new("96 0 8 101").line(), false, NOTHING);
        offer.map(|offer| {
            assert!(!offer.negotiation.may_transcode());
            told(&offer.formats)
        })
    };
    assert_eq!(unread("strip=PCMU").as_deref(), Some("96 8 101"));
    assert_eq!(unread("strip=all offer=PCMA,PCMU").as_deref(), Some("8 0"));
    assert_eq!(unread("strip=all transcode=PCMA,G722").as_deref(), Some("8"));
    for text in ["mask=opus", "consume=opus", "accept=all", "transcode=G722"] {
        assert_eq!(unread(text), None, "{text}");
    }
}

#[test]
fn numbers_are_kept_and_given_once() {
    let opus = || codec(96).expect("it is known");
    let numbered = |number, codec: Codec| Codec { payload_type: PayloadType::new(number).expect("7 bits"), ..codec };
    let with = |formats: &str, text: &str, given: &[Codec], ever: &[Codec]| {
        let offer = offer(&options(text), Section::new(formats).line(), true, Known { given, ever });
        offer.map(|offer| told(&offer.formats)).unwrap_or_default()
    };
    assert_eq!(with("0", "transcode=opus", &[numbered(111, opus())], &[]), "0 111:opus", "as before");
    assert_eq!(with("0 111", "transcode=opus", &[numbered(111, opus())], &[]), "0 111 96:opus", "another has taken it");
    assert_eq!(
        with("0", "transcode=opus", &[], &[codec(97).expect("known"), numbered(96, codec(9).expect("known"))]),
        "0 98:opus"
    );
    assert_eq!(
        with("96", "transcode=PCMU", &[], &[numbered(0, codec(9).expect("known"))]),
        "96 97:PCMU",
        "not the static one"
    );
    // Where every dynamic number but one is taken it is that one, then those that nobody has assigned; then nothing is added.
    let text = |numbers: &[u8]| numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let dynamic: Vec<u8> = (96..=127).filter(|number| *number != 110).collect();
    assert!(with(&format!("0 {}", text(&dynamic)), "transcode=L16/8000", &[], &[]).ends_with(" 127 110:L16 98 101"));
    let full = format!("0 110 {}", text(&dynamic));
    assert!(with(&full, "transcode=L16/8000", &[], &[]).ends_with(" 127 35:L16 98 101"));
    let full = format!("{full} {}", text(&(35..=63).collect::<Vec<u8>>()));
    assert_eq!(offered(&full, "transcode=L16/8000"), None);
}

#[test]
fn parameters_of_an_own_format_are_said() {
    let fmtp = |text: &str| {
        let offer = offered("0 101", text).expect("opus is added");
        offer
            .formats
            .into_iter()
            .filter_map(|format| match format {
                Format::Own(codec) => Some(codec.fmtp),
                Format::Kept(_) => None,
            })
            .collect::<Vec<_>>()
    };
    let events = || Some("0-15".to_owned());
    assert_eq!(fmtp("transcode=opus"), [None, events()]);
    assert_eq!(
        fmtp("transcode=opus/48000/2/32000/20/useinbandfec--1;cbr=1/x"),
        [Some("useinbandfec=1;cbr=1".into()), events()]
    );
    assert_eq!(fmtp("transcode=opus/48000/2///a\u{7}=1"), [None, events()], "no line of its own");
}

/// What the offerer is answered, and both legs; `None`: as it was answered.
fn answered(offer: &str, text: &str, answer: &str) -> Option<[String; 3]> {
    let offer = offered(offer, text).expect("it is changed");
    let answer = super::answer(&offer.negotiation, Section::new(answer).line())?;
    let Answer { formats, offerer, answerer, transcodes } = answer;
    let shares =
        offerer.iter().any(|codec| codec.carries_media() && answerer.iter().any(|other| other.same_format(codec)));
    let converts = offerer.iter().chain(&answerer).any(|codec| codec.is_telephone_event() && codec.sending.is_exact());
    assert_eq!(!shares || converts, transcodes, "the engine does what is meant");
    let can = |codecs: &[Codec]| codecs.iter().any(is_transcodable);
    assert!(shares || (can(&offerer) && can(&answerer)));
    Some([told(&formats), numbers(&offerer), numbers(&answerer)])
}

#[test]
fn an_answer_is_relayed_or_transcoded_by_what_stands_first() {
    for (offer, text, answer, [to_offerer, offerer, answerer]) in [
        ("0 8 101", "transcode=opus", "96 101", ["0:PCMU 101:telephone-event", "0 101", "96 101"]),
        ("0 8 101", "transcode=opus", "96 98", ["0:PCMU 101:telephone-event", "0 101", "96 98"]),
        ("0 8", "transcode=opus", "96", ["0:PCMU", "0", "96"]),
        ("0 8 101", "transcode=opus", "8 101", ["8 101", "0 8 101", "8 101 0 96 97"]),
        ("0 8 101", "transcode=opus", "0 96 101", ["0 101", "0 8 101", "0 96 101 8 97"]),
        ("0 8 101", "transcode=opus", "96 0 101", ["0:PCMU 101:telephone-event", "0 101", "96 101"]),
        ("0 8 101", "transcode=opus", "96 8 101", ["0:PCMU 101:telephone-event", "0 101", "96 8 101"]),
        ("18 0 101", "transcode=opus", "96", ["0:PCMU", "0", "96"]),
        ("0 96 101 98", "transcode=G722", "9 101", ["0:PCMU 101:telephone-event", "0 101", "9 101"]),
        ("18 0 101", "transcode=opus", "18 101", ["18 101", "18 0 101", "18 101 0 96 97"]),
        ("0 8 101", "strip=PCMU", "8 101", ["8 101", "8 101", "8 101"]),
        ("0 8 101", "strip=PCMU", "0 8 101", ["8:PCMA 101:telephone-event", "8 101", "0 101"]),
        ("96 0 101", "mask=opus", "0 101", ["0 101", "96 0 101", "0 101"]),
        ("96 0 101", "mask=all transcode=PCMA", "8", ["96:opus", "96", "8"]),
        ("96 0 101", "mask=opus transcode=PCMA", "8 101", ["96:opus 101:telephone-event", "96 101", "8 101"]),
        ("96 0 101", "consume=opus", "0 101", ["96:opus 101:telephone-event", "96 101", "0 101"]),
        ("0 96 101", "consume=opus", "0 101", ["96:opus 101:telephone-event", "96 101", "0 101"]),
        ("0 96 101", "accept=opus", "0 101", ["96:opus 101:telephone-event", "96 101", "0 101"]),
        ("0 96 101", "accept=opus", "96 101", ["96 101", "0 96 101", "96 101 0"]),
        ("0 96 101", "accept=all", "0 101", ["0 101", "0 96 101", "0 101 96"]),
        ("96 0 101", "accept=all", "0 101", ["96:opus 101:telephone-event", "96 101", "0 101"]),
        ("18 0 101", "accept=all", "0 101", ["0 101", "18 0 101", "0 101 18"]),
        ("0 77 101", "transcode=opus", "0 77", ["0 77", "0 101", "0 96 97 101"]),
    ] {
        let what = format!("{offer} {text} {answer}");
        assert_eq!(answered(offer, text, answer), Some([to_offerer, offerer, answerer].map(str::to_owned)), "{what}");
    }
    // What it leads to cannot be heard, whatever is said.
    assert_eq!(answered("0 101", "transcode=opus", "18"), None);
    assert_eq!(answered("18 101", "accept=G729 strip=telephone-event", "0"), None);
    assert_eq!(answered("0 101", "transcode=opus", ""), None);
}

#[test]
fn keys_are_converted_where_one_side_alone_knows_events_and_that_was_asked_for() {
    for (offer, text, answer, [to_offerer, offerer, answerer]) in [
        ("0 8", "transcode=telephone-event", "0 101", ["0", "0", "0 101"]),
        ("0 8", "transcode=telephone-event", "8 0 101", ["8 0", "0 8", "8 0 101"]),
        ("0 8", "transcode=telephone-event", "0", ["0", "0 8", "0 8 96"]),
        ("0 8 101", "transcode=telephone-event", "8", ["8 101:telephone-event", "8 101", "8"]),
        ("0 8 101", "transcode=telephone-event", "8 101", ["8 101", "0 8 101", "8 101 0"]),
        // Transcoded anyhow, without being asked for.
        ("0 8", "transcode=opus,telephone-event", "96 98", ["0:PCMU", "0", "96 98"]),
        // What G729 may bring cannot be decoded.
        ("0 18", "transcode=telephone-event", "0 18 101", ["0 18", "0 18", "0 18 101 96"]),
        ("0 8 101", "transcode=opus", "0", ["0", "0 8 101", "0 8 96 97 101"]),
    ] {
        let what = format!("{offer} {text} {answer}");
        assert_eq!(answered(offer, text, answer), Some([to_offerer, offerer, answerer].map(str::to_owned)), "{what}");
    }
}
