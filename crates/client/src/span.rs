//! What a trace shows of a request: which operation it is, and where. Neither data nor credentials.

use tracing::{Span, debug_span};
use types::{Create, Op, Read, Write};

/// The span of a request, from its first poll to its answer.
pub(crate) fn of_request(op: &Op<'_>) -> Span {
    debug_span!("request", op = name(op), path = path(op))
}

fn name(op: &Op<'_>) -> &'static str {
    match op {
        Op::Ping => "ping",
        Op::Auth(_) => "add_auth",
        Op::Sasl(_) => "sasl",
        Op::Sync { .. } => "sync",
        Op::CloseSession => "close",
        Op::Read(read) => match read {
            Read::Exists { .. } => "exists",
            Read::GetData { .. } => "get_data",
            Read::GetAcl { .. } => "get_acl",
            Read::GetChildren { .. } | Read::GetChildren2 { .. } => "get_children",
            Read::GetAllChildrenNumber { .. } => "get_all_children_number",
            Read::GetEphemerals { .. } => "get_ephemerals",
            Read::WhoAmI => "whoami",
            Read::MultiRead(_) => "multi_read",
            Read::AddWatch { .. } => "add_watch",
            Read::CheckWatches { .. } => "has_watch",
            Read::RemoveWatches { .. } => "remove_watches",
            Read::SetWatches(_) => "set_watches",
            Read::Rejected(_) => "rejected",
        },
        Op::Write(write) => match write {
            Write::Create(_) => "create",
            Write::Delete { .. } => "delete",
            Write::DeleteContainer { .. } => "delete_container",
            Write::SetData { .. } => "set_data",
            Write::SetAcl { .. } => "set_acl",
            Write::Multi(_) => "transaction",
            Write::Reconfig(_) => "reconfig",
            Write::CreateSession { .. } => "create_session",
            Write::Rejected(_) => "rejected",
        },
    }
}

/// Where it is, as the application says; `None` for what is nowhere, or at several places.
fn path<'o>(op: &'o Op<'_>) -> Option<&'o str> {
    match op {
        Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::CloseSession => None,
        Op::Sync { path } => Some(path),
        Op::Read(read) => match read {
            Read::Exists { path, .. }
            | Read::GetData { path, .. }
            | Read::GetAcl { path }
            | Read::GetChildren { path, .. }
            | Read::GetChildren2 { path, .. }
            | Read::GetAllChildrenNumber { path }
            | Read::AddWatch { path, .. }
            | Read::CheckWatches { path, .. }
            | Read::RemoveWatches { path, .. } => Some(path),
            Read::GetEphemerals { prefix } => prefix.as_deref(),
            Read::WhoAmI | Read::MultiRead(_) | Read::SetWatches(_) | Read::Rejected(_) => None,
        },
        Op::Write(write) => match write {
            Write::Create(Create { path, .. })
            | Write::Delete { path, .. }
            | Write::DeleteContainer { path }
            | Write::SetData { path, .. }
            | Write::SetAcl { path, .. } => Some(path),
            Write::Multi(_)
            | Write::Reconfig(_)
            | Write::CreateSession { .. }
            | Write::Rejected(_) => None,
        },
    }
}
