//! Runs a fuzz target over its seeds: whole, cut at every byte, and with every byte changed; long seeds at
//! regular distances. The tests of each crate that is looked at include this file.

use std::fs;
use std::path::Path;

/// A byte becomes each of these, the next one and those in `marks`, which mean something to the target. A seed is
/// cut and changed at so many positions at most; more would take seconds.
pub(crate) fn over_seeds(target: &str, positions_max: usize, marks: &[u8], check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
        check(&seed);
        let step = seed.len().div_ceil(positions_max).max(1);
        for cut in (0..seed.len()).step_by(step) {
            check(&seed[..cut]);
        }
        let mut changed = seed.clone();
        for position in (0..seed.len()).step_by(step) {
            let next = seed[position].wrapping_add(1);
            for &value in [0, 0xff, next].iter().chain(marks) {
                changed[position] = value;
                check(&changed);
            }
            changed[position] = seed[position];
        }
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}
