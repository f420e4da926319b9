//! The fuzz targets over their seeds.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/wire_targets.rs"]
mod wire_targets;

#[path = "../../../fuzz/over_seeds.rs"]
mod over_seeds;

use over_seeds::over_seeds;

/// Where a seed is cut and changed; more would take seconds.
const POSITIONS_MAX: usize = 500;

#[test]
fn client_request() {
    over_seeds("client_request", POSITIONS_MAX, &[], wire_targets::client_request);
}

#[test]
fn server_reply() {
    over_seeds("server_reply", POSITIONS_MAX, &[], wire_targets::server_reply);
}

#[test]
fn connect_request() {
    over_seeds("connect_request", POSITIONS_MAX, &[], wire_targets::connect_request);
}

#[test]
fn multi() {
    over_seeds("multi", POSITIONS_MAX, &[], wire_targets::multi);
}

#[test]
fn txn_entry() {
    over_seeds("txn_entry", POSITIONS_MAX, &[], wire_targets::txn_entry);
}

#[test]
fn snapshot_records() {
    over_seeds("snapshot_records", POSITIONS_MAX, &[], wire_targets::snapshot_records);
}

#[test]
fn quorum_packets() {
    over_seeds("quorum_packets", POSITIONS_MAX, &[], wire_targets::quorum_packets);
}

#[test]
fn election() {
    over_seeds("election", POSITIONS_MAX, &[], wire_targets::election);
}
