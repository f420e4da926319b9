//! What servers say: the handshake's answer, replies and events.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use types::{ConnId, ErrorCode, Instant, Op, Read, Xid};
use wire::connect::ConnectResponse;
use wire::frame::{self, FrameError};
use wire::reply::ReplyHeader;
use wire::request::Request;

use super::pending::{Pending, Then, WatchChange};
use super::sasl::Exchange;
use super::watches::List;
use super::{
    Connection, Effect, Effects, End, Link, Notice, Probe, RequestId, Response, ServerMisbehaved,
    Session, SessionState, Ticket, WatchEvent, WatchId, encode_auth,
};
use crate::error::Error;
use crate::limits::PROBE_MIN;

impl Session {
    pub(super) fn on_received(
        &mut self,
        now: Instant,
        from: ConnId,
        bytes: &[u8],
        effects: &mut Effects,
    ) {
        let mut inbound = match &mut self.link {
            Link::Handshaking { conn, inbound, .. } if *conn == from => mem::take(inbound),
            Link::Established(connection) if connection.conn == from => {
                self.last_heard = Some(now);
                mem::take(&mut connection.inbound)
            }
            _ => return,
        };
        // Usually nothing is left from before, and the frames are read where they are.
        let mut input = bytes;
        if !inbound.is_empty() {
            inbound.extend_from_slice(bytes);
            input = &inbound;
        }
        loop {
            match self.take_frame(now, input, effects) {
                Ok(Some(used)) => input = &input[used..],
                Ok(None) => break,
                Err(misbehaved) => return self.hang_up(now, misbehaved.into(), effects),
            }
        }
        let kept = match &mut self.link {
            Link::Handshaking { inbound, .. } => inbound,
            Link::Established(connection) => &mut connection.inbound,
            Link::Pausing { .. } | Link::Dialing { .. } | Link::Over(_) => return,
        };
        if inbound.is_empty() {
            kept.extend_from_slice(input);
        } else {
            let used = inbound.len() - input.len();
            inbound.drain(..used);
            *kept = inbound;
        }
    }

    /// Reads one frame if it is all there and there still is a connection; returns its bytes.
    fn take_frame(
        &mut self,
        now: Instant,
        input: &[u8],
        effects: &mut Effects,
    ) -> Result<Option<usize>, ServerMisbehaved> {
        if self.conn().is_none() {
            return Ok(None);
        }
        let (body, used) = match frame::split(input, self.config.frame_bytes_max) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => return self.on_unacceptable_frame(error, input, effects),
        };
        match &self.link {
            Link::Handshaking { conn, sasl: None, .. } => {
                self.on_connect_response(now, *conn, body, effects)?;
            }
            Link::Handshaking { sasl: Some(_), .. } => self.on_sasl_reply(now, body, effects)?,
            Link::Established(_) => self.on_reply(body, effects)?,
            Link::Pausing { .. } | Link::Dialing { .. } | Link::Over(_) => {}
        }
        Ok(Some(used))
    }

    /// An answer that is too large ends the connection, for its bytes are not to be kept. Whoever asked
    /// for it is told so as soon as the number of the request is there: asking again would not help.
    fn on_unacceptable_frame(
        &mut self,
        error: FrameError,
        input: &[u8],
        effects: &mut Effects,
    ) -> Result<Option<usize>, ServerMisbehaved> {
        let (FrameError::TooLong { length, bytes_max: max }, Link::Established(connection)) =
            (error, &mut self.link)
        else {
            return Err(error.into());
        };
        let Some(pending) = connection.pending.front() else { return Err(error.into()) };
        let Some(xid) = input[size_of::<i32>()..].first_chunk() else { return Ok(None) };
        if pending.xid == Xid(i32::from_be_bytes(*xid))
            && let Then::Complete { id, may_change: may_have_happened, .. } = pending.then
        {
            connection.pending.pop_front();
            connection.is_proven = true;
            self.hosts.succeeded();
            let bytes = usize::try_from(length).unwrap_or(usize::MAX);
            effects.complete(id, Err(Error::AnswerTooLarge { bytes, max, may_have_happened }));
        }
        Err(error.into())
    }

    fn on_connect_response(
        &mut self,
        now: Instant,
        conn: ConnId,
        body: &[u8],
        effects: &mut Effects,
    ) -> Result<(), ServerMisbehaved> {
        let response = ConnectResponse::decode(body)?;
        if response.is_refusal() {
            self.end(End::Expired, effects);
            return Ok(());
        }
        self.last_heard = Some(now);
        self.ticket = Some(Ticket { id: response.session, password: response.password });
        self.timeout = Duration::from_millis(u64::from(response.timeout_ms.unsigned_abs()));
        let is_read_only = response.read_only == Some(true);
        self.is_known_to_all |= !is_read_only;
        if self.uses_sasl {
            let deadline = now.after(self.attempt_timeout());
            let sasl = Some(Exchange { is_read_only, asked: None });
            self.link = Link::Handshaking { conn, deadline, inbound: Vec::new(), sasl };
            effects.list.push(Effect::SaslBegin { conn });
        } else {
            self.establish(now, conn, is_read_only, effects);
        }
        Ok(())
    }

    /// From here on requests are sent: those first that the server has to hear again.
    pub(super) fn establish(
        &mut self,
        now: Instant,
        conn: ConnId,
        is_read_only: bool,
        effects: &mut Effects,
    ) {
        let mut pending = VecDeque::new();
        for credential in &self.credentials {
            encode_auth(&credential.packet, &mut effects.outgoing);
        }
        let mut batches = self.watches.set_again(self.last_zxid_seen).into_iter().peekable();
        while let Some(watches) = batches.next() {
            let xid = Xid::SET_WATCHES;
            let op = Op::Read(Read::SetWatches(Box::new(watches)));
            Request { xid, op }.encode(&mut effects.outgoing);
            let is_last = batches.peek().is_none();
            pending.push_back(Pending { xid, then: Then::WatchesSet { is_last } });
        }
        let probe = is_read_only.then(|| Probe { due: now.after(PROBE_MIN), pause: PROBE_MIN * 2 });
        self.link = Link::Established(Connection {
            conn,
            inbound: Vec::new(),
            pending,
            credentials_sent: self.credentials.len(),
            credentials_answered: 0,
            last_sent: now,
            is_proven: false,
            is_closing: false,
            is_leaving: false,
            probe,
        });
        let state =
            if is_read_only { SessionState::ConnectedReadOnly } else { SessionState::Connected };
        self.change_state(state, effects);
        for (id, op) in mem::take(&mut self.waiting) {
            self.send_or_keep(now, id, op, effects);
        }
    }

    fn on_reply(&mut self, body: &[u8], effects: &mut Effects) -> Result<(), ServerMisbehaved> {
        let (header, record) = ReplyHeader::decode(body)?;
        match header.xid {
            Xid::NOTIFICATION => return self.on_event(body, effects),
            Xid::AUTH => return self.on_auth_reply(header.code, effects),
            _ => {}
        }
        self.last_zxid_seen = self.last_zxid_seen.max(header.zxid);
        self.hosts.succeeded();
        let Link::Established(connection) = &mut self.link else { return Ok(()) };
        connection.is_proven = true;
        if header.xid == Xid::PING {
            return Ok(());
        }
        let expected = connection.pending.front().map(|pending| pending.xid.0);
        let pending = connection.pending.pop_front_if(|pending| pending.xid == header.xid);
        let Some(pending) = pending else {
            return Err(ServerMisbehaved::OutOfOrder { expected, got: header.xid.0 });
        };
        match pending.then {
            Then::Nothing => Ok(()),
            Then::WatchesSet { .. } if header.code != 0 => {
                Err(ServerMisbehaved::WatchesRefused(header.code))
            }
            Then::WatchesSet { is_last } => {
                let persistent = self.watches.persistent().filter(|_| is_last);
                let gap = |watch| Effect::Deliver { watch, notice: Notice::Gap };
                effects.list.extend(persistent.map(gap));
                Ok(())
            }
            Then::Complete { id, expected, change, may_change } => {
                let outcome = match header.code {
                    0 => match expected.decode(record, &self.config.chroot) {
                        Ok(outcome) => outcome,
                        Err(unreadable) => {
                            // The connection ends, and this request is not among those any more that it fails.
                            let lost = Error::ConnectionLost { may_have_happened: may_change };
                            effects.complete(id, Err(lost));
                            return Err(unreadable.into());
                        }
                    },
                    code => Err(Error::refused(code)),
                };
                self.on_answer(id, change, outcome, effects);
                Ok(())
            }
        }
    }

    fn on_answer(
        &mut self,
        id: RequestId,
        change: WatchChange,
        outcome: Result<Response, Error>,
        effects: &mut Effects,
    ) {
        self.change_watches(id, change, &outcome, effects);
        effects.complete(id, outcome);
        if let Link::Established(connection) = &self.link
            && connection.is_closing
            && connection.pending.is_empty()
        {
            self.end(End::Closed, effects);
        }
    }

    fn change_watches(
        &mut self,
        id: WatchId,
        change: WatchChange,
        outcome: &Result<Response, Error>,
        effects: &mut Effects,
    ) {
        match (change, outcome) {
            (WatchChange::Set { list, path }, Ok(_)) => self.watches.insert(id, list, &path),
            (WatchChange::SetIfMissing { path }, Ok(_)) => {
                self.watches.insert(id, List::Data, &path);
            }
            (WatchChange::SetIfMissing { path }, Err(Error::Refused(ErrorCode::NoNode))) => {
                self.watches.insert(id, List::Exist, &path);
            }
            (WatchChange::Remove { kind, path }, Ok(_)) => {
                for watch in self.watches.remove_kind(&path, kind) {
                    effects.list.push(Effect::Deliver { watch, notice: Notice::Removed });
                }
            }
            (WatchChange::None, _) | (_, Err(_)) => {}
        }
    }

    fn on_event(&mut self, body: &[u8], effects: &mut Effects) -> Result<(), ServerMisbehaved> {
        let event = wire::event::WatchEvent::decode(body)?;
        let mut told = mem::take(&mut self.told);
        self.watches.fire(event.kind, &event.path, &mut told);
        let path = self.config.chroot.strip(&event.path);
        for watch in told.drain(..) {
            let event = WatchEvent { kind: event.kind, path: path.to_owned(), zxid: event.zxid };
            effects.list.push(Effect::Deliver { watch, notice: Notice::Event(event) });
        }
        self.told = told;
        Ok(())
    }

    fn on_auth_reply(&mut self, error: i32, effects: &mut Effects) -> Result<(), ServerMisbehaved> {
        let Link::Established(connection) = &mut self.link else { return Ok(()) };
        if error != 0 {
            self.end(End::AuthFailed, effects);
            return Ok(());
        }
        // Answers come in the order of the credentials.
        let Some(credential) = self.credentials.get_mut(connection.credentials_answered) else {
            return Err(ServerMisbehaved::OutOfOrder { expected: None, got: Xid::AUTH.0 });
        };
        connection.credentials_answered += 1;
        if let Some(id) = credential.asked_by.take() {
            effects.complete(id, Ok(Response::Done));
        }
        Ok(())
    }
}
