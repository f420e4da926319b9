//! A connection that sends requests and reads answers, one thread, no timers of its own.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use types::{Op, SessionId, SessionPassword, Xid, Zxid};
use wire::connect::{ConnectRequest, ConnectResponse};
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
        let mut line = Self { stream: BufReader::new(stream), last_xid: Xid(0), out: Vec::new() };
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

    /// The next answer.
    pub(crate) fn answer(&mut self) -> io::Result<(ReplyHeader, Vec<u8>)> {
        let body = self.frame()?;
        let (header, record) = ReplyHeader::decode(&body).map_err(invalid)?;
        Ok((header, record.to_vec()))
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(invalid)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

/// Bytes that make no sense, as an error of the connection.
pub(crate) fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
