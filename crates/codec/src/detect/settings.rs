//! What can be set.

/// What is detected, and how fast. Everything has a range that it is brought into, so that no value does harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What is softer than this is silence, whatever it is: RMS in dBFS, -80 to -20. Quiet speech on a telephone has about -40.
    pub audible_dbfs: f32,
    /// Speech has ended after so many ms without any, 100 to 2000: more than most pauses within a word or between two.
    pub hang_over_ms: u32,
    /// Silence is told of after so many ms of it, 100 to 600 000.
    pub silence_ms: u32,
    /// Whether a human or a machine answered is found out within so many ms after the answer, 500 to 60 000; then it is
    /// [`Answerer::Undecided`](super::Answerer::Undecided).
    pub answer_timeout_ms: u32,
    /// A greeting of so many ms of speech is a machine's, 500 to 10 000. People say one or two words: "Hello?", their name.
    pub greeting_max_ms: u32,
    /// After a shorter greeting a human is silent for so many ms, 300 to 3000: a machine goes on sooner.
    pub listening_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audible_dbfs: -50.0,
            hang_over_ms: 240,
            silence_ms: 2000,
            answer_timeout_ms: 3500,
            greeting_max_ms: 1800,
            listening_ms: 700,
        }
    }
}

impl Settings {
    /// The same with everything in its range.
    pub(super) fn in_range(self) -> Self {
        let audible_dbfs = if self.audible_dbfs.is_nan() { Self::default().audible_dbfs } else { self.audible_dbfs };
        Self {
            audible_dbfs: audible_dbfs.clamp(-80.0, -20.0),
            hang_over_ms: self.hang_over_ms.clamp(100, 2000),
            silence_ms: self.silence_ms.clamp(100, 600_000),
            answer_timeout_ms: self.answer_timeout_ms.clamp(500, 60_000),
            greeting_max_ms: self.greeting_max_ms.clamp(500, 10_000),
            listening_ms: self.listening_ms.clamp(300, 3000),
        }
    }
}
