//! Short names for what clients ask.

use std::borrow::Cow;

use types::{
    Acl, AclList, AuthPacket, Create, CreateCall, CreateMode, MultiOp, Op, Read, WatchMode,
    WatcherKind, Write,
};

/// Creates a znode that anyone may use.
pub(crate) fn create(path: &str) -> Op<'_> {
    create_as(path, CreateMode::Persistent)
}

/// The same of another kind.
pub(crate) fn create_as(path: &str, mode: CreateMode) -> Op<'_> {
    Op::Write(Write::Create(creation(path, mode)))
}

/// Creates a znode with an access control list.
pub(crate) fn create_for(path: &str, acl: AclList) -> Op<'_> {
    let create = Create { acl, ..creation(path, CreateMode::Persistent) };
    Op::Write(Write::Create(create))
}

fn creation(path: &str, mode: CreateMode) -> Create<'_> {
    let call = match mode {
        CreateMode::Container => CreateCall::Container,
        CreateMode::PersistentWithTtl(_) | CreateMode::PersistentSequentialWithTtl(_) => {
            CreateCall::Ttl
        }
        _ => CreateCall::Create,
    };
    let data = Some(Cow::Borrowed(&b"new"[..]));
    Create { call, path: path.into(), data, acl: AclList::open(), mode }
}

/// A creation within a multi.
pub(crate) fn part_create(path: &str, mode: CreateMode) -> MultiOp<'_> {
    MultiOp::Create(creation(path, mode))
}

/// A change of data within a multi.
pub(crate) fn part_set<'a>(path: &'a str, data: &'a str) -> MultiOp<'a> {
    let data = Some(Cow::Borrowed(data.as_bytes()));
    MultiOp::SetData { path: path.into(), data, version: None }
}

/// A deletion within a multi.
pub(crate) fn part_delete(path: &str) -> MultiOp<'_> {
    MultiOp::Delete { path: path.into(), version: None }
}

/// A condition within a multi.
pub(crate) fn part_check(path: &str, version: i32) -> MultiOp<'_> {
    MultiOp::Check { path: path.into(), version: Some(version) }
}

/// All or nothing.
pub(crate) fn multi(parts: Vec<MultiOp<'_>>) -> Op<'_> {
    Op::Write(Write::Multi(parts))
}

/// Sets data.
pub(crate) fn set<'a>(path: &'a str, data: &'a str) -> Op<'a> {
    let data = Some(Cow::Borrowed(data.as_bytes()));
    Op::Write(Write::SetData { path: path.into(), data, version: None })
}

/// Deletes a znode.
pub(crate) fn delete(path: &str) -> Op<'_> {
    Op::Write(Write::Delete { path: path.into(), version: None })
}

/// Replaces an access control list.
pub(crate) fn set_acl(path: &str, acl: AclList) -> Op<'_> {
    Op::Write(Write::SetAcl { path: path.into(), acl, version: None })
}

/// Reads data.
pub(crate) fn get(path: &str) -> Op<'_> {
    Op::Read(Read::GetData { path: path.into(), watch: false })
}

/// Reads data and watches it.
pub(crate) fn watch(path: &str) -> Op<'_> {
    Op::Read(Read::GetData { path: path.into(), watch: true })
}

/// Looks whether there is a znode, and watches it.
pub(crate) fn watch_exists(path: &str) -> Op<'_> {
    Op::Read(Read::Exists { path: path.into(), watch: true })
}

/// Reads the names of children.
pub(crate) fn children(path: &str) -> Op<'_> {
    Op::Read(Read::GetChildren { path: path.into(), watch: false })
}

/// Reads the names of children and watches them.
pub(crate) fn watch_children(path: &str) -> Op<'_> {
    Op::Read(Read::GetChildren { path: path.into(), watch: true })
}

/// Sets a watch that stays.
pub(crate) fn add_watch(path: &str, mode: WatchMode) -> Op<'_> {
    Op::Read(Read::AddWatch { path: path.into(), mode })
}

/// Removes all watches at a path.
pub(crate) fn remove_watches(path: &str) -> Op<'_> {
    Op::Read(Read::RemoveWatches { path: path.into(), kind: WatcherKind::Any })
}

/// The session's own ephemerals.
pub(crate) fn ephemerals() -> Op<'static> {
    Op::Read(Read::GetEphemerals { prefix: None })
}

/// Waits for everything that was decided.
pub(crate) fn sync(path: &str) -> Op<'_> {
    Op::Sync { path: path.into() }
}

/// Presents the credentials `user:password`.
pub(crate) fn authenticate(credentials: &str) -> Op<'_> {
    let auth = Some(Cow::Borrowed(credentials.as_bytes()));
    Op::Auth(AuthPacket { scheme: "digest".into(), auth })
}

/// A list that gives everything to those who are authenticated as the asking client is.
pub(crate) fn mine() -> AclList {
    vec![Acl { perms: types::Perms::ALL, id: types::Id::new("auth", "") }].into()
}
