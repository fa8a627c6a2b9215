//! Rule 10: every cut-over yields a receipt per direction, and what it says is what the party received.

use core::time::Duration;

use patchcord_relay::command::{Command, Source, Trigger};
use patchcord_relay::event::{Receipt, TriggerKind};
use patchcord_relay::ids::LegId;
use patchcord_relay::media::Repeat;

use crate::support::wire::{HeardRtp, Stream};
use crate::support::{World, clip, hold, leg, on_first_packet_of, play};

fn talking() -> (World, Stream) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut old = Stream::of(2);
    world.talk(2, &mut old, 5);
    world.forget();
    (world, old)
}

/// Holds a receipt against the two packets on either side of the cut-over.
fn assert_tells(receipt: &Receipt, before: &HeardRtp, after: &HeardRtp) {
    assert_eq!(receipt.gap_us, Some(after.at.nanos_since(before.at) / 1000));
    assert_eq!(receipt.seq_step, Some(after.sequence.wrapping_sub(before.sequence)));
    assert_eq!(receipt.ts_step, Some(after.timestamp.wrapping_sub(before.timestamp)));
    assert_eq!(receipt.first_packet_at, after.at);
}

#[test]
fn receipt_says_what_the_party_received() {
    let (mut world, mut old) = talking();
    world.talk(2, &mut old, 1);
    world.pass(33);
    let commanded_at = world.now;
    let id = world.cut(Trigger::Immediate, &[(1, leg(3))]);
    world.pass(17);
    world.talk(3, &mut Stream::of(3), 2);
    let receipt = world.receipt(1);
    let heard = world.rtp(1);
    assert_tells(&receipt, &heard[0], &heard[1]);
    assert_eq!((receipt.gap_us, receipt.seq_step, receipt.ts_step), (Some(70_000), Some(1), Some(560)));
    assert_eq!((receipt.id, receipt.sink, receipt.trigger), (id, LegId(1), TriggerKind::Immediate));
    assert_eq!((receipt.commanded_at, receipt.switched_at), (commanded_at, commanded_at));
    assert_eq!(receipt.command_to_effect_us, 17_000);
    assert_eq!(receipt.stale, 0);
    assert_eq!(world.leg(1).last_cut_over, Some(receipt));
}

#[test]
fn receipts_of_hold_and_resume() {
    let (mut world, mut old) = talking();
    world.talk(2, &mut old, 1);
    world.cut(Trigger::Immediate, &[(1, hold())]);
    world.pass(107);
    let held = world.receipt(1);
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world.talk(2, &mut old, 1);
    let resumed = world.receipt(1);
    let heard = world.rtp(1);
    assert_tells(&held, &heard[0], &heard[1]);
    assert_tells(&resumed, &heard[heard.len() - 2], &heard[heard.len() - 1]);
    assert!(held.gap_us.is_some_and(|gap| gap <= 21_000), "{held:?}");
}

#[test]
fn receipt_of_a_triggered_cut_over_counts_from_the_command() {
    let (mut world, mut old) = talking();
    let commanded_at = world.now;
    world.cut(on_first_packet_of(3), &[(1, leg(3)), (3, leg(1))]);
    world.talk(2, &mut old, 10);
    let switched_at = world.now;
    world.send(3, &Stream::of(3).packet());
    world.pass(40);
    world.send(1, &Stream::of(1).packet());
    let mut receipts = world.receipts();
    receipts.retain(|receipt| receipt.sink != LegId(2));
    let [to_survivor, to_target] = receipts[..] else { panic!("{receipts:?}") };
    assert_eq!((to_survivor.trigger, to_survivor.commanded_at), (TriggerKind::OnFirstPacket, commanded_at));
    assert_eq!((to_survivor.switched_at, to_survivor.first_packet_at), (switched_at, switched_at));
    assert_eq!((to_survivor.command_to_effect_us, to_survivor.gap_us), (200_000, Some(20_000)));
    assert_eq!((to_target.switched_at, to_target.command_to_effect_us), (switched_at, 240_000));
    assert_eq!(
        (to_target.gap_us, to_target.seq_step, to_target.ts_step),
        (None, None, None),
        "nothing was there before"
    );
}

#[test]
fn receipt_after_a_prompt() {
    let (mut world, _) = talking();
    world.cut(Trigger::Immediate, &[(1, play(clip(4, 10), Repeat::Times(1)))]);
    world.pass(50);
    world.forget();
    world.cut(Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(3))]);
    let mut stream = Stream::of(3);
    for _ in 0..20 {
        world.talk(3, &mut stream, 1);
    }
    let receipt = world.receipt(1);
    assert_eq!(receipt.trigger, TriggerKind::AfterPrompt);
    let heard = world.rtp(1);
    let first = heard.iter().position(|heard| heard.origin() == 3).expect("leg 3 is heard");
    assert_tells(&receipt, &heard[first - 1], &heard[first]);
    assert!(receipt.gap_us <= Some(20_000));
}

#[test]
fn change_to_silence_is_done_at_the_switch_and_has_no_gap() {
    let (mut world, _) = talking();
    world.cut(Trigger::Immediate, &[(1, Source::Silence)]);
    let receipt = world.receipt(1);
    assert_eq!((receipt.gap_us, receipt.seq_step, receipt.ts_step), (None, None, None));
    assert_eq!((receipt.command_to_effect_us, receipt.first_packet_at), (0, world.now));
}

#[test]
fn change_to_the_source_that_was_there_already_is_done_at_once_and_changes_nothing() {
    let (mut world, mut old) = talking();
    world.bridge(1, 2);
    assert_eq!(world.receipts().len(), 2);
    let packets = old.packets(3);
    for packet in &packets {
        world.send(2, packet);
    }
    assert!(world.rtp(1).iter().map(|heard| &heard.bytes).eq(&packets), "bit for bit still");
}

#[test]
fn first_packet_may_come_late_and_the_receipt_waits_for_it() {
    let (mut world, _) = talking();
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    world.pass(5_000);
    assert_eq!(world.receipts(), []);
    world.send(3, &Stream::of(3).packet());
    let receipt = world.receipt(1);
    assert_eq!((receipt.command_to_effect_us, receipt.gap_us), (5_000_000, Some(5_020_000)));
}

#[test]
fn receipt_counts_while_the_listener_may_not_receive() {
    let (mut world, _) = talking();
    let direction = |direction| Command::SetDirection { leg: LegId(1), direction };
    world.must(&[direction(patchcord_relay::media::Direction::Inactive)]);
    world.cut(Trigger::Immediate, &[(1, leg(3))]);
    let mut new = Stream::of(3);
    world.talk(3, &mut new, 5);
    assert_eq!(world.receipts(), [], "no packet has left");
    world.must(&[direction(patchcord_relay::media::Direction::SendRecv)]);
    world.talk(3, &mut new, 1);
    assert_eq!(world.receipt(1).gap_us, Some(120_000));
}

#[test]
fn gaps_are_in_the_workers_histogram() {
    let (mut world, mut old) = talking();
    for _ in 0..10 {
        world.bridge(1, 3);
        world.talk(3, &mut Stream::of(3), 1);
        world.bridge(1, 2);
        world.talk(2, &mut old, 1);
    }
    let gaps = world.shard.worker().cut_over_gap;
    assert_eq!(gaps.count, 20);
    let expected = Duration::from_millis(20).as_micros() as u64;
    assert!(gaps.p50_us.abs_diff(expected) <= expected / 50, "{gaps:?}");
}
