//! What tones say, by frequency and cadence.
//!
//! Each is told of once, as soon as it cannot be another one any more, and again after something else was heard.

use super::What;
use super::frame::FRAME_MS;
use super::run::Burst;
use super::sound::{Kind, Sounds};

/// The sines of ringing, busy and dialling tones, in Hz: 384 (Japan) to 480 (North America), and 350 for its dial tone;
/// E.180 recommends 400 to 450. 620 is the other one of North America's busy tone.
const CALL_HZ: (f32, f32) = (340.0, 495.0);
const BUSY_SECOND_HZ: f32 = 620.0;
/// Frequencies are told to about so many Hz, beside what the tone is allowed.
const SEEN_HZ: f32 = 6.0;
/// A ringing tone is on for 0.67 to 2.5 s (E.180 5), or twice for 0.3 to 0.5 s with 0.2 s between; then it is off for 2 s at
/// least. After 0.6 s it cannot be a busy tone any more.
const RING_MS: (u64, u64) = (780, 2600);
const HALF_RING_MS: (u64, u64) = (310, 520);
const RING_GAP_MS: (u64, u64) = (100, 250);
const RING_KNOWN_MS: u64 = 600;
/// A busy or congestion tone is on for 0.12 to 0.66 s and off for about as long (E.180).
const BUSY_MS: (u64, u64) = (120, 720);
/// A dialling tone goes on (E.180): longer than any ring.
const DIAL_MS: u64 = 3000;
/// The calling tone of fax: 1100 Hz ± 38, on for 0.5 s ± 15 %, off for 3 s ± 15 % (T.30). The 20 ms of a frame are added.
const CNG_HZ: (f32, f32) = (1100.0, 38.0);
const CNG_MS: (u64, u64) = (405, 595);
const CNG_OFF_MS: (u64, u64) = (2530, 3470);
/// The answering tone of fax and modems: 2100 Hz ± 15 for 2.6 to 4 s (T.30, V.25), with its changes of phase and its
/// modulation if it is that of V.8. No beep is as high and as long as this.
const CED_HZ: (f32, f32) = (2100.0, 15.0);
const CED_MS: u64 = 600;
/// The special information tone: three of 0.33 s ± 0.07 in a row (E.180), each ± 50 Hz.
const SIT_HZ: [f32; 3] = [950.0, 1400.0, 1800.0];
const SIT_OFF_HZ: f32 = 50.0;
const SIT_MS: (u64, u64) = (200, 440);
const SIT_GAP_MS: u64 = 120;
/// The beep of an answering machine. No standard says what it is: one sine, even, and silence after it.
const BEEP_HZ: (f32, f32) = (300.0, 2150.0);
const BEEP_MS: (u64, u64) = (80, 2100);
/// Below so many Hz only what is at least so long: the end of a word that is hummed is as high, and shorter.
const LOW_BEEP_HZ: f32 = 350.0;
const LOW_BEEP_MS: u64 = 180;
const BEEP_KNOWN_MS: u64 = 240;
/// At the frequencies of ringing tones a beep is one only if it is shorter than a ring, and alone for longer than a busy tone is off.
const BEEP_LIKE_RING_KNOWN_MS: u64 = 1000;
/// Beeps closer than this are a cadence.
const BEEP_ALONE_MS: u64 = 1000;
/// Bursts of one tone are so near to each other in Hz.
const SAME_HZ: f32 = 12.0;

/// What a tone was found to be, when it began, and how long it has been heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) what: What,
    pub(super) start_ms: u64,
    pub(super) duration_ms: u64,
    pub(super) confidence: f32,
}

/// A burst in milliseconds.
#[derive(Clone, Copy, Debug)]
struct On {
    start: u64,
    end: u64,
    hz: [f32; 2],
    even: bool,
}

/// Follows one stream's tones.
#[derive(Clone, Debug, Default)]
pub(super) struct Tones {
    /// The last bursts, the newest first.
    ons: [Option<On>; 3],
    /// What has been told of the tone that goes on, and of the last one: neither is told twice.
    told: Option<What>,
    /// Whether the silence after the last burst may still say something.
    open: bool,
    /// Frames since the last burst that were not quiet.
    loud_since: u64,
}

impl Tones {
    /// Takes the `sounds` up to a frame that ends at `now_ms`; speech has ended last at `speech_ms`.
    pub(super) fn take(&mut self, now_ms: u64, sounds: &Sounds, speech_ms: Option<u64>) -> Option<Heard> {
        if let Some(burst) = sounds.ended() {
            self.ons.rotate_right(1);
            self.ons[0] = Some(On::of(&burst));
            self.open = true;
            self.loud_since = 0;
            return self.at_end().filter(|heard| self.tell(heard));
        }
        if let Some(burst) = sounds.tone() {
            self.open = false;
            return during(&On::of(&burst)).filter(|heard| self.tell(heard));
        }
        if sounds.newest() != Kind::Quiet {
            self.loud_since += 1;
        }
        // Something else than tones: what was said of them may be said again.
        if self.loud_since * FRAME_MS >= RING_KNOWN_MS {
            self.told = None;
        }
        let heard = self.after(now_ms, speech_ms).filter(|_| self.open)?;
        self.open = false;
        self.tell(&heard).then_some(heard)
    }

    /// Whether this is news. Each beep is, and each calling tone: the second makes the first certain.
    fn tell(&mut self, heard: &Heard) -> bool {
        let told = self.told.replace(heard.what) == Some(heard.what);
        !told || matches!(heard.what, What::Beep { .. } | What::FaxCng)
    }

    /// What the burst that has just ended is, if its length and those before it tell.
    fn at_end(&self) -> Option<Heard> {
        let now = self.ons[0]?;
        if now.is_sine(CNG_HZ) && within(now.length(), CNG_MS) {
            let again = self.ons[1].is_some_and(|before| {
                before.is_sine(CNG_HZ) && within(now.start.saturating_sub(before.end), CNG_OFF_MS)
            });
            return Some(now.heard(What::FaxCng, if again { 0.95 } else { 0.7 }));
        }
        if let [Some(third), Some(second), Some(first)] = self.ons {
            let steps = [first, second, third];
            let rises =
                steps.iter().zip(SIT_HZ).all(|(on, hz)| on.is_sine((hz, SIT_OFF_HZ)) && within(on.length(), SIT_MS));
            let joined = steps.windows(2).all(|pair| pair[1].start.saturating_sub(pair[0].end) <= SIT_GAP_MS);
            if rises && joined {
                return Some(first.heard_to(What::SpecialInformation, 0.95, third.end));
            }
        }
        let before = self.ons[1]?;
        let (on, off) = (before.length(), now.start.saturating_sub(before.end));
        let even = |a: u64, b: u64| a.abs_diff(b) <= 40 + a / 8;
        if now.is_busy_like()
            && before.is_same(&now)
            && within(on, BUSY_MS)
            && even(on, now.length())
            && within(off, BUSY_MS)
            && even(on, off)
        {
            return Some(before.heard_to(What::BusyTone, 0.9, now.end));
        }
        None
    }

    /// What the last burst is, now that it has been quiet for a while.
    fn after(&self, now_ms: u64, speech_ms: Option<u64>) -> Option<Heard> {
        let last = self.ons[0]?;
        let quiet = now_ms.saturating_sub(last.end);
        let before = self.ons[1].filter(|before| last.start.saturating_sub(before.end) < BEEP_ALONE_MS);
        // Single frames may be clicks; more is something else than silence.
        let silent = self.loud_since <= 2;
        if last.is_call_tone() && (RING_KNOWN_MS..BEEP_LIKE_RING_KNOWN_MS).contains(&quiet) {
            if within(last.length(), RING_MS) {
                return Some(last.heard(What::RingingTone, 0.9));
            }
            let first = before.filter(|first| {
                first.is_same(&last)
                    && within(last.start.saturating_sub(first.end), RING_GAP_MS)
                    && within(first.length(), HALF_RING_MS)
                    && within(last.length(), HALF_RING_MS)
            });
            if let Some(first) = first {
                return Some(first.heard_to(What::RingingTone, 0.9, last.end));
            }
        }
        let known_ms = if last.is_call_tone() { BEEP_LIKE_RING_KNOWN_MS } else { BEEP_KNOWN_MS };
        let spoken = speech_ms.is_some_and(|ended| last.start.saturating_sub(ended) < 5000);
        let alone = before.is_none() && last.hz[1] == 0.0 && last.even && (spoken || !last.is_call_tone());
        let hz = last.hz[0];
        let beep = (BEEP_HZ.0..=BEEP_HZ.1).contains(&hz)
            && within(last.length(), BEEP_MS)
            && (hz >= LOW_BEEP_HZ || last.length() >= LOW_BEEP_MS)
            && !(last.is_sine(CNG_HZ) && within(last.length(), CNG_MS))
            && !(last.is_call_tone() && within(last.length(), RING_MS));
        if quiet >= known_ms && silent && alone && beep {
            let what = What::Beep { hz: hz.round() as u16 };
            return Some(last.heard(what, if spoken { 0.9 } else { 0.7 }));
        }
        None
    }
}

/// What a burst is while it goes on, if it has been on for long enough.
fn during(on: &On) -> Option<Heard> {
    if on.is_sine(CED_HZ) && on.length() >= CED_MS {
        return Some(on.heard(What::FaxCed, 0.95));
    }
    (on.is_call_tone() && on.length() >= DIAL_MS).then(|| on.heard(What::DialTone, 0.8))
}

impl On {
    const fn of(burst: &Burst) -> Self {
        Self { start: burst.start * FRAME_MS, end: burst.end * FRAME_MS, hz: burst.hz, even: burst.even }
    }

    const fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn is_sine(&self, (hz, off): (f32, f32)) -> bool {
        // V.8's answering tone is modulated by 15 Hz: its side bands are no second sine.
        let alone = self.hz[1] == 0.0 || (self.hz[1] - self.hz[0]).abs() < 80.0;
        alone && (self.hz[0] - hz).abs() <= off + SEEN_HZ
    }

    /// Whether its strongest sine, or both, are those of ringing and dialling tones.
    fn is_call_tone(&self) -> bool {
        let fits = |hz: f32| (CALL_HZ.0..=CALL_HZ.1).contains(&hz);
        fits(self.hz[0]) && (self.hz[1] == 0.0 || fits(self.hz[1]))
    }

    fn is_busy_like(&self) -> bool {
        let near = |hz: f32| (hz - BUSY_SECOND_HZ).abs() <= 20.0;
        self.is_call_tone()
            || self.hz.iter().any(|&hz| near(hz)) && self.hz.iter().any(|&hz| (460.0..500.0).contains(&hz))
    }

    /// Whether both are bursts of one tone. Of two sines now the one is stronger, now the other.
    fn is_same(&self, other: &Self) -> bool {
        let near = |a: f32, b: f32| (a - b).abs() <= SAME_HZ;
        near(self.hz[0], other.hz[0]) || near(self.hz[0], other.hz[1]) || self.is_call_tone() && other.is_call_tone()
    }

    const fn heard(&self, what: What, confidence: f32) -> Heard {
        self.heard_to(what, confidence, self.end)
    }

    const fn heard_to(&self, what: What, confidence: f32, end: u64) -> Heard {
        Heard { what, start_ms: self.start, duration_ms: end.saturating_sub(self.start), confidence }
    }
}

const fn within(value: u64, (least, most): (u64, u64)) -> bool {
    least <= value && value <= most
}
