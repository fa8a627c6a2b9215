//! What a sender report says about what was sent.

use crate::{NtpTime, RtpHeader, RtpTimestamp, SenderInfo};

/// Counts what leaves under one SSRC, for its sender reports (RFC 3550 6.4.1).
///
/// RFC 3550 resets the counts when a sender changes its SSRC: begin a new state then.
#[derive(Clone, Copy, Debug)]
pub struct SenderState {
    last_sent_ns: u64,
    packets: u32,
    octets: u32,
    last_timestamp: RtpTimestamp,
    clock_rate: u32,
}

impl SenderState {
    /// A sender that has not sent anything yet; `clock_rate` is in timestamp units a second.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self { last_sent_ns: 0, packets: 0, octets: 0, last_timestamp: RtpTimestamp(0), clock_rate }
    }

    /// Takes note of a packet sent at `sent_ns` on a monotonic clock, with that many bytes of payload (no header, no
    /// padding).
    #[inline]
    pub const fn sent(&mut self, header: &RtpHeader, payload_len: usize, sent_ns: u64) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
        self.last_timestamp = header.timestamp;
        self.last_sent_ns = sent_ns;
    }

    /// From now on timestamps count in another clock, for a format of another clock rate.
    pub const fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate;
    }

    /// Packets sent, modulo 2^32 as reports carry it.
    #[must_use]
    pub const fn packets(&self) -> u32 {
        self.packets
    }

    /// Bytes of payload sent, modulo 2^32 as reports carry it.
    #[must_use]
    pub const fn octets(&self) -> u32 {
        self.octets
    }

    /// Timestamp of the latest packet and when it was sent; `None` before the first.
    #[must_use]
    pub const fn last(&self) -> Option<(RtpTimestamp, u64)> {
        if self.last_sent_ns == 0 && self.packets == 0 { None } else { Some((self.last_timestamp, self.last_sent_ns)) }
    }

    /// The timestamp that a packet sampled at `now_ns` would have: that of the latest, advanced by the time since it.
    #[must_use]
    pub const fn timestamp_at(&self, now_ns: u64) -> RtpTimestamp {
        let elapsed_ns = now_ns.saturating_sub(self.last_sent_ns) as u128;
        self.last_timestamp.wrapping_add((elapsed_ns * self.clock_rate as u128 / 1_000_000_000) as u32)
    }

    /// The sender information of a report at `now_ns` on the monotonic clock, which is `ntp_now` on the wall clock.
    ///
    /// Both clocks come from the caller, who takes them at the same instant: the report's RTP timestamp corresponds to
    /// its NTP time, it is not that of any packet. `None` before the first packet: who has not sent reports as a
    /// receiver.
    #[must_use]
    pub const fn report(&self, now_ns: u64, ntp_now: NtpTime) -> Option<SenderInfo> {
        if self.last().is_none() {
            return None;
        }
        Some(SenderInfo {
            ntp: ntp_now,
            rtp_timestamp: self.timestamp_at(now_ns),
            packet_count: self.packets,
            octet_count: self.octets,
        })
    }
}
