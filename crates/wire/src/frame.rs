//! Frames: how messages follow each other on the client port.
//!
//! ```text
//! 0       4
//! | bytes | body ...
//! ```
//!
//! The length counts the body alone. A server that reads a length out of bounds closes the
//! connection: there is no way to find the next frame.

/// A length that no frame can have.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// Below zero.
    #[error("frame length {length} is negative")]
    Negative {
        /// What it says.
        length: i32,
    },
    /// Above the limit.
    #[error("frame length {length} is above the limit of {bytes_max}")]
    TooLong {
        /// What it says.
        length: i32,
        /// The limit.
        bytes_max: usize,
    },
}

/// Where a frame begins that is being written.
#[derive(Clone, Copy, Debug)]
#[must_use = "a frame needs its length"]
pub struct Start(usize);

impl Start {
    /// How many bytes of body there are so far.
    pub(crate) const fn body_bytes(self, out: &[u8]) -> usize {
        out.len() - self.0 - 4
    }

    /// Takes the frame back.
    pub(crate) fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.0);
    }
}

/// Finds the first frame of `input`: its body, and how many bytes of input it took with its length.
/// `None` when it has not all arrived; the length is checked as soon as it is there.
///
/// # Errors
/// When the length is out of bounds.
pub fn split(input: &[u8], frame_bytes_max: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((length, rest)) = input.split_first_chunk() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let bytes = usize::try_from(length).map_err(|_| FrameError::Negative { length })?;
    if bytes > frame_bytes_max {
        return Err(FrameError::TooLong { length, bytes_max: frame_bytes_max });
    }
    Ok(rest.get(..bytes).map(|body| (body, 4 + bytes)))
}

/// Begins a frame at the end of `out`.
pub fn begin(out: &mut Vec<u8>) -> Start {
    out.extend_from_slice(&[0; 4]);
    Start(out.len() - 4)
}

/// Ends the frame that began at `start`: all that was appended since is its body.
///
/// # Panics
/// When the body has 2^31 bytes or more.
pub fn finish(out: &mut [u8], start: Start) {
    let bytes = start.body_bytes(out);
    crate::jute::patch_count(out, start.0, bytes);
}
