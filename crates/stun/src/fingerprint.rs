//! FINGERPRINT (RFC 8489 14.7).

use crc::{CRC_32_ISO_HDLC, Crc, Table};

/// ITU V.42's polynomial, by a table for each of 16 bytes: a check has a hundred.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
/// `STUN` in ASCII: sets it apart from the checksums of other protocols.
const MASK: u32 = 0x5354_554e;
/// Bytes of the value.
pub(crate) const LEN: usize = 4;

/// Of a message up to this attribute, whose header's length counts the attribute already.
pub(crate) fn of(message: &[u8]) -> [u8; LEN] {
    (CRC.checksum(message) ^ MASK).to_be_bytes()
}
