//! The fuzz target over its seeds.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/replica_targets.rs"]
mod replica_targets;

#[path = "../../../fuzz/over_seeds.rs"]
mod over_seeds;

use over_seeds::over_seeds;

#[test]
fn identities() {
    over_seeds("identities", usize::MAX, b"\n:/", replica_targets::identities);
}
