//! The thread that serves a blocking client's connection.

use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::limits::LINGER_MAX;
use crate::states::States;

/// The thread that serves the connection, as its clients see it.
#[derive(Debug)]
pub(super) struct Reactor {
    /// What runs on it.
    pub(super) handle: Handle,
    /// Of the session that it serves.
    pub(super) states: States,
    /// Tells the thread that no client is left, and how to see the session's end.
    pub(super) last_states: Option<oneshot::Sender<States>>,
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(last_states) = self.last_states.take() {
            // A thread that is gone needs no word.
            drop(last_states.send(self.states.clone()));
        }
    }
}

/// A thread that drives a runtime until it is told, and then until the session is over.
pub(super) fn start_thread() -> std::io::Result<(Handle, oneshot::Sender<States>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (sender, last_states) = oneshot::channel::<States>();
    let serve = async move {
        let Ok(mut states) = last_states.await else { return };
        let over = async { while states.changed().await.is_some() {} };
        // The driver sends the request in time or not at all.
        drop(timeout(LINGER_MAX, over).await);
    };
    thread::Builder::new()
        .name("reefkeeper-client".to_owned())
        .spawn(move || runtime.block_on(serve))?;
    Ok((handle, sender))
}
