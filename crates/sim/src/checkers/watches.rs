//! P10, P11, W6: each connection hears of exactly what it watches, in time.
//!
//! The model names the triggers of every transaction. A connection is then walked in the order of
//! its wire with a watch table of its own: a reply at zxid z means that everything up to z which
//! the table waits for must have come before it; an event must be the next one due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use types::{
    ConnId, ErrorCode, EventKind, Id, Op, Perms, Read, SetWatches, WatchMode, WatcherKind, Zxid,
};

use super::{Case, Promise, Violation};
use crate::history::{Answer, Event};
use crate::model::{Model, Trigger, WatchTable, allows};
use crate::operations::Operation;

/// Walks every connection.
///
/// # Errors
/// The first event that is missing, late, out of order or unasked for.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    let past = Past::of(case);
    let mut walks: BTreeMap<ConnId, Walk<'_>> = BTreeMap::new();
    let replied: BTreeMap<usize, &Operation<'_>> = case
        .operations
        .iter()
        .filter_map(|operation| Some((operation.reply?.came.line, operation)))
        .collect();
    for (index, line) in case.history.lines.iter().enumerate() {
        match &line.event {
            Event::Reply { conn, .. } => {
                if let (Some(walk), Some(operation)) = (walks.get_mut(conn), replied.get(&index)) {
                    walk.reply(operation)?;
                }
            }
            Event::Watch { conn, zxid, kind, path, .. } => {
                if let Some(walk) = walks.get_mut(conn) {
                    walk.event(*zxid, *kind, path)?;
                }
            }
            Event::Connected { conn, address, .. } => {
                let ids = Rc::from([Id::new("ip", address.as_str())]);
                walks.insert(*conn, Walk::new(&past, *conn, ids));
            }
            Event::Invoke { .. }
            | Event::Unknown { .. }
            | Event::Expired { .. }
            | Event::Lost { .. }
            | Event::Fault { .. } => {}
        }
    }
    Ok(())
}

/// What the model says of the run.
struct Past {
    /// The triggers of each transaction.
    triggers: BTreeMap<Zxid, Vec<Trigger>>,
    /// What each answered `setWatches` has to catch up with, by the line of its reply.
    missed: BTreeMap<usize, Vec<Missed>>,
    last: Zxid,
}

impl Past {
    fn of(case: &Case<'_>) -> Self {
        let mut resets: Vec<_> = case
            .operations
            .iter()
            .filter_map(|operation| match (operation.op, operation.reply) {
                (Op::Read(Read::SetWatches(watches)), Some(reply)) if reply.result.is_ok() => {
                    Some((operation.zxid()?, reply.came.line, &**watches, &*operation.ids))
                }
                _ => None,
            })
            .collect();
        resets.sort_by_key(|&(zxid, ..)| zxid);
        let mut resets = resets.into_iter().peekable();
        let mut model = case.model();
        let mut past =
            Self { triggers: BTreeMap::new(), missed: BTreeMap::new(), last: case.last_logged() };
        let mut catch_up = |model: &Model| {
            while let Some((_, line, watches, ids)) =
                resets.next_if(|&(zxid, ..)| zxid <= model.last_applied())
            {
                past.missed.insert(line, missed(model, watches, ids));
            }
        };
        catch_up(&model);
        for logged in &case.history.log {
            let applied = model.apply(&logged.header, &logged.txn);
            catch_up(&model);
            if !applied.triggers.is_empty() {
                past.triggers.insert(logged.header.zxid, applied.triggers);
            }
        }
        past
    }
}

/// A change that a client missed while it was away.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Missed {
    kind: EventKind,
    path: String,
    /// The client is told unless it may not read the znode; its watch is used up either way.
    is_told: bool,
}

/// What a client that was away has missed.
fn missed(model: &Model, watches: &SetWatches<'_>, ids: &[Id]) -> Vec<Missed> {
    let since = watches.relative_zxid;
    let mut events = Vec::new();
    let mut add = |path: &str, kind, is_told| {
        events.push(Missed { kind, path: path.to_owned(), is_told });
    };
    let find =
        |path: &str| model.stored(path).map(|(_, acl, stat)| (stat, allows(acl, Perms::READ, ids)));
    for path in &watches.data {
        match find(path) {
            None => add(path, EventKind::NodeDeleted, true),
            Some((stat, may_read)) if stat.mzxid > since => {
                add(path, EventKind::NodeDataChanged, may_read);
            }
            Some(_) => {}
        }
    }
    for path in &watches.exist {
        if let Some((_, may_read)) = find(path) {
            add(path, EventKind::NodeCreated, may_read);
        }
    }
    for path in &watches.child {
        match find(path) {
            None => add(path, EventKind::NodeDeleted, true),
            Some((stat, may_read)) if stat.pzxid > since => {
                add(path, EventKind::NodeChildrenChanged, may_read);
            }
            Some(_) => {}
        }
    }
    events
}

/// One connection.
struct Walk<'p> {
    past: &'p Past,
    conn: ConnId,
    table: Table,
    ids: Rc<[Id]>,
    /// What `ids` were until credentials were accepted, up to the next reply with a zxid: a change
    /// that was looked at in between may have met the old ones or the new ones.
    old_ids: Option<Rc<[Id]>>,
    /// Up to where triggers were turned into events due.
    seen: Zxid,
    due: VecDeque<Due>,
    /// What came without a zxid since the last reply.
    caught_up: Vec<(EventKind, String)>,
}

/// An event that has to come.
#[derive(Debug)]
struct Due {
    zxid: Zxid,
    kind: EventKind,
    path: String,
    /// Whether it may stay out.
    is_optional: bool,
}

impl<'p> Walk<'p> {
    fn new(past: &'p Past, conn: ConnId, ids: Rc<[Id]>) -> Self {
        Self {
            past,
            conn,
            table: Table::default(),
            ids,
            old_ids: None,
            seen: Zxid::ZERO,
            due: VecDeque::new(),
            caught_up: Vec::new(),
        }
    }

    fn reply(&mut self, operation: &Operation<'_>) -> Result<(), Violation> {
        if matches!(operation.op, Op::Auth(_)) {
            let old_ids = std::mem::replace(&mut self.ids, Rc::clone(&operation.ids));
            self.old_ids.get_or_insert(old_ids);
        }
        let Some(zxid) = operation.zxid() else { return Ok(()) };
        self.look_until(zxid);
        self.old_ids = None;
        self.due.retain(|due| !due.is_optional);
        if let Some(due) = self.due.front() {
            let detail = format!("{} shows {zxid}, but {due:?} did not come", operation.label());
            return broken(Promise::P10, detail);
        }
        let Some(reply) = operation.reply else { return Ok(()) };
        let missed = self.past.missed.get(&reply.came.line).map_or(&[][..], |missed| missed);
        let told = missed.iter().filter(|missed| missed.is_told);
        if !told.map(|missed| (missed.kind, &*missed.path)).eq(self.caught_up()) {
            let detail = format!(
                "{} caught up with {:?}, the model says {missed:?}",
                operation.label(),
                self.caught_up
            );
            return broken(Promise::P11, detail);
        }
        self.caught_up.clear();
        if let Op::Read(read) = operation.op {
            self.register(operation, read, reply.result)?;
        }
        Ok(())
    }

    fn caught_up(&self) -> impl Iterator<Item = (EventKind, &str)> {
        self.caught_up.iter().map(|(kind, path)| (*kind, path.as_str()))
    }

    fn event(&mut self, zxid: Option<Zxid>, kind: EventKind, path: &str) -> Result<(), Violation> {
        let Some(zxid) = zxid else {
            self.caught_up.push((kind, path.to_owned()));
            return Ok(());
        };
        if zxid > self.past.last {
            let detail = format!("connection {} hears of {zxid}, beyond the log", self.conn.0);
            return broken(Promise::P4, detail);
        }
        if !self.caught_up.is_empty() {
            let detail =
                format!("{kind:?} {path} at {zxid} came between catching up and its reply");
            return broken(Promise::P10, detail);
        }
        self.look_until(zxid);
        while let Some(due) = self.due.front()
            && due.is_optional
            && (due.zxid, due.kind, due.path.as_str()) != (zxid, kind, path)
        {
            self.due.pop_front();
        }
        let is_it = |due: &Due| due.zxid == zxid && due.kind == kind && due.path == path;
        match self.due.iter().position(is_it) {
            Some(0) => {
                self.due.pop_front();
                Ok(())
            }
            Some(_) => {
                let detail = format!("{kind:?} {path} at {zxid} came before {:?}", self.due[0]);
                broken(Promise::P10, detail)
            }
            None => {
                let detail = format!(
                    "connection {}: nothing waits for {kind:?} {path} at {zxid}",
                    self.conn.0
                );
                let promise =
                    if self.is_forbidden(zxid, kind, path) { Promise::W6 } else { Promise::P11 };
                broken(promise, detail)
            }
        }
    }

    /// Turns the triggers up to a transaction into events due.
    fn look_until(&mut self, zxid: Zxid) {
        if zxid <= self.seen {
            return;
        }
        let past = self.past;
        for (&at, triggers) in past.triggers.range(self.seen.successor()..=zxid) {
            let mut told: Option<&str> = None;
            for trigger in triggers {
                let fires = self.table.fire(trigger);
                let is_repeated = trigger.kind == EventKind::NodeDeleted
                    && trigger.table == WatchTable::Child
                    && told == Some(&trigger.path);
                told = None;
                if fires && trigger.table == WatchTable::Data {
                    told = Some(&trigger.path);
                }
                let may_know = allows(&trigger.acl, Perms::READ, &self.ids);
                let could_know =
                    self.old_ids.as_ref().map(|ids| allows(&trigger.acl, Perms::READ, ids));
                let is_optional = could_know.is_some_and(|could_know| could_know != may_know);
                if fires && !is_repeated && (may_know || is_optional) {
                    let (kind, path) = (trigger.kind, trigger.path.clone());
                    self.due.push_back(Due { zxid: at, kind, path, is_optional });
                }
            }
        }
        self.seen = zxid;
    }

    fn is_forbidden(&self, zxid: Zxid, kind: EventKind, path: &str) -> bool {
        self.past.triggers.get(&zxid).is_some_and(|triggers| {
            triggers.iter().any(|trigger| {
                trigger.kind == kind
                    && trigger.path == path
                    && !allows(&trigger.acl, Perms::READ, &self.ids)
            })
        })
    }

    fn register(
        &mut self,
        operation: &Operation<'_>,
        read: &Read<'_>,
        result: &Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let table = &mut self.table;
        match (read, result) {
            (Read::Exists { path, watch: true }, Ok(_) | Err(ErrorCode::NoNode))
            | (Read::GetData { path, watch: true }, Ok(_)) => {
                table.add(WatchTable::Data, path, Mode::Once);
            }
            (
                Read::GetChildren { path, watch: true } | Read::GetChildren2 { path, watch: true },
                Ok(_),
            ) => table.add(WatchTable::Child, path, Mode::Once),
            (Read::AddWatch { path, mode }, Ok(_)) => table.add_lasting(path, *mode),
            (Read::SetWatches(watches), Ok(_)) => {
                let line = operation.reply.map_or(0, |reply| reply.came.line);
                let missed = self.past.missed.get(&line).map_or(&[][..], |missed| missed);
                table.reset(watches, missed);
            }
            (Read::CheckWatches { path, kind }, result) => {
                let found = table.has(path, *kind);
                return self.compare_found(operation, found, result);
            }
            (Read::RemoveWatches { path, kind }, result) => {
                let found = table.has(path, *kind);
                table.remove(path, *kind);
                return self.compare_found(operation, found, result);
            }
            _ => {}
        }
        Ok(())
    }

    fn compare_found(
        &self,
        operation: &Operation<'_>,
        found: bool,
        result: &Result<Answer, ErrorCode>,
    ) -> Result<(), Violation> {
        let expected = if found { Ok(Answer::Done) } else { Err(ErrorCode::NoWatcher) };
        if *result == expected {
            return Ok(());
        }
        let detail = format!(
            "{} {:?} got {result:?}, the table says {expected:?}",
            operation.label(),
            operation.op
        );
        broken(Promise::P11, detail)
    }
}

/// How long a watch lasts and how far it sees.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Mode {
    Once,
    Persistent,
    Recursive,
}

/// The watches of one connection.
#[derive(Debug, Default)]
struct Table {
    data: BTreeSet<(String, Mode)>,
    child: BTreeSet<(String, Mode)>,
}

impl Table {
    fn side(&mut self, table: WatchTable) -> &mut BTreeSet<(String, Mode)> {
        match table {
            WatchTable::Data => &mut self.data,
            WatchTable::Child => &mut self.child,
        }
    }

    fn add(&mut self, table: WatchTable, path: &str, mode: Mode) {
        self.side(table).insert((path.to_owned(), mode));
    }

    fn add_lasting(&mut self, path: &str, mode: WatchMode) {
        match mode {
            WatchMode::Persistent => {
                self.add(WatchTable::Data, path, Mode::Persistent);
                self.add(WatchTable::Child, path, Mode::Persistent);
            }
            WatchMode::PersistentRecursive => self.add(WatchTable::Data, path, Mode::Recursive),
        }
    }

    /// Sets the watches for which nothing was missed.
    fn reset(&mut self, watches: &SetWatches<'_>, missed: &[Missed]) {
        let is_missed = |path: &str, kinds: &[EventKind]| {
            missed.iter().any(|missed| missed.path == path && kinds.contains(&missed.kind))
        };
        for path in &watches.data {
            if !is_missed(path, &[EventKind::NodeDataChanged, EventKind::NodeDeleted]) {
                self.add(WatchTable::Data, path, Mode::Once);
            }
        }
        for path in &watches.exist {
            if !is_missed(path, &[EventKind::NodeCreated]) {
                self.add(WatchTable::Data, path, Mode::Once);
            }
        }
        for path in &watches.child {
            if !is_missed(path, &[EventKind::NodeChildrenChanged, EventKind::NodeDeleted]) {
                self.add(WatchTable::Child, path, Mode::Once);
            }
        }
        for path in &watches.persistent {
            self.add_lasting(path, WatchMode::Persistent);
        }
        for path in &watches.persistent_recursive {
            self.add_lasting(path, WatchMode::PersistentRecursive);
        }
    }

    /// Whether a trigger finds a watch; one-shot watches that it finds are gone.
    fn fire(&mut self, trigger: &Trigger) -> bool {
        let recursive = trigger.table == WatchTable::Data
            && ancestors(&trigger.path)
                .any(|ancestor| self.data.contains(&(ancestor.to_owned(), Mode::Recursive)));
        let side = self.side(trigger.table);
        let once = side.remove(&(trigger.path.clone(), Mode::Once));
        once || recursive || side.contains(&(trigger.path.clone(), Mode::Persistent))
    }

    fn has(&self, path: &str, kind: WatcherKind) -> bool {
        let data = |mode| self.data.contains(&(path.to_owned(), mode));
        let child = |mode| self.child.contains(&(path.to_owned(), mode));
        match kind {
            WatcherKind::Children => child(Mode::Once),
            WatcherKind::Data => data(Mode::Once),
            WatcherKind::Persistent => data(Mode::Persistent),
            WatcherKind::PersistentRecursive => data(Mode::Recursive),
            WatcherKind::Any => {
                child(Mode::Once)
                    || data(Mode::Once)
                    || data(Mode::Persistent)
                    || data(Mode::Recursive)
            }
        }
    }

    fn remove(&mut self, path: &str, kind: WatcherKind) {
        let (once, lasting, recursive): (&[WatchTable], bool, bool) = match kind {
            WatcherKind::Children => (&[WatchTable::Child], false, false),
            WatcherKind::Data => (&[WatchTable::Data], false, false),
            WatcherKind::Persistent => (&[], true, false),
            WatcherKind::PersistentRecursive => (&[], false, true),
            WatcherKind::Any => (&[WatchTable::Data, WatchTable::Child], true, true),
        };
        for &table in once {
            self.side(table).remove(&(path.to_owned(), Mode::Once));
        }
        if lasting {
            self.data.remove(&(path.to_owned(), Mode::Persistent));
            self.child.remove(&(path.to_owned(), Mode::Persistent));
        }
        if recursive {
            self.data.remove(&(path.to_owned(), Mode::Recursive));
        }
    }
}

/// A path and all above it, the root included.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    std::iter::from_fn(move || {
        let current = rest?;
        rest = match current.rfind('/') {
            _ if current == "/" => None,
            Some(0) => Some("/"),
            Some(at) => Some(&current[..at]),
            None => None,
        };
        Some(current)
    })
}

fn broken<T>(promise: Promise, detail: String) -> Result<T, Violation> {
    Err(Violation::new(promise, detail))
}
