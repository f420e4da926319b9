//! One connection with its session: what is in flight, and the bytes on their way.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use types::{Op, SessionId, Xid};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::frame;
use wire::request::Request;

use crate::limits;
use crate::recording::Batch;

/// A request without a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight {
    pub(crate) xid: i32,
    /// Which request, and since when.
    pub(crate) batch: Batch,
}

/// An established session and its connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) stream: TcpStream,
    /// How long it lives without a sign of life.
    pub(crate) timeout: Duration,
    /// In the order of their xids, which is the order of their replies.
    pub(crate) in_flight: VecDeque<InFlight>,
    /// The znode of a pair whose second request is due.
    pub(crate) half_done: Option<u32>,
    /// Requests taken from the timetable.
    pub(crate) taken: u64,
    /// When it last sent anything, in nanoseconds since the run's start.
    pub(crate) sent_ns: u64,
    /// The start of a frame whose rest has not arrived.
    partial: Vec<u8>,
    /// Requests that the socket did not take.
    unsent: Vec<u8>,
    last_xid: i32,
}

impl Session {
    /// Appends a request for a session to be opened.
    pub(crate) fn ask(out: &mut Vec<u8>) {
        let timeout_ms = i32::try_from(limits::SESSION_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
        let request = ConnectRequest {
            last_zxid_seen: types::Zxid::ZERO,
            timeout_ms,
            session: SessionId::NONE,
            password: &[0; 16],
            read_only: Some(false),
        };
        request.encode(out);
    }

    /// Waits for the answer to [`Session::ask`].
    pub(crate) fn establish(mut stream: std::net::TcpStream) -> io::Result<Self> {
        let body = read_frame(&mut stream)?;
        let response = ConnectResponse::decode(&body).map_err(invalid)?;
        if response.is_refusal() {
            return Err(io::Error::other("the session was refused"));
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            timeout: Duration::from_millis(u64::try_from(response.timeout_ms).unwrap_or_default()),
            in_flight: VecDeque::new(),
            half_done: None,
            taken: 0,
            sent_ns: 0,
            partial: Vec::new(),
            unsent: Vec::new(),
            last_xid: 0,
        })
    }

    /// The xid for the next request: 1, 2, ... and 1 again after the largest.
    pub(crate) fn draw_xid(&mut self) -> i32 {
        self.last_xid = if self.last_xid == i32::MAX { 1 } else { self.last_xid + 1 };
        self.last_xid
    }

    /// Reads what has arrived behind what is left of an earlier read. Returns how many bytes of
    /// `received` hold anything; 0 if nothing has arrived.
    pub(crate) fn read(&mut self, received: &mut [u8]) -> io::Result<usize> {
        let kept = self.partial.len();
        let count = loop {
            match self.stream.read(&mut received[kept..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        received[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        Ok(kept + count)
    }

    /// Keeps the start of a frame for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// Sends requests; what the socket does not take is kept for [`Session::flush`].
    pub(crate) fn send(&mut self, requests: &[u8], now_ns: u64) -> io::Result<()> {
        self.sent_ns = now_ns;
        let sent = if self.unsent.is_empty() { write(&mut self.stream, requests)? } else { 0 };
        self.unsent.extend_from_slice(&requests[sent..]);
        Ok(())
    }

    /// Sends what was kept, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let sent = write(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Asks for the end of the session; nothing must be in flight.
    pub(crate) fn ask_close(&mut self) -> io::Result<()> {
        let mut request = Vec::new();
        let xid = Xid(self.draw_xid());
        Request { xid, op: Op::CloseSession }.encode(&mut request);
        self.send(&request, self.sent_ns)
    }

    /// Waits until the server has closed the connection after [`Session::ask_close`].
    pub(crate) fn wait_closed(self) -> io::Result<()> {
        let mut stream = std::net::TcpStream::from(self.stream);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(limits::CLOSE_MAX))?;
        stream.write_all(&self.unsent)?;
        // The reply is a header; more than a few of them would mean another conversation.
        stream.take(4096).read_to_end(&mut Vec::new())?;
        Ok(())
    }

    /// Whether earlier requests still wait for the socket, so that it takes no more.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }
}

/// Reads one frame from a blocking stream and returns its body.
pub(crate) fn read_frame(stream: &mut std::net::TcpStream) -> io::Result<Vec<u8>> {
    let mut received = vec![0; 4];
    stream.read_exact(&mut received)?;
    let length = u32::from_be_bytes([received[0], received[1], received[2], received[3]]);
    let body_bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if body_bytes > limits::RECEIVE_BYTES {
        return Err(invalid(frame::FrameError::TooLong {
            length: i32::try_from(length).unwrap_or(i32::MAX),
            bytes_max: limits::RECEIVE_BYTES,
        }));
    }
    received.resize(body_bytes, 0);
    stream.read_exact(&mut received)?;
    Ok(received)
}

/// Bytes that do not mean what they should, as an error of the connection they came from.
pub(crate) fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match stream.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
