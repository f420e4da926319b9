//! One server: its disk, and its process while there is one.

use std::collections::{BTreeMap, VecDeque};

use types::{Epoch, Instant, Sid, Zxid};
use zab::{Effect, Link, Oracle, Peer};

use crate::ensemble::world::disk::{Disk, Entry};
use crate::support::network::Happening;

/// A server, running or not.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    /// Distinguishes the runs of the process.
    pub(crate) run: u64,
    pub(crate) disk_busy_until: Instant,
    pub(crate) stalled_until: Instant,
}

/// One run of a server.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) peer: Peer,
    /// What the peer wants and is not carried out yet.
    pub(crate) effects: Vec<Effect>,
    pub(crate) role: Role,
    pub(crate) log: Vec<Entry>,
    pub(crate) delivered: Zxid,
    /// The end of what it had when it started.
    pub(crate) recovered: Zxid,
    pub(crate) last_proposed: Zxid,
    /// The epoch in which it has brought learners to its history.
    pub(crate) synchronizes: Option<Epoch>,
    pub(crate) door: Door,
    pub(crate) admits_observers: bool,
    /// Connections that were not accepted, with what arrived over them.
    pub(crate) backlog: BTreeMap<Link, Vec<Item>>,
    /// Over which connection it waits for a snapshot.
    pub(crate) awaits: Option<Link>,
    pub(crate) conversation: Conversation,
    /// The latest epoch that followers have said to have accepted, since this server was elected.
    pub(crate) accepted_by_others: Epoch,
    /// Who has asked for a confirmation, with what was committed at that time.
    pub(crate) asked: VecDeque<usize>,
    /// What it reads of its log for learners: behind what, and up to where.
    pub(crate) readings: BTreeMap<Link, (Zxid, Zxid)>,
    /// Nothing happens to a process that is stopped; it comes all at once afterwards.
    pub(crate) paused_until: Instant,
    pub(crate) held: VecDeque<Held>,
    pub(crate) deadline: Option<Instant>,
}

/// What a learner and its leader have said to each other.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Conversation {
    pub(crate) link: Option<Link>,
    pub(crate) epoch: Epoch,
    /// The end of what it has received, or has from before.
    pub(crate) received: Zxid,
    /// The end of the history that the leader has sent.
    pub(crate) history_end: Option<Zxid>,
    pub(crate) has_acknowledged: bool,
    pub(crate) acknowledged: Option<Zxid>,
}

/// What a process does with those who connect to its quorum port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    Wait,
    Admit,
    Refuse,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Looking,
    Leading(Epoch),
    Following(Sid, Epoch),
}

/// What travels over a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Item {
    Notification(Vec<u8>),
    ToLeader(Vec<u8>),
    ToLearner(Vec<u8>),
    /// A part of a snapshot that is not the last.
    StreamPart,
    Stream {
        last_applied: Zxid,
        entries: Vec<Entry>,
    },
}

/// What happens to a process when it goes on.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Network(Happening<Item>),
    Event(Event),
}

/// What happens that is no matter of the network.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    DiskDone {
        sid: Sid,
        run: u64,
    },
    StreamPartSent {
        sid: Sid,
        run: u64,
        link: Link,
    },
    StreamSent {
        sid: Sid,
        run: u64,
        link: Link,
        last_applied: Zxid,
        entries: Vec<Entry>,
    },
    /// It has looked in its log for what a learner lacks.
    LogLooked {
        sid: Sid,
        run: u64,
        link: Link,
    },
    /// It has read more of its log for a learner.
    LogRead {
        sid: Sid,
        run: u64,
        link: Link,
    },
    Settle {
        sid: Sid,
        run: u64,
    },
    Admit {
        sid: Sid,
        run: u64,
    },
    Start {
        sid: Sid,
    },
    Wake {
        sid: Sid,
        run: u64,
    },
    OracleSays {
        sid: Sid,
        run: u64,
        oracle: Oracle,
    },
    Mend {
        one: Sid,
        other: Sid,
    },
    Speak {
        from: Sid,
        to: Sid,
    },
}

impl Server {
    pub(crate) fn role(&self) -> Option<Role> {
        self.process.as_ref().map(|process| process.role)
    }

    /// The process, unless it stands still.
    pub(crate) fn awake(&mut self, now: Instant) -> Option<&mut Process> {
        let is_awake = |it: &&mut Process| it.paused_until <= now && it.held.is_empty();
        self.process.as_mut().filter(is_awake)
    }
}

impl Event {
    /// The process that it happens to.
    pub(crate) const fn concerns(&self) -> Option<(Sid, u64)> {
        match *self {
            Self::DiskDone { sid, run }
            | Self::StreamPartSent { sid, run, .. }
            | Self::StreamSent { sid, run, .. }
            | Self::LogLooked { sid, run, .. }
            | Self::LogRead { sid, run, .. }
            | Self::Settle { sid, run }
            | Self::OracleSays { sid, run, .. }
            | Self::Admit { sid, run } => Some((sid, run)),
            Self::Start { .. } | Self::Wake { .. } | Self::Mend { .. } | Self::Speak { .. } => None,
        }
    }
}
