//! A key on its way to a listener that knows events (RFC 4733).

use patchcord_codec::dtmf::Digit;
use patchcord_rtp::TelephoneEvent;

use crate::outlet::{Emit, Outlet};
use crate::transcoder::Named;

/// RFC 4733 2.5.1.4: the end is sent three times.
const END_PACKETS: usize = 3;

/// What the listener has been told of it.
#[derive(Debug)]
pub(crate) struct Telling {
    named: Named,
    event: TelephoneEvent,
    /// Where it went down; that of the present segment (RFC 4733 2.5.1.3).
    place: i64,
    /// Units of the segments before, and all units that were told, of the event's clock.
    former: u64,
    units: u64,
    is_first: bool,
}

impl Telling {
    /// It goes down at this place of the stream, as loud as `volume` in dBm0 with the sign dropped.
    pub(crate) const fn new(digit: Digit, volume: u8, named: Named, place: i64) -> Self {
        let event = TelephoneEvent { event: digit.event(), end: false, volume, duration: 0 };
        Self { named, event, place, former: 0, units: 0, is_first: true }
    }

    /// Tells that it has been down for so long, or longer if that was told before.
    pub(crate) fn tell(&mut self, ms: u32, end: bool, outlet: &mut Outlet, emit: &mut Emit<'_>) {
        let clock_rate = u64::from(self.named.clock_rate);
        let audio_clock_rate = u64::from(outlet.codec().clock_rate());
        let audio_units = |units: u64| i64::try_from(units * audio_clock_rate / clock_rate.max(1)).unwrap_or(0);
        self.units = self.units.max(u64::from(ms) * clock_rate / 1000);
        let mut send = |told: &mut Self, duration: u16, end: bool| {
            let mut payload = [0; TelephoneEvent::LEN];
            TelephoneEvent { duration, end, ..told.event }.write(&mut payload);
            let marker = core::mem::take(&mut told.is_first);
            let units = audio_units(duration.into());
            outlet.send_mark(marker, told.named.payload_type, told.place, units, &payload, emit);
        };
        while self.units - self.former > u64::from(u16::MAX) {
            send(self, u16::MAX, false);
            self.former += u64::from(u16::MAX);
            self.place += audio_units(u16::MAX.into());
        }
        let duration = (self.units - self.former) as u16;
        for _ in 0..if end { END_PACKETS } else { 1 } {
            send(self, duration, end);
        }
    }
}
