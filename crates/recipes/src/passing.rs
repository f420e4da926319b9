//! What is no end of a session.
//!
//! A server without a quorum serves reads, to clients that were built for that, and refuses everything
//! else. The client looks for a server that serves writes meanwhile: [`reefkeeper_client::Client::writable`].

use reefkeeper_client::{Error, ErrorCode};

/// Whether the session may go on in spite of it: the connection was lost, or is one to a server without a
/// quorum.
pub(crate) const fn is_passing(error: &Error) -> bool {
    error.is_transient() || is_not_read_only(error)
}

/// Whether a server refused because it has no quorum.
pub(crate) const fn is_not_read_only(error: &Error) -> bool {
    matches!(error.code(), Some(ErrorCode::NotReadOnly))
}
