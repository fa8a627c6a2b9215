//! A source's telephone-events as the presses of keys that they tell of.

use patchcord_codec::dtmf::Digit;
use patchcord_rtp::{RtpHeader, TelephoneEvent};

/// A packet that is older than the latest event by no more than this is late, in milliseconds; beyond, it is of another time.
const LATE_MAX_MS: u32 = 10_000;

/// Puts the packets of each event together (RFC 4733 2.5.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Presses {
    latest: Option<Latest>,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    event: u8,
    /// Of the present segment.
    timestamp: u32,
    /// Units of the segments before it.
    former: u64,
    /// Units of it, as far as was told.
    told: u16,
    ended: bool,
}

/// What a packet tells of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Nothing was told of it before.
    pub(crate) begins: bool,
    pub(crate) digit: Digit,
    /// Power as dBm0 with the sign dropped.
    pub(crate) volume: u8,
    /// How long it has been down, in units of the event's clock.
    pub(crate) duration: u64,
    /// It is up.
    pub(crate) ended: bool,
}

impl Told {
    /// How long it has been down, in milliseconds.
    pub(crate) fn duration_ms(&self, clock_rate: u32) -> u32 {
        u32::try_from(self.duration * 1000 / u64::from(clock_rate.max(1))).unwrap_or(u32::MAX)
    }
}

impl Presses {
    /// Takes a packet's event of a clock. `None`: it is none of a key, or tells nothing new.
    pub(crate) fn take(&mut self, header: &RtpHeader, event: &TelephoneEvent, clock_rate: u32) -> Option<Told> {
        let digit = Digit::from_event(event.event)?;
        let timestamp = header.timestamp.0;
        let fresh = Latest { event: event.event, timestamp, former: 0, told: event.duration, ended: event.end };
        let (latest, begins) = match self.latest {
            None => (fresh, true),
            Some(latest) if latest.timestamp == timestamp => {
                if latest.ended || latest.event != event.event {
                    return None;
                }
                (Latest { told: latest.told.max(event.duration), ended: event.end, ..latest }, false)
            }
            Some(latest) => {
                let ahead = timestamp.wrapping_sub(latest.timestamp);
                let behind = timestamp.wrapping_neg().wrapping_add(latest.timestamp);
                if u64::from(behind) <= u64::from(clock_rate) * u64::from(LATE_MAX_MS) / 1000 {
                    return None;
                }
                // RFC 4733 2.5.1.3: a long event goes on in another segment, which has no marker.
                let goes_on = !latest.ended
                    && !header.marker
                    && latest.event == event.event
                    && [u32::from(latest.told), u32::from(u16::MAX)].contains(&ahead);
                let former = if goes_on { latest.former + u64::from(ahead) } else { 0 };
                (Latest { former, ..fresh }, !goes_on)
            }
        };
        self.latest = Some(latest);
        let duration = latest.former + u64::from(latest.told);
        Some(Told { begins, digit, volume: event.volume, duration, ended: latest.ended })
    }
}

#[cfg(test)]
mod tests {
    use patchcord_rtp::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

    use super::*;

    fn take(presses: &mut Presses, marker: bool, timestamp: u32, event: u8, duration: u16, end: bool) -> Option<Told> {
        let header = RtpHeader {
            marker,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(0),
        };
        presses.take(&header, &TelephoneEvent { event, end, volume: 10, duration }, 8000)
    }

    fn told(
        presses: &mut Presses,
        marker: bool,
        timestamp: u32,
        event: u8,
        duration: u16,
        end: bool,
    ) -> (bool, u64, bool) {
        let told = take(presses, marker, timestamp, event, duration, end).expect("news");
        assert_eq!((told.digit.event(), told.volume), (event, 10));
        (told.begins, told.duration, told.ended)
    }

    #[test]
    fn packets_of_one_timestamp_are_one_key_and_its_end_is_told_once() {
        let mut presses = Presses::default();
        assert_eq!(told(&mut presses, true, 100, 5, 160, false), (true, 160, false));
        assert_eq!(told(&mut presses, false, 100, 5, 320, false), (false, 320, false));
        assert_eq!(told(&mut presses, false, 100, 5, 160, false), (false, 320, false), "out of order");
        assert_eq!(take(&mut presses, false, 100, 6, 480, false), None, "another key at the same time");
        assert_eq!(told(&mut presses, false, 100, 5, 480, true), (false, 480, true));
        assert_eq!(take(&mut presses, false, 100, 5, 480, true), None);
        assert_eq!(told(&mut presses, false, 900, 5, 480, true), (true, 480, true), "of which nothing else came");
        assert_eq!(take(&mut presses, false, 100, 5, 480, true), None, "late");
        assert_eq!(told(&mut presses, true, 0u32.wrapping_sub(100_000), 5, 1, false), (true, 1, false), "another time");
    }

    #[test]
    fn segments_are_one_key_and_a_lost_end_does_not_join_two() {
        let mut presses = Presses::default();
        assert_eq!(told(&mut presses, true, 0, 5, 0xffff, false), (true, 0xffff, false));
        assert_eq!(told(&mut presses, false, 0xffff, 5, 160, false), (false, 0xffff + 160, false));
        assert_eq!(told(&mut presses, false, 0x1fffe, 5, 160, true), (false, 2 * 0xffff + 160, true));
        assert_eq!(told(&mut presses, true, 0x30000, 5, 160, false), (true, 160, false));
        assert_eq!(told(&mut presses, true, 0x30000 + 160, 5, 160, false), (true, 160, false), "a marker");
        assert_eq!(told(&mut presses, false, 0x30000 + 900, 5, 160, false), (true, 160, false), "a pause");
        assert_eq!(take(&mut presses, true, 0x40000, 16, 160, false), None, "no key");
    }
}
