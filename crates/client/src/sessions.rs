//! One session after the other.

use std::sync::{Arc, Mutex, PoisonError};

use crate::address::Ensemble;
use crate::builder::Builder;
use crate::client::Client;
use crate::error::{AddressError, Error};
use crate::session::{Chroot, SessionState};

/// Where to get a client from, now and when its session has expired.
///
/// A [`Client`] is one session, and what it owned is gone with it. What outlives sessions, such as
/// a service that stays registered, asks here for a client and sets up anew what it needs when it
/// got another. Made by [`Builder::sessions`]; a single [`Client`] is one, too, of which there is
/// no next.
///
/// Cheap to clone; all clones give the same client.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let client = sessions.current();
/// client.create("/here", "", CreateMode::Ephemeral).await?;
/// assert_eq!(sessions.current().ticket(), client.ticket());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Sessions(Kind);

#[derive(Clone, Debug)]
enum Kind {
    One(Client),
    Renewed(Arc<Renewed>),
}

#[derive(Debug)]
struct Renewed {
    builder: Builder,
    chroot: Chroot,
    /// Held only to look and to replace.
    current: Mutex<Client>,
}

impl Sessions {
    pub(crate) fn opened_by(builder: Builder) -> Result<Self, AddressError> {
        let Ensemble { chroot, .. } = builder.parse()?;
        let current = Mutex::new(builder.clone().start()?);
        let builder = builder.for_a_new_session();
        Ok(Self(Kind::Renewed(Arc::new(Renewed { builder, chroot, current }))))
    }

    /// The client whose session goes on; a new one, which is still looking for a server, if the
    /// last session expired. It has the last list of servers and all credentials that the client before
    /// it was told, also those of [`Client::update_hosts`] and [`Client::add_auth`].
    ///
    /// A session that was closed, or whose credentials were refused, is not followed by another.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn current(&self) -> Client {
        match &self.0 {
            Kind::One(client) => client.clone(),
            Kind::Renewed(renewed) => renewed.current(),
        }
    }

    /// Whether another session follows one that expired.
    pub const fn are_renewed(&self) -> bool {
        matches!(self.0, Kind::Renewed(_))
    }

    /// Whether the end that an operation met is one after which [`Self::current`] is worth another
    /// try.
    pub const fn go_on_after(&self, error: &Error) -> bool {
        self.are_renewed() && error.is_session_expired()
    }

    /// Closes the session; no other follows.
    ///
    /// # Errors
    /// As [`Client::close`].
    pub async fn close(&self) -> Result<(), Error> {
        self.current().close().await
    }
}

impl From<Client> for Sessions {
    fn from(client: Client) -> Self {
        Self(Kind::One(client))
    }
}

impl From<&Client> for Sessions {
    fn from(client: &Client) -> Self {
        Self(Kind::One(client.clone()))
    }
}

impl From<&Self> for Sessions {
    fn from(sessions: &Self) -> Self {
        sessions.clone()
    }
}

impl Renewed {
    fn current(&self) -> Client {
        // Nothing panics while it is held.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.state() == SessionState::Expired {
            let words = current.shared.told.words();
            *current = self.builder.clone().start_with(self.chroot.clone(), words);
        }
        current.clone()
    }
}
