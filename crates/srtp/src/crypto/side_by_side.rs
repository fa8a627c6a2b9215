//! Which packets of a batch have their HMACs worked out side by side.
//!
//! Messages that go side by side should have equally many blocks, so packets are taken by their numbers of blocks, the most
//! first. Where the CPU has instructions for SHA-1, three or four streams of them are faster than eight lanes of AVX2 (27 ns a
//! block against 30 to 50, on Zen 3); where it has not, the lanes are.

use std::cmp::Reverse;

use super::backend::Backend;
use super::hmac::{MacJob, Message, SHA1_BLOCK, SHA1_LEN, Tail};
use super::x86::{Avx2, LANES, STREAMS_MAX, ShaNi, hmac_lanes, hmac_streams, prefetch};

/// Packets that are put in order together.
const SORTED_MAX: usize = 64;
/// A packet's number of blocks, and its place among the jobs.
type Place = (usize, u8);

/// Those packets of a batch that a backend has something for; `false` if it has not.
pub(super) fn mac_batch(jobs: &mut [MacJob<'_>], backend: Backend) -> bool {
    let features = backend.features;
    if let Some(sha) = features.sha {
        in_order(jobs, |jobs, order| in_streams(jobs, order, sha));
    } else if let Some(avx2) = features.avx2 {
        in_order(jobs, |jobs, order| in_lanes(jobs, order, backend, avx2));
    } else {
        return false;
    }
    true
}

fn in_order(jobs: &mut [MacJob<'_>], mut work: impl FnMut(&mut [MacJob<'_>], &[Place])) {
    for jobs in jobs.chunks_mut(SORTED_MAX) {
        let mut order = [(0, 0); SORTED_MAX];
        let order = &mut order[..jobs.len()];
        for ((place, number), job) in order.iter_mut().zip(0..).zip(&*jobs) {
            *place = (blocks_of(job), number);
            prefetch(job.key, 0);
        }
        // Mostly all packets are of one size.
        if !order.is_sorted_by(|a, b| a.0 >= b.0) {
            order.sort_unstable_by_key(|&(blocks, _)| Reverse(blocks));
        }
        work(jobs, order);
    }
}

/// Blocks of both runs.
fn blocks_of(job: &MacJob<'_>) -> usize {
    /// The byte that begins the padding, and the length.
    const PADDING: usize = 1 + size_of::<u64>();
    (job.message.len() + job.suffix().len() + PADDING).div_ceil(SHA1_BLOCK) + 1
}

/// By threes and fours, so that none is left alone.
fn in_streams(jobs: &mut [MacJob<'_>], order: &[Place], sha: ShaNi) {
    let mut tails = [Tail::EMPTY; STREAMS_MAX];
    let mut rest = order;
    while !rest.is_empty() {
        let width = match rest.len() {
            few @ ..=STREAMS_MAX => few,
            5 => 3,
            many if many % 3 == 0 => 3,
            _ => STREAMS_MAX,
        };
        let (now, later) = rest.split_at(width);
        for (tail, &(_, number)) in tails.iter_mut().zip(now) {
            let job = &jobs[usize::from(number)];
            tail.fill(job.message, job.suffix());
        }
        let message = |at: usize| message_of(jobs, now[at], &tails[at]);
        match width {
            1 => give(hmac_streams([message(0)], sha), jobs, now),
            2 => give(hmac_streams([message(0), message(1)], sha), jobs, now),
            3 => give(hmac_streams([message(0), message(1), message(2)], sha), jobs, now),
            _ => give(hmac_streams([message(0), message(1), message(2), message(3)], sha), jobs, now),
        }
        rest = later;
    }
}

#[inline]
fn message_of<'a>(jobs: &'a [MacJob<'_>], (_, number): Place, tail: &'a Tail) -> Message<'a> {
    let job = &jobs[usize::from(number)];
    Message::new(job.key, job.message, tail)
}

fn give<const N: usize>(tags: [[u8; SHA1_LEN]; N], jobs: &mut [MacJob<'_>], places: &[Place]) {
    for (&(_, number), tag) in places.iter().zip(tags) {
        jobs[usize::from(number)].tag = tag;
    }
}

/// Eight lanes take as long as their longest message, however many of them have work: the next eight go together if that is
/// less than one by one.
fn in_lanes(jobs: &mut [MacJob<'_>], order: &[Place], backend: Backend, avx2: Avx2) {
    /// The time of eight lanes for a block, in blocks of one message by the portable form.
    const LANES_COST: usize = 2;
    let mut tails = [Tail::EMPTY; LANES];
    let mut rest = order;
    while let Some(&(most, first)) = rest.first() {
        let now = &rest[..rest.len().min(LANES)];
        let one_by_one: usize = now.iter().map(|(blocks, _)| blocks).sum();
        if most * LANES_COST < one_by_one {
            for (tail, &(_, number)) in tails.iter_mut().zip(now) {
                let job = &jobs[usize::from(number)];
                tail.fill(job.message, job.suffix());
            }
            // A lane without a packet repeats the first.
            let messages = std::array::from_fn(|lane| {
                let lane = if lane < now.len() { lane } else { 0 };
                message_of(jobs, now[lane], &tails[lane])
            });
            give(hmac_lanes(&messages, avx2), jobs, now);
            rest = &rest[now.len()..];
        } else {
            let job = &mut jobs[usize::from(first)];
            job.tag = job.key.mac(job.message, job.suffix(), backend);
            rest = &rest[1..];
        }
    }
}
