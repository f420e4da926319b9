//! Watches as things that one owns: a future for what happens once, a stream for what goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};
use types::ErrorCode;

use crate::driver::Command;
use crate::error::Error;
use crate::limits::WATCH_EVENTS_MAX;
use crate::session::{Notice, WatchEvent, WatchId};

/// The next change of a znode, as a future.
///
/// It survives reconnects: what happened in between is told as soon as a server is found. Dropping
/// it takes the interest back.
///
/// Resolves to an error when the session ends before anything happened, and to
/// [`ErrorCode::NoWatcher`] when the watch was removed.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::Duration;
///
/// use reefkeeper_client::{Client, CreateMode, EventKind};
///
/// let client = Client::connect(ensemble).await?;
/// let (_, mut appeared) = client.exists_and_watch("/ready").await?;
/// // Nothing is lost when the wait for it is given up.
/// let none = tokio::time::timeout(Duration::from_millis(10), &mut appeared).await;
/// assert!(none.is_err());
/// client.create("/ready", "", CreateMode::Ephemeral).await?;
/// assert_eq!(appeared.await?.kind, EventKind::NodeCreated);
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct OneShotWatch {
    event: oneshot::Receiver<Result<WatchEvent, Error>>,
    guard: Guard,
}

impl Future for OneShotWatch {
    type Output = Result<WatchEvent, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let event = ready!(Pin::new(&mut self.event).poll(context));
        self.guard.is_needed = false;
        Poll::Ready(event.unwrap_or(Err(Error::Closed)))
    }
}

/// The changes of a znode, or of a subtree, as a stream.
///
/// It survives reconnects, but a server does not tell what happened in between; the stream then
/// yields [`Change::Gap`], and its owner should read again what it cares for. So it does when its
/// owner is so slow that events would pile up.
///
/// Ends when the session ends or the watch is removed. Dropping it removes the watch from the
/// server, unless others of this client at the same path need it.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Change, Client, CreateMode, WatchMode};
///
/// let client = Client::connect(ensemble).await?;
/// let mut changes = client.add_watch("/config", WatchMode::PersistentRecursive).await?;
/// client.ensure("/config", CreateMode::Persistent).await?;
/// match changes.next().await {
///     Some(Change::Event(event)) => assert_eq!(event.path, "/config"),
///     Some(Change::Gap) => println!("reading everything again"),
///     None => println!("the session is over"),
/// }
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct PersistentWatch {
    events: mpsc::Receiver<Change>,
    has_gap: Arc<AtomicBool>,
    guard: Guard,
}

/// What a [`PersistentWatch`] tells.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// A znode changed.
    Event(WatchEvent),
    /// Events may be missing here.
    Gap,
}

impl PersistentWatch {
    /// Waits for the next change; `None` at the end.
    pub async fn next(&mut self) -> Option<Change> {
        std::future::poll_fn(|context| self.poll_change(context)).await
    }

    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<Option<Change>> {
        match self.events.poll_recv(context) {
            Poll::Ready(Some(change)) => Poll::Ready(Some(change)),
            // Events from before the gap come first; the queue may have some although it yields
            // none, when the runtime wants the task to pause.
            Poll::Ready(None) | Poll::Pending
                if self.events.is_empty() && self.has_gap.swap(false, Ordering::AcqRel) =>
            {
                Poll::Ready(Some(Change::Gap))
            }
            Poll::Ready(None) => {
                self.guard.is_needed = false;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Stream for PersistentWatch {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.poll_change(context)
    }
}

/// The driver's end of a watch.
#[derive(Debug)]
pub(crate) enum WatchSender {
    /// Of a [`OneShotWatch`].
    OneShot(oneshot::Sender<Result<WatchEvent, Error>>),
    /// Of a [`PersistentWatch`].
    Persistent {
        /// Bounded, for the owner may be slow.
        events: mpsc::Sender<Change>,
        /// Set when an event did not fit; nothing is queued until the owner has seen it.
        has_gap: Arc<AtomicBool>,
    },
}

impl WatchSender {
    /// Tells the owner. Returns itself unless that was the last thing to tell, or the owner gone.
    pub(crate) fn deliver(self, notice: Notice) -> Option<Self> {
        match (self, notice) {
            (Self::OneShot(sender), Notice::Event(event)) => {
                // An owner that is gone needs no event.
                drop(sender.send(Ok(event)));
                None
            }
            (watch @ Self::OneShot(_), Notice::Gap) => Some(watch),
            (watch, Notice::Removed) => {
                watch.end(Error::Refused(ErrorCode::NoWatcher));
                None
            }
            (Self::Persistent { events, has_gap }, Notice::Event(event)) => {
                Self::pass_on(events, has_gap, Change::Event(event))
            }
            (Self::Persistent { events, has_gap }, Notice::Gap) => {
                Self::pass_on(events, has_gap, Change::Gap)
            }
        }
    }

    /// Tells the owner that nothing follows.
    pub(crate) fn end(self, error: Error) {
        match self {
            Self::OneShot(sender) => drop(sender.send(Err(error))),
            // A closed channel is the end of a stream.
            Self::Persistent { .. } => {}
        }
    }

    fn pass_on(
        events: mpsc::Sender<Change>,
        has_gap: Arc<AtomicBool>,
        change: Change,
    ) -> Option<Self> {
        if events.is_closed() {
            return None;
        }
        if !has_gap.load(Ordering::Acquire) && events.try_send(change).is_err() {
            has_gap.store(true, Ordering::Release);
            // An owner that has emptied the queue meanwhile would sleep over the mark.
            if events.try_send(Change::Gap).is_ok() {
                has_gap.store(false, Ordering::Release);
            }
        }
        Some(Self::Persistent { events, has_gap })
    }
}

/// Both ends of a one-shot watch.
pub(crate) fn one_shot(
    id: WatchId,
    commands: mpsc::UnboundedSender<Command>,
) -> (WatchSender, OneShotWatch) {
    let (sender, event) = oneshot::channel();
    let guard = Guard { id, commands, is_needed: true };
    (WatchSender::OneShot(sender), OneShotWatch { event, guard })
}

/// Both ends of a persistent watch.
pub(crate) fn persistent(
    id: WatchId,
    commands: mpsc::UnboundedSender<Command>,
) -> (WatchSender, PersistentWatch) {
    let (sender, events) = mpsc::channel(WATCH_EVENTS_MAX);
    let has_gap = Arc::new(AtomicBool::new(false));
    let guard = Guard { id, commands, is_needed: true };
    let sender = WatchSender::Persistent { events: sender, has_gap: Arc::clone(&has_gap) };
    (sender, PersistentWatch { events, has_gap, guard })
}

/// Takes a watch back when its owner is dropped.
#[derive(Debug)]
struct Guard {
    id: WatchId,
    commands: mpsc::UnboundedSender<Command>,
    /// Whether the driver still knows the watch.
    is_needed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_needed {
            // Without a driver there is nothing to take back.
            drop(self.commands.send(Command::Forget(self.id)));
        }
    }
}
