//! What the thread does with what it is given: transcoders that packets drive, and a mixer that a tick drives.

use core::time::Duration;
use std::collections::BTreeMap;

use patchcord_media::{CannotTranscode, Clip, Format, Meaning, Mixer, Noticed, Prompt, TICK, Transcoder, detect};
use patchcord_relay::command::Talker;
use patchcord_relay::detection::{Detection, What};
use patchcord_relay::ids::{LegId, MadeId};
use patchcord_relay::media::{Codec, Frames, Repeat};
use patchcord_relay::mixing::Mixing;
use patchcord_relay::overhearing::{Detecting, Listening};
use patchcord_relay::overlay::Begun;
use patchcord_relay::time::MonoTime;
use patchcord_relay::transcoding::Transcoding;
use patchcord_rtp::RtpHeader;

use super::{News, Whose, needs_codecs};

/// A mixer that is later than this leaves out what it has missed: its listeners are not flooded after a stall.
const LATE_MAX: Duration = Duration::from_millis(100);

pub(super) type Put<'a> = dyn FnMut(MadeId, &RtpHeader, &[u8]) + 'a;
pub(super) type Tell<'a> = dyn FnMut(LegId, Noticed) + 'a;

/// Who works on what the thread is given.
pub(super) struct Desk {
    /// By listener, each under its latest name.
    transcoders: BTreeMap<u32, (MadeId, Transcoder)>,
    mixer: Mixer<LegId, MadeId>,
    /// Legs of which it is found out what they say, and how they are listened to.
    detecting: BTreeMap<LegId, (Detecting, detect::Settings)>,
    /// When the mixer is due; `None`: it has nothing to do.
    pub(super) tick_at: Option<MonoTime>,
}

impl Desk {
    pub(super) const fn new() -> Self {
        Self { transcoders: BTreeMap::new(), mixer: Mixer::new(), detecting: BTreeMap::new(), tick_at: None }
    }

    /// Formats may have changed, or who else overhears the leg: what has been heard so far is forgotten only if the detector is another.
    fn detect(&mut self, leg: LegId, detecting: Option<Detecting>, listening: Option<Listening>) {
        let before = self.detecting.remove(&leg);
        let Some(now) = detecting else {
            if before.is_some() {
                self.mixer.detect(leg, None);
            }
            return;
        };
        let settings = listening.map(settings_of).or(before.map(|(_, settings)| settings)).unwrap_or_default();
        self.detecting.insert(leg, (now, settings));
        match before {
            Some((before, same)) if same == settings => {
                if before.answers != now.answers {
                    self.mixer.answered(leg);
                }
            }
            _ => self.mixer.detect(leg, Some(&settings)),
        }
    }

    pub(super) fn note(&mut self, news: News, now: MonoTime) {
        match news {
            News::Transcode(Transcoding { id, from, to, seed }) => {
                match Transcoder::new(&formats(&from), &formats(&to), seed) {
                    Ok(transcoder) => drop(self.transcoders.insert(id.listener(), (id, transcoder))),
                    Err(error) => tracing::error!(%error, "a party is not heard"),
                }
            }
            News::Mix(Mixing { id, talkers, to, prompts, seed }) => {
                let talkers = talkers.iter().map(|&Talker { leg, gain_db }| (leg, gain_db.into()));
                if let Err(error) = self.mixer.listen(id, &formats(&to), talkers, seed) {
                    tracing::error!(%error, "a party hears nothing");
                }
                for prompt in prompts.into_iter().filter_map(|begun| played(begun, now)) {
                    match prompt {
                        Ok(prompt) => self.mixer.overlay(id, prompt),
                        Err(error) => tracing::error!(%error, "a party does not hear a prompt"),
                    }
                }
            }
            News::Overhear(overhearing) if needs_codecs(&overhearing) => {
                self.mixer.set_voice(overhearing.leg, &formats(&overhearing.formats));
                self.detect(overhearing.leg, overhearing.by.detector, overhearing.listening);
            }
            News::Overhear(overhearing) => {
                self.mixer.remove_voice(overhearing.leg);
                self.detecting.remove(&overhearing.leg);
            }
            News::End(id) => {
                // News come in order: there is no later one than this.
                self.transcoders.remove(&id.listener());
                self.mixer.end(id);
            }
        }
    }

    pub(super) fn take(&mut self, whose: Whose, bytes: &[u8], put: &mut Put<'_>, tell: &mut Tell<'_>) {
        match whose {
            Whose::Source(id) => {
                let Some((known, transcoder)) = self.transcoders.get_mut(&id.listener()) else { return };
                if id.is_later_than(*known) {
                    *known = id;
                    transcoder.resume();
                }
                if id == *known {
                    transcoder.push(bytes, &mut |header, payload| put(id, header, payload));
                }
            }
            Whose::Party(leg, at) => self.mixer.push(leg, bytes, at.as_nanos(), tell),
        }
    }

    /// Mixes what is due.
    pub(super) fn tick(&mut self, now: MonoTime, put: &mut Put<'_>, tell: &mut Tell<'_>) {
        if self.mixer.is_idle() {
            self.tick_at = None;
            return;
        }
        let mut due = self.tick_at.unwrap_or(now);
        let late = now.nanos_since(due);
        if u128::from(late) > LATE_MAX.as_nanos() {
            let missed = late / TICK.as_nanos() as u64;
            self.mixer.skip(missed);
            due = due.after_nanos(missed * TICK.as_nanos() as u64);
        }
        while due <= now {
            self.mixer.tick(due.as_nanos(), put, tell);
            due = due.after(TICK);
        }
        self.tick_at = Some(due);
    }
}

/// In the detector's words.
fn settings_of(listening: Listening) -> detect::Settings {
    detect::Settings {
        audible_dbfs: listening.audible_dbfs.into(),
        hang_over_ms: listening.hang_over_ms.into(),
        silence_ms: listening.silence_ms,
        answer_timeout_ms: listening.answer_timeout_ms.into(),
        greeting_max_ms: listening.greeting_max_ms.into(),
        listening_ms: listening.listening_ms.into(),
    }
}

/// Frames that are shared by all calls, so often.
#[derive(Debug)]
struct Rounds {
    frames: Frames,
    repeat: Repeat,
}

impl Clip for Rounds {
    fn frame(&self, index: u64) -> Option<&[u8]> {
        let count = u64::from(self.frames.count());
        let is_over = match self.repeat {
            Repeat::Times(times) => index / count >= u64::from(times.max(1)),
            Repeat::Forever => false,
        };
        (!is_over).then(|| self.frames.payload((index % count) as u32))
    }
}

/// In the mixer's words; `None`: the engine has asked for what is not decoded here.
fn played(begun: Begun, now: MonoTime) -> Option<Result<Prompt, CannotTranscode>> {
    let Begun { frames, repeat, gain_db, at } = begun;
    let Meaning::Audio(codec) = format_of(&frames.format()?).meaning else { return None };
    let frame_ms = u32::try_from(frames.ptime().as_millis()).ok()?;
    let clip = Box::new(Rounds { frames, repeat });
    let late = Duration::from_nanos(now.nanos_since(at));
    Some(Prompt::new(codec, frame_ms, clip, gain_db.into()).map(|mut prompt| {
        // The same prompt in another stream than before goes on where it was; one that begins is not cut because of a moment.
        if late > LATE_MAX {
            prompt.leave_out(u64::try_from(late.as_millis()).unwrap_or(u64::MAX));
        }
        prompt
    }))
}

/// In the engine's words; `None`: these know nothing of it.
pub(super) fn detection_of(noticed: Noticed) -> Option<Detection> {
    let ms = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
    let (detected, ago_ms) = match noticed {
        Noticed::Heard(detected, ago_ms) => (detected, ago_ms),
        Noticed::Key { digit, duration_ms, volume, in_band } => {
            let what = What::Key { event: digit.event(), volume, in_band };
            return Some(Detection { what, began_ms_ago: duration_ms, duration_ms, confidence_percent: 100 });
        }
    };
    let what = match detected.what {
        detect::What::SpeechBegins => What::SpeechBegins,
        detect::What::SpeechEnds => What::SpeechEnds,
        detect::What::Silence => What::Silence,
        detect::What::Beep { hz } => What::Beep { hz },
        detect::What::RingingTone => What::RingingTone,
        detect::What::BusyTone => What::BusyTone,
        detect::What::DialTone => What::DialTone,
        detect::What::SpecialInformation => What::SpecialInformation,
        detect::What::FaxCng => What::FaxCng,
        detect::What::FaxCed => What::FaxCed,
        detect::What::Answered(detect::Answerer::Human) => What::Human,
        detect::What::Answered(detect::Answerer::Machine) => What::Machine,
        detect::What::Answered(detect::Answerer::Undecided) => What::Undecided,
        _ => return None,
    };
    Some(Detection {
        what,
        began_ms_ago: ms(ago_ms),
        duration_ms: ms(detected.duration_ms),
        confidence_percent: (detected.confidence.clamp(0.0, 1.0) * 100.0) as u8,
    })
}

fn formats(codecs: &[Codec]) -> Vec<Format> {
    codecs.iter().map(format_of).collect()
}

fn format_of(codec: &Codec) -> Format {
    Format::of(codec.payload_type, &codec.encoding, codec.clock_rate, codec.channels, codec.fmtp.as_deref())
        .encoded(codec.sending.ptime_ms().into(), codec.sending.bitrate())
}

/// Whether it can be done.
pub(crate) fn can_transcode(codec: &Codec) -> bool {
    patchcord_media::is_transcodable(&codec.encoding, codec.clock_rate, codec.channels)
}
