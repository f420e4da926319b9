//! The thread that serves a blocking client's connection.

use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tracing::debug;

use crate::client::Client;
use crate::limits::LINGER_MAX;

/// The thread that serves the connection, as its clients see it.
#[derive(Debug)]
pub(super) struct Reactor {
    /// What runs on it.
    pub(super) handle: Handle,
    /// Whose session ends with the thread.
    pub(super) client: Client,
    /// Tells the thread that no blocking client is left, and whose session to close.
    pub(super) last_word: Option<oneshot::Sender<Client>>,
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(last_word) = self.last_word.take() {
            // A thread that is gone needs no word.
            drop(last_word.send(self.client.clone()));
        }
    }
}

/// A thread that drives a runtime until it is given a client, and then until that one's session is over.
///
/// It closes the session itself: asynchronous handles may be left, and would take it for alive when
/// nobody drives it anymore.
pub(super) fn start_thread() -> std::io::Result<(Handle, oneshot::Sender<Client>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (sender, last_word) = oneshot::channel::<Client>();
    let serve = async move {
        let Ok(client) = last_word.await else { return };
        if let Err(error) = client.close_within(LINGER_MAX).await {
            debug!(%error, "no server has confirmed the end of the session");
        }
    };
    thread::Builder::new()
        .name("reefkeeper-client".to_owned())
        .spawn(move || runtime.block_on(serve))?;
    Ok((handle, sender))
}
