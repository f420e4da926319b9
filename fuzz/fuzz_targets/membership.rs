//! Who is in an ensemble, as a text.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::membership(input));
