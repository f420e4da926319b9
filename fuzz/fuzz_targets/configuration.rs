//! What an operator writes.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::configuration(input));
