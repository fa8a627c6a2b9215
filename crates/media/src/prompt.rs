//! A prompt over what a party hears: audio that was encoded ahead of time, at the pace of the mix.

use core::fmt;

use patchcord_codec::{Codec, Decoder, Resampler};

use crate::CannotTranscode;
use crate::voice::WIDE;

/// Frames of one length, one after the other.
pub trait Clip: fmt::Debug {
    /// The payload of frame `index`, rounds included; `None`: it is over.
    fn frame(&self, index: u64) -> Option<&[u8]>;
}

/// Something that is played to a listener over the voices that it hears.
#[derive(Debug)]
pub struct Prompt {
    clip: Box<dyn Clip>,
    frame_ms: u32,
    gain_db: i32,
    decoder: Decoder,
    /// The frame that comes next.
    next: u64,
    /// Milliseconds that were left out, less than a frame.
    left_out_ms: u64,
    /// Samples a second of what waits.
    rate: u32,
    /// From what the decoder gives, if that has another rate.
    resampler: Option<Resampler>,
    decoded: Vec<i16>,
    waiting: Vec<i16>,
    /// Of `waiting`, those of this tick.
    taken: usize,
}

impl Prompt {
    /// Plays `clip`, of frames of `frame_ms` milliseconds in `codec`, louder by `gain_db`.
    ///
    /// # Errors
    /// libopus makes no decoder.
    pub fn new(codec: Codec, frame_ms: u32, clip: Box<dyn Clip>, gain_db: i32) -> Result<Self, CannotTranscode> {
        let decoder = Decoder::new(codec, codec.sample_rate_for(WIDE))?;
        let rate = decoder.sample_rate();
        Ok(Self {
            clip,
            frame_ms: frame_ms.max(1),
            gain_db,
            decoder,
            next: 0,
            left_out_ms: 0,
            rate,
            resampler: None,
            decoded: Vec::new(),
            waiting: Vec::new(),
            taken: 0,
        })
    }

    /// Leaves out so many milliseconds: nobody was there to play them.
    pub fn leave_out(&mut self, ms: u64) {
        let frame_ms = u64::from(self.frame_ms);
        self.left_out_ms = self.left_out_ms.saturating_add(ms);
        self.next = self.next.saturating_add(self.left_out_ms / frame_ms);
        self.left_out_ms %= frame_ms;
    }

    pub(crate) const fn gain_db(&self) -> i32 {
        self.gain_db
    }

    /// Samples a second of what it is made of.
    pub(crate) const fn sample_rate(&self) -> u32 {
        self.decoder.sample_rate()
    }

    /// Decodes what is heard in the next tick, `samples` of `rate` a second. `false`: it is over.
    pub(crate) fn take(&mut self, rate: u32, samples: usize) -> bool {
        self.set_rate(rate);
        self.waiting.drain(..self.taken);
        self.taken = 0;
        while self.waiting.len() < samples {
            let Some(payload) = self.clip.frame(self.next) else { break };
            self.next = self.next.saturating_add(1);
            self.decoded.clear();
            // A frame that cannot be decoded takes its time all the same.
            if self.decoder.decode(payload, &mut self.decoded).is_err() {
                let silence = u64::from(self.frame_ms) * u64::from(self.decoder.sample_rate()) / 1000;
                self.decoded.resize(silence as usize, 0);
            }
            match &mut self.resampler {
                Some(resampler) => resampler.process(&self.decoded, &mut self.waiting),
                None => self.waiting.extend_from_slice(&self.decoded),
            }
        }
        self.taken = samples.min(self.waiting.len());
        self.taken > 0
    }

    /// What was taken; less than was asked for where it ends.
    pub(crate) fn samples(&self) -> &[i16] {
        &self.waiting[..self.taken]
    }

    fn set_rate(&mut self, rate: u32) {
        if rate != self.rate {
            self.rate = rate;
            // Rates of codecs are all within what can be converted.
            self.resampler =
                Resampler::new(self.decoder.sample_rate(), rate).ok().filter(|_| rate != self.decoder.sample_rate());
            self.waiting.clear();
            self.taken = 0;
        }
    }
}
