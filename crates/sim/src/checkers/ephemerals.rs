//! P9: at every zxid, the owner of every ephemeral znode is a live session.

use types::{SessionId, Txn};

use super::{Case, Promise, Violation};

/// Replays the log and looks at the owners after each transaction.
///
/// # Errors
/// An ephemeral znode was made by a dead session, or outlived or was left out of the end of its
/// session.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    let mut model = case.model();
    for logged in &case.history.log {
        let (header, zxid) = (&logged.header, logged.header.zxid);
        if creates_ephemeral(&logged.txn) && !model.is_live(header.session) {
            let detail = format!("session {} is over, yet creates at {zxid}", header.session);
            return Err(Violation::new(Promise::P9, detail));
        }
        if let Txn::CloseSession { paths: Some(paths) } = &logged.txn {
            check_closing_list(&model.owned_by(header.session), paths, header.session)?;
        }
        model.apply(header, &logged.txn);
        if let Some((path, owner)) = model.ephemerals().find(|&(_, owner)| !model.is_live(owner)) {
            let detail = format!("{path} of session {owner}, which is over, is there at {zxid}");
            return Err(Violation::new(Promise::P9, detail));
        }
    }
    Ok(())
}

fn check_closing_list(
    owned: &[String],
    listed: &[Box<str>],
    session: SessionId,
) -> Result<(), Violation> {
    let mut listed: Vec<&str> = listed.iter().map(|path| &**path).collect();
    listed.sort_unstable();
    if listed.iter().eq(owned) {
        return Ok(());
    }
    let detail = format!("session {session} owns {owned:?}, but its end lists {listed:?}");
    Err(Violation::new(Promise::P9, detail))
}

fn creates_ephemeral(txn: &Txn) -> bool {
    match txn {
        Txn::Create(create) => create.ephemeral,
        Txn::Multi(parts) => !txn.is_failed_multi() && parts.iter().any(creates_ephemeral),
        Txn::CreateSession { .. }
        | Txn::CloseSession { .. }
        | Txn::Delete { .. }
        | Txn::DeleteContainer { .. }
        | Txn::SetData { .. }
        | Txn::Reconfig { .. }
        | Txn::SetAcl { .. }
        | Txn::Error { .. }
        | Txn::Check { .. } => false,
    }
}
