//! Snapshots as leaders send them, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::received_snapshot(input));
