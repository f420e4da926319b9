//! The thread that reads the log for learners that lack more than the leader has in memory.
//!
//! It waits for the disk so that nobody else has to: neither who is at the helm, nor the thread that
//! writes the log. A part is read when the learner's connection has taken the one before, so what is
//! in memory is one part for each learner, and a window of each file that is being read.
//!
//! Files that a purge removes meanwhile stay readable for who has them open. What can not be read is
//! told with a message, and the learner gets a snapshot: [`zab::Input::LogLacks`].

use std::collections::BTreeMap;
use std::sync::Arc;

use replica::Input;
use storage::{DataDir, Error, History};
use tracing::warn;
use types::Zxid;
use zab::Link;

use crate::helm::Helm;
use crate::inbox::{Inbox, Taken};
use crate::machine::ServerDisk;

/// Bytes of log that are read together. Large enough that a learner does not wait for the hand-overs
/// between threads, small enough that all observers of an ensemble may come at once.
const PART_BYTES: usize = 1 << 20;

/// What the thread is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadJob {
    /// [`zab::Effect::ReadLog`].
    Begin {
        /// The learner's connection.
        link: Link,
        /// The end of its history.
        after: Zxid,
        /// The last transaction to be read.
        up_to: Zxid,
    },
    /// The connection of [`zab::Effect::ReadOn`] has taken everything.
    ReadOn(Link),
    /// [`zab::Effect::StopReading`].
    Stop(Link),
}

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct HistoryThread {
    data_dir: Arc<DataDir<ServerDisk>>,
    readings: BTreeMap<Link, History<ServerDisk>>,
}

impl HistoryThread {
    /// One that reads nothing yet.
    pub(crate) fn new(data_dir: Arc<DataDir<ServerDisk>>) -> Self {
        Self { data_dir, readings: BTreeMap::new() }
    }

    /// Works until the inbox is closed.
    pub(crate) fn run(&mut self, jobs: &Inbox<ReadJob>, helm: &Helm) {
        let mut waiting = Vec::new();
        while jobs.take(&mut waiting, None) == Taken::Open {
            for job in waiting.drain(..) {
                if let Some(answer) = self.carry_out(job) {
                    helm.tell(&mut vec![Input::Peer(answer)]);
                }
            }
        }
    }

    fn carry_out(&mut self, job: ReadJob) -> Option<zab::Input<'static>> {
        let (link, result) = match job {
            ReadJob::Begin { link, after, up_to } => (link, self.begin(link, after, up_to)),
            ReadJob::ReadOn(link) => (link, self.read_on(link)?),
            ReadJob::Stop(link) => {
                self.readings.remove(&link);
                return None;
            }
        };
        let answer = result.unwrap_or_else(|failure| {
            let source = std::error::Error::source(&failure).map(ToString::to_string);
            warn!(%failure, source, "the log can not be read for a learner");
            None
        });
        if answer.is_none() {
            self.readings.remove(&link);
        }
        Some(answer.unwrap_or(zab::Input::LogLacks { link }))
    }

    /// Finds the place; `None` if there is none.
    fn begin(
        &mut self,
        link: Link,
        after: Zxid,
        up_to: Zxid,
    ) -> Result<Option<zab::Input<'static>>, Error> {
        let Some(history) = self.data_dir.history_beside(after, up_to)? else { return Ok(None) };
        let snapshot_bytes = self.data_dir.newest_snapshot_bytes()?;
        let (after, bytes) = (history.after(), history.bytes());
        self.readings.insert(link, history);
        Ok(Some(zab::Input::LogFound { link, after, bytes, snapshot_bytes }))
    }

    /// Reads the next part; `None` if the learner is gone.
    fn read_on(&mut self, link: Link) -> Option<Result<Option<zab::Input<'static>>, Error>> {
        let history = self.readings.get_mut(&link)?;
        let batch = history.next_batch(PART_BYTES);
        Some(batch.map(|batch| {
            let batch = Arc::new(batch?);
            Some(zab::Input::LogRead { link, batch })
        }))
    }
}

#[cfg(test)]
mod tests {
    use storage::{Directories, LogOptions, MissingDirectory};
    use tempfile::TempDir;
    use types::{SessionId, Txn, TxnHeader, Xid};
    use wire::stored::LogBatch;
    use zab::Input as Answer;

    use super::*;
    use crate::machine::disk;

    const LINK: Link = Link(7);

    struct Fixture {
        thread: HistoryThread,
        directory: TempDir,
    }

    impl Fixture {
        /// A log with so many transactions of some hundred bytes, in two files.
        fn new(count: u32) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().to_owned();
            let directories = Directories { snapshots: path.clone(), logs: path };
            let data_dir = DataDir::open(disk(), directories, MissingDirectory::Create)
                .expect("the directory is free");
            let recover = storage::RecoverOptions {
                tree: tree::Options {
                    extended_types: types::ExtendedTypes::Disabled,
                    digest: false,
                    hash_seed: 1,
                },
                without_snapshot: storage::WithoutSnapshot::Refuse,
                empty: storage::EmptyDatabase::Create,
            };
            data_dir.recover(&recover).expect("nothing is there");
            let mut log = data_dir.log(LogOptions::default(), Zxid::ZERO).expect("a log");
            for number in 1..=count {
                let mut batch = LogBatch::new();
                let zxid = Zxid::from_raw(i64::from(number));
                let header = TxnHeader { session: SessionId(1), cxid: Xid(1), zxid, time_ms: 0 };
                let data = Some(vec![7; 400].into());
                batch.push(&header, &Txn::SetData { path: "/".into(), data, version: 1 }, None);
                log.append(&batch).expect("written");
                if number == count / 2 {
                    log.roll().expect("rolled");
                }
            }
            log.close().expect("synced");
            Self { thread: HistoryThread::new(Arc::new(data_dir)), directory }
        }

        fn begin(&mut self, after: i64, up_to: i64) -> Option<Answer<'static>> {
            let (after, up_to) = (Zxid::from_raw(after), Zxid::from_raw(up_to));
            self.thread.carry_out(ReadJob::Begin { link: LINK, after, up_to })
        }

        /// The last transaction of the next part.
        fn read_on(&mut self) -> Option<i64> {
            match self.thread.carry_out(ReadJob::ReadOn(LINK)) {
                Some(Answer::LogRead { link: LINK, batch }) => Some(batch.last_zxid()?.raw()),
                Some(Answer::LogLacks { link: LINK }) | None => None,
                Some(answer) => panic!("{answer:?}"),
            }
        }
    }

    #[test]
    fn what_a_learner_lacks_comes_in_parts() {
        let mut fixture = Fixture::new(6000);
        match fixture.begin(3, 5990) {
            Some(Answer::LogFound { link: LINK, after, bytes, snapshot_bytes: Some(_) }) => {
                assert_eq!(after, Zxid::from_raw(3));
                assert!(bytes > 6000 * 400, "{bytes}");
            }
            answer => panic!("{answer:?}"),
        }
        let mut ends = Vec::new();
        while ends.last() != Some(&5990) {
            ends.push(fixture.read_on().expect("there is more"));
        }
        assert_eq!(ends.len(), 3, "{ends:?}");
        assert!(ends.is_sorted());
    }

    #[test]
    fn nothing_is_read_for_who_is_gone() {
        let mut fixture = Fixture::new(10);
        assert!(matches!(fixture.begin(3, 9), Some(Answer::LogFound { .. })));
        assert!(fixture.thread.carry_out(ReadJob::Stop(LINK)).is_none());
        assert_eq!(fixture.read_on(), None);
        assert!(fixture.thread.readings.is_empty());
    }

    #[test]
    fn a_log_that_is_damaged_or_too_short_lacks_what_is_wanted() {
        let mut fixture = Fixture::new(10);
        assert!(matches!(fixture.begin(3, 9), Some(Answer::LogFound { .. })));
        let second = fixture.directory.path().join("version-2/log.6");
        std::fs::write(&second, [0; 100]).expect("written");
        assert_eq!(fixture.read_on(), None, "not even the part before the damage: it comes again");
        assert!(fixture.thread.readings.is_empty());
        assert!(matches!(fixture.begin(7, 9), Some(Answer::LogLacks { link: LINK })));
        std::fs::remove_file(second).expect("removed");
        assert!(matches!(fixture.begin(3, 9), Some(Answer::LogFound { .. })));
        assert_eq!(fixture.read_on(), None);
    }
}
