//! HMAC-SHA1 (RFC 2104, RFC 3711 4.2.1).

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::backend::Backend;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// Bytes of a block of SHA-1.
pub(super) const SHA1_BLOCK: usize = 64;
/// Bytes of its digest.
pub(super) const SHA1_LEN: usize = 20;
/// The most bytes that can follow a message.
const SUFFIX_MAX: usize = 8;
/// FIPS 180-4 5.3.1.
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// What SHA-1 carries from block to block.
pub(super) type State = [u32; 5];

/// The same as little-endian words, with room to a vector's size.
pub(super) type Midstate = [u8; 32];

/// A key of at most 64 bytes as what SHA-1 has become after the first block of each of its two runs: that saves two of six
/// blocks of a small packet. One line of the cache; overwritten when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(align(64))]
pub(crate) struct HmacSha1Key {
    pub(super) inner: Midstate,
    pub(super) outer: Midstate,
}

impl HmacSha1Key {
    /// # Panics
    /// If the key is longer than a block: SRTP has none that is.
    pub(crate) fn new(key: &[u8]) -> Self {
        let after = |pad: u8| {
            let mut block = [pad; SHA1_BLOCK];
            assert!(key.len() <= block.len(), "an HMAC key of {} bytes", key.len());
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = INITIAL;
            portable::sha1_compress(&mut state, &[block]);
            block.zeroize();
            let mut midstate = [0; size_of::<Midstate>()];
            for (bytes, word) in midstate.as_chunks_mut().0.iter_mut().zip(&mut state) {
                *bytes = word.to_le_bytes();
            }
            state.zeroize();
            midstate
        };
        Self { inner: after(0x36), outer: after(0x5c) }
    }

    /// Of a message and what follows it: SRTP's roll-over counter, which is authenticated but not sent (RFC 3711 4.2).
    pub(crate) fn mac(&self, message: &[u8], suffix: &[u8], backend: Backend) -> [u8; SHA1_LEN] {
        #[cfg(target_arch = "x86_64")]
        if let Some(sha) = backend.features.sha {
            return self.mac_by(message, suffix, |state, blocks| x86::compress(state, blocks, sha));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = backend;
        self.mac_by(message, suffix, portable::sha1_compress)
    }

    /// One packet by a compression function.
    #[inline]
    fn mac_by(
        &self,
        message: &[u8],
        suffix: &[u8],
        compress: impl Fn(&mut State, &[[u8; SHA1_BLOCK]]),
    ) -> [u8; SHA1_LEN] {
        let (blocks, rest) = message.as_chunks();
        let tail = Tail::new(rest, suffix, message.len());
        let mut inner = words(&self.inner);
        compress(&mut inner, blocks);
        compress(&mut inner, tail.blocks());
        let mut outer = words(&self.outer);
        compress(&mut outer, &[outer_block(&inner)]);
        to_bytes(&outer)
    }
}

fn words(midstate: &Midstate) -> State {
    let mut state = INITIAL;
    for (word, bytes) in state.iter_mut().zip(midstate.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    state
}

/// The only block that the outer run has after its key: the inner digest, padding and length.
fn outer_block(inner: &State) -> [u8; SHA1_BLOCK] {
    const BITS: u32 = ((SHA1_BLOCK + SHA1_LEN) * 8) as u32;
    let [a, b, c, d, e] = *inner;
    let mut block = [0; SHA1_BLOCK];
    let words = [a, b, c, d, e, 1 << 31, 0, 0, 0, 0, 0, 0, 0, 0, 0, BITS];
    for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
    block
}

fn to_bytes(state: &State) -> [u8; SHA1_LEN] {
    let mut bytes = [0; SHA1_LEN];
    for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *chunk = word.to_be_bytes();
    }
    bytes
}

/// The last one or two blocks of a message that follows a block of key: what is left over, padding and length.
pub(super) struct Tail {
    bytes: [[u8; SHA1_BLOCK]; 2],
    len: usize,
}

impl Tail {
    /// `rest` is what of a message of `message_len` bytes did not fill a block.
    #[inline]
    pub(super) fn new(rest: &[u8], suffix: &[u8], message_len: usize) -> Self {
        debug_assert!(rest.len() < SHA1_BLOCK && suffix.len() <= SUFFIX_MAX, "{} and {}", rest.len(), suffix.len());
        let mut tail = Self { bytes: [[0; SHA1_BLOCK]; 2], len: 1 };
        let used = rest.len() + suffix.len();
        let bytes = tail.bytes.as_flattened_mut();
        bytes[..rest.len()].copy_from_slice(rest);
        bytes[rest.len()..used].copy_from_slice(suffix);
        bytes[used] = 0x80;
        let bits = ((SHA1_BLOCK + message_len + suffix.len()) as u64) * 8;
        tail.len = (used + 1 + size_of_val(&bits)).div_ceil(SHA1_BLOCK);
        if let Some(length) = tail.bytes[tail.len - 1].last_chunk_mut() {
            *length = bits.to_be_bytes();
        }
        tail
    }

    pub(super) fn blocks(&self) -> &[[u8; SHA1_BLOCK]] {
        &self.bytes[..self.len]
    }

    /// A block by its number, or any that is there.
    #[inline]
    pub(super) fn block(&self, number: usize) -> &[u8; SHA1_BLOCK] {
        &self.bytes[number % 2]
    }
}

/// One packet's share of a [`mac_batch`].
pub(crate) struct MacJob<'a> {
    /// The packet's key.
    pub(crate) key: &'a HmacSha1Key,
    /// What is authenticated.
    pub(crate) message: &'a [u8],
    /// What follows it.
    pub(crate) suffix: [u8; 4],
    /// How much of that: 4 for SRTP, 0 for SRTCP.
    pub(crate) suffix_len: usize,
    /// The result; SRTP truncates it.
    pub(crate) tag: [u8; SHA1_LEN],
}

impl MacJob<'_> {
    pub(super) fn suffix(&self) -> &[u8] {
        &self.suffix[..self.suffix_len.min(self.suffix.len())]
    }
}

/// [`HmacSha1Key::mac`] for several packets.
pub(crate) fn mac_batch(jobs: &mut [MacJob<'_>], backend: Backend) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = backend.features.avx2 {
        return super::lanes::mac_batch(jobs, backend, avx2);
    }
    for job in jobs {
        job.tag = job.key.mac(job.message, job.suffix(), backend);
    }
}
