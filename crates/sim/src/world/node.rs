//! What there is of each server: a machine with its disk and its clock, and the process that runs on
//! it at times.

use std::ops::{Index, IndexMut};
use std::path::PathBuf;

use storage::SimulatedDisk;
use types::{Epoch, Instant, Sid};

use super::clock::MachineClock;
use super::ledger::Ledger;
use super::membership_file;
use super::process::Process;
use super::steps::Doom;

/// One of the servers of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct NodeId(pub(super) usize);

impl NodeId {
    /// The id that the server has in its configuration.
    pub(super) fn sid(self) -> Sid {
        Sid(i64::try_from(self.0).map_or(i64::MAX, |index| index + 1))
    }

    /// The server of an id.
    pub(super) fn of(sid: Sid) -> Self {
        Self(usize::try_from(sid.0 - 1).unwrap_or(usize::MAX))
    }
}

/// Which run of the process of which server: what is on the agenda for an earlier one is void.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Life {
    /// Whose.
    pub(super) node: NodeId,
    /// How many came before.
    pub(super) number: u32,
}

impl Life {
    pub(super) fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }
}

/// One server.
pub(super) struct Node {
    pub(super) disk: SimulatedDisk,
    /// `None` while it is down.
    pub(super) process: Option<Process>,
    pub(super) life: Life,
    /// What it gave to its log.
    pub(super) ledger: Ledger,
    /// The failure of the disk that was planned and not yet taken back, by its name in the matrix.
    pub(super) planned_disk_fault: Option<&'static str>,
    /// Whether that is to strike in what the disk does now, or not at all.
    pub(super) is_waited_for: bool,
    /// What happens to the machine when a planned failure of the disk strikes.
    pub(super) disk_fault_is_power_loss: bool,
    /// Effects, writes and syncs until the process dies, and the name of that in the matrix.
    pub(super) crash_in: Option<(u64, &'static str)>,
    /// The step at which that begins to be counted.
    pub(super) doom: Option<Doom>,
    /// Nobody there can say that no process is there.
    pub(super) is_without_power: bool,
    /// It stays down while the clients are served for the last time.
    pub(super) is_away: bool,
    /// An operator has not switched it on yet, or has switched it off.
    pub(super) is_off: bool,
    /// The process stands still until then.
    pub(super) paused_until: Instant,
    pub(super) clock: MachineClock,
    /// The epoch that its disk has last said to be accepted, durably.
    pub(super) accepted_epoch: Epoch,
    /// The epoch that its disk has last said to be the current one, durably.
    pub(super) current_epoch: Epoch,
    /// Its disk takes its time until then.
    pub(super) slow_until: Instant,
    /// Since which of its lives it may have forgotten what it has acknowledged, in spite of a disk
    /// that did what it said. Over once a leader has brought it to its history.
    pub(super) forgetful_since: Option<u32>,
    /// Whether it has got an empty disk in place of its own.
    pub(super) has_lost_disk: bool,
    /// Files that have changed on its disk. As long as one is there it may be found at any start.
    pub(super) rotten: Vec<PathBuf>,
    /// Whether a file has changed on its disk. The gap that it leaves outlives it.
    pub(super) has_rotted: bool,
}

impl Node {
    pub(super) fn new(id: NodeId, ledger: Ledger, clock: MachineClock) -> Self {
        Self {
            disk: SimulatedDisk::new(),
            process: None,
            life: Life { node: id, number: 0 },
            ledger,
            planned_disk_fault: None,
            is_waited_for: false,
            disk_fault_is_power_loss: false,
            crash_in: None,
            doom: None,
            is_without_power: false,
            is_away: false,
            is_off: false,
            paused_until: Instant::default(),
            clock,
            accepted_epoch: Epoch::default(),
            current_epoch: Epoch::default(),
            slow_until: Instant::default(),
            forgetful_since: None,
            has_lost_disk: false,
            rotten: Vec::new(),
            has_rotted: false,
        }
    }

    /// The process, if this is still its life.
    pub(super) fn living(&mut self, life: Life) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.life == life)
    }

    /// Whether there is anything on its disk.
    pub(super) fn is_prepared(&self) -> bool {
        membership_file::is_there(&self.disk)
    }

    pub(super) fn take_back_disk_faults(&mut self) {
        self.disk.faults().clear();
        self.planned_disk_fault = None;
        self.is_waited_for = false;
    }
}

/// All servers of a run.
pub(super) struct Nodes(Vec<Node>);

impl Nodes {
    pub(super) fn new(nodes: impl IntoIterator<Item = Node>) -> Self {
        Self(nodes.into_iter().collect())
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.0.len()).map(NodeId)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }
}

impl Index<NodeId> for Nodes {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.0[id.0]
    }
}

impl IndexMut<NodeId> for Nodes {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.0[id.0]
    }
}
