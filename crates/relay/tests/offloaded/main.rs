//! The cut-over contract once more, where an offload forwards whatever it can: nobody may be able to tell.

#[path = "../contract/continuity.rs"]
mod continuity;
#[path = "../contract/directions.rs"]
mod directions;
#[path = "../contract/doors.rs"]
mod doors;
#[path = "../contract/drops.rs"]
mod drops;
#[path = "../contract/dtls.rs"]
mod dtls;
#[path = "../contract/dtmf.rs"]
mod dtmf;
#[path = "../contract/formats.rs"]
mod formats;
#[path = "../contract/ice.rs"]
mod ice;
#[path = "../contract/latching.rs"]
mod latching;
#[path = "../contract/mixing.rs"]
mod mixing;
#[path = "../contract/modes.rs"]
mod modes;
#[path = "../contract/opaque.rs"]
mod opaque;
#[path = "../contract/overhearing.rs"]
mod overhearing;
#[path = "../contract/overlay.rs"]
mod overlay;
#[path = "../contract/players.rs"]
mod players;
#[path = "../contract/playlists.rs"]
mod playlists;
#[path = "../contract/receipts.rs"]
mod receipts;
#[path = "../contract/refusals.rs"]
mod refusals;
#[path = "../contract/relaying.rs"]
mod relaying;
#[path = "../contract/relearning.rs"]
mod relearning;
#[path = "../contract/rollback.rs"]
mod rollback;
#[path = "../contract/round_trip.rs"]
mod round_trip;
#[path = "../contract/rtcp.rs"]
mod rtcp;
#[path = "../contract/rtcp_mapping.rs"]
mod rtcp_mapping;
#[path = "../contract/source_changes.rs"]
mod source_changes;
#[path = "../contract/srtp.rs"]
mod srtp;
#[path = "../support/mod.rs"]
mod support;
#[path = "../contract/telephone_events.rs"]
mod telephone_events;
#[path = "../contract/timeouts.rs"]
mod timeouts;
#[path = "../contract/transcoding.rs"]
mod transcoding;
#[path = "../contract/triggers.rs"]
mod triggers;
#[path = "../contract/writers.rs"]
mod writers;

use patchcord_relay::command::Command;
use patchcord_relay::flow::Obstacle;
use patchcord_relay::ids::LegId;

use support::World;
use support::wire::Stream;

/// Every world has an offload.
const OFFLOADED: bool = true;

#[test]
fn all_but_the_first_packet_are_forwarded_by_the_offload() {
    let mut world = World::with_legs([1, 2]);
    assert_eq!(world.leg(1).offload, Some(Err(Obstacle::NotSettled)));
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    world.talk(1, &mut stream, 1);
    assert_eq!(world.leg(1).offload, Some(Err(Obstacle::Armed)));
    world.talk(1, &mut stream, 9);
    let kernel = world.kernel.clone().expect("every world has one");
    assert_eq!((kernel.forwarded(), world.leg(1).offload), (9, Some(Ok(()))));
    let worker = world.shard.worker();
    assert_eq!((worker.flows, worker.offloaded, worker.forwarded, worker.climbs), (1, 9, 10, 0));
    assert_eq!((world.leg(1).ingress.packets, world.leg(2).egress.packets), (10, 10));
    world.assert_balanced();
}

#[test]
fn what_is_tapped_on_either_side_passes_by_the_engine_until_it_is_not() {
    let mut world = World::with_legs([1, 2]);
    world.bridge(1, 2);
    let mut stream = Stream::of(1);
    let kernel = world.kernel.clone().expect("every world has one");
    for leg in [1, 2] {
        world.talk(1, &mut stream, 5);
        assert_eq!(world.leg(1).offload, Some(Ok(())));
        world.must(&[Command::SetTapped { leg: LegId(leg), tapped: true }]);
        let before = kernel.forwarded();
        world.talk(1, &mut stream, 5);
        assert_eq!((kernel.forwarded(), world.leg(1).offload), (before, Some(Err(Obstacle::Tapped))), "leg {leg}");
        world.must(&[Command::SetTapped { leg: LegId(leg), tapped: false }]);
    }
    world.talk(1, &mut stream, 5);
    assert_eq!(world.leg(1).offload, Some(Ok(())));
    assert_eq!((world.leg(1).ingress.packets, world.leg(2).egress.packets), (25, 25));
    world.assert_balanced();
}
