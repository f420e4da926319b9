//! What a leader tells its followers, and how it looks on the wire.
//!
//! ```text
//! batch            01 | length: u64 | as many bytes
//! commit           02 | position: u64
//! acknowledgement       position: u64                  (the other way)
//! ```
//!
//! A position is the number of bytes that all batches up to there hold. All numbers are big-endian.

use std::io;

const BATCH: u8 = 1;
const COMMIT: u8 = 2;

/// A message of a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Message<'a> {
    /// What came in one turn: to be written, synced and acknowledged.
    Batch(&'a [u8]),
    /// Everything up to this position is with a quorum.
    Commit(u64),
}

impl<'a> Message<'a> {
    /// The first message of what was received, and what follows it; `None` while it is not whole.
    ///
    /// # Errors
    /// If no leader says that.
    pub(crate) fn split(received: &'a [u8]) -> io::Result<Option<(Self, &'a [u8])>> {
        let Some((&[tag], rest)) = received.split_first_chunk() else { return Ok(None) };
        let Some((number, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let number = u64::from_be_bytes(*number);
        match tag {
            BATCH => {
                let length = usize::try_from(number).map_err(|_| io::ErrorKind::InvalidData)?;
                let split = rest.split_at_checked(length);
                Ok(split.map(|(bytes, following)| (Self::Batch(bytes), following)))
            }
            COMMIT => Ok(Some((Self::Commit(number), rest))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The message as it is sent.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let (tag, number, body): (u8, u64, &[u8]) = match self {
            Self::Batch(bytes) => (BATCH, bytes.len() as u64, bytes),
            Self::Commit(position) => (COMMIT, position, &[]),
        };
        [&[tag][..], &number.to_be_bytes(), body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_once_they_are_whole() {
        let messages = [Message::Batch(b"set"), Message::Commit(3), Message::Batch(b"delete")];
        let sent = messages.map(Message::to_bytes).concat();
        let mut rest = &sent[..];
        for message in messages {
            let length = message.to_bytes().len();
            for cut in 0..length {
                assert_eq!(Message::split(&rest[..cut]).unwrap(), None);
            }
            let (split, following) = Message::split(rest).unwrap().unwrap();
            assert_eq!((split, following), (message, &rest[length..]));
            rest = following;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn refuses_what_no_leader_says() {
        let error = Message::split(&[3; 9]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
