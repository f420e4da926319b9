//! Refuses writes before they are handed over (`enableEagerACLCheck`).
//!
//! The check against what is decided but not applied follows in any case; this one spares the log,
//! and in an ensemble the leader, the writes of those who have no permission. It is made for the
//! operations that Apache makes it for.

use tree::Tree;
use types::{AclList, CreateCall, ErrorCode, Perms, Write, path};

use crate::access::{AccessOptions, Identities};

/// Why the write is refused already; `None` lets it go on, also where something is missing.
pub(crate) fn refusal(
    tree: &Tree,
    access: &AccessOptions,
    identities: &Identities,
    write: &Write<'_>,
) -> Option<ErrorCode> {
    let is_storable = |acl: &AclList| access.stored_list(acl, identities).map(drop);
    let parent = |path| path::split(path).map(|(parent, _)| parent);
    let (path, perms) = match write {
        Write::Create(create) => match create.call {
            CreateCall::Create | CreateCall::Create2 => {
                if let Err(code) = is_storable(&create.acl) {
                    return Some(code);
                }
                (parent(&create.path)?, Perms::CREATE)
            }
            CreateCall::Container | CreateCall::Ttl => return None,
        },
        Write::Delete { path, .. } => (parent(path)?, Perms::DELETE),
        Write::SetData { path, .. } => (&**path, Perms::WRITE),
        Write::SetAcl { path, acl, .. } => {
            if let Err(code) = is_storable(acl) {
                return Some(code);
            }
            (&**path, Perms::ADMIN)
        }
        Write::DeleteContainer { .. }
        | Write::Multi(_)
        | Write::Reconfig(_)
        | Write::CreateSession { .. }
        | Write::Rejected(_) => return None,
    };
    let node = tree.find(if path.is_empty() { path::ROOT } else { path })?;
    (!access.allows(node.acl(), perms, identities)).then_some(ErrorCode::NoAuth)
}
