//! Which packets of a batch go through eight lanes together, and which one by one.
//!
//! Eight lanes take as long as their longest message, however many of them have work. So packets go by their numbers of blocks,
//! the most first, and the next eight go together if that is less work than one by one.

use super::backend::Backend;
use super::hmac::{MacJob, SHA1_BLOCK, Tail};
use super::x86::{Avx2, LANES, Lane, hmac_lanes};

/// Packets that are put in order together.
const SORTED_MAX: usize = 64;

/// The time of eight lanes for a block, in blocks of one message by SHA-NI, in tenths; measured, see benches/benches/srtp.rs.
const LANES_COST_SHA: usize = 45;
/// The same in blocks of one message by the portable form.
const LANES_COST_PORTABLE: usize = 20;

/// [`super::mac_batch`] where the CPU has AVX2.
pub(super) fn mac_batch(jobs: &mut [MacJob<'_>], backend: Backend, avx2: Avx2) {
    let cost = if backend.features.sha.is_some() { LANES_COST_SHA } else { LANES_COST_PORTABLE };
    for jobs in jobs.chunks_mut(SORTED_MAX) {
        let mut order = [(0, 0_u8); SORTED_MAX];
        let order = &mut order[..jobs.len()];
        for ((place, number), job) in order.iter_mut().zip(0..).zip(&*jobs) {
            *place = (blocks_of(job), number);
        }
        if !order.is_sorted_by(|a, b| a.0 >= b.0) {
            order.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        }
        let mut rest = &*order;
        while let Some(&(most, first)) = rest.first() {
            let together = &rest[..rest.len().min(LANES)];
            let one_by_one: usize = together.iter().map(|(blocks, _)| blocks * 10).sum();
            if most * cost < one_by_one {
                mac_together(jobs, together, avx2);
                rest = &rest[together.len()..];
            } else {
                let job = &mut jobs[usize::from(first)];
                job.tag = job.key.mac(job.message, job.suffix(), backend);
                rest = &rest[1..];
            }
        }
    }
}

/// Up to eight packets; a lane without one repeats the first.
fn mac_together(jobs: &mut [MacJob<'_>], numbers: &[(usize, u8)], avx2: Avx2) {
    let lanes: [Lane<'_>; LANES] = std::array::from_fn(|lane| {
        let (_, number) = numbers[if lane < numbers.len() { lane } else { 0 }];
        let job = &jobs[usize::from(number)];
        let (blocks, rest) = job.message.as_chunks();
        Lane { key: job.key, blocks, tail: Tail::new(rest, job.suffix(), job.message.len()) }
    });
    let tags = hmac_lanes(&lanes, avx2);
    for (&(_, number), tag) in numbers.iter().zip(tags) {
        jobs[usize::from(number)].tag = tag;
    }
}

/// Blocks of both runs.
fn blocks_of(job: &MacJob<'_>) -> usize {
    /// The byte that begins the padding, and the length.
    const PADDING: usize = 1 + size_of::<u64>();
    (job.message.len() + job.suffix().len() + PADDING).div_ceil(SHA1_BLOCK) + 1
}
