//! The states of a session, one after another.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch;

use crate::driver::Status;
use crate::session::SessionState;

/// The states of a session, one after another. States that follow each other faster than they are
/// taken are skipped; the last one never is.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, SessionState};
///
/// let client = Client::builder(ensemble).start()?;
/// let mut states = client.states();
/// assert_eq!(states.current(), SessionState::Connecting);
/// while let Some(state) = states.changed().await {
///     if state.is_connected() {
///         break;
///     }
/// }
/// client.close().await?;
/// assert_eq!(states.changed().await, Some(SessionState::Closed));
/// assert_eq!(states.changed().await, None);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct States(watch::Receiver<Status>);

impl States {
    pub(crate) const fn of(status: watch::Receiver<Status>) -> Self {
        Self(status)
    }

    /// The state now.
    pub fn current(&self) -> SessionState {
        self.0.borrow().state
    }

    /// Waits for a state that was not returned before; `None` once the session is over and that
    /// was told.
    pub async fn changed(&mut self) -> Option<SessionState> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().state)
    }
}

impl States {
    /// The states as a stream, for libraries of combinators; it ends with the session.
    pub fn into_stream(self) -> StateStream {
        StateStream { next: Box::pin(self.next()) }
    }

    async fn next(mut self) -> (Self, Option<SessionState>) {
        let state = self.changed().await;
        (self, state)
    }
}

/// The states of a session as a stream; from [`States::into_stream`].
pub struct StateStream {
    next: Pin<Box<dyn Future<Output = (States, Option<SessionState>)> + Send>>,
}

impl fmt::Debug for StateStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStream").finish_non_exhaustive()
    }
}

impl Stream for StateStream {
    type Item = SessionState;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<SessionState>> {
        let (states, state) = ready!(self.next.as_mut().poll(context));
        self.next = Box::pin(states.next());
        Poll::Ready(state)
    }
}
