//! The fuzz target over its seeds: whole, cut at every byte, and with every byte changed.

// The functions are those of the targets, which can only be built with libFuzzer.
#[expect(unreachable_pub, reason = "public for the targets")]
#[path = "../../../fuzz/src/replica_targets.rs"]
mod replica_targets;

use std::fs;
use std::path::Path;

#[test]
fn identities() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/identities");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
        for cut in 0..=seed.len() {
            replica_targets::identities(&seed[..cut]);
        }
        let mut changed = seed.clone();
        for position in 0..seed.len() {
            for value in [0, 0xff, b'\n', b':', b'/', seed[position].wrapping_add(1)] {
                changed[position] = value;
                replica_targets::identities(&changed);
            }
            changed[position] = seed[position];
        }
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}
