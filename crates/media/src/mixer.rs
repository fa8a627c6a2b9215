//! Parties that hear several others at once.

use core::time::Duration;
use std::collections::BTreeMap;

use patchcord_codec::Resampler;
use patchcord_codec::detect::Settings;
use patchcord_rtp::RtpHeader;

use crate::CannotTranscode;
use crate::format::Format;
use crate::heard_key::HeardKey;
use crate::outlet::{Emit, Outlet};
use crate::prompt::Prompt;
use crate::transcoder::Named;
use crate::voice::{NARROW, Noticed, Voice, WIDE};

/// How often [`Mixer::tick`] is to be called: RFC 3551 4.2 has packets of 20 ms as the default. A listener that asks for other packets is
/// sent these as soon as they are full.
pub const TICK: Duration = Duration::from_millis(20);

/// Mixes parties for each other. `V` names those who speak, `L` those who listen: mostly the same people.
///
/// Each voice is decoded once in a tick and each listener is encoded once for, so that a party more is a decoder and an encoder
/// more; the sums are little beside these. Keys that a talker tells of by events (RFC 4733) are heard as such by who knows these, as
/// tones by others, one at a time: whoever presses one while another is down is not heard pressing. What is mixed has 8 kHz where the listener or all talkers have no more, else 16 kHz. Once
/// warm a tick allocates nothing.
#[derive(Debug)]
pub struct Mixer<V, L> {
    voices: BTreeMap<V, Voice>,
    listeners: BTreeMap<L, Listener<V>>,
    sum: Vec<i32>,
}

#[derive(Debug)]
struct Listener<V> {
    talkers: Vec<(V, Gain)>,
    /// Its events; nothing: it hears tones in their place.
    events: Option<Named>,
    /// The key that it hears at present.
    key: Option<HeardKey<V>>,
    /// Samples a second of the sums; 0 until that is known.
    mixed_at: u32,
    /// What is played to it over these, until it ends. Few are played anything.
    prompts: Vec<Prompt>,
    outlet: Outlet,
    /// From the sums to what is encoded, if that has another rate.
    resampler: Option<Resampler>,
    mixed: Vec<i16>,
}

/// What a sample is multiplied by, as a fraction of 2^12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gain(i32);

impl Gain {
    const BITS: u32 = 12;
    const NONE: Self = Self(1 << Self::BITS);

    fn of_db(db: i32) -> Self {
        let factor = 10_f64.powf(f64::from(db.clamp(-96, 48)) / 20.0);
        Self((factor * f64::from(Self::NONE.0)).round() as i32)
    }

    const fn apply(self, sample: i16) -> i32 {
        ((sample as i64 * self.0 as i64) >> Self::BITS) as i32
    }
}

impl<V: Copy + Ord, L: Copy + Ord> Default for Mixer<V, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Copy + Ord, L: Copy + Ord> Mixer<V, L> {
    /// Nobody speaks, and nobody listens.
    #[must_use]
    pub const fn new() -> Self {
        Self { voices: BTreeMap::new(), listeners: BTreeMap::new(), sum: Vec::new() }
    }

    /// A party speaks in these formats, or no longer in those before.
    pub fn set_voice(&mut self, voice: V, formats: &[Format]) {
        match self.voices.get_mut(&voice) {
            Some(known) => known.set_formats(formats),
            None => drop(self.voices.insert(voice, Voice::new(formats))),
        }
        self.agree_on_rates();
    }

    /// It does not any more.
    pub fn remove_voice(&mut self, voice: V) {
        self.voices.remove(&voice);
        self.agree_on_rates();
    }

    /// What a voice says is found out from now on, or no longer. A voice that is not known yet has to be set first.
    pub fn detect(&mut self, voice: V, settings: Option<&Settings>) {
        if let Some(voice) = self.voices.get_mut(&voice) {
            voice.detect(settings);
            self.agree_on_rates();
        }
    }

    /// Signalling says that a party has answered now.
    pub fn answered(&mut self, voice: V) {
        if let Some(voice) = self.voices.get_mut(&voice) {
            voice.answered();
        }
    }

    /// `listener` hears these voices from now on, each louder by so many dB, in the first audio format of `to`. One that listens
    /// already hears others by the same stream, whose SSRC and first numbers come of `seed`; it keeps its format.
    ///
    /// # Errors
    /// It has no format that can be encoded, or libopus makes no stream; it hears what it heard before.
    pub fn listen(
        &mut self,
        listener: L,
        to: &[Format],
        talkers: impl IntoIterator<Item = (V, i32)>,
        seed: u64,
    ) -> Result<(), CannotTranscode> {
        let talkers: Vec<_> = talkers.into_iter().map(|(voice, gain_db)| (voice, Gain::of_db(gain_db))).collect();
        match self.listeners.get_mut(&listener) {
            Some(known) => known.talkers = talkers,
            None => {
                let (format, codec) = Format::spoken(to).ok_or(CannotTranscode::NoListener)?;
                let outlet = Outlet::new(format, codec, codec.sample_rate_for(WIDE), seed)?;
                let events = Named::events(to, codec.clock_rate());
                let heard = Listener {
                    talkers,
                    events,
                    key: None,
                    mixed_at: 0,
                    prompts: Vec::new(),
                    outlet,
                    resampler: None,
                    mixed: Vec::new(),
                };
                self.listeners.insert(listener, heard);
            }
        }
        self.agree_on_rates();
        Ok(())
    }

    /// `listener`, who is there, is played this too over what it hears, until it ends: other talkers change nothing about that.
    pub fn overlay(&mut self, listener: L, prompt: Prompt) {
        if let Some(known) = self.listeners.get_mut(&listener) {
            known.prompts.push(prompt);
            self.agree_on_rates();
        }
    }

    /// `listener` hears nothing more of it.
    pub fn end(&mut self, listener: L) {
        if self.listeners.remove(&listener).is_some() {
            self.agree_on_rates();
        }
    }

    /// Whether a tick would do nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.listeners.is_empty() && !self.voices.values().any(Voice::is_detected)
    }

    /// Takes a packet that a party has sent: RTP, not encrypted, that arrived at `at_ns` nanoseconds of the clock of the ticks. A key
    /// that it tells of is told `notice`, where that is to be found out.
    pub fn push(&mut self, voice: V, packet: &[u8], at_ns: u64, notice: &mut dyn FnMut(V, Noticed)) {
        if let Some(known) = self.voices.get_mut(&voice) {
            known.push(packet, at_ns, &mut |noticed| notice(voice, noticed));
        }
    }

    /// Mixes 20 ms for each listener, as of `now_ns`, and calls `emit` with header and payload of its packet; what was found out of a
    /// voice is told `notice`.
    pub fn tick(
        &mut self,
        now_ns: u64,
        emit: &mut dyn FnMut(L, &RtpHeader, &[u8]),
        notice: &mut dyn FnMut(V, Noticed),
    ) {
        for (&name, voice) in &mut self.voices {
            voice.tick(now_ns, &mut |noticed| notice(name, noticed));
        }
        for (&name, listener) in &mut self.listeners {
            listener.tick(&self.voices, &mut self.sum, &mut |header, payload| emit(name, header, payload));
        }
    }

    /// So many ticks are left out: whoever was to call them was late. The listeners' time goes on.
    pub fn skip(&mut self, ticks: u64) {
        for listener in self.listeners.values_mut() {
            listener.outlet.skip(ticks);
            for prompt in &mut listener.prompts {
                prompt.leave_out(ticks.saturating_mul(TICK.as_millis() as u64));
            }
        }
    }

    /// At which rate each listener is mixed for, and so what each voice must have ready.
    fn agree_on_rates(&mut self) {
        let Self { voices, listeners, .. } = self;
        for listener in listeners.values_mut() {
            let hears_wide = |(voice, _): &(V, Gain)| voices.get(voice).is_some_and(Voice::is_wide);
            let rate = listener.outlet.sample_rate();
            let is_played_wide = listener.prompts.iter().any(|prompt| prompt.sample_rate() > NARROW);
            let is_wide = rate > NARROW && (is_played_wide || listener.talkers.iter().any(hears_wide));
            let mixed_at = if is_wide { WIDE } else { NARROW };
            if mixed_at != listener.mixed_at {
                listener.mixed_at = mixed_at;
                // Rates of codecs are all within what can be converted.
                listener.resampler = if mixed_at == rate { None } else { Resampler::new(mixed_at, rate).ok() };
            }
        }
        let mut wanted = BTreeMap::<V, [bool; 2]>::new();
        for listener in listeners.values() {
            for (talker, _) in &listener.talkers {
                wanted.entry(*talker).or_default()[usize::from(listener.mixed_at == WIDE)] = true;
            }
        }
        for (name, voice) in voices {
            let [narrow, wide] = wanted.get(name).copied().unwrap_or_default();
            voice.want(narrow, wide);
        }
    }
}

impl<V: Copy + Ord> Listener<V> {
    /// Sends what it hears in this tick: a key that a talker presses, or else all of them.
    fn tick(&mut self, voices: &BTreeMap<V, Voice>, sum: &mut Vec<i32>, emit: &mut Emit<'_>) {
        let press_of = |voice: &V| voices.get(voice)?.press();
        let mut key = self.key.take();
        let mut up = None;
        if let Some(HeardKey { voice, number, .. }) = &key {
            let is_heard = self.talkers.iter().any(|(talker, _)| talker == voice);
            let press = press_of(voice).filter(|press| is_heard && press.number == *number);
            if press.is_none_or(|press| press.is_up) {
                up = key.take().map(|key| (key, press.and_then(|press| press.length_ms)));
            }
        } else {
            // Others' keys that go down in this tick are lost to it, as are those that go down while this one is.
            key = self.talkers.iter().find_map(|&(talker, _)| {
                let press = press_of(&talker).filter(|press| press.elapsed_ms == 0)?;
                Some(HeardKey::new(talker, press, self.events, &self.outlet))
            });
        }
        if let Some(mut key) = key
            && let Some(press) = press_of(&key.voice)
        {
            key.hold(press, &mut self.outlet, emit);
            self.key = Some(key);
            return;
        }
        self.hear(voices, sum);
        if let Some((mut key, length_ms)) = up {
            key.release(length_ms, &mut self.outlet, emit);
        }
        self.outlet.send(emit);
    }

    /// Adds up what it hears.
    fn hear(&mut self, voices: &BTreeMap<V, Voice>, sum: &mut Vec<i32>) {
        sum.clear();
        sum.resize((self.mixed_at / crate::outlet::TICKS_PER_SECOND) as usize, 0);
        for (talker, gain) in &self.talkers {
            let Some(voice) = voices.get(talker) else { continue };
            let samples = sum.iter_mut().zip(voice.samples(self.mixed_at == WIDE));
            if *gain == Gain::NONE {
                samples.for_each(|(sum, &sample)| *sum += i32::from(sample));
            } else {
                samples.for_each(|(sum, &sample)| *sum += gain.apply(sample));
            }
        }
        self.prompts.retain_mut(|prompt| {
            let plays = prompt.take(self.mixed_at, sum.len());
            let gain = Gain::of_db(prompt.gain_db());
            sum.iter_mut().zip(prompt.samples()).for_each(|(sum, &sample)| *sum += gain.apply(sample));
            plays
        });
        // Some 20 of the loudest samples 24 dB louder are far from what 32 bits hold.
        let mixed = sum.iter().map(|&sample| sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16);
        match &mut self.resampler {
            None => self.outlet.samples().extend(mixed),
            Some(resampler) => {
                self.mixed.clear();
                self.mixed.extend(mixed);
                resampler.process(&self.mixed, self.outlet.samples());
            }
        }
    }
}
