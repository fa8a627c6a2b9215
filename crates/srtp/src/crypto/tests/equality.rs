//! Every backend gives what the portable one gives, for any length, alignment and mixture.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::crypto::{AesKey, Backend, CtrJob, GcmKey, HmacSha1Key, MacJob, ctr_batch, mac_batch};

/// The most bytes of a packet.
const LEN_MAX: usize = 1500;
/// More packets than any backend takes at once.
const BATCH_MAX: usize = 70;

/// Bytes that begin anywhere in a line of the cache.
#[derive(Clone, Debug)]
struct Bytes {
    buffer: Vec<u8>,
    offset: usize,
}

impl Bytes {
    fn get(&self) -> &[u8] {
        &self.buffer[self.offset..]
    }

    fn get_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.offset..]
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    // Small packets are what there is most of.
    let len = prop_oneof![0..=LEN_MAX, 0..=300usize, Just(160), Just(172)];
    (0..64usize, len)
        .prop_flat_map(|(offset, len)| vec(any::<u8>(), offset + len).prop_map(move |buffer| Bytes { buffer, offset }))
}

fn aes_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 24), vec(any::<u8>(), 32)]
}

fn others() -> Vec<Backend> {
    let available = Backend::available();
    available.into_iter().filter(|&backend| backend != Backend::PORTABLE).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counter_mode_is_the_same(
        packets in vec((aes_key(), any::<[u8; 16]>(), bytes()), 0..BATCH_MAX),
    ) {
        let mut expected: Vec<Bytes> = packets.iter().map(|(_, _, data)| data.clone()).collect();
        for (data, (key, iv, _)) in expected.iter_mut().zip(&packets) {
            AesKey::new(key, Backend::PORTABLE).apply_ctr(*iv, data.get_mut());
        }
        for backend in others() {
            let keys: Vec<AesKey> = packets.iter().map(|(key, ..)| AesKey::new(key, backend)).collect();
            let mut batch = packets.clone();
            let mut jobs: Vec<CtrJob<'_>> = batch
                .iter_mut()
                .zip(&keys)
                .map(|((_, iv, data), key)| CtrJob { key, iv: *iv, data: data.get_mut() })
                .collect();
            ctr_batch(&mut jobs);
            for (number, (got, expected)) in batch.iter().zip(&expected).enumerate() {
                prop_assert_eq!(&got.2.buffer, &expected.buffer, "packet {} in a batch, {}", number, backend.name());
            }
            for ((_, iv, data), (key, expected)) in packets.iter().zip(keys.iter().zip(&expected)) {
                let mut data = data.clone();
                key.apply_ctr(*iv, data.get_mut());
                prop_assert_eq!(&data.buffer, &expected.buffer, "{}", backend.name());
            }
        }
    }

    #[test]
    fn one_block_is_the_same(key in aes_key(), block in any::<[u8; 16]>()) {
        let expected = AesKey::new(&key, Backend::PORTABLE).encrypt_block(block);
        for backend in others() {
            prop_assert_eq!(AesKey::new(&key, backend).encrypt_block(block), expected, "{}", backend.name());
        }
    }

    #[test]
    fn hmac_sha1_is_the_same(
        packets in vec((vec(any::<u8>(), 0..=64), any::<[u8; 4]>(), 0..=4usize, bytes()), 0..BATCH_MAX),
    ) {
        let keys: Vec<HmacSha1Key> = packets.iter().map(|(key, ..)| HmacSha1Key::new(key)).collect();
        let jobs = || -> Vec<MacJob<'_>> {
            let mut jobs = Vec::new();
            for ((_, suffix, suffix_len, message), key) in packets.iter().zip(&keys) {
                let message = message.get();
                jobs.push(MacJob { key, message, suffix: *suffix, suffix_len: *suffix_len, tag: [0; 20] });
            }
            jobs
        };
        let mut expected = jobs();
        mac_batch(&mut expected, Backend::PORTABLE);
        for backend in others() {
            let mut batch = jobs();
            mac_batch(&mut batch, backend);
            for (number, (got, expected)) in batch.iter().zip(&expected).enumerate() {
                prop_assert_eq!(got.tag, expected.tag, "packet {} in a batch, {}", number, backend.name());
                let one = got.key.mac(got.message, &got.suffix[..got.suffix_len], backend);
                prop_assert_eq!(one, expected.tag, "packet {}, {}", number, backend.name());
            }
        }
    }

    #[test]
    fn gcm_is_the_same(
        key in aes_key(),
        iv in any::<[u8; 12]>(),
        aad in vec(vec(any::<u8>(), 0..100), 0..3),
        data in bytes(),
    ) {
        let aad: Vec<&[u8]> = aad.iter().map(Vec::as_slice).collect();
        let portable = GcmKey::new(&key, Backend::PORTABLE);
        let tag = portable.tag(&iv, &aad, data.get());
        let mut expected = data.clone();
        portable.apply_ctr(&iv, expected.get_mut());
        for backend in others() {
            let key = GcmKey::new(&key, backend);
            prop_assert_eq!(key.tag(&iv, &aad, data.get()), tag, "{}", backend.name());
            let mut data = data.clone();
            key.apply_ctr(&iv, data.get_mut());
            prop_assert_eq!(&data.buffer, &expected.buffer, "{}", backend.name());
        }
    }
}
