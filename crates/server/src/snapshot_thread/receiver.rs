//! Receiving the snapshots of leaders.
//!
//! The thread of the connections hands over parts, one at a time, and is told what became of each.
//! When all have come, the log thread gets the snapshot, since nobody else may change the database.
//!
//! ```text
//!   peers ── StreamPart ──────────> receiver ── Change::Install ──> log thread ── DatabaseReplaced ──> replica
//!         <── Errand::StreamProgress ──┘ └───── SnapshotPart, SnapshotGivenUp ──> replica
//! ```

use std::sync::Arc;

use replica::Input;
use storage::{Compression, DataDir, Error, Received, ReceivingSnapshot};
use tracing::{info, warn};
use zab::Link;

use crate::inbox::Inbox;
use crate::log_thread::{Change, LogJob};
use crate::machine::ServerDisk;
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
    arriving: Option<(Link, Option<ReceivingSnapshot<ServerDisk>>)>,
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

    /// Takes what has arrived. Returns what the replica has to know: that more is to come, or that nothing
    /// comes of it.
    pub(super) fn take(
        &mut self,
        data_dir: &DataDir<ServerDisk>,
        part: StreamPart,
    ) -> Option<Input> {
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
                Some(Input::Peer(zab::Input::SnapshotPart { link }))
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
        mut snapshot: ReceivingSnapshot<ServerDisk>,
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

#[cfg(test)]
mod tests {
    use mio::Poll;
    use storage::{Directories, MissingDirectory, put_head};
    use tempfile::TempDir;
    use tree::Tree;
    use types::Zxid;
    use wire::quorum::put_snapshot_signature;
    use wire::stored::snapshot::{AclId, put_end, put_node};

    use super::*;
    use crate::inbox::Taken;
    use crate::machine::disk;

    const LINK: Link = Link(7);
    const TREE: tree::Options = tree::Options {
        extended_types: types::ExtendedTypes::Disabled,
        digest: true,
        hash_seed: 1,
    };

    struct Fixture {
        receiver: Receiver,
        data_dir: DataDir<ServerDisk>,
        _poll: Poll,
        _directory: TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().to_owned();
            let directories = Directories { snapshots: path.clone(), logs: path };
            let data_dir = DataDir::open(disk(), directories, MissingDirectory::Create);
            let (peers, poll) = Peers::unattended();
            let receiver = Receiver::new(Compression::None, TREE, Arc::default(), peers);
            let data_dir = data_dir.expect("the directory is free");
            Self { receiver, data_dir, _poll: poll, _directory: directory }
        }

        fn take(&mut self, part: StreamPart) -> Option<Input> {
            self.receiver.take(&self.data_dir, part)
        }

        fn begin(&mut self) {
            let head = StreamPart::Head { link: LINK, last_applied: Zxid::from_raw(9) };
            assert!(self.take(head).is_none());
        }

        /// What the connections are told of these bytes, and the replica.
        fn bytes(&mut self, bytes: &[u8]) -> (StreamProgress, Option<Input>) {
            let input = self.take(StreamPart::Bytes { link: LINK, bytes: bytes.to_vec() });
            match self.receiver.peers.take_errands().pop() {
                Some(Errand::StreamProgress { link: LINK, progress }) => (progress, input),
                errand => panic!("{errand:?}"),
            }
        }

        /// The end of the connection, and what the replica is told.
        fn cut_off(&mut self) -> Option<Input> {
            self.take(StreamPart::CutOff { link: LINK })
        }

        /// The last transaction in the snapshot that the log thread is asked to install.
        fn installed(&self) -> Option<Zxid> {
            self.receiver.log.close();
            let mut jobs = Vec::new();
            match (self.receiver.log.take(&mut jobs, None), jobs.pop()) {
                (Taken::Closed, _) => None,
                (_, Some(LogJob::Change(Change::Install { link: LINK, snapshot }))) => {
                    Some(snapshot.zxid())
                }
                (_, job) => panic!("{job:?}"),
            }
        }
    }

    /// The stream of an empty tree.
    fn stream() -> Vec<u8> {
        let mut tree = Tree::new(TREE);
        let mut out = Vec::new();
        put_head(&mut out, &tree.begin_snapshot());
        tree.snapshot_slice(usize::MAX, &mut |path, data, acl, stat| {
            put_node(&mut out, path, data, AclId(acl), stat);
        });
        put_end(&mut out);
        put_snapshot_signature(&mut out);
        out
    }

    #[track_caller]
    fn check_given_up(input: Option<Input>) {
        let is_meant =
            matches!(input, Some(Input::Peer(zab::Input::SnapshotGivenUp { link: LINK })));
        assert!(is_meant, "{input:?}");
    }

    #[test]
    fn a_whole_snapshot_goes_to_the_log_thread_and_what_follows_back_to_the_connections() {
        let mut fixture = Fixture::new();
        let stream = stream();
        fixture.begin();
        let (front, back) = stream.split_at(stream.len() / 2);
        let (progress, input) = fixture.bytes(front);
        assert_eq!(progress, StreamProgress::TakesMore);
        let is_part = matches!(input, Some(Input::Peer(zab::Input::SnapshotPart { link: LINK })));
        assert!(is_part, "the leader is not silent: {input:?}");
        let (progress, input) = fixture.bytes(&[back, b"packets"].concat());
        assert_eq!(progress, StreamProgress::Ended { rest: b"packets".to_vec() });
        assert!(input.is_none());
        // The connection may end while the snapshot is being installed.
        assert!(fixture.cut_off().is_none());
        assert_eq!(fixture.installed(), Some(Zxid::from_raw(9)));
    }

    #[test]
    fn what_is_no_snapshot_is_given_up_once() {
        let mut fixture = Fixture::new();
        fixture.begin();
        let (progress, input) = fixture.bytes(&[0xff; 64]);
        assert_eq!(progress, StreamProgress::GivenUp);
        check_given_up(input);
        let (progress, input) = fixture.bytes(&[0xff; 64]);
        assert_eq!(progress, StreamProgress::GivenUp);
        assert!(input.is_none());
        assert!(fixture.cut_off().is_none());
        assert_eq!(fixture.installed(), None);
    }

    #[test]
    fn a_snapshot_that_is_cut_off_is_given_up_and_the_next_one_is_taken() {
        let mut fixture = Fixture::new();
        let stream = stream();
        fixture.begin();
        let (progress, _) = fixture.bytes(&stream[..stream.len() - 1]);
        assert_eq!(progress, StreamProgress::TakesMore);
        check_given_up(fixture.cut_off());
        assert!(fixture.cut_off().is_none());
        fixture.begin();
        let (progress, input) = fixture.bytes(&stream);
        assert_eq!(progress, StreamProgress::Ended { rest: Vec::new() });
        assert!(input.is_none());
        assert_eq!(fixture.installed(), Some(Zxid::from_raw(9)));
    }
}
