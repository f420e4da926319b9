//! Entries of logs, and their payloads.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::txn_entry(input));
