//! The fuzz target over its seeds.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/client_targets.rs"]
mod client_targets;

#[path = "../../../fuzz/over_seeds.rs"]
mod over_seeds;

use over_seeds::over_seeds;

#[test]
fn client_session() {
    over_seeds("client_session", usize::MAX, &[], client_targets::client_session);
}
