//! What is written down of the inside of a run, for who wants to know how it came to something: each
//! entry of the agenda, what servers told each other in it, the lines of the history that it
//! added, and every server that stands differently afterwards.

use types::Sid;
use zab::{LeaderPacket, Link};

use super::node::{Node, NodeId};
use super::{Happening, Trace, World};

/// The lines of a run.
#[derive(Debug)]
pub(super) struct Notes {
    trace: Trace,
    lines: Vec<String>,
    /// How each server stood when that was told last.
    standings: Vec<String>,
    /// Lines of the history that were told.
    history_told: usize,
}

impl Notes {
    pub(super) fn new(trace: Trace) -> Self {
        Self { trace, lines: Vec::new(), standings: Vec::new(), history_told: 0 }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    fn is_wanted(&self) -> bool {
        self.trace == Trace::On
    }
}

impl World {
    /// Notes what comes next on the agenda.
    pub(super) fn note_happening(&mut self, happening: Happening) {
        if self.notes.is_wanted() {
            let line = format!("{:?} {happening:?}", self.agenda.now());
            self.notes.lines.push(line);
        }
    }

    /// Notes what a server says to another.
    pub(super) fn note_packet(
        &mut self,
        node: NodeId,
        link: Link,
        packet: impl FnOnce() -> String,
    ) {
        if self.notes.is_wanted() {
            let other = self.network.socket(link).map_or(Sid(0), |socket| socket.other.sid());
            self.notes.lines.push(format!("    {} → {} {}", node.sid().0, other.0, packet()));
        }
    }

    /// Notes what has come of an entry of the agenda.
    pub(super) fn note_outcome(&mut self) {
        if !self.notes.is_wanted() {
            return;
        }
        let notes = &mut self.notes;
        let news = &self.history.lines[notes.history_told..];
        notes.lines.extend(news.iter().map(|line| format!("    {line}")));
        notes.history_told = self.history.lines.len();
        let standings: Vec<String> = self.nodes.iter().map(standing).collect();
        for (index, standing) in standings.iter().enumerate() {
            if notes.standings.get(index) != Some(standing) {
                notes.lines.push(format!("    server {}: {standing}", index + 1));
            }
        }
        notes.standings = standings;
    }
}

/// How a server stands.
fn standing(node: &Node) -> String {
    let ledger = &node.ledger;
    let (logged, durable) = (ledger.last(), ledger.last_durable());
    let (accepted, current) = (node.accepted_epoch.0, node.current_epoch.0);
    let disk = format!("logged {logged}, durable {durable}, epochs {accepted} {current}");
    let Some(process) = &node.process else { return format!("down; {disk}") };
    let applied = process.replica.tree_view().summary().last_applied;
    format!("{:?}, applied {applied}, {disk}", process.replica.stats().role())
}

/// A leader's packet in a line.
pub(super) fn describe(packet: &LeaderPacket) -> String {
    match packet {
        LeaderPacket::Proposals { batch, first } => {
            format!("Proposals {first} to {}", batch.last_zxid().unwrap_or(*first))
        }
        LeaderPacket::Committed { first, last, .. } => format!("Committed {first} to {last}"),
        LeaderPacket::Informs { first, last, .. } => format!("Informs {first} to {last}"),
        packet => format!("{packet:?}"),
    }
}
