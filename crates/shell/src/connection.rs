//! The shell's session, and the tasks that tell what happens to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reefkeeper_client::{
    AddressError, Change, Client, Error, ErrorCode, EventKind, OneShotWatch, PersistentWatch,
    SessionState, States, WatchEvent,
};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::options::Options;
use crate::render;
use crate::screen::Screen;

/// The zxid of an event that has none.
const NO_ZXID: i64 = -1;

/// Which event a one-shot watch becomes when it is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OneShot {
    /// On data or existence.
    Data,
    /// On children.
    Children,
}

impl OneShot {
    const fn removal(self) -> &'static str {
        match self {
            Self::Data => "DataWatchRemoved",
            Self::Children => "ChildWatchRemoved",
        }
    }
}

/// A session whose states and watches are shown.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The session.
    pub(crate) client: Client,
    screen: Arc<Screen>,
    /// Whether events of watches are shown (`printwatches`).
    shows_watches: Arc<AtomicBool>,
    states: JoinHandle<()>,
}

impl Connection {
    /// Starts looking for a server.
    ///
    /// # Errors
    /// When the text that names the servers can not be understood.
    pub(crate) fn open(
        options: &Options,
        screen: Arc<Screen>,
        shows_watches: Arc<AtomicBool>,
    ) -> Result<Self, AddressError> {
        let client = Client::builder(options.server.as_str())
            .session_timeout(options.timeout)
            .read_only(options.read_only)
            .start()?;
        let is_interactive = options.command.is_empty();
        let states = client.states();
        let states = tokio::spawn(show_states(states, is_interactive, Arc::clone(&screen)));
        Ok(Self { client, screen, shows_watches, states })
    }

    /// Ends the session, and waits until its end was shown.
    pub(crate) async fn close(self) {
        if let Err(error) = self.client.close().await {
            debug!(%error, "no server confirmed the end of the session");
        }
        if let Err(error) = self.states.await {
            debug!(%error, "the states of the session were not shown to their end");
        }
    }

    /// Shows the event of a one-shot watch when it comes.
    pub(crate) fn show_once(&self, path: &str, watch: OneShotWatch, kind: OneShot) {
        let (screen, shows_watches) = (Arc::clone(&self.screen), Arc::clone(&self.shows_watches));
        let path = path.to_owned();
        tokio::spawn(async move {
            match watch.await {
                Ok(event) => show(&screen, &shows_watches, &event),
                Err(Error::Refused(ErrorCode::NoWatcher)) => {
                    screen.event("SyncConnected", kind.removal(), &path, NO_ZXID);
                }
                // The end of the session is shown as a state.
                Err(_) => {}
            }
        });
    }

    /// Shows the events of a persistent watch as long as there are any.
    pub(crate) fn show_all(&self, path: &str, mut watch: PersistentWatch) {
        let (screen, shows_watches) = (Arc::clone(&self.screen), Arc::clone(&self.shows_watches));
        let (path, states) = (path.to_owned(), self.client.states());
        tokio::spawn(async move {
            while let Some(change) = watch.next().await {
                match change {
                    Change::Event(event) => show(&screen, &shows_watches, &event),
                    // Java's clients do not know, and the lost connection is shown as a state.
                    Change::Gap => {}
                }
            }
            if !states.current().is_over() {
                screen.event("SyncConnected", "PersistentWatchRemoved", &path, NO_ZXID);
            }
        });
    }
}

/// The name of what happened.
pub(crate) const fn event_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::NodeCreated => "NodeCreated",
        EventKind::NodeDeleted => "NodeDeleted",
        EventKind::NodeDataChanged => "NodeDataChanged",
        EventKind::NodeChildrenChanged => "NodeChildrenChanged",
    }
}

fn show(screen: &Screen, shows_watches: &AtomicBool, event: &WatchEvent) {
    if shows_watches.load(Ordering::Relaxed) {
        let zxid = event.zxid.map_or(NO_ZXID, |zxid| zxid.raw());
        screen.event("SyncConnected", event_name(event.kind), &event.path, zxid);
    }
}

/// Whoever runs a single command hears of trouble only.
async fn show_states(mut states: States, is_interactive: bool, screen: Arc<Screen>) {
    while let Some(state) = states.changed().await {
        let is_trouble = match state {
            SessionState::Disconnected | SessionState::Expired | SessionState::AuthFailed => true,
            SessionState::Connecting
            | SessionState::Connected
            | SessionState::ConnectedReadOnly
            | SessionState::Closed => false,
        };
        if let Some(name) = render::event_state(state)
            && (is_interactive || is_trouble)
        {
            screen.event(name, "None", "null", NO_ZXID);
        }
    }
}
