//! The first bytes on an election connection: who connects, and where it can be called.
//!
//! ```text
//! long -65536 or -65535 | long sid | int length | host:port[|host:port]...
//! long sid                                                                  (release 3.4 and older)
//! ```
//!
//! The two numbers are versions: the second is sent by servers that are configured with several
//! addresses of each; both may carry several. The text is what the sender's configuration says of
//! itself, names or numbers; an IPv6 address stands in brackets.
//!
//! Apache's servers read the text with a single call and give up if it has not all arrived: a hello
//! must leave in one piece.

use std::fmt;
use std::net::IpAddr;

use types::Sid;

use crate::jute::{self, Reader};
use crate::limits::HELLO_ADDRESSES_BYTES_MAX;

const VERSION_ONE: i64 = -65_536;
const VERSION_SEVERAL: i64 = -65_535;

/// What stands where an observer does not say who it is.
const ANONYMOUS: i64 = i64::MAX;

const SEPARATOR: char = '|';

/// Who connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello<'a> {
    /// Its id; `None` from an observer that does not say, as old ones do. It is not checked against
    /// the membership: servers that are about to join connect too.
    pub sid: Option<Sid>,
    /// Where it listens for elections.
    pub addresses: Addresses<'a>,
}

/// Where who connects can be called, and in which version of the protocol it said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addresses<'a> {
    /// It does not say: release 3.4 and older.
    Untold,
    /// The usual version: one address, though a list is understood.
    One(AddressList<'a>),
    /// From a server that is configured for several addresses.
    Several(AddressList<'a>),
}

impl<'a> Addresses<'a> {
    /// Each of them that a call can reach. Wildcards are left out: who listens everywhere has not
    /// said where it is. If nothing remains, its address is what the membership says.
    pub fn callable(self) -> impl Iterator<Item = Address<'a>> {
        let list = match self {
            Self::Untold => None,
            Self::One(list) | Self::Several(list) => Some(list),
        };
        list.into_iter().flat_map(AddressList::iter).filter(|address| !address.is_wildcard())
    }
}

/// One address or more, as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressList<'a> {
    /// Each part between separators is an [`Address`]; neither empty nor too long.
    text: &'a str,
}

impl<'a> AddressList<'a> {
    /// Reads addresses that are separated by `|`.
    ///
    /// # Errors
    /// When there is none, one is malformed, or they take more than [`HELLO_ADDRESSES_BYTES_MAX`].
    pub fn parse(text: &'a str) -> Result<Self, HelloError> {
        if text.is_empty() || text.len() > HELLO_ADDRESSES_BYTES_MAX {
            return Err(HelloError::Length { length: text.len().try_into().unwrap_or(i32::MAX) });
        }
        for part in text.split(SEPARATOR) {
            if Address::parse(part).is_none() {
                return Err(HelloError::Address { text: part.into() });
            }
        }
        Ok(Self { text })
    }

    /// The addresses as they are sent.
    pub const fn as_str(self) -> &'a str {
        self.text
    }

    /// The addresses one by one.
    pub fn iter(self) -> impl Iterator<Item = Address<'a>> {
        self.text.split(SEPARATOR).filter_map(Address::parse)
    }
}

/// A host and a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address<'a> {
    /// A name or a number, without brackets. Not empty.
    pub host: &'a str,
    /// The port.
    pub port: u16,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:")?,
            None => text.split_once(':')?,
        };
        let port = port.parse().ok()?;
        (!host.is_empty()).then_some(Self { host, port })
    }

    fn is_wildcard(self) -> bool {
        self.host.parse().is_ok_and(|address: IpAddr| address.is_unspecified())
    }
}

impl fmt::Display for Address<'_> {
    /// As it is sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why bytes are no hello. The connection is closed.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum HelloError {
    /// Neither a server's id nor a version that anyone speaks.
    #[error("unknown version {version} of a hello")]
    Version {
        /// What it says.
        version: i64,
    },
    /// The addresses have a length that is out of bounds.
    #[error("addresses of {length} bytes in a hello, not 1 to {HELLO_ADDRESSES_BYTES_MAX}")]
    Length {
        /// What it says.
        length: i32,
    },
    /// The addresses are no UTF-8.
    #[error("addresses in a hello are malformed from byte {valid_bytes} on")]
    Text {
        /// How many bytes of them are well formed.
        valid_bytes: usize,
    },
    /// One of the addresses is none.
    #[error("malformed address {text:?} in a hello")]
    Address {
        /// What it says.
        text: Box<str>,
    },
}

impl<'a> Hello<'a> {
    /// Reads the first bytes of a connection. Returns the hello and how many bytes it took; `None`
    /// when it has not all arrived. The version and the length are checked as soon as they are
    /// there.
    ///
    /// # Errors
    /// When it is none; see [`HelloError`].
    pub fn decode(input: &'a [u8]) -> Result<Option<(Self, usize)>, HelloError> {
        let mut reader = Reader::new(input);
        let Ok(version) = reader.long() else { return Ok(None) };
        match version {
            VERSION_ONE | VERSION_SEVERAL => {}
            ..0 => return Err(HelloError::Version { version }),
            sid => {
                let hello = Self { sid: decode_sid(sid), addresses: Addresses::Untold };
                return Ok(Some((hello, reader.position())));
            }
        }
        let (Ok(sid), Ok(length)) = (reader.long(), reader.int()) else { return Ok(None) };
        let bytes = usize::try_from(length).map_err(|_| HelloError::Length { length })?;
        if !(1..=HELLO_ADDRESSES_BYTES_MAX).contains(&bytes) {
            return Err(HelloError::Length { length });
        }
        let Some(text) = reader.rest().get(..bytes) else { return Ok(None) };
        let text = std::str::from_utf8(text)
            .map_err(|error| HelloError::Text { valid_bytes: error.valid_up_to() })?;
        let list = AddressList::parse(text)?;
        let addresses = match version {
            VERSION_ONE => Addresses::One(list),
            _ => Addresses::Several(list),
        };
        Ok(Some((Self { sid: decode_sid(sid), addresses }, reader.position() + bytes)))
    }

    /// Appends it. It has to leave in one piece.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let sid = self.sid.map_or(ANONYMOUS, |sid| sid.0);
        let (version, list) = match self.addresses {
            Addresses::Untold => return jute::put_long(out, sid),
            Addresses::One(list) => (VERSION_ONE, list),
            Addresses::Several(list) => (VERSION_SEVERAL, list),
        };
        jute::put_long(out, version);
        jute::put_long(out, sid);
        jute::put_text(out, list.text);
    }
}

fn decode_sid(raw: i64) -> Option<Sid> {
    Some(raw).filter(|&raw| raw != ANONYMOUS).map(Sid)
}
