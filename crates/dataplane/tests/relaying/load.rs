//! Many packets: none is lost without a name, and commands do not wait for them.

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;

use patchcord_dataplane::Config;
use patchcord_relay::command::Command;

use crate::support::{LOOPBACKS, Party, Relay, eventually, free_port, io, over_all, rtp, spec};

over_all!(what_goes_in_comes_out_or_is_counted, |config| {
    let mut relay = Relay::start(&config);
    let calls: Vec<_> = (0..8).map(|index| relay.call(LOOPBACKS[index % 2])).collect();
    let per_direction = 1000_u16;
    for sequence in 0..per_direction {
        for call in &calls {
            call.a.send(&rtp(0xa, sequence), call.at_a);
            call.b.send(&rtp(0xb, sequence), call.at_b);
            if sequence % 100 == 7 {
                call.a.send(b"garbage", call.at_a);
            }
        }
    }
    let sent = calls.len() as u64 * (2 * u64::from(per_direction) + u64::from(per_direction) / 100);
    // All was in the sockets' queues, or dropped by them, when the last send returned. A worker rests only when it has found
    // these queues empty.
    let rests = |relay: &mut Relay| {
        let worker = relay.worker();
        io(&worker, "sleeps") + io(&worker, "ticks")
    };
    let before = rests(&mut relay);
    eventually("the worker rests", || rests(&mut relay) > before + 1);
    let worker = relay.worker();
    // The kernel tells of its last drops only when another datagram comes or the port is closed; so close them all. A socket that
    // all ports share stays open, and the worker asks it from time to time.
    let legs = calls.iter().flat_map(|call| [call.leg_a, call.leg_b]);
    relay.apply(legs.map(|leg| Command::RemoveLeg { leg }).collect()).expect("all are there");
    let mut closed = relay.worker();
    eventually("all that was sent is counted", || {
        closed = relay.worker();
        closed.datagrams + io(&closed, "kernel_dropped") + io(&closed, "overload_dropped") >= sent
    });
    let dropped = io(&closed, "kernel_dropped") + io(&closed, "overload_dropped");
    assert_eq!(closed.datagrams + dropped, sent, "{closed:?}");
    assert_eq!(worker.datagrams, worker.forwarded + worker.consumed + worker.drops.total());
    let heard: usize = calls.iter().map(|call| call.a.receive_all().len() + call.b.receive_all().len()).sum();
    assert_eq!(heard as u64, closed.forwarded, "{closed:?}");
    assert!(heard > 0);
});

over_all!(running_out_of_receive_buffers_loses_nothing, |config| {
    let mut relay = Relay::start(&Config { ring_buffers: 4, receive_buffer_bytes: 1 << 20, ..config });
    let calls: Vec<_> = (0..8).map(|_| relay.call(LOOPBACKS[0])).collect();
    for sequence in 0..50 {
        for call in &calls {
            call.a.send(&rtp(0xa, sequence), call.at_a);
        }
    }
    for call in &calls {
        for sequence in 0..50 {
            assert_eq!(call.b.receive().0, rtp(0xa, sequence));
        }
    }
    let worker = relay.worker();
    assert_eq!((worker.forwarded, io(&worker, "kernel_dropped")), (400, 0), "{worker:?}");
    // Whether the four were ever all in use depends on how fast the test sends; the backend's own tests make sure.
    eprintln!("{}: out of buffers {} times", worker.backend, io(&worker, "recv_enobufs"));
});

over_all!(commands_take_effect_under_load, |config| {
    let mut relay = Relay::start(&config);
    let call = relay.call(LOOPBACKS[0]);
    let stop = Arc::new(AtomicBool::new(false));
    let flood = {
        let (stop, party, to) = (Arc::clone(&stop), call.a.try_clone(), call.at_a);
        std::thread::spawn(move || {
            let mut sequence = 0_u16;
            while !stop.load(Ordering::Relaxed) {
                party.send(&rtp(0xa, sequence), to);
                sequence = sequence.wrapping_add(1);
            }
        })
    };
    eventually("the load is on", || relay.worker().datagrams > 1000);
    let mut times_us: Vec<u128> = (0..50)
        .map(|_| {
            let remote = Party::new(LOOPBACKS[0]);
            let spec = spec(free_port(LOOPBACKS[0]), Some(remote.addr()));
            let leg = spec.id;
            let before = Instant::now();
            relay.apply(vec![Command::AddLeg(Box::new(spec))]).expect("a free port");
            let took = before.elapsed();
            relay.apply(vec![Command::RemoveLeg { leg }]).expect("it is there");
            took.as_micros()
        })
        .collect();
    stop.store(true, Ordering::Relaxed);
    flood.join().expect("loopback takes it");
    times_us.sort_unstable();
    let worker = relay.worker();
    eprintln!("{}: command and answer, median of 50: {} us", worker.backend, times_us[25]);
    assert!(worker.datagrams > 1000);
});
