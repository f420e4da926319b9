//! Receiving the snapshots of leaders.
//!
//! The thread of the connections hands over parts, one at a time, and is told what became of each.
//! When all have come, the log thread gets the snapshot, since nobody else may change the database.
//!
//! ```text
//!   peers ── StreamPart ──────────> receiver ── Change::Install ──> log thread ── DatabaseReplaced ──> replica
//!         <── Errand::StreamProgress ──┘ └───── SnapshotGivenUp ──> replica
//! ```

use std::sync::Arc;

use replica::Input;
use storage::{Compression, DataDir, Error, RealDisk, Received, ReceivingSnapshot};
use tracing::{info, warn};
use zab::Link;

use crate::inbox::Inbox;
use crate::log_thread::{Change, LogJob};
use crate::peers::Peers;
use crate::peers::errand::{Errand, StreamProgress};
use crate::peers::news::StreamPart;

/// Receives one snapshot after the other.
#[derive(Debug)]
pub(crate) struct Receiver {
    compression: Compression,
    tree: tree::Options,
    log: Arc<Inbox<LogJob>>,
    peers: Peers,
    /// The snapshot that is arriving; `None` in it if it was given up.
    arriving: Option<(Link, Option<ReceivingSnapshot<RealDisk>>)>,
}

impl Receiver {
    /// One that hands snapshots to the log thread; they are kept with this compression.
    pub(crate) fn new(
        compression: Compression,
        tree: tree::Options,
        log: Arc<Inbox<LogJob>>,
        peers: Peers,
    ) -> Self {
        Self { compression, tree, log, peers, arriving: None }
    }

    /// Takes what has arrived. Returns what the replica has to know: that nothing more comes of it.
    pub(super) fn take(&mut self, data_dir: &DataDir<RealDisk>, part: StreamPart) -> Option<Input> {
        match part {
            StreamPart::Head { link, last_applied } => {
                info!(zxid = %last_applied, "receiving a snapshot");
                match data_dir.start_receiving(last_applied, self.compression, self.tree) {
                    Ok(snapshot) => {
                        self.arriving = Some((link, Some(snapshot)));
                        None
                    }
                    Err(failure) => {
                        self.arriving = Some((link, None));
                        Some(given_up(link, &failure))
                    }
                }
            }
            StreamPart::Bytes { link, bytes } => self.take_bytes(link, bytes),
            StreamPart::CutOff { link } => match self.arriving.take() {
                Some((_, Some(_))) => {
                    warn!("the snapshot is incomplete, the leader has to be asked again");
                    Some(Input::Peer(zab::Input::SnapshotGivenUp { link }))
                }
                Some((_, None)) | None => None,
            },
        }
    }

    fn take_bytes(&mut self, link: Link, mut bytes: Vec<u8>) -> Option<Input> {
        let snapshot = match self.arriving.take() {
            Some((from, Some(snapshot))) if from == link => snapshot,
            _ => {
                self.progress(link, StreamProgress::GivenUp);
                return None;
            }
        };
        match self.advance(link, snapshot, &bytes) {
            Ok(None) => {
                self.progress(link, StreamProgress::TakesMore);
                None
            }
            Ok(Some(taken)) => {
                let rest = bytes.split_off(taken);
                self.progress(link, StreamProgress::Ended { rest });
                None
            }
            Err(failure) => {
                self.progress(link, StreamProgress::GivenUp);
                Some(given_up(link, &failure))
            }
        }
    }

    /// Takes bytes of a snapshot, and hands it on if they are its end; returns how many of them
    /// belonged to it then.
    fn advance(
        &mut self,
        link: Link,
        mut snapshot: ReceivingSnapshot<RealDisk>,
        bytes: &[u8],
    ) -> Result<Option<usize>, Error> {
        match snapshot.take(bytes)? {
            Received::More => {
                self.arriving = Some((link, Some(snapshot)));
                Ok(None)
            }
            Received::Whole { taken } => {
                let snapshot = Box::new(snapshot.finish()?);
                self.log.put(LogJob::Change(Change::Install { link, snapshot }));
                Ok(Some(taken))
            }
        }
    }

    fn progress(&self, link: Link, progress: StreamProgress) {
        self.peers.run(&mut vec![Errand::StreamProgress { link, progress }]);
    }
}

fn given_up(link: Link, failure: &Error) -> Input {
    let source = std::error::Error::source(failure).map(ToString::to_string);
    warn!(%failure, source, "the leader's snapshot was given up");
    Input::Peer(zab::Input::SnapshotGivenUp { link })
}
