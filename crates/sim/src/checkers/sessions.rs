//! P8: the life of sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::{Epoch, Instant, MultiOp, Op, SessionId, Txn, Write, Xid, Zxid};

use super::{Case, Promise, Reads, Violation};
use crate::history::{Event, Fault, LoggedTxn};
use crate::model::Sessions;
use crate::operations::Operation;

/// How much of a duration has surely passed when the fastest clock says that it has.
const SURELY_PASSED_PERMILLE: u32 = 900;

/// Checks that ids are used once, that nothing happens in a session that is over, that clients are
/// told so, and that none expires before its timeout.
///
/// # Errors
/// The first breach.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    let lives = lives(case)?;
    requests_within_lives(case, &lives)?;
    if case.rules.sessions == Sessions::Local {
        local_ones_stay_where_they_are(case, &lives)?;
        none_is_made_known_without_need(case, &lives)?;
    }
    clients_are_told(case)?;
    match case.reads {
        Reads::AreFresh => none_expires_early(case, &lives),
        // Whoever heard the client may not have been able to tell the leader.
        Reads::MayLag => none_expires_early_in_a_reign(case, &lives),
    }
}

/// A session's place in the order.
#[derive(Debug)]
struct Life {
    timeout_ms: i32,
    opened: Zxid,
    closed: Option<Zxid>,
    /// When it was expired by the server, where that was seen.
    expired: Option<Instant>,
}

fn lives(case: &Case<'_>) -> Result<BTreeMap<SessionId, Life>, Violation> {
    let mut lives: BTreeMap<SessionId, Life> = BTreeMap::new();
    for logged in &case.history.log {
        let (session, zxid) = (logged.header.session, logged.header.zxid);
        match &logged.txn {
            Txn::CreateSession { timeout_ms } => {
                let life =
                    Life { timeout_ms: *timeout_ms, opened: zxid, closed: None, expired: None };
                if lives.insert(session, life).is_some() {
                    return broken(format!("session {session} is opened again at {zxid}"));
                }
            }
            Txn::CloseSession { .. } => {
                let Some(life) = lives.get_mut(&session) else {
                    return broken(format!("session {session} ends at {zxid} without a start"));
                };
                if let Some(closed) = life.closed {
                    return broken(format!("session {session} ends at {closed} and at {zxid}"));
                }
                life.closed = Some(zxid);
                life.expired = expiry(logged);
            }
            Txn::Error { .. } => {}
            Txn::DeleteContainer { .. } if logged.header.cxid == Xid::INTERNAL => {}
            Txn::Create(_)
            | Txn::Delete { .. }
            | Txn::DeleteContainer { .. }
            | Txn::SetData { .. }
            | Txn::Reconfig { .. }
            | Txn::SetAcl { .. }
            | Txn::Check { .. }
            | Txn::Multi(_) => {
                let is_live = match lives.get(&session) {
                    Some(life) => life.closed.is_none(),
                    None => case.rules.sessions == Sessions::Local,
                };
                if !is_live && !logged.txn.is_failed_multi() {
                    return broken(format!("session {session} is not open, yet writes at {zxid}"));
                }
            }
        }
    }
    Ok(lives)
}

fn expiry(logged: &LoggedTxn) -> Option<Instant> {
    if logged.header.cxid == Xid::INTERNAL { logged.at } else { None }
}

/// No reply shows a state before the session's start or after its end, but that of the end itself.
fn requests_within_lives(
    case: &Case<'_>,
    lives: &BTreeMap<SessionId, Life>,
) -> Result<(), Violation> {
    for operation in case.operations.iter().filter(|operation| !operation.is_local) {
        let (Some(zxid), Some(reply)) = (operation.zxid(), operation.reply) else { continue };
        if reply.result.is_err() {
            continue;
        }
        let Some(life) = lives.get(&operation.session) else {
            return broken(format!(
                "{} was served in session {}, which the log does not know",
                operation.label(),
                operation.session
            ));
        };
        let is_end = matches!(operation.op, Op::CloseSession) && life.closed == Some(zxid);
        let is_early = zxid < life.opened && case.rules.sessions == Sessions::Global;
        if is_early || (life.closed.is_some_and(|closed| zxid >= closed) && !is_end) {
            return broken(format!(
                "{} was served at {zxid} in session {}, which lived from {} to {:?}",
                operation.label(),
                operation.session,
                life.opened,
                life.closed
            ));
        }
    }
    Ok(())
}

/// A session is served by the server that opened it, until the others know of it.
fn local_ones_stay_where_they_are(
    case: &Case<'_>,
    lives: &BTreeMap<SessionId, Life>,
) -> Result<(), Violation> {
    let answered = case.operations.iter().filter_map(|it| Some((it, it.zxid()?)));
    for (operation, zxid) in answered {
        let Operation { session, server, .. } = operation;
        let is_known = lives.get(session).is_some_and(|life| life.opened <= zxid);
        let is_at_home = session.server_byte() == SessionId::first(*server, 0).server_byte();
        if !is_known && !is_at_home {
            return broken(format!(
                "{} was served at {zxid} by server {}, which can not know session {session}",
                operation.label(),
                server.0
            ));
        }
    }
    Ok(())
}

/// A local session is made known to all before it owns anything, and for no other reason.
fn none_is_made_known_without_need(
    case: &Case<'_>,
    lives: &BTreeMap<SessionId, Life>,
) -> Result<(), Violation> {
    let in_need: BTreeSet<SessionId> = case
        .operations
        .iter()
        .filter(|operation| matches!(operation.op, Op::Write(write) if wants_ephemeral(write)))
        .map(|operation| operation.session)
        .collect();
    match lives.iter().find(|(session, _)| !in_need.contains(session)) {
        None => Ok(()),
        Some((session, life)) => {
            broken(format!("session {session} was made known at {}, for nothing", life.opened))
        }
    }
}

fn wants_ephemeral(write: &Write<'_>) -> bool {
    match write {
        Write::Create(create) => create.mode.is_ephemeral(),
        Write::Multi(parts) => parts
            .iter()
            .any(|part| matches!(part, MultiOp::Create(create) if create.mode.is_ephemeral())),
        _ => false,
    }
}

/// Who comes back to a session gets that session or is told that it is over; and once told, or
/// once its end was acknowledged, never gets it again.
fn clients_are_told(case: &Case<'_>) -> Result<(), Violation> {
    let ends: BTreeMap<usize, SessionId> = case
        .operations
        .iter()
        .filter(|operation| matches!(operation.op, Op::CloseSession))
        .filter_map(|operation| {
            let reply = operation.reply.filter(|reply| reply.result.is_ok())?;
            Some((reply.came.line, operation.session))
        })
        .collect();
    let mut over: BTreeMap<SessionId, usize> = BTreeMap::new();
    let mut given: BTreeSet<SessionId> = BTreeSet::new();
    for (index, line) in case.history.lines.iter().enumerate() {
        match &line.event {
            Event::Connected { resumed, session, .. } => {
                if let Some(asked) = resumed.filter(|asked| asked != session) {
                    return broken(format!("asked for session {asked}, got {session}"));
                }
                if !given.insert(*session) && resumed.is_none() {
                    return broken(format!("session {session} is given to somebody else as well"));
                }
                if over.contains_key(session) {
                    return broken(format!("session {session} was over and is back"));
                }
            }
            Event::Expired { session, .. } => {
                over.insert(*session, index);
            }
            Event::Reply { .. } => {
                if let Some(session) = ends.get(&index) {
                    over.insert(*session, index);
                }
            }
            Event::Invoke { .. }
            | Event::Unknown { .. }
            | Event::Watch { .. }
            | Event::Lost { .. }
            | Event::Fault { .. } => {}
        }
    }
    Ok(())
}

/// A request that was answered before the end was decided was heard after it was sent; from there
/// the full timeout has to pass. An answer at the very time of the decision proves nothing: after a
/// pause, what waited is done at one time, and a read may be answered once the end is decided.
fn none_expires_early(case: &Case<'_>, lives: &BTreeMap<SessionId, Life>) -> Result<(), Violation> {
    let mut heard: BTreeMap<SessionId, Instant> = BTreeMap::new();
    for operation in &case.operations {
        let expired = lives.get(&operation.session).and_then(|life| life.expired);
        let (Some(reply), Some(expired)) = (operation.reply, expired) else { continue };
        if reply.came.at < expired {
            let latest = heard.entry(operation.session).or_default();
            *latest = (*latest).max(operation.invoked.at);
        }
    }
    for (session, life) in lives {
        let (Some(expired), Some(&heard)) = (life.expired, heard.get(session)) else { continue };
        let timeout = Duration::from_millis(u64::from(life.timeout_ms.unsigned_abs()));
        if expired.since(heard) < timeout {
            return broken(format!(
                "session {session} expired {:?} after it was heard, its timeout is {timeout:?}",
                expired.since(heard)
            ));
        }
    }
    Ok(())
}

/// A new leader gives every session its whole timeout again, by its own clock. So does who resumes one: a leader
/// hears of it, from whichever server, before the client does.
fn none_expires_early_in_a_reign(
    case: &Case<'_>,
    lives: &BTreeMap<SessionId, Life>,
) -> Result<(), Violation> {
    let reigns: BTreeMap<Epoch, Instant> = case
        .history
        .lines
        .iter()
        .filter_map(|line| match line.event {
            Event::Fault { fault: Fault::Leads(epoch), .. } => Some((epoch, line.at)),
            _ => None,
        })
        .collect();
    let resumed = resumptions(case);
    for (session, life) in lives {
        let (Some(expired), Some(closed)) = (life.expired, life.closed) else { continue };
        let Some(&begun) = reigns.get(&closed.epoch()) else { continue };
        let timeout = Duration::from_millis(u64::from(life.timeout_ms.unsigned_abs()));
        if expired.since(begun) < timeout * SURELY_PASSED_PERMILLE / 1000 {
            return broken(format!(
                "session {session} expired {:?} after its leader began, its timeout is {timeout:?}",
                expired.since(begun)
            ));
        }
        let resumed = resumed.get(session).into_iter().flatten();
        for &(asked, timeout) in resumed.filter(|(asked, _)| *asked > begun && *asked < expired) {
            if expired.since(asked) < timeout * SURELY_PASSED_PERMILLE / 1000 {
                return broken(format!(
                    "session {session} expired {:?} after somebody asked for it and got it, its \
                     timeout is {timeout:?}",
                    expired.since(asked)
                ));
            }
        }
    }
    Ok(())
}

/// When clients asked to resume each session, and the timeout that they were told when they got it.
fn resumptions(case: &Case<'_>) -> BTreeMap<SessionId, Vec<(Instant, Duration)>> {
    let mut resumptions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in &case.history.lines {
        if let Event::Connected {
            resumed: Some(_), asked: Some(asked), session, timeout_ms, ..
        } = line.event
        {
            let timeout = Duration::from_millis(u64::from(timeout_ms.unsigned_abs()));
            resumptions.entry(session).or_default().push((asked, timeout));
        }
    }
    resumptions
}

fn broken<T>(detail: String) -> Result<T, Violation> {
    Err(Violation::new(Promise::P8, detail))
}
