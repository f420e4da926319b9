//! Records of multis, asked and answered.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::multi(input));
