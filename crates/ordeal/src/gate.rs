//! A participant's way to the servers: what goes through it can be held up, or lost for good.
//!
//! It sits between the client and a stream of any kind, so that the same faults come to participants
//! of simulated and of real servers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection to a server.
pub type Stream = Box<dyn Duplex>;

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// All connections of one participant.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<State>>);

/// What goes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Nothing is heard of the servers.
    pub incoming: bool,
    /// Nothing is heard by the servers.
    pub outgoing: bool,
}

#[derive(Debug, Default)]
struct State {
    held: Held,
    is_dead: bool,
    /// Connections up to this one are broken.
    broken: u64,
    connections: u64,
    waiting: Vec<Waker>,
}

/// A stream that leads through a gate.
pub struct Gated {
    gate: Gate,
    number: u64,
    stream: Stream,
}

impl Gate {
    /// Holds up what goes through from now on; what was held up and is no longer goes on.
    pub fn hold(&self, held: Held) {
        self.change(|state| state.held = held);
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        self.change(|state| state.broken = state.connections);
    }

    /// Loses every connection without a word, and lets none be made anymore: the program was killed.
    pub fn kill(&self) {
        self.change(|state| state.is_dead = true);
    }

    /// Makes a connection through it.
    pub async fn pass(self, connecting: Connecting) -> io::Result<Gated> {
        if self.state().is_dead {
            // What is left of the client is heard of no more.
            return std::future::pending().await;
        }
        let stream = connecting.await?;
        let number = {
            let mut state = self.state();
            state.connections += 1;
            state.connections
        };
        Ok(Gated { gate: self, number, stream })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.state();
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gated {
    /// Ready when something can go through.
    fn poll_open(
        &self,
        context: &mut Context<'_>,
        is_held: impl Fn(Held) -> bool,
    ) -> Poll<io::Result<()>> {
        let mut state = self.gate.state();
        if state.is_dead || self.number <= state.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        // Whoever reads or writes learns of a cut, too.
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        if is_held(state.held) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_open(context, |held| held.incoming))?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(context, |held| held.outgoing))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    const INSTANT: std::time::Duration = std::time::Duration::from_millis(1);

    async fn gated() -> (Gate, Gated, tokio::io::DuplexStream) {
        let gate = Gate::default();
        let (near, far) = duplex(64);
        let connecting: Connecting = Box::pin(async { Ok(Box::new(near) as Stream) });
        (gate.clone(), gate.pass(connecting).await.expect("a duplex connects"), far)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_up_goes_on_later() {
        let (gate, mut stream, mut far) = gated().await;
        gate.hold(Held { incoming: true, outgoing: false });
        far.write_all(b"a").await.expect("there is room");
        assert!(timeout(INSTANT, stream.read_u8()).await.is_err());
        stream.write_all(b"b").await.expect("the other direction is open");
        gate.hold(Held::default());
        assert_eq!(stream.read_u8().await.expect("it is open"), b'a');
        assert_eq!(far.read_u8().await.expect("it is open"), b'b');
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_learns_of_a_cut_and_others_connect_afterwards() {
        let (gate, mut stream, _far) = gated().await;
        let cut = async { gate.cut() };
        let (read, ()) = tokio::join!(stream.read_u8(), cut);
        assert!(read.is_err());
        let (near, mut far) = duplex(64);
        let connecting: Connecting = Box::pin(async { Ok(Box::new(near) as Stream) });
        let mut next = gate.pass(connecting).await.expect("a duplex connects");
        next.write_all(b"c").await.expect("it is open");
        assert_eq!(far.read_u8().await.expect("it is open"), b'c');
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_through_for_who_was_killed() {
        let (gate, mut stream, mut far) = gated().await;
        gate.kill();
        assert!(stream.write_all(b"a").await.is_err());
        drop(stream);
        assert!(far.read_u8().await.is_err());
    }
}
