//! Rules 0 and 4: a source that becomes another one in mid-call is spliced like a new source.

use patchcord_relay::event::Event;
use patchcord_relay::ids::LegId;
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::Ssrc;

use crate::support::wire::{HeardRtp, Stream, assert_continuous};
use crate::support::{World, dropped, set_codecs};

fn bridged() -> (World, Stream) {
    let mut world = World::with_legs([1, 2, 3]);
    world.bridge(1, 2);
    let mut stream = Stream::of(2);
    world.talk(2, &mut stream, 5);
    (world, stream)
}

fn epochs(heard: &[HeardRtp]) -> Vec<u32> {
    heard.iter().filter_map(|heard| heard.payload).map(|payload| payload.epoch).collect()
}

#[test]
fn source_that_changes_its_ssrc_is_spliced() {
    let (mut world, old) = bridged();
    world.forget();
    let mut new = old.under(0xabcd).numbered(40_000, 77);
    world.talk(2, &mut new, 5);
    let changed = Event::SsrcChanged { leg: LegId(2), from: Ssrc(0x5000_0002), to: Ssrc(0xabcd) };
    assert_eq!(world.events(), [changed]);
    world.talk(2, &mut new, 5);
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 10);
    assert_continuous(&heard);
    assert!(heard[0].marker && !heard[1].marker);
}

#[test]
fn stragglers_of_the_old_ssrc_are_dropped_and_nothing_flaps() {
    let (mut world, mut old) = bridged();
    let mut new = old.clone().under(0xabcd).numbered(40_000, 77);
    let late = old.packets(4);
    world.forget();
    for late in &late {
        world.talk(2, &mut new, 1);
        assert_eq!(world.send(2, late), dropped(DropReason::StaleAfterCutover));
    }
    world.talk(2, &mut new, 4);
    assert_eq!(world.events().len(), 1, "one change is told, once");
    let heard = world.rtp(1);
    assert_eq!(epochs(&heard), [1; 8]);
    assert_continuous(&heard);
}

#[test]
fn stray_packet_of_another_ssrc_costs_a_moment_and_not_the_call() {
    let (mut world, mut stream) = bridged();
    world.send(2, &Stream::of(2).under(0xbad).packet());
    world.talk(2, &mut stream, 20);
    let heard = world.rtp(1);
    assert!(heard.len() > 5 + 1 + 10, "{} packets", heard.len());
    assert_eq!(epochs(&heard[heard.len() - 10..]), [0; 10]);
    assert_continuous(&heard);
}

#[test]
fn source_that_starts_anew_with_lower_numbers_goes_on_without_reuse() {
    for start in [0, 100, 5000, 9000] {
        let (mut world, old) = bridged();
        let mut restarted = old.clone().numbered(start, 3);
        restarted.epoch = 1;
        world.talk(2, &mut restarted, 50);
        let heard = world.rtp(1);
        // RFC 3550 A.1: it takes two packets in sequence to tell a restart from a stray.
        assert_eq!(heard.len(), 5 + 49, "restart at {start} after {}", old.sequence);
        assert_continuous(&heard);
        world.assert_balanced();
    }
}

#[test]
fn source_that_starts_anew_with_higher_numbers_goes_on() {
    for ahead in [3_500, 20_000, 32_767, 32_768, 40_000] {
        let (mut world, old) = bridged();
        let mut restarted = old.clone().numbered(old.sequence.wrapping_add(ahead), 3);
        restarted.epoch = 1;
        world.talk(2, &mut restarted, 50);
        let heard = world.rtp(1);
        assert_eq!(heard.len(), 5 + 49, "restart {ahead} ahead");
        assert_continuous(&heard);
    }
}

#[test]
fn single_stray_packet_with_a_wild_number_does_not_silence_the_source() {
    for stray in [200, 2_900, 3_500, 20_000, 32_767, 32_768, 40_000, 65_000] {
        let (mut world, mut stream) = bridged();
        let at = stream.sequence.wrapping_add(stray);
        world.send(2, &stream.clone().numbered(at, 9).packet());
        world.forget();
        world.talk(2, &mut stream, 100);
        let heard = world.rtp(1).len();
        assert!(heard >= 97, "{heard} of 100 packets are heard after a stray {stray} ahead");
    }
}

#[test]
fn restart_is_noticed_by_every_listener_whatever_the_second_packet_is() {
    let (mut world, old) = bridged();
    let mut restarted = old.numbered(100, 3);
    restarted.epoch = 1;
    world.talk(2, &mut restarted, 1);
    // The packet that proves the restart is of a format that the listener cannot take.
    world.forget();
    world.must(&[set_codecs(2, &[(0, "PCMU"), (96, "L16")])]);
    let mut unheard = restarted.packet();
    unheard[1] = 96;
    assert_eq!(world.send(2, &unheard), dropped(DropReason::PayloadType));
    world.talk(2, &mut restarted, 20);
    assert_eq!(world.rtp(1).len(), 20, "nothing of the restarted source is taken for too old");
}

#[test]
fn long_gap_of_the_same_source_is_passed_on() {
    let (mut world, mut stream) = bridged();
    stream.skip(2_000);
    world.pass(40_000);
    world.talk(2, &mut stream, 3);
    let heard = world.rtp(1);
    assert_eq!(heard[5].sequence.wrapping_sub(heard[4].sequence), 2_001, "loss passes through as it is");
    assert!(!heard[5].marker);
}

#[test]
fn new_source_with_the_ssrc_of_the_old_one_is_spliced_all_the_same() {
    let (mut world, old) = bridged();
    world.bridge(1, 3);
    let mut twin = Stream::of(3).numbered(old.sequence.wrapping_sub(4), 5);
    twin.ssrc = old.ssrc;
    world.talk(3, &mut twin, 5);
    let heard = world.rtp(1);
    assert_eq!(heard.len(), 10);
    assert_continuous(&heard);
}
