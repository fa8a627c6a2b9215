//! Commands and the sockets they open and close.

use std::net::UdpSocket;

use patchcord_dataplane::BackendChoice;
use patchcord_relay::command::{Command, Refusal, Source};

use crate::support::{LOOPBACKS, Party, Relay, cut_over, eventually, free_port, io, over_all, rtp, spec};

over_all!(a_busy_port_refuses_the_whole_batch, |config| {
    let mut relay = Relay::start(&config);
    let occupant = UdpSocket::bind(LOOPBACKS[0]).expect("loopback");
    let busy = occupant.local_addr().expect("bound");
    let free = free_port(LOOPBACKS[0]);
    let first = spec(free, None);
    let leg = first.id;
    let batch = vec![Command::AddLeg(Box::new(first)), Command::AddLeg(Box::new(spec(busy, None)))];
    match relay.apply(batch) {
        Err((1, Refusal::PortUnavailable { addr, busy: true, reason })) => {
            assert_eq!(addr, busy);
            assert!(reason.contains("in use"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(relay.leg(leg), None, "half of the batch was applied");
    UdpSocket::bind(free).expect("the first port was given back");
    assert_eq!(relay.worker().legs, 0);
});

over_all!(an_address_of_another_host_is_not_busy, |config| {
    let mut relay = Relay::start(&config);
    let foreign = "192.0.2.1:30000".parse().expect("a literal");
    let refused = relay.apply(vec![Command::AddLeg(Box::new(spec(foreign, None)))]);
    assert!(matches!(refused, Err((0, Refusal::PortUnavailable { busy: false, .. }))), "{refused:?}");
});

over_all!(a_refusal_of_the_engine_closes_the_ports_again, |config| {
    let mut relay = Relay::start(&config);
    let (leg, _) = relay.add(LOOPBACKS[0], None);
    let mut spec = spec(free_port(LOOPBACKS[0]), None);
    spec.id = leg;
    let port = spec.local_rtp;
    assert_eq!(relay.apply(vec![Command::AddLeg(Box::new(spec))]), Err((0, Refusal::DuplicateLeg(leg))));
    UdpSocket::bind(port).expect("the port was given back");
});

over_all!(a_deleted_legs_port_is_free_when_the_answer_comes, |config| {
    let mut relay = Relay::start(&config);
    for _ in 0..20 {
        let mut spec = spec(free_port(LOOPBACKS[0]), None);
        spec.local_rtcp = Some(free_port(LOOPBACKS[0]));
        let (leg, rtp, rtcp) = (spec.id, spec.local_rtp, spec.local_rtcp.expect("just set"));
        relay.apply(vec![Command::AddLeg(Box::new(spec))]).expect("free ports");
        // What has a socket is the system's to refuse. What is steered is not, and the relay's all the same.
        if config.backend != BackendChoice::Steered {
            UdpSocket::bind(rtp).expect_err("the relay has it");
            UdpSocket::bind(rtcp).expect_err("the relay has it");
        }
        relay.apply(vec![Command::RemoveLeg { leg }]).expect("it is there");
        UdpSocket::bind(rtp).expect("the relay has given it back");
        UdpSocket::bind(rtcp).expect("the relay has given it back");
    }
});

over_all!(one_batch_may_exchange_one_leg_for_another, |config| {
    // Room for a single leg: the new one gets the slot of the old one.
    let mut relay = Relay::start(&patchcord_dataplane::Config { legs_max_per_worker: 1, ..config });
    let party = Party::new(LOOPBACKS[0]);
    let (mut leg, _) = relay.add(LOOPBACKS[0], Some(party.addr()));
    for round in 0..20 {
        let next = spec(free_port(LOOPBACKS[0]), Some(party.addr()));
        let (id, at) = (next.id, next.local_rtp);
        let echo = cut_over(vec![(id, Source::Leg(id))]);
        relay
            .apply(vec![Command::RemoveLeg { leg }, Command::AddLeg(Box::new(next)), echo])
            .expect("there is room once the old one is gone");
        party.send(&rtp(1, round), at);
        assert_eq!(party.receive(), (rtp(1, round), at));
        leg = id;
    }
});

over_all!(a_leg_made_and_deleted_by_one_batch_leaves_no_port, |config| {
    let mut relay = Relay::start(&config);
    let spec = spec(free_port(LOOPBACKS[0]), None);
    let (leg, port) = (spec.id, spec.local_rtp);
    relay.apply(vec![Command::AddLeg(Box::new(spec)), Command::RemoveLeg { leg }]).expect("allowed");
    UdpSocket::bind(port).expect("nobody has it");
});

over_all!(a_leg_can_go_while_packets_arrive, |config| {
    let mut relay = Relay::start(&config);
    let sender = Party::new(LOOPBACKS[0]);
    let mut sent = 0;
    for _ in 0..30 {
        let (leg, at) = relay.add(LOOPBACKS[0], Some(sender.addr()));
        relay.apply(vec![cut_over(vec![(leg, Source::Leg(leg))])]).expect("an echo");
        let flood = sender.try_clone();
        let flooding = std::thread::spawn(move || (0..200).for_each(|sequence| flood.send(&rtp(1, sequence), at)));
        sent += 200;
        eventually("the first packets are echoed", || relay.worker().datagrams > 0);
        relay.apply(vec![Command::RemoveLeg { leg }]).expect("it is there");
        flooding.join().expect("loopback takes it");
    }
    let worker = relay.worker();
    assert_eq!(worker.legs, 0);
    // Every datagram has one fate; those sent after the close are nobody's.
    let known = worker.forwarded + worker.consumed + worker.drops.total();
    assert_eq!(worker.datagrams, known, "{worker:?}");
    assert_eq!(io(&worker, "received"), worker.datagrams);
    assert!(known + io(&worker, "received_after_close") + io(&worker, "kernel_dropped") <= sent);
    // The relay is as good as new.
    let call = relay.call(LOOPBACKS[0]);
    call.a.send(&rtp(2, 0), call.at_a);
    assert_eq!(call.b.receive().0, rtp(2, 0));
});

over_all!(a_full_shard_says_so, |config| {
    let mut relay = Relay::start(&patchcord_dataplane::Config { legs_max_per_worker: 2, ..config });
    relay.add(LOOPBACKS[0], None);
    relay.add(LOOPBACKS[0], None);
    let third = spec(free_port(LOOPBACKS[0]), None);
    let port = third.local_rtp;
    assert_eq!(relay.apply(vec![Command::AddLeg(Box::new(third))]), Err((0, Refusal::ShardFull { capacity: 2 })));
    UdpSocket::bind(port).expect("the port was given back");
});
