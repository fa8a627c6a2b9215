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
        // Late packets, and the packets of one frame or one telephone-event, which share its timestamp, say nothing new
        // about the media clock. Further back than a second, it was set back.
        let behind = self.last_timestamp.wrapping_sub(header.timestamp);
        if behind > self.clock_rate || self.last().is_none() {
            self.last_timestamp = header.timestamp;
            self.last_sent_ns = sent_ns;
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
    }

    /// From `now_ns` on timestamps count in another clock, for a format of another clock rate.
    pub const fn set_clock_rate(&mut self, clock_rate: u32, now_ns: u64) {
        if self.last().is_some() {
            self.last_timestamp = self.timestamp_at(now_ns);
            self.last_sent_ns = now_ns;
        }
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

    /// The latest timestamp and when it was first sent; `None` before the first packet.
    #[must_use]
    pub const fn last(&self) -> Option<(RtpTimestamp, u64)> {
        if self.last_sent_ns == 0 && self.packets == 0 { None } else { Some((self.last_timestamp, self.last_sent_ns)) }
    }

    /// The timestamp that a packet sampled at `now_ns` would have: the latest, advanced by the time since it was sent.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PayloadType, SequenceNumber, Ssrc};

    const MS: u64 = 1_000_000;

    fn header(timestamp: u32) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(1),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(7),
        }
    }

    #[test]
    fn who_has_not_sent_has_no_sender_report() {
        assert_eq!(SenderState::new(8000).report(5, NtpTime(1)), None);
    }

    #[test]
    fn first_packet_at_time_zero_counts() {
        let mut sender = SenderState::new(8000);
        sender.sent(&header(0), 160, 0);
        assert_eq!(sender.last(), Some((RtpTimestamp(0), 0)));
    }

    #[test]
    fn report_counts_payload_and_advances_the_timestamp_to_its_own_time() {
        let mut sender = SenderState::new(8000);
        sender.sent(&header(u32::MAX - 159), 160, 100 * MS);
        sender.sent(&header(0), 160, 120 * MS);
        let ntp = NtpTime::from_unix_nanos(1_000_000_000);
        let info = sender.report(170 * MS, ntp).expect("it has sent");
        assert_eq!(info, SenderInfo { ntp, rtp_timestamp: RtpTimestamp(400), packet_count: 2, octet_count: 320 });
    }

    #[test]
    fn counts_wrap_as_their_fields_do() {
        let mut sender =
            SenderState { packets: u32::MAX, octets: u32::MAX - 99, last_sent_ns: 1, ..SenderState::new(8000) };
        sender.sent(&header(0), 160, 2);
        assert_eq!((sender.packets(), sender.octets()), (0, 60));
        assert!(sender.report(3, NtpTime(0)).is_some());
    }

    #[test]
    fn packets_of_one_timestamp_do_not_hold_the_media_clock() {
        let mut sender = SenderState::new(8000);
        // A telephone-event: each packet 20 ms after the one before, all with the timestamp of its start.
        for packet in 0..10 {
            sender.sent(&header(1600), 4, (200 + 20 * packet) * MS);
        }
        assert_eq!(sender.timestamp_at(400 * MS), RtpTimestamp(3200));
    }

    #[test]
    fn a_late_packet_does_not_turn_the_media_clock_back_but_a_new_start_does() {
        let mut sender = SenderState::new(8000);
        sender.sent(&header(100_000), 160, 1000 * MS);
        sender.sent(&header(99_840), 160, 1001 * MS);
        assert_eq!(sender.timestamp_at(1020 * MS), RtpTimestamp(100_160));
        sender.sent(&header(80_000), 160, 1040 * MS);
        assert_eq!(sender.timestamp_at(1060 * MS), RtpTimestamp(80_160));
    }

    #[test]
    fn another_clock_rate_counts_from_the_change_on() {
        let mut sender = SenderState::new(8000);
        sender.sent(&header(0), 160, 1000 * MS);
        sender.set_clock_rate(48_000, 1100 * MS);
        assert_eq!(sender.timestamp_at(1200 * MS), RtpTimestamp(800 + 4800));
    }
}
