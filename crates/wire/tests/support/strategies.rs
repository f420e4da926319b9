//! Random values of everything that the crate can encode, in the form that decoding gives them.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use types::{
    Acl, AclList, AuthPacket, Create, CreateCall, CreateMode, CreateTxn, ErrorCode, Id, MultiOp,
    MultiReadOp, Op, Owner, Perms, Read, ReconfigRequest, SessionId, SetWatches, Stat, StoredStat,
    Txn, TxnDigest, TxnHeader, WatchMode, WatcherKind, Write, Xid, Zxid,
};
use wire::request::Request;

type Text = Cow<'static, str>;
type Bytes = Cow<'static, [u8]>;

pub(crate) fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => "/[a-c/]{0,6}".prop_map(Cow::Owned),
        1 => any::<String>().prop_map(Cow::Owned),
        1 => Just(Cow::Borrowed("")),
    ]
}

pub(crate) fn data() -> impl Strategy<Value = Option<Bytes>> {
    option::of(vec(any::<u8>(), 0..20).prop_map(Cow::Owned))
}

pub(crate) fn acls() -> impl Strategy<Value = AclList> {
    let entry = (any::<i32>(), text(), text())
        .prop_map(|(perms, scheme, id)| Acl { perms: Perms(perms), id: Id::new(scheme, id) });
    prop_oneof![Just(AclList::open()), vec(entry, 0..4).prop_map(AclList::from)]
}

/// An expected version, or any.
fn version() -> impl Strategy<Value = Option<i32>> {
    any::<i32>().prop_map(|version| Some(version).filter(|&version| version != -1))
}

/// A mode without a time to live and without a container.
fn plain_mode() -> impl Strategy<Value = CreateMode> {
    prop_oneof![
        Just(CreateMode::Persistent),
        Just(CreateMode::Ephemeral),
        Just(CreateMode::PersistentSequential),
        Just(CreateMode::EphemeralSequential),
    ]
}

fn ttl_mode(ttl_ms: impl Strategy<Value = i64>) -> impl Strategy<Value = CreateMode> {
    (any::<bool>(), ttl_ms).prop_map(|(sequential, ttl_ms)| {
        if sequential {
            CreateMode::PersistentSequentialWithTtl(ttl_ms)
        } else {
            CreateMode::PersistentWithTtl(ttl_ms)
        }
    })
}

fn call_without_ttl() -> impl Strategy<Value = CreateCall> {
    prop_oneof![Just(CreateCall::Create), Just(CreateCall::Create2), Just(CreateCall::Container)]
}

fn create(
    call_and_mode: impl Strategy<Value = (CreateCall, CreateMode)>,
) -> impl Strategy<Value = Create<'static>> {
    (call_and_mode, text(), data(), acls()).prop_map(|((call, mode), path, data, acl)| Create {
        call,
        path,
        data,
        acl,
        mode,
    })
}

fn single_create() -> impl Strategy<Value = Create<'static>> {
    create(prop_oneof![
        (call_without_ttl(), plain_mode()),
        (call_without_ttl(), Just(CreateMode::Container)),
        (call_without_ttl(), ttl_mode(Just(-1))),
        (Just(CreateCall::Ttl), ttl_mode(any::<i64>())),
    ])
}

fn multi_create() -> impl Strategy<Value = Create<'static>> {
    create(prop_oneof![
        (call_without_ttl(), plain_mode()),
        Just((CreateCall::Container, CreateMode::Container)),
        (Just(CreateCall::Ttl), ttl_mode(any::<i64>())),
    ])
}

fn multi_op() -> impl Strategy<Value = MultiOp<'static>> {
    prop_oneof![
        multi_create().prop_map(MultiOp::Create),
        (text(), version()).prop_map(|(path, version)| MultiOp::Delete { path, version }),
        (text(), data(), version()).prop_map(|(path, data, version)| MultiOp::SetData {
            path,
            data,
            version
        }),
        (text(), version()).prop_map(|(path, version)| MultiOp::Check { path, version }),
    ]
}

fn multi_read_op() -> impl Strategy<Value = MultiReadOp<'static>> {
    prop_oneof![
        text().prop_map(|path| MultiReadOp::GetData { path }),
        text().prop_map(|path| MultiReadOp::GetChildren { path }),
    ]
}

fn write() -> impl Strategy<Value = Write<'static>> {
    let optional_text = || option::of(text());
    let reconfig = (optional_text(), optional_text(), optional_text(), any::<i64>());
    prop_oneof![
        single_create().prop_map(Write::Create),
        (text(), version()).prop_map(|(path, version)| Write::Delete { path, version }),
        text().prop_map(|path| Write::DeleteContainer { path }),
        (text(), data(), version()).prop_map(|(path, data, version)| Write::SetData {
            path,
            data,
            version
        }),
        (text(), acls(), version()).prop_map(|(path, acl, version)| Write::SetAcl {
            path,
            acl,
            version
        }),
        vec(multi_op(), 0..5).prop_map(Write::Multi),
        reconfig.prop_map(|(joining, leaving, new_members, based_on)| {
            let based_on = Some(based_on).filter(|&version| version != -1);
            Write::Reconfig(Box::new(ReconfigRequest { joining, leaving, new_members, based_on }))
        }),
        any::<i32>().prop_map(|timeout_ms| Write::CreateSession { timeout_ms }),
        Just(Write::Rejected(ErrorCode::BadArguments)),
        Just(Write::Rejected(ErrorCode::MarshallingError)),
    ]
}

fn watcher_kind() -> impl Strategy<Value = WatcherKind> {
    (1..=5).prop_map(|raw| WatcherKind::from_raw(raw).expect("in range"))
}

fn set_watches() -> impl Strategy<Value = SetWatches<'static>> {
    let paths = || vec(text(), 0..3);
    (zxid(), paths(), paths(), paths(), paths(), paths()).prop_map(
        |(relative_zxid, data, exist, child, persistent, persistent_recursive)| SetWatches {
            relative_zxid,
            data,
            exist,
            child,
            persistent,
            persistent_recursive,
        },
    )
}

fn read() -> impl Strategy<Value = Read<'static>> {
    let path_and_watch = || (text(), any::<bool>());
    prop_oneof![
        path_and_watch().prop_map(|(path, watch)| Read::Exists { path, watch }),
        path_and_watch().prop_map(|(path, watch)| Read::GetData { path, watch }),
        path_and_watch().prop_map(|(path, watch)| Read::GetChildren { path, watch }),
        path_and_watch().prop_map(|(path, watch)| Read::GetChildren2 { path, watch }),
        text().prop_map(|path| Read::GetAcl { path }),
        text().prop_map(|path| Read::GetAllChildrenNumber { path }),
        option::of(text()).prop_map(|prefix| Read::GetEphemerals { prefix }),
        Just(Read::WhoAmI),
        vec(multi_read_op(), 0..5).prop_map(Read::MultiRead),
        (text(), 0..=1).prop_map(|(path, mode)| Read::AddWatch {
            path,
            mode: WatchMode::from_raw(mode).expect("in range"),
        }),
        (text(), watcher_kind()).prop_map(|(path, kind)| Read::CheckWatches { path, kind }),
        (text(), watcher_kind()).prop_map(|(path, kind)| Read::RemoveWatches { path, kind }),
        set_watches().prop_map(|watches| Read::SetWatches(Box::new(watches))),
        Just(Read::Rejected(ErrorCode::MarshallingError)),
    ]
}

pub(crate) fn request() -> impl Strategy<Value = Request<'static>> {
    let op = prop_oneof![
        1 => Just(Op::Ping),
        1 => (text(), data())
            .prop_map(|(scheme, auth)| Op::Auth(AuthPacket { scheme, auth })),
        1 => data().prop_map(Op::Sasl),
        6 => read().prop_map(Op::Read),
        6 => write().prop_map(Op::Write),
        1 => text().prop_map(|path| Op::Sync { path }),
        1 => Just(Op::CloseSession),
    ];
    (any::<i32>(), op).prop_map(|(xid, op)| Request { xid: Xid(xid), op })
}

pub(crate) fn zxid() -> impl Strategy<Value = Zxid> {
    any::<i64>().prop_map(Zxid::from_raw)
}

pub(crate) fn stat() -> impl Strategy<Value = Stat> {
    (any::<[i64; 5]>(), any::<[i32; 5]>(), any::<i64>()).prop_map(|(longs, ints, pzxid)| Stat {
        czxid: Zxid::from_raw(longs[0]),
        mzxid: Zxid::from_raw(longs[1]),
        ctime_ms: longs[2],
        mtime_ms: longs[3],
        version: ints[0],
        cversion: ints[1],
        aversion: ints[2],
        ephemeral_owner: SessionId(longs[4]),
        data_length: ints[3],
        num_children: ints[4],
        pzxid: Zxid::from_raw(pzxid),
    })
}

pub(crate) fn stored_stat() -> impl Strategy<Value = StoredStat> {
    (stat(), any::<i64>()).prop_map(|(stat, owner)| StoredStat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime_ms: stat.ctime_ms,
        mtime_ms: stat.mtime_ms,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        owner: Owner::from_raw(owner),
        pzxid: stat.pzxid,
    })
}

pub(crate) fn header() -> impl Strategy<Value = TxnHeader> {
    (any::<i64>(), any::<i32>(), zxid(), any::<i64>()).prop_map(|(session, cxid, zxid, time_ms)| {
        TxnHeader { session: SessionId(session), cxid: Xid(cxid), zxid, time_ms }
    })
}

pub(crate) fn digest() -> impl Strategy<Value = Option<TxnDigest>> {
    option::of(any::<u64>().prop_map(|tree| TxnDigest { version: TxnDigest::VERSION, tree }))
}

fn boxed_text() -> impl Strategy<Value = Box<str>> {
    text().prop_map(Into::into)
}

fn boxed_data() -> impl Strategy<Value = Option<Box<[u8]>>> {
    data().prop_map(|data| data.map(Into::into))
}

fn create_txn() -> impl Strategy<Value = Txn> {
    let call = prop_oneof![
        (Just(CreateCall::Create), any::<bool>(), Just(None)),
        (Just(CreateCall::Create2), any::<bool>(), Just(None)),
        (Just(CreateCall::Container), Just(false), Just(None)),
        (Just(CreateCall::Ttl), Just(false), any::<i64>().prop_map(Some)),
    ];
    (call, boxed_text(), boxed_data(), acls(), any::<i32>()).prop_map(
        |((call, ephemeral, ttl_ms), path, data, acl, cversion)| {
            let parent_cversion = Some(cversion).filter(|&cversion| cversion != -1);
            Txn::Create(CreateTxn { call, path, data, acl, ephemeral, parent_cversion, ttl_ms })
        },
    )
}

/// The kinds that stand alone or in a multi.
fn common_txn() -> impl Strategy<Value = Txn> {
    prop_oneof![
        create_txn(),
        boxed_text().prop_map(|path| Txn::Delete { path }),
        boxed_text().prop_map(|path| Txn::DeleteContainer { path }),
        (boxed_text(), boxed_data(), any::<i32>()).prop_map(|(path, data, version)| Txn::SetData {
            path,
            data,
            version
        }),
        any::<i32>().prop_map(|code| Txn::Error { code }),
    ]
}

fn sub_txn() -> impl Strategy<Value = Txn> {
    prop_oneof![
        5 => common_txn(),
        1 => (boxed_text(), any::<i32>())
            .prop_map(|(path, version)| Txn::Check { path, version }),
    ]
}

pub(crate) fn txn() -> impl Strategy<Value = Txn> {
    let path = boxed_text().prop_filter("paths are not empty", |path| !path.is_empty());
    prop_oneof![
        4 => common_txn(),
        1 => any::<i32>().prop_map(|timeout_ms| Txn::CreateSession { timeout_ms }),
        1 => vec(path, 0..4).prop_map(|paths| Txn::CloseSession { paths: Some(paths) }),
        1 => (boxed_text(), boxed_data(), any::<i32>())
            .prop_map(|(path, data, version)| Txn::Reconfig { path, data, version }),
        1 => (boxed_text(), acls(), any::<i32>())
            .prop_map(|(path, acl, version)| Txn::SetAcl { path, acl, version }),
        2 => vec(sub_txn(), 0..5).prop_map(Txn::Multi),
    ]
}
