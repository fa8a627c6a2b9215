//! DTMF and other events as RTP payload.

/// The payload of a telephone-event packet (RFC 4733 2.3).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     event     |E|R| volume    |          duration             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TelephoneEvent {
    /// Event code: 0 to 9 are the digits, 10 is `*`, 11 is `#`, 12 to 15 are A to D (RFC 4733 3.2).
    pub event: u8,
    /// Whether this packet contains the end of the event.
    pub end: bool,
    /// Power as dBm0 with the sign dropped: 0 (loud) to 63.
    pub volume: u8,
    /// Timestamp units from the packet's timestamp to the moment described.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Bytes of an event payload.
    pub const LEN: usize = 4;

    /// Reads the first event of a payload; `None` if there are not 4 bytes.
    ///
    /// The reserved bit is ignored, as RFC 4733 2.3.3 demands, and so is what follows the event.
    #[must_use]
    pub const fn read(payload: &[u8]) -> Option<Self> {
        let [event, flags, d0, d1, ..] = *payload else { return None };
        Some(Self { event, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([d0, d1]) })
    }

    /// Writes the event payload. Of the volume the low 6 bits count.
    pub const fn write(&self, payload: &mut [u8; Self::LEN]) {
        let [d0, d1] = self.duration.to_be_bytes();
        *payload = [self.event, (self.end as u8) << 7 | self.volume & 0x3f, d0, d1];
    }

    /// The key of a DTMF event: `0` to `9`, `*`, `#`, `A` to `D`; `None` for other events.
    #[must_use]
    pub fn key(&self) -> Option<char> {
        b"0123456789*#ABCD".get(usize::from(self.event)).map(|&key| char::from(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_where_rfc_4733_puts_them() {
        let event = TelephoneEvent { event: 11, end: true, volume: 10, duration: 0x0320 };
        let mut bytes = [0; 4];
        event.write(&mut bytes);
        assert_eq!(bytes, [11, 0x8a, 0x03, 0x20]);
        assert_eq!(TelephoneEvent::read(&bytes), Some(event));
        assert_eq!(event.key(), Some('#'));
    }

    #[test]
    fn reserved_bit_is_ignored_and_never_written() {
        let read = TelephoneEvent::read(&[1, 0x40 | 5, 0, 160]).expect("4 bytes are an event");
        assert_eq!(read, TelephoneEvent { event: 1, end: false, volume: 5, duration: 160 });
        let mut bytes = [0xff; 4];
        TelephoneEvent { volume: 0xff, ..read }.write(&mut bytes);
        assert_eq!(bytes, [1, 0x3f, 0, 160]);
    }

    #[test]
    fn fewer_than_four_bytes_are_no_event() {
        assert_eq!(TelephoneEvent::read(&[1, 2, 3]), None);
    }

    #[test]
    fn other_events_have_no_key() {
        let flash = TelephoneEvent { event: 16, end: false, volume: 0, duration: 0 };
        assert_eq!(flash.key(), None);
    }
}
