//! Reading history back: for learners that lag behind what memory holds.
//!
//! ```text
//! logs:   | .. 7 8 9 | 10 11 .. 19 | 20 .. 31 | 32 .. being written
//!               ^after                   ^up_to
//!                └── 9, 10 .. 19, 20 .. 27 in batches
//! ```
//!
//! What is handed out is one unbroken piece of this server's history: it begins with the transaction
//! right behind one that was itself found, and no number is missing up to `up_to`. Which one that is
//! for a learner whose last transaction is not in the logs, [`DataDir::history_beside`] tells; whether
//! that means something is a matter of the protocol between servers.
//!
//! **One branch only.** Numbers show gaps within an epoch, but an epoch may follow any transaction: a
//! log that is missing at its border, or one of a branch that was left there, looks like any other.
//! What has been replayed since the start is surely this server's history. Before that, what leads to
//! the snapshot from which the replay began number by number is, since an epoch has one leader and
//! one order. Anything older is not handed out.
//!
//! **Bounds.** At most one file's window and one batch are in memory. All files are held open from the
//! start, so that a purge beside it takes nothing away.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use types::Zxid;
use wire::quorum::Proposal;
use wire::stored::LogBatch;

use crate::data_dir::DataDir;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, Damage, Error};
use crate::layout::LogFile;
use crate::log::{End, EndKind, LogReader, Opened, follows};

/// A piece of the history, read batch by batch.
#[derive(Debug)]
pub struct History<D: Disk> {
    entries: Entries<D::File>,
    after: Zxid,
    /// The last transaction that was handed out.
    last: Zxid,
    up_to: Zxid,
    /// Where the replay began; what comes before has to lead to it number by number.
    replayed_from: Zxid,
    bytes: u64,
}

impl<D: Disk> History<D> {
    /// The next transactions in their order: about `bytes_max` bytes of log, and at least one
    /// transaction; `None` after the last.
    ///
    /// # Errors
    /// When a log is damaged, or a transaction is missing; when the disk fails. What was handed out
    /// before is right all the same.
    pub fn next_batch(&mut self, bytes_max: usize) -> Result<Option<LogBatch>, Error> {
        let mut batch = LogBatch::new();
        while self.last < self.up_to && (batch.is_empty() || batch.as_bytes().len() < bytes_max) {
            self.push_next(&mut batch)?;
        }
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }

    /// The transaction behind which it begins.
    pub fn after(&self) -> Zxid {
        self.after
    }

    /// Bytes of the files that are read to the end of this, without what lies before its first
    /// transaction.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn push_next(&mut self, batch: &mut LogBatch) -> Result<(), Error> {
        let (last, up_to) = (self.last, self.up_to);
        while let Some(Step { zxid, offset, payload, path }) = self.entries.next()? {
            if zxid <= last {
                // The repeated number of a request that Apache's server could not decode.
                continue;
            }
            let skips_replayed = last < self.replayed_from && zxid > self.replayed_from;
            if !follows(last, zxid) || zxid > up_to || skips_replayed {
                return Err(Error::Gap { file: path.to_owned(), last, found: zxid });
            }
            let proposal = Proposal::new(payload).map_err(|cause| {
                let damage = Damage::Undecodable(cause);
                Error::Corrupt { file: path.to_owned(), offset, damage }
            })?;
            batch.push_proposal(proposal);
            self.last = zxid;
            return Ok(());
        }
        Err(Error::HistoryEnds { dir: self.entries.dir.clone(), last, expected: up_to })
    }
}

impl<D: Disk> DataDir<D> {
    /// The transactions behind `after`, up to and including `up_to`; `None` when `after` is not in
    /// the logs, or when it is not sure that what follows is this server's history. The state before
    /// the first transaction of an epoch, with counter 0, is found if that transaction is.
    ///
    /// `up_to` is a transaction that is in the logs and durable ([`crate::Log::last_synced`]): so
    /// what is being written at the same time is not looked at. May run beside writers of logs and
    /// snapshots, and beside a purge.
    ///
    /// # Errors
    /// When a log is damaged before `after`, or when the disk fails.
    pub fn history(&self, after: Zxid, up_to: Zxid) -> Result<Option<History<D>>, Error> {
        self.history_from(Beginning::Exactly(after), up_to)
    }

    /// As [`DataDir::history`], for a history that ends with `end` and may have gone another way: it
    /// begins behind the last transaction up to and including `end` that is in the logs, and
    /// [`History::after`] tells which one that is. `None` when there is none.
    ///
    /// # Errors
    /// As [`DataDir::history`].
    pub fn history_beside(&self, end: Zxid, up_to: Zxid) -> Result<Option<History<D>>, Error> {
        // The state in which an epoch begins may be known from a snapshot only.
        if up_to.counter().0 == 0 {
            return Ok(None);
        }
        self.history_from(Beginning::UpTo(end), up_to)
    }

    fn history_from(&self, beginning: Beginning, up_to: Zxid) -> Result<Option<History<D>>, Error> {
        let (Beginning::Exactly(wanted) | Beginning::UpTo(wanted)) = beginning;
        let replayed_from = self.branch().replayed_from;
        let is_ours = |from: &Zxid, after: Zxid| *from <= after || from.epoch() == after.epoch();
        let Some(replayed_from) = replayed_from.filter(|from| is_ours(from, wanted)) else {
            return Ok(None);
        };
        let logs = self.list_logs()?;
        let start = logs.iter().rposition(|log| log.first <= wanted).unwrap_or(0);
        let logs = logs.into_iter().skip(start).filter(|log| log.first <= up_to);
        let Some(mut entries) = self.entries(logs)? else { return Ok(None) };
        let found = entries.find(beginning, replayed_from)?;
        let Some(after) = found.filter(|&after| is_ours(&replayed_from, after)) else {
            return Ok(None);
        };
        let bytes = entries.bytes_left()?;
        Ok(Some(History { entries, after, last: after, up_to, replayed_from, bytes }))
    }

    /// The length of the newest snapshot in bytes, to compare with [`History::bytes`]; `None`
    /// without any.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn newest_snapshot_bytes(&self) -> Result<Option<u64>, Error> {
        let Some(newest) = self.list_snapshots()?.into_iter().next() else { return Ok(None) };
        let path = newest.path;
        let file = self.disk.open(&path, Access::Read).during(Action::Open, &path)?;
        file.len().during(Action::Read, &path).map(Some)
    }

    /// Opens logs to read all their entries one after the other; `None` when one is gone meanwhile.
    pub(crate) fn entries(
        &self,
        logs: impl Iterator<Item = LogFile>,
    ) -> Result<Option<Entries<D::File>>, Error> {
        let mut files = VecDeque::new();
        for LogFile { path, .. } in logs {
            match self.disk.open(&path, Access::Read) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                result => files.push_back((result.during(Action::Open, &path)?, path)),
            }
        }
        let dir = self.directories.log_dir();
        Ok(Some(Entries { dir, files, reader: None, last: None, doubt: None }))
    }
}

/// Behind what a piece of history begins.
#[derive(Clone, Copy, Debug)]
enum Beginning {
    /// This transaction.
    Exactly(Zxid),
    /// The last one up to this.
    UpTo(Zxid),
}

/// The entries of several logs.
#[derive(Debug)]
pub(crate) struct Entries<F> {
    dir: PathBuf,
    /// Those that come after the one being read.
    files: VecDeque<(F, PathBuf)>,
    reader: Option<LogReader<F>>,
    /// The transaction taken last.
    last: Option<Zxid>,
    /// What was left unread behind it; the next entry tells whether it matters.
    doubt: Option<Error>,
}

/// One entry of several logs.
pub(crate) struct Step<'a> {
    pub(crate) zxid: Zxid,
    /// Where it starts in its file.
    pub(crate) offset: u64,
    pub(crate) payload: &'a [u8],
    pub(crate) path: &'a Path,
}

impl<F: DiskFile> Entries<F> {
    /// Takes the next entry; `None` at the end of the last log. A log that ends within an entry ends
    /// before it: if that was not its end, the next one does not follow. But the first of a later
    /// epoch follows anything, and is not taken behind what can not be read.
    pub(crate) fn next(&mut self) -> Result<Option<Step<'_>>, Error> {
        let entry = loop {
            if let Some(reader) = &mut self.reader {
                match reader.advance()? {
                    Ok(entry) => break entry,
                    Err(end) => self.doubt = self.doubt.take().or(unread(reader, end)?),
                }
            }
            let Some((file, path)) = self.files.pop_front() else { return Ok(None) };
            self.reader = Some(open_log(file, path)?);
        };
        let would_gap_show = self.last.is_some_and(|last| last.epoch() == entry.zxid.epoch());
        if let Some(damage) = self.doubt.take().filter(|_| !would_gap_show) {
            return Err(damage);
        }
        self.last = Some(entry.zxid);
        Ok(self.reader.as_ref().map(|reader| Step {
            zxid: entry.zxid,
            offset: entry.offset,
            payload: reader.payload(entry),
            path: reader.path(),
        }))
    }

    /// Goes on to where the transaction ends with which to begin, and tells which one that is; `None`
    /// when it is not there. The logs go on from the state `base`, which need not be in them.
    fn find(&mut self, beginning: Beginning, base: Zxid) -> Result<Option<Zxid>, Error> {
        let (Beginning::Exactly(wanted) | Beginning::UpTo(wanted)) = beginning;
        let mut before = None;
        while let Some(Step { zxid, offset, .. }) = self.next()? {
            if zxid == wanted {
                return Ok(Some(wanted));
            }
            if zxid < wanted {
                before = Some(zxid);
                continue;
            }
            let begins_epoch = wanted.counter().0 == 0 && wanted.next() == Some(zxid);
            // Only the next number of the same epoch shows that nothing between was purged.
            let goes_on = base <= wanted && base.next() == Some(zxid);
            let behind_base = Some(base).filter(|_| goes_on);
            // Not where something is missing that was here: numbers, or the base.
            let borders =
                |before: &Zxid| follows(*before, zxid) && (base <= *before || zxid <= base);
            let found = match beginning {
                _ if begins_epoch => Some(wanted),
                Beginning::Exactly(_) => behind_base.filter(|&base| base == wanted),
                Beginning::UpTo(_) => before.filter(borders).or(behind_base),
            };
            if let (Some(_), Some(reader)) = (found, &mut self.reader) {
                reader.back_to(offset);
            }
            return Ok(found);
        }
        Ok(None)
    }

    /// Bytes from the next entry to the end of the last file.
    fn bytes_left(&self) -> Result<u64, Error> {
        let mut bytes = self.reader.as_ref().map_or(0, |reader| reader.len() - reader.offset());
        for (file, path) in &self.files {
            bytes += file.len().during(Action::Read, path)?;
        }
        Ok(bytes)
    }
}

fn open_log<F: DiskFile>(file: F, path: PathBuf) -> Result<LogReader<F>, Error> {
    match LogReader::over(file, path.clone())? {
        Opened::Log(reader) => Ok(reader),
        Opened::Empty | Opened::NoHeader(_) => {
            Err(Error::Corrupt { file: path, offset: 0, damage: Damage::Header })
        }
    }
}

/// What a log holds behind the end of its entries, as an error; `Err` if that is damage whatever
/// comes next.
fn unread<F: DiskFile>(reader: &mut LogReader<F>, end: End) -> Result<Option<Error>, Error> {
    let (file, offset) = (reader.path().to_owned(), end.offset);
    let damage = match end.kind {
        EndKind::Clean => return Ok(None),
        EndKind::Padding => Damage::Zeros,
        EndKind::Damaged(damage @ (Damage::Cut | Damage::EndMark)) => damage,
        EndKind::Damaged(damage) => return Err(Error::Corrupt { file, offset, damage }),
    };
    let is_blank = reader.is_zero_from(offset)?;
    Ok(Some(Error::Corrupt { file, offset, damage }).filter(|_| !is_blank))
}
