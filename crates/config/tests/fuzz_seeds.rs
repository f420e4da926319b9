//! The fuzz target over its seeds: whole, cut at every byte, and with every byte changed.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/config_targets.rs"]
mod config_targets;

use std::fs;
use std::path::Path;

#[test]
fn configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/configuration");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
        for cut in 0..=seed.len() {
            config_targets::configuration(&seed[..cut]);
        }
        let mut changed = seed.clone();
        for position in 0..seed.len() {
            for value in [0, 0xff, b'\n', seed[position].wrapping_add(1)] {
                changed[position] = value;
                config_targets::configuration(&changed);
            }
            changed[position] = seed[position];
        }
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}
