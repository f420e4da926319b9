//! P1, P7, P12 without trusting zxids: the operations on each znode, seen as a register, have an
//! order that agrees with real time.
//!
//! The search is that of Wing and Gong with Lowe's memory of configurations seen. Each path is
//! searched on its own (linearizability is local); the parts of a multi count for their paths. An
//! operation whose reply never came may take effect at any time after it was sent, or never.
//! Paths that are not plain registers (ephemeral, sequential, container, TTL) are left to the
//! replay checker.

use std::collections::{BTreeMap, BTreeSet};

use types::{Create, CreateMode, ErrorCode, MultiOp, MultiReadOp, Op, Read, Stat, Write, path};

use super::{Case, Promise, Reads, Violation};
use crate::history::{Answer, PartAnswer};
use crate::operations::Operation;

/// Configurations looked at for one znode before the search gives up without a verdict.
const CONFIGURATIONS_MAX: usize = 200_000;

/// For how many znodes an order was searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Searches {
    /// All that are plain registers.
    pub made: u64,
    /// Those among them of which nothing is known, as the search was too long.
    pub given_up: u64,
}

/// Searches an order for every znode.
///
/// # Errors
/// There is none for one of them.
pub fn check(case: &Case<'_>) -> Result<Searches, Violation> {
    check_within(case, CONFIGURATIONS_MAX)
}

fn check_within(case: &Case<'_>, configurations_max: usize) -> Result<Searches, Violation> {
    let mut searches = Searches::default();
    let mut registers: BTreeMap<&str, Vec<Call<'_>>> = BTreeMap::new();
    let excluded = Excluded::of(case);
    for (index, operation) in case.operations.iter().enumerate() {
        let Some(called) = called(case, index, operation) else { continue };
        for (path, steps) in steps(operation) {
            if !excluded.contains(path) {
                let returned = operation.reply.map(|reply| reply.came.line);
                registers.entry(path).or_default().push(Call {
                    called,
                    returned,
                    steps,
                    operation,
                });
            }
        }
    }
    for (path, mut calls) in registers {
        // A read behind a sync may have been done since long before it was asked for.
        calls.sort_by_key(|call| call.called);
        let verdict = Search::new(&calls, configurations_max).run();
        searches.made += 1;
        searches.given_up += u64::from(verdict == Verdict::Unknown);
        if let Verdict::NoOrder { stuck } = verdict {
            let call = &calls[stuck];
            let detail = format!(
                "{path}: no order of its {} operations explains {} {:?} (reply {:?})",
                calls.len(),
                call.operation.label(),
                call.operation.op,
                call.operation.reply.map(|reply| reply.result)
            );
            return Err(Violation::new(Promise::P1, detail));
        }
    }
    Ok(searches)
}

/// Since which line an operation may have been done; `None` if it does not take part. Reads do where
/// they promise to be fresh: as fresh as the sync before them, which may have been sent much earlier.
fn called(case: &Case<'_>, index: usize, operation: &Operation<'_>) -> Option<usize> {
    let own = Some(operation.invoked.line);
    match operation.op {
        Op::Write(_) => own,
        Op::Read(_) if operation.reply.is_none() => None,
        Op::Read(_) if case.reads == Reads::AreFresh => own,
        Op::Read(_) => {
            let before = case.operations[..index].iter().rfind(|it| it.conn == operation.conn)?;
            matches!(before.op, Op::Sync { .. }).then_some(before.invoked.line)
        }
        Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::Sync { .. } | Op::CloseSession => None,
    }
}

/// Paths on which something happens that no register does.
struct Excluded<'h> {
    paths: BTreeSet<&'h str>,
    prefixes: Vec<&'h str>,
}

impl<'h> Excluded<'h> {
    fn of(case: &Case<'h>) -> Self {
        let mut excluded = Self { paths: BTreeSet::from(["", path::ROOT]), prefixes: Vec::new() };
        excluded.prefixes.push(path::ZOOKEEPER);
        for operation in &case.operations {
            match operation.op {
                Op::Write(Write::Create(create)) => excluded.add(create),
                Op::Write(Write::DeleteContainer { path }) => {
                    excluded.paths.insert(path);
                }
                Op::Write(Write::Multi(parts)) => {
                    for part in parts {
                        if let MultiOp::Create(create) = part {
                            excluded.add(create);
                        }
                    }
                }
                _ => {}
            }
        }
        excluded
    }

    fn add(&mut self, create: &'h Create<'static>) {
        if create.mode.is_sequential() {
            self.prefixes.push(&create.path);
        } else if create.mode != CreateMode::Persistent {
            self.paths.insert(&create.path);
        }
    }

    fn contains(&self, path: &str) -> bool {
        self.paths.contains(path) || self.prefixes.iter().any(|prefix| path.starts_with(prefix))
    }
}

/// What a register holds: nothing, or data and its version.
type State<'h> = Option<(i32, Option<&'h [u8]>)>;

/// What an operation did to a register, or found in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step<'h> {
    /// There was none; now there is one with this data.
    Created(Option<&'h [u8]>),
    /// There was one.
    WasThere,
    /// There was none.
    WasMissing,
    /// There was one, with the version if one was named; now it has this data.
    Set { data: Option<&'h [u8]>, expected: Option<i32>, version: Option<i32> },
    /// There was one, with the version if one was named; now there is none.
    Deleted { expected: Option<i32> },
    /// There was one, with another version.
    HadNotVersion(i32),
    /// There was one with this version.
    HadVersion(i32),
    /// There was one with this version and data.
    Held { version: i32, data: Option<&'h [u8]> },
}

impl<'h> Step<'h> {
    /// The state after it; `None` if it could not happen in this state.
    fn take(self, state: State<'h>) -> Option<State<'h>> {
        let version_now = state.map(|(version, _)| version);
        let fits = |expected: Option<i32>| match (version_now, expected) {
            (Some(now), Some(expected)) => now == expected,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let happened = match self {
            Self::Created(_) | Self::WasMissing => state.is_none(),
            Self::WasThere => state.is_some(),
            Self::Set { expected, version, .. } => {
                let next = version_now.map(|version| version.wrapping_add(1));
                fits(expected) && (version.is_none() || version == next)
            }
            Self::Deleted { expected } => fits(expected),
            Self::HadNotVersion(version) => version_now.is_some_and(|now| now != version),
            Self::HadVersion(version) => version_now == Some(version),
            Self::Held { version, data } => state == Some((version, data)),
        };
        happened.then(|| match self {
            Self::Created(data) => Some((0, data)),
            Self::Set { data, .. } => version_now.map(|version| (version.wrapping_add(1), data)),
            Self::Deleted { .. } => None,
            Self::WasThere
            | Self::WasMissing
            | Self::HadNotVersion(_)
            | Self::HadVersion(_)
            | Self::Held { .. } => state,
        })
    }
}

/// The steps of an operation, by path. Failures that depend on other znodes say nothing.
fn steps<'h>(operation: &Operation<'h>) -> Vec<(&'h str, Vec<Step<'h>>)> {
    let result = operation.reply.map(|reply| reply.result);
    let mut by_path: Vec<(&str, Vec<Step<'_>>)> = Vec::new();
    let mut add = |path: &'h str, step: Option<Step<'h>>| {
        let Some(step) = step else { return };
        match by_path.iter_mut().find(|(known, _)| *known == path) {
            Some((_, steps)) => steps.push(step),
            None => by_path.push((path, vec![step])),
        }
    };
    match (operation.op, result) {
        (Op::Write(Write::Multi(parts)), None) => {
            for part in parts {
                add(part_path(part), open_part(part));
            }
        }
        (Op::Write(Write::Multi(parts)), Some(Ok(Answer::Multi(answers)))) => {
            for (part, answer) in parts.iter().zip(answers) {
                add(part_path(part), done_part(part, answer));
            }
        }
        (Op::Write(write), _) => {
            if let Some((path, step)) = write_step(write, result) {
                add(path, step);
            }
        }
        (Op::Read(Read::MultiRead(parts)), Some(Ok(Answer::Multi(answers)))) => {
            for (part, answer) in parts.iter().zip(answers) {
                if let (MultiReadOp::GetData { path }, PartAnswer::Data(data, stat)) =
                    (part, answer)
                {
                    let data = data.as_deref();
                    add(path, Some(Step::Held { version: stat.version, data }));
                }
            }
        }
        (Op::Read(read), Some(result)) => {
            if let Some((path, step)) = read_step(read, result) {
                add(path, Some(step));
            }
        }
        _ => {}
    }
    by_path
}

fn write_step<'h>(
    write: &'h Write<'static>,
    result: Option<&'h Result<Answer, ErrorCode>>,
) -> Option<(&'h str, Option<Step<'h>>)> {
    Some(match write {
        Write::Create(create) => (
            &create.path,
            match result {
                None | Some(Ok(_)) => Some(Step::Created(create.data.as_deref())),
                Some(Err(ErrorCode::NodeExists)) => Some(Step::WasThere),
                Some(Err(_)) => None,
            },
        ),
        Write::Delete { path, version } => (
            path,
            match result {
                None | Some(Ok(_)) => Some(Step::Deleted { expected: *version }),
                Some(Err(code)) => refused(*code, *version),
            },
        ),
        Write::SetData { path, data, version } => (
            path,
            match result {
                None => Some(set(data.as_deref(), *version, None)),
                Some(Ok(Answer::Stat(stat))) => Some(set(data.as_deref(), *version, Some(stat))),
                Some(Ok(_)) => None,
                Some(Err(code)) => refused(*code, *version),
            },
        ),
        Write::DeleteContainer { .. }
        | Write::SetAcl { .. }
        | Write::Multi(_)
        | Write::Reconfig(_)
        | Write::CreateSession { .. }
        | Write::Rejected(_) => return None,
    })
}

fn read_step<'h>(
    read: &'h Read<'static>,
    result: &'h Result<Answer, ErrorCode>,
) -> Option<(&'h str, Step<'h>)> {
    let (Read::Exists { path, .. } | Read::GetData { path, .. } | Read::GetChildren2 { path, .. }) =
        read
    else {
        return None;
    };
    let step = match result {
        Err(ErrorCode::NoNode) => Step::WasMissing,
        Ok(Answer::Stat(stat) | Answer::ChildrenStat(_, stat)) => Step::HadVersion(stat.version),
        Ok(Answer::Data(data, stat)) => Step::Held { version: stat.version, data: data.as_deref() },
        _ => return None,
    };
    Some((path, step))
}

fn part_path<'h>(part: &'h MultiOp<'static>) -> &'h str {
    match part {
        MultiOp::Create(create) => &create.path,
        MultiOp::Delete { path, .. }
        | MultiOp::SetData { path, .. }
        | MultiOp::Check { path, .. } => path,
    }
}

/// What a part of a multi does if the multi is done.
fn open_part<'h>(part: &'h MultiOp<'static>) -> Option<Step<'h>> {
    Some(match part {
        MultiOp::Create(create) => Step::Created(create.data.as_deref()),
        MultiOp::Delete { version, .. } => Step::Deleted { expected: *version },
        MultiOp::SetData { data, version, .. } => set(data.as_deref(), *version, None),
        MultiOp::Check { version: Some(version), .. } => Step::HadVersion(*version),
        MultiOp::Check { version: None, .. } => Step::WasThere,
    })
}

fn done_part<'h>(part: &'h MultiOp<'static>, answer: &'h PartAnswer) -> Option<Step<'h>> {
    match (part, answer) {
        // A failed multi says something of the register at which it failed, seen through the
        // parts before it: left to the replay checker.
        (_, PartAnswer::Error(_)) => None,
        (MultiOp::SetData { data, version, .. }, PartAnswer::Stat(stat)) => {
            Some(set(data.as_deref(), *version, Some(stat)))
        }
        _ => open_part(part),
    }
}

fn set<'h>(data: Option<&'h [u8]>, expected: Option<i32>, stat: Option<&Stat>) -> Step<'h> {
    Step::Set { data, expected, version: stat.map(|stat| stat.version) }
}

fn refused<'h>(code: ErrorCode, version: Option<i32>) -> Option<Step<'h>> {
    match (code, version) {
        (ErrorCode::NoNode, _) => Some(Step::WasMissing),
        (ErrorCode::BadVersion, Some(version)) => Some(Step::HadNotVersion(version)),
        _ => None,
    }
}

/// One operation on one register.
struct Call<'h> {
    called: usize,
    /// `None`: it may take effect at any time, or never.
    returned: Option<usize>,
    /// What it did, in order.
    steps: Vec<Step<'h>>,
    operation: &'h Operation<'h>,
}

impl<'h> Call<'h> {
    fn take(&self, state: State<'h>) -> Option<State<'h>> {
        self.steps.iter().try_fold(state, |state, step| step.take(state))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// There is an order.
    Fine,
    /// The search was too long to tell.
    Unknown,
    NoOrder {
        /// The call at which the longest try ended.
        stuck: usize,
    },
}

/// The search for an order of one register's calls.
struct Search<'c, 'h> {
    /// In the order of the lines since which they may have been done.
    calls: &'c [Call<'h>],
    taken: Vec<bool>,
    left: usize,
    seen: BTreeSet<(Vec<u64>, State<'h>)>,
    configurations_max: usize,
    /// The fewest answered calls that were left over, and the first of them.
    best: (usize, usize),
}

impl<'c, 'h> Search<'c, 'h> {
    fn new(calls: &'c [Call<'h>], configurations_max: usize) -> Self {
        let left = calls.iter().filter(|call| call.returned.is_some()).count();
        let taken = vec![false; calls.len()];
        let (seen, best) = (BTreeSet::new(), (usize::MAX, 0));
        Self { calls, taken, left, seen, configurations_max, best }
    }

    fn run(mut self) -> Verdict {
        if self.extend(None) {
            Verdict::Fine
        } else if self.seen.len() >= self.configurations_max {
            Verdict::Unknown
        } else {
            Verdict::NoOrder { stuck: self.best.1 }
        }
    }

    /// Whether what is taken so far, ending in `state`, can be extended to all answered calls.
    fn extend(&mut self, state: State<'h>) -> bool {
        if self.left == 0 {
            return true;
        }
        if self.seen.len() >= self.configurations_max || !self.seen.insert((self.bits(), state)) {
            return false;
        }
        let candidates = self.candidates();
        if self.left < self.best.0 {
            let answered = |&&index: &&usize| self.calls[index].returned.is_some();
            self.best = (self.left, candidates.iter().find(answered).copied().unwrap_or(0));
        }
        for index in candidates {
            let call = &self.calls[index];
            let Some(next) = call.take(state) else { continue };
            let answered = usize::from(call.returned.is_some());
            self.taken[index] = true;
            self.left -= answered;
            if self.extend(next) {
                return true;
            }
            self.taken[index] = false;
            self.left += answered;
        }
        false
    }

    /// Calls that may come next: sent before any answered call that is left returned.
    fn candidates(&self) -> Vec<usize> {
        let mut first_return = usize::MAX;
        let mut candidates = Vec::new();
        for (index, call) in self.calls.iter().enumerate() {
            if call.called > first_return {
                break;
            }
            if !self.taken[index] {
                candidates.push(index);
                first_return = first_return.min(call.returned.unwrap_or(usize::MAX));
            }
        }
        // Answered calls first: an open one is only needed where nothing else explains the state.
        candidates.sort_by_key(|&index| self.calls[index].returned.is_none());
        candidates
    }

    fn bits(&self) -> Vec<u64> {
        let word = |bits: &[bool]| {
            bits.iter().enumerate().fold(0, |word, (at, &bit)| word | u64::from(bit) << at)
        };
        self.taken.chunks(64).map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use types::{ConnId, ExtendedTypes, Instant, SessionId, Sid, Xid, Zxid};

    use super::*;
    use crate::history::{ClientId, Event, History};
    use crate::model::{Rules, Sessions};

    /// Two creations of one znode at a time, and whether the second one was done as well.
    fn creations(second: Result<Answer, ErrorCode>) -> History {
        let (session, server) = (SessionId(1), Sid(1));
        let mut history = History::default();
        let results = [Ok(Answer::Path("/r".to_owned())), second];
        let create = Create {
            call: types::CreateCall::Create,
            mode: CreateMode::Persistent,
            path: "/r".into(),
            data: None,
            acl: types::AclList::open(),
        };
        for (conn, _) in (1..).zip(&results) {
            let (client, conn, xid) = (ClientId(conn), ConnId(conn.into()), Xid(1));
            let op = Op::Write(Write::Create(create.clone()));
            let invoke = Event::Invoke { client, session, conn, server, xid, op };
            history.push(Instant::default(), invoke);
        }
        for (conn, result) in (1..).zip(results) {
            let (client, conn, xid) = (ClientId(conn), ConnId(conn.into()), Xid(1));
            let zxid = Some(Zxid::from_raw(7));
            history.push(Instant::default(), Event::Reply { client, conn, xid, zxid, result });
        }
        history
    }

    fn search(history: &History, configurations_max: usize) -> Result<Searches, Promise> {
        let rules = Rules {
            extended_types: ExtendedTypes::Disabled,
            membership: None,
            credentials: Vec::new(),
            sessions: Sessions::Global,
        };
        let case = Case::new(history, Rc::new(rules), Zxid::ZERO, Reads::AreFresh);
        let found = check_within(&case.expect("replies are in place"), configurations_max);
        found.map_err(|broken| broken.promise)
    }

    #[test]
    fn a_search_that_is_too_long_is_counted_and_no_verdict() {
        let honest = creations(Err(ErrorCode::NodeExists));
        assert_eq!(search(&honest, 100), Ok(Searches { made: 1, given_up: 0 }));
        let spoiled = creations(Ok(Answer::Path("/r".to_owned())));
        assert_eq!(search(&spoiled, 100), Err(Promise::P1));
        for history in [honest, spoiled] {
            assert_eq!(search(&history, 1), Ok(Searches { made: 1, given_up: 1 }));
        }
    }
}
