//! What survives: the transaction log and the snapshots of one server.
//!
//! ```text
//!             DataDir::open          creates, checks and locks the directories
//!                  │
//!                  ├─ recover ─────> Recovered { tree, last_logged, … }
//!                  │  recover_member > the same, and what is lost
//!                  │
//!                  ├─ log ─────────> Log: append, sync ──> Synced, the proof for an acknowledgement
//!                  │
//!                  ├─ start_snapshot > SnapshotWriter: write …, finish
//!                  │
//!                  ├─ epochs, store_accepted_epoch, store_current_epoch
//!                  │
//!                  ├─ history ─────> History: next_batch …, what learners lack
//!                  │
//!                  ├─ start_receiving > ReceivingSnapshot: take …, finish > ReceivedSnapshot
//!                  │
//!                  ├─ install ─────> Log and Tree: a leader's snapshot instead of the old database
//!                  │
//!                  ├─ rewind ──────> Log and Recovered: a running server set back
//!                  │
//!                  └─ purge, truncate
//! ```
//!
//! The formats are Apache ZooKeeper's, byte for byte, both ways; `docs/formats/` draws them.
//!
//! # Order of durable writes
//!
//! | before this … | … this is durable |
//! |---|---|
//! | a log gets its name | its header |
//! | a [`Synced`] is returned | all entries up to its transaction, and the log's name |
//! | a snapshot gets its name | all of it |
//! | the first log of a database exists | its first snapshot |
//! | anything is logged after a recovery | what was recovered, and the cut that removed a torn tail |
//! | a snapshot or a log is purged | the snapshots that stay |
//! | a log is removed by a cut | the removal of snapshots that hold what is cut, and of the logs after it |
//! | anything is removed for a leader's snapshot | all of that snapshot |
//! | a leader's snapshot gets its name | the removal of what could be replayed on it, and the note which it is |
//! | the rest of what it replaces is removed | its name |
//! | anything is logged after an installation | all of that, and the removal of the note |
//! | anything is logged after a cut | the cut and all removals |
//! | an [`AcceptedEpochStored`] or [`CurrentEpochStored`] is returned | the file and its name |
//! | the current epoch is raised | the accepted epoch |
//! | a history is shortened that may hold what was acknowledged | the note that it was |
//! | that note is removed | the current epoch, before which the leader's history |
//!
//! # What it leaves to others
//!
//! When to sync, to roll and to take a snapshot is the caller's decision; so is which thread does it.
//! All I/O goes through [`Disk`], so that the same code runs on files and in a simulation.

mod between_states;
mod checksum;
mod data_dir;
mod disk;
mod epochs;
mod error;
mod history;
mod install;
mod layout;
pub mod limits;
mod log;
mod log_directory;
mod memory;
mod purge;
mod recover;
mod session_ids;
mod snapshot;
mod truncate;
mod watermark;

pub use data_dir::{DataDir, MissingDirectory};
pub use disk::{
    Access, Choices, Disk, DiskFile, Fault, FaultKind, FaultPlan, FaultyDisk, FaultyFile, Observer,
    Operation, RealDisk, RealFile, RealLock, SECTOR_BYTES, SimulatedDisk, SimulatedFile,
    SimulatedLock, Struck, Tally, VolatileDisk, VolatileFile,
};
pub use epochs::{AcceptedEpochStored, CurrentEpochStored, Epochs};
pub use error::{Action, CutObstacle, Damage, Error, SnapshotDamage};
pub use history::History;
pub use layout::Directories;
pub use log::{Durability, Log, LogOptions, Synced};
pub use purge::Purged;
pub use recover::{
    EmptyDatabase, Origin, RecoverOptions, Recovered, RecoveredMember, Trimmed, Unreadable,
    WithoutSnapshot,
};
pub use snapshot::{
    Compression, Received, ReceivedSnapshot, ReceivingSnapshot, SnapshotWriter, WrittenSnapshot,
    put_head, write_tree,
};
