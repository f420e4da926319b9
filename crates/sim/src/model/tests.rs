use types::{
    Acl, Counter, Create, CreateMode, Epoch, ErrorCode, Id, MultiOp, Perms, Read, Write, Xid,
};

use super::*;
use crate::history::{Answer, PartAnswer};

const ALICE: SessionId = SessionId(0x0100_0000_0000_0001);
const BOB: SessionId = SessionId(0x0100_0000_0000_0002);

/// A model that decides, applies and answers one write after another.
struct Bench {
    model: Model,
    triggers: Vec<Trigger>,
}

impl Bench {
    fn new() -> Self {
        let rules = Rules {
            extended_types: ExtendedTypes::Enabled,
            membership: None,
            credentials: Vec::new(),
            sessions: Sessions::Global,
        };
        let mut bench = Self { model: Model::new(Rc::new(rules)), triggers: Vec::new() };
        for session in [ALICE, BOB] {
            let header = bench.header(session);
            bench.model.apply(&header, &Txn::CreateSession { timeout_ms: 4000 });
        }
        bench
    }

    fn header(&self, session: SessionId) -> TxnHeader {
        let zxid = self.model.last_applied().successor();
        TxnHeader { session, cxid: Xid(1), zxid, time_ms: 1_700_000_000_000 }
    }

    fn write(&mut self, write: Write<'_>) -> Result<Answer, i32> {
        self.write_as(ALICE, &[], write)
    }

    fn write_as(
        &mut self,
        session: SessionId,
        ids: &[Id],
        write: Write<'_>,
    ) -> Result<Answer, i32> {
        let header = self.header(session);
        let txn = self.model.decide(&header, Asker { session, ids }, &write);
        let applied = self.model.apply(&header, &txn);
        self.triggers = applied.triggers;
        Model::answer(&write, &txn, &applied.stats)
    }

    fn create(&mut self, path: &str, mode: CreateMode) -> Result<Answer, i32> {
        self.write(create(path, mode))
    }

    fn read(&self, read: &Read<'_>) -> Result<Answer, ErrorCode> {
        self.model.read(ALICE, &[], read).expect("no watches involved")
    }

    fn events(&self) -> Vec<(EventKind, &str, WatchTable)> {
        self.triggers
            .iter()
            .map(|trigger| (trigger.kind, trigger.path.as_str(), trigger.table))
            .collect()
    }
}

fn create(path: &str, mode: CreateMode) -> Write<'_> {
    Write::Create(creation(path, mode))
}

fn creation(path: &str, mode: CreateMode) -> Create<'_> {
    Create {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(b"x".as_slice().into()),
        acl: AclList::open(),
        mode,
    }
}

fn delete(path: &str) -> Write<'_> {
    Write::Delete { path: path.into(), version: None }
}

fn set(path: &str, version: Option<i32>) -> Write<'_> {
    Write::SetData { path: path.into(), data: None, version }
}

fn code(code: ErrorCode) -> Result<Answer, i32> {
    Err(code.raw())
}

#[test]
fn digests_equal_the_published_ones() {
    let rules = Rules {
        extended_types: ExtendedTypes::Disabled,
        membership: None,
        credentials: Vec::new(),
        sessions: Sessions::Global,
    };
    let mut model = Model::new(Rc::new(rules));
    assert_eq!(model.digest(), 1_371_985_504);
    let header = TxnHeader {
        session: ALICE,
        cxid: Xid(1),
        zxid: Zxid::new(Epoch(0), Counter(3)),
        time_ms: 1_700_000_000_000,
    };
    let txn = Txn::Create(CreateTxn {
        call: CreateCall::Create,
        path: "/a".into(),
        data: Some(Box::from(*b"x")),
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion: Some(1),
        ttl_ms: None,
    });
    model.apply(&header, &txn);
    assert_eq!(model.digest(), 3_630_420_404);
}

#[test]
fn built_in_znodes_have_their_odd_numbers() {
    let bench = Bench::new();
    let stat =
        |path: &'static str| match bench.read(&Read::Exists { path: path.into(), watch: false }) {
            Ok(Answer::Stat(stat)) => stat,
            other => panic!("{other:?}"),
        };
    assert_eq!((stat("/").cversion, stat("/").num_children), (-1, 1));
    assert_eq!(stat("/zookeeper").cversion, -2);
    assert_eq!(stat("/zookeeper/config").aversion, -1);
}

#[test]
fn create_looks_at_its_conditions_in_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.create("/e", CreateMode::Ephemeral), Ok(Answer::Path("/e".into())));
    let cases = [
        (create("/x", CreateMode::PersistentWithTtl(0)), ErrorCode::BadArguments),
        (create("x", CreateMode::Persistent), ErrorCode::BadArguments),
        (create("/a/b\0", CreateMode::Persistent), ErrorCode::BadArguments),
        (create("/missing/b/", CreateMode::Persistent), ErrorCode::NoNode),
        (create("/b/", CreateMode::Persistent), ErrorCode::NoNode),
        (create("//b", CreateMode::Persistent), ErrorCode::BadArguments),
        (create("/..", CreateMode::Persistent), ErrorCode::BadArguments),
        (create("/", CreateMode::Persistent), ErrorCode::NodeExists),
        (create("/e", CreateMode::Persistent), ErrorCode::NodeExists),
        (create("/e/f", CreateMode::Persistent), ErrorCode::NoChildrenForEphemerals),
        (create("/zookeeper/config/x/y", CreateMode::Persistent), ErrorCode::NoNode),
        (create("/zookeeper/config/x", CreateMode::Persistent), ErrorCode::NoAuth),
    ];
    for (write, expected) in cases {
        let shown = format!("{write:?}");
        assert_eq!(bench.write(write), code(expected), "{shown}");
    }
    let mut bad_acl = creation("/missing/b", CreateMode::Persistent);
    bad_acl.acl = AclList::empty();
    assert_eq!(bench.write(Write::Create(bad_acl)), code(ErrorCode::InvalidAcl));
    let dead = bench.write_as(SessionId(9), &[], create("no slash", CreateMode::Persistent));
    assert_eq!(dead, code(ErrorCode::SessionExpired));
}

#[test]
fn delete_looks_at_its_conditions_in_order() {
    let mut bench = Bench::new();
    for path in ["/a", "/a/b", "/zookeeper/config"] {
        drop(bench.create(path, CreateMode::Persistent));
    }
    let wrong_version = Write::Delete { path: "/a".into(), version: Some(7) };
    let cases = [
        (delete("/"), ErrorCode::BadArguments),
        (delete("/zookeeper/quota"), ErrorCode::BadArguments),
        (delete("a"), ErrorCode::BadArguments),
        (delete("/missing/b"), ErrorCode::NoNode),
        (delete("/zookeeper/config/b"), ErrorCode::NoAuth),
        (delete("/b"), ErrorCode::NoNode),
        (wrong_version, ErrorCode::BadVersion),
        (delete("/a"), ErrorCode::NotEmpty),
    ];
    for (write, expected) in cases {
        let shown = format!("{write:?}");
        assert_eq!(bench.write(write), code(expected), "{shown}");
    }
}

#[test]
fn sequence_numbers_count_creations_and_go_on_after_deletions() {
    let mut bench = Bench::new();
    drop(bench.create("/q", CreateMode::Persistent));
    let mut names = Vec::new();
    for path in ["/q/a-", "/q/b", "/q/a-"] {
        let mode = if path.ends_with('-') {
            CreateMode::PersistentSequential
        } else {
            CreateMode::Persistent
        };
        match bench.create(path, mode) {
            Ok(Answer::Path(path)) => names.push(path),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.write(delete("/q/b")), Ok(Answer::Done));
    assert_eq!(names, ["/q/a-0000000000", "/q/b", "/q/a-0000000002"]);
    assert_eq!(
        bench.create("/q/", CreateMode::EphemeralSequential),
        Ok(Answer::Path("/q/0000000003".into()))
    );
}

#[test]
fn a_multi_is_all_or_nothing_and_its_parts_see_each_other() {
    let mut bench = Bench::new();
    let parts = |last| {
        vec![
            MultiOp::Create(creation("/m", CreateMode::Persistent)),
            MultiOp::Create(creation("/m/s", CreateMode::PersistentSequential)),
            MultiOp::SetData { path: "/m".into(), data: None, version: Some(0) },
            MultiOp::Check { path: "/m".into(), version: Some(last) },
            MultiOp::Delete { path: "/m/s0000000000".into(), version: None },
        ]
    };
    let failed = bench.write(Write::Multi(parts(0)));
    let codes = [0, 0, 0, -103, -2].map(PartAnswer::Error).to_vec();
    assert_eq!(failed, Ok(Answer::Multi(codes)));
    assert!(bench.model.stored("/m").is_none());
    let Ok(Answer::Multi(answers)) = bench.write(Write::Multi(parts(1))) else { panic!() };
    assert_eq!(answers[1], PartAnswer::Path("/m/s0000000000".into()));
    assert!(matches!(answers[2], PartAnswer::Stat(stat) if stat.version == 1));
    assert_eq!(answers[3..], [PartAnswer::Checked, PartAnswer::Deleted]);
}

#[test]
fn ephemerals_go_with_their_session_and_only_with_it() {
    let mut bench = Bench::new();
    for (session, path) in [(ALICE, "/a"), (BOB, "/b"), (ALICE, "/c")] {
        assert!(bench.write_as(session, &[], create(path, CreateMode::Ephemeral)).is_ok());
    }
    let header = bench.header(ALICE);
    let paths = Some(vec!["/c".into(), "/a".into()]);
    bench.triggers = bench.model.apply(&header, &Txn::CloseSession { paths }).triggers;
    assert_eq!(bench.model.ephemerals().collect::<Vec<_>>(), [("/b", BOB)]);
    assert!(!bench.model.is_live(ALICE));
    let expected = ["/c", "/a"].into_iter().flat_map(|path| {
        [
            (EventKind::NodeDeleted, path, WatchTable::Data),
            (EventKind::NodeDeleted, path, WatchTable::Child),
            (EventKind::NodeChildrenChanged, "/", WatchTable::Child),
        ]
    });
    assert_eq!(bench.events(), expected.collect::<Vec<_>>());
}

#[test]
fn versions_are_compared_for_equality_and_any_is_any() {
    let mut bench = Bench::new();
    drop(bench.create("/v", CreateMode::Persistent));
    assert!(matches!(bench.write(set("/v", Some(0))), Ok(Answer::Stat(stat)) if stat.version == 1));
    assert_eq!(bench.write(set("/v", Some(0))), code(ErrorCode::BadVersion));
    assert_eq!(bench.write(set("/v", Some(2))), code(ErrorCode::BadVersion));
    assert!(matches!(bench.write(set("/v", None)), Ok(Answer::Stat(stat)) if stat.version == 2));
    let acl = AclList::from(vec![Acl { perms: Perms::READ, id: Id::new("world", "anyone") }]);
    let set_acl = Write::SetAcl { path: "/v".into(), acl, version: Some(0) };
    assert!(matches!(bench.write(set_acl.clone()), Ok(Answer::Stat(stat)) if stat.aversion == 1));
    assert_eq!(bench.write(set_acl), code(ErrorCode::NoAuth));
    assert_eq!(bench.write(set("/v", None)), code(ErrorCode::NoAuth));
}

#[test]
fn children_change_cversion_and_pzxid_only() {
    let mut bench = Bench::new();
    drop(bench.create("/p", CreateMode::Persistent));
    let created = bench.model.last_applied();
    drop(bench.create("/p/c", CreateMode::Persistent));
    assert_eq!(bench.write(delete("/p/c")), Ok(Answer::Done));
    let read = Read::GetChildren2 { path: "/p".into(), watch: false };
    let Ok(Answer::ChildrenStat(names, stat)) = bench.read(&read) else { panic!() };
    assert!(names.is_empty());
    assert_eq!((stat.cversion, stat.version), (2, 0));
    assert_eq!((stat.czxid, stat.mzxid), (created, created));
    assert_eq!(stat.pzxid, bench.model.last_applied());
}

#[test]
fn counts_all_znodes_below() {
    let mut bench = Bench::new();
    for path in ["/a", "/a/b", "/a/b/c", "/ab"] {
        drop(bench.create(path, CreateMode::Persistent));
    }
    let count = |path: &'static str| bench.read(&Read::GetAllChildrenNumber { path: path.into() });
    assert_eq!(count("/a"), Ok(Answer::Count(2)));
    assert_eq!(count("/"), Ok(Answer::Count(7)));
    assert_eq!(count("/nope"), Err(ErrorCode::NoNode));
}
