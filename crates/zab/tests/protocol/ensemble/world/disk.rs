//! What a server has stored: a log, its epochs; and what is on the way there.

use std::collections::VecDeque;
use std::sync::Arc;

use types::membership::Membership;
use types::{Epoch, Memory, Zxid};
use wire::stored::LogBatch;
use zab::{Input, Link, Memberships, Recovered};

use super::ledger::change_in;
use crate::support::chance::Chance;

/// A transaction, as tests see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) zxid: Zxid,
    pub(crate) payload: Vec<u8>,
}

/// The transactions of a batch.
pub(crate) fn entries(batch: &LogBatch) -> impl Iterator<Item = Entry> {
    batch.proposals().map(|it| Entry { zxid: it.zxid(), payload: it.payload().to_vec() })
}

/// Something that is to become durable.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Append(Arc<LogBatch>),
    Accept(Epoch),
    Adopt(Epoch),
    Truncate(Zxid),
    Install { link: Link, last_applied: Zxid, entries: Vec<Entry> },
    Memberships(Memberships),
}

/// What survives a crash.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) memberships: Memberships,
    /// The membership that was written by hand.
    written: Arc<Membership>,
    pub(crate) log: Vec<Entry>,
    /// The zxid of a snapshot may be later than that of the last transaction in it.
    pub(crate) snapshot: Zxid,
    pub(crate) accepted: Epoch,
    pub(crate) current: Epoch,
    /// Whether what others may count on this server for was taken away, and is not complete again yet.
    pub(crate) memory: Memory,
    /// The snapshot is a leader's, and what that had applied is not complete in the log yet.
    pub(crate) is_between_states: bool,
    /// What comes before is in a snapshot only, and not in the log any longer.
    pub(crate) purged_up_to: Zxid,
    /// From here on the log can not be read, if anybody tries.
    pub(crate) spoiled_from: Option<Zxid>,
    /// Whether the next cut is one that the files do not allow.
    pub(crate) refuses_cut: bool,
}

/// One server's disk. It does one thing after the other.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) durable: Durable,
    jobs: VecDeque<Job>,
}

impl Job {
    /// What is stored, in a word.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Append(_) => "log",
            Self::Accept(_) => "accepted",
            Self::Adopt(_) => "current",
            Self::Truncate(_) => "cut",
            Self::Install { .. } => "snapshot",
            Self::Memberships(_) => "memberships",
        }
    }
}

impl Durable {
    pub(crate) fn last_logged(&self) -> Zxid {
        self.log.last().map_or(Zxid::ZERO, |entry| entry.zxid).max(self.snapshot)
    }

    pub(crate) fn recovered(&self) -> Recovered {
        Recovered {
            accepted_epoch: self.accepted,
            current_epoch: self.current,
            last_logged: self.last_logged(),
            memory: self.memory.of_history(self.last_logged(), self.current),
            is_between_states: self.is_between_states,
            change: self.change(),
        }
    }

    /// The newest membership that a transaction brings. Trees of snapshots tell too if there is none.
    fn change(&self) -> Option<Arc<Membership>> {
        let brought = self.log.iter().rev().find_map(|entry| change_in(&entry.payload));
        let is_in_snapshot = self.purged_up_to > Zxid::ZERO;
        brought.map(Arc::new).or_else(|| is_in_snapshot.then(|| Arc::clone(&self.written)))
    }

    pub(crate) fn has(&self, zxid: Zxid) -> bool {
        self.log.binary_search_by_key(&zxid, |entry| entry.zxid).is_ok()
    }

    /// The last transaction up to another that is in the log, or behind which the log begins, or the
    /// beginning of the epoch with which it begins; `None` if the log says nothing about that.
    pub(crate) fn look_up(&self, zxid: Zxid) -> Option<Zxid> {
        let zxids = || self.readable_behind(Zxid::ZERO).map(|entry| entry.zxid);
        let begins = zxid.counter().0 == 0 && zxid.next() == Some(zxids().next()?);
        let base =
            Some(self.purged_up_to).filter(|&base| base <= zxid && base.next() == zxids().next());
        let before = zxids().take_while(|&it| it <= zxid).last();
        before.or_else(|| begins.then_some(zxid)).or(base)
    }

    /// What the log has behind a transaction, as far as it can be read.
    pub(crate) fn readable_behind(&self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        let is_readable = |it: &&Entry| self.spoiled_from.is_none_or(|spoiled| it.zxid < spoiled);
        let after = zxid.max(self.purged_up_to);
        self.log.iter().filter(move |it| it.zxid > after).take_while(is_readable)
    }

    /// Notes if more of the epoch that was accepted is there than is to be left.
    fn note_what_is_taken(&mut self, last: Zxid) {
        let last_logged = self.last_logged();
        if last_logged > last && last_logged.epoch() >= self.accepted {
            self.memory = self.memory.shortened_from(last_logged);
        }
    }

    fn carry_out(&mut self, job: Job) -> Option<Input<'static>> {
        Some(match job {
            Job::Append(batch) => {
                self.log.extend(entries(&batch));
                Input::LogSynced { zxid: batch.last_zxid().expect("not empty") }
            }
            Job::Accept(epoch) => {
                assert!(epoch >= self.accepted, "D2: accepted epochs never decrease");
                self.accepted = epoch;
                Input::AcceptedEpochStored(epoch)
            }
            Job::Adopt(epoch) => {
                assert!(epoch >= self.current, "D2: current epochs never decrease");
                assert!(epoch <= self.accepted, "D2: who adopts an epoch has accepted it");
                self.current = epoch;
                self.memory = Memory::Whole;
                self.is_between_states = false;
                Input::CurrentEpochStored(epoch)
            }
            Job::Truncate(_) if std::mem::take(&mut self.refuses_cut) => {
                Input::NotTruncated { last_logged: self.last_logged() }
            }
            Job::Truncate(keep) => {
                self.note_what_is_taken(keep);
                self.log.retain(|entry| entry.zxid <= keep);
                // The beginning of an epoch is the state in which the one before ended.
                self.snapshot = match keep.counter().0 {
                    0 => keep,
                    _ => self.snapshot.min(keep),
                };
                Input::Truncated { last_logged: keep }
            }
            Job::Install { link, last_applied, entries } => {
                self.note_what_is_taken(last_applied);
                self.is_between_states = true;
                self.log = entries;
                self.snapshot = last_applied;
                self.purged_up_to = last_applied;
                Input::SnapshotInstalled { link, last_applied, membership: self.change() }
            }
            Job::Memberships(memberships) => {
                self.memberships = memberships;
                return None;
            }
        })
    }
}

impl Disk {
    /// One that has nothing but who there is.
    pub(crate) fn new(memberships: Memberships) -> Self {
        let durable = Durable {
            written: Arc::clone(&memberships.committed),
            memberships,
            log: Vec::new(),
            snapshot: Zxid::ZERO,
            accepted: Epoch(0),
            current: Epoch(0),
            memory: Memory::Whole,
            is_between_states: false,
            purged_up_to: Zxid::ZERO,
            spoiled_from: None,
            refuses_cut: false,
        };
        Self { durable, jobs: VecDeque::new() }
    }

    pub(crate) fn submit(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// The job that is carried out next.
    pub(crate) fn first(&self) -> Option<&Job> {
        self.jobs.front()
    }

    /// Carries out the oldest job, and tells the result if somebody waits for it.
    pub(crate) fn next(&mut self) -> Option<Input<'static>> {
        let job = self.jobs.pop_front()?;
        self.durable.carry_out(job)
    }

    /// Loses what was not durable.
    pub(crate) fn lose(&mut self) {
        self.jobs.clear();
    }

    /// Carries out some of the jobs before a crash, without telling anybody; of the first one that is
    /// not done a part of an append may be. Returns how much of it: what is torn is cut on start.
    pub(crate) fn tear(&mut self, chance: &mut Chance) -> usize {
        let jobs = u64::try_from(self.jobs.len()).expect("a count");
        let done = usize::try_from(chance.below(jobs + 1)).expect("a count");
        if let Some(Job::Append(batch)) = self.jobs.get(done) {
            let count = u64::try_from(batch.count()).expect("a count");
            let torn = usize::try_from(chance.below(count + 1)).expect("a count");
            let mut rest = LogBatch::new();
            batch.proposals().take(torn).for_each(|proposal| {
                rest.push_proposal(proposal);
            });
            self.jobs.truncate(done);
            if torn > 0 {
                self.jobs.push_back(Job::Append(Arc::new(rest)));
                return done + 1;
            }
        }
        done
    }
}
