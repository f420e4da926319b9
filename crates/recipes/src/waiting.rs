//! Waiting for servers that take writes.
//!
//! A server without a quorum serves reads, to clients that were built for that, and refuses everything
//! else. That is no end: the client looks for a server that serves writes.

use reefkeeper_client::{Client, Error, ErrorCode, SessionState};

/// Whether the session, or the one that takes its place in the same client, may go on in spite of it: the
/// connection was lost, or is one to a server without a quorum.
pub(crate) const fn is_passing(error: &Error) -> bool {
    error.is_transient() || is_not_read_only(error)
}

/// Whether a server refused because it has no quorum.
pub(crate) const fn is_not_read_only(error: &Error) -> bool {
    matches!(error.code(), Some(ErrorCode::NotReadOnly))
}

/// Waits until a server serves the session that takes writes.
///
/// # Errors
/// The end of the session, as [`Client::connected`] tells it.
pub(crate) async fn writable(client: &Client) -> Result<(), Error> {
    let mut states = client.states();
    loop {
        client.connected().await?;
        if client.state() == SessionState::Connected || states.changed().await.is_none() {
            return Ok(());
        }
    }
}

/// Asks the leader, so that what this session reads next is not older than that; waits for one.
///
/// # Errors
/// Those of a [`Client::sync`], but for those that pass.
pub(crate) async fn synced(client: &Client, path: &str) -> Result<(), Error> {
    loop {
        match client.patiently(|| client.sync(path)).await {
            Err(error) if is_passing(&error) => writable(client).await?,
            outcome => return outcome,
        }
    }
}
