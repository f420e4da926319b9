//! The fuzz target over its seeds.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/config_targets.rs"]
mod config_targets;

#[path = "../../../fuzz/over_seeds.rs"]
mod over_seeds;

use over_seeds::over_seeds;

#[test]
fn configuration() {
    over_seeds("configuration", usize::MAX, b"\n", config_targets::configuration);
}
