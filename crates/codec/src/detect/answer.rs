//! Who has answered: a human says a word or two and listens, a machine goes on, or beeps.

use super::frame::{FRAME_MS, Frame};
use super::sound::{Kind, Sounds};
use super::speech::{Change, Stretch};
use super::tones::Heard;
use super::{Answerer, Settings, What};

/// Less speech than this is no greeting, but a cough or a click.
const WORD_MS: u64 = 120;
/// After a greeting it is softer by so much, in dB: else it was noise that the noise floor has caught up with, or many voices.
const SOFTER_DB: f32 = 10.0;
/// The part of the listening that may have sound in it: breath, a click.
const SOUND_MAX: f32 = 0.25;
/// A greeting has at most one such part of held notes; more is a tune.
const HELD_MAX: u64 = 5;
/// A tone so shortly before a word spoils it: what follows may be what is left of the tone.
const AFTER_TONE_MS: u64 = 100;
/// The longest pause of a ringing tone is 5 s (Austria, Portugal, Sweden); after this it has stopped.
const RING_PAUSE_MS: u64 = 6500;
/// A beep so long after a greeting still makes it a machine's: some leave time before it.
const BEEP_AFTER_MS: u64 = 10_000;

/// The verdict: who, when they began, how surely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) answerer: Answerer,
    pub(super) start_ms: u64,
    pub(super) confidence: f32,
}

/// What is known of one answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// When it was answered.
    since_ms: u64,
    /// When the ringing tone stopped last, while it may go on: then nobody has answered.
    rang_ms: Option<u64>,
    /// When speech began, and how long it was without the stretch that goes on.
    first_ms: Option<u64>,
    talk_ms: u64,
    /// The last stretch that has ended, and what came after it: power and number of frames, those with sound.
    last: Option<Stretch>,
    power_after: f64,
    frames_after: u32,
    sound_after: u32,
    /// When a tone was heard last, and notes, in frames since the answer.
    tone_ms: Option<u64>,
    held_ms: u64,
    /// What was said of it, and when.
    said: Option<(Answerer, u64)>,
}

impl Answer {
    /// For what is answered at `since_ms`.
    pub(super) fn at(since_ms: u64) -> Self {
        Self { since_ms, ..Self::default() }
    }

    /// Takes a frame with the `sounds` up to it, the `speech` that goes on, what has `changed` of it, and a `tone` that was
    /// found.
    pub(super) fn take(
        &mut self,
        frame: &Frame,
        sounds: &Sounds,
        speech: Option<&Stretch>,
        changed: Option<Change>,
        tone: Option<Heard>,
        settings: &Settings,
    ) -> Option<Verdict> {
        let now_ms = frame.start_ms() + FRAME_MS;
        self.note(frame, sounds, changed);
        let verdict = match tone {
            Some(tone) => self.hear(&tone, now_ms),
            None if self.is_ringing(now_ms, speech) || self.said.is_some() => None,
            None => self.judge(now_ms, speech, settings),
        };
        if let Some(verdict) = verdict {
            self.said = Some((verdict.answerer, now_ms));
        }
        verdict
    }

    fn note(&mut self, frame: &Frame, sounds: &Sounds, changed: Option<Change>) {
        let kind = sounds.newest();
        match kind {
            Kind::Tone if sounds.tone().is_some_and(|tone| tone.is_no_voice()) => {
                self.tone_ms = Some(frame.start_ms());
            }
            Kind::Held => self.held_ms += FRAME_MS,
            Kind::Tone | Kind::Quiet | Kind::Other | Kind::Pure | Kind::Voiced => {}
        }
        match changed {
            Some(Change::Began(stretch)) => {
                self.first_ms.get_or_insert(stretch.start * FRAME_MS);
            }
            Some(Change::Ended(stretch)) => {
                self.talk_ms += self.since_answer(&stretch);
                self.last = Some(stretch);
                (self.power_after, self.frames_after, self.sound_after) = (0.0, 0, 0);
            }
            None => {}
        }
        self.power_after += 10_f64.powf(f64::from(frame.level_dbfs) / 10.0);
        self.frames_after = self.frames_after.saturating_add(1);
        self.sound_after = self.sound_after.saturating_add(u32::from(kind != Kind::Quiet));
    }

    /// How much of a stretch was after the answer, in ms.
    fn since_answer(&self, stretch: &Stretch) -> u64 {
        (stretch.end * FRAME_MS).saturating_sub(self.since_ms.max(stretch.start * FRAME_MS))
    }

    /// What a tone says.
    fn hear(&mut self, tone: &Heard, now_ms: u64) -> Option<Verdict> {
        let machine = |confidence| Verdict { answerer: Answerer::Machine, start_ms: tone.start_ms, confidence };
        match (tone.what, self.said) {
            (What::RingingTone, None | Some((Answerer::Undecided, _))) => {
                *self = Self { rang_ms: Some(tone.start_ms + tone.duration_ms), ..Self::at(now_ms) };
                None
            }
            (What::Beep { .. } | What::FaxCed, None) => Some(machine(tone.confidence)),
            (What::Beep { .. } | What::FaxCed, Some((said, said_ms))) => {
                let late = now_ms.saturating_sub(said_ms) > BEEP_AFTER_MS;
                (said != Answerer::Machine && !late).then(|| machine(tone.confidence))
            }
            _ => None,
        }
    }

    /// Whether it may be ringing still. The time begins when it is not, or somebody speaks.
    fn is_ringing(&mut self, now_ms: u64, speech: Option<&Stretch>) -> bool {
        let Some(rang_ms) = self.rang_ms else { return false };
        // Further rings are told of no more: they begin the pause anew.
        let rang_ms = rang_ms.max(self.tone_ms.unwrap_or(0));
        let spoken = speech.map(|stretch| stretch.start * FRAME_MS);
        if spoken.is_none() && now_ms.saturating_sub(rang_ms) < RING_PAUSE_MS {
            return true;
        }
        self.rang_ms = None;
        self.since_ms = spoken.unwrap_or(now_ms);
        false
    }

    fn judge(&self, now_ms: u64, speech: Option<&Stretch>, settings: &Settings) -> Option<Verdict> {
        let start_ms = self.first_ms.unwrap_or(self.since_ms);
        let going_on_ms = speech.map_or(0, |stretch| self.since_answer(stretch));
        let talk_ms = self.talk_ms + going_on_ms;
        let greeting_max_ms = u64::from(settings.greeting_max_ms);
        if talk_ms >= greeting_max_ms {
            return Some(Verdict { answerer: Answerer::Machine, start_ms, confidence: 0.8 });
        }
        if speech.is_none() && self.listens(now_ms, start_ms, settings) {
            // 0.95 for a word, 0.6 for what is nearly too long.
            let confidence = 0.95 - 0.35 * talk_ms as f32 / greeting_max_ms as f32;
            return Some(Verdict { answerer: Answerer::Human, start_ms, confidence });
        }
        let late = now_ms.saturating_sub(self.since_ms) >= u64::from(settings.answer_timeout_ms);
        late.then_some(Verdict { answerer: Answerer::Undecided, start_ms: self.since_ms, confidence: 0.0 })
    }

    /// Whether a greeting was said and nothing after it.
    fn listens(&self, now_ms: u64, start_ms: u64, settings: &Settings) -> bool {
        let Some(last) = self.last else { return false };
        let silent_ms = now_ms.saturating_sub(last.end * FRAME_MS);
        let after_dbfs = (10.0 * (self.power_after / f64::from(self.frames_after.max(1))).max(1e-10).log10()) as f32;
        silent_ms >= u64::from(settings.listening_ms)
            && self.talk_ms >= WORD_MS
            && last.level_dbfs() - after_dbfs >= SOFTER_DB
            && self.sound_after as f32 <= SOUND_MAX * self.frames_after as f32
            && self.tone_ms.is_none_or(|tone_ms| tone_ms + AFTER_TONE_MS <= start_ms)
            && HELD_MAX * self.held_ms <= self.talk_ms
    }
}
