//! How servers prove to each other who they are.
//!
//! ```text
//! long magic | int status | buffer token
//! ```
//!
//! Steps go back and forth until the listening server says how it ended. On the quorum port they
//! come before the first packet, on the election port behind the hello. A server that is configured
//! to connect without proof sends none, so that the listening one looks at the first eight bytes
//! ([`begins`]): no packet and no notification begins like a step.

use std::fmt;

use crate::jute::{self, DecodeError, Reader};

/// What each step begins with.
const MAGIC: i64 = 0x5f24_3501_3501_edcc;

/// A step of the exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// How it stands.
    pub status: Status,
    /// What the mechanism has to say; `None` is null. Never shown in logs.
    pub token: Option<&'a [u8]>,
}

/// How the exchange stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum Status {
    /// The listening server does not believe it.
    Refused = -1,
    /// It goes on.
    InProgress = 0,
    /// The listening server is convinced; the token may still be for the other to check.
    Success = 1,
}

impl Status {
    /// The status with this number.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        Some(match raw {
            -1 => Self::Refused,
            0 => Self::InProgress,
            1 => Self::Success,
            _ => return None,
        })
    }
}

impl<'a> Step<'a> {
    /// Reads a step. Returns it and how many bytes it took; `None` when it has not all arrived. A
    /// token of more than `token_bytes_max` bytes is refused as soon as its length is there.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(
        input: &'a [u8],
        token_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, DecodeError> {
        let mut reader = Reader::with_limit(input, token_bytes_max);
        match Self::take(&mut reader) {
            Ok(step) => Ok(Some((step, reader.position()))),
            Err(DecodeError::Truncated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        jute::put_long(out, MAGIC);
        jute::put_int(out, self.status as i32);
        jute::put_buffer(out, self.token);
    }

    fn take(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let magic = reader.long()?;
        if magic != MAGIC {
            return Err(reader.unknown("magic", magic));
        }
        let status = reader.int()?;
        let status = Status::from_raw(status).ok_or_else(|| reader.unknown("status", status))?;
        Ok(Self { status, token: reader.buffer()? })
    }
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Whether a step comes next; `None` if that can not be told yet.
pub fn begins(input: &[u8]) -> Option<bool> {
    match input.first_chunk() {
        Some(first) => Some(*first == MAGIC.to_be_bytes()),
        None if MAGIC.to_be_bytes().starts_with(input) => None,
        None => Some(false),
    }
}
