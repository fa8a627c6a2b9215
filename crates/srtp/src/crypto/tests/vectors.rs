//! What the standards say must come out.

use super::hex;
use crate::crypto::{AesKey, Backend, CtrJob, GcmKey, HmacSha1Key, MacJob, apply_f8, ctr_batch, mac_batch};

fn block(digits: &str) -> [u8; 16] {
    hex(digits).try_into().expect("a block of digits")
}

#[test]
fn aes_of_fips_197() {
    let plain = block("00112233445566778899aabbccddeeff");
    let key = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    for backend in Backend::available() {
        for (len, cipher) in [
            (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
            (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
            (32, "8ea2b7ca516745bfeafc49904b496089"),
        ] {
            let encrypted = AesKey::new(&key[..len], backend).encrypt_block(plain);
            assert_eq!(encrypted, block(cipher), "{} bytes of key, {}", len, backend.name());
        }
    }
}

/// F.5.1, F.5.3 and F.5.5: 128, 192 and 256 bits; the counter carries from byte to byte.
#[test]
fn counter_mode_of_sp_800_38a() {
    let iv = block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let plain = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
         30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710");
    for backend in Backend::available() {
        for (key, cipher) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
                 5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
            ),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94
                 1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
                 2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
            ),
        ] {
            let key = AesKey::new(&hex(key), backend);
            let mut data = plain.clone();
            key.apply_ctr(iv, &mut data);
            assert_eq!(data, hex(cipher), "{}", backend.name());
            ctr_batch(&mut [CtrJob { key: &key, iv, data: &mut data }]);
            assert_eq!(data, plain, "{}", backend.name());
        }
    }
}

/// RFC 3711 B.2: both ends of the keystream of a million bytes.
#[test]
fn aes_cm_keystream_of_rfc_3711() {
    for backend in Backend::available() {
        let key = AesKey::new(&hex("2b7e151628aed2a6abf7158809cf4f3c"), backend);
        let mut keystream = vec![0; 0xff02 * 16];
        key.apply_ctr(block("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000"), &mut keystream);
        for (number, expected) in [
            (0, "e03ead0935c95e80e166b16dd92b4eb4"),
            (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
            (2, "41e95b3bb0a2e8dd477901e4fca894c0"),
            (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            (0xff00, "362b7c3c6773516318a077d7fc5073ae"),
            (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
        ] {
            assert_eq!(keystream[number * 16..][..16], block(expected), "block {number:#x}, {}", backend.name());
        }
    }
}

/// RFC 3711 B.1.
#[test]
fn f8_of_rfc_3711() {
    let plain = b"pseudorandomness is the next best thing";
    for backend in Backend::available() {
        let key = AesKey::new(&hex("234829008467be186c3de14aae72d62c"), backend);
        let masked = AesKey::new(&hex("11baae0dd132eb4d3968b41ffb278379"), backend);
        let iv = block("006e5cba50681de55c621599d462564a");
        let mut data = *plain;
        apply_f8(&key, &masked, iv, &mut data);
        let cipher = hex("019ce7a26e7854014a6366aa95d4eefd 1ad4172a14f9faf455b7f1d4b62bd08f 562c0eef7c4802");
        assert_eq!(data.as_slice(), cipher, "{}", backend.name());
        apply_f8(&key, &masked, iv, &mut data);
        assert_eq!(&data, plain, "{}", backend.name());
    }
}

/// RFC 2202 3, but for the keys that are longer than a block.
#[test]
fn hmac_sha1_of_rfc_2202() {
    let counting: Vec<u8> = (1..=25).collect();
    let cases: [(&[u8], &[u8], &str); 5] = [
        (&[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (&[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        (&counting, &[0xcd; 50], "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
        (&[0x0c; 20], b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
    ];
    for backend in Backend::available() {
        let keys = cases.map(|(key, ..)| HmacSha1Key::new(key));
        // All at once, and with the last four bytes as what follows the message.
        let mut jobs: Vec<MacJob<'_>> = Vec::new();
        for (key, (_, message, expected)) in keys.iter().zip(cases) {
            assert_eq!(key.mac(message, &[], backend).as_slice(), hex(expected), "{}", backend.name());
            jobs.push(MacJob { key, message, suffix: [0; 4], suffix_len: 0, tag: [0; 20] });
            let (message, suffix) = message.split_last_chunk().expect("longer than four bytes");
            jobs.push(MacJob { key, message, suffix: *suffix, suffix_len: 4, tag: [0; 20] });
        }
        mac_batch(&mut jobs, backend);
        for (job, (.., expected)) in jobs.iter().zip(cases.iter().flat_map(|case| [case; 2])) {
            assert_eq!(job.tag.as_slice(), hex(expected), "{}", backend.name());
        }
    }
}

/// Cases 1 to 4, 13, 14 and 16 of the submission to NIST.
#[test]
fn gcm_of_its_specification() {
    let zeros = "00000000000000000000000000000000";
    let key = "feffe9928665731c6d6a8f9467308308";
    let plain = "d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
                 1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b391aafd255";
    let cipher = "42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e
                  21d514b25466931c7d8f6a5aac84aa05 1ba30b396a0aac973d58e091473f5985";
    let cipher_256 = "522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
                      8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662898015ad";
    let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    let (iv, no_iv) = ("cafebabefacedbaddecaf888", "000000000000000000000000");
    let cases = [
        (zeros.to_owned(), no_iv, "", "", "", 0, "58e2fccefa7e3061367f1d57a4e7455a"),
        (
            zeros.to_owned(),
            no_iv,
            "",
            zeros,
            "0388dace60b6a392f328c2b971b2fe78",
            16,
            "ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (key.to_owned(), iv, "", plain, cipher, 64, "4d5c2af327cd64a62cf35abd2ba6fab4"),
        (key.to_owned(), iv, aad, plain, cipher, 60, "5bc94fbc3221a5db94fae95ae7121a47"),
        (zeros.repeat(2), no_iv, "", "", "", 0, "530f8afbc74536b9a963b4f1c4cb738b"),
        (zeros.repeat(2), no_iv, "", zeros, "cea7403d4d606b6e074ec5d3baf39d18", 16, "d0d1c8a799996bf0265b98b5d48ab919"),
        (key.repeat(2), iv, aad, plain, cipher_256, 60, "76fc6ece0f4e1768cddf8853bb2d551b"),
    ];
    for backend in Backend::available() {
        for (number, (key, iv, aad, plain, cipher, len, tag)) in cases.iter().enumerate() {
            let key = GcmKey::new(&hex(key), backend);
            let iv = hex(iv).try_into().expect("12 bytes");
            let aad = hex(aad);
            let mut data = hex(plain)[..*len].to_vec();
            key.apply_ctr(&iv, &mut data);
            assert_eq!(data, hex(cipher)[..*len], "case {number}, {}", backend.name());
            assert_eq!(key.tag(&iv, &[&aad], &data), block(tag), "case {number}, {}", backend.name());
            let (front, back) = aad.split_at(aad.len() / 3);
            assert_eq!(key.tag(&iv, &[front, back], &data), block(tag), "case {number} in pieces, {}", backend.name());
        }
    }
}
