//! Bodies of frames, as requests.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::client_request(input));
