//! What the echo server says: replies of the right size, without any state behind them.

/// Bytes of a Stat record.
const STAT_BYTES: usize = 68;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const PING: i32 = 11;
const CLOSE_SESSION: i32 = -11;
/// The error code for operations that it does not pretend to know.
const UNIMPLEMENTED: i32 = -6;

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A reply was appended.
    Given,
    /// A reply was appended, and it is the last of its connection.
    Closed,
    /// The frame is too short for what it claims to be.
    Unintelligible,
}

/// Appends the reply to `frame` (a frame without its length) to `replies`; the first frame of a
/// connection asks for a session.
pub fn answer(frame: &[u8], is_established: bool, value: &[u8], replies: &mut Vec<u8>) -> Answer {
    let given = if is_established {
        reply(frame, value, replies)
    } else {
        connect_response(frame, replies).map(|()| Answer::Given)
    };
    given.unwrap_or(Answer::Unintelligible)
}

/// Whether a request (a frame without its length) is one that a server has to log.
pub fn changes_something(frame: &[u8]) -> bool {
    let opcode = frame.get(4..).and_then(|rest| rest.first_chunk());
    opcode.is_some_and(|&opcode| {
        matches!(i32::from_be_bytes(opcode), CREATE | DELETE | SET_DATA | CLOSE_SESSION)
    })
}

/// Grants whatever timeout was asked for, to a session whose id is always the same.
fn connect_response(frame: &[u8], replies: &mut Vec<u8>) -> Option<()> {
    let timeout_ms = frame.get(12..16)?;
    frame_of(replies, |body| {
        body.extend_from_slice(&0_i32.to_be_bytes());
        body.extend_from_slice(timeout_ms);
        body.extend_from_slice(&1_i64.to_be_bytes());
        body.extend_from_slice(&16_i32.to_be_bytes());
        body.extend_from_slice(&[0; 16]);
        body.push(0);
    });
    Some(())
}

fn reply(frame: &[u8], value: &[u8], replies: &mut Vec<u8>) -> Option<Answer> {
    let (xid, rest) = frame.split_first_chunk::<4>()?;
    let (opcode, arguments) = rest.split_first_chunk()?;
    let opcode = i32::from_be_bytes(*opcode);
    let is_known =
        matches!(opcode, CREATE | DELETE | EXISTS | GET_DATA | SET_DATA | PING | CLOSE_SESSION);
    let path = if opcode == CREATE { first_text(arguments)? } else { &[] };
    frame_of(replies, |body| {
        body.extend_from_slice(xid);
        body.extend_from_slice(&1_i64.to_be_bytes());
        let error = if is_known { 0 } else { UNIMPLEMENTED };
        body.extend_from_slice(&error.to_be_bytes());
        match opcode {
            CREATE => body.extend_from_slice(path),
            GET_DATA => {
                body.extend_from_slice(&length_prefix(value.len()));
                body.extend_from_slice(value);
                body.extend_from_slice(&[0; STAT_BYTES]);
            }
            EXISTS | SET_DATA => body.extend_from_slice(&[0; STAT_BYTES]),
            _ => {}
        }
    });
    Some(if opcode == CLOSE_SESSION { Answer::Closed } else { Answer::Given })
}

/// A text at the start of `arguments`, with its length.
fn first_text(arguments: &[u8]) -> Option<&[u8]> {
    let (length, _) = arguments.split_first_chunk()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    arguments.get(..length.checked_add(4)?)
}

fn frame_of(replies: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = replies.len();
    replies.extend_from_slice(&[0; 4]);
    fill(replies);
    let length = length_prefix(replies.len() - start - 4);
    replies[start..start + 4].copy_from_slice(&length);
}

fn length_prefix(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("replies are bounded by the value's size").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(opcode: i32, path: &str) -> Vec<u8> {
        let mut frame = 7_i32.to_be_bytes().to_vec();
        frame.extend(opcode.to_be_bytes());
        frame.extend(length_prefix(path.len()));
        frame.extend(path.as_bytes());
        frame
    }

    /// The bytes of the reply after its header, if it is well framed and free of errors.
    fn body(opcode: i32) -> Vec<u8> {
        let mut replies = Vec::new();
        assert_eq!(answer(&request(opcode, "/a/b"), true, b"value", &mut replies), Answer::Given);
        assert_eq!(replies[..4], length_prefix(replies.len() - 4));
        assert_eq!(replies[4..8], 7_i32.to_be_bytes());
        assert_eq!(replies[16..20], [0; 4]);
        replies.split_off(20)
    }

    #[test]
    fn replies_have_the_sizes_of_real_ones() {
        assert_eq!(body(GET_DATA).len(), 4 + 5 + STAT_BYTES);
        assert_eq!(body(SET_DATA).len(), STAT_BYTES);
        assert_eq!(body(EXISTS).len(), STAT_BYTES);
        assert_eq!(body(CREATE), b"\0\0\0\x04/a/b");
        assert_eq!(body(DELETE), b"");
        assert_eq!(body(PING), b"");
    }

    #[test]
    fn grants_the_timeout_that_was_asked_for() {
        let mut frame = vec![0; 45];
        frame[12..16].copy_from_slice(&30_000_i32.to_be_bytes());
        let mut replies = Vec::new();
        assert_eq!(answer(&frame, false, b"", &mut replies), Answer::Given);
        assert_eq!(replies.len(), 4 + 37);
        assert_eq!(replies[8..12], 30_000_i32.to_be_bytes());
    }

    #[test]
    fn refuses_what_it_can_not_measure() {
        let mut replies = Vec::new();
        assert_eq!(answer(&request(14, "/a"), true, b"", &mut replies), Answer::Given);
        assert_eq!(replies[16..20], UNIMPLEMENTED.to_be_bytes());
        assert_eq!(answer(&[0; 3], true, b"", &mut replies), Answer::Unintelligible);
        assert_eq!(answer(&[0; 15], false, b"", &mut replies), Answer::Unintelligible);
        let mut lying = request(CREATE, "/a");
        lying[8..12].copy_from_slice(&1000_i32.to_be_bytes());
        assert_eq!(answer(&lying, true, b"", &mut replies), Answer::Unintelligible);
    }

    #[test]
    fn tells_reads_from_writes() {
        assert!(changes_something(&request(SET_DATA, "/a")));
        assert!(!changes_something(&request(GET_DATA, "/a")));
        assert!(!changes_something(&[0; 7]));
    }

    #[test]
    fn ends_the_connection_of_a_closed_session() {
        let mut replies = Vec::new();
        assert_eq!(answer(&request(CLOSE_SESSION, ""), true, b"", &mut replies), Answer::Closed);
    }
}
