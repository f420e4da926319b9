//! A connection that sends requests and reads answers, one thread, no timers of its own.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use types::{Op, SessionId, SessionPassword, Xid, Zxid};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::jute::DecodeError;
use wire::limits::REPLY_BYTES_MAX;
use wire::reply::ReplyHeader;
use wire::request::Request;

/// The session timeout that is asked for; the server's own bounds apply.
const TIMEOUT_MS: i32 = 60_000;
/// No answer takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What resumes a session.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) session: SessionId,
    pub(crate) password: SessionPassword,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: BufReader<TcpStream>,
    last_xid: Xid,
    last_answered: Xid,
    out: Vec<u8>,
}

impl Line {
    /// Connects and opens a session, or resumes one; `None` if that was refused.
    pub(crate) fn open(
        address: SocketAddr,
        resume: Option<&Ticket>,
        last_zxid_seen: Zxid,
    ) -> io::Result<Option<(Self, Ticket)>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let stream = BufReader::new(stream);
        let (last_xid, last_answered) = (Xid(0), Xid(0));
        let mut line = Self { stream, last_xid, last_answered, out: Vec::new() };
        ConnectRequest {
            last_zxid_seen,
            timeout_ms: TIMEOUT_MS,
            session: resume.map_or(SessionId::NONE, |ticket| ticket.session),
            password: resume.map_or(&[0; 16], |ticket| &ticket.password.0),
            read_only: Some(false),
        }
        .encode(&mut line.out);
        line.flush()?;
        let response = ConnectResponse::decode(&line.frame()?).map_err(invalid)?;
        let ConnectResponse { session, password, .. } = response.clone();
        Ok((!response.is_refusal()).then_some((line, Ticket { session, password })))
    }

    /// Adds a request to what [`Line::flush`] sends.
    pub(crate) fn push(&mut self, op: Op<'_>) {
        self.last_xid = Xid(self.last_xid.0 + 1);
        Request { xid: self.last_xid, op }.encode(&mut self.out);
    }

    /// Sends what was pushed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.out);
        self.out.clear();
        sent
    }

    /// The next answer, which is one to the oldest request that has none.
    pub(crate) fn answer(&mut self) -> io::Result<(ReplyHeader, Vec<u8>)> {
        let body = self.frame()?;
        let (header, record) = ReplyHeader::decode(&body).map_err(invalid)?;
        let expected = Xid(self.last_answered.0 + 1);
        if header.xid != expected {
            let detail = format!("an answer to {:?} instead of {expected:?}", header.xid);
            return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
        }
        self.last_answered = expected;
        Ok((header, record.to_vec()))
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; frame_bytes(length)?];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

/// How long a frame is that begins like this.
pub(crate) fn frame_bytes(prefix: [u8; 4]) -> io::Result<usize> {
    let length = i32::from_be_bytes(prefix);
    let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= REPLY_BYTES_MAX);
    bytes.ok_or_else(|| invalid(DecodeError::UnreasonableLength { offset: 0, length }))
}

/// Bytes that make no sense, as an error of the connection.
pub(crate) fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use types::Read;

    use super::*;

    /// What a client makes of an answer with this beginning.
    fn answered(prefix: [u8; 4], xid: i32) -> io::Result<(ReplyHeader, Vec<u8>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::scope(|scope| {
            let server = scope.spawn(move || {
                let mut stream = listener.accept()?.0;
                let (xid, zxid, code) = (xid.to_be_bytes(), 7_i64.to_be_bytes(), [0; 4]);
                stream.write_all(&[&prefix[..], &xid, &zxid, &code].concat())
            });
            let stream = BufReader::new(TcpStream::connect(address)?);
            let (last_xid, last_answered) = (Xid(0), Xid(0));
            let mut line = Line { stream, last_xid, last_answered, out: Vec::new() };
            line.push(Op::Read(Read::WhoAmI));
            let answer = line.answer();
            server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            answer
        })
    }

    #[test]
    fn an_answer_is_one_to_the_oldest_request() {
        let header = [0, 0, 0, 16];
        assert!(answered(header, 1).is_ok());
        let kind = |answer: io::Result<_>| answer.map(drop).map_err(|error| error.kind());
        assert_eq!(kind(answered(header, 2)), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(answered([0xff; 4], 1)), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(answered([0x7f; 4], 1)), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(answered([0, 0, 0, 3], 1)), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(answered([0, 0, 0, 17], 1)), Err(io::ErrorKind::UnexpectedEof));
    }
}
