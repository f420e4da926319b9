//! A session for single requests before and after the load: one at a time, waiting for each reply.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};

use types::{
    AclList, Create, CreateCall, CreateMode, ErrorCode, Op, SessionId, Write as WriteOp, Xid,
};
use wire::connect::ConnectResponse;
use wire::reply::ReplyHeader;
use wire::request::Request;

use crate::error::Error;
use crate::limits;
use crate::session::{Session, invalid, read_frame};

/// A session whose requests are answered one by one.
#[derive(Debug)]
pub(crate) struct Control {
    stream: TcpStream,
    session: SessionId,
    last_xid: i32,
}

impl Control {
    /// Opens a session at `server`, which the user calls `name`.
    pub(crate) fn open(server: SocketAddr, name: &str) -> Result<Self, Error> {
        let open = || {
            let mut stream = TcpStream::connect_timeout(&server, limits::STALL_MAX)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(limits::STALL_MAX))?;
            let mut ask = Vec::new();
            Session::ask(&mut ask);
            stream.write_all(&ask)?;
            let response = ConnectResponse::decode(&read_frame(&mut stream)?).map_err(invalid)?;
            if response.is_refusal() {
                return Err(io::Error::other("the session was refused"));
            }
            Ok(Self { stream, session: response.session, last_xid: 0 })
        };
        open().map_err(|source| Error::Handshake {
            server: name.to_owned(),
            opened: 0,
            wanted: 1,
            source,
        })
    }

    /// Creates an empty znode unless it exists.
    pub(crate) fn create(&mut self, path: &str) -> Result<(), Error> {
        let op = Op::Write(WriteOp::Create(create(path, b"")));
        self.call("create", op, ErrorCode::NodeExists)
    }

    /// Deletes a znode unless it has children.
    pub(crate) fn delete(&mut self, path: &str) -> Result<(), Error> {
        let op = Op::Write(WriteOp::Delete { path: path.into(), version: None });
        self.call("delete", op, ErrorCode::NotEmpty)
    }

    /// Ends the session.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        self.call("closeSession", Op::CloseSession, ErrorCode::SessionExpired)
    }

    /// The session's id.
    pub(crate) const fn session(&self) -> SessionId {
        self.session
    }

    /// Asks and waits for the reply, which may be an error that is no obstacle.
    fn call(
        &mut self,
        request: &'static str,
        op: Op<'_>,
        tolerated: ErrorCode,
    ) -> Result<(), Error> {
        self.last_xid += 1;
        let mut bytes = Vec::new();
        Request { xid: Xid(self.last_xid), op }.encode(&mut bytes);
        let mut exchange = || {
            self.stream.write_all(&bytes)?;
            let body = read_frame(&mut self.stream)?;
            ReplyHeader::decode(&body).map(|(header, _)| header).map_err(invalid)
        };
        let header =
            exchange().map_err(|source| Error::Lost { connection: 0, in_flight: 1, source })?;
        if header.xid.0 != self.last_xid {
            let expected = Some(self.last_xid);
            return Err(Error::OutOfOrder { connection: 0, expected, got: header.xid.0 });
        }
        match header.code {
            0 => Ok(()),
            code if code == tolerated.raw() => Ok(()),
            code => Err(Error::Refused { request, code }),
        }
    }
}

/// The creation of a persistent znode that is open to all.
pub(crate) fn create<'a>(path: &'a str, data: &'a [u8]) -> Create<'a> {
    Create {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(data.into()),
        acl: AclList::open(),
        mode: CreateMode::Persistent,
    }
}
