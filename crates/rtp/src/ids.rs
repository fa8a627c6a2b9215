//! Names of sources and formats.

use core::fmt;

/// A synchronization source identifier (RFC 3550 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

/// The format of a payload as one session numbers it (RFC 3550 5.1): 7 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type of that number; `None` above 127, which no packet can carry.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 0x80 { Some(Self(number)) } else { None }
    }

    /// The number, 0 to 127.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The payload type in the second byte of an RTP header, below the marker bit.
    pub(crate) const fn from_header_byte(byte: u8) -> Self {
        Self(byte & 0x7f)
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssrc_is_shown_with_eight_hexadecimal_digits() {
        assert_eq!(Ssrc(0xab).to_string(), "0x000000ab");
    }

    #[test]
    fn payload_type_has_seven_bits() {
        assert_eq!(PayloadType::new(127).map(PayloadType::get), Some(127));
        assert_eq!(PayloadType::new(128), None);
        assert_eq!(PayloadType::from_header_byte(0x80 | 101).to_string(), "101");
    }
}
