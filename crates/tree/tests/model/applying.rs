//! Whatever a leader decides, tree and model agree on every state, reply and watch event.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tree::{Applied, Change, Tree};
use types::{ErrorCode, Txn, TxnHeader};

use crate::leader::{Request, decide, header, requests};
use crate::reference::{Event, Model, Outcome};
use crate::{CASES, OPTIONS};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn tree_and_model_agree(requests in requests(quotas(), any::<bool>())) {
        run(&requests);
    }

    /// The access control lists that a snapshot would carry are those in use, each once.
    #[test]
    fn lists_in_use_are_those_that_znodes_have(
        requests in requests(quotas(), any::<bool>())
    ) {
        let (mut tree, mut model) = (Tree::new(OPTIONS), Model::fresh());
        for (at, (session, wish)) in requests.iter().enumerate() {
            let header = header(*session, at + 1);
            let txn = decide(&model, &header, wish);
            check_step(&mut tree, &mut model, &header, &txn);
            let head = tree.begin_snapshot();
            let stored: Vec<_> = head.acls.iter().map(|(_, acl)| format!("{acl:?}")).collect();
            prop_assert_eq!(stored.len(), model.closed_acls().len());
            prop_assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), model.closed_acls());
        }
    }
}

/// Paths for quotas, some below others.
fn quotas() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec!["/a", "/a/b", "/b"]).prop_map(str::to_owned)
}

/// Applies what the requests lead to, comparing after each.
fn run(requests: &[Request]) {
    let (mut tree, mut model) = (Tree::new(OPTIONS), Model::fresh());
    check_same(&tree, &model);
    for (at, (session, wish)) in requests.iter().enumerate() {
        let header = header(*session, at + 1);
        let txn = decide(&model, &header, wish);
        check_step(&mut tree, &mut model, &header, &txn);
        check_same(&tree, &model);
        assert_eq!(tree.last_applied(), header.zxid);
    }
}

/// Applies one transaction to both and compares what clients and watchers are told.
pub(crate) fn check_step(tree: &mut Tree, model: &mut Model, header: &TxnHeader, txn: &Txn) {
    let (mut events, mut expected) = (Vec::new(), Vec::new());
    let applied = tree.apply(header, txn, &mut |change| events.push(event_of(change)));
    let outcome = model.apply(header, txn, &mut expected);
    assert_eq!(outcome_of(&applied), outcome, "{txn:?}");
    if matches!(txn, Txn::CloseSession { paths: None }) {
        // Without a list there is no order either.
        events.sort_by_key(|event| format!("{event:?}"));
        expected.sort_by_key(|event| format!("{event:?}"));
    }
    assert_eq!(events, expected, "{txn:?}");
}

/// Compares everything that can be read.
pub(crate) fn check_same(tree: &Tree, model: &Model) {
    assert_eq!(tree.node_count(), model.znodes.len());
    assert_eq!(tree.data_size(), model.data_size() as u64);
    assert_eq!(tree.digest(), Some(model.digest()));
    assert_eq!(tree.recomputed_digest(), model.digest());
    for (path, znode) in &model.znodes {
        let node = tree.find(path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(node.path(), *path);
        assert_eq!(node.stat(), model.stat(path), "{path}");
        assert_eq!(node.stored_stat(), znode.stored, "{path}");
        assert_eq!(node.data(), znode.data.as_deref(), "{path}");
        assert_eq!(node.acl(), &znode.acl, "{path}");
        let mut children: Vec<_> = node.children().map(|child| child.path()).collect();
        children.sort_unstable();
        assert_eq!(children, model.children(path), "{path}");
        let below = format!("{path}/");
        let descendants = model.znodes.keys().filter(|other| other.starts_with(&below)).count();
        assert_eq!(node.num_descendants(), descendants, "{path}");
    }
    assert!(
        tree.sessions().eq(model.sessions.iter().map(|(&session, &timeout)| (session, timeout)))
    );
    for (session, count) in tree.sessions_with_ephemerals() {
        let mut paths: Vec<_> = tree.ephemerals(session).collect();
        paths.sort_unstable();
        assert_eq!(paths, model.ephemerals(session));
        assert_eq!(paths.len(), count);
    }
    assert!(tree.quotas().eq(model.quotas.iter().map(|path| &**path)));
    check_quotas(tree, model);
}

fn check_quotas(tree: &Tree, model: &Model) {
    for path in model.znodes.keys() {
        let governs = |quota: &&String| path == *quota || path.starts_with(&format!("{quota}/"));
        let deepest = model.quotas.iter().filter(governs).max_by_key(|quota| quota.len());
        let quota = tree.quota_of(path);
        assert_eq!(quota.as_ref().map(|quota| &quota.path), deepest, "{path}");
        if let Some(quota) = quota {
            assert_eq!((quota.limits.count, quota.limits.bytes), (Some(3), Some(100)));
        }
    }
}

fn event_of(change: Change<'_>) -> Event {
    match change {
        Change::Created { path, acl, parent_acl } => Event::Created {
            path: path.to_owned(),
            acl: acl.clone(),
            parent_acl: parent_acl.clone(),
        },
        Change::Deleted { path, acl, parent_acl } => Event::Deleted {
            path: path.to_owned(),
            acl: acl.clone(),
            parent_acl: parent_acl.clone(),
        },
        Change::DataChanged { path, acl } => {
            Event::DataChanged { path: path.to_owned(), acl: acl.clone() }
        }
    }
}

fn outcome_of(applied: &Applied) -> Outcome {
    match applied {
        Applied::Done => Outcome::Done,
        Applied::Created { stat } | Applied::Set { stat } => Outcome::Stat(*stat),
        Applied::Failed { code } => {
            assert!(matches!(code, 0) || ErrorCode::from_raw(*code).is_some());
            Outcome::Error(*code)
        }
        Applied::Multi(results) => Outcome::Multi(results.iter().map(outcome_of).collect()),
    }
}
