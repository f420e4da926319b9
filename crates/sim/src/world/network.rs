//! The connections between servers: streams of bytes between an election port or a quorum port and
//! whoever has called it.
//!
//! Each side has a socket, in which it finds what the other sends: late, in any pieces, and up to any
//! byte. While a pair of servers is apart nothing arrives, and what was sent arrives afterwards, as
//! with TCP.

use std::collections::{BTreeMap, BTreeSet};

use types::{Epoch, SessionId, Zxid};
use zab::Link;

use super::invariants::{Conversation, SignsOfLife};
use super::link::{End, Pipe};
use super::node::{Life, NodeId};

/// One side of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    /// The process that has it.
    pub(super) life: Life,
    /// Who is on the other side.
    pub(super) other: NodeId,
    /// What the other side sends.
    pub(super) incoming: Pipe,
    /// What has arrived and is no whole message yet.
    pub(super) inbox: Vec<u8>,
    pub(super) speech: Speech,
    /// Whether a leader has said something to the learner on the other side.
    is_answered: bool,
    /// Whether its log was read for the learner on the other side.
    is_read_for: bool,
    /// Whether something has come here since the other side has called again.
    is_outlived: bool,
    /// What a learner and its leader have said.
    pub(super) conversation: Conversation,
    /// Of whom the learner on this side has to tell.
    signs_of_life: SignsOfLife,
}

/// What the bytes mean that arrive in a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speech {
    /// Who called the election port says who it is.
    Hello,
    /// Votes, in frames.
    Votes,
    /// Who called the quorum port was not taken in yet.
    Stranger,
    /// A learner's packets.
    ToLeader,
    /// A leader's packets.
    ToLearner,
    /// A leader's snapshot. Whoever stores it has a part to work off, or has not.
    Snapshot { is_busy: bool },
}

/// The ports of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Port {
    /// Where servers tell each other their votes.
    Election,
    /// Where learners find their leader.
    Quorum,
}

/// All connections between servers.
#[derive(Debug, Default)]
pub(super) struct Network {
    sockets: BTreeMap<Link, Socket>,
    last: u64,
    /// From whom to whom nothing arrives.
    apart: BTreeSet<(NodeId, NodeId)>,
}

impl Socket {
    fn new(life: Life, other: NodeId, speech: Speech) -> Self {
        Self {
            life,
            other,
            incoming: Pipe::default(),
            inbox: Vec::new(),
            speech,
            is_answered: false,
            is_read_for: false,
            is_outlived: false,
            conversation: Conversation::default(),
            signs_of_life: SignsOfLife::default(),
        }
    }

    /// To which port the connection leads.
    pub(super) const fn port(&self) -> Port {
        match self.speech {
            Speech::Hello | Speech::Votes => Port::Election,
            Speech::Stranger | Speech::ToLeader | Speech::ToLearner | Speech::Snapshot { .. } => {
                Port::Quorum
            }
        }
    }
}

impl Network {
    /// Joins two processes; returns the caller's side, then the other.
    pub(super) fn connect(&mut self, from: Life, to: Life, port: Port) -> (Link, Link) {
        let (near, far) = (Link(self.last + 1), Link(self.last + 2));
        self.last += 2;
        let (to_caller, to_called) = match port {
            Port::Election => (Speech::Votes, Speech::Hello),
            Port::Quorum => (Speech::ToLearner, Speech::Stranger),
        };
        self.sockets.insert(near, Socket::new(from, to.node, to_caller));
        self.sockets.insert(far, Socket::new(to, from.node, to_called));
        (near, far)
    }

    /// The socket of a link, as long as its process has not closed it.
    pub(super) fn socket(&mut self, link: Link) -> Option<&mut Socket> {
        self.sockets.get_mut(&link)
    }

    /// Sends bytes to the other side. They vanish if that is gone; then this side is told so.
    pub(super) fn send(&mut self, link: Link, bytes: &[u8]) {
        if !self.sockets.contains_key(&link) {
            return;
        }
        if let Some(socket) = self.sockets.get_mut(&far(link)) {
            socket.incoming.push(bytes);
        } else if let Some(socket) = self.sockets.get_mut(&link) {
            socket.incoming.end_silence();
        }
    }

    /// Removes one side; the other finds the end behind what was sent.
    pub(super) fn close(&mut self, link: Link) -> Option<Socket> {
        let socket = self.sockets.remove(&link)?;
        if let Some(other) = self.sockets.get_mut(&far(link)) {
            other.incoming.close(End::Closed);
        }
        Some(socket)
    }

    /// Everybody's sockets.
    pub(super) fn links(&self) -> Vec<Link> {
        self.sockets.keys().copied().collect()
    }

    /// The sockets of one server.
    pub(super) fn links_of(&self, node: NodeId) -> Vec<Link> {
        let of_node =
            |(&link, socket): (&Link, &Socket)| (socket.life.node == node).then_some(link);
        self.sockets.iter().filter_map(of_node).collect()
    }

    /// Notes that a leader says something to the learner on the other side.
    pub(super) fn answer(&mut self, link: Link) {
        if let Some(socket) = self.sockets.get_mut(&link) {
            socket.is_answered = true;
        }
    }

    /// Notes that a learner has heard of a client.
    pub(super) fn hears_of(&mut self, node: NodeId, session: SessionId) {
        let learns = |it: &&mut Socket| it.life.node == node && it.speech == Speech::ToLearner;
        for socket in self.sockets.values_mut().filter(learns) {
            socket.signs_of_life.hear(session);
        }
    }

    /// What a learner has to tell its leader over a connection, seen from the learner's side.
    pub(super) fn signs_of_life(&mut self, link: Link) -> Option<&mut SignsOfLife> {
        let socket = self.sockets.get_mut(&link)?;
        (socket.speech == Speech::ToLearner).then_some(&mut socket.signs_of_life)
    }

    /// Notes that a leader has read its log for the learner on the other side.
    pub(super) fn read_for(&mut self, link: Link) {
        if let Some(socket) = self.sockets.get_mut(&link) {
            socket.is_read_for = true;
        }
    }

    /// Whether that is so.
    pub(super) fn is_read_for(&self, link: Link) -> bool {
        self.sockets.get(&link).is_some_and(|socket| socket.is_read_for)
    }

    /// Whether something comes, for the first time, from who has a later connection to the same port.
    pub(super) fn is_news_of_earlier(&mut self, link: Link) -> bool {
        let Some(socket) = self.sockets.get(&link).filter(|socket| !socket.is_outlived) else {
            return false;
        };
        let (life, other, port) = (socket.life, socket.other, socket.port());
        let mut later = self.sockets.range(Link(link.0 + 1)..);
        let is_outlived = later.any(|(later, it)| {
            // Who has called has the odd number.
            let is_same_way = later.0 % 2 == link.0 % 2;
            is_same_way && (it.life, it.other, it.port()) == (life, other, port)
        });
        if let Some(socket) = self.sockets.get_mut(&link) {
            socket.is_outlived = is_outlived;
        }
        is_outlived
    }

    /// A server to which another one, as its leader, has spoken over two connections that it has not
    /// closed.
    pub(super) fn doubly_led_by(&self, node: NodeId) -> Option<NodeId> {
        let mut learners = BTreeSet::new();
        let answered = self.sockets.values().filter(|it| it.life.node == node && it.is_answered);
        answered.map(|socket| socket.other).find(|&learner| !learners.insert(learner))
    }

    /// Where the history ends that a learner has been sent in this epoch.
    pub(super) fn history_end(&self, node: NodeId, epoch: Epoch) -> Option<Zxid> {
        let of_node = self.sockets.values().filter(|socket| socket.life.node == node);
        of_node.filter_map(|socket| socket.conversation.history_end_in(epoch)).next_back()
    }

    /// From now on nothing arrives that goes this way.
    pub(super) fn separate(&mut self, from: NodeId, to: NodeId) {
        self.apart.insert((from, to));
    }

    /// Whether nothing arrives that goes this way.
    pub(super) fn are_apart(&self, from: NodeId, to: NodeId) -> bool {
        self.apart.contains(&(from, to))
    }

    /// Everything arrives again.
    pub(super) fn join_all(&mut self) {
        self.apart.clear();
    }

    /// Lets connections end of which one side did not hear that they had.
    pub(super) fn end_silence(&mut self) {
        for socket in self.sockets.values_mut() {
            socket.incoming.end_silence();
        }
    }
}

/// The other side of a connection.
pub(super) const fn far(link: Link) -> Link {
    // Sides come in pairs, of which the caller's has the odd number.
    Link(((link.0 - 1) ^ 1) + 1)
}
