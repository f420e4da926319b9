//! One of many leads, and all know whether it is them.

use reefkeeper_client::{Client, Payload, SessionState, Sessions};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::claim::Claim;
use crate::departure::{Departure, Pass};
use crate::error::Error;
use crate::hold::{Contender, FencingToken, Hold, Loss, contenders};
use crate::line::{self, Kinds, Turn};
use crate::mutant;

/// What the names of participants have before the number: ours and Curator's.
const KINDS: Kinds = &["latch-"];

/// A participant's part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leadership {
    /// Others lead, or nobody does yet.
    Standby,
    /// This participant leads.
    Leading(FencingToken),
    /// It led when the connection was lost, or a server without a quorum was found: it does again when
    /// one that serves writes is found in time, with the same token; otherwise it stands by.
    InDoubt(FencingToken),
    /// It takes part no longer: it left, or this error made it.
    Over(Option<Error>),
}

impl Leadership {
    /// The token of a participant that leads for sure.
    pub const fn token(&self) -> Option<FencingToken> {
        match self {
            Self::Leading(token) => Some(*token),
            Self::Standby | Self::InDoubt(_) | Self::Over(_) => None,
        }
    }
}

/// Takes part in an election for as long as it lives: one of those at the same path leads, and
/// whoever joined after it succeeds it in the order of arrival.
///
/// A task of its own takes part, so that this must be made inside of a tokio runtime.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::LeaderLatch;
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let mut latch = LeaderLatch::join(sessions, "/scheduler/leader", "host-7");
/// let token = latch.led().await?;
/// println!("leading with token {token}");
/// assert_eq!(latch.participants().await?.len(), 1);
/// latch.leave().await?;
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost*: a leader is [`Leadership::InDoubt`], at once, and should do nothing
///   that only one may do.
/// - *The session expires*: with [`Sessions`] that are renewed, the participant joins again as the
///   last; otherwise its part is over.
/// - *Somebody deletes its znode*: it joins again as the last.
/// - *The connection is lost while it joins*: its znode is found by the GUID in its name.
/// - *It is dropped*: it leaves in the background.
///
/// The layout is that of Curator's `LeaderLatch`, with which it can be shared. Who takes part with kazoo's
/// `Election` finds its layout in [`crate::LeaderSelector`].
#[derive(Debug)]
pub struct LeaderLatch {
    sessions: Sessions,
    path: String,
    leadership: watch::Receiver<Leadership>,
    /// Dropped to make the task leave.
    leave: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl LeaderLatch {
    /// Joins the election at that path, under a name that others see.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn join(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        id: impl Into<Payload>,
    ) -> Self {
        let (sessions, path) = (sessions.into(), path.into());
        let (part, leadership) = watch::channel(Leadership::Standby);
        let (leave, left) = oneshot::channel();
        let participant =
            Participant { sessions: sessions.clone(), path: path.clone(), id: id.into(), part };
        let task = tokio::spawn(participant.run(left));
        Self { sessions, path, leadership, leave: Some(leave), task: Some(task) }
    }

    /// This participant's part now.
    pub fn leadership(&self) -> Leadership {
        self.leadership.borrow().clone()
    }

    /// Whether it leads for sure, as far as the connection tells.
    pub fn is_leading(&self) -> bool {
        self.leadership().token().is_some()
    }

    /// Waits until its part is another than the one that was seen last; parts that follow each
    /// other faster than they are taken are skipped.
    pub async fn changed(&mut self) -> Leadership {
        // Once the task has ended the last part stays.
        drop(self.leadership.changed().await);
        self.leadership.borrow_and_update().clone()
    }

    /// Waits until it leads.
    ///
    /// # Errors
    /// What ended its part, if that comes first.
    pub async fn led(&mut self) -> Result<FencingToken, Error> {
        loop {
            match &*self.leadership.borrow_and_update() {
                Leadership::Leading(token) => return Ok(*token),
                Leadership::Over(Some(error)) => return Err(error.clone()),
                Leadership::Over(None) => return Err(reefkeeper_client::Error::Closed.into()),
                Leadership::Standby | Leadership::InDoubt(_) => {}
            }
            self.changed_unseen().await?;
        }
    }

    /// All who take part, the leader first.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn participants(&self) -> Result<Vec<Contender>, Error> {
        contenders(&self.sessions.current(), &self.path, KINDS).await
    }

    /// Leaves, and waits until that is done: nobody waits for this participant's session to expire.
    ///
    /// # Errors
    /// What made that uncertain.
    pub async fn leave(mut self) -> Result<(), Error> {
        self.leave = None;
        if let Some(task) = self.task.take() {
            // A task that panicked has left, too: its claim was dropped.
            drop(task.await);
        }
        match self.leadership() {
            Leadership::Over(Some(error)) => Err(error),
            Leadership::Over(None)
            | Leadership::Standby
            | Leadership::Leading(_)
            | Leadership::InDoubt(_) => Ok(()),
        }
    }

    async fn changed_unseen(&mut self) -> Result<(), Error> {
        let changed = self.leadership.changed().await;
        changed.map_err(|_| reefkeeper_client::Error::Closed.into())
    }
}

/// What the task does.
struct Participant {
    sessions: Sessions,
    path: String,
    id: Payload,
    part: watch::Sender<Leadership>,
}

impl Participant {
    async fn run(self, mut left: oneshot::Receiver<()>) {
        let departure = Departure::new();
        loop {
            let client = self.sessions.current();
            match self.take_part(&client, departure.pass(), &mut left).await {
                Ok(Outcome::Left) => {
                    // A place in line that was dropped is given up in the background.
                    return self.end(departure.complete().await.err().map(Error::from));
                }
                Ok(Outcome::JoinAgain) => self.show(Leadership::Standby),
                Err(Error::Client(error)) if self.sessions.go_on_after(&error) => {
                    self.show(Leadership::Standby);
                }
                Err(error) => return self.end(Some(error)),
            }
        }
    }

    /// Takes part once, from joining until the place in line is gone.
    async fn take_part(
        &self,
        client: &Client,
        pass: Pass,
        left: &mut oneshot::Receiver<()>,
    ) -> Result<Outcome, Error> {
        let waited = async {
            let pass = Some(pass);
            let claim = Claim::stake(client, &self.path, KINDS[0], &self.id, pass).await?;
            match line::wait(&claim, KINDS, Turn::First).await {
                Ok(()) => Ok(Some(Hold::new(claim))),
                Err(Error::Removed { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let hold = tokio::select! {
            hold = waited => match hold? {
                Some(hold) => hold,
                None => return Ok(Outcome::JoinAgain),
            },
            _ = &mut *left => return Ok(Outcome::Left),
        };
        tokio::select! {
            loss = self.lead(&hold) => match loss {
                Loss::Removed => Ok(Outcome::JoinAgain),
                Loss::SessionOver(_) => match client.connected().await {
                    Err(error) => Err(error.into()),
                    Ok(()) => Ok(Outcome::JoinAgain),
                },
            },
            _ = &mut *left => {
                self.show(Leadership::Standby);
                hold.release().await?;
                Ok(Outcome::Left)
            }
        }
    }

    /// Shows that it leads, as long as it does.
    async fn lead(&self, hold: &Hold) -> Loss {
        let token = hold.token();
        info!(path = %self.path, %token, "leading");
        let shown = async {
            let mut states = hold.client().states();
            let mut state = states.current();
            loop {
                self.show(if state == SessionState::Connected || mutant::active(14) {
                    Leadership::Leading(token)
                } else {
                    Leadership::InDoubt(token)
                });
                match states.changed().await {
                    Some(next) => state = next,
                    // The end of the session is told by the hold.
                    None => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            loss = hold.lost(), if !mutant::active(15) => {
                info!(path = %self.path, ?loss, "leading no longer");
                loss
            }
            () = shown => unreachable!("it goes on until the hold is lost"),
        }
    }

    fn show(&self, leadership: Leadership) {
        self.part.send_if_modified(|shown| {
            let is_new = *shown != leadership;
            *shown = leadership;
            is_new
        });
    }

    fn end(&self, error: Option<Error>) {
        if let Some(error) = &error {
            warn!(path = %self.path, %error, "takes part in the election no longer");
        }
        self.show(Leadership::Over(error));
    }
}

/// How a participation ended.
enum Outcome {
    /// As the owner wanted.
    Left,
    /// Somebody deleted the place in line.
    JoinAgain,
}
