//! What goes on in the session that takes the place of one that expired.

use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, Sessions};

use crate::error::Error;

/// Attempts something in the current session, and from the beginning in each that follows one which
/// expired meanwhile, if there is one.
pub(crate) async fn in_each<T, E, F>(
    sessions: &Sessions,
    attempt: impl Fn(Client) -> F,
) -> Result<T, E>
where
    E: Failure,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt(sessions.current()).await {
            Err(failure) if failure.of_client().is_some_and(|it| sessions.go_on_after(it)) => {}
            outcome => return outcome,
        }
    }
}

/// Attempts something for so long at most; `None` if it takes longer.
pub(crate) async fn within<T>(
    limit: Duration,
    attempt: impl Future<Output = Result<T, Error>>,
) -> Result<Option<T>, Error> {
    match tokio::time::timeout(limit, attempt).await {
        Ok(outcome) => outcome.map(Some),
        Err(_) => Ok(None),
    }
}

/// An error that may be the end of a session.
pub(crate) trait Failure {
    /// What the client said, if it was the client.
    fn of_client(&self) -> Option<&ClientError>;
}

impl Failure for ClientError {
    fn of_client(&self) -> Option<&ClientError> {
        Some(self)
    }
}

impl Failure for Error {
    fn of_client(&self) -> Option<&ClientError> {
        match self {
            Self::Client(error) => Some(error),
            Self::Removed { .. } | Self::Unreadable { .. } => None,
        }
    }
}
