//! The fuzz targets over their seeds: whole, cut at every byte, and with every byte changed; long
//! seeds at regular distances.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/wire_targets.rs"]
mod wire_targets;

use std::fs;
use std::path::Path;

/// Where a seed is cut and changed; more would take seconds.
const POSITIONS_MAX: usize = 500;

fn run(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
        check(&seed);
        let step = seed.len().div_ceil(POSITIONS_MAX).max(1);
        for cut in (0..seed.len()).step_by(step) {
            check(&seed[..cut]);
        }
        let mut changed = seed.clone();
        for position in (0..seed.len()).step_by(step) {
            for value in [0, 0xff, seed[position].wrapping_add(1)] {
                changed[position] = value;
                check(&changed);
            }
            changed[position] = seed[position];
        }
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}

#[test]
fn client_request() {
    run("client_request", wire_targets::client_request);
}

#[test]
fn server_reply() {
    run("server_reply", wire_targets::server_reply);
}

#[test]
fn connect_request() {
    run("connect_request", wire_targets::connect_request);
}

#[test]
fn multi() {
    run("multi", wire_targets::multi);
}

#[test]
fn txn_entry() {
    run("txn_entry", wire_targets::txn_entry);
}

#[test]
fn snapshot_records() {
    run("snapshot_records", wire_targets::snapshot_records);
}

#[test]
fn quorum_packets() {
    run("quorum_packets", wire_targets::quorum_packets);
}

#[test]
fn election() {
    run("election", wire_targets::election);
}
