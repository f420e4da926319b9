//! Containers and times to live.

use tree::{ReapRules, SliceEnd, Tree};
use types::{CreateCall, CreateTxn, SessionId, Txn};

use crate::{OPTIONS, apply, create, creation, delete, header, set, stat};

fn container(path: &str, parent_cversion: i32) -> Txn {
    let call = CreateCall::Container;
    Txn::Create(CreateTxn { call, ..creation(path, b"", parent_cversion) })
}

fn ttl(path: &str, ttl_ms: i64) -> Txn {
    let call = CreateCall::Ttl;
    Txn::Create(CreateTxn { call, ttl_ms: Some(ttl_ms), ..creation(path, b"", 1) })
}

/// What is to be reaped `after_ms` after the header of zxid 0, looking at `slice` at a time.
fn reapable(
    tree: &mut Tree,
    after_ms: i64,
    never_used_max_ms: Option<i64>,
    slice: usize,
) -> Vec<String> {
    let rules = ReapRules { now_ms: header(0).time_ms + after_ms, never_used_max_ms };
    let mut found = Vec::new();
    tree.start_reaping();
    while tree.reap_slice(rules, slice, &mut |path| found.push(path)) == SliceEnd::More {}
    found.sort_unstable();
    found
}

#[test]
fn a_container_goes_when_its_last_child_has_gone() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &container("/c", 1));
    assert_eq!(stat(&tree, "/c").ephemeral_owner, SessionId::NONE);
    assert_eq!(tree.container_count(), 1);
    assert_eq!(reapable(&mut tree, 1_000_000, None, 1), [""; 0]);
    apply(&mut tree, 2, &create("/c/x", b"", 1));
    assert_eq!(reapable(&mut tree, 1_000_000, None, 1), [""; 0]);
    apply(&mut tree, 3, &delete("/c/x"));
    assert_eq!(reapable(&mut tree, 0, None, 1), ["/c"]);
    apply(&mut tree, 4, &Txn::DeleteContainer { path: "/c".into() });
    assert_eq!(reapable(&mut tree, 0, None, 1), [""; 0]);
    assert_eq!(tree.container_count(), 0);
}

#[test]
fn a_container_that_never_had_a_child_goes_after_the_time_set_for_it() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &container("/c", 1));
    assert_eq!(reapable(&mut tree, 301, Some(300), 10), [""; 0]);
    assert_eq!(reapable(&mut tree, 302, Some(300), 10), ["/c"]);
}

#[test]
fn a_time_to_live_counts_from_the_last_set_and_while_there_are_no_children() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &ttl("/t", 100));
    assert_eq!(stat(&tree, "/t").ephemeral_owner, SessionId::NONE);
    assert_eq!(reapable(&mut tree, 101, None, 10), [""; 0]);
    assert_eq!(reapable(&mut tree, 102, None, 10), ["/t"]);
    apply(&mut tree, 50, &set("/t", b"alive", 1));
    assert_eq!(reapable(&mut tree, 150, None, 10), [""; 0]);
    assert_eq!(reapable(&mut tree, 151, None, 10), ["/t"]);
    apply(&mut tree, 51, &create("/t/x", b"", 1));
    assert_eq!(reapable(&mut tree, 1_000_000, None, 10), [""; 0]);
}

#[test]
fn deletions_between_slices_do_not_disturb_a_round() {
    for deleted in 0..6 {
        let mut tree = Tree::new(OPTIONS);
        for at in 0..3 {
            apply(&mut tree, at + 1, &ttl(&format!("/t{at}"), 1));
            apply(&mut tree, at + 10, &container(&format!("/c{at}"), 1));
            apply(&mut tree, at + 20, &create(&format!("/c{at}/x"), b"", 1));
            apply(&mut tree, at + 30, &delete(&format!("/c{at}/x")));
        }
        let rules = ReapRules { now_ms: i64::MAX, never_used_max_ms: None };
        let mut found = Vec::new();
        tree.start_reaping();
        tree.reap_slice(rules, 2, &mut |path| found.push(path));
        let kind = if deleted < 3 { 'c' } else { 't' };
        let gone = format!("/{kind}{}", deleted % 3);
        let found_already = found.contains(&gone);
        apply(&mut tree, 40, &delete(&gone));
        while tree.reap_slice(rules, 1, &mut |path| found.push(path)) == SliceEnd::More {}
        assert_eq!(found.len(), if found_already { 6 } else { 5 }, "{gone}");
        assert_eq!(found.contains(&gone), found_already);
    }
}
