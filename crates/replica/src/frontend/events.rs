//! What the mail says: replies, changes, sessions.

use tracing::{debug, warn};
use types::{AclList, ConnId, EventKind, Instant, Now, Perms, Xid, Zxid, mutant, path};
use wire::connect::ConnectResponse;
use wire::event::WatchEvent;
use wire::opcode::OpCode;

use super::Desk;
use super::connection::Phase;
use crate::input::Input;
use crate::limits::UNSENT_BYTES_AT_EVENT_MAX;
use crate::published::{
    Address, ChangeKind, Established, Mail, PublishedChange, TreeReader, WatchRequest,
};

impl Desk {
    /// Works off all mail that has come.
    pub(super) fn take_mail(&mut self, now: Now, reader: &TreeReader) {
        let mut outbox = std::mem::take(&mut self.mail);
        if reader.take_mail(&mut outbox) {
            self.seen = self.seen.max(outbox.zxid);
            let mut frames = &outbox.frames[..];
            for mail in outbox.mail.drain(..) {
                self.on_mail(now, mail, &mut frames, reader);
            }
            outbox.clear();
        }
        self.mail = outbox;
    }

    fn on_mail(&mut self, now: Now, mail: Mail, frames: &mut &[u8], reader: &TreeReader) {
        match mail {
            Mail::Reply { conn, bytes, received } => {
                let (frame, rest) = frames.split_at(bytes);
                *frames = rest;
                self.on_reply(now, conn, frame, received);
            }
            Mail::Change(change) => self.on_change(now, &change),
            Mail::Watch { conn, path, kind } => {
                self.watches_received += 1;
                if self.connections.find(conn).is_some() {
                    self.watches.add(conn, &path, kind);
                }
            }
            Mail::WatchRequest(request) => self.on_watch_request(now, *request),
            Mail::Established(established) => self.on_established(now, *established, reader),
            Mail::Refused { conn, is_read_only } => self.on_refused(conn, is_read_only),
            Mail::Close { conn } => {
                debug!(?conn, "session ended or moved");
                self.connections.close(conn);
            }
        }
    }

    /// The replica answered a request.
    fn on_reply(&mut self, now: Now, conn: ConnId, frame: &[u8], received: Instant) {
        let Some(connection) = self.connections.answering(conn) else { return };
        connection.out.extend_from_slice(frame);
        let (xid, zxid) = header_of(frame);
        connection.answered(received, now.instant, xid, zxid);
        self.stats.sent.add(1);
        self.stats.latency.add(now.instant.since(received), 1);
        self.completed(conn);
        self.connections.touch(conn);
    }

    /// One request of the connection is no longer with the replica.
    fn completed(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find_mut(conn) else { return };
        connection.completed();
        self.options.outstanding.remove(1);
        self.connections.resume_if_unread(conn);
    }

    fn on_watch_request(&mut self, now: Now, request: WatchRequest) {
        let WatchRequest { conn, xid, zxid, read, received } = request;
        self.watches_received += 1;
        if self.connections.find(conn).is_none() {
            return;
        }
        self.answer_about_watches(now, conn, xid, zxid, &read);
        self.stats.latency.add(now.instant.since(received), 1);
        self.completed(conn);
    }

    fn on_established(&mut self, now: Now, established: Established, reader: &TreeReader) {
        let Established { conn, session, timeout_ms, heartbeat, is_read_only } = established;
        let Some(connection) = self.connections.answering(conn) else {
            // It was closed while the session was opened; the session has no connection now.
            let address = Address { front: reader.front(), conn };
            self.inputs.push(Input::Disconnected(address));
            return;
        };
        heartbeat.beat(now.instant);
        connection.phase = Phase::Open;
        connection.stats.last_operation.set(i64::from(OpCode::CreateSession.raw()));
        connection.session = session;
        connection.heartbeat = Some(heartbeat);
        connection.stats.session.set(session.0);
        connection.stats.timeout_ms.set(i64::from(timeout_ms));
        let response = ConnectResponse {
            timeout_ms,
            session,
            password: session.password(),
            read_only: connection.read_only_known.then_some(is_read_only),
        };
        response.encode(&mut connection.out);
        connection.answered(now.instant, now.instant, Xid::INTERNAL, self.seen);
        self.stats.sent.add(1);
        self.connections.touch(conn);
        self.connections.resume_if_unread(conn);
    }

    /// The session can not be resumed: the client is told that it is over.
    fn on_refused(&mut self, conn: ConnId, is_read_only: bool) {
        if let Some(connection) = self.connections.answering(conn) {
            let read_only = connection.read_only_known.then_some(is_read_only);
            ConnectResponse::refused(read_only).encode(&mut connection.out);
        }
        self.connections.close(conn);
    }

    /// Fires the watches that wait for a change, each for those who may know of it.
    fn on_change(&mut self, now: Now, change: &PublishedChange) {
        let PublishedChange { zxid, kind, ref path, ref acl, ref parent_acl } = *change;
        let Self { connections, watches, options, stats, lines, .. } = self;
        let mut tell = |path: &str, acl: &Option<AclList>, conn: ConnId, kind: EventKind| {
            let Some(connection) = connections.answering(conn) else { return };
            let may_know = acl
                .as_ref()
                .is_none_or(|acl| options.access.allows(acl, Perms::READ, &connection.identities));
            if may_know && connection.unsent().len() > UNSENT_BYTES_AT_EVENT_MAX {
                if let Some(suppressed) = lines.unread_events.admit(now.instant) {
                    warn!(peer = %connection.peer, session = %connection.session, suppressed,
                        "closed, since it does not read its events");
                }
                connections.close(conn);
            } else if may_know || mutant::active(58) {
                WatchEvent { zxid: Some(zxid), kind, path: path.into() }
                    .encode(&mut connection.out);
                connection.stats.sent.add(1);
                stats.sent.add(1);
                connections.touch(conn);
            }
        };
        match kind {
            ChangeKind::DataChanged => {
                watches.fire_data(path, EventKind::NodeDataChanged, |conn, kind| {
                    tell(path, acl, conn, kind);
                });
                return;
            }
            ChangeKind::Created => {
                watches.fire_data(path, EventKind::NodeCreated, |conn, kind| {
                    tell(path, acl, conn, kind);
                });
            }
            ChangeKind::Deleted => {
                watches.fire_deleted(path, |conn, kind| tell(path, acl, conn, kind));
            }
        }
        let parent = match path::split(path) {
            None | Some(("", _)) => path::ROOT,
            Some((parent, _)) => parent,
        };
        watches.fire_children(parent, |conn, kind| tell(parent, parent_acl, conn, kind));
    }
}

/// The number of the request that a reply frame answers, and its zxid.
fn header_of(frame: &[u8]) -> (Xid, Zxid) {
    let int = |at: usize| frame[at..at + 4].try_into().map_or(0, i32::from_be_bytes);
    let long = |at: usize| frame[at..at + 8].try_into().map_or(0, i64::from_be_bytes);
    (Xid(int(4)), Zxid::from_raw(long(8)))
}
