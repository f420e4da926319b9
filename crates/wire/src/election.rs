//! The election port: how servers find each other and a leader.
//!
//! ```text
//! connecting server                          listening server
//!   hello                           ---->
//!   [sasl, see quorum::sasl         <--->]
//!   frame | notification            <--->    frame | notification
//! ```
//!
//! Who connects says hello ([`Hello`]) and gets no answer. Of two servers the one with the larger
//! id keeps the connections that it made; from the smaller one a hello means "please call me".
//! Then each sends the other [`Notification`]s, in frames as on the client port
//! ([`crate::frame`]), of at most [`crate::limits::ELECTION_MESSAGE_BYTES_MAX`]. A server closes
//! the connection at a frame of no bytes, or above that bound; it passes over a frame that is no
//! notification.
//!
//! A notification is a vote and the circumstances of who sends it:
//!
//! ```text
//! 0           4             12          20           28           36            40            44
//! | int state | long leader | long zxid | long round | long epoch | int version | int length | text
//! ```
//!
//! It grew at its end, and who reads notices by running out of bytes:
//!
//! | release | bytes | |
//! |---|---|---|
//! | 3.4.0 to 3.4.5 | 36 | ends with the epoch |
//! | 3.4.6 to 3.4.14 | 40 | version 1, no membership |
//! | 3.5 and newer | 44 + length | version 2, the membership in force |
//!
//! Releases before 3.4 sent 28 bytes. They know nothing of epochs, can neither lead nor follow a
//! server of today, and are refused.

mod hello;

use std::borrow::Cow;

use types::{Epoch, Sid, Zxid};

pub use self::hello::{Address, AddressList, Addresses, Hello, HelloError};
use crate::frame;
use crate::jute::{self, DecodeError, Reader};

/// What stands for nobody, and for the history and epoch of nobody.
const NOBODY: i64 = i64::MIN;

/// The zxid of a server that has no database.
const NO_DATABASE: i64 = -1;

/// The version without a membership.
const WITHOUT_CONFIG: i32 = 1;

/// The first version with a membership, and the one that is sent.
const WITH_CONFIG: i32 = 2;

/// The bytes of a notification that ends with the epoch.
const WITHOUT_VERSION_BYTES: usize = 36;

/// The bytes of a notification that ends with the version. Apache tells it by its size and does not
/// look at the version.
const WITHOUT_CONFIG_BYTES: usize = 40;

/// How often a server has begun an election (Java: `logicalclock`, `electionEpoch`). It has nothing
/// to do with an [`Epoch`]; a server starts at 0, and counts on from what others tell it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ElectionRound(pub i64);

impl ElectionRound {
    /// The number of the election after this one. It stays at the highest that there is.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a server is doing, as it tells others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum ServerState {
    /// Without a leader, in an election.
    Looking = 0,
    /// Voting, with a leader.
    Following = 1,
    /// Is the leader.
    Leading = 2,
    /// Not voting, with a leader.
    Observing = 3,
}

impl ServerState {
    /// The state with this number.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        Some(match raw {
            0 => Self::Looking,
            1 => Self::Following,
            2 => Self::Leading,
            3 => Self::Observing,
            _ => return None,
        })
    }
}

/// How far the history of a proposed leader goes. Ordered as in an election: who proposes nobody,
/// then who has nothing, then by zxid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LastLogged {
    /// The sender is an observer and proposes nobody.
    Nobody,
    /// The proposed leader has no database, not even an empty one. Such a vote does not count.
    NoDatabase,
    /// The last transaction in its log.
    Zxid(Zxid),
}

impl LastLogged {
    fn from_raw(raw: i64) -> Self {
        match raw {
            NOBODY => Self::Nobody,
            NO_DATABASE => Self::NoDatabase,
            raw => Self::Zxid(Zxid::from_raw(raw)),
        }
    }

    const fn raw(self) -> i64 {
        match self {
            Self::Nobody => NOBODY,
            Self::NoDatabase => NO_DATABASE,
            Self::Zxid(zxid) => zxid.raw(),
        }
    }
}

/// What a server sends the others when it votes, and answers those that look for a leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification<'a> {
    /// What the sender is doing.
    pub state: ServerState,
    /// The leader that it proposes, or has. `None` from a server that is no voter.
    pub leader: Option<Sid>,
    /// How far that leader's history went when the vote was cast.
    pub last_logged: LastLogged,
    /// The sender's round; from a server that has a leader, the round in which it was elected, as
    /// far as it knows: below zero if it took part in none.
    pub round: ElectionRound,
    /// The epoch in which the leader was when the vote was cast (Java: `peerEpoch`); once it leads,
    /// the epoch of its reign. `None` from an observer that proposes nobody.
    pub epoch: Option<Epoch>,
    /// What the sender's release adds.
    pub form: Form<'a>,
}

/// What came later at the end of a notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Form<'a> {
    /// Nothing, from release 3.4.0 to 3.4.5: servers whose votes, once there is a leader, do not
    /// follow its epoch, so that epochs must not be compared with theirs. Apache's servers of
    /// release 3.5 and newer pass over it.
    WithoutVersion,
    /// A version, from release 3.4.6 to 3.4.14. Apache's servers of release 3.5 and newer treat it
    /// as if it had none.
    WithoutConfig,
    /// A version and the membership in force, from release 3.5 and newer.
    WithConfig {
        /// The membership as text.
        config: Cow<'a, str>,
    },
}

impl<'a> Notification<'a> {
    /// Reads the body of a frame. Bytes after the last field are ignored.
    ///
    /// # Errors
    /// When it ends too early, or has a state, epoch, version or length that mean nothing. The
    /// frame is passed over.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let state = reader.int()?;
        let state =
            ServerState::from_raw(state).ok_or_else(|| reader.unknown("server state", state))?;
        let leader = Some(reader.long()?).filter(|&leader| leader != NOBODY).map(Sid);
        let last_logged = LastLogged::from_raw(reader.long()?);
        let round = ElectionRound(reader.long()?);
        let epoch = decode_epoch(&mut reader)?;
        let form = match body.len() {
            WITHOUT_VERSION_BYTES => Form::WithoutVersion,
            WITHOUT_CONFIG_BYTES => Form::WithoutConfig,
            _ => decode_form(&mut reader)?,
        };
        Ok(Self { state, leader, last_logged, round, epoch, form })
    }

    /// Appends it as a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        jute::put_int(out, self.state as i32);
        jute::put_long(out, self.leader.map_or(NOBODY, |leader| leader.0));
        jute::put_long(out, self.last_logged.raw());
        jute::put_long(out, self.round.0);
        jute::put_long(out, self.epoch.map_or(NOBODY, |epoch| epoch.0.into()));
        match &self.form {
            Form::WithoutVersion => {}
            Form::WithoutConfig => jute::put_int(out, WITHOUT_CONFIG),
            Form::WithConfig { config } => {
                jute::put_int(out, WITH_CONFIG);
                jute::put_text(out, config);
            }
        }
        frame::finish(out, start);
    }
}

fn decode_epoch(reader: &mut Reader<'_>) -> Result<Option<Epoch>, DecodeError> {
    match reader.long()? {
        NOBODY => Ok(None),
        epoch => match i32::try_from(epoch) {
            Ok(epoch) => Ok(Some(Epoch(epoch))),
            Err(_) => Err(reader.unknown("epoch", epoch)),
        },
    }
}

fn decode_form<'a>(reader: &mut Reader<'a>) -> Result<Form<'a>, DecodeError> {
    match reader.int()? {
        WITHOUT_CONFIG => Ok(Form::WithoutConfig),
        WITH_CONFIG.. => {
            let config = reader.text_not_null("membership")?;
            Ok(Form::WithConfig { config })
        }
        version => Err(reader.unknown("version of a notification", version)),
    }
}
