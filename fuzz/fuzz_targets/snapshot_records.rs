//! Snapshots, and each of their records.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::snapshot_records(input));
