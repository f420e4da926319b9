//! The handle of a running server.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use config::Config;
use tracing::error;

use crate::helm::Helm;
use crate::start::{self, StartError};

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a server is no longer running.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It could not go on; these are its last words.
    Failed(String),
}

/// What the threads have in common: the way to stop.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) helm: Helm,
    ended: Mutex<Option<Ended>>,
    told: Condvar,
}

impl Shared {
    pub(crate) fn new(helm: Helm) -> Self {
        Self { helm, ended: Mutex::default(), told: Condvar::new() }
    }

    /// Ends the server; the first reason counts.
    pub(crate) fn end(&self, reason: Ended) {
        let mut ended = self.ended.lock().expect(NO_PANIC);
        if ended.is_none() {
            if let Ended::Failed(last_words) = &reason {
                error!("{last_words}");
            }
            *ended = Some(reason);
        }
        self.told.notify_all();
    }

    fn wait(&self) -> Ended {
        let mut ended = self.ended.lock().expect(NO_PANIC);
        loop {
            match &*ended {
                Some(reason) => return reason.clone(),
                None => ended = self.told.wait(ended).expect(NO_PANIC),
            }
        }
    }
}

const NO_PANIC: &str = "nothing panics while it holds the reason of the end";

impl Server {
    /// Recovers the database and starts to serve.
    ///
    /// # Errors
    /// When the directories can not be used, hold something damaged, or the port can not be had.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let start::Started { address, shared, threads } = start::start(config)?;
        Ok(Self { address, shared, threads })
    }

    /// The address that clients connect to; `None` if the configuration names none.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A way to stop it from elsewhere, such as a handler of signals.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.end(Ended::Stopped)
    }

    /// Waits until it is told to stop or can not go on, and lets its threads finish: what was
    /// acknowledged is durable, the log is closed.
    pub fn wait(mut self) -> Ended {
        let ended = self.shared.wait();
        self.finish();
        ended
    }

    /// Stops it.
    pub fn stop(mut self) {
        self.shared.end(Ended::Stopped);
        self.finish();
    }

    fn finish(&mut self) {
        self.shared.helm.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a thread of the server panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.end(Ended::Stopped);
        self.finish();
    }
}
