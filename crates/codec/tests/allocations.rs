//! Buffering, decoding, concealing, encoding, resampling, looking for keys and detection take nothing from the allocator once
//! they are warm, and beginning anew takes nothing either.

#![allow(unsafe_code, reason = "a counting allocator can only be written by implementing GlobalAlloc")]
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use patchcord_codec::codec::OpusParameters;
use patchcord_codec::comfort_noise::{ComfortNoise, NoiseGenerator};
use patchcord_codec::detect::Settings;
use patchcord_codec::dtmf::Detector;
use patchcord_codec::jitter_buffer::{Config, Packet};
use patchcord_codec::{Codec, Country, Decoder, Encoder, EncoderOptions, JitterBuffer, Law, Resampler};

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

/// The allocations of the second ten of twenty times.
fn when_warm(mut once: impl FnMut()) -> u64 {
    (0..10).for_each(|_| once());
    let before = CALLS.get();
    (0..10).for_each(|_| once());
    CALLS.get() - before
}

#[test]
fn a_warm_stream_allocates_nothing() {
    for codec in [
        Codec::G711(Law::Mu),
        Codec::G722,
        Codec::L16 { sample_rate: 48_000 },
        Codec::Opus(OpusParameters { fec: true, ..OpusParameters::default() }),
    ] {
        for &rate in codec.sample_rates() {
            let mut encoder = Encoder::new(codec, rate, EncoderOptions::default()).unwrap();
            let mut decoder = Decoder::new(codec, rate).unwrap();
            let mut resampler = Resampler::new(rate, 44_100).unwrap();
            let said: Vec<i16> = (0..rate as i32 / 50).map(|n| (n * n % 20_011) as i16).collect();
            let (mut packet, mut heard, mut resampled) = (Vec::new(), Vec::new(), Vec::new());
            let calls = when_warm(|| {
                packet.clear();
                heard.clear();
                resampled.clear();
                encoder.encode(&said, &mut packet).unwrap();
                decoder.decode(&packet, &mut heard).unwrap();
                decoder.conceal(said.len(), &mut heard);
                decoder.recover(&packet, said.len(), &mut heard);
                let _ = decoder.has_fec(&packet);
                resampler.process(&heard, &mut resampled);
                encoder.reset();
                decoder.reset();
            });
            assert_eq!(calls, 0, "{codec:?} at {rate}");
        }
    }
}

#[test]
fn a_warm_jitter_buffer_allocates_nothing() {
    let mut buffer = JitterBuffer::new(Config::new(8000));
    let mut sequence = 0_u16;
    let calls = when_warm(|| {
        for _ in 0..100 {
            // One in five comes a packet later, and one in seven not at all.
            let late = if sequence.is_multiple_of(5) { 25_000_000 } else { 0 };
            let arrival = u64::from(sequence) * 20_000_000 + late;
            if !sequence.is_multiple_of(7) {
                let packet = Packet { sequence, timestamp: u32::from(sequence) * 160, units: 160, payload: &[0; 160] };
                buffer.insert(&packet, arrival);
            }
            buffer.playout(arrival, false);
            sequence += 1;
        }
    });
    assert_eq!(calls, 0);
}

#[test]
fn looking_for_keys_and_making_noise_allocates_nothing() {
    let mut detector = Detector::new(8000).unwrap();
    let mut generator = NoiseGenerator::new(1);
    let (mut events, mut samples) = (Vec::new(), Vec::new());
    let calls = when_warm(|| {
        samples.clear();
        generator.update(&ComfortNoise::of(&samples, 10));
        generator.generate(160, &mut samples);
        detector.process(&samples, &mut events);
    });
    assert_eq!(calls, 0);
}

#[test]
fn detection_allocates_nothing_from_the_first_sample_on() {
    let ringing = Country::De.ringback().samples;
    let speech: Vec<i16> = (0..16_000_i32).map(|n| (n * (n % 90) * (n / 900 % 3) % 9001) as i16).collect();
    let mut detector = patchcord_codec::detect::Detector::new(&Settings::default());
    let mut told = 0;
    let before = CALLS.get();
    for samples in [&ringing, &speech, &ringing] {
        samples.chunks(37).for_each(|piece| detector.push(piece, &mut |_| told += 1));
        detector.answered();
    }
    detector.reset();
    assert_eq!(CALLS.get() - before, 0);
    assert!(told > 2, "{told} things were heard");
}
