//! What servers answer to clients, and their events.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::server_reply(input));
