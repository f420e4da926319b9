//! Where a client learns which servers there are, when the text that it was given is not the last word.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::address::Host;
use crate::driver::Command;
use crate::states::States;
use crate::told::{Told, Words};

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<Host>>> + Send>>;

/// A question that is asked again and again.
#[derive(Clone)]
pub(crate) struct HostSource {
    every: Duration,
    look_up: Arc<dyn Fn() -> Found + Send + Sync>,
}

impl fmt::Debug for HostSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSource").field("every", &self.every).finish_non_exhaustive()
    }
}

impl HostSource {
    pub(crate) fn new<F, L>(every: Duration, look_up: F) -> Self
    where
        F: Fn() -> L + Send + Sync + 'static,
        L: Future<Output = io::Result<Vec<Host>>> + Send + 'static,
    {
        Self { every, look_up: Arc::new(move || Box::pin(look_up())) }
    }

    /// Tells a driver of each list that is another than the one before, until its session is over.
    ///
    /// It holds the driver's commands weakly: who only looks for servers does not keep a session.
    pub(crate) async fn follow(
        self,
        told: Arc<Told>,
        commands: mpsc::WeakUnboundedSender<Command>,
        mut states: States,
    ) {
        let over = async { while states.changed().await.is_some() {} };
        let mut over = std::pin::pin!(over);
        let Words { mut hosts, .. } = told.words();
        loop {
            let found = tokio::select! {
                found = (self.look_up)() => found,
                () = &mut over => return,
            };
            match found {
                Ok(found) if found.is_empty() => warn!("no servers were found; those known stay"),
                Ok(found) if found == hosts => debug!("the servers are the same"),
                Ok(found) => {
                    let Some(commands) = commands.upgrade() else { return };
                    debug!(count = found.len(), "the servers are others");
                    hosts.clone_from(&found);
                    told.hosts(&found);
                    // A session that is over has no servers.
                    drop(commands.send(Command::Hosts(found)));
                }
                Err(error) => warn!(%error, "servers were not looked up; those known stay"),
            }
            tokio::select! {
                () = sleep(self.every) => {}
                () = &mut over => return,
            }
        }
    }
}
