//! Who can be heard in a piece of audio in which several may speak at once.

use patchcord_codec::TELEPHONE_RATE;
use patchcord_codec::analysis::find;

/// Long enough for a voice to be told from any other, short enough for a jitter buffer to be moved now and then between two.
const WINDOW_SAMPLES: usize = TELEPHONE_RATE as usize;
const STEP_SAMPLES: usize = WINDOW_SAMPLES / 2;

/// From this correlation on a second of audio has the voice in it. Two voices that are equally loud correlate with their mix by
/// 1/sqrt(2) each, less what their pauses, codecs and losses take. In the mixes of this call 0.52 to 0.81 was measured, of one voice
/// alone 0.90 to 1.00, of voices that are not there 0.26 at most.
const HEARD_AT: f64 = 0.4;

/// How much of a voice there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Presence {
    /// Median of the correlations of all windows.
    pub(super) typical: f64,
    /// The highest of them.
    pub(super) most: f64,
}

impl Presence {
    /// Of a voice in audio at 8 kHz: windows of a second, every half a second, each at the best of all places of `reference`. Zero
    /// where there is not a second of it.
    pub(super) fn of(audio: &[i16], reference: &[i16]) -> Self {
        let correlation = |window: &[i16]| find(window, reference).map_or(0.0, |found| found.correlation);
        let mut found: Vec<f64> = audio.windows(WINDOW_SAMPLES).step_by(STEP_SAMPLES).map(correlation).collect();
        found.sort_by(f64::total_cmp);
        let at = |index: usize| found.get(index).copied().unwrap_or(0.0);
        Self { typical: at(found.len() / 2), most: found.last().copied().unwrap_or(0.0) }
    }

    /// In half of the windows at least: a voice pauses.
    pub(super) fn is_heard(self) -> bool {
        self.typical >= HEARD_AT
    }

    /// Not in a single window.
    pub(super) fn is_absent(self) -> bool {
        self.most < HEARD_AT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::references;
    use crate::demo::stage::{AGENT, TARGET, TRANSFEREE};

    #[test]
    fn each_voice_of_a_mix_is_heard_and_no_other() {
        let voice = |name| references::speech(name).expect(name).samples;
        let (agent, target, transferee) = (voice(AGENT), voice(TARGET), voice(TRANSFEREE));
        let from = 5 * WINDOW_SAMPLES;
        let mix: Vec<i16> = agent[from..]
            .iter()
            .zip(&target[from / 2..])
            .map(|(&a, &b)| a.saturating_add(b))
            .take(3 * from / 5)
            .collect();
        for (name, reference, there) in
            [(AGENT, &agent, true), (TARGET, &target, true), (TRANSFEREE, &transferee, false)]
        {
            let presence = Presence::of(&mix, reference);
            assert_eq!((presence.is_heard(), presence.is_absent()), (there, !there), "{name}: {presence:?}");
        }
    }

    #[test]
    fn a_voice_that_begins_late_is_neither_heard_nor_absent() {
        let agent = references::speech(AGENT).expect("audio").samples;
        let mut late = vec![0; 4 * WINDOW_SAMPLES];
        late.extend_from_slice(&agent[..2 * WINDOW_SAMPLES]);
        let presence = Presence::of(&late, &agent);
        assert!(!presence.is_heard() && !presence.is_absent(), "{presence:?}");
    }

    #[test]
    fn less_than_a_second_says_nothing() {
        assert_eq!(Presence::of(&[1000; 100], &[1000; 8000]), Presence { typical: 0.0, most: 0.0 });
    }
}
