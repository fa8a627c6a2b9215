//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each section with its own byte order and interfaces.

use super::bytes::{self, Order};
use super::{LinkType, Reading};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_IF_TSRESOL: u16 = 9;
const OPTION_IF_TSOFFSET: u16 = 14;

/// Type, length and trailing length.
const BLOCK_FRAME_LEN: usize = 12;

pub(super) fn recognise(file: &[u8]) -> bool {
    bytes::array(file, 0) == Some(SECTION_HEADER.to_be_bytes())
}

pub(super) fn read(file: &[u8]) -> Result<Reading, &'static str> {
    let mut walk = Walk { order: Order::Big, interfaces: Vec::new(), reading: Reading::default(), packets: 0 };
    let mut at = 0;
    while at < file.len() {
        match walk.block(file, at) {
            Ok(len) => at += len,
            Err(Stop::Truncated) if at == 0 => return Err("the first section header is cut short"),
            Err(Stop::Malformed(why)) if at == 0 => return Err(why),
            Err(Stop::Truncated) => {
                walk.reading.truncated(at, walk.packets);
                break;
            }
            Err(Stop::Malformed(why)) => {
                walk.reading.malformed(at, why);
                break;
            }
        }
    }
    Ok(walk.reading)
}

/// A pass over the blocks of a file.
struct Walk {
    order: Order,
    interfaces: Vec<Interface>,
    reading: Reading,
    packets: u64,
}

struct Interface {
    link: Option<LinkType>,
    snap_len: u32,
    clock: Clock,
}

enum Stop {
    Truncated,
    Malformed(&'static str),
}

impl Walk {
    /// Reads the block at an offset and returns its length.
    fn block(&mut self, file: &[u8], at: usize) -> Result<usize, Stop> {
        let kind = self.order.u32(file, at).ok_or(Stop::Truncated)?;
        if kind == SECTION_HEADER {
            self.order = match bytes::array::<4>(file, at + 8).ok_or(Stop::Truncated)? {
                [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                _ => return Err(Stop::Malformed("a section header without the byte-order magic")),
            };
            self.interfaces.clear();
        }
        let len = self.order.u32(file, at + 4).ok_or(Stop::Truncated)? as usize;
        if len < BLOCK_FRAME_LEN || !len.is_multiple_of(4) {
            return Err(Stop::Malformed("a block whose length is impossible"));
        }
        let block = bytes::slice(file, at, len).ok_or(Stop::Truncated)?;
        let body = &block[8..len - 4];
        match kind {
            INTERFACE_DESCRIPTION => self.interface(body),
            ENHANCED_PACKET => self.enhanced_packet(body, |order| order.u32(body, 0)),
            OBSOLETE_PACKET => self.enhanced_packet(body, |order| order.u16(body, 0).map(u32::from)),
            SIMPLE_PACKET => self.simple_packet(body),
            _ => Some(()),
        }
        .ok_or(Stop::Malformed("a block is shorter than its fields"))?;
        Ok(len)
    }

    fn interface(&mut self, body: &[u8]) -> Option<()> {
        let link = LinkType::from_registry(u32::from(self.order.u16(body, 0)?));
        let snap_len = self.order.u32(body, 4)?;
        let mut clock = Clock { resolution: 6, offset_s: 0 };
        let mut at = 8;
        while let (Some(code), Some(len)) = (self.order.u16(body, at), self.order.u16(body, at + 2)) {
            match code {
                OPTION_END => break,
                OPTION_IF_TSRESOL => clock.resolution = body.get(at + 4).copied().unwrap_or(6),
                OPTION_IF_TSOFFSET => clock.offset_s = self.order.u64(body, at + 4).unwrap_or(0).cast_signed(),
                _ => {}
            }
            at += 4 + usize::from(len).next_multiple_of(4);
        }
        self.interfaces.push(Interface { link, snap_len, clock });
        Some(())
    }

    /// The enhanced packet block and its obsolete forerunner differ only in the width of the interface number.
    fn enhanced_packet(&mut self, body: &[u8], interface: impl Fn(Order) -> Option<u32>) -> Option<()> {
        let interface = interface(self.order)?;
        let ticks = (u64::from(self.order.u32(body, 4)?) << 32) | u64::from(self.order.u32(body, 8)?);
        let captured_len = self.order.u32(body, 12)? as usize;
        let packet = bytes::slice(body, 20, captured_len)?;
        self.packet(interface as usize, Some(ticks), packet);
        Some(())
    }

    fn simple_packet(&mut self, body: &[u8]) -> Option<()> {
        let original_len = self.order.u32(body, 0)?;
        let snap_len = self.interfaces.first().map_or(0, |interface| interface.snap_len);
        let captured_len = if snap_len == 0 { original_len } else { original_len.min(snap_len) } as usize;
        let packet = bytes::slice(body, 4, captured_len)?;
        self.packet(0, None, packet);
        Some(())
    }

    fn packet(&mut self, interface: usize, ticks: Option<u64>, packet: &[u8]) {
        self.packets += 1;
        let Some(Interface { link: Some(link), clock, .. }) = self.interfaces.get(interface) else {
            self.reading.capture.skipped.unknown_link_type += 1;
            return;
        };
        // A simple packet block has no time: it keeps the one of the packet before it.
        let previous_ns = self.reading.capture.datagrams.last().map_or(0, |datagram| datagram.at_ns);
        let at_ns = ticks.map_or(previous_ns, |ticks| clock.ns(ticks));
        self.reading.packet(at_ns, *link, packet);
    }
}

/// An interface's clock: options `if_tsresol` and `if_tsoffset`.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// As in the option: a negative power of 10, or of 2 with the highest bit set.
    resolution: u8,
    offset_s: i64,
}

impl Clock {
    fn ns(self, ticks: u64) -> u64 {
        let exponent = u32::from(self.resolution & 0x7f);
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        let ticks_per_s = base.checked_pow(exponent).unwrap_or(u128::MAX);
        let ns = u128::from(ticks).saturating_mul(1_000_000_000) / ticks_per_s;
        let ns = i128::try_from(ns).unwrap_or(i128::MAX);
        u64::try_from(ns.saturating_add(i128::from(self.offset_s) * 1_000_000_000)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn the_clock_reads_powers_of_ten_and_of_two() {
        assert_eq!(Clock { resolution: 6, offset_s: 0 }.ns(1_500_000), 1_500_000_000);
        assert_eq!(Clock { resolution: 9, offset_s: 2 }.ns(7), 2_000_000_007);
        assert_eq!(Clock { resolution: 0x80 | 10, offset_s: 0 }.ns(1_536), 1_500_000_000);
        assert_eq!(Clock { resolution: 0x7f, offset_s: 0 }.ns(u64::MAX), 0);
    }
}
