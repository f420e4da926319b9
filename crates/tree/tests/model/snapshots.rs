//! A snapshot taken while transactions go on, loaded and brought forward by replaying them, is the
//! live tree.

use proptest::prelude::*;
use tree::{SliceEnd, SnapshotHead, Tree, TreeLoader};
use types::{AclList, SessionId, StoredStat, Txn, TxnHeader, Zxid};

use crate::leader;
use crate::leader::{Request, decide, header};
use crate::reference::Model;
use crate::{CASES, OPTIONS};

/// The contents of a snapshot file.
#[derive(Default)]
struct Stored {
    zxid: Zxid,
    sessions: Vec<(SessionId, i32)>,
    acls: Vec<(i64, AclList)>,
    znodes: Vec<(String, Option<Vec<u8>>, i64, StoredStat)>,
}

impl Stored {
    fn head(&mut self, head: SnapshotHead) {
        let SnapshotHead { zxid, sessions, acls } = head;
        (self.zxid, self.sessions, self.acls) = (zxid, sessions, acls);
    }

    fn load(&self) -> Tree {
        let mut loader = TreeLoader::new(OPTIONS);
        for &(session, timeout_ms) in &self.sessions {
            loader.session(session, timeout_ms);
        }
        for (id, acl) in &self.acls {
            loader.acl(*id, acl.clone());
        }
        for (path, data, acl_id, stat) in &self.znodes {
            loader.node(path, data.as_deref(), *acl_id, stat).expect("can be placed");
        }
        loader.finish(self.zxid).expect("is a tree")
    }
}

/// The live tree, and the log.
struct Server {
    tree: Tree,
    model: Model,
    log: Vec<(TxnHeader, Txn)>,
}

impl Server {
    fn new() -> Self {
        Self { tree: Tree::new(OPTIONS), model: Model::fresh(), log: Vec::new() }
    }

    fn serve(&mut self, (session, wish): &Request) {
        let header = header(*session, self.log.len() + 1);
        let txn = decide(&self.model, &header, wish);
        self.model.apply(&header, &txn, &mut Vec::new());
        self.tree.apply(&header, &txn, &mut |_| {});
        self.log.push((header, txn));
    }

    /// Loads a snapshot, replays the log from its beginning on, and compares.
    fn check_recovery(&self, stored: &Stored) {
        let mut recovered = stored.load();
        assert_eq!(recovered.digest(), Some(recovered.recomputed_digest()));
        for (header, txn) in self.log.iter().filter(|(header, _)| header.zxid > stored.zxid) {
            recovered.apply(header, txn, &mut |_| {});
        }
        assert_eq!(recovered.difference(&self.tree), None);
        assert_eq!(recovered.unresolved_acls(), 0);
        assert_eq!(recovered.digest(), Some(recovered.recomputed_digest()));
    }
}

/// Requests without two things that no replay can get right, by tradition: usage of a quota below
/// another depends on when servers were started; and the end of a session that does not say what it
/// deletes, as releases before 3.6 wrote it, can not tell the parent of a znode that the snapshot
/// missed.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let quotas = prop::sample::select(vec!["/a", "/b"]).prop_map(str::to_owned);
    leader::requests(quotas, Just(true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// After `quiet` transactions a snapshot begins; after each further one it writes a slice of
    /// the size that comes next, if any.
    #[test]
    fn a_fuzzy_snapshot_and_the_log_make_the_live_tree(
        requests in requests(),
        quiet in 0..40_usize,
        slices in prop::collection::vec(prop::option::of(1..400_usize), 1..20),
    ) {
        let mut server = Server::new();
        let (before, during) = requests.split_at(quiet.min(requests.len()));
        before.iter().for_each(|request| server.serve(request));
        let mut stored = Stored::default();
        stored.head(server.tree.begin_snapshot());
        let mut slices = slices.into_iter().cycle();
        let mut end = SliceEnd::More;
        for request in during {
            if let Some(bytes_max) = slices.next().flatten() {
                end = take_slice(&server.tree, &mut stored, bytes_max);
            }
            server.serve(request);
        }
        while end == SliceEnd::More {
            end = take_slice(&server.tree, &mut stored, 1);
        }
        let mut paths: Vec<_> = stored.znodes.iter().map(|(path, ..)| path).collect();
        paths.sort_unstable();
        prop_assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "no path occurs twice");
        server.check_recovery(&stored);
    }

    /// Java members note a znode's children when they write it, and write each that still exists
    /// when its turn comes. They copy sessions and lists some time after the snapshot begins.
    #[test]
    fn so_does_a_fuzzy_snapshot_of_a_java_member(
        requests in requests(),
        quiet in 0..40_usize,
        pace in prop::collection::vec(0..4_usize, 1..20),
    ) {
        let mut server = Server::new();
        let (before, during) = requests.split_at(quiet.min(requests.len()));
        before.iter().for_each(|request| server.serve(request));
        let zxid = server.tree.last_applied();
        let mut during = during.iter();
        let mut pace = pace.into_iter().cycle();
        let mut serve_some = |server: &mut Server| {
            for request in during.by_ref().take(pace.next().expect("endless")) {
                server.serve(request);
            }
        };
        let mut stored = Stored::default();
        stored.head(server.tree.begin_snapshot());
        stored.zxid = zxid;
        serve_some(&mut server);
        stored.acls = server.tree.begin_snapshot().acls;
        let mut to_write = vec![String::new()];
        while let Some(path) = to_write.pop() {
            serve_some(&mut server);
            let Some(node) = server.tree.find(&path) else { continue };
            to_write.extend(node.children().map(|child| child.path()));
            let data = node.data().map(<[u8]>::to_vec);
            stored.znodes.push((path, data, node.acl_id(), node.stored_stat()));
        }
        server.check_recovery(&stored);
    }

    /// A log that starts before the snapshot is replayed in part for nothing.
    #[test]
    fn replaying_more_than_needed_changes_nothing(requests in requests()) {
        let mut server = Server::new();
        requests.iter().for_each(|request| server.serve(request));
        let mut stored = Stored::default();
        stored.head(server.tree.begin_snapshot());
        while take_slice(&server.tree, &mut stored, 1) == SliceEnd::More {}
        stored.zxid = Zxid::ZERO;
        server.check_recovery(&stored);
    }
}

fn take_slice(tree: &Tree, stored: &mut Stored, bytes_max: usize) -> SliceEnd {
    tree.snapshot_slice(bytes_max, &mut |path, data, acl_id, stat| {
        stored.znodes.push((path.to_owned(), data.map(<[u8]>::to_vec), acl_id, *stat));
    })
}
