//! The thread that owns the transaction log.
//!
//! It writes everything that waits, syncs once, and tells the replica: the slower the disk, the
//! larger the groups. A failed write or sync ends the server; it is never tried again.
//!
//! What a member of an ensemble keeps beside its log is stored here too, since the order matters: a
//! [`Change`] is made when all that was to be written before it is durable.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use config::MembershipFiles;
use replica::Input;
use storage::{DataDir, Error, Log, ReceivedSnapshot, RecoverOptions};
use tracing::{error, info, warn};
use types::{Epoch, LineLimit, Zxid};
use wire::stored::LogBatch;
use zab::{Link, Memberships};

use crate::clock::Clock;
use crate::helm::Helm;
use crate::inbox::{Inbox, Taken};
use crate::machine::ServerDisk;
use crate::view::Views;

/// What the log thread is asked to do.
#[derive(Debug)]
pub(crate) enum LogJob {
    /// Write these entries.
    Append(Arc<LogBatch>),
    /// Let the next entries start a new file.
    Roll,
    /// Something that only a member of an ensemble does.
    Change(Change),
}

/// What becomes durable behind everything that was written before.
#[derive(Debug)]
pub(crate) enum Change {
    /// [`zab::Effect::StoreAcceptedEpoch`].
    AcceptEpoch(Epoch),
    /// [`zab::Effect::StoreCurrentEpoch`].
    AdoptEpoch(Epoch),
    /// [`zab::Effect::Truncate`].
    Cut(Zxid),
    /// Replace the database by a leader's snapshot.
    Install {
        /// Over which connection it came.
        link: Link,
        /// All of it.
        snapshot: Box<ReceivedSnapshot<ServerDisk>>,
    },
    /// [`zab::Effect::StoreMemberships`]. Nobody waits for that.
    KeepMemberships(Memberships),
}

/// How groups are formed beyond taking what waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupOptions {
    /// How long a transaction may wait for others to share its sync (`flushDelay`).
    pub(crate) delay: Duration,
    /// How long to wait for the next one while some wait (`maxWriteQueuePollTime`).
    pub(crate) poll: Duration,
    /// How many end the waiting (`maxBatchSize`).
    pub(crate) txns_max: usize,
    /// A sync that takes longer is reported.
    pub(crate) slow: Duration,
}

/// What the thread works with, beside the log.
pub(crate) struct LogThread {
    pub(crate) data_dir: Arc<DataDir<ServerDisk>>,
    pub(crate) options: GroupOptions,
    /// How the state is read again when the log was cut.
    pub(crate) recover: RecoverOptions,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Clock,
    /// For the log: syncs that took long. A slow disk has many.
    pub(crate) slow: LineLimit,
    /// Where memberships are kept, if they may change.
    pub(crate) membership_files: Option<MembershipFiles>,
}

impl LogThread {
    /// Writes until the inbox is closed, then closes the log.
    ///
    /// # Errors
    /// When the disk fails, or the log can not be cut as a leader wants it.
    pub(crate) fn run(
        mut self,
        mut log: Log<ServerDisk>,
        jobs: &Inbox<LogJob>,
        helm: &Helm,
    ) -> Result<(), Error> {
        let mut waiting = Vec::new();
        let mut written = Vec::new();
        let mut answers = Vec::new();
        // Space ahead is made whenever nothing waits, first of all before the first transaction
        // comes.
        let mut is_prepared = false;
        loop {
            let timeout = if is_prepared { None } else { Some(Duration::ZERO) };
            if jobs.take(&mut waiting, timeout) == Taken::Closed {
                log.close()?;
                return Ok(());
            }
            if waiting.is_empty() {
                log.prepare()?;
                is_prepared = true;
                continue;
            }
            is_prepared = false;
            gather(self.options, jobs, &mut waiting);
            for job in waiting.drain(..) {
                match job {
                    LogJob::Append(batch) => {
                        log.append(&batch)?;
                        written.push(batch);
                    }
                    LogJob::Roll => {
                        log.roll()?;
                    }
                    LogJob::Change(change) => {
                        self.sync(&mut log, &mut written, &mut answers)?;
                        let answer;
                        (log, answer) = self.make(log, change)?;
                        answers.extend(answer);
                    }
                }
            }
            self.sync(&mut log, &mut written, &mut answers)?;
            // With more to sync, the device must not wait for what is done about the last group.
            if jobs.is_empty() {
                helm.tell(&mut answers);
            } else {
                helm.leave(&mut answers);
            }
        }
    }

    /// Makes durable what was written.
    fn sync(
        &self,
        log: &mut Log<ServerDisk>,
        written: &mut Vec<Arc<LogBatch>>,
        answers: &mut Vec<Input>,
    ) -> Result<(), Error> {
        if written.is_empty() {
            return Ok(());
        }
        let synced = log.sync()?;
        let took_ms = u64::try_from(synced.took().as_millis()).unwrap_or(u64::MAX);
        self.views.metrics.fsynctime.record(took_ms);
        let txns = written.iter().map(|batch| batch.count()).sum::<usize>();
        self.views.metrics.sync_processor_batch_size.record(txns as u64);
        if synced.took() > self.options.slow
            && let Some(suppressed) = self.slow.admit(self.clock.instant())
        {
            warn!(took_ms, suppressed, "the disk was slow to sync the log");
        }
        let zxid = synced.zxid();
        let spares = written.drain(..).map(Arc::into_inner);
        answers.extend(spares.map(|spare| Input::LogSynced { zxid, spare }));
        Ok(())
    }

    /// Makes a change; gives back the log that goes on, and the answer.
    fn make(
        &mut self,
        log: Log<ServerDisk>,
        change: Change,
    ) -> Result<(Log<ServerDisk>, Option<Input>), Error> {
        let (log, answer) = match change {
            Change::AcceptEpoch(epoch) => {
                let epoch = self.data_dir.store_accepted_epoch(epoch)?.epoch();
                (log, Input::Peer(zab::Input::AcceptedEpochStored(epoch)))
            }
            Change::AdoptEpoch(epoch) => {
                let epoch = self.data_dir.store_current_epoch(epoch)?.epoch();
                (log, Input::Peer(zab::Input::CurrentEpochStored(epoch)))
            }
            Change::Cut(last_logged) => self.cut(log, last_logged)?,
            Change::Install { link, snapshot } => {
                let (last_applied, bytes) = (snapshot.zxid(), snapshot.bytes());
                let (log, tree) = self.data_dir.install(log, *snapshot)?;
                info!(zxid = %last_applied, bytes, "the leader's snapshot is the database now");
                (log, Input::DatabaseReplaced { link, last_applied, tree: Box::new(tree) })
            }
            Change::KeepMemberships(memberships) => {
                self.keep(&memberships);
                return Ok((log, None));
            }
        };
        Ok((log, Some(answer)))
    }

    /// Keeps memberships in their files. Where that is impossible, as in a directory that is mounted to be
    /// read only, the server goes on, as Apache's does: after a start others will tell it of them.
    fn keep(&mut self, memberships: &Memberships) {
        let Some(files) = &mut self.membership_files else { return };
        let pending = memberships.pending().map(|pending| &**pending);
        if let Err(failure) = files.store(&memberships.committed, pending) {
            error!(%failure, cause = ?failure.source(), "the membership will be forgotten");
        }
    }
}

impl LogThread {
    /// Cuts the log behind a transaction, if the files allow it; otherwise they stay as they are, and
    /// the leader has to send a snapshot.
    fn cut(&self, log: Log<ServerDisk>, keep: Zxid) -> Result<(Log<ServerDisk>, Input), Error> {
        let end = log.last_logged();
        if let Some(refusal) = self.data_dir.cut_refusal(keep)? {
            warn!(from = %end, to = %keep, %refusal,
                "what was logged and never committed can not be cut off, a snapshot is needed");
            return Ok((log, Input::Peer(zab::Input::NotTruncated { last_logged: end })));
        }
        warn!(from = %end, to = %keep, "cutting off what was logged and never committed");
        let (log, recovered) = self.data_dir.rewind(log, keep, &self.recover)?;
        Ok((log, Input::DatabaseCut { last_logged: keep, tree: Box::new(recovered.tree) }))
    }
}

/// Waits for more transactions to share the sync, if the operator wants that.
fn gather(options: GroupOptions, jobs: &Inbox<LogJob>, waiting: &mut Vec<LogJob>) {
    if options.delay.is_zero() {
        return;
    }
    let start = std::time::Instant::now();
    let mut more = Vec::new();
    loop {
        let left = options.delay.saturating_sub(start.elapsed());
        if left.is_zero() || txns(waiting) >= options.txns_max {
            return;
        }
        let taken =
            jobs.take(&mut more, Some(left.min(options.poll.max(Duration::from_millis(1)))));
        if more.is_empty() || taken == Taken::Closed {
            return;
        }
        waiting.append(&mut more);
    }
}

fn txns(jobs: &[LogJob]) -> usize {
    jobs.iter()
        .map(|job| match job {
            LogJob::Append(batch) => batch.count(),
            LogJob::Roll | LogJob::Change(_) => 0,
        })
        .sum()
}
