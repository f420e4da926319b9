//! Bodies of first frames, as the handshake.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::connect_request(input));
