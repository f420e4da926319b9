//! Answers to questions about the tree.
//!
//! The same code answers on the thread of the connection, for a session without a write in flight,
//! and on the replica's, for a read behind such a write. The answer is encoded straight from the
//! tree; a watch that the read asks for is handed to the caller, who sets it in his own way.

use std::borrow::Cow;

use tree::{Node, Tree};
use types::{
    ErrorCode, EventKind, MultiReadOp, Perms, Read, SessionId, SetWatches, Xid, Zxid, mutant,
};
use wire::event::WatchEvent;
use wire::limits::{ACL_BYTES_MIN, TEXT_BYTES_MIN};
use wire::reply::{Body, ClientInfo, MultiReadEncoder, Reply, encode_children};

use crate::access::{AccessOptions, Identities, user_name};
use crate::watch::WatchKind;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) access: &'a AccessOptions,
    pub(crate) identities: &'a Identities,
    pub(crate) session: SessionId,
}

impl Asker<'_> {
    fn may(&self, node: Node<'_>, perms: Perms) -> bool {
        node.is_open() || self.access.allows(node.acl(), perms, self.identities)
    }

    /// The znode, if it is there and may be read.
    fn readable<'t>(&self, tree: &'t Tree, path: &str) -> Result<Node<'t>, ErrorCode> {
        let node = tree.find(path).ok_or(ErrorCode::NoNode)?;
        if self.may(node, Perms::READ) { Ok(node) } else { Err(ErrorCode::NoAuth) }
    }
}

/// Whether a request is about the watches of its connection alone, so that the tree can not answer
/// it.
pub(crate) fn concerns_watches_only(read: &Read<'_>) -> bool {
    matches!(read, Read::AddWatch { .. } | Read::CheckWatches { .. } | Read::RemoveWatches { .. })
}

/// Whether the answer has more than so many bytes, or takes as many steps, as the tree is now.
pub(crate) fn is_longer(bytes: usize, tree: &Tree, session: SessionId, read: &Read<'_>) -> bool {
    let data = |path: &str| tree.find(path).map_or(0, Node::data_bytes);
    let names = |path: &str| {
        let children = tree.find(path).into_iter().flat_map(Node::children);
        children.map(|child| TEXT_BYTES_MIN + child.name().len())
    };
    match read {
        Read::GetData { path, .. } => data(path) > bytes,
        Read::GetChildren { path, .. } | Read::GetChildren2 { path, .. } => {
            is_more(bytes, names(path))
        }
        Read::GetAcl { path } => {
            let entries = tree.find(path).into_iter().flat_map(|node| node.acl().iter());
            is_more(
                bytes,
                entries.map(|entry| ACL_BYTES_MIN + entry.id.scheme.len() + entry.id.id.len()),
            )
        }
        Read::GetEphemerals { .. } => {
            is_more(bytes, tree.ephemerals(session).map(|path| TEXT_BYTES_MIN + path.len()))
        }
        Read::MultiRead(ops) => is_more(
            bytes,
            ops.iter().map(|op| match op {
                MultiReadOp::GetData { path } => data(path),
                MultiReadOp::GetChildren { path } => names(path).take(bytes + 1).sum(),
            }),
        ),
        Read::SetWatches(watches) => {
            let SetWatches { data, exist, child, .. } = &**watches;
            let looked_at = [data, exist, child].into_iter().flatten();
            is_more(bytes, looked_at.map(|path| TEXT_BYTES_MIN + path.len()))
        }
        Read::Exists { .. }
        | Read::GetAllChildrenNumber { .. }
        | Read::WhoAmI
        | Read::AddWatch { .. }
        | Read::CheckWatches { .. }
        | Read::RemoveWatches { .. }
        | Read::Rejected(_) => false,
    }
}

/// Whether parts come to more than so many bytes; they are added up no further than needed.
fn is_more(bytes: usize, mut parts: impl Iterator<Item = usize>) -> bool {
    parts.try_fold(bytes, usize::checked_sub).is_none()
}

/// Appends the answer to a question about the tree; `watch` is told of the watches to set.
///
/// Requests for which [`concerns_watches_only`] holds are answered by the connection's frontend;
/// here they are refused.
pub(crate) fn answer(
    tree: &Tree,
    asker: Asker<'_>,
    xid: Xid,
    read: &Read<'_>,
    out: &mut Vec<u8>,
    watch: &mut impl FnMut(&str, WatchKind),
) {
    let zxid = tree.last_applied();
    let result = match read {
        Read::GetData { path, watch: wanted } => asker.readable(tree, path).map(|node| {
            if *wanted {
                watch(path, WatchKind::Data);
            }
            let body = Body::Data { data: node.data(), stat: &node.stat() };
            Reply { xid, zxid, result: Ok(body) }.encode(out);
        }),
        Read::Exists { path, watch: wanted } => {
            exists(tree, asker, path, *wanted, watch).map(|node| {
                Reply { xid, zxid, result: Ok(Body::Stat(&node.stat())) }.encode(out);
            })
        }
        Read::GetChildren { path, watch: wanted } => asker.readable(tree, path).map(|node| {
            if *wanted {
                watch(path, WatchKind::Children);
            }
            encode_children(out, xid, zxid, node.children().map(Node::name), None);
        }),
        Read::GetChildren2 { path, watch: wanted } => asker.readable(tree, path).map(|node| {
            if *wanted {
                watch(path, WatchKind::Children);
            }
            let names = node.children().map(Node::name);
            encode_children(out, xid, zxid, names, Some(&node.stat()));
        }),
        Read::GetAcl { path } => get_acl(tree, asker, path, xid, out),
        Read::GetAllChildrenNumber { path } => asker.readable(tree, path).map(|node| {
            let count = i32::try_from(node.num_descendants()).unwrap_or(i32::MAX);
            Reply { xid, zxid, result: Ok(Body::Count(count)) }.encode(out);
        }),
        Read::GetEphemerals { prefix } => {
            let paths = ephemerals(tree, asker, prefix.as_deref());
            encode_children(out, xid, zxid, paths.iter().map(String::as_str), None);
            Ok(())
        }
        Read::WhoAmI => {
            who_am_i(asker, xid, zxid, out);
            Ok(())
        }
        Read::MultiRead(ops) => {
            multi_read(tree, asker, xid, ops, out);
            Ok(())
        }
        Read::SetWatches(watches) => {
            set_watches(tree, asker, watches, out, watch);
            Reply { xid, zxid, result: Ok(Body::Empty) }.encode(out);
            Ok(())
        }
        Read::Rejected(code) => Err(*code),
        Read::AddWatch { .. } | Read::CheckWatches { .. } | Read::RemoveWatches { .. } => {
            Err(ErrorCode::MarshallingError)
        }
    };
    if let Err(code) = result {
        Reply { xid, zxid, result: Err(code) }.encode(out);
    }
}

/// The session's ephemeral znodes below a prefix; all of them if it is blank or the root.
fn ephemerals(tree: &Tree, asker: Asker<'_>, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.filter(|prefix| !matches!(prefix.trim(), "" | "/"));
    tree.ephemerals(asker.session)
        .filter(|path| prefix.is_none_or(|prefix| path.starts_with(prefix)))
        .collect()
}

/// The znode, if it is there and may be read. The watch is set also where there is none.
fn exists<'t>(
    tree: &'t Tree,
    asker: Asker<'_>,
    path: &str,
    wanted: bool,
    watch: &mut impl FnMut(&str, WatchKind),
) -> Result<Node<'t>, ErrorCode> {
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    let node = asker.readable(tree, path);
    let is_lost = mutant::active(109) && node.is_err();
    if wanted && node.as_ref().err() != Some(&ErrorCode::NoAuth) && !is_lost {
        watch(path, WatchKind::Data);
    }
    node
}

fn get_acl(
    tree: &Tree,
    asker: Asker<'_>,
    path: &str,
    xid: Xid,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let node = tree.find(path).ok_or(ErrorCode::NoNode)?;
    let may_administer = asker.may(node, Perms::ADMIN);
    if !may_administer && !asker.may(node, Perms::READ) {
        return Err(ErrorCode::NoAuth);
    }
    let acl =
        if may_administer { node.acl().clone() } else { AccessOptions::masked_list(node.acl()) };
    let body = Body::Acl { acl: &acl, stat: &node.stat() };
    Reply { xid, zxid: tree.last_applied(), result: Ok(body) }.encode(out);
    Ok(())
}

fn who_am_i(asker: Asker<'_>, xid: Xid, zxid: Zxid, out: &mut Vec<u8>) {
    let infos: Vec<ClientInfo<'_>> = asker
        .identities
        .iter()
        .map(|id| ClientInfo {
            scheme: Cow::Borrowed(&id.scheme),
            user: Cow::Borrowed(user_name(id)),
        })
        .collect();
    Reply { xid, zxid, result: Ok(Body::WhoAmI(&infos)) }.encode(out);
}

fn multi_read(tree: &Tree, asker: Asker<'_>, xid: Xid, ops: &[MultiReadOp<'_>], out: &mut Vec<u8>) {
    let mut results = MultiReadEncoder::new(out, xid, tree.last_applied());
    for op in ops {
        match op {
            MultiReadOp::GetData { path } => match asker.readable(tree, path) {
                Ok(node) => results.data(node.data(), &node.stat()),
                Err(code) => results.failed(code),
            },
            MultiReadOp::GetChildren { path } => match asker.readable(tree, path) {
                Ok(node) => results.children(node.children().map(Node::name)),
                Err(code) => results.failed(code),
            },
        }
    }
    results.finish();
}

/// Tells a reconnected client what it missed, and sets the other watches again.
///
/// A change of a znode that the client may not read is not told; Java tells it.
fn set_watches(
    tree: &Tree,
    asker: Asker<'_>,
    watches: &SetWatches<'_>,
    out: &mut Vec<u8>,
    watch: &mut impl FnMut(&str, WatchKind),
) {
    let seen = watches.relative_zxid;
    let mut tell = |path: &str, node: Option<Node<'_>>, kind: EventKind| {
        if node.is_none_or(|node| asker.may(node, Perms::READ)) {
            WatchEvent { zxid: None, kind, path: Cow::Borrowed(path) }.encode(out);
        }
    };
    for path in &watches.data {
        match tree.find(path) {
            None => tell(path, None, EventKind::NodeDeleted),
            Some(node) if node.stat().mzxid > seen && !mutant::active(55) => {
                tell(path, Some(node), EventKind::NodeDataChanged);
            }
            Some(_) => watch(path, WatchKind::Data),
        }
    }
    for path in &watches.exist {
        match tree.find(path) {
            Some(node) => tell(path, Some(node), EventKind::NodeCreated),
            None => watch(path, WatchKind::Data),
        }
    }
    for path in &watches.child {
        match tree.find(path) {
            None => tell(path, None, EventKind::NodeDeleted),
            Some(node) if node.stat().pzxid > seen => {
                tell(path, Some(node), EventKind::NodeChildrenChanged);
            }
            Some(_) => watch(path, WatchKind::Children),
        }
    }
    for path in &watches.persistent {
        watch(path, WatchKind::Persistent);
    }
    for path in &watches.persistent_recursive {
        watch(path, WatchKind::PersistentRecursive);
    }
}
