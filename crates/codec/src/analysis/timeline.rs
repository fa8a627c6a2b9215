//! The course of what was heard.

use super::level::rms_dbfs;
use super::search::{Identified, correlation, identify};
use super::{AUDIBLE_DBFS, FOUND_AT};

/// What one stretch of audio is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// Nothing audible.
    Silence,
    /// Audible, but none of the references.
    Unknown,
    /// The reference of this name.
    Reference(&'a str),
}

/// A stretch of audio that is one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch<'a> {
    /// What it is.
    pub heard: Heard<'a>,
    /// Its first sample.
    pub start: usize,
    /// The sample after its last.
    pub end: usize,
    /// The mean correlation of its windows with the reference, 0 for silence and unknown.
    pub correlation: f64,
}

/// A window must be long enough to be told apart, a step short enough to place a change.
const WINDOW_MS: usize = 500;
const STEP_MS: usize = 100;

/// What can be heard in `audio`, from its beginning to its end: windows of 500 ms every 100 ms are
/// [identified](identify) and joined to stretches. A change is placed to about a quarter of a second. Audio shorter than
/// a window gives nothing.
///
/// All must have the same sample rate; references that are looped must be given looped.
#[must_use]
pub fn timeline<'a>(audio: &[i16], sample_rate: u32, references: &[(&'a str, &[i16])]) -> Vec<Stretch<'a>> {
    let window = WINDOW_MS * sample_rate as usize / 1000;
    let step = STEP_MS * sample_rate as usize / 1000;
    let mut stretches: Vec<Stretch<'a>> = Vec::new();
    if step == 0 || audio.len() < window {
        return stretches;
    }
    let mut tracked: Option<Tracked<'a>> = None;
    let mut windows_in_last = 0.0;
    for start in (0..=audio.len() - window).step_by(step) {
        let segment = &audio[start..start + window];
        let (heard, correlation) = if rms_dbfs(segment) < AUDIBLE_DBFS {
            (Heard::Silence, 0.0)
        } else {
            let found = tracked.and_then(|tracked| tracked.again(segment, start, references));
            let found = found.or_else(|| identify(segment, references));
            tracked = found.map(|identified| Tracked { identified, start });
            found.map_or((Heard::Unknown, 0.0), |found| (Heard::Reference(found.name), found.correlation))
        };
        // A window speaks for the time around its middle.
        let begins = if start == 0 { 0 } else { start + (window - step) / 2 };
        let ends = if start + window + step > audio.len() { audio.len() } else { start + (window + step) / 2 };
        match stretches.last_mut() {
            Some(last) if last.heard == heard => {
                last.end = ends;
                windows_in_last += 1.0;
                last.correlation += (correlation - last.correlation) / windows_in_last;
            }
            _ => {
                stretches.push(Stretch { heard, start: begins, end: ends, correlation });
                windows_in_last = 1.0;
            }
        }
    }
    stretches
}

/// The names of the references in the order in which they were heard, each once for as long as no other came between;
/// silence and unknown stretches are passed over.
#[must_use]
pub fn order_heard<'a>(stretches: &[Stretch<'a>]) -> Vec<&'a str> {
    let mut order = Vec::new();
    for stretch in stretches {
        if let Heard::Reference(name) = stretch.heard
            && order.last() != Some(&name)
        {
            order.push(name);
        }
    }
    order
}

/// Where the last identified window lay: the next one probably follows it, and looking there costs nothing.
#[derive(Clone, Copy)]
struct Tracked<'a> {
    identified: Identified<'a>,
    start: usize,
}

impl<'a> Tracked<'a> {
    fn again(self, segment: &[i16], start: usize, references: &[(&'a str, &[i16])]) -> Option<Identified<'a>> {
        // So sure that no other reference could be better.
        const SURE_AT: f64 = 0.9;
        const { assert!(SURE_AT > FOUND_AT) };
        let name = self.identified.name;
        let (_, reference) = references.iter().find(|(candidate, _)| *candidate == name)?;
        let offset = self.identified.offset + (start - self.start);
        let expected = reference.get(offset..offset + segment.len())?;
        let correlation = correlation(segment, expected);
        (correlation >= SURE_AT).then_some(Identified { name, correlation, offset })
    }
}
