//! Writing a snapshot.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::write::GzEncoder;
use tracing::warn;
use tree::{SliceEnd, SnapshotHead, Tree};
use types::{TxnDigest, Zxid, mutant};
use wire::jute;
use wire::stored::snapshot::{self as records, AclId};
use wire::stored::{Checksum, FileHeader};

use super::Compression;
use super::stream::{FileSink, SnappySink};
use crate::data_dir::{Branch, SharedBranch, hold};
use crate::disk::{Disk, DiskFile};
use crate::error::{Action, Context, Error};
use crate::layout::snapshot_name;
use crate::limits::SNAPSHOT_BUFFER_BYTES;

/// Bytes of znodes that [`write_tree`] encodes at a time.
const SLICE_BYTES: usize = 64 * 1024;

/// A snapshot being written. Dropped unfinished, it leaves nothing behind.
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    dir: PathBuf,
    zxid: Zxid,
    compression: Compression,
    unfinished: PathBuf,
    /// `None` once finished or failed.
    sink: Option<Sink<D::File>>,
    /// Over all bytes so far, uncompressed.
    sum: Checksum,
    branch: SharedBranch,
    /// Of the branch when the writing began.
    branch_number: u64,
}

/// A finished snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrittenSnapshot {
    /// The transaction it is named after.
    pub zxid: Zxid,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

enum Sink<F: DiskFile> {
    Plain(BufWriter<FileSink<F>>),
    Gzip(Box<GzEncoder<BufWriter<FileSink<F>>>>),
    Snappy(SnappySink<BufWriter<FileSink<F>>>),
}

impl<D: Disk> SnapshotWriter<D> {
    /// Starts the file, with the prefix before its name until it is finished. `zxid` is the last
    /// transaction that is wholly contained in what follows.
    ///
    /// # Errors
    /// When the disk fails; as for all methods, nothing that looks like a snapshot is left then.
    pub(crate) fn create(
        disk: D,
        (dir, prefix): (PathBuf, &str),
        zxid: Zxid,
        compression: Compression,
        branch: &SharedBranch,
    ) -> Result<Self, Error> {
        let (branch, branch_number) = (Arc::clone(branch), hold(branch).number);
        let unfinished = dir.join(format!("{prefix}{}", snapshot_name(zxid, compression)));
        let file = disk.create(&unfinished).during(Action::Create, &unfinished)?;
        let file = BufWriter::with_capacity(SNAPSHOT_BUFFER_BYTES, FileSink::new(file));
        let sink = match compression {
            Compression::None => Ok(Sink::Plain(file)),
            Compression::Gzip => {
                Ok(Sink::Gzip(Box::new(GzEncoder::new(file, flate2::Compression::fast()))))
            }
            Compression::Snappy => SnappySink::new(file).map(Sink::Snappy),
        };
        let sink = Some(sink.during(Action::Write, &unfinished)?);
        let sum = Checksum::default();
        let mut writer =
            Self { disk, dir, zxid, compression, unfinished, sink, sum, branch, branch_number };
        let mut header = Vec::with_capacity(FileHeader::BYTES);
        FileHeader::SNAPSHOT.encode(&mut header);
        writer.write(&header)?;
        Ok(writer)
    }

    /// Adds encoded records: first those of [`put_head`], then znodes, the root first and parents
    /// before their children.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write(&mut self, records: &[u8]) -> Result<(), Error> {
        self.sum.update(records);
        let Some(sink) = &mut self.sink else { return Err(self.failed_before()) };
        let result = sink.write_all(records).during(Action::Write, &self.unfinished);
        if result.is_err() {
            self.sink = None;
        }
        result
    }

    /// Completes the file, makes it durable and gives it its name.
    ///
    /// `digest` is the digest of the tree with the transaction after which it was taken, at the end
    /// of the writing; `last_zxid` the transaction that a restore takes for the last one. Either is
    /// left out where the configuration says so.
    ///
    /// # Errors
    /// When the disk fails, or [`Error::OtherBranch`].
    pub fn finish(
        mut self,
        digest: Option<(Zxid, TxnDigest)>,
        last_zxid: Option<Zxid>,
    ) -> Result<WrittenSnapshot, Error> {
        let bytes = self.seal(digest, last_zxid)?;
        // Whoever cuts the history looks for snapshots to remove: this one is there before, or never.
        let shared = Arc::clone(&self.branch);
        let branch = hold(&shared);
        if branch.number != self.branch_number {
            return Err(Error::OtherBranch { zxid: self.zxid });
        }
        self.publish(bytes, &branch)
    }

    /// Completes the file and makes it durable, without a name yet. Returns its length in bytes.
    pub(crate) fn seal(
        &mut self,
        digest: Option<(Zxid, TxnDigest)>,
        last_zxid: Option<Zxid>,
    ) -> Result<u64, Error> {
        let mut block = Vec::new();
        records::put_end(&mut block);
        self.write_sealed(&mut block)?;
        if let Some((zxid, digest)) = digest {
            records::put_digest(&mut block, zxid, digest);
            self.write_sealed(&mut block)?;
        }
        if let Some(zxid) = last_zxid {
            records::put_last_zxid(&mut block, zxid);
            self.write_sealed(&mut block)?;
        }
        let Some(sink) = self.sink.take() else { return Err(self.failed_before()) };
        let file = sink.finish().during(Action::Write, &self.unfinished)?;
        file.file.sync_data().during(Action::Sync, &self.unfinished)?;
        Ok(file.written)
    }

    /// Gives a sealed file of so many bytes its name, while nobody else can change the branch.
    pub(crate) fn publish(mut self, bytes: u64, _held: &Branch) -> Result<WrittenSnapshot, Error> {
        debug_assert!(self.sink.is_none(), "only what is sealed gets a name");
        let path = self.dir.join(self.name());
        self.disk.rename(&self.unfinished, &path).during(Action::Rename, &path)?;
        self.unfinished = PathBuf::new();
        if !mutant::active(165) {
            self.disk.sync_dir(&self.dir).during(Action::SyncDirectory, &self.dir)?;
        }
        Ok(WrittenSnapshot { zxid: self.zxid, path, bytes })
    }

    /// What the file will be called.
    pub(crate) fn name(&self) -> String {
        snapshot_name(self.zxid, self.compression)
    }

    fn failed_before(&self) -> Error {
        let source = io::Error::new(io::ErrorKind::BrokenPipe, "an earlier write failed");
        Error::Io { action: Action::Write, path: self.unfinished.clone(), source }
    }

    fn write_sealed(&mut self, block: &mut Vec<u8>) -> Result<(), Error> {
        self.write(block)?;
        block.clear();
        records::put_seal(block, self.sum.value());
        self.write(block)?;
        block.clear();
        Ok(())
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if self.unfinished.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = self.disk.unlink(&self.unfinished) {
            // The next start removes it.
            warn!(file = %self.unfinished.display(), %error, "unfinished snapshot not removed");
        }
    }
}

impl<D: Disk> fmt::Debug for SnapshotWriter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter").field("zxid", &self.zxid).finish_non_exhaustive()
    }
}

impl<F: DiskFile> Sink<F> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(bytes),
            Self::Gzip(sink) => sink.write_all(bytes),
            Self::Snappy(sink) => sink.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<FileSink<F>> {
        let file = match self {
            Self::Plain(sink) => sink,
            Self::Gzip(sink) => sink.finish()?,
            Self::Snappy(sink) => sink.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// Appends the records that come before the znodes: sessions and access control lists.
pub fn put_head(out: &mut Vec<u8>, head: &SnapshotHead) {
    jute::put_count(out, head.sessions.len());
    for &(session, timeout_ms) in &head.sessions {
        records::put_session(out, session, timeout_ms);
    }
    jute::put_count(out, head.acls.len());
    for (id, acl) in &head.acls {
        records::put_acl(out, AclId(*id), acl);
    }
}

/// Writes a tree that does not change meanwhile: at a start, in a test.
///
/// # Errors
/// When the disk fails.
pub fn write_tree<D: Disk>(
    mut writer: SnapshotWriter<D>,
    tree: &mut Tree,
) -> Result<WrittenSnapshot, Error> {
    let head = tree.begin_snapshot();
    let mut records = Vec::with_capacity(2 * SLICE_BYTES);
    put_head(&mut records, &head);
    let mut end = SliceEnd::More;
    while end == SliceEnd::More {
        end = tree.snapshot_slice(SLICE_BYTES, &mut |path, data, acl, stat| {
            records::put_node(&mut records, path, data, AclId(acl), stat);
        });
        writer.write(&records)?;
        records.clear();
    }
    let digest = tree.digest().map(|tree| TxnDigest { version: TxnDigest::VERSION, tree });
    writer.finish(digest.map(|digest| (head.zxid, digest)), Some(head.zxid))
}
