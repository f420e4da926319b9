//! Limits on subtrees and how their usage is kept.

use tree::quota::{QuotaLimits, QuotaUsage};
use tree::{Applied, Tree};
use types::Txn;

use crate::{OPTIONS, apply, create, delete, set, stat};

const STATS: &str = "/zookeeper/quota/a/zookeeper_stats";
const LIMITS: &str = "/zookeeper/quota/a/zookeeper_limits";

/// `/a` with a child, three bytes in all, and a quota on it.
fn with_quota() -> Tree {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/a", b"x", 1));
    apply(&mut tree, 2, &create("/a/b", b"yz", 1));
    apply(&mut tree, 3, &create("/zookeeper/quota/a", b"", 1));
    let limits = b"count=4,bytes=-1=;byteHardLimit=10;countHardLimit=-1";
    apply(&mut tree, 4, &create(LIMITS, limits, 1));
    apply(&mut tree, 5, &create(STATS, b"count=0,bytes=0", 2));
    tree
}

fn usage(tree: &Tree) -> QuotaUsage {
    tree.quota_of("/a").expect("there is one").usage
}

#[test]
fn a_new_quota_is_counted_by_the_server() {
    let tree = with_quota();
    assert_eq!(tree.find(STATS).expect("created").data(), Some(&b"count=2,bytes=3"[..]));
    // Neither version nor time tell of it.
    let stats = stat(&tree, STATS);
    assert_eq!((stats.version, stats.mzxid.raw()), (0, 5));
    let quota = tree.quota_of("/a/b/c").expect("governs what does not exist yet, too");
    assert_eq!(quota.path, "/a");
    assert_eq!(quota.usage, QuotaUsage { count: 2, bytes: 3 });
    let limits = QuotaLimits { count: Some(4), bytes_hard: Some(10), ..QuotaLimits::default() };
    assert_eq!(quota.limits, limits);
    assert_eq!(tree.quota_of("/ab"), None);
    assert_eq!(tree.quota_of("/"), None);
}

#[test]
fn usage_follows_every_change() {
    let mut tree = with_quota();
    apply(&mut tree, 6, &create("/a/c", b"12345", 2));
    assert_eq!(usage(&tree), QuotaUsage { count: 3, bytes: 8 });
    apply(&mut tree, 7, &set("/a/c", b"1", 1));
    assert_eq!(usage(&tree), QuotaUsage { count: 3, bytes: 4 });
    apply(&mut tree, 8, &create("/elsewhere", b"12345", 2));
    assert_eq!(usage(&tree), QuotaUsage { count: 3, bytes: 4 });
    apply(&mut tree, 9, &delete("/a/c"));
    assert_eq!(usage(&tree), QuotaUsage { count: 2, bytes: 3 });
}

#[test]
fn a_quota_that_lost_its_limits_governs_nothing() {
    let mut tree = with_quota();
    apply(&mut tree, 6, &delete(LIMITS));
    assert_eq!((tree.quota_of("/a"), tree.quotas().count()), (None, 0));
    apply(&mut tree, 7, &create("/a/c", b"12345", 2));
    assert_eq!(tree.find(STATS).expect("created").data(), Some(&b"count=2,bytes=3"[..]));
}

#[test]
fn a_change_counts_at_the_deepest_quota_only() {
    let mut tree = with_quota();
    for (zxid, path, data) in [
        (6, "/zookeeper/quota/a/b", ""),
        (7, "/zookeeper/quota/a/b/zookeeper_limits", "count=9,bytes=-1"),
        (8, "/zookeeper/quota/a/b/zookeeper_stats", "count=0,bytes=0"),
    ] {
        apply(&mut tree, zxid, &create(path, data.as_bytes(), 1));
    }
    apply(&mut tree, 9, &create("/a/b/c", b"12", 1));
    let inner = tree.quota_of("/a/b/c/d").expect("there is one");
    assert_eq!((&*inner.path, inner.usage), ("/a/b", QuotaUsage { count: 2, bytes: 4 }));
    assert_eq!(usage(&tree), QuotaUsage { count: 2, bytes: 3 });
}

#[test]
fn what_clients_write_over_the_usage_is_taken_as_it_is() {
    let mut tree = with_quota();
    let Applied::Set { stat } = apply(&mut tree, 6, &set(STATS, b"nonsense", 1)) else {
        panic!("not set");
    };
    assert_eq!((stat.data_length, stat.version), (8, 1));
    apply(&mut tree, 7, &create("/a/c", b"123", 2));
    assert_eq!(usage(&tree), QuotaUsage { count: 0, bytes: 2 });
}

#[test]
fn a_quota_on_the_root_has_no_effect() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/zookeeper/quota/zookeeper_limits", b"count=1,bytes=1", 1));
    apply(&mut tree, 2, &create("/zookeeper/quota/zookeeper_stats", b"count=0,bytes=0", 2));
    apply(&mut tree, 3, &create("/a", b"", 1));
    let stats = tree.find("/zookeeper/quota/zookeeper_stats").expect("created");
    assert_eq!((stats.data(), tree.quota_of("/a")), (Some(&b"count=0,bytes=0"[..]), None));
}

#[test]
fn a_multi_that_makes_quota_and_data_at_once_counts_both() {
    let mut tree = Tree::new(OPTIONS);
    let txn = Txn::Multi(vec![
        create("/zookeeper/quota/a", b"", 1),
        create(LIMITS, b"count=4,bytes=-1", 1),
        create(STATS, b"count=0,bytes=0", 2),
        create("/a", b"x", 1),
        create("/a/b", b"yz", 1),
    ]);
    apply(&mut tree, 1, &txn);
    assert_eq!(usage(&tree), QuotaUsage { count: 2, bytes: 3 });
}
