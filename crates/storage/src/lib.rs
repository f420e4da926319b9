//! What survives: the transaction log and the snapshots of one server.
//!
//! All I/O goes through [`Disk`], so that the same code runs on files and in a simulation.

mod disk;

pub use disk::{
    Access, Choices, Disk, DiskFile, Fault, FaultKind, FaultPlan, FaultyDisk, FaultyFile,
    Operation, RealDisk, RealFile, RealLock, SECTOR_BYTES, SimulatedDisk, SimulatedFile,
    SimulatedLock,
};
