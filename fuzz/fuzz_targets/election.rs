//! What servers send each other to elect a leader.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::election(input));
