//! The thread that owns the transaction log.
//!
//! It writes everything that waits, syncs once, and tells the replica: the slower the disk, the
//! larger the groups. A failed write or sync ends the server; it is never tried again.

use std::sync::Arc;
use std::time::Duration;

use replica::Input;
use storage::{Error, Log, RealDisk};
use tracing::warn;
use wire::stored::LogBatch;

use crate::helm::Helm;
use crate::inbox::{Inbox, Taken};
use crate::view::Views;

/// What the log thread is asked to do.
#[derive(Debug)]
pub(crate) enum LogJob {
    /// Write these entries.
    Append(Arc<LogBatch>),
    /// Let the next entries start a new file.
    Roll,
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

/// Writes until the inbox is closed, then closes the log.
///
/// # Errors
/// When the disk fails.
pub(crate) fn run(
    mut log: Log<RealDisk>,
    options: GroupOptions,
    jobs: &Inbox<LogJob>,
    helm: &Helm,
    views: &Arc<Views>,
) -> Result<(), Error> {
    let mut waiting = Vec::new();
    let mut written = Vec::new();
    // Space ahead is made whenever nothing waits, first of all before the first transaction comes.
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
        gather(options, jobs, &mut waiting);
        for job in waiting.drain(..) {
            match job {
                LogJob::Append(batch) => {
                    log.append(&batch)?;
                    written.push(batch);
                }
                LogJob::Roll => {
                    log.roll()?;
                }
            }
        }
        let synced = log.sync()?;
        let took_ms = u64::try_from(synced.took().as_millis()).unwrap_or(u64::MAX);
        views.metrics.fsynctime.record(took_ms);
        let txns = written.iter().map(|batch: &Arc<LogBatch>| batch.count()).sum::<usize>();
        views.metrics.sync_processor_batch_size.record(txns as u64);
        if synced.took() > options.slow {
            warn!(took_ms, "the disk was slow to sync the log");
        }
        let zxid = synced.zxid();
        let spares = written.drain(..).map(Arc::into_inner);
        let mut inputs = spares.map(|spare| Input::LogSynced { zxid, spare }).collect::<Vec<_>>();
        // With more to sync, the device must not wait for what is done about the last group.
        if jobs.is_empty() {
            helm.tell(&mut inputs);
        } else {
            helm.leave(&mut inputs);
        }
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
            LogJob::Roll => 0,
        })
        .sum()
}
