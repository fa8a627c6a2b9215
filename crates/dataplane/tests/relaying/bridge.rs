//! Packets of a bridged call.

use core::time::Duration;

use patchcord_dataplane::{Config, Wait};
use patchcord_relay::event::Event;
use patchcord_relay::verdict::DropReason;

use crate::support::{LOOPBACKS, Party, Relay, eventually, io, over_all, rtp, sequence};

over_all!(packets_cross_in_both_directions_untouched, |config| {
    for loopback in LOOPBACKS {
        let mut relay = Relay::start(&config);
        let call = relay.call(loopback);
        for round in 0..50 {
            call.a.send(&rtp(0xa, round), call.at_a);
            assert_eq!(call.b.receive(), (rtp(0xa, round), call.at_b));
            call.b.send(&rtp(0xb, round), call.at_b);
            assert_eq!(call.a.receive(), (rtp(0xb, round), call.at_a));
        }
        let leg = relay.leg(call.leg_a).expect("it is there");
        assert_eq!((leg.ingress.packets, leg.egress.packets), (50, 50));
        assert_eq!(leg.egress.latency.count, 50, "each forwarded packet has a latency");
        let worker = relay.worker();
        assert_eq!(worker.backend, relay.dataplane.backend().0);
        assert_eq!((worker.datagrams, worker.forwarded, worker.sent), (100, 100, 100));
        assert_eq!(io(&worker, "received"), 100);
        // Loopback arrives in the moment of sending: nobody has measured more than the relay's own time.
        assert!(worker.latency.count == 100 && worker.latency.p50_us < 1_000_000, "{:?}", worker.latency);
    }
});

over_all!(every_way_of_waiting_relays, |config| {
    let period = Duration::from_micros(300);
    for wait in [Wait::Spin, Wait::Tick { period }, Wait::Sleep, Wait::Adaptive] {
        let mut relay = Relay::start(&Config { wait, ..config.clone() });
        let call = relay.call(LOOPBACKS[0]);
        for round in 0..20 {
            call.a.send(&rtp(0xa, round), call.at_a);
            assert_eq!(sequence(&call.b.receive().0), round);
        }
    }
});

over_all!(a_listener_that_has_gone_ends_nothing, |config| {
    let mut relay = Relay::start(&config);
    let call = relay.call(LOOPBACKS[0]);
    // From now on each packet to b is answered by ICMP port unreachable.
    drop(call.b);
    for round in 0..100 {
        call.a.send(&rtp(0xa, round), call.at_a);
    }
    eventually("all are received", || relay.worker().datagrams == 100);
    // The call goes on, in both directions, with a new listener at the same place.
    let c = Party::new(LOOPBACKS[0]);
    let (leg_c, at_c) = relay.add(LOOPBACKS[0], Some(c.addr()));
    relay.bridge(call.leg_a, leg_c);
    call.a.send(&rtp(0xa, 100), call.at_a);
    c.receive();
    c.send(&rtp(0xc, 1), at_c);
    call.a.receive();
});

over_all!(a_source_is_learned_and_told, |config| {
    let mut relay = Relay::start(&config);
    let (a, b) = (Party::new(LOOPBACKS[0]), Party::new(LOOPBACKS[0]));
    let (leg_a, at_a) = relay.add(LOOPBACKS[0], None);
    let (leg_b, _) = relay.add(LOOPBACKS[0], Some(b.addr()));
    relay.bridge(leg_a, leg_b);
    a.send(&rtp(0xa, 1), at_a);
    b.receive();
    let first = relay.event(|event| matches!(event, Event::FirstPacket { .. }));
    assert!(matches!(first, Event::FirstPacket { leg, .. } if leg == leg_a), "{first:?}");
    assert_eq!(relay.leg(leg_a).expect("it is there").remote_rtp, Some(a.addr()));
});

over_all!(garbage_is_dropped_by_name, |config| {
    let mut relay = Relay::start(&config);
    let call = relay.call(LOOPBACKS[0]);
    call.a.send(&rtp(0xa, 0), call.at_a);
    assert_eq!(call.b.receive().0, rtp(0xa, 0));
    call.a.send(b"", call.at_a);
    call.a.send(&[0xff; 3000], call.at_a);
    call.a.send(b"GET / HTTP/1.1", call.at_a);
    Party::new(LOOPBACKS[0]).send(&rtp(0xe, 1), call.at_a);
    call.a.send(&rtp(0xa, 1), call.at_a);
    assert_eq!(call.b.receive().0, rtp(0xa, 1));
    eventually("all are judged", || relay.worker().datagrams == 6);
    let drops = relay.leg(call.leg_a).expect("it is there").drops;
    assert_eq!(drops.total(), 4, "{drops:?}");
    assert_eq!(drops.get(DropReason::Truncated), 1, "{drops:?}");
    assert_eq!(drops.get(DropReason::ForeignSource), 1, "{drops:?}");
    assert_eq!(call.b.receive_all(), Vec::<Vec<u8>>::new());
});
