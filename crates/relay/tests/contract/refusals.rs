//! A batch that cannot be done as a whole is not done at all; [`World::refused`] compares all that can be seen.

use patchcord_relay::command::{CUT_OVER_CHANGES_MAX, Command, LegSpec, Refusal, Source, Trigger};
use patchcord_relay::ids::{CutOverId, LegId};
use patchcord_relay::media::{Direction, Repeat};

use crate::support::wire::Stream;
use crate::support::{World, add, clip, cut_over, hold, leg, on_first_packet_of, party, play, set_codecs, spec};

/// Legs 1 and 2 talk, leg 3 hears hold audio, leg 1 waits for leg 4.
fn busy() -> World {
    let mut world = World::with_room(4, 1);
    for id in 1..=4 {
        world.must(&[add(spec(id))]);
    }
    world.bridge(1, 2);
    world.cut(Trigger::Immediate, &[(3, hold())]);
    world.must(&[cut_over(9, on_first_packet_of(4), &[(1, leg(4))])]);
    world.talk(2, &mut Stream::of(2), 3);
    world
}

#[test]
fn refused_batch_changes_nothing_whatever_came_before_in_it() {
    let mut world = busy();
    let bad = Command::SetMuted { leg: LegId(99), muted: true };
    let batch = [
        Command::SetMuted { leg: LegId(1), muted: true },
        Command::SetDirection { leg: LegId(2), direction: Direction::Inactive },
        Command::SetRemote { leg: LegId(2), rtp: party(77), rtcp: None },
        set_codecs(1, &[(0, "PCMU")]),
        cut_over(20, Trigger::Immediate, &[(2, Source::Silence)]),
        Command::RemoveLeg { leg: LegId(3) },
        add(spec(5)),
        Command::Rollback { id: CutOverId(9), by: CutOverId(21) },
        bad.clone(),
    ];
    assert_eq!(world.refused(&batch), (8, Refusal::UnknownLeg(LegId(99))));
    world.talk(2, &mut Stream::of(2).numbered(20_000, 5), 3);
    assert_eq!(world.refused(&[bad]), (0, Refusal::UnknownLeg(LegId(99))));
    // Without the last command the same batch is done.
    world.must(&batch[..8]);
}

#[test]
fn full_shard_refuses_a_leg() {
    let mut world = busy();
    assert_eq!(world.refused(&[add(spec(5))]), (0, Refusal::ShardFull { capacity: 4 }));
    let gone = Command::RemoveLeg { leg: LegId(3) };
    assert_eq!(world.refused(&[gone.clone(), add(spec(5)), add(spec(6))]), (2, Refusal::ShardFull { capacity: 4 }));
    world.must(&[gone, add(spec(5))]);
    assert_eq!(world.shard.worker().legs, 4);
}

#[test]
fn unknown_legs_are_refused_wherever_they_are_named() {
    let mut world = busy();
    let unknown = LegId(50);
    let commands = [
        Command::RemoveLeg { leg: unknown },
        Command::SetRemote { leg: unknown, rtp: party(1), rtcp: None },
        set_codecs(50, &[(0, "PCMU")]),
        Command::SetDirection { leg: unknown, direction: Direction::SendRecv },
        Command::SetMuted { leg: unknown, muted: true },
        Command::Relatch { leg: unknown, gate: patchcord_relay::command::RelatchGate::Signalled },
        cut_over(20, Trigger::Immediate, &[(50, Source::Silence)]),
        cut_over(20, Trigger::Immediate, &[(2, leg(50))]),
        cut_over(20, Trigger::AfterPrompt { leg: unknown }, &[(2, leg(1))]),
    ];
    for command in commands {
        let what = format!("{command:?}");
        assert_eq!(world.refused(&[command]), (0, Refusal::UnknownLeg(unknown)), "{what}");
    }
    let gone = Command::RemoveLeg { leg: LegId(2) };
    assert_eq!(world.refused(&[gone.clone(), gone]), (1, Refusal::UnknownLeg(LegId(2))));
}

#[test]
fn ids_are_taken_once() {
    let mut world = busy();
    assert_eq!(world.refused(&[add(spec(1))]), (0, Refusal::DuplicateLeg(LegId(1))));
    let again = [Command::RemoveLeg { leg: LegId(1) }, add(spec(1))];
    assert_eq!(world.refused(&again), (1, Refusal::DuplicateLeg(LegId(1))), "an id never comes back");
    let silence = |id| cut_over(id, Trigger::Immediate, &[(3, Source::Silence)]);
    assert_eq!(world.refused(&[silence(9)]), (0, Refusal::DuplicateCutOver(CutOverId(9))));
    assert_eq!(world.refused(&[silence(30), silence(30)]), (1, Refusal::DuplicateCutOver(CutOverId(30))));
}

#[test]
fn bad_lists_of_changes_are_refused() {
    let mut world = busy();
    let changes = |sinks: &[u64]| sinks.iter().map(|&sink| (sink, Source::Silence)).collect::<Vec<_>>();
    let many: Vec<_> = (1..=CUT_OVER_CHANGES_MAX as u64 + 1).collect();
    for sinks in [&[][..], &[2, 3, 2], &many] {
        let refused = world.refused(&[cut_over(20, Trigger::Immediate, &changes(sinks))]);
        assert!(matches!(refused, (0, Refusal::BadChanges(_))), "{refused:?}");
    }
}

#[test]
fn leg_that_waits_already_cannot_wait_for_more() {
    let mut world = busy();
    let now = world.now;
    let refused = world.refused(&[cut_over(20, Trigger::At(now), &[(2, Source::Silence), (1, hold())])]);
    assert_eq!(refused, (0, Refusal::Pending { leg: LegId(1), pending: CutOverId(9) }));
    // Nor can two wait for the same packet.
    let refused = world.refused(&[cut_over(20, on_first_packet_of(4), &[(2, leg(4))])]);
    assert_eq!(refused, (0, Refusal::Pending { leg: LegId(4), pending: CutOverId(9) }));
    // Within one batch neither.
    let at = cut_over(20, Trigger::At(now), &[(2, Source::Silence)]);
    let refused = world.refused(&[at.clone(), cut_over(21, Trigger::At(now), &[(2, hold())])]);
    assert_eq!(refused, (1, Refusal::Pending { leg: LegId(2), pending: CutOverId(20) }));
    // An immediate one goes ahead of what waits.
    world.must(&[at, cut_over(21, Trigger::Immediate, &[(2, hold())])]);
}

#[test]
fn triggers_that_can_never_fire_are_refused() {
    let mut world = busy();
    let refused = world.refused(&[cut_over(20, on_first_packet_of(4), &[(2, leg(3))])]);
    assert!(matches!(refused, (0, Refusal::BadTrigger(_))), "{refused:?}");
    for waits_for in [1, 3] {
        // Leg 1 hears a party, leg 3 audio without an end.
        let trigger = Trigger::AfterPrompt { leg: LegId(waits_for) };
        let refused = world.refused(&[cut_over(20, trigger, &[(2, leg(4))])]);
        assert!(matches!(refused, (0, Refusal::BadTrigger(_))), "{refused:?}");
    }
    // A prompt that the same batch starts, or takes away, is judged as it will be.
    let trigger = Trigger::AfterPrompt { leg: LegId(3) };
    let prompt = cut_over(20, Trigger::Immediate, &[(3, play(clip(1, 5), Repeat::Times(1)))]);
    let silence = cut_over(21, Trigger::Immediate, &[(3, Source::Silence)]);
    let after = cut_over(22, trigger, &[(2, leg(4))]);
    let refused = world.refused(&[prompt.clone(), silence, after.clone()]);
    assert!(matches!(refused, (2, Refusal::BadTrigger(_))), "{refused:?}");
    let undone = Command::Rollback { id: CutOverId(20), by: CutOverId(23) };
    world.must(&[prompt]);
    let refused = world.refused(&[undone, after.clone()]);
    assert!(matches!(refused, (1, Refusal::BadTrigger(_))), "{refused:?}");
    world.must(&[after]);
}

#[test]
fn addresses_that_cannot_be_a_remote_are_refused() {
    let mut world = busy();
    let bad = ["192.0.2.1:0", "0.0.0.0:4000", "224.0.0.1:4000", "[2001:db8::1]:4000", "[::]:4000"];
    for address in bad.map(|text| text.parse().expect("an address")) {
        let commands = [
            Command::SetRemote { leg: LegId(1), rtp: address, rtcp: None },
            Command::SetRemote { leg: LegId(1), rtp: party(1), rtcp: Some(address) },
        ];
        for command in commands {
            let refused = world.refused(&[command]);
            assert!(matches!(&refused, (0, Refusal::BadAddress { leg: LegId(1), reason }) if !reason.is_empty()));
        }
        world.must(&[Command::RemoveLeg { leg: LegId(4) }]);
        let unreachable = LegSpec { remote_rtp: Some(address), ..spec(4) };
        let refused = world.refused(&[add(unreachable)]);
        assert!(matches!(refused, (0, Refusal::BadAddress { leg: LegId(4), .. })), "{refused:?}");
        world = busy();
    }
}

#[test]
fn refusals_say_what_was_wrong_and_what_to_do() {
    let mut world = busy();
    let (_, refusal) = world.refused(&[add(spec(5))]);
    assert_eq!(
        refusal.to_string(),
        "no room for another leg: all 4 of this worker are in use; delete calls or raise `legs_max`"
    );
    let (_, refusal) = world.refused(&[cut_over(20, on_first_packet_of(4), &[(1, leg(4))])]);
    assert_eq!(refusal.to_string(), "leg-1 already waits for cut-over-9: roll that back first");
}
