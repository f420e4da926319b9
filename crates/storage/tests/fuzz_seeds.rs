//! The fuzz targets over their seeds: whole, cut at every byte, and with every byte changed.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/storage_targets.rs"]
mod storage_targets;

#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/data_dir_targets.rs"]
mod data_dir_targets;

use std::fs;
use std::path::Path;

/// Where a seed is cut and changed; more would take seconds.
const POSITIONS_MAX: usize = 100;

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
fn log_file() {
    run("log_file", storage_targets::log_file);
}

#[test]
fn snapshot_file() {
    run("snapshot_file", storage_targets::snapshot_file);
}

#[test]
fn received_snapshot() {
    run("received_snapshot", storage_targets::received_snapshot);
}

#[test]
fn small_files() {
    run("small_files", data_dir_targets::small_files);
}
