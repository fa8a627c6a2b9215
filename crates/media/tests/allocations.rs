//! A warm transcoder, and a warm mixer, take nothing from the allocator, with or without losses.

#![allow(unsafe_code, reason = "a counting allocator can only be written by implementing GlobalAlloc")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use patchcord_codec::dtmf::{self, Digit};
use patchcord_media::{Mixer, Prompt, TICK};
use support::{Announcement, EVENT, EVENT_48, G722, L16, OPUS, OPUS_FEC, PCMA, PCMU, Source, format, packet, speech};

/// Passes everything on to the system's allocator and counts per thread, so that tests do not see each other.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// While a thread ends its counter is gone; nobody asks for it then.
fn count() {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every method hands its arguments on to the system's allocator unchanged and returns what that returns; the
// counter is a plain cell of the thread, which allocates nothing and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's obligations are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `alloc` or `realloc` of this allocator, which is to say from the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`, and the caller's obligations are those of the system's allocator.
        unsafe { System.realloc(block, layout, len) }
    }
}

#[test]
fn a_warm_transcoder_allocates_nothing() {
    for (from, to) in
        [(PCMU, PCMA), (PCMU, OPUS), (OPUS_FEC, PCMU), (G722, PCMA), (OPUS, G722), (L16, OPUS), (PCMA, L16)]
    {
        let mut source = Source::new(from, 16_000);
        let said = speech(source.rate());
        let mut packets = Vec::new();
        for (second, said) in said.chunks_exact(source.rate() as usize).take(8).enumerate() {
            packets.extend(source.say_all(said, if second % 2 == 0 { 20 } else { 40 }));
            let event = packet(true, EVENT, source.sequence, source.timestamp, source.ssrc, &[5, 10, 0, 160]);
            packets.push(event);
            source.sequence = source.sequence.wrapping_add(1);
            // A pause.
            source.timestamp = source.timestamp.wrapping_add(support::codec(from).clock_rate());
        }
        // Who knows no events hears tones.
        let to = if from == PCMU { vec![to] } else { vec![to, EVENT, EVENT_48] };
        let mut transcoder = support::transcoder(&[from, EVENT], &to);
        let mut made = 0_u64;
        let mut run = |packets: &[Vec<u8>]| {
            for (at, packet) in packets.iter().enumerate() {
                // One in ten is lost, one comes late, and two in a row are lost now and then.
                if at % 10 != 3 && at % 40 != 4 {
                    transcoder.push(packet, &mut |_, payload| made += payload.len() as u64);
                }
                if at % 10 == 5 {
                    transcoder.push(&packets[at - 2], &mut |_, payload| made += payload.len() as u64);
                }
            }
        };
        let half = packets.len() / 2;
        run(&packets[..half]);
        let before = CALLS.get();
        run(&packets[half..]);
        assert_eq!(CALLS.get() - before, 0, "{from} to {to:?}");
        let counts = transcoder.counts();
        assert!(
            made > 0 && counts.concealed + counts.recovered > 5 && counts.events_out + counts.keys_sounded > 4,
            "{counts:?}"
        );
        assert_eq!(counts.restarts, 0);
    }
}

#[test]
fn whoever_listens_for_tones_allocates_nothing() {
    let mut source = Source::new(PCMU, 8000);
    let mut samples = Vec::new();
    for said in speech(8000).chunks_exact(1600).take(20) {
        samples.extend(said);
        samples.extend(dtmf::samples(Digit::from_char('5').expect("a key"), -10.0, 100, 8000));
        samples.extend([0; 800]);
    }
    let packets = source.say_all(&samples, 20);
    let mut transcoder = support::transcoder(&[PCMU], &[PCMA, EVENT]);
    let mut made = 0;
    let mut run = |packets: &[Vec<u8>]| {
        packets.iter().for_each(|packet| transcoder.push(packet, &mut |_, payload| made += payload.len()));
    };
    run(&packets[..packets.len() / 2]);
    let before = CALLS.get();
    run(&packets[packets.len() / 2..]);
    assert_eq!(CALLS.get() - before, 0);
    assert_eq!((transcoder.counts().keys_told, made > 0), (20, true));
}

#[test]
fn a_warm_mixer_allocates_nothing() {
    let numbers = [PCMU, OPUS_FEC, G722, L16];
    let mut mixer: Mixer<usize, usize> = Mixer::new();
    let mut packets = Vec::new();
    for (name, &number) in numbers.iter().enumerate() {
        mixer.set_voice(name, &[format(number)]);
        let others = (0..numbers.len()).filter(|&other| other != name).map(|other| (other, -3));
        mixer.listen(name, &[format(number)], others, 1).expect("each can be encoded");
        let said = Announcement::of(number, 20, u64::MAX, speech);
        let prompt = Prompt::new(support::codec(number), 20, Box::new(said), -6);
        mixer.overlay(name, prompt.expect("a decoder"));
        let mut source = Source::new(number, 16_000);
        let said = speech(source.rate());
        packets.push(source.say_all(&said, 20));
    }
    let (mut now, mut made) = (1_000_000_000, 0);
    let mut run = |range: std::ops::Range<usize>| {
        for at in range {
            for (name, packets) in packets.iter().enumerate() {
                // One in ten is lost.
                if at % 10 != name {
                    mixer.push(name, &packets[at % packets.len()], now, &mut |_, _| {});
                }
            }
            mixer.tick(now, &mut |_, _, payload| made += payload.len(), &mut |_, _| {});
            now += TICK.as_nanos() as u64;
        }
    };
    run(0..200);
    let before = CALLS.get();
    run(200..390);
    assert_eq!(CALLS.get() - before, 0);
    assert!(made > 0);
}
