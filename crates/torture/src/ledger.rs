//! What a client must find below its znode.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use types::{AclList, Create, CreateCall, CreateMode, MultiOp, Op, Stat, Write, Zxid};

use crate::random::Random;

/// With more znodes, mostly deletions are asked for.
const ITEMS_MAX: usize = 300;
/// The znode whose data and version each setting changes.
const COUNTER: &str = "counter";

/// What is below a client's znode: data and numbers by name.
pub(crate) type Found = BTreeMap<String, (Vec<u8>, Stat)>;

/// One request of a client. Each carries a number that no other has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A sequential znode, with the number as data.
    Append(u64),
    /// The counter gets the number, if it has the version it must have.
    Set(u64),
    /// A multi: a znode with the number in its name, and the counter.
    Both(u64),
    /// A multi that has to fail after its first operation.
    Refused(u64),
    /// One of the znodes goes.
    Delete(String),
}

/// A znode below a client's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Item {
    pub(crate) data: Vec<u8>,
    /// The transaction that created it, or set it last; `None` if its answer was lost.
    pub(crate) zxid: Option<Zxid>,
    pub(crate) version: i32,
}

/// Everything below a client's znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Subtree {
    parent: String,
    items: BTreeMap<String, Item>,
    /// How many znodes were ever created here: the suffix of the next sequential one.
    created: u32,
}

/// What was acknowledged, and what was asked beyond that.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// After everything that was acknowledged.
    known: Subtree,
    /// After everything that was asked.
    asked: Subtree,
    /// Asked and not acknowledged, oldest first.
    unknown: VecDeque<Step>,
    next_number: u64,
}

impl Subtree {
    /// A parent with its counter.
    fn new(parent: &str) -> Self {
        let counter = Item { data: b"0".to_vec(), zxid: None, version: 0 };
        let items = BTreeMap::from([(COUNTER.to_owned(), counter)]);
        Self { parent: parent.to_owned(), items, created: 1 }
    }

    /// Does what the server has to do.
    fn apply(&mut self, step: &Step, zxid: Option<Zxid>) {
        let item = |number: u64| Item { data: number.to_string().into_bytes(), zxid, version: 0 };
        match step {
            Step::Append(number) => {
                self.items.insert(self.next_sequential(), item(*number));
                self.created += 1;
            }
            Step::Set(number) => self.count(*number, zxid),
            Step::Both(number) => {
                self.items.insert(format!("both-{number}"), item(*number));
                self.created += 1;
                self.count(*number, zxid);
            }
            Step::Refused(_) => {}
            Step::Delete(name) => {
                self.items.remove(name);
            }
        }
    }

    fn count(&mut self, number: u64, zxid: Option<Zxid>) {
        let version = self.version() + 1;
        let counter = Item { data: number.to_string().into_bytes(), zxid, version };
        self.items.insert(COUNTER.to_owned(), counter);
    }

    fn version(&self) -> i32 {
        self.items.get(COUNTER).map_or(0, |counter| counter.version)
    }

    fn next_sequential(&self) -> String {
        format!("n-{:010}", self.created)
    }

    /// How the server is asked for a step, which comes next.
    fn op(&self, step: &Step) -> Op<'static> {
        let path = |name: &str| format!("{}/{name}", self.parent);
        let set = |number: &u64, version| {
            let data = Some(Cow::Owned(number.to_string().into_bytes()));
            (Cow::Owned(path(COUNTER)), data, Some(version))
        };
        match step {
            Step::Append(number) => Op::Write(Write::Create(create(
                path("n-"),
                *number,
                CreateMode::PersistentSequential,
            ))),
            Step::Set(number) => {
                let (path, data, version) = set(number, self.version());
                Op::Write(Write::SetData { path, data, version })
            }
            Step::Both(number) | Step::Refused(number) => {
                let must_fail = i32::from(matches!(step, Step::Refused(_)));
                let name = path(&format!("both-{number}"));
                let (path, data, version) = set(number, self.version() + must_fail);
                Op::Write(Write::Multi(vec![
                    MultiOp::Create(create(name, *number, CreateMode::Persistent)),
                    MultiOp::SetData { path, data, version },
                ]))
            }
            Step::Delete(name) => {
                Op::Write(Write::Delete { path: path(name).into(), version: None })
            }
        }
    }

    /// What the server's answer to a creation has to name.
    pub(crate) fn next_path(&self) -> String {
        format!("{}/{}", self.parent, self.next_sequential())
    }

    /// The first difference to what was found, if there is one.
    fn difference(&self, found: &Found) -> Option<String> {
        if let Some(name) = found.keys().find(|name| !self.items.contains_key(*name)) {
            return Some(format!("{name} is there and must not be"));
        }
        self.items.iter().find_map(|(name, item)| {
            let Some((data, stat)) = found.get(name) else {
                return Some(format!("{name} is missing"));
            };
            let is_same = *data == item.data
                && stat.version == item.version
                && item.zxid.is_none_or(|zxid| zxid == stat.mzxid);
            (!is_same).then(|| format!("{name} is {data:?} {stat:?} instead of {item:?}"))
        })
    }
}

impl Ledger {
    /// That of a client whose znode and counter were just created.
    pub(crate) fn new(parent: &str) -> Self {
        let known = Subtree::new(parent);
        Self { asked: known.clone(), known, unknown: VecDeque::new(), next_number: 1 }
    }

    /// Decides what to ask next, and notes that it was asked.
    pub(crate) fn ask(&mut self, random: &mut Random) -> Op<'static> {
        let number = self.next_number;
        self.next_number += 1;
        let items = self.asked.items.len();
        let step = match random.below(if items > ITEMS_MAX { 20 } else { 10 }) {
            0..4 => Step::Append(number),
            4..6 => Step::Set(number),
            6..8 => Step::Both(number),
            8 => Step::Refused(number),
            _ => self.deletion(random).unwrap_or(Step::Set(number)),
        };
        let op = self.asked.op(&step);
        self.asked.apply(&step, None);
        self.unknown.push_back(step);
        op
    }

    fn deletion(&self, random: &mut Random) -> Option<Step> {
        // A creation and a deletion of the same znode, both unanswered, would leave no trace but the
        // counter in later names: it could not be told whether they were done.
        let is_known = |name: &&String| *name != COUNTER && self.known.items.contains_key(*name);
        let deletable = self.asked.items.keys().filter(is_known);
        let count = deletable.clone().count() as u64;
        let chosen = usize::try_from(random.below(count.max(1))).ok()?;
        deletable.clone().nth(chosen).cloned().map(Step::Delete)
    }

    /// The oldest request that was not acknowledged, and the state that it found.
    pub(crate) fn oldest(&self) -> Option<(&Step, &Subtree)> {
        Some((self.unknown.front()?, &self.known))
    }

    /// The oldest request was acknowledged.
    pub(crate) fn acknowledge(&mut self, zxid: Zxid) {
        if let Some(step) = self.unknown.pop_front() {
            self.known.apply(&step, Some(zxid));
        }
    }

    /// How many requests were not acknowledged.
    pub(crate) fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Settles which of the unknown requests were done, from what is there: a first part of them.
    /// Returns how many.
    ///
    /// # Errors
    /// The first difference to what the acknowledged requests lead to.
    pub(crate) fn settle(&mut self, found: &Found) -> Result<usize, String> {
        let Some(difference) = self.known.difference(found) else {
            self.settle_as(self.known.clone());
            return Ok(0);
        };
        let mut candidate = self.known.clone();
        for (done, step) in self.unknown.iter().enumerate() {
            candidate.apply(step, None);
            if candidate.difference(found).is_none() {
                self.settle_as(candidate);
                return Ok(done + 1);
            }
        }
        Err(difference)
    }

    fn settle_as(&mut self, subtree: Subtree) {
        self.asked = subtree.clone();
        self.known = subtree;
        self.unknown.clear();
    }
}

/// A creation that anyone may use.
pub(crate) fn create(path: String, number: u64, mode: CreateMode) -> Create<'static> {
    Create {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(Cow::Owned(number.to_string().into_bytes())),
        acl: AclList::open(),
        mode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(subtree: &Subtree) -> Found {
        let items = subtree.items.iter();
        items
            .map(|(name, item)| {
                let mzxid = item.zxid.unwrap_or_default();
                let stat = Stat { version: item.version, mzxid, ..Stat::default() };
                (name.clone(), (item.data.clone(), stat))
            })
            .collect()
    }

    /// A client that asked ten times and was answered four times.
    fn interrupted() -> Ledger {
        let mut ledger = Ledger::new("/c");
        let mut random = Random::new(3);
        for _ in 0..10 {
            ledger.ask(&mut random);
        }
        for counter in 1..=4 {
            ledger.acknowledge(Zxid::from_raw(counter));
        }
        ledger
    }

    #[test]
    fn any_prefix_with_everything_acknowledged_is_accepted() {
        for done in 0..=6 {
            let mut ledger = interrupted();
            let mut reached = ledger.known.clone();
            for step in ledger.unknown.iter().take(done) {
                reached.apply(step, None);
            }
            let settled = ledger.settle(&found(&reached)).expect("a prefix");
            assert!(settled <= done);
            assert_eq!(ledger.known, reached);
        }
    }

    #[test]
    fn what_was_acknowledged_and_is_missing_is_found_out() {
        let mut ledger = interrupted();
        let nothing_done = Subtree::new("/c");
        assert!(ledger.settle(&found(&nothing_done)).is_err());
    }

    #[test]
    fn half_a_multi_is_found_out() {
        let mut ledger = Ledger::new("/c");
        ledger.unknown.push_back(Step::Both(7));
        let mut half = ledger.known.clone();
        half.items
            .insert("both-7".to_owned(), Item { data: b"7".to_vec(), zxid: None, version: 0 });
        assert!(ledger.settle(&found(&half)).is_err());
    }

    #[test]
    fn a_write_that_was_never_asked_for_is_found_out() {
        let mut ledger = interrupted();
        let mut more = ledger.known.clone();
        more.apply(&Step::Append(99), None);
        assert!(ledger.settle(&found(&more)).is_err());
    }

    #[test]
    fn another_place_in_the_order_is_found_out() {
        let mut ledger = Ledger::new("/c");
        ledger.unknown.push_back(Step::Append(1));
        ledger.acknowledge(Zxid::from_raw(5));
        let mut moved = ledger.known.clone();
        for item in moved.items.values_mut() {
            item.zxid = Some(Zxid::from_raw(6));
        }
        assert!(ledger.settle(&found(&moved)).is_err());
    }
}
