//! The classic pcap format (draft-ietf-opsawg-pcap): a file header, then records.

use super::bytes::{self, Order};
use super::{LinkType, Reading};

/// Length of the file header and of a record's header, in bytes.
const FILE_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;

/// No link has packets this long; a record that claims more is damage, not a packet (libpcap's own limit).
const RECORD_LEN_MAX: u32 = 262_144;

/// How the numbers of the file are to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    order: Order,
    ns_per_fraction: u64,
}

/// Recognises the format, its byte order and its resolution by the magic number.
pub(super) fn recognise(file: &[u8]) -> Option<Dialect> {
    let (order, ns_per_fraction) = match bytes::array::<4>(file, 0)? {
        [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1_000),
        [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1_000),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1),
        _ => return None,
    };
    Some(Dialect { order, ns_per_fraction })
}

pub(super) fn read(file: &[u8], dialect: Dialect) -> Result<Reading, &'static str> {
    let Dialect { order, ns_per_fraction } = dialect;
    let mut reading = Reading::default();
    if file.len() < FILE_HEADER_LEN {
        return Err("it is shorter than the 24 bytes of the header");
    }
    // The upper bits of the field carry the length of a frame check sequence.
    let link_type = order.u32(file, 20).ok_or("no link type")? & 0x03ff_ffff;
    let Some(link) = LinkType::from_registry(link_type) else {
        reading.only_link_type_unknown = Some(link_type);
        return Ok(reading);
    };

    let mut at = FILE_HEADER_LEN;
    let mut number = 0;
    while at < file.len() {
        let Some(header) = bytes::slice(file, at, RECORD_HEADER_LEN) else {
            reading.truncated(at, number);
            break;
        };
        let field = |offset| order.u32(header, offset).unwrap_or_default();
        let (seconds, fraction, captured_len) = (field(0), field(4), field(8));
        if captured_len > RECORD_LEN_MAX {
            reading.malformed(at, "a record claims to be longer than any packet");
            break;
        }
        let Some(packet) = bytes::slice(file, at + RECORD_HEADER_LEN, captured_len as usize) else {
            reading.truncated(at, number);
            break;
        };
        let at_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * ns_per_fraction;
        reading.packet(at_ns, link, packet);
        at += RECORD_HEADER_LEN + packet.len();
        number += 1;
    }
    Ok(reading)
}
