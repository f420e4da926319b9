//! Several agree on whether something is done: by all or by none.

use std::time::Duration;

use reefkeeper_client::{Client, CreateMode, Error as ClientError, ErrorCode, Sessions};
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::mutant;
use crate::rendezvous::Rendezvous;
use crate::renewed::in_each;
use crate::tree_path::child;

/// Where the votes are, each under the name of who has voted.
const VOTES: &str = "votes";
/// Where the decision is.
const DECISION: &str = "decision";

/// A vote, or a decision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// It can be done here, whatever happens from now on; or: it is done.
    Commit,
    /// It can not be done here; or: it is not done.
    Abort,
}

impl Outcome {
    const fn text(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
        }
    }

    fn read(text: &[u8], path: &str) -> Result<Self, Error> {
        match text {
            b"commit" => Ok(Self::Commit),
            b"abort" => Ok(Self::Abort),
            _ => Err(Error::Unreadable { path: path.to_owned(), expected: "vote or decision" }),
        }
    }
}

/// Something that several participants do all or none.
///
/// Each finds out whether it can do it, makes sure that it still can after a crash, and votes. It is done
/// if all have voted to commit in time. The decision is one znode that is created once; so there is never
/// a second one, whoever decides, and who was away reads it later.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::Duration;
///
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Outcome, TwoPhaseCommit};
///
/// let client = Client::connect(ensemble).await?;
/// let transfer = TwoPhaseCommit::new(&client, "/transfers/17");
/// transfer.vote("bank-a", Outcome::Commit).await?;
/// transfer.vote("bank-b", Outcome::Commit).await?;
/// // The coordinator:
/// let decision = transfer.decide(["bank-a", "bank-b"], Duration::from_secs(10)).await?;
/// assert_eq!(decision, Outcome::Commit);
/// // Each participant:
/// assert_eq!(transfer.decision().await?, Outcome::Commit);
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *A participant is lost before it has voted*: the coordinator decides to abort when its time is over.
/// - *A participant is lost after it has voted*: it reads the decision when it is back.
/// - *The coordinator is lost*: others can call [`Self::decide`] as well; what was decided first stands. A
///   participant alone can not know what the others have voted, and waits.
/// - *The connection is lost, or the session expires* and the [`Sessions`] are renewed: votes and decisions
///   are made once, and go on being made.
#[derive(Clone, Debug)]
pub struct TwoPhaseCommit {
    sessions: Sessions,
    path: String,
}

impl TwoPhaseCommit {
    /// What is agreed on at that path: another one for each time.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { sessions: sessions.into(), path: path.into() }
    }

    /// Votes under a name that no other participant has; returns the vote that counts, which is the first
    /// under that name.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if something else is there, and those of every create and read.
    pub async fn vote(&self, name: &str, vote: Outcome) -> Result<Outcome, Error> {
        let path = child(&child(&self.path, VOTES), name);
        let counts = Rendezvous::new(&self.sessions, path.as_str()).leave(vote.text()).await?;
        Outcome::read(&counts, &path)
    }

    /// Waits until all of these have voted or one of them to abort, but so long at most, and decides;
    /// returns the decision that counts, which is the first.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if a vote is something else, and those of every create and read.
    pub async fn decide<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
        limit: Duration,
    ) -> Result<Outcome, Error> {
        let deadline = Instant::now() + limit;
        let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        let decision = match timeout_at(deadline, self.count(&names)).await {
            Ok(counted) => counted?,
            Err(_) => Outcome::Abort,
        };
        let path = child(&self.path, DECISION);
        if mutant::active(18) {
            Rendezvous::new(&self.sessions, path.as_str()).leave(decision.text()).await?;
            return Ok(decision);
        }
        let counts = Rendezvous::new(&self.sessions, path.as_str()).leave(decision.text()).await?;
        Outcome::read(&counts, &path)
    }

    /// Waits for the decision.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if it is something else, the end of the session, and those of every read.
    pub async fn decision(&self) -> Result<Outcome, Error> {
        let path = child(&self.path, DECISION);
        let decision = Rendezvous::new(&self.sessions, path.as_str()).word().await?;
        Outcome::read(&decision, &path)
    }

    /// Waits for the votes that make the decision.
    async fn count(&self, names: &[String]) -> Result<Outcome, Error> {
        in_each(&self.sessions, |client| async move { self.count_in(&client, names).await }).await
    }

    async fn count_in(&self, client: &Client, names: &[String]) -> Result<Outcome, Error> {
        let votes = child(&self.path, VOTES);
        loop {
            client.ensure(&votes, CreateMode::Persistent).await?;
            let read = client.patiently(|| client.get_children_and_watch(&votes)).await;
            let (_, changed) = match read {
                Err(ClientError::Refused(ErrorCode::NoNode)) => continue,
                read => read?,
            };
            let mut missing = names.len();
            for name in names {
                let path = child(&votes, name);
                match Rendezvous::new(client, path.as_str()).try_word().await? {
                    Some(vote)
                        if Outcome::read(&vote, &path)? == Outcome::Abort
                            && !mutant::active(17) =>
                    {
                        return Ok(Outcome::Abort);
                    }
                    Some(_) => missing -= 1,
                    None => {}
                }
            }
            if missing == 0 {
                return Ok(Outcome::Commit);
            }
            match changed.await {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
