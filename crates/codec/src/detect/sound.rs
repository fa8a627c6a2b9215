//! What kind of sound each frame has: nothing, noise, a voice, a note that is held, a tone.
//!
//! Noise has no peaks. A voice has, but its pitch moves: hardly ever does its strongest harmonic stay within 1 % for 120 ms.
//! A note stays, and the strongest of a chord; a tone is a note with nothing else beside it. Whether a peak stays is
//! known only a while after it has begun, so that kinds are looked back at.

use super::frame::{Frame, WINDOW_FRAMES};
use super::music::Music;
use super::noise_floor::NoiseFloor;
use super::run::{Burst, PURE, Run, TONE_FRAMES};

/// Frames that are looked back at: 800 ms.
pub(super) const KEPT: usize = 40;
/// Frames without the peak that a tone bears, 100 ms: a lost packet, or a change of phase as in V.25's answering tone, is seen
/// in all windows that it lies in. Pauses of busy tones have 200 ms at least.
const MISSES_MAX: usize = WINDOW_FRAMES + 1;
/// Frames in a row that are too soft, but have the peak: where a tone that is modulated is softest.
const DIP_MAX: usize = 2;
/// Blank frames in a row that are lost packets; more are silence.
const LOST_MAX: usize = 2;
/// So far above the noise a frame is more than noise: the level of noise varies by about 1 dB from frame to frame.
const ABOVE_NOISE_DB: f32 = 8.0;
/// From here on peaks are those of a voice, or of music: noise has 2.5 on average, and seldom 4.
pub(super) const VOICED_DB: f32 = 4.5;

/// The kind of a frame's sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that stands out of the noise.
    #[default]
    Quiet,
    /// Sound without peaks: noise, or a voiceless consonant.
    Other,
    /// One or two sines: the beginning of a tone, or of a vowel whose overtones are soft.
    Pure,
    /// Peaks that move.
    Voiced,
    /// A peak that stays.
    Held,
    /// A peak that stays alone, or two.
    Tone,
}

/// The kinds of the last frames.
#[derive(Clone, Debug)]
pub(super) struct Sounds {
    floor: NoiseFloor,
    /// Oldest first.
    kinds: [Kind; KEPT],
    music: Music,
    run: Option<Run>,
    ended: Option<Burst>,
    /// Frames since one was blank, and how many were so in a row.
    since_blank: usize,
    blank: usize,
}

impl Sounds {
    pub(super) fn new() -> Self {
        Self {
            floor: NoiseFloor::new(),
            kinds: [Kind::Quiet; KEPT],
            music: Music::default(),
            run: None,
            ended: None,
            since_blank: WINDOW_FRAMES,
            blank: 0,
        }
    }

    /// Takes a frame. What has at most `audible_dbfs` is quiet, whatever it is.
    pub(super) fn take(&mut self, frame: &Frame, audible_dbfs: f32) {
        let threshold_dbfs = audible_dbfs.max(self.floor.level_dbfs() + ABOVE_NOISE_DB);
        let kind = match frame {
            _ if frame.level_dbfs <= threshold_dbfs => Kind::Quiet,
            _ if frame.peakiness_db < VOICED_DB => Kind::Other,
            _ if frame.purity() >= PURE => Kind::Pure,
            _ => Kind::Voiced,
        };
        self.kinds.rotate_left(1);
        self.kinds[KEPT - 1] = kind;
        if frame.blank {
            self.blank = if self.since_blank == 0 { self.blank.saturating_add(1) } else { 1 };
        }
        self.since_blank = if frame.blank { 0 } else { self.since_blank.saturating_add(1) };
        self.follow(frame, kind);
        self.floor.take(frame);
        self.music.take(&self.kinds);
    }

    /// Goes on with the run, or begins another, and says so of the frames that it has.
    fn follow(&mut self, frame: &Frame, kind: Kind) {
        self.ended = None;
        let torn = self.since_blank < WINDOW_FRAMES && self.blank <= LOST_MAX;
        let seen = kind != Kind::Quiet;
        let mut run = self.run.take();
        if let Some(going) = &mut run {
            let stays = going.stays(frame, torn);
            if seen && stays && going.sounds(frame) {
                going.go_on(frame);
            } else {
                going.miss();
                let misses_max = match going.kind() {
                    Some(Kind::Tone) => MISSES_MAX,
                    _ if torn => MISSES_MAX,
                    _ if seen && stays => DIP_MAX,
                    _ => 0,
                };
                if going.misses() > misses_max {
                    self.ended = going.burst();
                    let frames = going.frames().min(KEPT);
                    // What moved on was a voice, however few sines it had.
                    if seen && !stays && !torn && going.kind().is_none() {
                        for kind in &mut self.kinds[KEPT - frames..KEPT - 1] {
                            if *kind == Kind::Pure {
                                *kind = Kind::Voiced;
                            }
                        }
                    }
                    run = None;
                }
            }
        }
        let mut run = run.or_else(|| seen.then(|| Run::new(frame)));
        if let Some(run) = &mut run
            && run.misses() == 0
            && let Some(staying) = run.kind()
        {
            // Sines that beat are no steady peak before the window is full of them: what came out of quiet so shortly before
            // the run is the beginning of the tone.
            if run.hits() == TONE_FRAMES {
                let before = &self.kinds[..KEPT - run.frames().min(KEPT)];
                let sounding = before.iter().rev().take_while(|&&kind| kind != Kind::Quiet).count();
                if sounding < WINDOW_FRAMES {
                    run.begin_earlier(sounding);
                }
            }
            for kind in &mut self.kinds[KEPT - run.frames().min(KEPT)..] {
                if *kind != Kind::Quiet {
                    *kind = staying;
                }
            }
        }
        self.run = run;
    }

    /// The kind of the newest frame, as far as it is known.
    pub(super) const fn newest(&self) -> Kind {
        self.kinds[KEPT - 1]
    }

    /// The kinds of the last frames that are certain, oldest first: that of a peak that may be staying is not.
    pub(super) fn certain(&self) -> &[Kind] {
        let pending = self.run.map_or(0, |run| if run.kind().is_some() { run.misses() } else { run.frames() });
        &self.kinds[..KEPT - pending.min(KEPT)]
    }

    /// Whether it is music that is heard.
    pub(super) fn is_music(&self) -> bool {
        self.music.is_heard(&self.kinds)
    }

    /// The tone that is heard; for 100 ms after it has ended it is not known whether it has.
    pub(super) fn tone(&self) -> Option<Burst> {
        self.run.and_then(|run| run.burst())
    }

    /// The tone whose end was noticed with the last frame.
    pub(super) const fn ended(&self) -> Option<Burst> {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use core::f64::consts::TAU;

    use super::*;
    use crate::detect::frame::Framer;
    use crate::tone::sine;

    /// The kinds of the frames of a sound that comes after half a second of silence, but for those at its end that are not
    /// certain, and its bursts.
    fn kinds(samples: &[i16]) -> (Vec<Kind>, Vec<Burst>) {
        let mut framer = Framer::new();
        let mut sounds = Sounds::new();
        let mut bursts = Vec::new();
        let all = [&[0; 4000], samples].concat();
        let mut rest = &all[..];
        while !rest.is_empty() {
            let frame;
            (rest, frame) = framer.take(rest);
            if let Some(frame) = frame {
                sounds.take(&frame, -50.0);
                bursts.extend(sounds.ended());
            }
        }
        let certain = sounds.certain().to_vec();
        (certain.into_iter().skip_while(|&kind| kind == Kind::Quiet).collect(), bursts)
    }

    /// A voice's overtones over a pitch that moves.
    fn voice(hz: f64, hz_per_s: f64) -> Vec<i16> {
        (0..4000)
            .map(|n| {
                let seconds = f64::from(n) / 8000.0;
                let phase = TAU * (hz + hz_per_s / 2.0 * seconds) * seconds;
                (1..20).map(|k| 1500.0 / f64::from(k) * (phase * f64::from(k)).sin()).sum::<f64>() as i16
            })
            .collect()
    }

    #[test]
    fn a_pitch_that_moves_is_a_voice_and_one_that_stays_is_a_note() {
        let (moving, _) = kinds(&voice(180.0, 60.0));
        assert!(moving.iter().filter(|&&kind| kind == Kind::Voiced).count() * 10 > moving.len() * 7, "{moving:?}");
        let (staying, bursts) = kinds(&voice(220.0, 0.0));
        assert!(staying.iter().filter(|&&kind| kind == Kind::Held).count() * 10 > staying.len() * 7, "{staying:?}");
        assert_eq!(bursts, []);
    }

    #[test]
    fn a_burst_says_when_it_was_and_what_it_bears() {
        let mut samples = [sine(1000.0, -20.0, 400, 8000).samples, vec![0; 2000]].concat();
        // A lost packet.
        samples[1280..1440].fill(0);
        let (_, bursts) = kinds(&samples);
        let [Burst { start: 25, end: 45, hz: [hz, second], even: true }] = bursts[..] else { panic!("{bursts:?}") };
        assert!((hz - 1000.0).abs() < 2.0 && second == 0.0, "{bursts:?}");
    }

    #[test]
    fn what_fades_or_slides_is_no_even_tone() {
        let plucked: Vec<i16> = sine(600.0, -10.0, 500, 8000)
            .samples
            .iter()
            .enumerate()
            .map(|(n, &sample)| (f64::from(sample) * (-6.0 * n as f64 / 4000.0).exp()) as i16)
            .collect();
        let slides: Vec<i16> = (0..4000)
            .map(|n| (3000.0 * (TAU * (500.0 + f64::from(n) / 100.0) * f64::from(n) / 8000.0).sin()) as i16)
            .collect();
        for (name, samples) in [("plucked", plucked), ("slides", slides)] {
            let (_, bursts) = kinds(&[samples, vec![0; 2000]].concat());
            assert!(bursts.iter().all(|burst| !burst.is_no_voice()), "{name}: {bursts:?}");
        }
    }
}
