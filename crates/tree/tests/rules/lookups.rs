//! What is found does not depend on what was changed last.

use tree::Applied;
use types::ErrorCode;

use super::{OPTIONS, Tree, apply, create, delete, set};

/// Znodes among which some have the same name, and one the end of another's.
const PATHS: [&str; 9] = ["/a", "/a/b", "/a/b/c", "/ab", "/ab/c", "/b", "/b/c", "/xa", "/xa/b"];

/// Paths that lead nowhere, whatever comes before.
const NOWHERE: [&str; 9] = ["a", "a/b", "//a", "/a/", "/a//b", "b/c", "/c", "/a/b/", "/xa/b/c"];

fn tree() -> Tree {
    let mut tree = Tree::new(OPTIONS);
    for (zxid, path) in (1..).zip(PATHS) {
        apply(&mut tree, zxid, &create(path, path.as_bytes(), i32::MIN));
    }
    tree
}

fn check(tree: &Tree, gone: &[&str], after: &str) {
    for path in PATHS {
        let data = tree.find(path).and_then(|node| node.data());
        let expected = (!gone.contains(&path)).then_some(path.as_bytes());
        assert_eq!(data, expected, "{path} after a change of {after}");
    }
    for path in NOWHERE {
        assert!(tree.find(path).is_none(), "{path} after a change of {after}");
    }
    for root in ["", "/"] {
        assert_eq!(tree.find(root).map(|node| node.path()).as_deref(), Some(""), "{after}");
    }
}

#[test]
fn every_path_is_found_whichever_znode_was_set() {
    let mut tree = tree();
    for (zxid, path) in (100..).zip(PATHS) {
        apply(&mut tree, zxid, &set(path, path.as_bytes(), 1));
        check(&tree, &[], path);
    }
}

#[test]
fn nothing_is_found_below_a_znode_that_was_deleted() {
    let mut tree = tree();
    apply(&mut tree, 100, &set("/a/b/c", b"/a/b/c", 1));
    let mut gone = Vec::new();
    for (zxid, path) in (101..).zip(["/a/b/c", "/a/b", "/a", "/b/c", "/b"]) {
        apply(&mut tree, zxid, &delete(path));
        gone.push(path);
        check(&tree, &gone, path);
        let below = apply(&mut tree, zxid, &create(&format!("{path}/x"), b"", 0));
        assert_eq!(below, Applied::from(ErrorCode::NoNode), "{path}");
    }
    // The places of the deleted are taken by others.
    for (zxid, path) in (200..).zip(["/b", "/b/c", "/a", "/a/b", "/a/b/c"]) {
        apply(&mut tree, zxid, &create(path, path.as_bytes(), i32::MIN));
        gone.retain(|&it| it != path);
        check(&tree, &gone, path);
    }
}
