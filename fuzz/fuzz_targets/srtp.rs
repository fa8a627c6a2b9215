#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchcord_fuzz::srtp::unprotect(data));
