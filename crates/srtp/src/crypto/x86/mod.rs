//! The vector units of x86-64. All unsafe code of the crate is here.
//!
//! What needs an instruction set takes the proof that this CPU has it ([`features`]) and is otherwise safe to call; inside, a
//! function that has `target_feature` calls the intrinsics, and [`memory`] alone touches raw pointers.

#![allow(unsafe_code, reason = "an instruction set is entered, and vectors are read and written, by unsafe code only")]

mod aes;
mod features;
mod ghash;
mod memory;
mod sha_lanes;
mod sha_ni;

pub(super) use aes::Aes;
pub(super) use features::{Avx2, Features, ShaNi};
pub(super) use ghash::Ghash;
pub(super) use memory::prefetch;
pub(super) use sha_lanes::{LANES, hmac_lanes};
pub(super) use sha_ni::{STREAMS_MAX, hmac_streams};
