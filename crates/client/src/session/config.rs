//! What a session is made with.

use std::time::Duration;

use types::{SessionId, SessionPassword};

use super::Chroot;

/// What a session is told at its start.
///
/// ```
/// use std::time::Duration;
///
/// use reefkeeper_client::session::{Chroot, Config};
///
/// let config = Config {
///     hosts: 3,
///     timeout: Duration::from_secs(30),
///     chroot: Chroot::new("/my-app")?,
///     read_only: false,
///     resume: None,
///     frame_bytes_max: 1_048_575,
///     seed: 7,
/// };
/// assert_eq!(config.chroot.as_str(), "/my-app");
/// # Ok::<_, reefkeeper_client::InvalidPath>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// How many servers there are, at least one.
    pub hosts: usize,
    /// The session timeout to ask for; the server may change it.
    pub timeout: Duration,
    /// What all paths are relative to.
    pub chroot: Chroot,
    /// Whether a server without a quorum will do.
    pub read_only: bool,
    /// The session to go on with, instead of a new one.
    pub resume: Option<Ticket>,
    /// The longest frame in bytes to send or accept.
    pub frame_bytes_max: usize,
    /// Decides the order of the servers and the length of pauses.
    pub seed: u64,
}

/// What resumes a session: whoever has it can.
///
/// ```
/// use reefkeeper_client::{SessionId, SessionPassword, Ticket};
///
/// // As another process left it.
/// let ticket = Ticket { id: SessionId(0x1a2), password: SessionPassword([7; 16]) };
/// assert_eq!(format!("{ticket:?}"), "Ticket { id: 0x1a2, password: SessionPassword(..) }");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The session.
    pub id: SessionId,
    /// Its proof.
    pub password: SessionPassword,
}
