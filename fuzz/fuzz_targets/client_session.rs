//! A client's session with what a server says to it.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::client_session(input));
