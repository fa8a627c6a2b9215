//! What the engine takes from the allocator: nothing on the packet path, and little for each leg.

#![allow(unsafe_code, reason = "a counting allocator can only be written by implementing GlobalAlloc")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use patchcord_relay::command::{Command, DtmfHow, DtmfStep, EgressMode, IceCredentials, LegSpec, Source, Trigger};
use patchcord_relay::ids::{AssociationId, Component, LegId, PortId};
use patchcord_relay::media::Repeat;
use patchcord_relay::time::MonoTime;

use patchcord_relay::{Datagram, Shard, ShardConfig, Verdict};
use patchcord_rtp::NtpTime;
use patchcord_stun::{BINDING, Class, Key, MessageWriter, TransactionId};

use support::wire::Stream;
use support::{
    MS, WALLCLOCK_START, add, clip, codec, cut_over, hold, leg, on_first_packet_of, party, pcmu, play, rtcp, spec,
    stranger,
};

/// Worlds have an offload where a test gives them one.
const OFFLOADED: bool = false;

/// Passes everything on to the system's allocator and counts per thread, so that tests do not see each other.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// While a thread ends its counters are gone; nobody asks for them then.
fn count(calls: u64, bytes: i64) {
    let _ = CALLS.try_with(|count| count.set(count.get() + calls));
    let _ = LIVE_BYTES.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: every method hands its arguments on to the system's allocator unchanged and returns what that returns; the
// counters are plain cells of the thread, which allocate nothing and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller's obligations are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: `block` came from `alloc` or `realloc` above, which is to say from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: as for `dealloc`; the size is the caller's.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Calls of the allocator, frees left out, while `act` runs.
fn calls_of(act: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    act();
    CALLS.get() - before
}

/// A shard that is driven without the comforts of the test world, which allocate.
struct Bare {
    shard: Shard,
    now: MonoTime,
    buffer: [u8; 1500],
    forwarded: u64,
    made: u64,
}

impl Bare {
    fn with_legs(specs: Vec<LegSpec>) -> Self {
        let now = MonoTime::from_nanos(1_000_000 * MS);
        let mut shard = Shard::new(ShardConfig { legs_max: 64, seed: 1 });
        shard.set_wallclock(NtpTime::from_unix_nanos(WALLCLOCK_START), now);
        let mut bare = Self { shard, now, buffer: [0; 1500], forwarded: 0, made: 0 };
        let commands: Vec<_> = specs.into_iter().map(add).collect();
        bare.must(&commands);
        bare
    }

    fn must(&mut self, commands: &[Command]) {
        if let Err((index, refusal)) = self.shard.apply(commands, self.now) {
            panic!("command {index} was refused: {refusal}");
        }
    }

    fn send_from(&mut self, from: SocketAddr, leg: u64, packet: &[u8]) -> Verdict {
        self.buffer[..packet.len()].copy_from_slice(packet);
        let slot = self.shard.slot(LegId(leg)).expect("the leg exists");
        let port = PortId::new(slot, Component::Rtp);
        let mut batch = [Datagram::new(port, from, self.now, &mut self.buffer, packet.len())];
        let mut outputs = self.shard.ingress(&mut batch, self.now);
        self.made += outputs.transmits().len() as u64;
        assert!(outputs.events().count() < 100);
        drop(outputs);
        self.shard.sent(&batch, self.now.after_nanos(50_000));
        self.forwarded += u64::from(matches!(batch[0].verdict, Verdict::Forwarded(_)));
        batch[0].verdict
    }

    fn send(&mut self, leg: u64, packet: &[u8]) -> Verdict {
        self.send_from(party(leg), leg, packet)
    }

    /// Ticks at every deadline of so many milliseconds.
    fn pass(&mut self, ms: u64) {
        let end = self.now.after_nanos(ms * MS);
        while let Some(due) = self.shard.next_deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            let mut outputs = self.shard.tick(self.now);
            self.made += outputs.transmits().len() as u64;
            assert!(outputs.events().count() < 100);
        }
        self.now = self.now.max(end);
    }
}

/// Sends a thousand packets and counts the calls; everything that has to be warm is.
fn forwarding(bare: &mut Bare, from: u64, stream: &mut Stream) -> u64 {
    let packets = stream.packets(1_100);
    for packet in &packets[..100] {
        bare.send(from, packet);
        bare.now = bare.now.after_nanos(20 * MS);
    }
    let before = bare.forwarded;
    let calls = calls_of(|| {
        for packet in &packets[100..] {
            bare.send(from, packet);
            bare.now = bare.now.after_nanos(20 * MS);
        }
    });
    assert_eq!(bare.forwarded - before, 1_000);
    calls
}

#[test]
fn forwarding_bit_for_bit_allocates_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (2, leg(1))])]);
    assert_eq!(forwarding(&mut bare, 1, &mut Stream::of(1)), 0);
}

#[test]
fn forwarding_with_offsets_allocates_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2), spec(3)]);
    for source in [2, 3] {
        bare.must(&[cut_over(source, Trigger::Immediate, &[(1, leg(source))])]);
        assert_eq!(forwarding(&mut bare, source, &mut Stream::of(source)), 0);
    }
}

#[test]
fn forwarding_with_other_payload_types_allocates_nothing() {
    let other = LegSpec { codecs: vec![codec(96, "PCMU", 8000)], ..spec(2) };
    let mut bare = Bare::with_legs(vec![spec(1), other]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (2, leg(1))])]);
    assert_eq!(forwarding(&mut bare, 1, &mut Stream::of(1)), 0);
    let mut mapped = Stream { payload_type: 96, ..Stream::of(2) };
    assert_eq!(forwarding(&mut bare, 2, &mut mapped), 0);
}

#[test]
fn forwarding_to_two_listeners_allocates_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2), spec(3)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (3, leg(2))])]);
    assert_eq!(forwarding(&mut bare, 2, &mut Stream::of(2)), 0);
    assert_eq!(bare.made, 1_100, "one of the two is sent a copy");
}

#[test]
fn forwarding_in_every_mode_allocates_nothing() {
    for mode in [EgressMode::Continuity, EgressMode::NewSsrc, EgressMode::Transparent] {
        let mut bare = Bare::with_legs(vec![LegSpec { egress_mode: mode, ..spec(1) }, spec(2)]);
        bare.must(&[cut_over(1, Trigger::Immediate, &[(1, hold())])]);
        bare.pass(100);
        bare.must(&[cut_over(2, Trigger::Immediate, &[(1, leg(2))])]);
        assert_eq!(forwarding(&mut bare, 2, &mut Stream::of(2)), 0, "{mode:?}");
    }
}

#[test]
fn rtcp_allocates_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2), spec(3)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (2, leg(1))])]);
    let mut stream = Stream::of(2);
    for round in 0..2 {
        for packet in stream.packets(5) {
            bare.send(2, &packet);
        }
        bare.send(1, &Stream::of(1).packet());
        let mut compound = rtcp::sender_report_with(&stream, 9, 5, b"second@example", &[rtcp::block(0x5000_0001, 4)]);
        compound.extend_from_slice(&rtcp::nack(stream.ssrc, 0x5000_0001, &[(3, 5), (9, 1)]));
        compound.extend_from_slice(&rtcp::bye(stream.ssrc));
        let made = bare.made;
        let calls = calls_of(|| {
            for _ in 0..500 {
                assert_eq!(bare.send(2, &compound), Verdict::Consumed);
            }
        });
        assert_eq!((calls, bare.made - made), (0, 500), "round {round}");
        // The second round is after a cut-over: compounds are written anew.
        bare.must(&[cut_over(2, Trigger::Immediate, &[(1, hold())])]);
        bare.pass(100);
        bare.must(&[cut_over(3, Trigger::Immediate, &[(1, leg(2))])]);
    }
}

#[test]
fn ticks_of_players_allocate_nothing() {
    let mut bare = Bare::with_legs((1..=20).map(spec).collect());
    for id in 1..=20 {
        bare.must(&[cut_over(id, Trigger::Immediate, &[(id, hold())])]);
        bare.pass(3);
    }
    // The end of a prompt, and what waits for it, is the tick's business too.
    bare.must(&[cut_over(50, Trigger::Immediate, &[(1, play(clip(2, 40), Repeat::Times(2)))])]);
    bare.must(&[cut_over(51, Trigger::AfterPrompt { leg: LegId(1) }, &[(1, leg(2)), (2, hold())])]);
    let at = bare.now.after_nanos(700 * MS);
    bare.must(&[cut_over(52, Trigger::At(at), &[(3, leg(4)), (5, hold())])]);
    let made = bare.made;
    let calls = calls_of(|| bare.pass(20_000));
    assert_eq!(calls, 0);
    assert!(bare.made - made > 17_000, "{} frames and reports", bare.made - made);
    assert_eq!(bare.shard.leg(LegId(3), bare.now).and_then(|leg| leg.pending), None);
}

#[test]
fn key_presses_allocate_nothing_once_they_are_commanded() {
    let with = |event, how| DtmfStep::Key { event, volume: 10, duration_ms: 100, pause_ms: 40, how };
    let key = |event| with(event, DtmfHow::Event);
    let frames = clip(1, 5);
    let tone = |event| with(event, DtmfHow::Tone(frames.clone()));
    for mode in [EgressMode::Continuity, EgressMode::NewSsrc, EgressMode::Transparent] {
        let mut bare = Bare::with_legs(vec![LegSpec { egress_mode: mode, ..spec(1) }, spec(2), spec(3)]);
        bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (3, hold())])]);
        bare.must(&[cut_over(2, on_first_packet_of(3), &[(1, leg(3))])]);
        let packets = Stream::of(2).packets(200);
        for packet in &packets[..100] {
            bare.send(2, packet);
        }
        let target = Stream::of(3).packet();
        for leg in [1, 3] {
            let pause = DtmfStep::Pause { ms: 300 };
            let steps = vec![key(1), tone(1), key(1), key(3), pause, tone(2), key(2), key(2)];
            bare.must(&[Command::SendDtmf { leg: LegId(leg), steps }]);
        }
        let made = bare.made;
        let calls = calls_of(|| {
            for packet in &packets[100..150] {
                bare.send(2, packet);
                bare.pass(20);
            }
            // In the middle of a key, perhaps: that comes up first.
            bare.send(3, &target);
            bare.pass(2_000);
        });
        assert_eq!(calls, 0, "{mode:?}");
        assert!(bare.made - made > 2 * 6 * 7, "{} packets", bare.made - made);
    }
}

#[test]
fn media_timeouts_allocate_nothing() {
    let watched = |id| LegSpec { media_timeout: Some(Duration::from_secs(1)), ..spec(id) };
    let mut bare = Bare::with_legs((1..=20).map(watched).collect());
    assert_eq!(calls_of(|| bare.pass(5_000)), 0);
}

#[test]
fn triggered_cut_over_allocates_nothing_when_it_happens() {
    let mut bare = Bare::with_legs((1..=5).map(spec).collect());
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (2, leg(1)), (4, leg(1)), (5, hold())])]);
    let (mut survivor, mut target) = (Stream::of(1), Stream::of(3));
    for packet in survivor.packets(5) {
        bare.send(1, &packet);
    }
    // Later cut-overs supersede what could have been undone before: that is freed here too.
    for id in 2..20 {
        let swap = [(1, leg(3)), (3, leg(1)), (2, hold()), (4, leg(3)), (5, Source::Silence)];
        bare.must(&[cut_over(id, on_first_packet_of(3), &swap)]);
        let first = target.packet();
        let calls = calls_of(|| {
            assert!(matches!(bare.send(3, &first), Verdict::Forwarded(_)));
        });
        assert_eq!(calls, 0);
        assert_eq!(bare.shard.leg(LegId(1), bare.now).and_then(|leg| leg.pending), None, "it has happened");
        let back = [(1, leg(2)), (2, leg(1)), (4, leg(1)), (5, hold())];
        bare.must(&[cut_over(id + 100, Trigger::Immediate, &back)]);
        bare.pass(50);
        target.skip(2);
    }
}

#[test]
fn change_of_ssrc_restart_and_relatch_allocate_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2))])]);
    let gate = patchcord_relay::command::RelatchGate::Packets(2);
    bare.must(&[Command::Relatch { leg: LegId(2), gate }]);
    let stream = Stream::of(2);
    let mut packets = stream.clone().packets(3);
    packets.extend(stream.clone().under(0xabcd).packets(3));
    packets.extend(stream.clone().under(0xabcd).numbered(60_000, 7).packets(3));
    let calls = calls_of(|| {
        for packet in &packets {
            bare.send(2, packet);
        }
        bare.now = bare.now.after_nanos(500 * MS);
        for packet in &packets[6..] {
            bare.send_from(stranger(1), 2, packet);
        }
    });
    assert_eq!(calls, 0);
    assert_eq!(bare.shard.leg(LegId(2), bare.now).and_then(|leg| leg.remote_rtp), Some(stranger(1)));
}

#[test]
fn drops_allocate_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2), spec(3)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2))])]);
    bare.must(&[Command::SetMuted { leg: LegId(3), muted: true }]);
    let mut stream = Stream::of(2);
    let packets = stream.packets(100);
    for packet in &packets {
        bare.send(2, packet);
    }
    let (media, muted) = (Stream::of(1).packet(), Stream::of(3).packet());
    let garbage: [&[u8]; 6] = [&[], &[0x80, 0], &[0xff; 99], &[0x80, 200, 0, 9], b"\x16\xfe\xff", &[0x8f; 13]];
    let forwarded = bare.forwarded;
    let calls = calls_of(|| {
        for round in 0..100 {
            bare.send(2, &packets[round]);
            bare.send(1, &media);
            bare.send(3, &muted);
            bare.send_from(stranger(1), 2, &packets[99]);
            for bytes in garbage {
                bare.send(2, bytes);
            }
        }
    });
    assert_eq!((calls, bare.forwarded), (0, forwarded));
    assert_eq!(bare.shard.worker().drops.total(), 1_000);
}

/// A request as a party's agent sends it, which nominates.
fn check(pwd: &str) -> Vec<u8> {
    let mut room = [0; 200];
    let mut writer =
        MessageWriter::new(&mut room, Class::Request, BINDING, TransactionId([1; 12])).expect("there is room");
    let mut write = || {
        writer.username("ours:them")?;
        writer.use_candidate()?;
        writer.integrity(&Key::new(pwd.as_bytes()))?;
        writer.fingerprint()
    };
    write().expect("there is room");
    let len = writer.finish();
    room[..len].to_vec()
}

#[test]
fn checks_of_ice_allocate_nothing() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2)), (2, leg(1))])]);
    let pwd = "0123456789abcdefghijkl";
    let ice = IceCredentials { local_ufrag: "ours".into(), local_pwd: pwd.into(), remote_ufrag: Some("them".into()) };
    bare.must(&[Command::SetIce { leg: LegId(1), ice: Some(ice) }]);
    let (right, wrong) = (check(pwd), check("another password than that"));
    let mut stream = Stream::of(1);
    let packets = stream.packets(200);
    let calls = calls_of(|| {
        for (number, packet) in packets.iter().enumerate() {
            // From one address after the other, so that each nomination is news.
            let from = stranger(number as u8 % 7);
            assert_eq!(bare.send_from(from, 1, &right), Verdict::Consumed);
            assert!(matches!(bare.send_from(stranger(9), 1, &wrong), Verdict::Dropped(_)));
            assert!(matches!(bare.send_from(from, 1, packet), Verdict::Forwarded(_)));
        }
    });
    assert_eq!((calls, bare.made), (0, 400), "two answers to each two checks");
}

#[test]
fn handshakes_are_handed_out_without_allocating() {
    let mut bare = Bare::with_legs(vec![spec(1)]);
    bare.must(&[Command::SetDtls { leg: LegId(1), association: Some(AssociationId(1)) }]);
    let record = [22; 200];
    let calls = calls_of(|| {
        for number in 0..200 {
            let verdict = bare.send_from(party(1), 1, &record);
            assert_eq!(verdict == Verdict::Consumed, number < 64, "what is too much is dropped");
        }
    });
    assert_eq!(calls, 0);
}

#[test]
fn what_is_transcoded_is_handed_out_and_taken_without_allocating() {
    let mut opus = spec(2);
    opus.codecs = vec![codec(96, "opus", 48_000)];
    let mut bare = Bare::with_legs(vec![spec(1), opus]);
    bare.shard.set_transcoder(|codec| !codec.is_telephone_event());
    let bridge = [cut_over(1, Trigger::Immediate, &[(1, leg(2))])];
    let mut outputs = bare.shard.apply(&bridge, bare.now).expect("they can be transcoded");
    let begun = outputs.hand_outs().find_map(|one| match one {
        patchcord_relay::HandOut::Transcode(transcoding) => Some(transcoding.id),
        _ => None,
    });
    drop(outputs);
    let id = begun.expect("it begins with the bridge");
    let sent = Stream { payload_type: 96, ..Stream::of(2) }.packets(1_100);
    let made = Stream::of(2).under(77).packets(1_100);
    let mut heard = 0;
    let mut relay = |range: core::ops::Range<usize>| {
        for (sent, made) in sent[range.clone()].iter().zip(&made[range]) {
            assert_eq!(bare.send(2, sent), Verdict::Consumed);
            let outputs = bare.shard.made([(id, made)], bare.now);
            heard += outputs.transmits().len();
            drop(outputs);
            bare.now = bare.now.after_nanos(20 * MS);
        }
    };
    relay(0..100);
    assert_eq!(calls_of(|| relay(100..1_100)), 0);
    assert_eq!(heard, 1_100);
}

#[test]
fn a_source_that_is_transcoded_now_and_then_is_so_without_allocating() {
    let mut both = spec(2);
    both.codecs = vec![codec(8, "PCMA", 8000), codec(0, "PCMU", 8000)];
    let mut bare = Bare::with_legs(vec![spec(1), both]);
    bare.shard.set_transcoder(|codec| !codec.is_telephone_event());
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2))])]);
    let mut sent = Stream::of(2);
    let packets: Vec<_> = (0..1_100_u32)
        .map(|number| {
            sent.payload_type = if number % 4 < 2 { 0 } else { 8 };
            sent.packet()
        })
        .collect();
    let made = Stream::of(2).under(77).packets(1_100);
    let mut heard = 0;
    let mut relay = |range: core::ops::Range<usize>| {
        for (sent, made) in packets[range.clone()].iter().zip(&made[range]) {
            bare.buffer[..sent.len()].copy_from_slice(sent);
            let slot = bare.shard.slot(LegId(2)).expect("the leg exists");
            let port = PortId::new(slot, Component::Rtp);
            let mut batch = [Datagram::new(port, party(2), bare.now, &mut bare.buffer, sent.len())];
            let mut outputs = bare.shard.ingress(&mut batch, bare.now);
            let is_packet = |one| match one {
                patchcord_relay::HandOut::Packet { id, .. } => Some(id),
                _ => None,
            };
            let name = outputs.hand_outs().find_map(is_packet);
            heard += outputs.transmits().len();
            drop(outputs);
            bare.shard.sent(&batch, bare.now);
            heard += usize::from(matches!(batch[0].verdict, Verdict::Forwarded(_)));
            if let Some(name) = name {
                let outputs = bare.shard.made([(name, made)], bare.now);
                heard += outputs.transmits().len();
            }
            bare.now = bare.now.after_nanos(20 * MS);
        }
    };
    relay(0..100);
    assert_eq!(calls_of(|| relay(100..1_100)), 0);
    assert_eq!(heard, 1_100);
}

#[test]
fn statistics_are_kept_without_allocating_and_given_with_little() {
    let mut bare = Bare::with_legs(vec![spec(1), spec(2)]);
    bare.must(&[cut_over(1, Trigger::Immediate, &[(1, leg(2))])]);
    forwarding(&mut bare, 2, &mut Stream::of(2));
    assert_eq!(calls_of(|| drop(bare.shard.leg(LegId(1), bare.now))), 0);
    let worker = bare.shard.worker();
    assert_eq!(worker.latency.count, 1_100);
    assert!(calls_of(|| drop(bare.shard.worker())) <= 2);
}

#[test]
fn audio_is_there_once_however_many_legs_play_it() {
    let mut bare = Bare::with_legs((1..=20).map(spec).collect());
    let before = LIVE_BYTES.get();
    let long = clip(1, 50_000);
    let once = LIVE_BYTES.get() - before;
    for id in 1..=20 {
        bare.must(&[cut_over(id, Trigger::Immediate, &[(id, play(long.clone(), Repeat::Forever))])]);
    }
    bare.pass(1_000);
    let all = LIVE_BYTES.get() - before;
    assert!(once > 1_000_000 && all < once + 50_000, "{once} bytes once, {all} for 20 legs");
}

/// What a leg may take in the engine, all shares of tables included.
const BYTES_A_LEG_MAX: i64 = 2_560;

#[test]
fn leg_takes_at_most_two_and_a_half_kibibytes() {
    const LEGS: u64 = 20_000;
    let address = |leg: u64, host: u8| {
        let [_, _, high, low] = (leg as u32).to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, host, high, low)), 4000)
    };
    let now = MonoTime::from_nanos(1_000_000 * MS);
    let before = LIVE_BYTES.get();
    let mut shard = Shard::new(ShardConfig { legs_max: LEGS as u32, seed: 1 });
    let empty = LIVE_BYTES.get() - before;
    for id in (1..=LEGS).step_by(2) {
        let spec = |id| LegSpec {
            id: LegId(id),
            local_rtp: address(id, 1),
            remote_rtp: Some(address(id, 2)),
            codecs: pcmu(),
            ..spec(1)
        };
        let bridge = cut_over(id, Trigger::Immediate, &[(id, leg(id + 1)), (id + 1, leg(id))]);
        let done = shard.apply(&[add(spec(id)), add(spec(id + 1)), bridge], now).is_ok();
        assert!(done, "there is room for {LEGS} legs");
        // Every tenth call is on hold: players and what could be undone count too.
        if id % 20 == 1 {
            let held = cut_over(LEGS + id, Trigger::Immediate, &[(id, hold()), (id + 1, Source::Silence)]);
            assert!(shard.apply(&[held], now).is_ok());
        }
    }
    let live = LIVE_BYTES.get() - before;
    let a_leg = live / LEGS as i64;
    assert!(a_leg <= BYTES_A_LEG_MAX, "{a_leg} bytes a leg; the empty shard takes {empty}");
    assert!(a_leg > 500, "{a_leg} bytes a leg cannot be: the counter is broken");
    // What was taken is given back.
    for id in 1..=LEGS {
        assert!(shard.apply(&[Command::RemoveLeg { leg: LegId(id) }], now).is_ok());
    }
    let rest = LIVE_BYTES.get() - before - empty;
    assert!(rest < empty / 20 + 200_000, "{rest} bytes are left of legs that are gone");
    drop(shard);
    assert!(LIVE_BYTES.get() - before < 1_000, "{} bytes have leaked", LIVE_BYTES.get() - before);
}
