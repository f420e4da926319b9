//! Receiving a snapshot from a leader.
//!
//! ```text
//! start_receiving ──> ReceivingSnapshot ── take(bytes) … ──> finish ──> ReceivedSnapshot
//!                          │ the tree grows in memory,                      │
//!                          │ the file as unfinished-received-…              └─ DataDir::install
//!                          └ dropped, or any error: nothing is left
//! ```
//!
//! What arrives is a snapshot file without its header and its seals, and then a signature; see
//! [`wire::quorum`]. The records go into a tree through the same decoder as at a start, and into the
//! file as they are. Beside the tree, only what is not a whole record yet is held in memory.
//!
//! The stream does not say where its tree is in the state after one transaction, so the file has no
//! digest; without one, no last zxid may follow either, for Apache's server would read it as one.

use std::fmt;

use tree::{Tree, TreeLoader};
use types::Zxid;
use wire::jute::{DecodeError, Reader};
use wire::quorum::decode_snapshot_signature;
use wire::stored::snapshot::put_end;

use super::records::{Records, Stopped};
use super::{Compression, SnapshotWriter};
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::{Error, SnapshotDamage};
use crate::limits::SNAPSHOT_SIGNATURE_BYTES_MAX;

/// What the name of a snapshot begins with while it arrives: this server may be writing one of its
/// own after the same transaction.
const RECEIVED: &str = "unfinished-received-";

/// A snapshot of which not everything has arrived.
pub struct ReceivingSnapshot<D: Disk> {
    zxid: Zxid,
    phase: Phase,
    loader: TreeLoader,
    writer: SnapshotWriter<D>,
    /// What has arrived of a record that is not whole yet.
    pending: Vec<u8>,
    /// Fewest bytes of `pending` with which that can change.
    needed: usize,
    /// Bytes of the stream before `pending`.
    offset: u64,
}

/// What comes next in the stream.
enum Phase {
    Records(Records),
    Signature,
    /// Nothing of it: it is whole.
    Over,
    /// Nothing that could be used: it broke.
    Broken,
}

/// What became of some bytes of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// They were taken, and more must come.
    More,
    /// The snapshot is whole.
    Whole {
        /// How many of the bytes belong to it; the others come after it on the connection.
        taken: usize,
    },
}

/// A snapshot that has arrived as a whole. Its file is durable and has no name: dropped, it leaves
/// nothing behind.
pub struct ReceivedSnapshot<D: Disk> {
    /// The state that it holds.
    pub(crate) tree: Tree,
    pub(crate) writer: SnapshotWriter<D>,
    /// The length of the file.
    pub(crate) bytes: u64,
}

impl<D: Disk> ReceivedSnapshot<D> {
    /// The last transaction that is wholly contained.
    pub fn zxid(&self) -> Zxid {
        self.tree.last_applied()
    }

    /// The length of its file in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<D: Disk> DataDir<D> {
    /// Starts to receive a snapshot; `zxid` is the last transaction that is wholly contained in it,
    /// as the leader said. Nothing of the database changes before [`DataDir::install`].
    ///
    /// # Errors
    /// When the disk fails.
    pub fn start_receiving(
        &self,
        zxid: Zxid,
        compression: Compression,
        options: tree::Options,
    ) -> Result<ReceivingSnapshot<D>, Error> {
        Ok(ReceivingSnapshot {
            zxid,
            phase: Phase::Records(Records::new()),
            loader: TreeLoader::new(options),
            writer: self.start_writing(RECEIVED, zxid, compression)?,
            pending: Vec::new(),
            needed: 0,
            offset: 0,
        })
    }
}

impl<D: Disk> ReceivingSnapshot<D> {
    /// Takes the next bytes of the stream, which may be cut anywhere.
    ///
    /// # Errors
    /// [`Error::ReceivedSnapshot`] when they are none of a snapshot, or when the disk fails. Then
    /// this is of no use any more.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Received, Error> {
        let result = self.try_take(bytes);
        if result.is_err() {
            self.phase = Phase::Broken;
        }
        result
    }

    /// Completes the tree and the file, durably. Takes as long as the device needs.
    ///
    /// # Errors
    /// [`Error::ReceivedSnapshot`] when something is missing or the znodes make no tree, or when the
    /// disk fails.
    pub fn finish(mut self) -> Result<ReceivedSnapshot<D>, Error> {
        let Phase::Over = self.phase else { return Err(self.damaged(SnapshotDamage::Unfinished)) };
        let tree = match self.loader.finish(self.zxid) {
            Ok(tree) => tree,
            Err(cause) => {
                return Err(Error::ReceivedSnapshot { zxid: self.zxid, damage: cause.into() });
            }
        };
        let bytes = self.writer.seal(None, None)?;
        Ok(ReceivedSnapshot { tree, writer: self.writer, bytes })
    }

    fn try_take(&mut self, bytes: &[u8]) -> Result<Received, Error> {
        if let Phase::Broken = self.phase {
            return Err(self.damaged(SnapshotDamage::Unfinished));
        }
        if self.pending.is_empty() {
            let used = self.advance(bytes)?;
            if let Phase::Over = self.phase {
                return Ok(Received::Whole { taken: used });
            }
            self.pending.extend_from_slice(&bytes[used..]);
            return Ok(Received::More);
        }
        let before = self.pending.len();
        self.pending.extend_from_slice(bytes);
        if self.pending.len() < self.needed {
            return Ok(Received::More);
        }
        let mut input = std::mem::take(&mut self.pending);
        let used = self.advance(&input)?;
        if let Phase::Over = self.phase {
            return Ok(Received::Whole { taken: used - before });
        }
        input.drain(..used);
        self.pending = input;
        Ok(Received::More)
    }

    /// Takes what is whole at the front of `input`; returns how many bytes that was.
    fn advance(&mut self, input: &[u8]) -> Result<usize, Error> {
        let mut used = 0;
        if let Phase::Records(records) = &mut self.phase {
            let (taken, result) = records.take(input, &mut self.loader);
            used = taken;
            match result {
                Ok(()) => {
                    self.phase = Phase::Signature;
                    // The writer puts the mark behind the records itself.
                    self.writer.write(&input[..used - end_mark_bytes()])?;
                }
                Err(stopped) => {
                    self.writer.write(&input[..used])?;
                    self.wait_after(stopped, input.len(), used)?;
                }
            }
        }
        if let Phase::Signature = self.phase {
            let rest = &input[used..];
            let mut reader = Reader::with_limit(rest, SNAPSHOT_SIGNATURE_BYTES_MAX);
            match decode_snapshot_signature(&mut reader) {
                Ok(()) => {
                    used += reader.position();
                    self.phase = Phase::Over;
                }
                Err(error) => self.wait_after(error.into(), input.len(), used)?,
            }
        }
        self.offset += used as u64;
        Ok(used)
    }

    /// Notes how much more is needed, if more input is what it takes.
    fn wait_after(&mut self, stopped: Stopped, bytes: usize, used: usize) -> Result<(), Error> {
        match stopped {
            Stopped::Undecodable(DecodeError::Truncated { needed, .. }) => {
                self.needed = bytes - used + needed;
                Ok(())
            }
            Stopped::Undecodable(source) => {
                let offset = self.offset + used as u64;
                Err(self.damaged(SnapshotDamage::Undecodable { offset, source }))
            }
            Stopped::NoTree(cause) => Err(self.damaged(cause.into())),
        }
    }

    fn damaged(&self, damage: SnapshotDamage) -> Error {
        Error::ReceivedSnapshot { zxid: self.zxid, damage }
    }
}

impl<D: Disk> fmt::Debug for ReceivingSnapshot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivingSnapshot")
            .field("zxid", &self.zxid)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> fmt::Debug for ReceivedSnapshot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedSnapshot")
            .field("zxid", &self.zxid())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// The length of the mark behind the last record.
fn end_mark_bytes() -> usize {
    let mut mark = Vec::new();
    put_end(&mut mark);
    mark.len()
}
