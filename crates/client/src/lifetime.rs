//! The session of a client as such: how it is, who serves it, and how it ends.

use std::time::Duration;

use types::Op;

use crate::address::Host;
use crate::client::{Client, expect_response};
use crate::driver::Command;
use crate::error::{AddressError, Error};
use crate::response::Response;
use crate::session::{SessionState, Ticket};
use crate::states::States;

impl Client {
    /// The state of the session now.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, SessionState};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// assert_eq!(client.state(), SessionState::Connected);
    /// # Ok(()) });
    /// ```
    pub fn state(&self) -> SessionState {
        self.shared.status.borrow().state
    }

    /// The states of the session from now on.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let mut states = client.states();
    /// client.close().await?;
    /// while let Some(state) = states.changed().await {
    ///     println!("{state:?}");
    /// }
    /// # Ok(()) });
    /// ```
    pub fn states(&self) -> States {
        States::of(self.shared.status.clone())
    }

    /// What resumes the session in another process; `None` before a server took it.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// println!("session {}", client.ticket().expect("connected").id);
    /// # Ok(()) });
    /// ```
    pub fn ticket(&self) -> Option<Ticket> {
        self.shared.status.borrow().ticket.clone()
    }

    /// The timeout that the server decided on; what was asked for until then.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::Client;
    ///
    /// // Servers have bounds of their own.
    /// let day = Duration::from_secs(86_400);
    /// let client = Client::builder(ensemble).session_timeout(day).connect().await?;
    /// assert!(client.session_timeout() < day);
    /// # Ok(()) });
    /// ```
    pub fn session_timeout(&self) -> Duration {
        self.shared.status.borrow().timeout
    }

    /// The server that serves the session now, as it stands in the list; `None` if none does.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble.as_str()).await?;
    /// assert_eq!(client.server(), Some(ensemble.parse()?));
    /// client.close().await?;
    /// assert_eq!(client.server(), None);
    /// # Ok(()) });
    /// ```
    pub fn server(&self) -> Option<Host> {
        self.shared.status.borrow().server.clone()
    }

    /// Replaces the list of servers, for example by what a directory of services says now.
    ///
    /// Clients that all do this spread over the new list: chance decides which of them move, so that
    /// none moves without need. One whose server is not in the list anymore moves. It does so when
    /// what it has asked is answered; what is asked meanwhile waits for the next server.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble.as_str()).await?;
    /// client.update_hosts(["localhost:2999".parse()?, ensemble.parse()?])?;
    /// assert!(client.exists("/zookeeper").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`AddressError::NoHost`] if there is none in the list.
    pub fn update_hosts(&self, hosts: impl IntoIterator<Item = Host>) -> Result<(), AddressError> {
        let hosts: Vec<Host> = hosts.into_iter().collect();
        if hosts.is_empty() {
            return Err(AddressError::NoHost(String::new()));
        }
        self.shared.told.hosts(&hosts);
        // A session that is over has no servers.
        drop(self.shared.commands.send(Command::Hosts(hosts)));
        Ok(())
    }

    /// Closes the session: its ephemeral znodes vanish at once, and all clones fail from now on.
    /// Operations asked for before are done first.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.close().await?;
    /// assert!(client.state().is_over());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// When no server confirms it; the session then expires after its timeout.
    pub async fn close(&self) -> Result<(), Error> {
        match self.call(Op::CloseSession).await {
            Err(Error::Closed) => Ok(()),
            response => expect_response!(response, Response::Done => ()),
        }
    }

    /// As [`Self::close`], but so long at most. A session whose end no server has confirmed until then is
    /// left: nobody speaks for it anymore, and it expires after its timeout at the latest. All clones
    /// fail from now on in any case.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.close_within(Duration::from_secs(5)).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] when the time is over; and those of [`Self::close`].
    pub async fn close_within(&self, limit: Duration) -> Result<(), Error> {
        if let Ok(outcome) = tokio::time::timeout(limit, self.close()).await {
            return outcome;
        }
        // Without a driver it is over already.
        drop(self.shared.commands.send(Command::Detach));
        Err(Error::TimedOut { may_have_happened: true })
    }

    /// Leaves the session without closing it, for another process that resumes it before it
    /// expires (see [`Builder::resume`](crate::Builder::resume)). All clones fail from now on, and
    /// so does what was not answered yet.
    ///
    /// Returns what resumes it; `None` if there was no session yet.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble.as_str()).await?;
    /// client.create("/here", "", CreateMode::Ephemeral).await?;
    /// let ticket = client.detach().expect("a session");
    /// let resumed = Client::builder(ensemble).resume(ticket).connect().await?;
    /// assert!(resumed.exists("/here").await?.is_some());
    /// # Ok(()) });
    /// ```
    pub fn detach(self) -> Option<Ticket> {
        let ticket = self.ticket();
        // Without a driver it is detached already.
        drop(self.shared.commands.send(Command::Detach));
        ticket
    }
}
