//! The mark that stands between the parts of a multi, in requests and in replies.
//!
//! ```text
//! int type | bool done | int error
//! ```

use crate::jute::{self, DecodeError, Reader};

/// The type of the mark at the end, and the error field of those before a request's operations.
const NONE: i32 = -1;

/// What stands before each operation, before each result, and at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// Which operation or result follows.
    pub(crate) kind: i32,
    /// The code of a result that is an error, 0 for other results, -1 in requests.
    pub(crate) error: i32,
}

impl Mark {
    /// The mark before an operation.
    pub(crate) const fn of_op(kind: i32) -> Self {
        Self { kind, error: NONE }
    }

    /// Takes the next mark; `None` at the end.
    ///
    /// # Errors
    /// When the input ends within it.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let kind = reader.int()?;
        let done = reader.bool()?;
        let error = reader.int()?;
        Ok(if done { None } else { Some(Self { kind, error }) })
    }

    /// Appends it.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        jute::put_int(out, self.kind);
        jute::put_bool(out, false);
        jute::put_int(out, self.error);
    }

    /// Appends the mark at the end.
    pub(crate) fn put_end(out: &mut Vec<u8>) {
        jute::put_int(out, NONE);
        jute::put_bool(out, true);
        jute::put_int(out, NONE);
    }
}
