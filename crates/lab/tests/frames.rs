//! Frames made and counted in the kernel, through real veth pairs. Needs root; without it each test says so and passes, but not in
//! continuous integration.

#![allow(clippy::print_stderr, reason = "a skipped test names its reason")]

mod needs;

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use patchcord_lab::frames::{
    Arrivals, End, Expected, FramesError, Generator, Host, SentFrames, Sink, Span, StreamPlan, accept_frames, port,
};
use patchcord_lab::netns::{Link, Mac, Namespace};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const LEFT: Host = Host { mac: Mac([2, 0, 0, 0, 0, 1]), ip: Ipv4Addr::new(10, 0, 0, 1) };
const RIGHT: Host = Host { mac: Mac([2, 0, 0, 0, 0, 2]), ip: Ipv4Addr::new(10, 0, 0, 2) };

/// Two hosts joined by a veth pair.
struct Pair {
    left: Namespace,
    right: Namespace,
    link: Link,
}

impl Pair {
    fn lay() -> Result<Self, Box<dyn std::error::Error>> {
        let (left, right) = (Namespace::create("left")?, Namespace::create("right")?);
        let link = left.connect("10.0.0.1/24".parse()?, &right, "10.0.0.2/24".parse()?)?;
        left.set_mac(&link.own, LEFT.mac)?;
        right.set_mac(&link.others, RIGHT.mac)?;
        Ok(Self { left, right, link })
    }

    fn left(&self) -> End<'_> {
        End { namespace: &self.left, device: &self.link.own }
    }

    fn right(&self) -> End<'_> {
        End { namespace: &self.right, device: &self.link.others }
    }
}

/// Streams that go straight to the sink.
fn direct(from: Host, to: Host, device: u16, count: u32) -> impl Iterator<Item = StreamPlan> {
    let to_port = move |number| SocketAddrV4::new(to.ip, port(number).unwrap_or(0));
    (0..count).map(move |number| StreamPlan { from, number, next_hop: to.mac, to: to_port(number), device })
}

/// Sends at a rate until so many packets of a span were sent, and waits until as many have arrived or long enough.
fn send(
    generator: &mut Generator,
    sinks: &mut [&mut Sink],
    rate: f64,
    packets: u64,
) -> Result<(SentFrames, Vec<Arrivals>), FramesError> {
    let until = Instant::now() + Duration::from_secs(20);
    let span = Span::after(Duration::ZERO, Duration::from_secs(60));
    generator.count_in(span)?;
    for sink in &mut *sinks {
        sink.count_in(span)?;
    }
    generator.set_packets_per_s(rate)?;
    while generator.sent()?.sent < packets && Instant::now() < until {
        std::thread::yield_now();
    }
    generator.set_packets_per_s(0.0)?;
    // It finishes its batch before it reads that there is nothing more to do.
    let stopped = generator.sent()?.waited;
    while generator.sent()?.waited < stopped + 1_000 && Instant::now() < until {
        std::thread::yield_now();
    }
    let read = |sinks: &[&mut Sink]| sinks.iter().map(|sink| sink.arrivals()).collect::<Result<Vec<_>, _>>();
    loop {
        let (sent, arrivals) = (generator.sent()?, read(sinks)?);
        let arrived: u64 = arrivals.iter().map(|arrivals| arrivals.received).sum();
        if arrived == sent.sent || Instant::now() > until {
            return Ok((sent, arrivals));
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_is_generated_arrives_in_order_and_intact() -> Outcome {
    if !needs::root("making frames in the kernel") {
        return Ok(());
    }
    let pair = Pair::lay()?;
    let mut sink = Sink::attach(pair.right(), 100, Expected::RtpWithChecksums)?;
    let plans: Vec<_> = direct(LEFT, RIGHT, 0, 100).collect();
    let mut generator = Generator::start(&plans, &[pair.left()], None)?;
    let (sent, arrivals) = send(&mut generator, &mut [&mut sink], 20_000.0, 10_000)?;
    let [arrivals] = &arrivals[..] else { panic!("one sink") };
    // A packet is made every 50 us; more than the catching-up of a busy machine there cannot be.
    assert!(sent.sent >= 10_000 && sent.sent < 40_000, "{sent:?}");
    assert_eq!((arrivals.received, arrivals.total), (sent.sent, sent.sent), "{arrivals:?}");
    assert_eq!((arrivals.skipped, arrivals.late, arrivals.strange, arrivals.corrupt), (0, 0, 0, 0), "{arrivals:?}");
    assert_eq!(arrivals.latency.count(), sent.sent);
    assert_eq!(arrivals.by_cpu.iter().sum::<u64>(), sent.sent);
    assert!(arrivals.latency.quantile_ns(0.5) <= arrivals.latency.quantile_ns(0.999));
    assert!(sent.waited > 0, "it paces itself: {sent:?}");
    // The time in which it did not wait is that of its packets.
    assert!(sent.busy_ns > 0 && sent.busy_ns < 20_000_000_000, "{sent:?}");

    // The sequence goes on in the next span, and what was sent before it does not count again.
    let before = (sent, arrivals.clone());
    let (sent, arrivals) = send(&mut generator, &mut [&mut sink], 20_000.0, before.0.sent + 1_000)?;
    let (sent, arrivals) = (sent.since(before.0), arrivals[0].since(&before.1));
    assert_eq!((arrivals.received, arrivals.total, arrivals.skipped), (sent.sent, sent.sent, 0), "{arrivals:?}");
    Ok(())
}

#[test]
fn both_directions_are_flooded_by_one_generator() -> Outcome {
    if !needs::root("making frames in the kernel") {
        return Ok(());
    }
    let pair = Pair::lay()?;
    let mut right = Sink::attach(pair.right(), 10, Expected::RtpWithChecksums)?;
    let mut left = Sink::attach(pair.left(), 10, Expected::RtpWithChecksums)?;
    let plans: Vec<_> =
        direct(LEFT, RIGHT, 0, 10).zip(direct(RIGHT, LEFT, 1, 10)).flat_map(|(there, back)| [there, back]).collect();
    let mut generator = Generator::start(&plans, &[pair.left(), pair.right()], None)?;
    let (sent, arrivals) = send(&mut generator, &mut [&mut right, &mut left], 10_000.0, 2_000)?;
    let [there, back] = &arrivals[..] else { panic!("two sinks") };
    assert_eq!(there.received + back.received, sent.sent, "{arrivals:?}");
    assert!(there.received.abs_diff(back.received) <= 1, "they take turns: {arrivals:?}");
    assert!(arrivals.iter().all(|side| (side.skipped, side.late, side.corrupt) == (0, 0, 0)), "{arrivals:?}");
    Ok(())
}

/// Through a kernel that forwards: another Ethernet address and another TTL, which the next trip of the frame must not keep.
#[test]
fn what_a_relay_changes_is_made_anew() -> Outcome {
    if !needs::root("making frames in the kernel") {
        return Ok(());
    }
    let far = Host { mac: Mac([2, 0, 0, 0, 1, 2]), ip: "10.0.1.2".parse()? };
    let pair = Pair::lay()?;
    let callee = Namespace::create("callee")?;
    let link = callee.connect("10.0.1.2/24".parse()?, &pair.right, "10.0.1.1/24".parse()?)?;
    callee.set_mac(&link.own, far.mac)?;
    pair.right.know_neighbour(&link.others, IpAddr::V4(far.ip), far.mac)?;
    pair.right.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    accept_frames(pair.right())?;
    let mut sink = Sink::attach(End { namespace: &callee, device: &link.own }, 8, Expected::RtpWithChecksums)?;
    let plans: Vec<_> = direct(LEFT, far, 0, 8).map(|plan| StreamPlan { next_hop: RIGHT.mac, ..plan }).collect();
    let mut generator = Generator::start(&plans, &[pair.left()], None)?;
    let (sent, arrivals) = send(&mut generator, &mut [&mut sink], 10_000.0, 5_000)?;
    let arrivals = &arrivals[0];
    assert_eq!((arrivals.received, arrivals.skipped, arrivals.late), (sent.sent, 0, 0), "{arrivals:?}");
    assert_eq!((arrivals.strange, arrivals.corrupt), (0, 0), "{arrivals:?}");
    Ok(())
}

#[test]
fn what_is_lost_is_counted() -> Outcome {
    if !needs::root("making frames in the kernel") {
        return Ok(());
    }
    let pair = Pair::lay()?;
    let mut sink = Sink::attach(pair.right(), 2, Expected::RtpWithChecksums)?;
    // Every second stream goes to a port that the sink does not know.
    let mut plans: Vec<_> = direct(LEFT, RIGHT, 0, 2).collect();
    plans[1].to.set_port(9);
    let mut generator = Generator::start(&plans, &[pair.left()], None)?;
    let span = Span::after(Duration::ZERO, Duration::from_secs(60));
    generator.count_in(span)?;
    sink.count_in(span)?;
    generator.set_packets_per_s(1_000.0)?;
    let until = Instant::now() + Duration::from_secs(20);
    while generator.sent()?.sent < 200 && Instant::now() < until {
        std::thread::yield_now();
    }
    drop(generator);
    let arrivals = sink.arrivals()?;
    assert!(arrivals.received >= 100 && arrivals.strange >= 100, "{arrivals:?}");
    assert!(arrivals.received.abs_diff(arrivals.strange) <= 1, "{arrivals:?}");

    // Nor is RTP what somebody takes it for who waits for SRTP.
    drop(sink);
    let mut sink = Sink::attach(pair.right(), 2, Expected::Srtp { tag_len: 10 })?;
    let mut generator = Generator::start(&plans[..1], &[pair.left()], None)?;
    let (sent, arrivals) = send(&mut generator, &mut [&mut sink], 1_000.0, 100)?;
    assert!(sent.sent >= 100, "{sent:?}");
    assert_eq!((arrivals[0].received, arrivals[0].strange), (0, sent.sent), "{arrivals:?}");

    let error = Generator::start(&plans, &[End { namespace: &pair.left, device: "nothing" }], None);
    assert!(error.is_err_and(|error| error.to_string().contains("find nothing")));
    Ok(())
}
