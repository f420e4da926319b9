//! P2, P3, S5 and the real-time half of P1 and P12: everything that only compares orders.

use std::collections::BTreeMap;

use types::{ConnId, Op, SessionId, Xid, Zxid};

use super::{Case, Promise, Reads, Violation, is_internal, is_left_behind};
use crate::model::Sessions;
use crate::operations::Operation;

/// Checks the order of replies on each connection, of zxids in each session, of transactions
/// against the order in which they were asked for, and of all of them against real time.
///
/// # Errors
/// The first order that does not hold.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    replies_in_order(case)?;
    zxids_never_decrease(case)?;
    executed_in_order(case)?;
    sees_earlier_writes(case)?;
    agrees_with_real_time(case)
}

/// S5: ordinary replies come in the order of their requests.
fn replies_in_order(case: &Case<'_>) -> Result<(), Violation> {
    let mut last: BTreeMap<ConnId, &Operation<'_>> = BTreeMap::new();
    let ordinary =
        case.operations.iter().filter(|operation| !matches!(operation.xid, Xid::PING | Xid::AUTH));
    let mut unanswered: BTreeMap<ConnId, &Operation<'_>> = BTreeMap::new();
    for operation in ordinary {
        let Some(reply) = operation.reply else {
            unanswered.entry(operation.conn).or_insert(operation);
            continue;
        };
        if let Some(skipped) = unanswered.get(&operation.conn) {
            let detail = format!("{} was answered before {}", operation.label(), skipped.label());
            return Err(Violation::new(Promise::S5, detail));
        }
        if let Some(before) = last.insert(operation.conn, operation)
            && before.reply.is_some_and(|earlier| earlier.came > reply.came)
        {
            let detail = format!("{} was answered before {}", operation.label(), before.label());
            return Err(Violation::new(Promise::S5, detail));
        }
    }
    Ok(())
}

/// P3, and P2's "write zxids strictly increase".
fn zxids_never_decrease(case: &Case<'_>) -> Result<(), Violation> {
    let mut replied: Vec<_> = case
        .operations
        .iter()
        .filter_map(|operation| Some((operation.reply?, operation.zxid()?, operation)))
        .collect();
    replied.sort_by_key(|(reply, ..)| reply.came);
    let mut seen: BTreeMap<SessionId, (Zxid, &Operation<'_>)> = BTreeMap::new();
    let mut written: BTreeMap<SessionId, (Zxid, &Operation<'_>)> = BTreeMap::new();
    for (_, zxid, operation) in replied {
        if let Some((before, earlier)) = seen.insert(operation.session, (zxid, operation))
            && before > zxid
        {
            let detail = format!(
                "{} shows {zxid} after {} showed {before}",
                operation.label(),
                earlier.label()
            );
            return Err(Violation::new(Promise::P3, detail));
        }
        if operation.is_write()
            && let Some((before, earlier)) = written.insert(operation.session, (zxid, operation))
            && before >= zxid
        {
            let detail = format!(
                "{} was written at {zxid}, {} at {before}",
                operation.label(),
                earlier.label()
            );
            return Err(Violation::new(Promise::P2, detail));
        }
    }
    Ok(())
}

/// P2: the transactions of a session are in the order of its requests, and those of a connection
/// are the first of its requests.
fn executed_in_order(case: &Case<'_>) -> Result<(), Violation> {
    let zxids = done(case);
    let mut last: BTreeMap<SessionId, (Zxid, &Operation<'_>)> = BTreeMap::new();
    let mut left_out: BTreeMap<ConnId, &Operation<'_>> = BTreeMap::new();
    for operation in case.operations.iter().filter(|operation| operation.is_write()) {
        let Some(&zxid) = zxids.get(&(operation.session, operation.xid)) else {
            left_out.entry(operation.conn).or_insert(operation);
            continue;
        };
        if let Some(skipped) = left_out.get(&operation.conn) {
            let detail = format!("{} was done, but not {}", operation.label(), skipped.label());
            return Err(Violation::new(Promise::P2, detail));
        }
        if let Some((before, earlier)) = last.insert(operation.session, (zxid, operation))
            && before > zxid
        {
            let detail = format!("{} was done before {}", operation.label(), earlier.label());
            return Err(Violation::new(Promise::P2, detail));
        }
    }
    Ok(())
}

/// P2: a request sees every write that its session asked for before it, if that is done at all,
/// also one sent over an earlier connection. But a local session comes back without a word to the leader, which may
/// still have what was asked when the connection broke.
fn sees_earlier_writes(case: &Case<'_>) -> Result<(), Violation> {
    let zxids = done(case);
    let mut written: BTreeMap<SessionId, (Zxid, &Operation<'_>)> = BTreeMap::new();
    for operation in &case.operations {
        if let (Some(zxid), Some((before, write))) =
            (operation.zxid(), written.get(&operation.session))
            && zxid < *before
            && !matches!(operation.op, Op::Ping)
            && !(case.rules.sessions == Sessions::Local && was_left_unanswered(write, operation))
        {
            let detail = format!(
                "{} shows {zxid}, but {} before it was done at {before}",
                operation.label(),
                write.label()
            );
            return Err(Violation::new(Promise::P2, detail));
        }
        if let Some(&zxid) = zxids.get(&(operation.session, operation.xid)) {
            written.insert(operation.session, (zxid, operation));
        }
    }
    Ok(())
}

/// Whether a write had no answer when its session came back over another connection.
fn was_left_unanswered(write: &Operation<'_>, operation: &Operation<'_>) -> bool {
    write.reply.is_none() && write.conn != operation.conn
}

/// Where each request that became a transaction stands.
fn done(case: &Case<'_>) -> BTreeMap<(SessionId, Xid), Zxid> {
    case.history
        .log
        .iter()
        .filter(|logged| !is_internal(logged) && !is_left_behind(case, logged))
        .map(|logged| ((logged.header.session, logged.header.cxid), logged.header.zxid))
        .collect()
}

/// P1, P12: what was answered before a request was sent comes before it in the order.
fn agrees_with_real_time(case: &Case<'_>) -> Result<(), Violation> {
    let mut replied: Vec<_> = case
        .operations
        .iter()
        .filter_map(|operation| Some((operation.reply?, operation.zxid()?, operation)))
        .collect();
    replied.sort_by_key(|(reply, ..)| reply.came);
    let mut by_invocation: Vec<_> = replied.iter().collect();
    by_invocation.sort_by_key(|(_, _, operation)| operation.invoked);
    // The highest zxid acknowledged by a write so far, as requests are sent one by one.
    let mut acknowledged: Option<(Zxid, &Operation<'_>)> = None;
    let mut writes = replied.iter().filter(|(_, _, operation)| operation.is_write()).peekable();
    for (_, zxid, operation) in by_invocation {
        while let Some((_, done, write)) =
            writes.next_if(|(reply, ..)| reply.came < operation.invoked)
        {
            if acknowledged.is_none_or(|(highest, _)| *done > highest) {
                acknowledged = Some((*done, write));
            }
        }
        let Some((highest, write)) = acknowledged else { continue };
        let (promise, holds) = match operation.op {
            Op::Write(_) => (Promise::P1, *zxid > highest),
            Op::CloseSession if operation.is_write() => (Promise::P1, *zxid > highest),
            Op::Sync { .. } => (Promise::P12, *zxid >= highest),
            // A ping shows what its thread has seen, not what there is.
            Op::Ping | Op::Auth(_) | Op::Sasl(_) => continue,
            Op::Read(_) | Op::CloseSession => {
                (Promise::P12, case.reads == Reads::MayLag || *zxid >= highest)
            }
        };
        if !holds {
            let detail = format!(
                "{} is at {zxid}, though {} was acknowledged at {highest} before it was sent",
                operation.label(),
                write.label()
            );
            return Err(Violation::new(promise, detail));
        }
    }
    Ok(())
}
