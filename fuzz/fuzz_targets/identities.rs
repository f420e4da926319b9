//! Who may do what, and how much a subtree may hold, as clients write it.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::identities(input));
