//! Starting and stopping.

use std::net::UdpSocket;

use crossbeam::channel;
use patchcord_dataplane::{Config, Dataplane, StartError, Workers, probe};
use patchcord_relay::command::Command;
use patchcord_relay::exchange::{Reply, Request};

use crate::support::{LOOPBACKS, PATIENCE, Party, Relay, free_port, over_all, rtp, spec};

over_all!(shutting_down_closes_all_ports, |config| {
    let mut relay = Relay::start(&config);
    let ports: Vec<_> = (0..10).map(|_| relay.add(LOOPBACKS[0], None).1).collect();
    let handle = relay.handle.clone();
    relay.dataplane.shutdown();
    for port in ports {
        UdpSocket::bind(port).expect("the port was closed");
    }
    let request = Request::Worker { ticket: 7 };
    assert_eq!(handle.send(request.clone()), Err(request), "nobody is there to take it");
});

over_all!(calls_go_on_when_nobody_listens_to_the_replies, |config| {
    let mut relay = Relay::start(&config);
    let call = relay.call(LOOPBACKS[0]);
    let Relay { dataplane, handle, .. } = relay;
    // The receiver is gone. Requests are still obeyed, and media flows.
    handle.send(Request::Worker { ticket: 1 }).expect("the worker runs");
    for round in 0..100 {
        call.a.send(&rtp(0xa, round), call.at_a);
        assert_eq!(call.b.receive().0, rtp(0xa, round));
    }
    drop(dataplane);
});

over_all!(a_reply_queue_that_is_full_stops_no_packets, |config| {
    let (sender, replies) = channel::bounded(1);
    let dataplane = Dataplane::start(&config, sender).expect("the backend was probed");
    let handle = dataplane.handles().remove(0);
    for ticket in 0..10 {
        handle.send(Request::Worker { ticket }).expect("the worker runs");
    }
    // The first answer is there; whether others are depends on when room was made for them.
    let (_, first) = replies.recv_timeout(PATIENCE).expect("the first answer");
    assert!(matches!(first, Reply::Worker { ticket: 0, .. }), "{first:?}");
    drop(replies);
    dataplane.shutdown();
});

over_all!(workers_are_independent, |config| {
    let (sender, replies) = channel::unbounded();
    let dataplane = Dataplane::start(&Config { workers: Workers::Count(2), ..config }, sender).expect("two workers");
    let party = Party::new(LOOPBACKS[0]);
    for (index, handle) in dataplane.handles().into_iter().enumerate() {
        let spec = spec(free_port(LOOPBACKS[0]), Some(party.addr()));
        let ticket = 10 + index as u64;
        handle.send(Request::Apply { ticket, commands: vec![Command::AddLeg(Box::new(spec))] }).expect("it runs");
        let (worker, reply) = replies.recv_timeout(PATIENCE).expect("an answer");
        assert_eq!(worker, index);
        assert!(matches!(reply, Reply::Applied { ticket: of, result: Ok(_) } if of == ticket), "{reply:?}");
    }
});

over_all!(a_cpu_that_does_not_exist_is_refused, |config| {
    let (sender, _replies) = channel::unbounded();
    let error = Dataplane::start(&Config { workers: Workers::Cpus(vec![0, 1023]), ..config }, sender);
    match error {
        Err(StartError::Cpu { worker: 1, cpu: 1023, allowed, .. }) => assert!(!allowed.is_empty()),
        other => panic!("{other:?}"),
    }
});

over_all!(a_relay_without_workers_is_refused, |config| {
    let (sender, _replies) = channel::unbounded();
    let error = Dataplane::start(&Config { workers: Workers::Count(0), ..config }, sender);
    assert!(matches!(error, Err(StartError::NoWorkers)), "{error:?}");
});

#[test]
fn the_automatic_choice_says_why() {
    // Where there is the loopback alone.
    crate::support::apart(|| {
        let relay = Relay::start(&Config { legs_max_per_worker: 4, ..Config::default() });
        let (name, reason) = relay.dataplane.backend();
        let fastest = match () {
            () if probe::steered().usable && !probe::is_tracked() => "steered",
            () if probe::io_uring().usable => "io-uring",
            () => "mmsg",
        };
        assert_eq!(name, fastest);
        assert!(!reason.is_empty());
    });
}
