//! How fast the timestamps of a payload type run.

use std::collections::BTreeMap;

use patchcord_rtp::{PayloadType, RtpHeader};

/// The clock rates that audio and video formats have.
const COMMON: [u32; 8] = [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000];

/// Where nothing can be told: what telephone traffic has.
const DEFAULT: u32 = 8_000;

/// The clock rate of each payload type of a stream: static ones by their definition, dynamic ones by what they did.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClockRates {
    /// First and last packet of each payload type with their times.
    seen: BTreeMap<PayloadType, [(u64, RtpHeader); 2]>,
}

impl ClockRates {
    /// From packets of one source in order, with their times in nanoseconds.
    pub(crate) fn of(packets: impl IntoIterator<Item = (u64, RtpHeader)>) -> Self {
        let mut seen: BTreeMap<PayloadType, [(u64, RtpHeader); 2]> = BTreeMap::new();
        for packet in packets {
            seen.entry(packet.1.payload_type).or_insert([packet; 2])[1] = packet;
        }
        Self { seen }
    }

    /// Timestamp units a second.
    pub(crate) fn of_type(&self, payload_type: PayloadType) -> u32 {
        static_rate(payload_type).unwrap_or_else(|| self.seen.get(&payload_type).map_or(DEFAULT, nearest))
    }
}

/// The clock rate of a static audio payload type (RFC 3551 6, table 4) and of the video ones (table 5).
fn static_rate(payload_type: PayloadType) -> Option<u32> {
    Some(match payload_type.get() {
        // G.722 (9) is in the list: its clock runs at 8000 although it samples at 16000 (RFC 3551 4.5.2).
        0 | 3..=5 | 7..=9 | 12 | 13 | 15 | 18 => 8_000,
        6 => 16_000,
        10 | 11 => 44_100,
        14 | 25 | 26 | 28 | 31..=34 => 90_000,
        16 => 11_025,
        17 => 22_050,
        _ => return None,
    })
}

/// The common clock rate nearest to how fast the timestamps really ran.
fn nearest([(first_ns, first), (last_ns, last)]: &[(u64, RtpHeader); 2]) -> u32 {
    let elapsed_ns = last_ns.saturating_sub(*first_ns);
    let ts_units = last.timestamp.wrapping_sub(first.timestamp);
    if elapsed_ns == 0 {
        return DEFAULT;
    }
    let rate = f64::from(ts_units) * 1e9 / elapsed_ns as f64;
    let distance = |common: u32| (rate.max(1.0) / f64::from(common)).ln().abs();
    COMMON.into_iter().min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(DEFAULT)
}
