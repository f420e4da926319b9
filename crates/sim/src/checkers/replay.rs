//! P0, P1, P3, P6, P7, P14, P15: every answer, and every transaction, is the one that the model
//! gives at its zxid.
//!
//! The log is replayed into the model. Before a transaction is applied, the request behind it is
//! decided anew and has to come to the same transaction; after it, its answer and the digest are
//! compared. Reads are compared with the state of the zxid in their reply.

use std::collections::BTreeMap;

use types::{ErrorCode, MultiOp, Op, SessionId, Stat, Txn, Write, Xid, Zxid};

use super::{Case, Promise, Violation, is_internal, is_left_behind};
use crate::history::{Answer, Event, Fault, LoggedTxn};
use crate::model::{Asker, Model, WallClocks};
use crate::operations::Operation;

/// Replays the log.
///
/// # Errors
/// The first transaction or answer that differs from the model's.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    let requests = requests(case);
    let mut done: BTreeMap<(SessionId, Xid), Zxid> = BTreeMap::new();
    let (reads, wall_clocks) = (reads(case)?, wall_clocks(case));
    let mut replay = Replay { model: case.model(), reads, next_read: 0, wall_clocks };
    replay.answer_reads()?;
    let mut memberships = case.history.memberships.iter().peekable();
    for logged in &case.history.log {
        while let Some((_, it)) = memberships.next_if(|(from, _)| *from < logged.header.zxid) {
            replay.model.put_in_force(it);
        }
        check_position(replay.model.last_applied(), logged.header.zxid)?;
        if is_internal(logged) {
            replay.apply_internal(logged)?;
        } else {
            let key = (logged.header.session, logged.header.cxid);
            let Some(operation) = requests.get(&key) else {
                return broken(Promise::P7, format!("nobody asked for {logged}"));
            };
            if let Some(before) = done.insert(key, logged.header.zxid) {
                let detail = format!("{} was done at {before} and again", operation.label());
                return broken(Promise::P7, format!("{detail}: {logged}"));
            }
            let comes_too_late = is_left_behind(case, logged) && replay.may_refuse(logged);
            if comes_too_late && operation.reply.is_none() {
                replay.model.apply(&logged.header, &logged.txn);
            } else {
                replay.apply_asked(logged, operation)?;
            }
        }
        check_digest(&replay.model, logged)?;
        replay.answer_reads()?;
    }
    // What a server without a leader shows may have been logged, and never committed.
    if let Some(read) = replay.reads[replay.next_read..].iter().find(|read| !read.is_aside) {
        let detail = format!("{} shows {:?}, beyond the log", read.label(), read.zxid());
        return broken(Promise::P0, detail);
    }
    writes_are_where_they_say(case, &done)
}

struct Replay<'c, 'h> {
    model: Model,
    /// Answered reads, in the order of their zxids.
    reads: Vec<&'c Operation<'h>>,
    next_read: usize,
    wall_clocks: WallClocks,
}

impl Replay<'_, '_> {
    /// Whether a leader may refuse a request that was left behind: unless it says that the session is
    /// over, and it is not.
    fn may_refuse(&self, logged: &LoggedTxn) -> bool {
        let is_over = matches!(
            logged.txn, Txn::Error { code } if code == ErrorCode::SessionExpired.raw()
        );
        !is_over || !self.model.may_write(logged.header.session)
    }

    /// Whether a leader may have refused a change of the membership for what the state does not show.
    fn is_possible_refusal(&self, logged: &LoggedTxn, write: &Write<'_>) -> bool {
        let (Write::Reconfig(_), Txn::Error { code }) = (write, &logged.txn) else {
            return false;
        };
        let code = ErrorCode::from_raw(*code);
        code.is_some_and(|code| self.model.may_refuse_change(code))
    }

    fn apply_internal(&mut self, logged: &LoggedTxn) -> Result<(), Violation> {
        if let Txn::DeleteContainer { path } = &logged.txn {
            let asker = Asker { session: logged.header.session, ids: &[] };
            let write = Write::DeleteContainer { path: path.to_string().into() };
            let expected = self.model.decide(&logged.header, asker, &write);
            compare_txns(logged, &expected, &write)?;
            let now_ms = logged.header.time_ms;
            if !self.model.is_used_up(path, now_ms, self.wall_clocks) {
                let detail = format!("nobody asked for {logged}, whose time is not over");
                return broken(Promise::P1, detail);
            }
        }
        self.model.apply(&logged.header, &logged.txn);
        Ok(())
    }

    fn apply_asked(
        &mut self,
        logged: &LoggedTxn,
        operation: &Operation<'_>,
    ) -> Result<(), Violation> {
        let Op::Write(write) = operation.op else {
            return self.apply_closing(logged, operation);
        };
        let asker = Asker { session: operation.session, ids: &operation.ids };
        if is_told_of_an_end(&logged.txn) && self.model.may_write(operation.session) {
            let detail =
                format!("{} is told that its session is over: {logged}", operation.label());
            return broken(Promise::P8, detail);
        }
        if !self.is_possible_refusal(logged, write) {
            let expected = self.model.decide(&logged.header, asker, write);
            compare_txns(logged, &expected, write)?;
        }
        let applied = self.model.apply(&logged.header, &logged.txn);
        compare_answer(operation, write, logged, &applied.stats)
    }

    fn apply_closing(
        &mut self,
        logged: &LoggedTxn,
        operation: &Operation<'_>,
    ) -> Result<(), Violation> {
        let was_live = self.model.is_live(operation.session);
        self.model.apply(&logged.header, &logged.txn);
        match &logged.txn {
            Txn::CloseSession { .. } => Ok(()),
            Txn::Error { .. } if !was_live => Ok(()),
            _ => broken(Promise::P1, format!("{} became {logged}", operation.label())),
        }
    }

    /// Compares the reads that saw the present state.
    fn answer_reads(&mut self) -> Result<(), Violation> {
        let now = self.model.last_applied();
        while let Some(operation) = self.reads.get(self.next_read)
            && operation.zxid().is_some_and(|zxid| zxid <= now)
        {
            self.next_read += 1;
            if operation.zxid() != Some(now) && operation.is_aside {
                continue;
            }
            if operation.zxid() != Some(now) {
                let detail = format!("{} shows a state that never was", operation.label());
                return broken(Promise::P0, detail);
            }
            self.compare_read(operation)?;
        }
        Ok(())
    }

    fn compare_read(&self, operation: &Operation<'_>) -> Result<(), Violation> {
        let Some(reply) = operation.reply else { return Ok(()) };
        let expected = match operation.op {
            Op::Read(read) => self.model.read(operation.session, &operation.ids, read),
            Op::Sync { path } => Some(Ok(Answer::Path(path.to_string()))),
            Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::Write(_) | Op::CloseSession => None,
        };
        match expected {
            Some(expected) if expected != *reply.result => {
                let detail = format!(
                    "{} {:?} at {} got {:?}, the model says {expected:?}",
                    operation.label(),
                    operation.op,
                    self.model.last_applied(),
                    reply.result
                );
                broken(Promise::P0, detail)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a client is refused since its session is over, in a part of a multi or as a whole.
fn is_told_of_an_end(txn: &Txn) -> bool {
    match txn {
        Txn::Error { code } => *code == ErrorCode::SessionExpired.raw(),
        Txn::Multi(parts) => parts.iter().any(is_told_of_an_end),
        _ => false,
    }
}

fn wall_clocks(case: &Case<'_>) -> WallClocks {
    let is_jump = |event: &Event| matches!(event, Event::Fault { fault: Fault::WallClock(_), .. });
    match case.history.lines.iter().any(|line| is_jump(&line.event)) {
        true => WallClocks::Jump,
        false => WallClocks::GoOn,
    }
}

fn requests<'c, 'h>(case: &'c Case<'h>) -> BTreeMap<(SessionId, Xid), &'c Operation<'h>> {
    case.operations
        .iter()
        .filter(|operation| operation.is_write())
        .map(|operation| ((operation.session, operation.xid), operation))
        .collect()
}

fn reads<'c, 'h>(case: &'c Case<'h>) -> Result<Vec<&'c Operation<'h>>, Violation> {
    let aside = case.aside.iter().filter(|it| it.zxid() >= Some(case.start));
    let aside = aside.filter(|it| matches!(it.op, Op::Read(_)));
    let mut reads: Vec<_> = case
        .operations
        .iter()
        .filter(|operation| !operation.is_write() && operation.zxid().is_some())
        .chain(aside)
        .collect();
    reads.sort_by_key(|operation| operation.zxid());
    if let Some(first) = reads.first().filter(|first| first.zxid() < Some(case.start)) {
        let detail = format!("{} shows {:?}, before the start", first.label(), first.zxid());
        return broken(Promise::P0, detail);
    }
    Ok(reads)
}

/// D3: no gaps but at the start of an epoch.
fn check_position(last: Zxid, zxid: Zxid) -> Result<(), Violation> {
    let follows =
        last.next() == Some(zxid) || (zxid.epoch() > last.epoch() && zxid.counter().0 == 1);
    if follows {
        return Ok(());
    }
    broken(Promise::D3, format!("the log goes from {last} to {zxid}"))
}

fn check_digest(model: &Model, logged: &LoggedTxn) -> Result<(), Violation> {
    match logged.digest {
        Some(digest) if digest.tree != model.digest() => {
            let detail =
                format!("digest {:x}, the model's is {:x}: {logged}", digest.tree, model.digest());
            broken(Promise::P14, detail)
        }
        _ => Ok(()),
    }
}

fn compare_txns(logged: &LoggedTxn, expected: &Txn, write: &Write<'_>) -> Result<(), Violation> {
    if logged.txn == *expected {
        return Ok(());
    }
    let promise = match (&logged.txn, expected) {
        (Txn::Create(_), Txn::Create(_)) if is_sequential(write) => Promise::P15,
        (Txn::Multi(_), _) | (_, Txn::Multi(_)) => Promise::P6,
        _ => Promise::P1,
    };
    broken(promise, format!("{write:?} became {logged}, the model says {expected:?}"))
}

fn is_sequential(write: &Write<'_>) -> bool {
    match write {
        Write::Create(create) => create.mode.is_sequential(),
        Write::Multi(parts) => parts.iter().any(|part| match part {
            MultiOp::Create(create) => create.mode.is_sequential(),
            MultiOp::Delete { .. } | MultiOp::SetData { .. } | MultiOp::Check { .. } => false,
        }),
        Write::Delete { .. }
        | Write::DeleteContainer { .. }
        | Write::SetData { .. }
        | Write::SetAcl { .. }
        | Write::Reconfig(_)
        | Write::CreateSession { .. }
        | Write::Rejected(_) => false,
    }
}

fn compare_answer(
    operation: &Operation<'_>,
    write: &Write<'_>,
    logged: &LoggedTxn,
    stats: &[Option<Stat>],
) -> Result<(), Violation> {
    let Some(reply) = operation.reply else { return Ok(()) };
    let expected = Model::answer(write, &logged.txn, stats);
    let given = reply.result.clone().map_err(ErrorCode::raw);
    if given == expected {
        return Ok(());
    }
    let promise = match (&given, &expected, write) {
        (Err(_), Ok(_), _) => Promise::P7,
        (_, _, Write::Multi(_)) => Promise::P6,
        _ if is_sequential(write) => Promise::P15,
        _ => Promise::P1,
    };
    let detail = format!("{} got {given:?}, the model says {expected:?}", operation.label());
    broken(promise, format!("{detail}: {logged}"))
}

/// P0, P5: the zxid in the reply to a write is that of its own transaction.
fn writes_are_where_they_say(
    case: &Case<'_>,
    done: &BTreeMap<(SessionId, Xid), Zxid>,
) -> Result<(), Violation> {
    for operation in case.operations.iter().filter(|operation| operation.is_write()) {
        let Some(zxid) = operation.zxid() else { continue };
        match done.get(&(operation.session, operation.xid)) {
            Some(&logged) if logged == zxid => {}
            Some(logged) => {
                let detail = format!("{} is at {logged}, not at {zxid}", operation.label());
                return broken(Promise::P0, detail);
            }
            None => {
                let detail = format!("{} was answered at {zxid}, but is lost", operation.label());
                return broken(Promise::P5, detail);
            }
        }
    }
    Ok(())
}

fn broken<T>(promise: Promise, detail: String) -> Result<T, Violation> {
    Err(Violation::new(promise, detail))
}
