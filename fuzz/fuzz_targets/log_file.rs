//! Whole logs, through recovery.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::log_file(input));
