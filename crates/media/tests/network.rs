//! What networks do to packets.

mod support;

use patchcord_codec::analysis::rms_dbfs;
use support::{G722, Heard, OPUS, OPUS_FEC, PCMA, PCMU, Random, Source, hum, speech, transcoder};

#[test]
fn lost_packets_leave_no_gap_and_nothing_out_of_time() {
    for seed in [1, 2, 3] {
        for percent in [5, 20, 40] {
            for (from, to) in [(PCMU, PCMA), (OPUS_FEC, PCMU), (G722, OPUS), (OPUS, G722)] {
                let mut source = Source::new(from, 16_000);
                let mut said = speech(source.rate());
                said.truncate(source.rate() as usize * 10);
                let packets = source.say_all(&said, 20);
                let mut random = Random(seed);
                // The first and the last three come, so that the end is the same.
                let last = packets.len() - 3;
                let come =
                    packets.iter().enumerate().filter(|&(at, _)| at == 0 || at >= last || !random.percent(percent));
                let come: Vec<_> = come.map(|(_, packet)| packet).collect();
                let mut transcoder = transcoder(&[from], &[to]);
                let heard = Heard::of(&mut transcoder, come.iter().copied());
                heard.check(to);
                let counts = transcoder.counts();
                let what = format!("seed {seed}, {percent} % from {from} to {to}: {counts:?}");
                let lost = packets.len() - come.len();
                assert_eq!(counts.lost, lost as u64, "{what}");
                assert!(counts.concealed + counts.recovered <= counts.lost, "{what}");
                assert!(counts.concealed + counts.recovered > counts.lost * 9 / 10, "{what}");
                assert_eq!(from == OPUS_FEC, counts.recovered > 0, "{what}");
                assert_eq!((counts.late, counts.restarts, counts.malformed), (0, 0, 0), "{what}");
                let (places, frame) = (heard.places(to), support::codec(to).clock_rate() / 50);
                assert_eq!(places.last(), Some(&(499 * frame)), "{what}");
                let longest = places.windows(2).map(|pair| pair[1] - pair[0]).max();
                assert!(longest <= Some(frame) || percent == 40, "{what}: {longest:?} units");
            }
        }
    }
}

#[test]
fn a_long_loss_is_not_filled() {
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    let packets: Vec<_> =
        (0..100).filter(|n| !(20..31).contains(n)).map(|n| hum(PCMU, n, u32::from(n) * 160, 1)).collect();
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!((transcoder.counts().lost, transcoder.counts().concealed), (11, 0));
    assert_eq!(heard.places(PCMA)[19..21], [19 * 160, 31 * 160]);
    assert_eq!(heard.markers(), [0, 20]);
}

#[test]
fn what_is_restored_is_nearer_to_what_was_said_than_what_is_made_up() {
    let said = speech(16_000);
    let loss = |number: u8| {
        let packets = Source::new(number, 16_000).say_all(&said[..160_000], 20);
        let whole = Heard::of(&mut transcoder(&[number], &[L16_LIKE]), &packets).audio(L16_LIKE, 16_000);
        let come = packets.iter().enumerate().filter(|(at, _)| at % 5 != 3).map(|(_, packet)| packet);
        let heard = Heard::of(&mut transcoder(&[number], &[L16_LIKE]), come).audio(L16_LIKE, 16_000);
        let noise: Vec<i16> = whole.iter().zip(&heard).map(|(&a, &b)| a.saturating_sub(b)).collect();
        rms_dbfs(&whole) - rms_dbfs(&noise)
    };
    let (restored, made_up) = (loss(OPUS_FEC), loss(OPUS));
    assert!(restored > made_up + 1.0, "{restored} dB with the correction, {made_up} dB without");
}

/// Adds no noise of its own worth speaking of.
const L16_LIKE: u8 = support::L16;

#[test]
fn packets_out_of_order_are_put_in_order() {
    let said = speech(8000);
    let packets = Source::new(PCMU, 8000).say_all(&said[..48_000], 20);
    let in_order = Heard::of(&mut transcoder(&[PCMU], &[PCMA]), &packets);
    for swap in [[1, 0, 2], [1, 2, 0], [0, 2, 1], [2, 1, 0], [2, 0, 1]] {
        // The first packet says where the order begins.
        let mixed: Vec<_> = packets[1..].chunks_exact(3).flat_map(|three| swap.map(|at| &three[at])).collect();
        let mut transcoder = transcoder(&[PCMU], &[PCMA]);
        let heard = Heard::of(&mut transcoder, [&packets[0]].into_iter().chain(mixed));
        assert_eq!(heard.packets[..], in_order.packets[..heard.packets.len()], "{swap:?}");
        let counts = transcoder.counts();
        assert_eq!((counts.lost, counts.late, counts.packets_in), (0, 0, counts.packets_out), "{swap:?}");
    }
}

#[test]
fn packets_that_are_too_late_or_come_twice_are_left_out() {
    let mut packets: Vec<_> = (0..50).map(|n| hum(PCMU, n, u32::from(n) * 160, 1)).collect();
    let late = packets.remove(10);
    packets.insert(20, late);
    for at in (0..packets.len()).rev() {
        packets.insert(at, packets[at].clone());
    }
    let mut transcoder = transcoder(&[PCMU], &[PCMA]);
    let heard = Heard::of(&mut transcoder, &packets);
    heard.check(PCMA);
    assert_eq!(heard.packets.len(), 50);
    let counts = transcoder.counts();
    assert_eq!((counts.duplicates, counts.late, counts.lost, counts.concealed), (50, 1, 1, 1));
}

#[test]
fn a_payload_that_is_none_is_concealed() {
    let mut source = Source::new(OPUS, 16_000);
    let mut packets = source.say_all(&speech(16_000)[..32_000], 20);
    packets[30].truncate(12);
    packets[30].extend([0xff; 3]);
    packets[60].truncate(12);
    let mut transcoder = transcoder(&[OPUS], &[PCMU]);
    let heard = Heard::of(&mut transcoder, &packets);
    assert_eq!(transcoder.counts().malformed, 1);
    assert_eq!(transcoder.counts().concealed, 1);
    // One is filled; an empty payload is a pause.
    assert_eq!(heard.packets.len(), 99);
    assert_eq!(heard.places(PCMU).last(), Some(&(99 * 160)));
    heard.check(PCMU);
}

#[test]
fn header_extensions_csrcs_and_padding_are_not_passed_on() {
    let mut plain = hum(PCMU, 1, 160, 1);
    let mut rich = vec![plain[0] | 0x32];
    rich.extend(&plain[1..12]);
    rich.extend([1, 2, 3, 4, 5, 6, 7, 8, 0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
    rich.extend(plain.drain(12..));
    rich.extend([0, 0, 3]);
    let heard = Heard::of(&mut transcoder(&[PCMU], &[PCMA]), [&hum(PCMU, 0, 0, 1), &rich]);
    assert_eq!(heard.packets[1].1, heard.packets[0].1);
}
