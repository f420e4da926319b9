//! What one client is told, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use types::{CreateCall, ErrorCode, Op, Read, Stat, Write, Xid};
use wire::connect::ConnectResponse;
use wire::event::WatchEvent;
use wire::frame;
use wire::reply::{self, MultiResult, ReplyHeader};

use super::Ticket;

/// What the answer to a request holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Nothing,
    Path,
    PathAndStat,
    Stat,
    Data,
    Names,
    Results,
}

/// The lines a client was told, and what it needs to read more of them.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    /// Of the session it has.
    pub(super) ticket: Option<Ticket>,
    is_greeted: bool,
    is_closed: bool,
    expected: BTreeMap<i32, Answer>,
    lines: String,
}

impl Transcript {
    /// The client asks something.
    pub(super) fn asked(&mut self, xid: Xid, op: &Op<'_>) {
        self.expected.insert(xid.0, answer_to(op));
    }

    /// The client reads whole frames.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while let Some((body, length)) = frame::split(bytes, 1 << 30).expect("frames") {
            self.on_frame(body);
            bytes = &bytes[length..];
        }
        assert!(bytes.is_empty(), "servers send whole frames");
    }

    /// The server closes the connection.
    pub(super) fn closed(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            self.line("closed");
        }
    }

    /// What was told since the last call.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    fn line(&mut self, line: &str) {
        writeln!(self.lines, "{line}").expect("text takes everything");
    }

    fn on_frame(&mut self, body: &[u8]) {
        if !self.is_greeted {
            self.is_greeted = true;
            let response = ConnectResponse::decode(body).expect("an answer to the handshake");
            let only = if response.read_only == Some(true) { ", read-only" } else { "" };
            if response.is_refusal() {
                return self.line(&format!("session refused{only}"));
            }
            let ConnectResponse { session, password, timeout_ms, .. } = response;
            self.ticket = Some(Ticket { session, password });
            return self.line(&format!("session for {timeout_ms} ms{only}"));
        }
        let (header, record) = ReplyHeader::decode(body).expect("a header");
        if header.xid == Xid::NOTIFICATION {
            let event = WatchEvent::decode(body).expect("an event");
            let zxid = event.zxid.map_or_else(|| "missed".to_owned(), |zxid| zxid.to_string());
            return self.line(&format!("{:?} {} {zxid}", event.kind, event.path));
        }
        let name = match header.xid {
            Xid::PING => "ping".to_owned(),
            Xid::AUTH => "auth".to_owned(),
            Xid::SET_WATCHES => "watches".to_owned(),
            Xid(xid) => format!("#{xid}"),
        };
        let what = match ErrorCode::from_raw(header.code) {
            Some(code) if header.code != 0 => format!("{code:?}"),
            _ => describe(self.expected[&header.xid.0], record),
        };
        self.line(format!("{name} {} {what}", header.zxid).trim_end());
    }
}

fn answer_to(op: &Op<'_>) -> Answer {
    match op {
        Op::Write(Write::Create(create)) if create.call == CreateCall::Create => Answer::Path,
        Op::Write(Write::Create(_)) => Answer::PathAndStat,
        Op::Write(Write::SetData { .. } | Write::SetAcl { .. }) => Answer::Stat,
        Op::Write(Write::Multi(_)) => Answer::Results,
        Op::Read(Read::GetData { .. }) | Op::Write(Write::Reconfig(_)) => Answer::Data,
        Op::Read(Read::Exists { .. }) => Answer::Stat,
        Op::Read(Read::GetChildren { .. } | Read::GetEphemerals { .. }) => Answer::Names,
        Op::Sync { .. } => Answer::Path,
        _ => Answer::Nothing,
    }
}

fn describe(answer: Answer, record: &[u8]) -> String {
    match answer {
        Answer::Nothing => "ok".to_owned(),
        Answer::Path => reply::decode_path(record).expect("a path"),
        Answer::PathAndStat => reply::decode_path_and_stat(record).expect("both").path,
        Answer::Stat => version(&reply::decode_stat(record).expect("a stat")),
        Answer::Data => {
            let body = reply::decode_data(record).expect("data");
            let data = body.data.unwrap_or_default();
            format!("{} {}", String::from_utf8_lossy(&data), version(&body.stat))
        }
        Answer::Names => {
            let mut names = reply::decode_children(record).expect("names");
            names.sort();
            format!("[{}]", names.join(" "))
        }
        Answer::Results => {
            let results = reply::decode_multi(record).expect("results");
            let parts: Vec<_> = results.iter().map(part).collect();
            parts.join(", ")
        }
    }
}

fn version(stat: &Stat) -> String {
    format!("v{}", stat.version)
}

fn part(result: &MultiResult<'_>) -> String {
    match result {
        MultiResult::Created { path } | MultiResult::Created2 { path, .. } => path.to_string(),
        MultiResult::Deleted => "deleted".to_owned(),
        MultiResult::DataSet(stat) => version(stat),
        MultiResult::Checked => "checked".to_owned(),
        MultiResult::Failed { code: 0 } => "undone".to_owned(),
        MultiResult::Failed { code } => {
            format!("{:?}", ErrorCode::from_raw(*code).expect("a code that clients know"))
        }
    }
}
