//! Waiting for servers, and asking again where that can do no harm.

use types::ErrorCode;

use crate::client::Client;
use crate::error::Error;
use crate::session::SessionState;

impl Client {
    /// Waits until a server serves the session; returns at once if one does.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::builder(ensemble).start()?;
    /// client.connected().await?;
    /// assert!(client.state().is_connected());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::SessionExpired`], [`Error::AuthFailed`] or [`Error::Closed`] when the session is
    /// over, for then no server ever will.
    pub async fn connected(&self) -> Result<(), Error> {
        self.reaches(SessionState::is_connected).await
    }

    /// Waits until a server that serves writes serves the session; returns at once if one does. It is
    /// another wait than [`Self::connected`] only with [`Builder::read_only`](crate::Builder::read_only):
    /// a server without a quorum refuses writes, and [`Self::sync`], with [`ErrorCode::NotReadOnly`].
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, SessionState};
    ///
    /// let client = Client::builder(ensemble).read_only(true).connect().await?;
    /// // Until then it may be a server without a quorum that answers.
    /// client.writable().await?;
    /// assert_eq!(client.state(), SessionState::Connected);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::connected`].
    pub async fn writable(&self) -> Result<(), Error> {
        self.reaches(|state| state == SessionState::Connected).await
    }

    async fn reaches(&self, is_wanted: impl Fn(SessionState) -> bool) -> Result<(), Error> {
        let mut states = self.states();
        let mut state = states.current();
        loop {
            match state {
                state if is_wanted(state) => return Ok(()),
                SessionState::Expired => return Err(Error::SessionExpired),
                SessionState::AuthFailed => return Err(Error::AuthFailed),
                SessionState::Closed => return Err(Error::Closed),
                SessionState::Connecting
                | SessionState::Connected
                | SessionState::ConnectedReadOnly
                | SessionState::Disconnected => {}
            }
            let Some(next) = states.changed().await else { return Err(self.end()) };
            state = next;
        }
    }

    /// Does something again and again while the connection is lost before it could have happened, or a
    /// server without a quorum refuses it; in between it waits for a server, or for one that serves
    /// writes.
    ///
    /// A read never changes anything, so this asks until there is an answer. A write is done at
    /// most once: when it may have happened and nobody knows, the error says so and it is for the
    /// caller to find out.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let children = client.patiently(|| client.get_children("/")).await?;
    /// assert_eq!(children.names, ["zookeeper"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of the operation, but for those that tell of a lost connection and that nothing
    /// happened, and [`ErrorCode::NotReadOnly`].
    pub async fn patiently<T, F>(&self, mut operation: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match operation().await {
                Err(error) if error.is_transient() && !error.may_have_happened() => {
                    self.connected().await?;
                }
                Err(Error::Refused(ErrorCode::NotReadOnly)) => self.writable().await?,
                outcome => return outcome,
            }
        }
    }

    /// As [`Self::patiently`], for what may happen twice: it is done until there is an answer.
    ///
    /// That suits a write whose second time changes nothing, such as the removal of something
    /// that nobody else creates: then [`ErrorCode::NoNode`] is a success, too.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode, Error, ErrorCode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let mine = client.create("/mine-", "", CreateMode::EphemeralSequential).await?.path;
    /// match client.insistently(|| client.delete(&mine, None)).await {
    ///     Ok(()) | Err(Error::Refused(ErrorCode::NoNode)) => {}
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of the operation, but for those that tell of a lost connection, and
    /// [`ErrorCode::NotReadOnly`].
    pub async fn insistently<T, F>(&self, mut operation: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match operation().await {
                Err(error) if error.is_transient() => self.connected().await?,
                Err(Error::Refused(ErrorCode::NotReadOnly)) => self.writable().await?,
                outcome => return outcome,
            }
        }
    }
}

impl Error {
    /// Whether the session may go on in spite of it, so that another try makes sense: the
    /// connection was lost, or the answer late.
    ///
    /// ```
    /// use reefkeeper_client::Error;
    ///
    /// assert!(Error::ConnectionLost { may_have_happened: true }.is_transient());
    /// assert!(!Error::SessionExpired.is_transient());
    /// ```
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::ConnectionLost { .. } | Self::TimedOut { .. })
    }

    /// Whether it tells that the session expired, be it from a server's answer or without one.
    ///
    /// ```
    /// use reefkeeper_client::{Error, ErrorCode};
    ///
    /// assert!(Error::SessionExpired.is_session_expired());
    /// assert!(Error::Refused(ErrorCode::SessionExpired).is_session_expired());
    /// ```
    pub const fn is_session_expired(&self) -> bool {
        matches!(self, Self::SessionExpired | Self::Refused(ErrorCode::SessionExpired))
    }
}
