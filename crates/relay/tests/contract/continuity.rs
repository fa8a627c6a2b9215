//! Rule 1: over a cut-over the listener's stream goes on as if nothing had happened.

use patchcord_relay::command::{Source, Trigger};
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::Ssrc;

use crate::support::wire::{HeardRtp, Stream, assert_continuous, numbers, origins};
use crate::support::{FRAME, World, add, codec, dropped, hold, leg, spec};

/// Legs 1, 2 and 3; leg 1 has heard `count` packets of leg 2.
fn listening(count: u32) -> (World, Stream) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, count);
    (world, stream)
}

#[test]
fn sequence_goes_on_at_the_next_number() {
    let (mut world, mut old) = listening(5);
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 5);
    world.bridge(1, 2);
    // What the old source sent meanwhile was heard by nobody and leaves no hole.
    old.skip(1000);
    world.talk(2, &mut old, 5);
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 15);
    assert_eq!(origins(&heard), [2, 3, 2]);
    assert_continuous(&heard);
}

#[test]
fn timestamp_advances_by_the_elapsed_time_in_clock_units() {
    for (silence_ms, units) in [(0, 160), (7, 216), (117, 1096), (5_000, 40_160)] {
        let (mut world, _) = listening(5);
        world.pass(silence_ms);
        world.bridge(1, 3);
        world.talk(3, &mut Stream::of(3), 1);
        let heard = world.rtp(1);
        let step = heard[5].timestamp.wrapping_sub(heard[4].timestamp);
        assert_eq!(step, units, "{silence_ms} ms after the next packet was due");
    }
}

#[test]
fn timestamp_advances_by_one_frame_at_least() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut old = Stream::of(2);
    world.talk(2, &mut old, 4);
    world.send(2, &old.packet());
    world.pass(1);
    world.bridge(1, 3);
    world.send(3, &Stream::of(3).packet());
    let heard = world.rtp(1);
    assert_eq!(heard[5].timestamp.wrapping_sub(heard[4].timestamp), FRAME);
}

#[test]
fn frame_of_a_source_that_sent_a_single_packet_is_taken_as_20_ms() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    world.send(2, &Stream::of(2).packet());
    world.bridge(1, 3);
    world.send(3, &Stream::of(3).packet());
    let heard = world.rtp(1);
    assert_eq!(heard[1].timestamp.wrapping_sub(heard[0].timestamp), FRAME, "two frames must not cover the same time");
}

#[test]
fn frame_length_is_that_of_the_stream_and_not_of_its_pauses() {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut old = Stream { frame_ts_units: 80, ..Stream::of(2) };
    for _ in 0..5 {
        world.send(2, &old.packet());
        world.pass(10);
    }
    // A pause, and a lost packet: neither says anything about the length of a frame.
    old.timestamp = old.timestamp.wrapping_add(8000);
    world.pass(1000);
    world.send(2, &old.packet());
    old.skip(2);
    world.pass(30);
    world.send(2, &old.packet());
    world.bridge(1, 3);
    world.send(3, &Stream::of(3).packet());
    let heard = world.rtp(1);
    assert_eq!(heard[7].timestamp.wrapping_sub(heard[6].timestamp), 80);
}

#[test]
fn elapsed_time_counts_in_the_clock_of_the_new_source() {
    let mut world = World::new();
    for id in [1, 2, 3] {
        let mut spec = spec(id);
        spec.codecs = vec![codec(111, "opus", 48_000)];
        world.must(&[add(spec)]);
    }
    world.bridge(1, 2);
    let opus = |leg| Stream { payload_type: 111, frame_ts_units: 960, ..Stream::of(leg) };
    world.talk(2, &mut opus(2), 3);
    world.pass(80);
    world.bridge(1, 3);
    world.talk(3, &mut opus(3), 1);
    let heard = world.rtp(1);
    assert_eq!(heard[3].timestamp.wrapping_sub(heard[2].timestamp), 4800);
}

#[test]
fn marker_is_set_on_the_first_packet_only() {
    let (mut world, _) = listening(3);
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 3);
    let markers: Vec<_> = world.rtp(1).iter().map(|heard| heard.marker).collect();
    assert_eq!(markers, [false, false, false, true, false, false]);
}

#[test]
fn marker_of_video_is_left_alone() {
    // RFC 3551 5: in video it ends a picture.
    let mut world = World::new();
    for id in [1, 2, 3] {
        let mut spec = spec(id);
        spec.codecs = vec![codec(96, "H264", 90_000)];
        world.must(&[add(spec)]);
    }
    world.bridge(1, 2);
    let video = |leg| Stream { payload_type: 96, frame_ts_units: 3000, ..Stream::of(leg) };
    world.talk(2, &mut video(2), 2);
    world.bridge(1, 3);
    world.talk(3, &mut video(3), 2);
    let heard = world.rtp(1);
    assert!(heard.iter().all(|heard| !heard.marker));
    assert_continuous(&heard);
}

#[test]
fn marker_is_not_set_where_it_would_make_rtcp_of_the_packet() {
    // RFC 5761 4: the marker and payload type 72 are the byte of a sender report.
    let (mut world, _) = listening(3);
    world.bridge(1, 3);
    world.talk(3, &mut Stream { payload_type: 72, ..Stream::of(3) }, 1);
    let heard = world.rtp(1);
    assert!(heard.len() == 4 && !heard[3].marker);
}

#[test]
fn offsets_are_constant_afterwards_so_that_loss_reordering_and_timing_pass() {
    let (mut world, _) = listening(5);
    world.bridge(1, 3);
    let packets = Stream::of(3).packets(20);
    for (at, wait_ms) in [(0, 20), (1, 5), (4, 60), (2, 0), (3, 20), (9, 1), (19, 33), (18, 20)] {
        world.send(3, &packets[at]);
        world.pass(wait_ms);
    }
    let heard = world.rtp(1);
    let offsets = |heard: &HeardRtp| {
        let payload = heard.payload.expect("a payload of ours");
        (heard.sequence.wrapping_sub(payload.sequence), heard.timestamp.wrapping_sub(payload.timestamp))
    };
    assert_eq!(heard.len(), 13);
    for later in &heard[6..] {
        assert_eq!(offsets(later), offsets(&heard[5]), "{later:?}");
    }
    assert_eq!(numbers(&heard[5..]), [0, 1, 4, 2, 3, 9, 19, 18]);
}

#[test]
fn packets_of_the_new_source_older_than_its_first_relayed_one_are_dropped() {
    let (mut world, _) = listening(5);
    world.bridge(1, 3);
    let packets = Stream::of(3).packets(6);
    world.send(3, &packets[3]);
    for at in [2, 1, 0] {
        assert_eq!(world.send(3, &packets[at]), dropped(DropReason::StaleAfterCutover));
    }
    world.send(3, &packets[5]);
    world.send(3, &packets[4]);
    assert_eq!(numbers(&world.rtp(1)[5..]), [3, 5, 4]);
    assert_eq!(world.drops(3, DropReason::StaleAfterCutover), 3);
}

#[test]
fn ssrc_is_the_same_for_life() {
    let (mut world, mut first) = listening(3);
    let ssrc = Some(Ssrc(first.ssrc));
    for source in [hold(), leg(3), Source::Silence, leg(2), hold(), leg(1), leg(3)] {
        world.cut(Trigger::Immediate, &[(1, source)]);
        for stream in [1, 2, 3].map(Stream::of) {
            world.talk(u64::from(stream.origin), &mut stream.clone().under(0x7700 + stream.origin), 3);
        }
        first.skip(1);
        assert_eq!(world.leg(1).egress.ssrc, ssrc);
    }
    let heard = world.rtp(1);
    assert!(heard.len() > 20, "{} packets", heard.len());
    assert!(heard.iter().all(|heard| Some(Ssrc(heard.ssrc)) == ssrc));
}

#[test]
fn sequence_and_timestamp_wrap_around_over_cut_overs() {
    // Old and new source wrap: just before, at, and just after the cut-over, in every combination.
    for old_start in 65_530..=65_535_u16 {
        for new_start in [65_533, 65_534, 65_535, 0, 1] {
            let mut world = World::with_legs([1, 2, 3]);
            world.bridge(1, 2);
            let ahead = |sequence: u16| u32::from(sequence).wrapping_sub(65_536).wrapping_mul(FRAME);
            world.talk(2, &mut Stream::of(2).numbered(old_start, ahead(old_start)), 4);
            world.bridge(1, 3);
            let packets = Stream::of(3).numbered(new_start, ahead(new_start)).packets(8);
            for at in [0, 2, 1, 3, 4, 5, 7, 6] {
                world.send(3, &packets[at]);
                world.pass(20);
            }
            world.bridge(1, 2);
            world.talk(2, &mut Stream::of(2).numbered(new_start, 9), 2);
            let mut heard = world.rtp(1);
            assert_eq!(heard.len(), 14, "{old_start} {new_start}");
            heard.swap(5, 6);
            heard.swap(10, 11);
            assert_continuous(&heard);
        }
    }
}

#[test]
fn long_silence_before_a_cut_over_is_no_step_back() {
    // 75 hours are more than half of the timestamp's range: only the wrapped difference is defined, and it must fit.
    let (mut world, _) = listening(2);
    world.stall(3_600_000);
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 1);
    let heard = world.rtp(1);
    assert_eq!(heard[2].timestamp.wrapping_sub(heard[1].timestamp), 160 + 3_600 * 8000);
}

#[test]
fn nothing_about_the_unaffected_direction_changes() {
    let (mut world, _) = listening(3);
    let mut speaker = Stream::of(1);
    world.talk(1, &mut speaker, 3);
    // Leg 1 hears leg 3 from now on; leg 2 goes on hearing leg 1 bit for bit.
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    world.talk(3, &mut Stream::of(3), 3);
    world.rtp(2);
    let packets = speaker.packets(3);
    for packet in &packets {
        world.send(1, packet);
    }
    assert!(world.rtp(2).iter().map(|heard| &heard.bytes).eq(&packets));
}
