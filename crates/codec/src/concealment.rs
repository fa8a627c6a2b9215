//! Concealing lost packets of codecs that have no means of their own, by pitch waveform substitution: the idea of ITU-T
//! G.711 Appendix I, at any sample rate and without its delay of 3.75 ms.
//!
//! Speech repeats itself from pitch period to pitch period. What is lost is filled with repetitions of the last period;
//! after 10 ms of the last two and after 20 ms of the last three, since one period for long sounds like a buzzer. From
//! 10 ms on it becomes quieter, and after 60 ms it is silent. When packets come again, the repetitions go on under the
//! first of them and are faded out.

mod pitch;

/// After this long nothing is heard any more, in milliseconds.
pub const AUDIBLE_MS: usize = 60;
/// This long the substitute has the loudness of what it repeats, in milliseconds.
const FULL_MS: usize = 10;
/// Each time this has passed another pitch period is repeated, in milliseconds, up to [`PERIODS_MAX`].
const PERIOD_MORE_MS: usize = 10;
const PERIODS_MAX: usize = 3;
/// The longest cross-fade from a substitute to packets that come again, in milliseconds.
const RETURN_FADE_MAX_MS: usize = 10;

/// One stream's past, and the substitute for its future.
#[derive(Clone, Debug)]
pub struct Concealment {
    sample_rate: usize,
    /// The last samples that were played, heard or made up; oldest first, of a fixed length.
    history: Vec<i16>,
    /// What is repeated, while something is.
    substitute: Option<Substitute>,
    /// The history as it was when packets stopped.
    source: Vec<i16>,
}

#[derive(Clone, Copy, Debug)]
struct Substitute {
    pitch: usize,
    periods: usize,
    /// The next sample of the repetition.
    position: usize,
    /// Samples made up since packets stopped.
    made: usize,
}

impl Concealment {
    /// For a stream of `sample_rate` samples a second, which has been silent so far.
    #[must_use]
    pub fn new(sample_rate: u32) -> Self {
        let sample_rate = sample_rate as usize;
        let longest = pitch::longest(sample_rate);
        // All periods, and the quarter before them that they are faded into.
        let len = PERIODS_MAX * longest + longest / 4 + 1;
        Self { sample_rate, history: vec![0; len], substitute: None, source: vec![0; len] }
    }

    /// Forgets everything, as for another stream. Allocates nothing.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.substitute = None;
    }

    /// Takes note of samples that came; if they come after a loss, their beginning is faded in.
    pub fn received(&mut self, samples: &mut [i16]) {
        if let Some(substitute) = self.substitute.take() {
            self.fade_back(substitute, samples);
        }
        self.remember(samples);
    }

    /// Appends `samples` that stand for lost ones.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let mut substitute = self.substitute.unwrap_or_else(|| {
            self.source.copy_from_slice(&self.history);
            Substitute { pitch: pitch::estimate(&self.source, self.sample_rate), periods: 1, position: 0, made: 0 }
        });
        let start = out.len();
        for _ in 0..samples {
            out.push(self.next(&mut substitute));
        }
        self.substitute = Some(substitute);
        self.remember(&out[start..]);
    }

    /// The next sample of the substitute, with its loudness.
    fn next(&self, substitute: &mut Substitute) -> i16 {
        let (per_ms, made) = (self.sample_rate / 1000, substitute.made);
        if made >= AUDIBLE_MS * per_ms {
            return 0;
        }
        let mut sample = self.repeated(substitute.periods, substitute.pitch, substitute.position);
        // Where the number of periods changes, the old and the new repetition are both in step with the pitch.
        let quarter = substitute.pitch / 4;
        let since_change = made % (PERIOD_MORE_MS * per_ms);
        if substitute.periods > 1 && since_change < quarter && made < PERIODS_MAX * PERIOD_MORE_MS * per_ms {
            let before = self.repeated(substitute.periods - 1, substitute.pitch, substitute.position);
            sample = mix(before, sample, since_change, quarter);
        }
        // The joint with what was heard: its mirror image is faded out, since there is no delay in which to fade it.
        if made < quarter {
            let mirrored = self.source[self.source.len() - 1 - made];
            sample = mix(f32::from(mirrored), sample, made, quarter);
        }
        substitute.made += 1;
        substitute.position += 1;
        substitute.periods = (1 + substitute.made / (PERIOD_MORE_MS * per_ms).max(1)).min(PERIODS_MAX);
        let fading = made.saturating_sub(FULL_MS * per_ms) as f32 / ((AUDIBLE_MS - FULL_MS) * per_ms) as f32;
        // A cast from a float saturates.
        (sample * (1.0 - fading)).round() as i16
    }

    /// The sample at `position` of the endless repetition of the last `periods`.
    fn repeated(&self, periods: usize, pitch: usize, position: usize) -> f32 {
        let (len, quarter) = (periods * pitch, pitch / 4);
        let at = position % len;
        let first = self.source.len() - len;
        let sample = f32::from(self.source[first + at]);
        // Its end is faded into what came before its beginning: the repetition has no seam.
        match (at + quarter).checked_sub(len) {
            Some(faded) => mix(sample, f32::from(self.source[first - quarter + faded]), faded, quarter),
            None => sample,
        }
    }

    /// Fades from the substitute to `samples`, the longer the more was lost (as in Appendix I).
    fn fade_back(&self, mut substitute: Substitute, samples: &mut [i16]) {
        let per_ms = self.sample_rate / 1000;
        let lost_ms = substitute.made / per_ms.max(1);
        let fade = substitute.pitch / 4 + lost_ms.saturating_sub(10) / 10 * 4 * per_ms;
        let fade = fade.min(RETURN_FADE_MAX_MS * per_ms).min(samples.len());
        for (done, sample) in samples[..fade].iter_mut().enumerate() {
            let made_up = f32::from(self.next(&mut substitute));
            *sample = mix(made_up, f32::from(*sample), done, fade).round() as i16;
        }
    }

    fn remember(&mut self, samples: &[i16]) {
        let len = self.history.len();
        let new = &samples[samples.len().saturating_sub(len)..];
        self.history.copy_within(new.len().., 0);
        self.history[len - new.len()..].copy_from_slice(new);
    }
}

/// From `before` to `after` in `of` steps, of which `done` are.
fn mix(before: f32, after: f32, done: usize, of: usize) -> f32 {
    let weight = (done as f32 + 0.5) / of.max(1) as f32;
    before + (after - before) * weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{SILENCE_DBFS, correlation, rms_dbfs};

    /// A voice of a pitch of `hz` with overtones.
    fn voice(hz: f64, sample_rate: u32, samples: usize) -> Vec<i16> {
        let step = core::f64::consts::TAU * hz / f64::from(sample_rate);
        (0..samples)
            .map(|n| {
                let phase = step * n as f64;
                (1..12).map(|k| 3000.0 / f64::from(k) * (phase * f64::from(k) + f64::from(k * k)).sin()).sum::<f64>()
            })
            .map(|x| x as i16)
            .collect()
    }

    #[test]
    fn a_lost_frame_of_a_voice_is_what_it_would_have_been() {
        for sample_rate in [8000, 16_000, 48_000] {
            for hz in [80.0, 123.0, 180.0, 310.0] {
                let frame = sample_rate as usize / 50;
                let said = voice(hz, sample_rate, 10 * frame);
                let mut concealment = Concealment::new(sample_rate);
                concealment.received(&mut said[..8 * frame].to_vec());
                let mut made = Vec::new();
                concealment.conceal(frame, &mut made);
                let alike = correlation(&made, &said[8 * frame..9 * frame]);
                assert!(alike > 0.9, "{hz} Hz at {sample_rate}: {alike}");
            }
        }
    }

    #[test]
    fn it_fades_to_silence_and_back_without_a_click() {
        let said = voice(130.0, 8000, 8000);
        let largest_step = said.windows(2).map(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs()).max();
        for lost_frames in 1..8 {
            let mut concealment = Concealment::new(8000);
            let mut heard = said[..4000].to_vec();
            concealment.received(&mut heard);
            concealment.conceal(160 * lost_frames, &mut heard);
            if lost_frames > 3 {
                assert_eq!(rms_dbfs(&heard[4000 + 480..]), SILENCE_DBFS);
            }
            let quieter: Vec<f64> = heard[4000..].chunks(80).map(rms_dbfs).collect();
            assert!(quieter.windows(2).skip(1).all(|pair| pair[1] <= pair[0] + 1.0), "{quieter:?}");
            let mut back = said[heard.len()..][..160].to_vec();
            concealment.received(&mut back);
            assert_eq!(back[90..], said[heard.len() + 90..][..70], "the fade is over");
            heard.extend(back);
            let step = heard.windows(2).map(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs()).max();
            assert!(step <= largest_step.map(|step| step * 3 / 2), "{step:?} after {largest_step:?}");
        }
    }

    #[test]
    fn it_does_not_matter_how_a_loss_is_cut() {
        let mut whole = Concealment::new(8000);
        whole.received(&mut voice(100.0, 8000, 2000));
        let mut parts = whole.clone();
        let (mut one, mut many) = (Vec::new(), Vec::new());
        whole.conceal(640, &mut one);
        for len in [1, 159, 0, 80, 400] {
            parts.conceal(len, &mut many);
        }
        assert_eq!(one, many);
    }

    #[test]
    fn silence_extremes_and_odd_rates_are_borne() {
        for sample_rate in [0, 1, 999, 1000, 4000, 192_000] {
            for level in [0, i16::MIN, i16::MAX] {
                let mut concealment = Concealment::new(sample_rate);
                concealment.received(&mut vec![level; 3000]);
                let mut out = Vec::new();
                concealment.conceal(500, &mut out);
                concealment.received(&mut [level; 3]);
                concealment.conceal(500, &mut out);
                assert_eq!(out.len(), 1000);
            }
        }
    }
}
