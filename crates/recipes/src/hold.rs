//! What one has while it is one's turn.

use std::fmt;
use std::sync::Arc;

use reefkeeper_client::{Client, Error as ClientError, ErrorCode, EventKind, SessionState, Zxid};

use crate::claim::Claim;
use crate::error::Error;
use crate::mutant;

/// What Curator's clients write into the znode of a holder that should give way.
pub(crate) const REVOKE: &[u8] = b"__REVOKE__";

/// A number that grows with each holder, for the services that a holder writes to.
///
/// No lock over a network can keep a holder from acting too late: a process may sleep between the
/// moment it looks at its lock and the moment its write arrives, and another may hold the lock by
/// then. A service that remembers the highest token it has seen, and refuses a write that comes
/// with a lower one, is safe all the same.
///
/// It is the czxid of the holder's znode. Of two holders of an exclusive lock the later one has the
/// higher token, also across elections and reconfigurations of the ensemble.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Lock;
///
/// let client = Client::connect(ensemble).await?;
/// let lock = Lock::new(&client, "/locks/printer");
/// let first = lock.acquire().await?;
/// let before = first.token();
/// first.release().await?;
/// assert!(lock.acquire().await?.token() > before, "the printer takes nothing lower anymore");
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FencingToken(Zxid);

impl FencingToken {
    /// The token of who has a znode that this transaction made.
    pub(crate) const fn new(czxid: Zxid) -> Self {
        Self(czxid)
    }

    /// The transaction that made the holder's znode.
    pub const fn zxid(self) -> Zxid {
        self.0
    }

    /// As a number, for other protocols.
    pub const fn to_u64(self) -> u64 {
        self.0.raw().cast_unsigned()
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How sure a holder can be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Certainty {
    /// A server serves the session.
    Held,
    /// The connection is lost, or leads to a server without a quorum. The session may go on, or may have
    /// expired on the servers already, so that somebody else is the holder: pause what must not be done
    /// by two.
    InDoubt,
    /// The session is over.
    Lost,
}

/// Why something is held no longer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The session is over, and how.
    SessionOver(SessionState),
    /// Somebody else deleted the znode; the session goes on.
    Removed,
}

/// The right that a lock, a semaphore or an election gives, until it is dropped.
///
/// It lasts as long as its znode, which the session owns. Thus it outlives a lost connection, if
/// another server is found in time, and ends with the session. While the connection is lost nobody
/// can know: see [`Self::certainty`] and [`Self::in_doubt`].
///
/// Dropping it gives it up in the background; [`Self::release`] waits for that.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Certainty, Lock};
///
/// let client = Client::connect(ensemble).await?;
/// let hold = Lock::new(&client, "/locks/report").acquire().await?;
/// assert_eq!(hold.certainty(), Certainty::Held);
/// tokio::select! {
///     // The token goes along with each write, so that who takes it can refuse one that comes too late.
///     () = write_report(hold.token().to_u64()) => hold.release().await?,
///     why = hold.lost() => println!("somebody else may write it: {why:?}"),
/// }
/// # Ok(()) });
/// # async fn write_report(_: u64) {}
/// ```
#[derive(Debug)]
#[must_use = "it is given up when it is dropped"]
pub struct Hold {
    claim: Claim,
}

impl Hold {
    pub(crate) const fn new(claim: Claim) -> Self {
        Self { claim }
    }

    /// From now on nobody but its owner waits until it is given up.
    pub(crate) fn forget_pass(&mut self) {
        self.claim.forget_pass();
    }

    /// What to show to the services that are written to.
    pub fn token(&self) -> FencingToken {
        FencingToken(self.claim.created().stat.czxid)
    }

    /// Where its znode is.
    pub fn path(&self) -> &str {
        &self.claim.created().path
    }

    /// The session that has it.
    pub const fn client(&self) -> &Client {
        self.claim.client()
    }

    /// How sure it is that it is still held, as far as the connection tells.
    pub fn certainty(&self) -> Certainty {
        match self.client().state() {
            SessionState::Connected => Certainty::Held,
            // A server without a quorum does not hear of the end of a session either.
            SessionState::ConnectedReadOnly
            | SessionState::Connecting
            | SessionState::Disconnected => Certainty::InDoubt,
            SessionState::Expired | SessionState::AuthFailed | SessionState::Closed => {
                Certainty::Lost
            }
        }
    }

    /// Waits until it is not certain anymore that it is held: the connection is lost, or worse.
    pub async fn in_doubt(&self) {
        let mut states = self.client().states();
        let disconnected = async {
            let mut state = Some(states.current());
            while state == Some(SessionState::Connected) {
                state = states.changed().await;
            }
        };
        tokio::select! {
            () = disconnected => {}
            _ = self.lost() => {}
        }
    }

    /// Waits until a server serves the session that would know of its end; `false` when it is over.
    pub(crate) async fn certain(&self) -> bool {
        let mut states = self.client().states();
        let mut state = Some(states.current());
        while state.is_some_and(|state| state != SessionState::Connected && !state.is_over()) {
            state = states.changed().await;
        }
        state == Some(SessionState::Connected)
    }

    /// Waits until it is certain that it is not held anymore, and says why.
    pub async fn lost(&self) -> Loss {
        let (client, path) = (self.client(), self.path());
        loop {
            let watch = match client.patiently(|| client.exists_and_watch(path)).await {
                Ok((None, _)) => return Loss::Removed,
                Ok((Some(_), watch)) => watch,
                Err(_) => return Loss::SessionOver(over(client).await),
            };
            match watch.await {
                Ok(event) if event.kind == EventKind::NodeDeleted => return Loss::Removed,
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(_) => return Loss::SessionOver(over(client).await),
            }
        }
    }

    /// Waits until somebody asks this holder to give way; see [`crate::Lock::revoke`]. It is for the
    /// holder to do so.
    ///
    /// # Errors
    /// [`Error::Removed`] if it is not held anymore, and those of every read.
    pub async fn asked_to_give_way(&self) -> Result<(), Error> {
        let (client, path) = (self.client(), self.path());
        let mut is_first_look = true;
        loop {
            let (data, watch) = match client.patiently(|| client.get_data_and_watch(path)).await {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    return Err(Error::Removed { path: path.to_owned() });
                }
                read => read?,
            };
            if data.bytes() == REVOKE && !(mutant::active(45) && is_first_look) {
                return Ok(());
            }
            is_first_look = false;
            match watch.await {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives it up, and waits until that is done. When the session is over that is so already.
    ///
    /// Only what makes it uncertain is an error; the znode is then deleted in the background, or
    /// ends with the session.
    ///
    /// # Errors
    /// Those of a deletion.
    pub async fn release(self) -> Result<(), Error> {
        Ok(self.claim.release().await?)
    }
}

/// The state in which a session ends.
async fn over(client: &Client) -> SessionState {
    let mut states = client.states();
    let mut state = states.current();
    while !state.is_over() {
        match states.changed().await {
            Some(next) => state = next,
            None => break,
        }
    }
    state
}

/// Somebody who is in line, or holds what the line is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contender {
    /// The path of its znode.
    pub path: String,
    /// What it says of itself.
    pub label: Arc<[u8]>,
    /// What it has to show once it is its turn.
    pub token: FencingToken,
}

/// Those who are in line in a directory, the holder first.
pub(crate) async fn contenders(
    client: &Client,
    directory: &str,
    kinds: crate::line::Kinds,
) -> Result<Vec<Contender>, Error> {
    let mut contenders = Vec::new();
    for place in crate::line::look(client, directory, kinds).await? {
        let path = crate::tree_path::child(directory, &place.name);
        match client.patiently(|| client.get_data(&path)).await {
            Ok(data) => contenders.push(Contender {
                label: data.bytes().into(),
                token: FencingToken(data.stat.czxid),
                path,
            }),
            // It has left since.
            Err(ClientError::Refused(ErrorCode::NoNode)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(contenders)
}
