//! What is between participants and the servers of a world: bytes, and the time that passes.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use reefkeeper_client::Host;
use sim::checkers::Violation;
use sim::world::{Arrival, Cable, Outside};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::gate::{Connecting, Stream};

/// How long to sleep when nothing is due.
const NEVER: Duration = Duration::from_secs(3600);

/// Steps of the servers after which nothing is expected anymore of participants that keep them busy.
pub(super) const STEPS_MAX: u64 = 2_000_000;

/// Why the servers are let live no longer.
#[derive(Debug)]
pub(super) enum Stop {
    /// One of them broke a promise.
    Broken(Violation),
    /// The participants come to no end.
    Endless,
}

/// The side of the servers.
#[derive(Debug)]
pub(super) struct Sea {
    pub(super) outside: Outside,
    started: Instant,
    messages: mpsc::UnboundedReceiver<Message>,
    sender: mpsc::UnboundedSender<Message>,
    /// Where arrivals go; without an entry nobody waits for them.
    ashore: BTreeMap<Cable, mpsc::UnboundedSender<Vec<u8>>>,
}

/// The side of the participants.
#[derive(Clone, Debug)]
pub(super) struct Shore {
    messages: mpsc::UnboundedSender<Message>,
}

#[derive(Debug)]
enum Message {
    /// Connect to a server, if it listens.
    Dial(usize, oneshot::Sender<Line>),
    /// Bytes for the server.
    Bytes(Cable, Vec<u8>),
    /// The participant's side of a connection is closed.
    Close(Cable),
    /// The faults end; how long until clients are served is answered.
    Peace(oneshot::Sender<Duration>),
}

/// A participant's end of a connection.
#[derive(Debug)]
struct Line {
    cable: Cable,
    sea: mpsc::UnboundedSender<Message>,
    incoming: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What has arrived and was not read yet.
    rest: Vec<u8>,
}

impl Sea {
    pub(super) fn new(outside: Outside) -> (Self, Shore) {
        let (sender, messages) = mpsc::unbounded_channel();
        let shore = Shore { messages: sender.clone() };
        let started = Instant::now();
        (Self { outside, started, messages, sender, ashore: BTreeMap::new() }, shore)
    }

    /// Lets the servers live, as long as they may.
    pub(super) async fn run(&mut self) -> Stop {
        loop {
            if let Err(violation) = self.go_on() {
                return Stop::Broken(violation);
            }
            if self.outside.steps() > STEPS_MAX {
                return Stop::Endless;
            }
            let next = self.outside.next().unwrap_or(NEVER);
            let message = tokio::select! {
                biased;
                message = self.messages.recv() => message,
                () = sleep_until(self.started + next) => None,
            };
            if let Some(message) = message {
                if let Err(violation) = self.go_on() {
                    return Stop::Broken(violation);
                }
                self.take(message);
            }
        }
    }

    /// Does what is due by now.
    fn go_on(&mut self) -> Result<(), Violation> {
        self.outside.go_on_until(self.started.elapsed())?;
        for (cable, arrival) in self.outside.take_arrivals() {
            match arrival {
                Arrival::Bytes(bytes) => {
                    if let Some(ashore) = self.ashore.get(&cable) {
                        // A participant that is gone has closed it, or will.
                        drop(ashore.send(bytes));
                    }
                }
                Arrival::End => {
                    self.ashore.remove(&cable);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Dial(server, answer) => {
                let Some(cable) = self.outside.connect(server) else { return };
                let (ashore, incoming) = mpsc::unbounded_channel();
                let line = Line { cable, sea: self.sender.clone(), incoming, rest: Vec::new() };
                if answer.send(line).is_ok() {
                    self.ashore.insert(cable, ashore);
                }
            }
            Message::Bytes(cable, bytes) => self.outside.send(cable, &bytes),
            Message::Close(cable) => {
                self.ashore.remove(&cable);
                self.outside.close(cable);
            }
            Message::Peace(answer) => {
                self.outside.make_peace();
                let until_served = self.outside.until_served();
                // Who asked waits for it, or is gone.
                let _ = answer.send(until_served);
            }
        }
    }
}

impl Shore {
    /// Ends the faults, and says how long it takes at most until clients are served.
    pub(super) async fn make_peace(&self) -> Duration {
        let (answer, answered) = oneshot::channel();
        drop(self.messages.send(Message::Peace(answer)));
        answered.await.unwrap_or_default()
    }

    /// The way to the servers, whose ports are their numbers.
    pub(super) fn connector(&self) -> Arc<dyn Fn(Host) -> Connecting + Send + Sync> {
        let messages = self.messages.clone();
        Arc::new(move |host| {
            let messages = messages.clone();
            Box::pin(async move {
                let (answer, answered) = oneshot::channel();
                let server = usize::from(host.port) - 1;
                drop(messages.send(Message::Dial(server, answer)));
                match answered.await {
                    Ok(line) => Ok(Box::new(line) as Stream),
                    Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            })
        })
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match std::task::ready!(self.incoming.poll_recv(context)) {
                Some(bytes) => self.rest = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..taken]);
        self.rest.drain(..taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.sea.send(Message::Bytes(self.cable, bytes.to_vec())) {
            Ok(()) => Poll::Ready(Ok(bytes.len())),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The sea outlives the participants; if it does not, nothing is to be told.
        drop(self.sea.send(Message::Close(self.cable)));
    }
}
