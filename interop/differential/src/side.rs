//! One of the two servers: a connection for each session, and what is known of its numbers.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use types::{SessionId, SessionPassword, Xid, Zxid};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::frame;
use wire::opcode::OpCode;
use wire::reply::ReplyHeader;

use crate::answer::{Answer, Normalizer, Session};
use crate::ask::{Manner, Numbered};

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may take to close a connection after the last answer on it.
const CLOSING_PATIENCE: Duration = Duration::from_secs(3);
/// The largest answer that is believed; far above what the plans ask for.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// What a client claims to have seen when it comes from the future: more than any server has.
const FUTURE: i64 = 1 << 48;
/// A session that was never opened.
const UNKNOWN_SESSION: SessionId = SessionId(0x0100_dead_beef_0001);

/// One server.
#[derive(Debug)]
pub struct Side {
    address: SocketAddr,
    /// What its answers are normalized by.
    pub normalizer: Normalizer,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    session: SessionId,
    password: SessionPassword,
    timeout_ms: i32,
    last_zxid: Zxid,
    received: Vec<u8>,
    /// The requests that are not answered yet.
    pending: VecDeque<Option<OpCode>>,
}

/// When to stop reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// All requests are answered.
    Answered,
    /// The server has closed the connection.
    Closed,
}

impl Side {
    /// A server on which nothing has been done yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, normalizer: Normalizer::default(), clients: Vec::new() }
    }

    /// The last zxid that session `index` has seen.
    pub fn last_zxid(&self, index: usize) -> Zxid {
        self.clients[index].last_zxid
    }

    /// Opens a session in the place `index`, or after the last one.
    ///
    /// # Errors
    /// When the server can not be reached.
    pub fn open(&mut self, index: usize, timeout_ms: i32) -> io::Result<Vec<Answer>> {
        let stream = connect(self.address)?;
        let mut client = Client {
            stream,
            session: SessionId::NONE,
            password: SessionPassword([0; 16]),
            timeout_ms,
            last_zxid: Zxid::ZERO,
            received: Vec::new(),
            pending: VecDeque::new(),
        };
        let response = client.shake_hands(Manner::Proper)?;
        if let Ok(response) = &response {
            client.session = response.session;
            client.password = response.password.clone();
            self.normalizer.sessions.push(response.session);
        }
        if index == self.clients.len() {
            self.clients.push(client);
        } else {
            self.clients[index] = client;
        }
        Ok(vec![self.connected(response)])
    }

    /// Cuts the connection of a session and comes back.
    ///
    /// # Errors
    /// When the server can not be reached.
    pub fn reconnect(&mut self, index: usize, manner: Manner) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        if !matches!(manner, Manner::Proper | Manner::WithoutReadOnly) {
            let response = self.clients[index].come_back(self.address, manner)?;
            answers.push(self.connected(response));
            answers.extend(self.read(index, Until::Closed)?);
        }
        let last = match manner {
            Manner::WithoutReadOnly => manner,
            Manner::Proper
            | Manner::WrongPassword
            | Manner::UnknownSession
            | Manner::FromTheFuture => Manner::Proper,
        };
        let response = self.clients[index].come_back(self.address, last)?;
        answers.push(self.connected(response));
        Ok(answers)
    }

    /// Forgets the sessions, which are closed; the numbers of znodes stay comparable.
    pub fn forget_sessions(&mut self) {
        self.clients.clear();
        self.normalizer.sessions.clear();
    }

    /// Sends requests in one piece.
    ///
    /// # Errors
    /// When the connection fails in a way that a closing server does not explain.
    pub fn send(&mut self, index: usize, requests: &[Numbered]) -> io::Result<()> {
        let client = &mut self.clients[index];
        let mut bytes = Vec::new();
        for request in requests {
            request.encode(&mut bytes, client.last_zxid);
            client.pending.push_back(request.ask.opcode());
        }
        client.write(&bytes)
    }

    /// Sends bytes that need not be a request.
    ///
    /// # Errors
    /// When the connection fails in a way that a closing server does not explain.
    pub fn send_bytes(&mut self, index: usize, bytes: &[u8]) -> io::Result<()> {
        self.clients[index].write(bytes)
    }

    /// Reads what the server sends to a session.
    ///
    /// # Errors
    /// When the connection fails in a way that a closing server does not explain.
    pub fn read(&mut self, index: usize, until: Until) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::new();
        loop {
            let client = &mut self.clients[index];
            if until == Until::Answered && client.pending.is_empty() {
                return Ok(answers);
            }
            let patience = if client.pending.is_empty() { CLOSING_PATIENCE } else { PATIENCE };
            let frame = match client.next_frame(patience)? {
                Ok(frame) => frame,
                Err(end) => {
                    answers.push(end);
                    client.pending.clear();
                    return Ok(answers);
                }
            };
            answers.push(client.understand(&frame, &self.normalizer));
        }
    }

    fn connected(&self, response: Result<ConnectResponse, Answer>) -> Answer {
        match response {
            Ok(response) => Answer::Connected {
                timeout_ms: response.timeout_ms,
                session: self.normalizer.session(response.session),
                password_is_right: response.session != SessionId::NONE
                    && response.password == response.session.password(),
                read_only: response.read_only,
            },
            Err(answer) => answer,
        }
    }
}

impl Client {
    /// Drops the connection and shakes hands on another.
    fn come_back(
        &mut self,
        address: SocketAddr,
        manner: Manner,
    ) -> io::Result<Result<ConnectResponse, Answer>> {
        self.stream = connect(address)?;
        self.received.clear();
        self.pending.clear();
        self.shake_hands(manner)
    }

    /// Returns the server's response, or what happened instead.
    fn shake_hands(&mut self, manner: Manner) -> io::Result<Result<ConnectResponse, Answer>> {
        let mut password = self.password.0;
        if manner == Manner::WrongPassword {
            password[3] ^= 0x55;
        }
        let request = ConnectRequest {
            last_zxid_seen: match manner {
                Manner::FromTheFuture => Zxid::from_raw(FUTURE),
                Manner::Proper
                | Manner::WithoutReadOnly
                | Manner::WrongPassword
                | Manner::UnknownSession => self.last_zxid,
            },
            timeout_ms: self.timeout_ms,
            session: if manner == Manner::UnknownSession { UNKNOWN_SESSION } else { self.session },
            password: &password,
            read_only: (manner != Manner::WithoutReadOnly).then_some(false),
        };
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.write(&bytes)?;
        Ok(match self.next_frame(PATIENCE)? {
            Ok(frame) => ConnectResponse::decode(&frame)
                .map_err(|why| Answer::Unreadable { why, bytes: frame }),
            Err(end) => Err(end),
        })
    }

    fn understand(&mut self, frame: &[u8], normalizer: &Normalizer) -> Answer {
        let header = match ReplyHeader::decode(frame) {
            Ok((header, _)) => header,
            Err(why) => return Answer::Unreadable { why, bytes: frame.to_vec() },
        };
        if header.xid == Xid::NOTIFICATION {
            return normalizer.event(frame);
        }
        if header.zxid > self.last_zxid && header.xid != Xid::PING {
            self.last_zxid = header.zxid;
        }
        normalizer.reply(self.pending.pop_front().flatten(), frame)
    }

    /// Writes; that the server has closed the connection is told by the read that follows.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if is_end(&error) => Ok(()),
            result => result,
        }
    }

    /// Returns the body of the next frame, or how the waiting ended.
    fn next_frame(&mut self, patience: Duration) -> io::Result<Result<Vec<u8>, Answer>> {
        self.stream.set_read_timeout(Some(patience))?;
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some((body, taken)) =
                frame::split(&self.received, FRAME_BYTES_MAX).map_err(io::Error::other)?
            {
                let body = body.to_vec();
                self.received.drain(..taken);
                return Ok(Ok(body));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Err(Answer::Closed)),
                Ok(bytes) => self.received.extend_from_slice(&chunk[..bytes]),
                Err(error) if is_end(&error) => return Ok(Err(Answer::Closed)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(Err(Answer::Silent));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the connection of an answer is over.
pub fn is_over(answers: &[Answer]) -> bool {
    match answers.last() {
        Some(Answer::Closed) => true,
        Some(Answer::Connected { session, .. }) => *session == Session::None,
        Some(
            Answer::Reply { .. }
            | Answer::Event { .. }
            | Answer::Unreadable { .. }
            | Answer::Silent,
        )
        | None => false,
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
    )
}
