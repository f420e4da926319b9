//! What a leader and its learners send each other.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::quorum_packets(input));
