//! What a party's audio says: speech, silence, beeps, the tones of networks and of fax, and whether a human or a machine
//! has answered.
//!
//! A [`Detector`] takes one stream of 8000 samples a second; others are resampled first ([`crate::Resampler`]). It looks at
//! 20 ms at a time, so that pieces may be cut anywhere, and once made it allocates nothing. What it knows of a sound
//! is its level and its spectrum (`frame.rs`); what kind of sound that is follows from whether the spectrum has
//! peaks (`sound.rs`), and whether they stay (`run.rs`): speech's move. Speech (`speech.rs`), tones (`tones.rs`) and the answer (`answer.rs`) follow from
//! the kinds.
//!
//! How well it does is said, with figures, in docs/detection.md.

mod answer;
mod frame;
mod music;
mod noise_floor;
mod run;
mod settings;
mod sound;
mod speech;
mod tones;

use answer::Answer;
use frame::{FRAME_MS, Frame, Framer};
pub use settings::Settings;
use sound::{Kind, Sounds};
use speech::{Change, Speech};
use tones::{Heard, Tones};

/// Samples a second of what is detected in.
pub const SAMPLE_RATE: u32 = crate::TELEPHONE_RATE;

/// Something that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detected {
    /// What.
    pub what: What,
    /// When it began, in milliseconds since the first sample; to about 20 ms. It is told of later: see [`What`].
    pub at_ms: u64,
    /// How long it was, or has been so far, in milliseconds; 0 where it has just begun.
    pub duration_ms: u64,
    /// How sure that is, 0 to 1: an order and no probability. See docs/detection.md.
    pub confidence: f32,
}

/// What can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// Somebody speaks, and has for about 200 ms.
    SpeechBegins,
    /// Speech has ended, [`Settings::hang_over_ms`] ago: `at_ms` is when it began, `duration_ms` how long it was.
    SpeechEnds,
    /// Silence, for [`Settings::silence_ms`] so far; noise that does not change is silence.
    Silence,
    /// A beep as of an answering machine: one sine, then silence for 240 ms (1 s at the frequencies of ringing tones).
    Beep {
        /// Its frequency.
        hz: u16,
    },
    /// The other party's telephone rings (ITU-T E.180): told 0.6 s after a ring.
    RingingTone,
    /// The other party or the network is busy. Networks use one tone for both, at different speeds (E.180): told when
    /// it was on for the second time.
    BusyTone,
    /// A dialling tone: told after 3 s.
    DialTone,
    /// The three rising tones before an announcement that a call cannot be completed (E.180).
    SpecialInformation,
    /// A fax machine calls (CNG, ITU-T T.30): told after each of its tones; the second in a row is certain.
    FaxCng,
    /// A fax machine or a modem answers (CED, T.30; V.25 and V.8): told after 0.6 s.
    FaxCed,
    /// Who has answered. Told once, but that a beep or an answering tone within 10 s makes a machine of another; and
    /// once more if a ringing tone follows [`Answerer::Undecided`].
    Answered(Answerer),
}

/// Who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answerer {
    /// A word or two, then silence.
    Human,
    /// Speech that goes on, a beep, or an answering tone.
    Machine,
    /// Neither within [`Settings::answer_timeout_ms`].
    Undecided,
}

/// Listens to one stream of [`SAMPLE_RATE`] samples a second.
#[derive(Clone, Debug)]
pub struct Detector {
    settings: Settings,
    framer: Framer,
    state: State,
}

/// All that one stream has said so far.
#[derive(Clone, Debug)]
struct State {
    sounds: Sounds,
    speech: Speech,
    /// When speech ended last.
    spoken_ms: Option<u64>,
    tones: Tones,
    answer: Answer,
    quiet_ms: u64,
    now_ms: u64,
}

impl Detector {
    /// A detector for a stream that begins with an answer: early media before it is [`Self::answered`] later.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { settings: settings.in_range(), framer: Framer::new(), state: State::new() }
    }

    /// Begins anew, as for another stream, with the same settings. Allocates nothing.
    pub fn reset(&mut self) {
        self.framer.reset();
        self.state = State::new();
    }

    /// Signalling says that the call was answered now: what was heard before says nothing of who it was.
    pub fn answered(&mut self) {
        self.state.answer = Answer::at(self.state.now_ms);
    }

    /// Takes the next samples, as many as there are, and tells `emit` what they said, in the order in which that became
    /// known.
    pub fn push(&mut self, mut samples: &[i16], emit: &mut dyn FnMut(Detected)) {
        while !samples.is_empty() {
            let (rest, frame) = self.framer.take(samples);
            samples = rest;
            if let Some(frame) = frame {
                self.state.take(&frame, &self.settings, emit);
            }
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            sounds: Sounds::new(),
            speech: Speech::default(),
            spoken_ms: None,
            tones: Tones::default(),
            answer: Answer::default(),
            quiet_ms: 0,
            now_ms: 0,
        }
    }

    fn take(&mut self, frame: &Frame, settings: &Settings, emit: &mut dyn FnMut(Detected)) {
        self.now_ms = frame.start_ms() + FRAME_MS;
        self.sounds.take(frame, settings.audible_dbfs);
        let hang_over = u64::from(settings.hang_over_ms) / FRAME_MS;
        let changed = self.speech.take(frame, &self.sounds, hang_over);
        match changed {
            Some(Change::Began(stretch)) => emit(Detected {
                what: What::SpeechBegins,
                at_ms: stretch.start * FRAME_MS,
                duration_ms: 0,
                confidence: stretch.confidence(),
            }),
            Some(Change::Ended(stretch)) => {
                self.spoken_ms = Some(stretch.end * FRAME_MS);
                emit(Detected {
                    what: What::SpeechEnds,
                    at_ms: stretch.start * FRAME_MS,
                    duration_ms: stretch.length_ms(),
                    confidence: stretch.confidence(),
                });
            }
            None => {}
        }
        let tone = self.tones.take(self.now_ms, &self.sounds, self.spoken_ms);
        if let Some(Heard { what, start_ms, duration_ms, confidence }) = tone {
            emit(Detected { what, at_ms: start_ms, duration_ms, confidence });
        }
        self.look_for_silence(settings, emit);
        let verdict = self.answer.take(frame, &self.sounds, self.speech.now(), changed, tone, settings);
        if let Some(verdict) = verdict {
            emit(Detected {
                what: What::Answered(verdict.answerer),
                at_ms: verdict.start_ms,
                duration_ms: self.now_ms.saturating_sub(verdict.start_ms),
                confidence: verdict.confidence,
            });
        }
    }

    fn look_for_silence(&mut self, settings: &Settings, emit: &mut dyn FnMut(Detected)) {
        if self.sounds.newest() != Kind::Quiet {
            self.quiet_ms = 0;
            return;
        }
        let (before, silence_ms) = (self.quiet_ms, u64::from(settings.silence_ms));
        self.quiet_ms += FRAME_MS;
        if before < silence_ms && silence_ms <= self.quiet_ms {
            let at_ms = self.now_ms.saturating_sub(self.quiet_ms);
            emit(Detected { what: What::Silence, at_ms, duration_ms: self.quiet_ms, confidence: 1.0 });
        }
    }
}
