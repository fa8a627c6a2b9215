//! The rtpdump format of rtptools: a text line, a file header, then RTP and RTCP packets with millisecond offsets, all big-endian.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::bytes::{self, Order};
use super::{CapturedDatagram, Reading};

const MAGIC: &[u8] = b"#!rtpplay1.0 ";
/// Start (seconds, microseconds), source address, port and padding.
const FILE_HEADER_LEN: usize = 16;
/// Record length, packet length and offset in milliseconds.
const RECORD_HEADER_LEN: usize = 8;
/// The text line is an address and a port; a longer one is not a header.
const TEXT_LINE_LEN_MAX: usize = 256;

pub(super) fn recognise(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

pub(super) fn read(file: &[u8]) -> Result<Reading, &'static str> {
    let text_len =
        file.iter().take(TEXT_LINE_LEN_MAX).position(|&byte| byte == b'\n').ok_or("its text line does not end")?;
    let in_text = sender(&file[MAGIC.len()..text_len]);
    let header =
        bytes::slice(file, text_len + 1, FILE_HEADER_LEN).ok_or("the header after the text line is cut short")?;
    let field = |at| Order::Big.u32(header, at).unwrap_or_default();
    let start_ns = u64::from(field(0)) * 1_000_000_000 + u64::from(field(4)) * 1_000;
    let in_header = SocketAddr::from((Ipv4Addr::from_bits(field(8)), Order::Big.u16(header, 12).unwrap_or_default()));

    let mut reading = Reading::default();
    let mut at = text_len + 1 + FILE_HEADER_LEN;
    let mut number = 0;
    while at < file.len() {
        let Some(record) = bytes::slice(file, at, RECORD_HEADER_LEN) else {
            reading.truncated(at, number);
            break;
        };
        let record_len = usize::from(Order::Big.u16(record, 0).unwrap_or_default());
        let packet_len = usize::from(Order::Big.u16(record, 2).unwrap_or_default());
        let offset_ms = Order::Big.u32(record, 4).unwrap_or_default();
        let Some(dumped_len) = record_len.checked_sub(RECORD_HEADER_LEN) else {
            reading.malformed(at, "a record is shorter than its own header");
            break;
        };
        let Some(packet) = bytes::slice(file, at + RECORD_HEADER_LEN, dumped_len) else {
            reading.truncated(at, number);
            break;
        };
        // A packet length of 0 marks RTCP; more than was dumped marks a dump of headers only.
        if packet_len > dumped_len {
            reading.capture.skipped.incomplete += 1;
        } else {
            reading.capture.datagrams.push(CapturedDatagram {
                at_ns: start_ns + u64::from(offset_ms) * 1_000_000,
                source: in_text.unwrap_or(in_header),
                destination: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                payload: packet.to_vec(),
            });
        }
        at += record_len;
        number += 1;
    }
    Ok(reading)
}

/// The address of the text line, `ADDRESS/PORT`.
fn sender(text: &[u8]) -> Option<SocketAddr> {
    let (address, port) = std::str::from_utf8(text).ok()?.trim().rsplit_once('/')?;
    Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port.parse().ok()?))
}
