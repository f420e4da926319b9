//! The thread that writes snapshots and removes old ones, and receives those of leaders.
//!
//! A snapshot that can not be written is given up with a message; the server goes on, since the log
//! has everything. One that can not be received is given up too, and the learner asks again; see
//! `receiver`.

mod receiver;

use std::sync::Arc;
use std::time::Duration;

use replica::{Effect, Input};
use storage::{Compression, DataDir, Error, SnapshotWriter, put_head};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::helm::Helm;
use crate::inbox::{Inbox, Taken};
use crate::machine::ServerDisk;
use crate::peers::news::StreamPart;
use crate::view::Views;

pub(crate) use self::receiver::Receiver;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum SnapshotJob {
    /// An effect that concerns a snapshot of this server.
    Write(Effect),
    /// A piece of a leader's snapshot has arrived.
    Receive(StreamPart),
}

/// How snapshots are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepOptions {
    pub(crate) compression: Compression,
    /// Whether the last transaction is stored with them.
    pub(crate) with_last_zxid: bool,
    /// How often old ones are removed, and how many stay.
    pub(crate) purge: Option<(Duration, usize)>,
}

/// What the thread works with.
pub(crate) struct Keeper {
    pub(crate) data_dir: Arc<DataDir<ServerDisk>>,
    pub(crate) options: KeepOptions,
    pub(crate) clock: Clock,
    pub(crate) views: Arc<Views>,
    /// Only a member of an ensemble has one.
    pub(crate) receiver: Option<Receiver>,
}

impl Keeper {
    /// Works until the inbox is closed.
    pub(crate) fn run(&mut self, jobs: &Inbox<SnapshotJob>, helm: &Helm) {
        let mut waiting = Vec::new();
        let mut writer = None;
        let mut next_purge = self.clock.instant();
        loop {
            let mut timeout = None;
            if let Some((interval, retain)) = self.options.purge {
                if self.clock.until(next_purge).is_zero() {
                    self.purge(retain);
                    next_purge = self.clock.instant().after(interval);
                }
                timeout = Some(self.clock.until(next_purge));
            }
            if jobs.take(&mut waiting, timeout) == Taken::Closed {
                return;
            }
            for job in waiting.drain(..) {
                let answer = match job {
                    SnapshotJob::Write(effect) => self.write(&mut writer, effect),
                    SnapshotJob::Receive(part) => self.receive(part),
                };
                if let Some(answer) = answer {
                    helm.leave(&mut vec![answer]);
                }
            }
        }
    }

    /// Carries out one effect that concerns a snapshot, or gives the snapshot up.
    fn write(&self, writer: &mut Option<Writing>, effect: Effect) -> Option<Input> {
        self.step(writer, effect).unwrap_or_else(|failure| {
            *writer = None;
            self.views.metrics.snapshot_error_count.add(1);
            let source = std::error::Error::source(&failure).map(ToString::to_string);
            error!(%failure, source, "the snapshot was given up; the log has it all");
            Some(Input::SnapshotOver)
        })
    }

    fn receive(&mut self, part: StreamPart) -> Option<Input> {
        self.receiver.as_mut()?.take(&self.data_dir, part)
    }

    /// Removes old snapshots and logs. A disk that does not let it must be looked after, but the
    /// server can go on.
    fn purge(&self, retain: usize) {
        if let Err(failure) = self.data_dir.purge(retain) {
            let source = std::error::Error::source(&failure).map(ToString::to_string);
            warn!(%failure, source, "old snapshots and logs could not be removed");
        }
    }

    /// Carries out one effect that concerns a snapshot.
    fn step(&self, writer: &mut Option<Writing>, effect: Effect) -> Result<Option<Input>, Error> {
        match effect {
            Effect::BeginSnapshot(head) => {
                // One that was given up may have the same name, and takes its file away when it goes.
                *writer = None;
                let file = self.data_dir.start_snapshot(head.zxid, self.options.compression)?;
                let mut records = Vec::new();
                put_head(&mut records, &head);
                let mut writing = Writing { file, started: std::time::Instant::now() };
                writing.file.write(&records)?;
                *writer = Some(writing);
                Ok(Some(Input::SnapshotTakesMore))
            }
            Effect::SnapshotPart(records) => {
                // Without a writer this is the rest of one that was given up.
                let Some(writing) = writer else { return Ok(None) };
                writing.file.write(&records)?;
                Ok(Some(Input::SnapshotTakesMore))
            }
            Effect::EndSnapshot { last_applied, digest } => {
                let Some(writing) = writer.take() else { return Ok(None) };
                let digest = digest.map(|digest| (last_applied, digest));
                let last_zxid = self.options.with_last_zxid.then_some(last_applied);
                let written = writing.file.finish(digest, last_zxid)?;
                let took = writing.started.elapsed();
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                self.views.metrics.snapshottime.record(took_ms);
                info!(file = %written.path.display(), bytes = written.bytes, took_ms,
                    "snapshot taken");
                Ok(Some(Input::SnapshotOver))
            }
            Effect::AbandonSnapshot => {
                *writer = None;
                Ok(Some(Input::SnapshotAbandoned))
            }
            Effect::Append(_)
            | Effect::RollLog
            | Effect::Inspected(_)
            | Effect::Wake(_)
            | Effect::Peer(_)
            | Effect::Packets { .. }
            | Effect::StreamHead { .. }
            | Effect::StreamPart { .. }
            | Effect::StreamEnd { .. } => Ok(None),
        }
    }
}

/// A snapshot under way.
struct Writing {
    file: SnapshotWriter<ServerDisk>,
    started: std::time::Instant,
}
