//! Everything that can happen to a session.

use types::{ConnId, Op};

use super::{HostIndex, SaslStep, WatchId};

/// A request's number, chosen by whoever asks: unique within the session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// One thing that happened.
///
/// Inputs that name a connection which the session has given up are ignored, so that a driver need
/// not take care of what is still on its way.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The application asks for something.
    ///
    /// Paths are the application's; the session puts them under its chroot. An operation that sets
    /// a watch names it by `id`. [`Op::Auth`] adds credentials, [`Op::CloseSession`] ends the
    /// session; what the session does by itself (pings, the re-registration of watches) can not be
    /// asked for.
    Request {
        /// Its number, which comes back in [`super::Effect::Complete`].
        id: RequestId,
        /// What is asked.
        op: Op<'static>,
    },
    /// The owner of a watch is gone.
    Forget(WatchId),
    /// The application leaves the session, and does not close it: another process may resume it.
    Detach,
    /// The list of servers is another.
    Hosts {
        /// How many there are now, at least one.
        count: usize,
        /// For each server of the old list its place in the new one.
        moved: &'a [Option<HostIndex>],
    },
    /// A server that [`super::Effect::Probe`] was about serves writes.
    ServesWrites(HostIndex),
    /// A connection that [`super::Effect::Dial`] asked for is there.
    Connected(ConnId),
    /// Bytes came, cut anywhere.
    Received {
        /// Over which connection.
        conn: ConnId,
        /// Any number of them.
        bytes: &'a [u8],
    },
    /// A connection ended, or could not be made.
    Disconnected(ConnId),
    /// The program has taken its turn in an exchange of SASL tokens.
    Sasl {
        /// Over which connection.
        conn: ConnId,
        /// What it wants to say, if anything.
        step: SaslStep,
    },
    /// The program can not or will not go on with that connection's exchange of SASL tokens.
    SaslFailed(ConnId),
    /// Nothing but time: the moment of [`super::Session::next_deadline`] came.
    Deadline,
}
