//! What a server has stored: a log, its epochs; and what is on the way there.

use std::collections::VecDeque;
use std::sync::Arc;

use types::{Epoch, Zxid};
use wire::stored::LogBatch;
use zab::{Input, Link, Recovered};

use crate::random::Random;

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
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) log: Vec<Entry>,
    /// The zxid of a snapshot may be later than that of the last transaction in it.
    pub(crate) snapshot: Zxid,
    pub(crate) accepted: Epoch,
    pub(crate) current: Epoch,
}

/// One server's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) durable: Durable,
    jobs: VecDeque<Job>,
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
            is_whole: true,
        }
    }

    pub(crate) fn has(&self, zxid: Zxid) -> bool {
        self.log.binary_search_by_key(&zxid, |entry| entry.zxid).is_ok()
    }

    fn carry_out(&mut self, job: Job) -> Input<'static> {
        match job {
            Job::Append(batch) => {
                self.log.extend(entries(&batch));
                Input::LogSynced { zxid: batch.last_zxid().expect("not empty") }
            }
            Job::Accept(epoch) => {
                assert!(epoch >= self.accepted, "accepted epochs never decrease");
                self.accepted = epoch;
                Input::AcceptedEpochStored(epoch)
            }
            Job::Adopt(epoch) => {
                assert!(epoch >= self.current, "current epochs never decrease");
                assert!(epoch <= self.accepted, "who adopts an epoch has accepted it");
                self.current = epoch;
                Input::CurrentEpochStored(epoch)
            }
            Job::Truncate(keep) => {
                self.log.retain(|entry| entry.zxid <= keep);
                self.snapshot = self.snapshot.min(keep);
                Input::Truncated { last_logged: keep }
            }
            Job::Install { link, last_applied, entries } => {
                self.log = entries;
                self.snapshot = last_applied;
                Input::SnapshotInstalled { link, last_applied }
            }
        }
    }
}

impl Disk {
    pub(crate) fn submit(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// Carries out the oldest job and tells the result.
    pub(crate) fn next(&mut self) -> Option<Input<'static>> {
        let job = self.jobs.pop_front()?;
        Some(self.durable.carry_out(job))
    }

    /// Loses what was not durable; some of the jobs may have been carried out and nobody was told,
    /// the last of them in part.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        let jobs = std::mem::take(&mut self.jobs);
        let done = random.below(jobs.len() as u64 + 1);
        for (number, job) in jobs.into_iter().enumerate() {
            if (number as u64) < done {
                self.durable.carry_out(job);
            } else if let Job::Append(batch) = job {
                let torn = random.below(batch.count() as u64 + 1);
                let torn = usize::try_from(torn).expect("a count");
                self.durable.log.extend(entries(&batch).take(torn));
                return;
            } else {
                return;
            }
        }
    }
}
