//! SASL, as the program brings it along.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::address::Host;
use crate::session::SaslStep;

/// The client's half of one SASL exchange, by whatever mechanism; see [`crate::Builder::sasl`].
///
/// The calls come from the task of the session, which does nothing else meanwhile: what takes its time,
/// such as fetching a ticket, is better done before. An error is logged, and ends the session.
///
/// Servers answer each token with one of their own or with null. Mechanisms differ in who has the last
/// word: with DIGEST-MD5 and GSSAPI it is the server's, and the program says
/// [`SaslStep::Done`] when it has heard it. The example `digest_md5` of this crate is a whole mechanism.
///
/// ```
/// use std::io;
///
/// use reefkeeper_client::{Sasl, SaslStep};
///
/// struct OneMessage;
///
/// impl Sasl for OneMessage {
///     fn begin(&mut self) -> io::Result<Vec<u8>> {
///         Ok(b"let me in".to_vec())
///     }
///
///     fn answer(&mut self, token: Option<&[u8]>) -> io::Result<SaslStep> {
///         match token {
///             None => Ok(SaslStep::Done),
///             Some(_) => Err(io::Error::other("the server wants more than it is told")),
///         }
///     }
/// }
///
/// assert_eq!(OneMessage.answer(None)?, SaslStep::Done);
/// # Ok::<_, io::Error>(())
/// ```
pub trait Sasl: Send {
    /// The first token, which may be empty.
    ///
    /// # Errors
    /// When there is nothing to authenticate with.
    fn begin(&mut self) -> io::Result<Vec<u8>>;

    /// The answer to a token of the server; `None` is null, with which servers end some exchanges, and
    /// also those that failed where they are told to put up with that.
    ///
    /// # Errors
    /// When the server did not prove what it has to, or wants what can not be given.
    fn answer(&mut self, token: Option<&[u8]>) -> io::Result<SaslStep>;
}

/// An exchange with that server.
type ExchangeWith = dyn Fn(&Host) -> Box<dyn Sasl> + Send + Sync;

/// Begins exchanges.
#[derive(Clone)]
pub(crate) struct Mechanism(Arc<ExchangeWith>);

impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mechanism(..)")
    }
}

impl Mechanism {
    /// One that begins them as the program says.
    pub(crate) fn new<F, S>(exchange_with: F) -> Self
    where
        F: Fn(&Host) -> S + Send + Sync + 'static,
        S: Sasl + 'static,
    {
        Self(Arc::new(move |host| Box::new(exchange_with(host))))
    }
}

/// The exchanges of one session, one after the other.
pub(crate) struct Authenticator {
    mechanism: Mechanism,
    /// The last that was begun.
    exchange: Option<Box<dyn Sasl>>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator(..)")
    }
}

impl Authenticator {
    /// One that has begun none.
    pub(crate) const fn new(mechanism: Mechanism) -> Self {
        Self { mechanism, exchange: None }
    }

    /// Begins one with a server, in place of the one before.
    pub(crate) fn begin(&mut self, host: &Host) -> io::Result<SaslStep> {
        let Mechanism(exchange_with) = &self.mechanism;
        let exchange = self.exchange.insert(exchange_with(host));
        exchange.begin().map(SaslStep::Token)
    }

    /// Goes on with it.
    pub(crate) fn answer(&mut self, token: Option<&[u8]>) -> io::Result<SaslStep> {
        match &mut self.exchange {
            Some(exchange) => exchange.answer(token),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
