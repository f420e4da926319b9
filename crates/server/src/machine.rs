//! The machine that servers of this process run on: its disk, and how wrong its wall clock is.
//!
//! With the feature `faults` it fails as it is told, and loses power with the process: see `faulty`. That
//! is for tests of whole processes; a server that ships has no line of it.

#[cfg(feature = "faults")]
mod faulty;

#[cfg(feature = "faults")]
pub(crate) use self::faulty::{ServerDisk, disk, wall_error_ms};
#[cfg(not(feature = "faults"))]
pub(crate) use self::sound::{ServerDisk, disk, wall_error_ms};

#[cfg(not(feature = "faults"))]
mod sound {
    use storage::RealDisk;

    /// What servers keep their files on.
    pub(crate) type ServerDisk = RealDisk;

    /// The disk.
    pub(crate) const fn disk() -> ServerDisk {
        RealDisk
    }

    /// By how many milliseconds the wall clock is wrong: it is what there is.
    pub(crate) const fn wall_error_ms() -> i64 {
        0
    }
}
