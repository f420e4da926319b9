//! States and digests that Java members compute, as the format's description gives them.

use tree::{Applied, Change, Options, Tree, digest};
use types::{
    AclList, CreateCall, CreateTxn, ErrorCode, ExtendedTypes, NodeKind, Perms, SessionId, Txn,
    TxnHeader, Xid, Zxid,
};

const OPTIONS: Options =
    Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 7 };

fn header(zxid: i64) -> TxnHeader {
    TxnHeader {
        session: SessionId(0x0100_0000_0000_0001),
        cxid: Xid(1),
        zxid: Zxid::from_raw(zxid),
        time_ms: 1_700_000_000_000,
    }
}

fn create(path: &str, data: &[u8], parent_cversion: i32) -> Txn {
    Txn::Create(CreateTxn {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(data.into()),
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion: Some(parent_cversion),
        ttl_ms: None,
    })
}

#[test]
fn a_fresh_tree_is_the_one_every_server_starts_with() {
    let tree = Tree::new(OPTIONS);
    let mut paths: Vec<_> = tree.nodes().map(|node| node.path()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"]);
    assert_eq!(tree.digest(), Some(1_371_985_504));
    assert_eq!(tree.recomputed_digest(), 1_371_985_504);
    // A Java member that was just started reports 5 znodes and 44 bytes: it files the root twice.
    assert_eq!((tree.node_count(), tree.data_size()), (4, 43));
    let stat = |path| tree.find(path).expect("built in").stat();
    assert_eq!(stat("/").cversion, -1);
    assert_eq!(stat("/zookeeper").cversion, -2);
    assert_eq!(stat("/zookeeper/config").aversion, -1);
    let config = tree.find("/zookeeper/config").expect("built in");
    assert!(!config.is_open());
    assert_eq!(config.acl()[0].perms, Perms::READ);
    assert_eq!(config.acl_id(), 1);
    for node in tree.nodes().filter(|node| node.id() != config.id()) {
        assert!(node.is_open());
        assert_eq!(node.acl(), &AclList::open());
        assert_eq!(node.data(), Some(&b""[..]));
        assert_eq!(node.kind(), NodeKind::Persistent);
    }
}

#[test]
fn a_creation_leads_to_the_digest_that_java_members_compute() {
    let mut tree = Tree::new(OPTIONS);
    let mut created = Vec::new();
    let applied = tree.apply(&header(3), &create("/a", b"x", 1), &mut |change| match change {
        Change::Created { path, acl, parent_acl } => {
            created.push(path.to_owned());
            assert_eq!((acl, parent_acl), (&AclList::open(), &AclList::open()));
        }
        Change::Deleted { .. } | Change::DataChanged { .. } => panic!("{change:?}"),
    });
    let a = tree.find("/a").expect("created");
    assert_eq!(applied, Applied::Created { stat: a.stat() });
    assert_eq!(created, ["/a"]);
    assert_eq!(a.digest(), 113_906_799);
    assert_eq!(a.content_crc(), digest::content_crc("/a", Some(b"x")));
    assert_eq!(tree.find("").expect("the root").digest(), 2_212_851_693);
    assert_eq!(tree.digest(), Some(3_630_420_404));
    assert_eq!(tree.last_applied(), Zxid::from_raw(3));
}

#[test]
fn a_deletion_undoes_the_digest_of_the_znode_and_marks_the_parent() {
    let mut tree = Tree::new(OPTIONS);
    tree.apply(&header(1), &create("/a", b"x", 1), &mut |_| {});
    tree.apply(&header(2), &create("/b", b"y", 2), &mut |_| {});
    let delete = Txn::Delete { path: "/a".into() };
    assert_eq!(tree.apply(&header(3), &delete, &mut |_| {}), Applied::Done);
    assert!(tree.find("/a").is_none());
    let root = tree.find("/").expect("the root");
    assert_eq!(root.stat().pzxid, Zxid::from_raw(3));
    // Three children were created, /zookeeper before anything was counted; one was deleted.
    assert_eq!((root.stat().cversion, root.stored_stat().cversion), (2, 2));
    assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
    let again = tree.apply(&header(4), &delete, &mut |_| {});
    assert_eq!(again, Applied::from(ErrorCode::NoNode));
}
