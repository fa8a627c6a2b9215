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
/// The length that the outer run ends with.
pub(super) const OUTER_BITS: u32 = ((SHA1_BLOCK + SHA1_LEN) * 8) as u32;
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
            let mut tail = Tail::EMPTY;
            tail.fill(message, suffix);
            let [tag] = x86::hmac_streams([Message::new(self, message, &tail)], sha);
            return tag;
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = backend;
        self.mac_portable(message, suffix)
    }

    fn mac_portable(&self, message: &[u8], suffix: &[u8]) -> [u8; SHA1_LEN] {
        let mut tail = Tail::EMPTY;
        tail.fill(message, suffix);
        let mut inner = words(&self.inner);
        portable::sha1_compress(&mut inner, message.as_chunks().0);
        portable::sha1_compress(&mut inner, tail.blocks());
        let mut outer = words(&self.outer);
        portable::sha1_compress(&mut outer, &[outer_block(&inner)]);
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
    let [a, b, c, d, e] = *inner;
    let mut block = [0; SHA1_BLOCK];
    let words = [a, b, c, d, e, 1 << 31, 0, 0, 0, 0, 0, 0, 0, 0, 0, OUTER_BITS];
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

/// The last one or two blocks of a message that follows a block of key: what fills no block, padding and length.
///
/// All that is copied has a length that the compiler knows: a call for each of these few bytes would cost as much as the half
/// of a block of SHA-1.
pub(super) struct Tail {
    /// The message's last 64 bytes lie so that those which belong here begin at the second block.
    bytes: [u8; 4 * SHA1_BLOCK],
    len: usize,
}

impl Tail {
    pub(super) const EMPTY: Self = Self { bytes: [0; 4 * SHA1_BLOCK], len: 0 };

    #[inline]
    pub(super) fn fill(&mut self, message: &[u8], suffix: &[u8]) {
        debug_assert!(suffix.len() <= SUFFIX_MAX, "{} bytes after the message", suffix.len());
        let begin = message.len() % SHA1_BLOCK;
        let end = begin + SHA1_BLOCK;
        if let Some(last) = message.last_chunk::<SHA1_BLOCK>() {
            self.bytes[begin..end].copy_from_slice(last);
        } else {
            self.bytes[SHA1_BLOCK..end].copy_from_slice(message);
        }
        self.bytes[end..end + 2 * SHA1_BLOCK].copy_from_slice(&[0; 2 * SHA1_BLOCK]);
        if let Ok(suffix) = <[u8; 4]>::try_from(suffix) {
            self.bytes[end..end + 4].copy_from_slice(&suffix);
        } else {
            self.bytes[end..end + suffix.len()].copy_from_slice(suffix);
        }
        self.bytes[end + suffix.len()] = 0x80;
        let bits = ((SHA1_BLOCK + message.len() + suffix.len()) as u64) * 8;
        self.len = (begin + suffix.len() + 1 + size_of_val(&bits)).div_ceil(SHA1_BLOCK);
        let end = (1 + self.len) * SHA1_BLOCK;
        self.bytes[end - size_of_val(&bits)..end].copy_from_slice(&bits.to_be_bytes());
    }

    #[inline]
    pub(super) fn blocks(&self) -> &[[u8; SHA1_BLOCK]] {
        &self.bytes.as_chunks().0[1..=self.len]
    }
}

/// A message in blocks.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) key: &'a HmacSha1Key,
    /// Those that it fills.
    whole: &'a [[u8; SHA1_BLOCK]],
    /// Those that come after them.
    tail: &'a [[u8; SHA1_BLOCK]],
}

#[cfg(target_arch = "x86_64")]
impl<'a> Message<'a> {
    #[inline]
    pub(super) fn new(key: &'a HmacSha1Key, message: &'a [u8], tail: &'a Tail) -> Self {
        Self { key, whole: message.as_chunks().0, tail: tail.blocks() }
    }

    /// Blocks of the inner run.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.whole.len() + self.tail.len()
    }

    /// A block of the inner run; the first of the tail where it is past the end.
    #[inline]
    pub(super) fn block(&self, number: usize) -> &'a [u8; SHA1_BLOCK] {
        self.whole.get(number).or_else(|| self.tail.get(number - self.whole.len())).unwrap_or(&self.tail[0])
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
    if super::side_by_side::mac_batch(jobs, backend) {
        return;
    }
    for job in jobs {
        job.tag = job.key.mac(job.message, job.suffix(), backend);
    }
}
