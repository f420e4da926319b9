//! The handle of a running server.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use config::Config;
use tracing::{error, info};

use crate::crew::Crew;
use crate::helm::Helm;
use crate::start::{self, StartError};

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    crew: Crew,
}

/// Why a server is no longer running.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It could not go on.
    Failed(Failure),
}

/// Why a server could not go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What it was.
    pub kind: FailureKind,
    /// What an operator reads last.
    pub last_words: String,
}

/// Failures that an operator may want to tell from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// The history can not be cut as a leader wants it.
    NotCut,
    /// A port for the other servers can not be opened.
    PeerPort,
    /// Anything else: a disk that fails, a defect.
    Other,
}

impl From<String> for Failure {
    fn from(last_words: String) -> Self {
        Self { kind: FailureKind::Other, last_words }
    }
}

/// What the threads have in common: the way to stop.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) helm: Helm,
    ended: Mutex<Option<Reason>>,
    told: Condvar,
}

/// A reason for the end of a server. When there are several, a later one of the list outranks an
/// earlier one, and within one kind the first counts.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// It was told to.
    Told,
    /// A thread found what the panic of another had left behind.
    Aftermath(Failure),
    /// A thread can not go on.
    Failure(Failure),
}

impl Reason {
    const fn rank(&self) -> u8 {
        match self {
            Self::Told => 0,
            Self::Aftermath(_) => 1,
            Self::Failure(_) => 2,
        }
    }
}

impl Shared {
    pub(crate) fn new(helm: Helm) -> Self {
        Self { helm, ended: Mutex::default(), told: Condvar::new() }
    }

    /// Ends the server: its threads finish. Not to be called at the helm.
    pub(crate) fn end(&self, reason: Reason) {
        let mut ended = self.lock();
        if ended.as_ref().is_some_and(|known| known.rank() >= reason.rank()) {
            return;
        }
        let reason = ended.insert(reason);
        self.told.notify_all();
        self.helm.close();
        // With the lock held: of two reasons, the one that counts is read last.
        match reason {
            Reason::Told => info!("stopping"),
            Reason::Aftermath(failure) | Reason::Failure(failure) => {
                error!("{}", failure.last_words);
            }
        }
    }

    /// Waits for the end.
    pub(crate) fn wait(&self) -> Ended {
        let mut ended = self.lock();
        loop {
            match &*ended {
                Some(Reason::Told) => return Ended::Stopped,
                Some(Reason::Aftermath(failure) | Reason::Failure(failure)) => {
                    return Ended::Failed(failure.clone());
                }
                None => ended = self.told.wait(ended).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The reason is always whole, whatever became of who wrote it.
    fn lock(&self) -> MutexGuard<'_, Option<Reason>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Recovers the database and starts to serve.
    ///
    /// # Errors
    /// When the directories can not be used, hold something damaged, or the port can not be had.
    /// Nothing is left running then, and the directories are free.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let start::Started { address, crew } = start::start(config)?;
        Ok(Self { address, crew })
    }

    /// The address that clients connect to; `None` if the configuration names none.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A way to stop it from elsewhere, such as a handler of signals. It may be kept for longer than
    /// the server, and does nothing then.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        // Not the tree, and not the sockets.
        let shared = Arc::downgrade(self.crew.shared());
        move || {
            if let Some(shared) = shared.upgrade() {
                shared.end(Reason::Told);
            }
        }
    }

    /// Waits until it is told to stop or can not go on, and lets its threads finish: what was
    /// acknowledged is durable, the log is closed. A panic of one of its threads, where panics
    /// unwind, is a failure like any other.
    pub fn wait(mut self) -> Ended {
        self.crew.shared().wait();
        self.crew.dismiss()
    }

    /// Stops it, and waits for that as [`Server::wait`] does. Tells why it ended: it may have failed
    /// before, or in stopping.
    pub fn stop(mut self) -> Ended {
        self.crew.dismiss()
    }
}

#[cfg(test)]
impl Server {
    pub(crate) fn crew(&mut self) -> &mut Crew {
        &mut self.crew
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.crew.shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Site;

    #[test]
    fn nothing_is_kept_for_a_stopper_that_is() {
        let site = Site::new();
        let server = Server::start(&site.config).expect("a server");
        let stop = server.stopper();
        let shared = Arc::downgrade(server.shared());
        stop();
        assert_eq!(server.wait(), Ended::Stopped);
        assert_eq!(shared.strong_count(), 0);
        stop();
    }
}
