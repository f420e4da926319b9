//! Cutting the end of a history off, as a leader may ask of a follower.
//!
//! What was logged but never committed has to go before anything else is logged, and must not come
//! back. Each step is durable before the next:
//!
//! ```text
//! 0  note what is taken              if others may count on it (`Memory`)
//! 1  forget the watermark            it may point behind the cut
//! 2  remove snapshots from behind    newest first
//! 3  remove later logs               newest first: a crash leaves a shorter history without a gap
//! 4  cut the log after the transaction
//! ```
//!
//! So a crash leaves the old history, or one that is shorter but not shorter than was asked for; the
//! leader then asks again.
//!
//! **Snapshots from behind** are those that show a trace of a later transaction: by their name, their
//! digest's zxid, the last lines of the file, or the zxids of their znodes. A recovery that began from one would bring back what
//! was cut (ZOOKEEPER-4837), so they are removed for good; that is done first, while the logs still
//! lead to the old end from an older snapshot. One whose file is there when the history is cut
//! can not be finished any more; who has asked for one before it asks for the cut has to see to it that none is begun between.
//!
//! **A running server** hands its [`Log`] over and gets another one back: with entries that are not
//! synced, space ahead and an end that are those of the old branch, it can not be used again, whether
//! the cut succeeds or fails. The new one starts a file of its own, as every log does, so that nothing
//! is ever written behind the place of the cut (ZOOKEEPER-1489).

use std::path::PathBuf;

use types::{Zxid, mutant};

use crate::data_dir::{Branch, DataDir};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, CutObstacle, Error};
use crate::history::Step;
use crate::layout::{LogFile, SnapshotFile};
use crate::log::{Log, LogReader, Next, Opened, follows};
use crate::recover::{RecoverOptions, Recovered, is_loss};
use crate::{snapshot, watermark};

impl<D: Disk> DataDir<D> {
    /// Sets a running server back: makes `last` the last transaction of its history, durably, reads
    /// the state after it, and opens a log that goes on from there.
    ///
    /// # Errors
    /// [`Error::NotCut`] if that is impossible; nothing was changed then, and a recovery finds the
    /// old history. [`Error::Poisoned`] if the log failed before. After any other error what is on
    /// the disk is unknown and the server has to end.
    pub fn rewind(
        &self,
        log: Log<D>,
        last: Zxid,
        options: &RecoverOptions,
    ) -> Result<(Log<D>, Recovered), Error> {
        let last_logged = log.last_logged();
        let log_options = log.abandon()?;
        match self.take_back(last_logged, last) {
            Err(_) if mutant::active(13) => {}
            result => result?,
        }
        let recovered = self.recover(options)?;
        if recovered.last_logged != last && ![12, 13].into_iter().any(mutant::active) {
            let dir = self.directories.log_dir();
            return Err(Error::HistoryEnds { dir, last: recovered.last_logged, expected: last });
        }
        Ok((self.log(log_options, last)?, recovered))
    }

    /// Makes `last` the last transaction of the history, durably. For directories without an open
    /// log; [`DataDir::rewind`] is for those with one. The caller then recovers again.
    ///
    /// # Errors
    /// [`Error::NotCut`] if that is impossible; nothing was changed then. After any other error the
    /// history is unknown: nothing may be logged or answered before a recovery.
    pub fn truncate(&self, last: Zxid) -> Result<(), Error> {
        let mut branch = self.branch();
        let plan = self.plan_cut(last)?;
        self.cut(&mut branch, plan, last)
    }
    /// Why the history can not be made to end with `last`; `None` if it can. Changes nothing.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn cut_refusal(&self, last: Zxid) -> Result<Option<Error>, Error> {
        match self.plan_cut(last) {
            Ok(_) => Ok(None),
            Err(refusal @ Error::NotCut { .. }) => Ok(Some(refusal)),
            Err(damage) if is_loss(&damage) => Ok(Some(damage)),
            Err(failure) => Err(failure),
        }
    }

    /// Cuts a history that ends with `last_logged` for a leader.
    fn take_back(&self, last_logged: Zxid, last: Zxid) -> Result<(), Error> {
        let mut branch = self.branch();
        let plan = self.plan_cut(last)?;
        self.note_what_is_taken(last_logged, last)?;
        self.cut(&mut branch, plan, last)
    }

    fn cut(&self, branch: &mut Branch, plan: Plan, last: Zxid) -> Result<(), Error> {
        let Plan { newer, logs } = plan;
        branch.number += 1;
        watermark::forget(&self.disk, &self.directories.log_dir())?;
        for file in newer.into_iter().filter(|_| !mutant::active(12)) {
            self.remove(&file.path)?;
            self.sync_dir(&self.directories.snapshot_dir())?;
        }
        self.cut_logs(&logs, last, Unreadable::Refuse)?;
        self.note_log_directory()?;
        branch.ends_at_damage = false;
        Ok(())
    }

    /// What is to be removed, if the history can be made to end with `last`.
    fn plan_cut(&self, last: Zxid) -> Result<Plan, Error> {
        let mut newer = self.list_snapshots()?;
        let (beyond, start) = self.snapshots_beyond(&newer, last)?;
        let logs = self.list_logs()?;
        self.require_way(&logs, start, last)?;
        newer.retain(|file| beyond.contains(&file.path));
        Ok(Plan { newer, logs })
    }

    /// Removes everything after `last` from the logs, durably.
    pub(crate) fn cut_logs(
        &self,
        logs: &[LogFile],
        last: Zxid,
        unreadable: Unreadable,
    ) -> Result<(), Error> {
        let mut kept = logs.partition_point(|log| log.first <= last);
        let mut later: Vec<_> = logs[kept..].iter().rev().collect();
        if mutant::active(15) {
            later.reverse();
        }
        later.into_iter().try_for_each(|log| self.remove_log(log))?;
        while let Some(log) = logs[..kept].last() {
            let path = &log.path;
            let cut_point = match self.cut_point(log, last) {
                Err(error) if is_loss(&error) && unreadable == Unreadable::Remove => None,
                result => result?,
            };
            if let Some(offset) = cut_point {
                let file = self.disk.open(path, Access::ReadWrite).during(Action::Open, path)?;
                file.set_len(offset).during(Action::Truncate, path)?;
                if !mutant::active(14) {
                    file.sync_data().during(Action::Sync, path)?;
                }
                break;
            }
            self.remove_log(log)?;
            kept -= 1;
        }
        Ok(())
    }

    /// Removes a log, durably.
    pub(crate) fn remove_log(&self, log: &LogFile) -> Result<(), Error> {
        self.remove(&log.path)?;
        self.sync_dir(&self.directories.log_dir())
    }

    /// Checks that logs lead from the snapshot at `start` to `last`, before anything is removed.
    fn require_way(&self, logs: &[LogFile], start: Zxid, last: Zxid) -> Result<(), Error> {
        let not_cut = |obstacle| Err(Error::NotCut { zxid: last, obstacle });
        let first = logs.iter().rposition(|log| log.first <= start.successor()).unwrap_or(0);
        let Some(mut entries) = self.entries(logs.iter().skip(first).cloned())? else {
            return not_cut(CutObstacle::Gap);
        };
        let mut reached = start;
        // What lies behind `last` may be damaged: that is a reason to cut it off.
        while reached < last
            && let Some(Step { zxid, .. }) = entries.next()?
        {
            if zxid <= start {
                continue;
            }
            if zxid > last {
                break;
            }
            if !follows(reached, zxid) {
                return not_cut(CutObstacle::Gap);
            }
            reached = zxid;
        }
        if reached == last { Ok(()) } else { not_cut(CutObstacle::NotLogged) }
    }

    /// The snapshots that may hold something after `last`, the newest first; and the transaction of
    /// the newest other one that can be read.
    fn snapshots_beyond(
        &self,
        snapshots: &[SnapshotFile],
        last: Zxid,
    ) -> Result<(Vec<PathBuf>, Zxid), Error> {
        let mut beyond = Vec::new();
        for file in snapshots {
            match snapshot::verify(&self.disk, file) {
                Ok(reached) if reached <= last => return Ok((beyond, file.zxid)),
                Ok(_) => beyond.push(file.path.clone()),
                Err(_) if file.zxid > last => beyond.push(file.path.clone()),
                Err(_) => {}
            }
        }
        Err(Error::NotCut { zxid: last, obstacle: CutObstacle::NoSnapshot })
    }

    /// The byte at which a log is to be cut so that nothing after `last` remains; `None` if it is no
    /// log.
    fn cut_point(&self, log: &LogFile, last: Zxid) -> Result<Option<u64>, Error> {
        let Opened::Log(mut reader) = LogReader::open(&self.disk, &log.path)? else {
            return Ok(None);
        };
        let (mut offset, mut reached) = (reader.offset(), Zxid::ZERO);
        while reached < last
            && let Next::Entry(entry) = reader.next()?
            && entry.zxid <= last
        {
            reached = entry.zxid;
            offset = reader.offset();
        }
        Ok(Some(offset))
    }
}

/// What a cut removes, beside the end of one log.
struct Plan {
    /// Snapshots from behind the cut, the newest first.
    newer: Vec<SnapshotFile>,
    /// All logs, in ascending order.
    logs: Vec<LogFile>,
}

/// What becomes of a log in which the place of a cut can not be found because the disk does not give
/// it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// It is an error: something in it is needed.
    Refuse,
    /// It goes: nothing in it is needed.
    Remove,
}
