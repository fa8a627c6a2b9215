//! The keys that a talker of a mix presses, in the time of its ticks.
//!
//! Events come as the network gives them, and have no jitter buffer: a key goes down with the first packet of it, is down for as long as
//! it was told to have been, and is up a little later if its end is lost.

use patchcord_codec::dtmf::Digit;
use patchcord_rtp::{RtpHeader, Ssrc, TelephoneEvent};

use crate::mixer::TICK;
use crate::presses::{Presses, Told};

/// Milliseconds of a tick.
pub(crate) const TICK_MS: u32 = TICK.as_millis() as u32;
/// Keys that can wait for those before them: what comes at once after a stall of the network.
const WAITING_MAX: usize = 8;
/// A key that nothing was told of for so long is up, in milliseconds: it is to be told every 50 at least (RFC 4733 2.5.1.2), and the
/// network may hold that up.
const UNTOLD_MAX_MS: u32 = 100;
/// Between two keys, in ticks: receivers need 40 ms (ITU-T Q.24).
const PAUSE_TICKS: u8 = 2;

/// One party's keys.
#[derive(Debug, Default)]
pub(crate) struct Pressing {
    ssrc: Option<Ssrc>,
    presses: Presses,
    /// The first is down or comes next, the last may still be told to be down.
    keys: Vec<Key>,
    /// The last of `keys` is what packets go on to tell of.
    is_told: bool,
    pause_ticks: u8,
    /// Keys so far.
    count: u32,
    pub(crate) now: Option<Press>,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    digit: Digit,
    volume: u8,
    told_ms: u32,
    ended: bool,
    elapsed_ms: u32,
    /// Of `elapsed_ms`, when it was told last.
    told_at_ms: u32,
}

/// A key in one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Press {
    /// Tells it from others of the party.
    pub(crate) number: u32,
    pub(crate) digit: Digit,
    /// Power as dBm0 with the sign dropped.
    pub(crate) volume: u8,
    /// How long it has been down when the tick begins; 0: it goes down.
    pub(crate) elapsed_ms: u32,
    /// How long it is down as a whole, if that is known.
    pub(crate) length_ms: Option<u32>,
    /// It is up when the tick begins.
    pub(crate) is_up: bool,
}

impl Pressing {
    /// Takes a packet's event of a clock, and gives what is new of it.
    pub(crate) fn take(&mut self, header: &RtpHeader, event: &TelephoneEvent, clock_rate: u32) -> Option<Told> {
        if self.ssrc.replace(header.ssrc) != Some(header.ssrc) {
            self.presses = Presses::default();
        }
        let told = self.presses.take(header, event, clock_rate)?;
        if told.begins {
            if let Some(last) = self.keys.last_mut() {
                // Its end is lost.
                last.ended = true;
            }
            self.is_told = self.keys.len() < WAITING_MAX;
            if self.is_told {
                let (digit, volume) = (told.digit, told.volume);
                self.keys.push(Key { digit, volume, told_ms: 0, ended: false, elapsed_ms: 0, told_at_ms: 0 });
            }
        }
        if let Some(key) = self.keys.last_mut().filter(|_| self.is_told) {
            key.told_ms = told.duration_ms(clock_rate);
            key.told_at_ms = key.elapsed_ms;
            key.ended = told.ended;
        }
        Some(told)
    }

    /// What is to be heard in the next tick.
    pub(crate) fn tick(&mut self) {
        self.now = None;
        if self.pause_ticks > 0 {
            self.pause_ticks -= 1;
            return;
        }
        let Some(key) = self.keys.first_mut() else { return };
        let is_lost = !key.ended && key.elapsed_ms.saturating_sub(key.told_at_ms) >= UNTOLD_MAX_MS;
        let is_up = key.elapsed_ms > 0 && (is_lost || key.ended && key.elapsed_ms >= key.told_ms);
        self.now = Some(Press {
            number: self.count,
            digit: key.digit,
            volume: key.volume,
            elapsed_ms: key.elapsed_ms,
            length_ms: (key.ended || is_up).then_some(key.told_ms),
            is_up,
        });
        key.elapsed_ms = key.elapsed_ms.saturating_add(TICK_MS);
        if is_up {
            self.keys.remove(0);
            self.is_told &= !self.keys.is_empty();
            self.count = self.count.wrapping_add(1);
            self.pause_ticks = PAUSE_TICKS - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use patchcord_rtp::{PayloadType, RtpTimestamp, SequenceNumber};

    use super::*;

    fn take(pressing: &mut Pressing, timestamp: u32, ms: u32, end: bool) {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(0),
        };
        let event = TelephoneEvent { event: 5, end, volume: 10, duration: (ms * 8) as u16 };
        pressing.take(&header, &event, 8000);
    }

    /// What happens in each tick, with (elapsed, length) while a key is down, and the length of the one that is up.
    fn ticks(pressing: &mut Pressing, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        for _ in 0..count {
            pressing.tick();
            told.push(match pressing.now {
                None => "-".to_owned(),
                Some(Press { is_up: true, length_ms, .. }) => format!("up {}", length_ms.unwrap_or_default()),
                Some(press) => press.elapsed_ms.to_string(),
            });
        }
        told
    }

    #[test]
    fn a_key_is_down_for_as_long_as_it_was_told_to_be() {
        let mut pressing = Pressing::default();
        take(&mut pressing, 0, 20, false);
        assert_eq!(ticks(&mut pressing, 2), ["0", "20"]);
        take(&mut pressing, 0, 60, false);
        assert_eq!(ticks(&mut pressing, 2), ["40", "60"]);
        take(&mut pressing, 0, 90, true);
        take(&mut pressing, 0, 90, true);
        assert_eq!(ticks(&mut pressing, 4), ["80", "up 90", "-", "-"]);
    }

    #[test]
    fn an_end_that_is_lost_is_an_end_and_what_comes_later_is_not_another_key() {
        let mut pressing = Pressing::default();
        take(&mut pressing, 0, 40, false);
        assert_eq!(ticks(&mut pressing, 7), ["0", "20", "40", "60", "80", "up 40", "-"]);
        take(&mut pressing, 0, 100, true);
        assert_eq!(ticks(&mut pressing, 2), ["-", "-"]);
    }

    #[test]
    fn keys_that_come_at_once_are_heard_one_after_the_other() {
        let mut pressing = Pressing::default();
        for key in 0..20 {
            take(&mut pressing, key * 1000, 40, key != 0);
        }
        let one = ["0", "20", "up 40", "-"];
        assert_eq!(ticks(&mut pressing, 4 * WAITING_MAX + 2), [&one.repeat(WAITING_MAX)[..], &["-", "-"]].concat());
    }
}
