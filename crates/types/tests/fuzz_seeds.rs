//! The fuzz target over its seeds.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/types_targets.rs"]
mod types_targets;

#[path = "../../../fuzz/over_seeds.rs"]
mod over_seeds;

use over_seeds::over_seeds;

#[test]
fn membership() {
    over_seeds("membership", usize::MAX, b"\n:;|", types_targets::membership);
}
