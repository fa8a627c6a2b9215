//! Greetings of humans and of machines are told apart, as they are and after what a call does to them; music and a room full
//! of people are nobody. With `--nocapture` it prints how many were decided how, and when: the figures of docs/detection.md.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod support;
#[path = "support/variants.rs"]
mod variants;

use std::path::PathBuf;

use patchcord_codec::detect::{Answerer, Detected, Detector, Settings, What};
use patchcord_codec::{Country, music, tone, wav};
use variants::{VARIANTS, Variant};

/// The seed of noise and loss.
const SEED: u64 = 20;
/// Silence before and after each sample, in samples: 0.4 and 4 s.
const BEFORE: usize = 3200;
const AFTER: usize = 32_000;

/// What was detected, and when it was told, in ms.
type Told = Vec<(u64, Detected)>;

fn detect(samples: &[i16], settings: &Settings) -> Told {
    let mut detector = Detector::new(settings);
    let mut told = Vec::new();
    for (index, packet) in samples.chunks(160).enumerate() {
        detector.push(packet, &mut |detected| told.push((20 * (index as u64 + 1), detected)));
    }
    told
}

fn answers(told: &Told) -> Vec<(u64, Answerer)> {
    let answer = |&(at, detected): &(u64, Detected)| match detected.what {
        What::Answered(answerer) => Some((at, answerer)),
        _ => None,
    };
    told.iter().filter_map(answer).collect()
}

/// What somebody who answers sends: `samples` between silence.
fn sent(samples: &[i16]) -> Vec<i16> {
    [&vec![0; BEFORE], samples, &vec![0; AFTER]].concat()
}

fn sample(name: &str) -> Vec<i16> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(format!("{name}.wav"));
    wav::read_telephone(&path).unwrap().samples
}

/// The committed samples, and what is made here or by a call: name and samples.
fn all() -> Vec<(String, Vec<i16>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().strip_suffix(".wav").map(str::to_owned))
        .collect();
    names.sort();
    let mut all: Vec<_> = names.into_iter().map(|name| (name.clone(), sample(&name))).collect();
    for voice in ["transferee", "agent", "target"] {
        all.push((format!("machine-{voice}"), support::speech(voice)[..5 * 8000].to_vec()));
    }
    // Cut off: the silence after it is what a greeting has, too.
    for seconds in [1, 3] {
        all.push((format!("music-melody-{seconds}"), music::hold_melody().samples[..seconds * 8000].to_vec()));
        all.push((format!("music-guitar-{seconds}"), sample("music-guitar")[..seconds * 8000].to_vec()));
    }
    all
}

/// How many of a class were decided how, and after how many ms.
#[derive(Default)]
struct Row {
    human: Vec<u64>,
    machine: Vec<u64>,
    undecided: usize,
}

impl Row {
    fn mean_ms(&self) -> String {
        let all: Vec<u64> = self.human.iter().chain(&self.machine).copied().collect();
        let mean = all.iter().sum::<u64>().checked_div(all.len() as u64);
        mean.map_or_else(|| "-".to_owned(), |mean| mean.to_string())
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the table is what docs/detection.md has")]
fn greetings_are_told_apart() {
    println!("seed {SEED}; class: human, machine, undecided; mean ms from the first sound to the decision");
    let samples = all();
    for variant in VARIANTS {
        for class in ["human", "machine", "music", "noise"] {
            let mut row = Row::default();
            for (index, (name, samples)) in samples.iter().filter(|(name, _)| name.starts_with(class)).enumerate() {
                let told = detect(&variant.of(&sent(samples), SEED + index as u64), &Settings::default());
                let answers = answers(&told);
                let Some(&(at, first)) = answers.first() else { panic!("{name}, {variant:?}: nothing was said") };
                let after = at.saturating_sub(400);
                match first {
                    Answerer::Human => row.human.push(after),
                    Answerer::Machine => row.machine.push(after),
                    Answerer::Undecided => row.undecided += 1,
                }
                match class {
                    "human" => {
                        assert_eq!(first, Answerer::Human, "{name}, {variant:?}: {told:?}");
                        assert_eq!(answers.len(), 1, "{name}, {variant:?}: {told:?}");
                    }
                    "machine" => assert_eq!(first, Answerer::Machine, "{name}, {variant:?}: {told:?}"),
                    _ => {
                        assert!(
                            answers.iter().all(|&(_, who)| who != Answerer::Human),
                            "{name}, {variant:?}: {told:?}"
                        );
                    }
                }
                let tones = told.iter().any(|(_, detected)| is_network_tone(detected.what));
                assert!(!tones, "{name}, {variant:?}: {told:?}");
            }
            println!(
                "{variant:?}, {class}: {}, {}, {}; {}",
                row.human.len(),
                row.machine.len(),
                row.undecided,
                row.mean_ms()
            );
        }
    }
}

fn is_network_tone(what: What) -> bool {
    !matches!(what, What::SpeechBegins | What::SpeechEnds | What::Silence | What::Beep { .. } | What::Answered(_))
}

#[test]
fn the_beep_after_a_greeting_is_found_and_none_in_it() {
    for (name, hz) in [
        ("machine-mailbox", Some(1000)),
        ("machine-mailbox-de", Some(440)),
        ("machine-unavailable", Some(1400)),
        ("machine-closed", None),
    ] {
        let samples = sample(name);
        for variant in VARIANTS {
            let told = detect(&variant.of(&sent(&samples), SEED), &Settings::default());
            let beeps: Vec<Detected> = told
                .iter()
                .map(|&(_, detected)| detected)
                .filter(|detected| matches!(detected.what, What::Beep { .. }))
                .collect();
            assert_eq!(beeps.len(), usize::from(hz.is_some()), "{name}, {variant:?}, seed {SEED}: {told:?}");
            for beep in beeps {
                let What::Beep { hz: found } = beep.what else { unreachable!("filtered") };
                assert!(hz.is_some_and(|hz| found.abs_diff(hz) <= 3), "{name}, {variant:?}: {beep:?}");
                // The sample ends with it, and it takes 0.4 s.
                let end_ms = (BEFORE + samples.len()) as u64 / 8;
                assert!((beep.at_ms + 400).abs_diff(end_ms) <= 60, "{name}, {variant:?}: {beep:?}, end {end_ms}");
                assert!(beep.duration_ms.abs_diff(400) <= 60, "{name}, {variant:?}: {beep:?}");
            }
        }
    }
}

#[test]
fn speech_begins_and_ends_where_it_is() {
    for (name, samples) in all().iter().filter(|(name, _)| name.starts_with("human")) {
        let told = detect(&sent(samples), &Settings::default());
        let begins = told.iter().find(|(_, detected)| detected.what == What::SpeechBegins).unwrap().1;
        let last = told.iter().rfind(|(_, detected)| detected.what == What::SpeechEnds).unwrap().1;
        let end_ms = (BEFORE + samples.len()) as u64 / 8;
        // A soft consonant at either end is easily missed.
        assert!(begins.at_ms.abs_diff(400) <= 100, "{name}: {told:?}");
        assert!((last.at_ms + last.duration_ms).abs_diff(end_ms) <= 160, "{name}: {end_ms} {told:?}");
    }
}

#[test]
fn somebody_who_answers_after_ringing_is_a_human() {
    for country in Country::all() {
        let ringing = country.ringback().samples;
        // Answered in the pause after the second ring.
        let answered = ringing.len() + ringing.len() / 2;
        let heard = [&ringing, &ringing[..ringing.len() / 2], &sent(&sample("human-anna"))].concat();
        let told = detect(&heard, &Settings::default());
        let answers = answers(&told);
        assert!(matches!(answers[..], [(_, Answerer::Human)]), "{country}: {told:?}");
        assert!(answers[0].0 > answered as u64 / 8, "{country}: {told:?}");
    }
}

#[test]
fn a_beep_after_a_short_greeting_makes_a_machine_of_a_human() {
    let beep = tone::sine(1000.0, -20.0, 300, 8000).samples;
    let heard = [sent(&sample("human-hello")), sent(&beep)].concat();
    let told = detect(&heard, &Settings::default());
    let answers: Vec<Answerer> = answers(&told).into_iter().map(|(_, answerer)| answerer).collect();
    assert_eq!(answers, [Answerer::Human, Answerer::Machine], "{told:?}");
}

#[test]
fn settings_move_the_decision() {
    let greeting = Variant::AsItIs.of(&sent(&sample("human-anna")), 0);
    let first = |settings: &Settings| answers(&detect(&greeting, settings))[0];
    let (default_at, who) = first(&Settings::default());
    assert_eq!(who, Answerer::Human);
    assert_eq!(first(&Settings { greeting_max_ms: 800, ..Settings::default() }).1, Answerer::Machine);
    assert_eq!(first(&Settings { answer_timeout_ms: 1000, ..Settings::default() }), (1000, Answerer::Undecided));
    let (sooner, who) = first(&Settings { listening_ms: 400, ..Settings::default() });
    assert_eq!(who, Answerer::Human);
    assert!(sooner < default_at, "{sooner} {default_at}");
    let softer = Variant::Gain(-20.0).of(&greeting, 0);
    let deaf = Settings { audible_dbfs: -30.0, ..Settings::default() };
    assert_eq!(answers(&detect(&softer, &Settings::default()))[0].1, Answerer::Human);
    assert_eq!(answers(&detect(&softer, &deaf))[0].1, Answerer::Undecided);
}

#[test]
fn what_was_heard_before_the_answer_does_not_count() {
    let mut detector = Detector::new(&Settings::default());
    let mut told = Vec::new();
    detector.push(&sample("machine-closed"), &mut |_| ());
    detector.push(&[0; 8000], &mut |_| ());
    detector.answered();
    detector.push(&sent(&sample("human-hello")), &mut |detected| told.push(detected.what));
    assert!(told.contains(&What::Answered(Answerer::Human)), "{told:?}");
    assert!(!told.contains(&What::Answered(Answerer::Machine)), "{told:?}");
}
