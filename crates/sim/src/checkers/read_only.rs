//! P13: a server without a leader serves those who are content with reads. Whether it shows states that
//! were is seen by [`super::replay`].

use std::collections::BTreeMap;

use types::{ConnId, ErrorCode, Op, Zxid};

use super::{Case, Promise, Violation};
use crate::history::ClientId;

/// Checks that nothing is done there, and that nobody is shown less than before.
///
/// # Errors
/// The first answer that should not have been given.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    nothing_is_done(case)?;
    nobody_goes_back(case)
}

/// Writes and syncs are refused, and for no other reason.
fn nothing_is_done(case: &Case<'_>) -> Result<(), Violation> {
    let asked = case.aside.iter().filter(|it| matches!(it.op, Op::Write(_) | Op::Sync { .. }));
    for operation in asked {
        let Some(reply) = operation.reply else { continue };
        if *reply.result != Err(ErrorCode::NotReadOnly) {
            let detail = format!("{} {:?} got {:?}", operation.label(), operation.op, reply.result);
            return Err(Violation::new(Promise::P13, detail));
        }
    }
    Ok(())
}

/// A client whom others have shown a later state is not served, nor shown less over one connection. What it has seen
/// elsewhere without a leader counts for nothing: that may have ended since.
fn nobody_goes_back(case: &Case<'_>) -> Result<(), Violation> {
    let all = case.operations.iter().chain(&case.aside);
    let mut replied: Vec<_> =
        all.filter_map(|operation| Some((operation.reply?.came, operation))).collect();
    replied.sort_by_key(|(came, _)| *came);
    let mut led: BTreeMap<ClientId, Zxid> = BTreeMap::new();
    let mut aside: BTreeMap<ConnId, Zxid> = BTreeMap::new();
    for (_, operation) in replied {
        let Some(zxid) = operation.zxid() else { continue };
        let led = led.entry(operation.client).or_default();
        if !operation.is_aside {
            *led = zxid.max(*led);
            continue;
        }
        let aside = aside.entry(operation.conn).or_default();
        let before = (*aside).max(*led);
        if zxid < before {
            let detail = format!("{} shows {zxid} after {before}", operation.label());
            return Err(Violation::new(Promise::P13, detail));
        }
        *aside = zxid;
    }
    Ok(())
}
