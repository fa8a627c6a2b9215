//! RFC 3550 A.1, A.3 and A.8, rule by rule.

use proptest::prelude::*;

use super::*;
use crate::{PayloadType, RtpTimestamp};

const MS: u64 = 1_000_000;
const SSRC: Ssrc = Ssrc(0x1111);
const CLOCK_RATE: u32 = 8000;

fn header(ssrc: Ssrc, sequence: u16, timestamp: u32) -> RtpHeader {
    RtpHeader {
        marker: false,
        payload_type: PayloadType::default(),
        sequence: SequenceNumber(sequence),
        timestamp: RtpTimestamp(timestamp),
        ssrc,
    }
}

/// A receiver and packets whose timestamps and arrivals follow from their numbers: 20 ms each, without any jitter.
struct Stream {
    receiver: ReceiverState,
    arrivals: u32,
}

impl Stream {
    fn new() -> Self {
        Self { receiver: ReceiverState::new(CLOCK_RATE), arrivals: 0 }
    }

    fn packet_of(&mut self, ssrc: Ssrc, sequence: u16) -> Arrival {
        self.arrivals += 1;
        self.receiver.observe(&header(ssrc, sequence, self.arrivals * 160), u64::from(self.arrivals) * 20 * MS)
    }

    fn packet(&mut self, sequence: u16) -> Arrival {
        self.packet_of(SSRC, sequence)
    }

    fn packets(&mut self, sequences: impl IntoIterator<Item = u16>) {
        for sequence in sequences {
            self.packet(sequence);
        }
    }

    fn report(&mut self) -> ReportBlock {
        self.receiver.report_block(None, 0).expect("packets were received")
    }
}

#[test]
fn state_is_one_cache_line() {
    assert!(size_of::<ReceiverState>() <= 64, "{} bytes", size_of::<ReceiverState>());
}

#[test]
fn nothing_is_known_before_the_first_packet() {
    let mut receiver = ReceiverState::new(CLOCK_RATE);
    assert_eq!(receiver.ssrc(), None);
    assert_eq!(receiver.report_block(None, 0), None);
    let counts = (receiver.packets(), receiver.lost(), receiver.reordered(), receiver.duplicates());
    assert_eq!(counts, (0, 0, 0, 0));
}

#[test]
fn a_source_of_ssrc_zero_is_a_source() {
    let mut stream = Stream::new();
    assert_eq!(stream.packet_of(Ssrc(0), 0), Arrival::FirstOfSource);
    assert_eq!(stream.receiver.ssrc(), Some(Ssrc(0)));
    assert_eq!(stream.packet_of(Ssrc(0), 1), Arrival::InOrder);
}

#[test]
fn sequence_wraps_into_the_next_cycle() {
    let mut stream = Stream::new();
    assert_eq!(stream.packet(65_534), Arrival::FirstOfSource);
    assert_eq!(stream.packet(65_535), Arrival::InOrder);
    assert_eq!(stream.packet(0), Arrival::InOrder);
    assert_eq!(stream.packet(2), Arrival::Gap(1));
    assert_eq!(stream.receiver.extended_highest(), 0x1_0002);
    assert_eq!(stream.receiver.lost(), 1);
}

#[test]
fn a_late_packet_of_the_cycle_before_does_not_count_as_a_cycle() {
    let mut stream = Stream::new();
    stream.packets([65_533, 65_534, 1]);
    assert_eq!(stream.packet(65_535), Arrival::Reordered);
    assert_eq!(stream.packet(0), Arrival::Reordered);
    assert_eq!(stream.packet(0), Arrival::Duplicate);
    assert_eq!(stream.receiver.extended_highest(), 0x1_0001);
    assert_eq!(stream.receiver.lost(), 0);
}

#[test]
fn gap_is_told_and_filled_by_late_packets() {
    let mut stream = Stream::new();
    stream.packets([10, 11]);
    assert_eq!(stream.packet(15), Arrival::Gap(3));
    assert_eq!(stream.receiver.lost(), 3);
    assert_eq!(stream.packet(13), Arrival::Reordered);
    assert_eq!(stream.receiver.lost(), 2);
    assert_eq!(stream.packet(16), Arrival::InOrder);
    assert_eq!((stream.receiver.packets(), stream.receiver.reordered()), (5, 1));
}

#[test]
fn duplicates_are_known_for_64_packets() {
    let mut stream = Stream::new();
    stream.packets(0..100);
    assert_eq!(stream.packet(99), Arrival::Duplicate);
    assert_eq!(stream.packet(99 - 63), Arrival::Duplicate);
    // Further back it cannot be told from a late one.
    assert_eq!(stream.packet(99 - 64), Arrival::Reordered);
    assert_eq!((stream.receiver.duplicates(), stream.receiver.reordered()), (2, 1));
}

#[test]
fn a_gap_clears_the_memory_of_duplicates_as_far_as_it_reaches() {
    let mut stream = Stream::new();
    stream.packets([0, 1]);
    assert_eq!(stream.packet(63), Arrival::Gap(61));
    assert_eq!(stream.packet(1), Arrival::Duplicate);
    assert_eq!(stream.packet(2), Arrival::Reordered);
    assert_eq!(stream.packet(2), Arrival::Duplicate);
    assert_eq!(stream.packet(63 + 64), Arrival::Gap(63));
    assert_eq!(stream.packet(64), Arrival::Reordered);
}

#[test]
fn duplicates_do_not_make_up_for_losses() {
    let mut stream = Stream::new();
    stream.packets([0, 1, 1, 3]);
    assert_eq!(stream.receiver.lost(), 1);
    // RFC 3550 6.4.1: "the number of packets received includes any which are late or duplicates".
    assert_eq!(stream.report().cumulative_lost, 0);
    stream.packets([3, 3]);
    assert_eq!(stream.report().cumulative_lost, -2);
}

#[test]
fn packets_sent_before_the_first_that_arrived_hide_no_loss() {
    let mut stream = Stream::new();
    stream.packets([2, 1, 0, 65_535, 3, 5]);
    assert_eq!((stream.receiver.packets(), stream.receiver.reordered(), stream.receiver.lost()), (6, 3, 1));
    let report = stream.report();
    assert_eq!((report.cumulative_lost, report.extended_highest_sequence), (1, 5));
}

#[test]
fn dropout_of_less_than_3000_is_loss_and_of_more_is_not_believed_at_once() {
    let mut stream = Stream::new();
    stream.packet(0);
    assert_eq!(stream.packet(2999), Arrival::Gap(2998));
    assert_eq!(stream.packet(2999 + 3000), Arrival::Reordered);
    assert_eq!(stream.receiver.extended_highest(), 2999);
    assert_eq!(stream.receiver.lost(), 2998);
}

#[test]
fn packet_less_than_100_behind_is_late_and_further_behind_is_out_of_range() {
    let mut stream = Stream::new();
    stream.packets([1000, 1200]);
    assert_eq!(stream.packet(1101), Arrival::Reordered);
    assert_eq!(stream.receiver.lost(), 198);
    // The first of these is 101 behind, the second 100: neither fills a gap, and both are in a row.
    assert_eq!(stream.packet(1099), Arrival::Reordered);
    assert_eq!(stream.receiver.lost(), 198);
    assert_eq!(stream.packet(1100), Arrival::Restarted);
}

#[test]
fn two_in_a_row_after_a_jump_are_a_restart() {
    let mut stream = Stream::new();
    stream.packets([100, 101, 103]);
    assert_eq!(stream.packet(40_000), Arrival::Reordered);
    assert_eq!(stream.packet(40_001), Arrival::Restarted);
    assert_eq!(stream.packet(40_003), Arrival::Gap(1));
    assert_eq!(stream.receiver.extended_highest(), 40_003);
    // One lost before and one after; all five that came count.
    assert_eq!((stream.receiver.packets(), stream.receiver.lost()), (6, 2));
    // The report is about what came since the restart: RFC 3550 A.1 begins anew there.
    assert_eq!(stream.report().cumulative_lost, 1);
}

#[test]
fn a_single_stray_changes_nothing() {
    let mut stream = Stream::new();
    stream.packets([100, 101]);
    assert_eq!(stream.packet(40_000), Arrival::Reordered);
    assert_eq!(stream.packet(102), Arrival::InOrder);
    // Not in a row with the stray any more.
    assert_eq!(stream.packet(40_001), Arrival::Reordered);
    assert_eq!(stream.packet(103), Arrival::InOrder);
    assert_eq!((stream.receiver.extended_highest(), stream.receiver.lost()), (103, 0));
    assert_eq!(stream.report().cumulative_lost, 0);
}

#[test]
fn another_ssrc_begins_a_source_and_totals_go_on() {
    let mut stream = Stream::new();
    stream.packets([10, 12, 12, 11, 20]);
    assert_eq!(stream.receiver.lost(), 7);
    assert_eq!(stream.packet_of(Ssrc(2), 65_000), Arrival::FirstOfSource);
    assert_eq!(stream.packet_of(Ssrc(2), 65_002), Arrival::Gap(1));
    let receiver = &stream.receiver;
    assert_eq!((receiver.ssrc(), receiver.extended_highest()), (Some(Ssrc(2)), 65_002));
    assert_eq!((receiver.packets(), receiver.lost()), (7, 8));
    assert_eq!((receiver.reordered(), receiver.duplicates()), (1, 1));
    let report = stream.report();
    assert_eq!((report.ssrc, report.cumulative_lost, report.fraction_lost), (Ssrc(2), 1, 85));
}

#[test]
fn reports_of_a_source_do_not_reach_back_to_the_one_before() {
    let mut stream = Stream::new();
    stream.packets(0..100);
    stream.report();
    stream.packet_of(Ssrc(2), 7);
    stream.packet_of(Ssrc(2), 9);
    let report = stream.report();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (85, 1));
    // A restart begins anew as well.
    stream.packet_of(Ssrc(2), 30_000);
    stream.packet_of(Ssrc(2), 30_001);
    stream.packet_of(Ssrc(2), 30_003);
    let report = stream.report();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (85, 1));
}

#[test]
fn fraction_lost_is_of_the_interval_since_the_report_before() {
    let mut stream = Stream::new();
    stream.packets([0, 1, 2, 4]);
    // 1 of 5 in units of 1/256.
    assert_eq!(stream.report().fraction_lost, 51);
    stream.packets(5..15);
    let report = stream.report();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 1));
    // Nothing came: nothing was expected either.
    assert_eq!(stream.report().fraction_lost, 0);
    // 999 of 1000: 255.7.
    stream.packet(1014);
    let report = stream.report();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (255, 1000));
    // More came than was expected.
    stream.packets([1013, 1012, 1015]);
    assert_eq!(stream.report().fraction_lost, 0);
}

#[test]
fn report_carries_the_last_sender_report_and_the_delay_since() {
    let mut stream = Stream::new();
    stream.packet(1);
    let last = LastSenderReport { ntp: NtpTime(0x1234_5678_9abc_def0), arrived_ns: 1000 * MS };
    let report = stream.receiver.report_block(Some(last), 2500 * MS).expect("a packet was received");
    assert_eq!((report.last_sr, report.delay_since_last_sr), (0x5678_9abc, 0x1_8000));
    assert_eq!(last.delay(999 * MS), 0);
    assert_eq!(last.delay(u64::MAX), u32::MAX);
}

#[test]
fn steady_stream_has_no_jitter_whatever_its_clocks_read() {
    for clock_rate in [8000, 16_000, 44_100, 48_000, 90_000] {
        let mut receiver = ReceiverState::new(clock_rate);
        for packet in 0..2000_u32 {
            let timestamp = (u32::MAX - 1000).wrapping_add(packet * (clock_rate / 50));
            // After 30 years of uptime.
            let arrived_ns = 946_080_000_000_000_000 + u64::from(packet) * 20 * MS;
            receiver.observe(&header(SSRC, packet as u16, timestamp), arrived_ns);
        }
        assert_eq!(receiver.jitter_ts_units(), 0, "at {clock_rate} Hz");
    }
}

#[test]
fn known_spacing_errors_give_the_jitter_of_the_formula() {
    let mut receiver = ReceiverState::new(CLOCK_RATE);
    receiver.observe(&header(SSRC, 0, 0), 0);
    // 10 ms late: D = 80. J = 0 + 80/16 = 5.
    receiver.observe(&header(SSRC, 1, 160), 30 * MS);
    assert_eq!(receiver.jitter_ts_units(), 5);
    assert!((receiver.jitter_ms() - 0.625).abs() < 1e-6);
    // On time again: D = -80. J = 5 + (80 - 5)/16 = 9.6875.
    receiver.observe(&header(SSRC, 2, 320), 40 * MS);
    assert_eq!(receiver.jitter_ts_units(), 9);
}

#[test]
fn late_packets_count_for_the_jitter_and_duplicates_do_not() {
    let mut receiver = ReceiverState::new(CLOCK_RATE);
    receiver.observe(&header(SSRC, 0, 0), 0);
    receiver.observe(&header(SSRC, 2, 320), 40 * MS);
    assert_eq!(receiver.observe(&header(SSRC, 0, 0), 45 * MS), Arrival::Duplicate);
    assert_eq!(receiver.jitter_ts_units(), 0);
    // 30 ms late: D = 240.
    assert_eq!(receiver.observe(&header(SSRC, 1, 160), 50 * MS), Arrival::Reordered);
    assert_eq!(receiver.jitter_ts_units(), 15);
}

#[test]
fn a_new_start_of_the_media_clock_is_not_jitter() {
    let mut stream = Stream::new();
    stream.packets(0..10);
    for (packet, timestamp) in [(10, 0x8000_0000), (11, 0x8000_0000 + 160)] {
        stream.receiver.observe(&header(SSRC, packet, timestamp), u64::from(packet + 1) * 20 * MS);
    }
    assert_eq!(stream.receiver.jitter_ts_units(), 0);
    // Neither is a restart, even if the timestamp steps by less than 8 s.
    stream.receiver.observe(&header(SSRC, 30_000, 0x8000_0000 + 16_000), 13 * 20 * MS);
    assert_eq!(stream.receiver.jitter_ts_units(), 0);
    stream.receiver.observe(&header(SSRC, 30_001, 0x8000_0000 + 16_160), 14 * 20 * MS);
    stream.receiver.observe(&header(SSRC, 30_002, 0x8000_0000 + 16_320), 15 * 20 * MS);
    assert_eq!(stream.receiver.jitter_ts_units(), 0);
}

#[test]
fn jitter_follows_a_change_of_clock_rate() {
    let mut receiver = ReceiverState::new(8000);
    // Early enough that a step of the arrival's own units would count as jitter.
    let start = 1000 * MS;
    receiver.observe(&header(SSRC, 0, 0), start);
    receiver.observe(&header(SSRC, 1, 160), start + 30 * MS);
    let before = receiver.jitter_ms();
    receiver.set_clock_rate(48_000, start + 30 * MS);
    assert!((receiver.jitter_ms() - before).abs() < 0.01);
    receiver.observe(&header(SSRC, 2, 160 + 960), start + 50 * MS);
    assert!(receiver.jitter_ms() <= before, "{} after {before}", receiver.jitter_ms());
}

#[test]
fn without_a_clock_rate_there_is_no_jitter() {
    let mut receiver = ReceiverState::new(0);
    for packet in 0..10 {
        receiver.observe(&header(SSRC, packet, u32::from(packet) * 7919), u64::from(packet) * 3 * MS);
    }
    assert_eq!((receiver.jitter_ts_units(), receiver.jitter_ms()), (0, 0.0));
}

/// RFC 3550 6.4.1's formula in floating point, on exact times.
struct FloatJitter {
    clock_rate: f64,
    last: Option<(f64, u32)>,
    jitter: f64,
}

impl FloatJitter {
    fn observe(&mut self, timestamp: u32, arrived_ns: u64) {
        // The difference of arrivals must come before the conversion: a double cannot hold both.
        let arrived = arrived_ns as f64 * self.clock_rate / 1e9;
        if let Some((last_arrived, last_timestamp)) = self.last {
            let step = f64::from(timestamp.wrapping_sub(last_timestamp).cast_signed());
            let d = (arrived - last_arrived - step).abs();
            self.jitter += (d - self.jitter) / 16.0;
        }
        self.last = Some((arrived, timestamp));
    }
}

proptest! {
    #[test]
    fn jitter_agrees_with_a_floating_point_implementation(
        clock_rate in prop_oneof![Just(8000_u32), Just(16_000), Just(44_100), Just(48_000), Just(90_000)],
        timestamp: u32,
        delays_us in prop::collection::vec(0_u64..60_000, 2..400),
    ) {
        let mut receiver = ReceiverState::new(clock_rate);
        let mut float = FloatJitter { clock_rate: f64::from(clock_rate), last: None, jitter: 0.0 };
        for (packet, delay_us) in (0_u32..).zip(delays_us) {
            let timestamp = timestamp.wrapping_add(packet * (clock_rate / 50));
            let arrived_ns = u64::from(packet) * 20 * MS + delay_us * 1000;
            receiver.observe(&header(SSRC, packet as u16, timestamp), arrived_ns);
            float.observe(timestamp, arrived_ns);
        }
        // Arrivals are rounded to whole timestamp units: each D is off by up to 1. The shift of A.8 drops up to 1/32 each
        // time, whose sum over 1, 15/16, ... is half of one more.
        let jitter = f64::from(receiver.jitter_scaled) / 16.0;
        prop_assert!((jitter - float.jitter).abs() < 1.5, "{jitter} instead of {}", float.jitter);
    }

    /// A stream of known fate: what is counted is what happened to it.
    #[test]
    fn counts_are_those_of_the_network(
        first: u16,
        fates in prop::collection::vec((prop::bool::weighted(0.1), prop::bool::weighted(0.05), 0_usize..8), 1..2000),
    ) {
        // The first and the last arrive in order and alone, so that every loss lies between two arrivals.
        let last = fates.len() + 1;
        let mut sent: Vec<(usize, usize)> = vec![(0, 0)];
        let mut dropped = 0;
        let mut doubled = 0;
        for (index, &(lost, twice, delay)) in (1..).zip(&fates) {
            if lost {
                dropped += 1;
                continue;
            }
            sent.push((index + delay, index));
            if twice {
                doubled += 1;
                sent.push((index + delay + 3, index));
            }
        }
        sent.push((last + 100, last));
        sent.sort_by_key(|&(arrives, _)| arrives);

        let mut stream = Stream::new();
        let mut highest = 0;
        for (_, index) in &sent {
            let arrival = stream.packet(first.wrapping_add(*index as u16));
            match arrival {
                Arrival::FirstOfSource => prop_assert_eq!(*index, 0),
                Arrival::InOrder => prop_assert_eq!(*index, highest + 1),
                Arrival::Gap(missing) => prop_assert_eq!(*index, highest + 1 + usize::from(missing)),
                Arrival::Reordered | Arrival::Duplicate => prop_assert!(*index <= highest),
                Arrival::Restarted => prop_assert!(false, "there was no restart"),
            }
            highest = highest.max(*index);
        }
        let receiver = &stream.receiver;
        prop_assert_eq!(receiver.packets(), sent.len() as u64);
        prop_assert_eq!(receiver.lost(), dropped);
        prop_assert_eq!(receiver.duplicates(), doubled);
        prop_assert_eq!(receiver.extended_highest(), u32::from(first) + last as u32);
    }

    /// Whatever comes, in whatever order: each packet counts once, and no arithmetic overflows.
    #[test]
    fn any_packets_at_any_time_are_counted(
        clock_rate: u32,
        packets in prop::collection::vec((0_u32..3, any::<u16>(), any::<u32>(), any::<u64>()), 0..300),
    ) {
        let mut receiver = ReceiverState::new(clock_rate);
        let mut counts = [0_u64; 2];
        for &(ssrc, sequence, timestamp, arrived_ns) in &packets {
            match receiver.observe(&header(Ssrc(ssrc), sequence, timestamp), arrived_ns) {
                Arrival::Reordered => counts[0] += 1,
                Arrival::Duplicate => counts[1] += 1,
                _ => {}
            }
            let report = receiver.report_block(None, arrived_ns).expect("a packet was received");
            prop_assert_eq!(report.ssrc, Ssrc(ssrc));
        }
        prop_assert_eq!(receiver.packets(), packets.len() as u64);
        prop_assert_eq!([receiver.reordered(), receiver.duplicates()], counts);
    }
}
