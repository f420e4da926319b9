//! The fuzz targets over their seeds.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/storage_targets.rs"]
mod storage_targets;

#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/data_dir_targets.rs"]
mod data_dir_targets;

#[path = "../../../fuzz/over_seeds.rs"]
mod over_seeds;

use over_seeds::over_seeds;

/// Where a seed is cut and changed; more would take seconds.
const POSITIONS_MAX: usize = 100;

#[test]
fn log_file() {
    over_seeds("log_file", POSITIONS_MAX, &[], storage_targets::log_file);
}

#[test]
fn snapshot_file() {
    over_seeds("snapshot_file", POSITIONS_MAX, &[], storage_targets::snapshot_file);
}

#[test]
fn received_snapshot() {
    over_seeds("received_snapshot", POSITIONS_MAX, &[], storage_targets::received_snapshot);
}

#[test]
fn small_files() {
    over_seeds("small_files", POSITIONS_MAX, &[], data_dir_targets::small_files);
}
