//! Turns random wishes into transactions that a leader could have made.

use proptest::prelude::*;
use types::{AclList, CreateCall, CreateTxn, SessionId, Txn, TxnHeader, Xid, Zxid};

use crate::reference::{Model, NO_NODE, acl_of};

/// What a client, or the server itself, wishes. Many wishes can not be granted.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    CreateSession,
    CloseSession { lists_paths: bool },
    Create { path: String, data: Option<Vec<u8>>, acl: AclList, kind: Kind },
    Delete { path: String },
    Reap { path: String },
    SetData { path: String, data: Option<Vec<u8>> },
    SetAcl { path: String, acl: AclList },
    Check { path: String },
    Multi(Vec<Self>),
    SetQuota { path: String },
    DeleteQuota { path: String },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Persistent(CreateCall),
    Ephemeral,
    Sequential,
    Container,
    Ttl(i64),
}

/// A wish and the session that has it.
pub(crate) type Request = (SessionId, Wish);

/// Requests of three sessions on a small tree, so that they meet often. `quotas` are the paths that
/// get quotas; `lists_paths` says whether the end of a session names what it deletes.
pub(crate) fn requests(
    quotas: impl Strategy<Value = String> + Clone + 'static,
    lists_paths: impl Strategy<Value = bool> + 'static,
) -> BoxedStrategy<Vec<Request>> {
    let quota = quotas.clone().prop_map(|path| Wish::SetQuota { path });
    let no_quota = quotas.prop_map(|path| Wish::DeleteQuota { path });
    let multi = prop::collection::vec(simple(), 0..5).prop_map(Wish::Multi);
    let wish = prop_oneof![
        12 => simple(),
        2 => multi,
        1 => Just(Wish::CreateSession),
        1 => lists_paths.prop_map(|lists_paths| Wish::CloseSession { lists_paths }),
        1 => quota,
        1 => no_quota,
    ];
    let session = prop_oneof![Just(0x0100_0000_0000_0001), Just(2), Just(0x7f00_0000_0000_0003)];
    prop::collection::vec((session.prop_map(SessionId), wish), 1..60).boxed()
}

fn simple() -> impl Strategy<Value = Wish> {
    let create = (path(), data(), acl(), kind());
    prop_oneof![
        6 => create.prop_map(|(path, data, acl, kind)| Wish::Create { path, data, acl, kind }),
        4 => path().prop_map(|path| Wish::Delete { path }),
        1 => path().prop_map(|path| Wish::Reap { path }),
        3 => (path_or_root(), data()).prop_map(|(path, data)| Wish::SetData { path, data }),
        2 => (path_or_root(), acl()).prop_map(|(path, acl)| Wish::SetAcl { path, acl }),
        1 => path_or_root().prop_map(|path| Wish::Check { path }),
    ]
}

fn path() -> impl Strategy<Value = String> {
    "(/[abü]){1,3}"
}

fn path_or_root() -> impl Strategy<Value = String> {
    prop_oneof![1 => Just("/".to_owned()), 8 => path()]
}

fn data() -> impl Strategy<Value = Option<Vec<u8>>> {
    let filled = |length| (any::<u8>(), length).prop_map(|(byte, length)| Some(vec![byte; length]));
    prop_oneof![1 => Just(None), 8 => filled(0..40_usize), 1 => filled(1000..1100)]
}

fn acl() -> impl Strategy<Value = AclList> {
    prop_oneof![
        4 => Just(AclList::open()),
        1 => Just(acl_of("world:anyone:1")),
        1 => Just(acl_of("digest:someone:31")),
        1 => Just(acl_of("ip:10.0.0.1:15")),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Persistent(CreateCall::Create)),
        2 => Just(Kind::Persistent(CreateCall::Create2)),
        3 => Just(Kind::Ephemeral),
        2 => Just(Kind::Sequential),
        1 => Just(Kind::Container),
        1 => (1..100_000_i64).prop_map(Kind::Ttl),
    ]
}

/// The header of the transaction number `at`.
pub(crate) fn header(session: SessionId, at: usize) -> TxnHeader {
    let at = i64::try_from(at).expect("few");
    let (zxid, time_ms) = (Zxid::from_raw((5 << 32) + at), 1_700_000_000_000 + at);
    TxnHeader { session, cxid: Xid(1), zxid, time_ms }
}

/// The transaction that grants a wish in this state, or says why not.
pub(crate) fn decide(model: &Model, header: &TxnHeader, wish: &Wish) -> Txn {
    try_decide(model, header, wish).unwrap_or_else(|code| Txn::Error { code })
}

fn try_decide(model: &Model, header: &TxnHeader, wish: &Wish) -> Result<Txn, i32> {
    let session = header.session;
    let find = |path: &str| model.znodes.get(path.trim_end_matches('/')).ok_or(NO_NODE);
    let has_no_children = |path: &str| {
        if model.children(path).is_empty() { Ok(()) } else { Err(-111) }
    };
    Ok(match wish {
        Wish::CreateSession => Txn::CreateSession { timeout_ms: 4000 },
        Wish::CloseSession { lists_paths } => {
            let paths = || model.ephemerals(session).into_iter().map(Into::into).collect();
            Txn::CloseSession { paths: lists_paths.then(paths) }
        }
        Wish::Create { path, data, acl, kind } => {
            Txn::Create(create(model, header, (path, data.as_deref(), acl, *kind))?)
        }
        Wish::Delete { path } => {
            find(path)?;
            has_no_children(path)?;
            Txn::Delete { path: path.as_str().into() }
        }
        Wish::Reap { path } => {
            find(path)?;
            has_no_children(path)?;
            Txn::DeleteContainer { path: path.as_str().into() }
        }
        Wish::SetData { path, data } => Txn::SetData {
            path: path.as_str().into(),
            data: data.as_deref().map(Into::into),
            version: find(path)?.stored.version + 1,
        },
        Wish::SetAcl { path, acl } => Txn::SetAcl {
            path: path.as_str().into(),
            acl: acl.clone(),
            version: find(path)?.stored.aversion + 1,
        },
        Wish::Check { path } => {
            Txn::Check { path: path.as_str().into(), version: find(path)?.stored.version + 1 }
        }
        Wish::Multi(wishes) => multi(model, header, wishes),
        Wish::SetQuota { path } => multi(model, header, &set_quota(model, path)),
        Wish::DeleteQuota { path } => {
            let delete = |name| Wish::Delete { path: format!("/zookeeper/quota{path}/{name}") };
            multi(model, header, &[delete("zookeeper_limits"), delete("zookeeper_stats")])
        }
    })
}

fn create(
    model: &Model,
    header: &TxnHeader,
    (path, data, acl, kind): (&str, Option<&[u8]>, &AclList, Kind),
) -> Result<CreateTxn, i32> {
    let (parent, _) = path.rsplit_once('/').expect("a path");
    let parent = model.znodes.get(parent).ok_or(NO_NODE)?.stored;
    let path = match kind {
        Kind::Sequential => format!("{path}{:010}", parent.cversion),
        Kind::Persistent(_) | Kind::Ephemeral | Kind::Container | Kind::Ttl(_) => path.to_owned(),
    };
    if model.znodes.contains_key(&path) {
        return Err(-110);
    }
    let parent_is_ephemeral = {
        let owner = parent.owner.raw();
        owner != 0 && owner != i64::MIN && owner.cast_unsigned() >> 56 != 0xFF
    };
    if parent_is_ephemeral || (kind == Kind::Ephemeral && !has_session(model, header)) {
        return Err(-108);
    }
    let (call, ttl_ms) = match kind {
        Kind::Persistent(call) => (call, None),
        Kind::Ephemeral | Kind::Sequential => (CreateCall::Create2, None),
        Kind::Container => (CreateCall::Container, None),
        Kind::Ttl(ttl_ms) => (CreateCall::Ttl, Some(ttl_ms)),
    };
    Ok(CreateTxn {
        call,
        path: path.into(),
        data: data.map(Into::into),
        acl: acl.clone(),
        ephemeral: kind == Kind::Ephemeral,
        parent_cversion: Some(parent.cversion.wrapping_add(1)),
        ttl_ms,
    })
}

fn has_session(model: &Model, header: &TxnHeader) -> bool {
    model.sessions.contains_key(&header.session)
}

/// Decides each wish on the state that those before it lead to.
fn multi(model: &Model, header: &TxnHeader, wishes: &[Wish]) -> Txn {
    let mut model = model.clone();
    let mut failed = false;
    let txns = wishes.iter().map(|wish| {
        if failed {
            return Txn::Error { code: -2 };
        }
        let txn = decide(&model, header, wish);
        failed = matches!(txn, Txn::Error { .. });
        model.apply(header, &txn, &mut Vec::new());
        txn
    });
    Txn::Multi(txns.collect())
}

/// What the command line tool does to put a quota on a path, at once.
fn set_quota(model: &Model, path: &str) -> Vec<Wish> {
    let kind = Kind::Persistent(CreateCall::Create);
    let create = |path: String, data: &str| Wish::Create {
        path,
        data: Some(data.as_bytes().to_vec()),
        acl: AclList::open(),
        kind,
    };
    let mut wishes = Vec::new();
    let mut top = "/zookeeper/quota".to_owned();
    for name in path[1..].split('/') {
        top = format!("{top}/{name}");
        if !model.znodes.contains_key(&top) {
            wishes.push(create(top.clone(), ""));
        }
    }
    wishes.push(create(format!("{top}/zookeeper_limits"), "count=3,bytes=100"));
    wishes.push(create(format!("{top}/zookeeper_stats"), "count=0,bytes=0"));
    wishes
}
