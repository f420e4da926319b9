//! How a connection to a server is made: over TCP, or as the program wants.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use types::ConnId;

use crate::address::Host;
use crate::limits::PROBE_ANSWER_MAX;

/// A connection to a server.
pub(crate) type Stream = Box<dyn Duplex>;

/// A future that makes a connection.
pub(crate) type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// The way to the servers.
#[derive(Clone, Default)]
pub(crate) enum Connector {
    /// TCP.
    #[default]
    Tcp,
    /// What the program said.
    Custom(Arc<dyn Fn(Host) -> Connecting + Send + Sync>),
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "Tcp",
            Self::Custom(_) => "Custom(..)",
        })
    }
}

impl Connector {
    /// The program's own way.
    pub(crate) fn custom<F, C, S>(connect: F) -> Self
    where
        F: Fn(Host) -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::Custom(Arc::new(move |host| {
            let connecting = connect(host);
            Box::pin(async move { Ok(Box::new(connecting.await?) as Stream) })
        }))
    }

    /// Connects to a server; of several addresses the attempt decides which is tried first.
    pub(crate) fn connect(&self, host: Host, attempt: ConnId) -> Connecting {
        match self {
            Self::Tcp => {
                Box::pin(async move { Ok(Box::new(connect_tcp(&host, attempt).await?) as Stream) })
            }
            Self::Custom(connect) => connect(host),
        }
    }

    /// Asks a server whether it serves writes, in the one way that works without a session.
    pub(crate) async fn serves_writes(self, host: Host) -> bool {
        let ask = async {
            let mut stream = self.connect(host, ConnId(0)).await?;
            stream.write_all(b"isro").await?;
            stream.flush().await?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await?;
            Ok::<_, io::Error>(&answer == b"rw")
        };
        matches!(timeout(PROBE_ANSWER_MAX, ask).await, Ok(Ok(true)))
    }
}

/// Connects to a server. Its name is resolved each time, and of its addresses another one is the first
/// to be tried each time.
async fn connect_tcp(host: &Host, ConnId(attempt): ConnId) -> io::Result<TcpStream> {
    let mut addresses: Vec<_> = lookup_host((host.name.as_str(), host.port)).await?.collect();
    if let Some(first) = usize::try_from(attempt).ok().and_then(|n| n.checked_rem(addresses.len()))
    {
        addresses.rotate_left(first);
    }
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
