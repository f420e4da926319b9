//! What must hold after every step. The names are those of the invariants in the specifications of
//! Zab (`Z`, `M`), of what has to be durable (`D`), and of changes of the membership (`R`).

use std::collections::BTreeMap;
use std::sync::Arc;

use types::membership::{ConfigVersion, Membership};
use types::{Counter, Epoch, Sid, Zxid};
use wire::quorum::Proposal;

use crate::ensemble::world::disk::{Durable, Entry};

/// What is known of a run from the outside.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// Everything that was ever proposed.
    proposed: BTreeMap<Zxid, Vec<u8>>,
    /// Everything that any server has delivered, in order.
    pub(crate) committed: Vec<Entry>,
    /// Who has led learners to its history in which epoch.
    pub(crate) leaders: BTreeMap<Epoch, Sid>,
    /// Elections that led to a reign.
    pub(crate) reigns: u64,
    /// Those that were in force, oldest first.
    memberships: Vec<Membership>,
    /// All that any server has seen, by version.
    seen: BTreeMap<ConfigVersion, Arc<Membership>>,
    /// Transactions that were proposed since the run began.
    pub(crate) proposals: u64,
}

impl Ledger {
    /// Nothing has happened; who there is.
    pub(crate) fn new(membership: Membership) -> Self {
        Self {
            proposed: BTreeMap::new(),
            committed: Vec::new(),
            leaders: BTreeMap::new(),
            reigns: 0,
            proposals: 0,
            memberships: vec![membership],
            seen: BTreeMap::new(),
        }
    }

    /// A server has seen a membership.
    pub(crate) fn membership_seen(&mut self, who: Sid, membership: &Arc<Membership>) {
        let version = membership.version();
        let first = self.seen.entry(version).or_insert_with(|| Arc::clone(membership));
        assert_eq!(first, membership, "R3: {who:?} sees another membership {version}");
        let zxid = version.zxid();
        if zxid.counter() != Counter(0) {
            let payload = self.proposed.get(&zxid).expect("R3: nobody proposed the membership");
            assert_eq!(change_in(payload).as_ref(), Some(&**membership), "R3");
        }
    }

    /// A server has put a membership in force. Returns the one before, if it is the first to do so.
    pub(crate) fn in_force(&mut self, membership: &Membership) -> Option<Membership> {
        let last = self.newest_membership().clone();
        if membership.version() <= last.version() {
            assert!(
                self.memberships.contains(membership),
                "R3: {} came late",
                membership.version()
            );
            return None;
        }
        self.memberships.push(membership.clone());
        Some(last)
    }

    /// Those of which a quorum has to have a transaction: of a change the old and the new membership.
    pub(crate) fn memberships_for(&self, zxid: Zxid) -> impl Iterator<Item = &Membership> {
        let first_newer = self.memberships.partition_point(|it| it.version().zxid() < zxid);
        let new = self.memberships.get(first_newer).filter(|it| it.version().zxid() == zxid);
        self.memberships.get(first_newer.saturating_sub(1)).into_iter().chain(new)
    }

    /// The last membership that was in force.
    pub(crate) fn newest_membership(&self) -> &Membership {
        self.memberships.last().expect("there is a first")
    }

    /// Whether a server votes, or did so before the last change, which it then has to bring to its end.
    pub(crate) fn may_lead(&self, sid: Sid) -> bool {
        let last_two = self.memberships.iter().rev().take(2);
        last_two.into_iter().any(|it| it.find(sid).is_some_and(|member| member.is_voter()))
    }

    /// A leader proposes a transaction.
    pub(crate) fn proposes(&mut self, entry: Entry) {
        self.proposals += 1;
        let before = self.proposed.insert(entry.zxid, entry.payload);
        assert!(before.is_none(), "Z2: {} is proposed twice", entry.zxid);
    }

    /// What a server is to log follows what it has, and was proposed.
    pub(crate) fn logs(&self, who: Sid, last: Zxid, entry: &Entry) {
        let follows = last.next() == Some(entry.zxid)
            || entry.zxid.epoch() > last.epoch() && entry.zxid.counter().0 == 1;
        assert!(follows, "Z12: {who:?} logs {} after {last}", entry.zxid);
        let payload = self.proposed.get(&entry.zxid);
        assert_eq!(payload, Some(&entry.payload), "Z4: {who:?} logs what nobody proposed");
    }

    /// Adds what a server had when the run began.
    pub(crate) fn has(&mut self, log: &[Entry]) {
        for entry in log {
            self.proposed.insert(entry.zxid, entry.payload.clone());
        }
    }

    /// A server has delivered everything up to the end of `log`. Returns what no other had.
    pub(crate) fn delivered(&mut self, who: Sid, log: &[Entry]) -> &[Entry] {
        let both = self.committed.len().min(log.len());
        for (ours, theirs) in self.committed.iter().zip(log).take(both) {
            assert_eq!(ours, theirs, "Z3: {who:?} delivers another transaction than others");
        }
        self.committed.extend_from_slice(&log[both..]);
        &self.committed[both..]
    }

    /// A server brings learners to its history. It has everything that was committed in epochs before its own when
    /// it began; what others commit who have left it for a later one it need not have.
    pub(crate) fn synchronizes(&mut self, who: Sid, epoch: Epoch, log: &[Entry]) {
        let before = self.leaders.insert(epoch, who);
        assert!(before.is_none_or(|it| it == who), "Z2: {before:?} and {who:?} in {epoch:?}");
        if before.is_none() {
            self.must_have_earlier("M3", who, epoch, log);
        }
    }

    /// A server leads, with this history.
    pub(crate) fn leads(&mut self, who: Sid, epoch: Epoch, log: &[Entry]) {
        let leader = self.leaders.entry(epoch).or_insert(who);
        assert_eq!(*leader, who, "Z1: two lead in {epoch:?}");
        self.must_have_earlier("M1", who, epoch, log);
        self.reigns += 1;
    }

    /// What is committed and was on a disk, and is not any longer.
    pub(crate) fn forgotten(
        &self,
        before: &Durable,
        after: &Durable,
    ) -> impl Iterator<Item = Zxid> {
        let zxids = self.committed.iter().map(|entry| entry.zxid);
        zxids.filter(|&zxid| before.has(zxid) && !after.has(zxid))
    }

    /// The last transaction that any server has delivered.
    pub(crate) fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, |entry| entry.zxid)
    }

    fn must_have_earlier(&self, name: &str, who: Sid, epoch: Epoch, log: &[Entry]) {
        let count = self.committed.partition_point(|entry| entry.zxid.epoch() < epoch);
        let has_all = log.get(..count) == Some(&self.committed[..count]);
        assert!(has_all, "{name}: {who:?} leads in {epoch:?} without all that is committed");
    }
}

/// The membership that a transaction brings.
pub(super) fn change_in(payload: &[u8]) -> Option<Membership> {
    let proposal = Proposal::new(payload).expect("long enough");
    let text = proposal.new_config().ok().flatten()?;
    Some(Membership::parse(&text).expect("a membership"))
}
