//! Whatever bytes are given as a WAV file: an answer, never a panic.

use patchcord_codec::Audio;
use patchcord_codec::wav::{read_bytes, to_bytes};
use proptest::prelude::*;

proptest! {
    // A failing input is printed in full; it is small enough to become a test of its own.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_after_a_riff_header(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        bytes.extend(tail);
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn a_good_file_with_bytes_changed_and_cut(
        changes in proptest::collection::vec((0_usize..60, any::<u8>()), 0..8),
        length in 0_usize..76,
    ) {
        let mut bytes = to_bytes(&Audio::telephone((0..16).collect()));
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(length);
        if let Ok(audio) = read_bytes(&bytes) {
            prop_assert!(!audio.samples.is_empty());
            prop_assert!(audio.samples.len() <= 32);
        }
    }
}
