//! How a client is made.

use std::future::Future;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, watch};
use types::AclList;

use crate::address::{Ensemble, Host};
use crate::client::{Client, Shared};
use crate::connector::Connector;
use crate::credentials::Secret;
use crate::driver::{Command, Driver, Status};
use crate::error::{AddressError, ConnectError};
use crate::host_source::HostSource;
use crate::limits::{FRAME_BYTES_MAX, OUTSTANDING_MAX};
use crate::sasl::{Authenticator, Mechanism, Sasl};
use crate::session::{Chroot, Config, Session, SessionState, Ticket};
use crate::sessions::Sessions;
use crate::states::States;
use crate::told::{Told, Words};

/// The session timeout that is asked for, unless another is.
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of a client that does not exist yet; from [`Client::builder`].
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::Duration;
///
/// use reefkeeper_client::Client;
///
/// // Mostly several servers: "one:2181,two:2181,three:2181/my-app".
/// let client = Client::builder(format!("{ensemble}/my-app"))
///     .session_timeout(Duration::from_secs(10))
///     .request_timeout(Duration::from_secs(5))
///     .auth("digest", "user:secret")
///     .connect()
///     .await?;
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings alone connect nothing"]
pub struct Builder {
    ensemble: String,
    session_timeout: Duration,
    connect_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    read_only: bool,
    resume: Option<Ticket>,
    auth: Vec<(String, Secret)>,
    frame_bytes_max: usize,
    outstanding_max: usize,
    default_acl: AclList,
    host_source: Option<HostSource>,
    connector: Connector,
    sasl: Option<Mechanism>,
    seed: Option<u64>,
}

impl Builder {
    pub(crate) fn new(ensemble: impl Into<String>) -> Self {
        Self {
            ensemble: ensemble.into(),
            session_timeout: SESSION_TIMEOUT,
            connect_timeout: None,
            request_timeout: None,
            read_only: false,
            resume: None,
            auth: Vec::new(),
            frame_bytes_max: FRAME_BYTES_MAX,
            outstanding_max: OUTSTANDING_MAX,
            default_acl: AclList::open(),
            host_source: None,
            connector: Connector::Tcp,
            sasl: None,
            seed: None,
        }
    }

    /// How long the session outlives its last sign of life. The server may choose another value
    /// within its own bounds; see [`Client::session_timeout`]. Default: 30 s.
    pub const fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// How long [`Self::connect`] tries. Default: the session timeout.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long an operation waits for its answer before it fails with
    /// [`crate::Error::TimedOut`]. Default: until the connection is lost, which silence for two
    /// thirds of the session timeout is taken for.
    pub const fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// Accept a server without a quorum, too: it answers reads, maybe from an old state. Meanwhile the
    /// client looks for one that serves writes, and moves there; if it had no session before, it begins
    /// one. Default: no.
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Go on with a session, for example of a process that ended; see [`Client::detach`]. Default:
    /// a new session.
    pub fn resume(mut self, ticket: Ticket) -> Self {
        self.resume = Some(ticket);
        self
    }

    /// Present credentials on every connection, before anything else. May be called several times.
    pub fn auth(mut self, scheme: impl Into<String>, auth: impl Into<Vec<u8>>) -> Self {
        self.auth.push((scheme.into(), Secret(auth.into())));
        self
    }

    /// The longest frame in bytes to send or accept. A larger answer is
    /// [`crate::Error::AnswerTooLarge`] to whoever asked for it, and ends the connection. Default:
    /// 1,048,575, as on servers (`jute.maxbuffer`).
    pub const fn frame_bytes_max(mut self, bytes: usize) -> Self {
        self.frame_bytes_max = bytes;
        self
    }

    /// How many requests may be under way; more wait for their turn. Default: 4,096.
    pub const fn outstanding_max(mut self, requests: usize) -> Self {
        self.outstanding_max = requests;
        self
    }

    /// Who may do what with the znodes that are created without a list of their own; those of
    /// recipes are. Default: everyone everything.
    pub fn default_acl(mut self, acl: impl Into<AclList>) -> Self {
        self.default_acl = acl.into();
        self
    }

    /// Where to look for the servers: at once, and again after so long each time. The servers of the text that
    /// names the ensemble are those to begin with, and those that stay while a look-up fails or finds
    /// none; for each other list the client does what [`Client::update_hosts`] says. Default: the text
    /// is the last word, but for the addresses of its names, which are resolved anew with each
    /// connection.
    ///
    /// This is the place for SRV records, a directory of services or a file, with the library that the
    /// program has for them; this crate has none, for a resolver of SRV records is larger than all of it.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use std::io;
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::{Client, Host};
    ///
    /// async fn look_up(file: &str) -> io::Result<Vec<Host>> {
    ///     let servers = std::fs::read_to_string(file)?;
    ///     servers.lines().map(|line| line.parse().map_err(io::Error::other)).collect()
    /// }
    ///
    /// let client = Client::builder(ensemble)
    ///     .hosts_from(Duration::from_secs(60), || look_up("/etc/my-app/servers"))
    ///     .connect()
    ///     .await?;
    /// # Ok(()) });
    /// ```
    pub fn hosts_from<F, L>(mut self, every: Duration, look_up: F) -> Self
    where
        F: Fn() -> L + Send + Sync + 'static,
        L: Future<Output = io::Result<Vec<Host>>> + Send + 'static,
    {
        self.host_source = Some(HostSource::new(every, look_up));
        self
    }

    /// How to connect to a server, of which the name and the port are given as they are in the list: through
    /// TLS, a proxy or a local socket, with the library that the program has for that. Default: TCP to
    /// one of the addresses that the name has at that moment.
    ///
    /// What it does has to be done within the session timeout, divided by the number of servers.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, Host};
    /// use tokio::net::TcpStream;
    ///
    /// let gateway = ensemble;
    /// let client = Client::builder("one.internal,two.internal")
    ///     .connector(move |host: Host| {
    ///         println!("to {host}, by way of {gateway}");
    ///         TcpStream::connect(gateway.clone())
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(()) });
    /// ```
    pub fn connector<F, C, S>(mut self, connect: F) -> Self
    where
        F: Fn(Host) -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.connector = Connector::custom(connect);
        self
    }

    /// Authenticate with SASL on every connection, before anything else is sent: `exchange_with` begins
    /// an exchange with that server, by a mechanism that the program brings along. The session shows as
    /// connected once the exchange has succeeded; if it fails, the session is over, as
    /// [`SessionState::AuthFailed`]. Default: no SASL.
    ///
    /// ```no_run
    /// # async fn example(ensemble: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io;
    ///
    /// use reefkeeper_client::{Client, Host, Sasl, SaslStep};
    ///
    /// /// A mechanism of one message: the server has heard enough then.
    /// struct Plain {
    ///     message: Vec<u8>,
    /// }
    ///
    /// impl Sasl for Plain {
    ///     fn begin(&mut self) -> io::Result<Vec<u8>> {
    ///         Ok(self.message.clone())
    ///     }
    ///
    ///     fn answer(&mut self, _token: Option<&[u8]>) -> io::Result<SaslStep> {
    ///         Ok(SaslStep::Done)
    ///     }
    /// }
    ///
    /// let client = Client::builder(ensemble)
    ///     .sasl(|_server: &Host| Plain { message: b"\0alice\0secret".to_vec() })
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn sasl<F, S>(mut self, exchange_with: F) -> Self
    where
        F: Fn(&Host) -> S + Send + Sync + 'static,
        S: Sasl + 'static,
    {
        self.sasl = Some(Mechanism::new(exchange_with));
        self
    }

    /// Decides the order in which servers are tried and the length of pauses. Default: random.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sessions one after the other: when one expires, the next is opened, with the last list of servers
    /// and all credentials that the one before was told.
    ///
    /// # Errors
    /// When the text that names the servers can not be understood.
    pub fn sessions(self) -> Result<Sessions, AddressError> {
        Sessions::opened_by(self)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// When there is none in time.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let within = self.connect_timeout.unwrap_or(self.session_timeout);
        let client = self.start()?;
        let mut states = client.states();
        let connected = async {
            while !states.current().is_connected() && states.changed().await.is_some() {}
            states.current()
        };
        let state = tokio::time::timeout(within, connected).await;
        match state.unwrap_or(SessionState::Connecting) {
            SessionState::Connected | SessionState::ConnectedReadOnly => Ok(client),
            SessionState::Expired => Err(ConnectError::SessionExpired),
            SessionState::AuthFailed => Err(ConnectError::AuthFailed),
            SessionState::Connecting | SessionState::Disconnected | SessionState::Closed => {
                Err(ConnectError::Unreachable { within })
            }
        }
    }

    /// A client that is still looking for a server. Its operations wait until one is found, or fail
    /// with [`crate::Error::ConnectionLost`] when all were tried in vain.
    ///
    /// # Errors
    /// When the text that names the servers can not be understood.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn start(self) -> Result<Client, AddressError> {
        let ensemble = self.parse()?;
        let words = self.words(&ensemble);
        Ok(self.start_with(ensemble.chroot, words))
    }

    /// What the servers and the chroot are.
    pub(crate) fn parse(&self) -> Result<Ensemble, AddressError> {
        self.ensemble.parse()
    }

    /// The same settings for a session that resumes none.
    pub(crate) fn for_a_new_session(self) -> Self {
        Self { resume: None, ..self }
    }

    /// What a session is told to begin with.
    pub(crate) fn words(&self, ensemble: &Ensemble) -> Words {
        Words { hosts: ensemble.hosts().to_vec(), credentials: self.auth.clone() }
    }

    /// As [`Self::start`], with the text already read. Servers and credentials are those of `words`.
    pub(crate) fn start_with(self, chroot: Chroot, words: Words) -> Client {
        let seed = self.seed.unwrap_or_else(|| random_seed(&self.ensemble));
        let mut session = Session::new(Config {
            hosts: words.hosts.len(),
            timeout: self.session_timeout,
            chroot,
            read_only: self.read_only,
            resume: self.resume,
            frame_bytes_max: self.frame_bytes_max,
            seed,
        });
        if self.sasl.is_some() {
            session = session.with_sasl();
        }
        let (commands, received) = mpsc::unbounded_channel::<Command>();
        let permits = Arc::new(Semaphore::new(self.outstanding_max));
        let (status_sender, status) = watch::channel(Status::of(&session));
        let permits_of_driver = Arc::clone(&permits);
        let driver = Driver::new(
            session,
            words.hosts.clone(),
            self.connector,
            self.sasl.map(Authenticator::new),
            received,
            permits_of_driver,
            status_sender,
        );
        let told = Arc::new(Told::new(words));
        if let Some(source) = self.host_source {
            let states = States::of(status.clone());
            tokio::spawn(source.follow(Arc::clone(&told), commands.downgrade(), states));
        }
        let Words { credentials, .. } = told.words();
        let client = Client::new(Shared {
            commands,
            permits,
            status,
            told,
            last_id: AtomicU64::new(0),
            request_timeout: self.request_timeout,
            default_acl: self.default_acl,
        });
        for (scheme, Secret(auth)) in credentials {
            client.present(scheme, auth);
        }
        driver.start();
        client
    }
}

#[expect(clippy::disallowed_types, reason = "this is where the session's randomness comes from")]
fn random_seed(ensemble: &str) -> u64 {
    std::hash::RandomState::new().hash_one(ensemble)
}
