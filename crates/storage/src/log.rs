//! The transaction log, as its one owner writes it.
//!
//! ```text
//!            append(batch)            sync()
//!   history ───────────────> written ────────> durable: the batch may be acknowledged
//!      │                        │ Err             │ Err
//!      │                        └───────> poisoned <──┘      every later call fails
//!      └ roll(): the next batch starts a new file
//! ```
//!
//! **Invariants.** A file is never appended to by two runs: each run, and each roll, starts a new
//! one, named after its first transaction. Its header is durable before it gets that name. The name
//! is durable before the first [`Synced`] of a transaction in it is minted. A failed write or sync
//! is final: what the device holds then is unknown, and a second sync that succeeds proves nothing.
//!
//! **Space.** Syncing into space that already holds written bytes is up to twice as fast as into a
//! hole, so the writer keeps real zeros ahead of the last entry, in steps of
//! [`LOG_SPACE_STEP_BYTES`]. A reader takes zeros for the end of the file. [`Log::prepare`], called
//! when nothing waits, takes this work (and the creation of the next file) off the path.

mod entries;
mod space;

use std::path::PathBuf;
use std::time::Duration;

use types::{Zxid, mutant};
use wire::stored::LogBatch;

pub(crate) use entries::{End, EndKind, LogReader, Next, Opened, follows};

use crate::disk::Disk;
use crate::error::{Action, Context, Error};
use crate::layout::{UNFINISHED_LOG, log_name};
use crate::limits::LOG_SPACE_STEP_BYTES;
use crate::watermark::{Mark, Watermark};
use space::Space;

/// How a log is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Whether a sync reaches the device.
    pub durability: Durability,
    /// A file that has grown beyond this many bytes is not continued
    /// (`txnLogSizeLimitInKb`).
    pub file_bytes_max: Option<u64>,
    /// Zeros to keep ahead of the last entry, in bytes, at most [`LOG_SPACE_STEP_BYTES`]; 0 for
    /// none (`preAllocSize`).
    pub space_step_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            file_bytes_max: None,
            space_step_bytes: LOG_SPACE_STEP_BYTES,
        }
    }
}

/// Whether a sync reaches the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Yes.
    Synced,
    /// No, the operating system writes when it likes: a loss of power loses acknowledged
    /// transactions (`forceSync=no`).
    Unsynced,
}

/// Proof that all transactions up to one are as durable as [`LogOptions::durability`] asks for.
///
/// Only this crate can make one; an acknowledgement is built from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synced {
    zxid: Zxid,
    took: Duration,
}

impl Synced {
    /// The last durable transaction.
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// How long the device took.
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// The transaction log. One thread owns it.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    options: LogOptions,
    state: State<D::File>,
    /// Space for the next file, prepared while nothing else was to do.
    spare: Option<Space<D::File>>,
    watermark: Watermark<D::File>,
    /// What is surely durable but not yet said in the watermark's file.
    unwritten_mark: Option<Mark>,
    /// At least `last_synced`.
    last_logged: Zxid,
    last_synced: Zxid,
}

/// What lies behind the end of the history that a log goes on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HistoryEnd {
    /// Nothing.
    Sound,
    /// Something that can not be read.
    Damaged,
}

#[derive(Debug)]
enum State<F> {
    /// The next batch starts a file.
    BetweenFiles,
    /// No batch is taken before what lies behind the history is removed.
    BehindDamage,
    Writing(OpenLog<F>),
    Poisoned,
}

#[derive(Debug)]
struct OpenLog<F> {
    first: Zxid,
    path: PathBuf,
    space: Space<F>,
    name: Name,
}

/// Whether a file would be found under its name after a loss of power.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    Unsynced,
    Durable,
}

impl<D: Disk> Log<D> {
    /// A log that goes on after `last_logged`, the last transaction that recovery found.
    pub(crate) fn new(
        disk: D,
        dir: PathBuf,
        options: LogOptions,
        last_logged: Zxid,
        end: HistoryEnd,
    ) -> Result<Self, Error> {
        let state = match end {
            HistoryEnd::Sound => State::BetweenFiles,
            HistoryEnd::Damaged => State::BehindDamage,
        };
        let watermark = Watermark::open(&disk, &dir)?;
        Ok(Self {
            disk,
            dir,
            options,
            state,
            spare: None,
            watermark,
            unwritten_mark: None,
            last_logged,
            last_synced: last_logged,
        })
    }

    /// Writes a batch after what is there; it is not durable yet.
    ///
    /// # Errors
    /// When the disk fails, or [`Error::BehindDamage`]; the log is poisoned then.
    ///
    /// # Panics
    /// When the batch does not come after all that was appended before: the history would be
    /// unreadable.
    pub fn append(&mut self, batch: &LogBatch) -> Result<(), Error> {
        let (Some(first), Some(last)) = (batch.first_zxid(), batch.last_zxid()) else {
            return Ok(());
        };
        assert!(first > self.last_logged, "{first} appended after {}", self.last_logged);
        self.guarded(|log| log.write(first, last, batch.as_bytes()))
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// When the disk fails; the log is poisoned then, and nothing appended since the last success
    /// may be acknowledged.
    pub fn sync(&mut self) -> Result<Synced, Error> {
        let took = self.guarded(Self::sync_written)?;
        Ok(Synced { zxid: self.last_synced, took })
    }

    /// Syncs, and lets the next batch start a new file.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn roll(&mut self) -> Result<Synced, Error> {
        let synced = if mutant::active(119) {
            Synced { zxid: self.last_synced, took: Duration::ZERO }
        } else {
            self.sync()?
        };
        if let State::Writing(_) = self.state {
            self.state = State::BetweenFiles;
        }
        Ok(synced)
    }

    /// Does now what one of the next appends would have to do: writes space ahead, creates the next
    /// file. To be called when nothing waits; takes up to a few milliseconds, seldom.
    ///
    /// # Errors
    /// As [`Log::sync`].
    ///
    /// # Panics
    /// When something was appended that is not synced: whoever waits for it comes first.
    pub fn prepare(&mut self) -> Result<(), Error> {
        assert!(self.last_synced == self.last_logged, "prepare is for idle times");
        self.guarded(|log| {
            if let State::Writing(open) = &mut log.state {
                open.space.widen(log.options.space_step_bytes, &open.path)?;
            }
            if log.spare.is_none() {
                log.spare = Some(log.create_space()?);
            }
            Ok(())
        })
    }

    /// Syncs, and notes durably how far the log goes, so that the next start takes damage of the
    /// last group for what it is.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn close(mut self) -> Result<Synced, Error> {
        let synced = self.sync()?;
        if let Some(mark) = self.unwritten_mark.take() {
            let path = self.dir.join(crate::watermark::WATERMARK);
            self.watermark.write(mark).during(Action::Write, &path)?;
            self.watermark.sync().during(Action::Sync, &path)?;
        }
        if self.spare.take().is_some() {
            let path = self.dir.join(UNFINISHED_LOG);
            self.disk.unlink(&path).during(Action::Remove, &path)?;
        }
        Ok(synced)
    }

    /// Ends the log without a sync, because what it holds is about to be cut or replaced. Returns
    /// how it was written.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if it failed before: then nothing may go on.
    pub(crate) fn abandon(self) -> Result<LogOptions, Error> {
        match self.state {
            State::Poisoned => Err(Error::Poisoned),
            State::BetweenFiles | State::BehindDamage | State::Writing(_) => Ok(self.options),
        }
    }

    /// The last transaction appended.
    pub fn last_logged(&self) -> Zxid {
        self.last_logged
    }

    /// The last transaction synced.
    pub fn last_synced(&self) -> Zxid {
        self.last_synced
    }

    /// Bytes of the file being written, without the space ahead; 0 between two files.
    pub fn file_bytes(&self) -> u64 {
        match &self.state {
            State::Writing(open) => open.space.end(),
            State::BetweenFiles | State::BehindDamage | State::Poisoned => 0,
        }
    }

    fn write(&mut self, first: Zxid, last: Zxid, bytes: &[u8]) -> Result<(), Error> {
        if matches!(self.state, State::BehindDamage) {
            return Err(Error::BehindDamage);
        }
        if matches!(self.state, State::BetweenFiles) {
            self.state = State::Writing(self.start_file(first)?);
        }
        if let Some(mark) = self.unwritten_mark.take() {
            let path = self.dir.join(crate::watermark::WATERMARK);
            self.watermark.write(mark).during(Action::Write, &path)?;
        }
        let State::Writing(open) = &mut self.state else { return Err(Error::Poisoned) };
        open.space.append(bytes, self.options.space_step_bytes, &open.path)?;
        self.last_logged = last;
        if mutant::active(123) {
            let offset = open.space.end();
            self.unwritten_mark = Some(Mark { zxid: last, log: open.first, offset });
        }
        Ok(())
    }

    fn start_file(&mut self, first: Zxid) -> Result<OpenLog<D::File>, Error> {
        let space = match self.spare.take() {
            Some(space) => space,
            None => self.create_space()?,
        };
        let path = self.dir.join(log_name(first));
        let unfinished = self.dir.join(UNFINISHED_LOG);
        self.disk.rename(&unfinished, &path).during(Action::Rename, &path)?;
        Ok(OpenLog { first, path, space, name: Name::Unsynced })
    }

    fn create_space(&self) -> Result<Space<D::File>, Error> {
        let path = self.dir.join(UNFINISHED_LOG);
        let file = self.disk.create(&path).during(Action::Create, &path)?;
        Space::start(file, self.options.space_step_bytes, &path)
    }

    fn sync_written(&mut self) -> Result<Duration, Error> {
        if self.last_synced == self.last_logged {
            return Ok(Duration::ZERO);
        }
        let State::Writing(open) = &mut self.state else { return Err(Error::Poisoned) };
        let mut took = Duration::ZERO;
        if self.options.durability == Durability::Synced {
            took = open.space.sync(&open.path)?;
            if open.name == Name::Unsynced && !mutant::active(38) {
                self.disk.sync_dir(&self.dir).during(Action::SyncDirectory, &self.dir)?;
                open.name = Name::Durable;
            }
        }
        self.last_synced = self.last_logged;
        let offset = open.space.end();
        if self.options.durability == Durability::Synced {
            self.unwritten_mark = Some(Mark { zxid: self.last_synced, log: open.first, offset });
        }
        if self.options.file_bytes_max.is_some_and(|max| offset > max) {
            self.state = State::BetweenFiles;
        }
        Ok(took)
    }

    /// Runs an action of which a failure poisons the log.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if matches!(self.state, State::Poisoned) {
            return Err(Error::Poisoned);
        }
        let result = act(self);
        if result.is_err() {
            self.state = State::Poisoned;
        }
        result
    }
}
