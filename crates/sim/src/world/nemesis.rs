//! What goes wrong, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use replica::Input;
use storage::{Fault as DiskFault, FaultKind, Operation};

use super::death::Death;
use super::disk_matrix::DiskFailure;
use super::link::{End, LinkId};
use super::matrix::{self, Comes, FAULTS};
use super::network::far;
use super::node::NodeId;
use super::plan::NemesisIs;
use super::{Happening, World};
use crate::checkers::Violation;
use crate::history::Fault;

/// Twenty years.
const WALL_JUMP_MS_MAX: u64 = 20 * 365 * 24 * 3_600_000;

/// In how many of 1000 cases it is the leader that is separated from all others: what it proposes then
/// is cut off later.
const ALONE_PERMILLE: u64 = 400;
/// In how many of 1000 cases the others notice that at once.
const LEFT_PERMILLE: u64 = 500;
/// In how many of 1000 cases what goes wrong does so where the leader is, if there was one.
const LEADER_PERMILLE: u64 = 250;

impl World {
    /// Something goes wrong, if it is time for that.
    pub(super) fn nemesis(&mut self) -> Result<(), Violation> {
        if self.is_peaceful() {
            return Ok(());
        }
        if self.faults_left == 0 {
            // Nobody else might, and clients whom no server serves would never be done.
            self.join_all();
            return Ok(());
        }
        self.faults_left -= 1;
        let weights = self.plan.faults.weights();
        if weights.iter().any(|&weight| weight > 0) {
            let fault = self.agenda.tape.weighted(&weights);
            let node = self.some_victim();
            self.count_if_at_once(fault, node);
            match fault {
                0 => self.strike(node, Death::Killed),
                1 => self.take_power(node),
                2 => {
                    let effects = self.agenda.tape.range(0, 20);
                    self.nodes[node].crash_in = Some((effects, "crash at an effect"));
                }
                3 => self.plan_disk_crash(node, 12),
                4 => self.plan_sync_error(node),
                5 => self.plan_full_disk(node),
                6 => self.plan_snapshot_error(node),
                7 => self.cut_a_link(),
                8 => self.silence_a_client(),
                9 => self.jump_the_clock(node),
                10 => self.pause(node),
                11 => self.tell_owner(node, Input::TakeSnapshot),
                12 => self.send_nonsense(node),
                13 => self.stop(node),
                14 => self.cut_peers(),
                15 => self.separate(),
                16 => self.rot(node)?,
                17 => self.lose_disk(node)?,
                18 => self.doom(node),
                19 => self.black_out(),
                _ => self.slow_down(node),
            }
        }
        // In a quiet spell those who are left come to terms with what has happened.
        let is_quiet = self.agenda.tape.chance(self.plan.faults.quiet_permille);
        let quiet = if is_quiet { self.plan.until_missed() * 2 } else { Duration::ZERO };
        self.agenda.within(self.plan.faults.interval * 2 + quiet, Happening::Nemesis);
        Ok(())
    }

    /// Counts a fault that is there as soon as it is chosen. Others are counted where they strike.
    fn count_if_at_once(&mut self, fault: usize, node: NodeId) {
        let Some((name, Comes::AtOnce)) = FAULTS.get(fault) else { return };
        let roams = self.plan.servers.nemesis == NemesisIs::Roaming;
        // See `take_power`.
        let is_nothing = *name == "power lost" && roams && self.nodes[node].process.is_none();
        if !is_nothing {
            self.count_fault(name, node);
        }
    }

    /// Counts a fault that strikes a server, with what it does.
    pub(super) fn count_fault(&mut self, name: &'static str, node: NodeId) {
        self.count_fault_while(name, matrix::doing(&self.nodes[node]));
    }

    /// Counts a fault that strikes a server while it does something.
    pub(super) fn count_fault_while(&mut self, name: &'static str, doing: &'static str) {
        let kind = self.plan.servers.kind();
        if matrix::why_never(kind, name, doing).is_none() {
            self.counters.count_fault(name, doing);
        }
    }

    /// Some server; in an ensemble more often the one that has led last.
    fn some_victim(&mut self) -> NodeId {
        match self.record.last_leader() {
            Some(leader) if self.agenda.tape.chance(LEADER_PERMILLE) => leader.node,
            _ => self.some_node(),
        }
    }

    /// No machine has power.
    fn black_out(&mut self) {
        self.counters.count("power lost everywhere");
        for node in self.nodes.ids() {
            self.count_fault("power lost everywhere", node);
            self.strike(node, Death::PowerLost);
        }
    }

    /// A machine loses its power. Where the nemesis roams, only one on which a process runs.
    fn take_power(&mut self, node: NodeId) {
        let is_down = self.nodes[node].process.is_none();
        if is_down && self.plan.servers.nemesis == NemesisIs::InWait {
            self.lose_power(node);
            self.nodes[node].is_without_power = true;
        }
        self.strike(node, Death::PowerLost);
    }

    fn strike(&mut self, node: NodeId, death: Death) {
        if self.nodes[node].process.is_some() {
            self.die(node, death);
        }
    }

    /// Power is lost while the disk does something.
    pub(super) fn plan_disk_crash(&mut self, node: NodeId, operations_max: u64) {
        let operation = *self.agenda.tape.pick(&Operation::ALL);
        let after = self.agenda.tape.range(0, operations_max);
        let may_hide = matches!(operation, Operation::Read | Operation::Open);
        if may_hide && self.plan.servers.are_ensemble() && !self.give_up(node) {
            return;
        }
        self.nodes[node].disk_fault_is_power_loss = true;
        let (name_prefix, kind) = (String::new(), FaultKind::Io);
        let fault = DiskFault { operation, name_prefix, after, kind };
        self.add_disk_fault(node, "crash in the disk", fault);
    }

    /// Power is lost in what the disk does now, after so many operations of this kind.
    pub(super) fn lose_power_in(&mut self, node: NodeId, operation: Operation, after: u64) {
        self.nodes[node].disk_fault_is_power_loss = true;
        let name_prefix = String::new();
        let kind = FaultKind::Io;
        let fault = DiskFault { operation, name_prefix, after, kind };
        self.add_disk_fault(node, "crash in the disk", fault);
        self.nodes[node].is_waited_for = true;
    }

    /// The sync fails with which the disk begins now.
    pub(super) fn fail_sync(&mut self, node: NodeId, kind: FaultKind) {
        self.nodes[node].disk_fault_is_power_loss = false;
        let (operation, name_prefix) = (Operation::Sync, String::new());
        let fault = DiskFault { operation, name_prefix, after: 0, kind };
        self.add_disk_fault(node, "sync fails", fault);
        self.note_fault(node, Fault::SyncError);
        self.nodes[node].is_waited_for = true;
    }

    /// The disk has done what it was waited for with: what did not fail then does not fail later.
    pub(super) fn end_wait(&mut self, node: NodeId) {
        let node = &mut self.nodes[node];
        if std::mem::take(&mut node.is_waited_for) && node.disk.faults().clear() > 0 {
            node.planned_disk_fault = None;
        }
    }

    fn plan_sync_error(&mut self, node: NodeId) {
        let kind = *self.agenda.tape.pick(&[FaultKind::Io, FaultKind::PagesDropped]);
        let operation = *self.agenda.tape.pick(&[Operation::Sync, Operation::SyncDir]);
        self.plan_disk_error(node, "sync fails", operation, "", kind);
    }

    fn plan_full_disk(&mut self, node: NodeId) {
        let kind = match self.agenda.tape.weighted(&[3, 1, 1]) {
            0 => FaultKind::NoSpace,
            1 => FaultKind::Short(self.agenda.tape.index(100)),
            _ => FaultKind::Io,
        };
        let operation = *self.agenda.tape.pick(&[Operation::Write, Operation::Create]);
        self.plan_disk_error(node, "disk full", operation, "", kind);
    }

    fn plan_snapshot_error(&mut self, node: NodeId) {
        let operation = *self.agenda.tape.pick(&[
            Operation::Write,
            Operation::Sync,
            Operation::Create,
            Operation::Rename,
        ]);
        let prefix = "unfinished-snapshot";
        self.plan_disk_error(node, "snapshot fails", operation, prefix, FaultKind::NoSpace);
    }

    fn plan_disk_error(
        &mut self,
        node: NodeId,
        name: &'static str,
        operation: Operation,
        prefix: &str,
        kind: FaultKind,
    ) {
        if self.nodes[node].process.is_none() {
            return;
        }
        let after = self.agenda.tape.range(0, 8);
        self.nodes[node].disk_fault_is_power_loss = false;
        let name_prefix = prefix.to_owned();
        self.add_disk_fault(node, name, DiskFault { operation, name_prefix, after, kind });
        let fault = match kind {
            FaultKind::NoSpace | FaultKind::Short(_) => Fault::DiskFull,
            FaultKind::Io | FaultKind::PagesDropped => Fault::SyncError,
        };
        self.note_fault(node, fault);
    }

    /// One of the next operations fails that change something, or power is lost in it.
    pub(super) fn fail_disk_soon(&mut self, node: NodeId) {
        let operation = *self.agenda.tape.pick(&[
            Operation::Unlink,
            Operation::SetLen,
            Operation::Sync,
            Operation::SyncDir,
            Operation::Write,
            Operation::Create,
            Operation::Rename,
        ]);
        let after = self.agenda.tape.range(0, 2);
        let is_power_loss = self.agenda.tape.chance(500);
        self.nodes[node].disk_fault_is_power_loss = is_power_loss;
        let name = match operation {
            _ if is_power_loss => "crash in the disk",
            Operation::Sync | Operation::SyncDir => "sync fails",
            _ => "disk full",
        };
        let name_prefix = String::new();
        let fault = DiskFault { operation, name_prefix, after, kind: FaultKind::Io };
        self.add_disk_fault(node, name, fault);
        self.note_fault(node, Fault::SyncError);
    }

    /// One failure at a time: what a failure means depends on how it was planned. When it strikes, it has this
    /// name in the matrix.
    fn add_disk_fault(&mut self, node: NodeId, name: &'static str, fault: DiskFault) {
        let node = &mut self.nodes[node];
        node.take_back_disk_faults();
        node.disk.faults().add(fault);
        node.planned_disk_fault = Some(name);
    }

    /// Whether the planned failure has struck; it is forgotten then.
    pub(super) fn disk_fault_struck(&mut self, node: NodeId) -> bool {
        let planned = self.nodes[node].planned_disk_fault.take();
        let left = self.nodes[node].disk.faults().clear();
        let Some(name) = planned.filter(|_| left == 0) else { return false };
        self.counters.count("disk operation failed");
        self.count_fault(name, node);
        let is_power_loss = self.nodes[node].disk_fault_is_power_loss;
        if let Some(struck) = self.nodes[node].disk.faults().take_struck() {
            let failure = DiskFailure::new(&struck, is_power_loss);
            self.counters.count_disk_failure(failure, matrix::doing(&self.nodes[node]));
        }
        true
    }

    /// Cuts a connection after any byte, seen by both sides or by one.
    fn cut_a_link(&mut self) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = *self.agenda.tape.pick(&ids);
        let ends = self.draw_ends();
        let Some(link) = self.links.get_mut(&id) else { return };
        link.to_server.cut(&mut self.agenda.tape, ends.0);
        link.to_client.cut(&mut self.agenda.tape, ends.1);
        let node = link.node;
        self.counters.count("connection cut");
        self.count_fault("client cut off", node);
        self.plan_arrival_at_server(id);
        self.plan_arrival_at_client(id);
    }

    /// Cuts a connection between servers.
    fn cut_peers(&mut self) {
        let links = self.network.links();
        if links.is_empty() {
            return;
        }
        let link = *self.agenda.tape.pick(&links);
        let ends = self.draw_ends();
        for (link, end) in [(link, ends.0), (far(link), ends.1)] {
            if let Some(socket) = self.network.socket(link) {
                socket.incoming.cut(&mut self.agenda.tape, end);
                let node = socket.life.node;
                self.count_fault("servers cut off", node);
            }
            self.plan_arrival_from_server(link);
        }
        self.counters.count("connection between servers cut");
    }

    /// Separates some servers from the others, one way or both; or joins all.
    fn separate(&mut self) {
        self.join_all();
        if self.agenda.tape.chance(250) {
            return;
        }
        let count = self.nodes.len();
        let (size, first) = match self.record.last_leader() {
            Some(leader) if self.agenda.tape.chance(ALONE_PERMILLE) => (1, leader.node),
            _ => (1 + self.agenda.tape.index(count - 1), self.some_node()),
        };
        let inside = |id: NodeId| ((id.0 + count - first.0) % count) < size;
        let (from_inside, from_outside) =
            *self.agenda.tape.pick(&[(true, true), (true, true), (true, false), (false, true)]);
        let mut touched = BTreeSet::new();
        // Sometimes one server still reaches both sides.
        let bridge = if self.agenda.tape.chance(250) { Some(self.some_node()) } else { None };
        for from in self.nodes.ids().filter(|&from| Some(from) != bridge) {
            let others = self.nodes.ids().filter(|&to| inside(from) != inside(to));
            for to in others.filter(|&to| Some(to) != bridge) {
                if (inside(from) && from_inside) || (inside(to) && from_outside) {
                    self.network.separate(from, to);
                    touched.extend([from, to]);
                }
            }
        }
        for node in touched {
            self.count_fault("servers separated", node);
        }
        let is_alone = size == 1 && from_inside && from_outside && bridge.is_none();
        if is_alone && self.agenda.tape.chance(LEFT_PERMILLE) {
            self.abandon(first);
        }
        self.counters.count(match (from_inside && from_outside, bridge) {
            (_, Some(_)) => "servers separated but for one",
            (true, None) => "servers separated",
            (false, None) => "servers separated in one direction",
        });
        if self.agenda.tape.chance(500) {
            self.agenda.within(self.plan.until_missed() * 3, Happening::Join);
        }
    }

    /// The others hear at once that their connections to a server that is separated are over. It does not
    /// hear of it: if it leads, they have another leader before it gives up. Some clients come to it meanwhile.
    pub(super) fn abandon(&mut self, node: NodeId) {
        self.turn_away(node);
        self.abandoned = Some(node);
        self.counters.count("server left by all others");
    }

    /// The others hear at once that their connections to a server are over.
    pub(super) fn turn_away(&mut self, node: NodeId) {
        for link in self.network.links() {
            let Some(socket) = self.network.socket(link).filter(|it| it.other == node) else {
                continue;
            };
            let other = socket.life.node;
            self.hang_up(other, link);
        }
    }

    /// Separates a server from all others for a while.
    pub(super) fn leave_alone(&mut self, node: NodeId) {
        for other in self.nodes.ids().filter(|&other| other != node) {
            self.network.separate(node, other);
            self.network.separate(other, node);
        }
        self.agenda.within(self.plan.until_missed() * 3, Happening::Join);
    }

    /// A disk takes its time for a while.
    fn slow_down(&mut self, node: NodeId) {
        let duration = self.agenda.duration(self.plan.timeout() * 4);
        self.nodes[node].slow_until = self.agenda.now().after(duration);
        self.counters.count("disk slow for a while");
        self.note_fault(node, Fault::SlowDisk);
    }

    /// Everything arrives again between all servers.
    pub(super) fn join_all(&mut self) {
        self.abandoned = None;
        self.network.join_all();
        for link in self.network.links() {
            self.plan_arrival_from_server(link);
        }
    }

    /// How the two directions of a connection end.
    fn draw_ends(&mut self) -> (End, End) {
        *self.agenda.tape.pick(&[
            (End::Closed, End::Closed),
            (End::Closed, End::Closed),
            (End::Silent, End::Closed),
            (End::Closed, End::Silent),
            (End::Silent, End::Silent),
        ])
    }

    fn silence_a_client(&mut self) {
        let at = self.agenda.tape.index(self.clients.len());
        let link = self.clients[at].link.and_then(|link| self.links.get(&link));
        if let Some(node) = link.map(|link| link.node) {
            self.count_fault("client silent", node);
        }
        let timeout = self.plan.timeout();
        let silence = self.agenda.duration(timeout * 3);
        self.clients[at].silent_until = self.agenda.now().after(silence);
        self.counters.count("client silenced");
    }

    fn jump_the_clock(&mut self, node: NodeId) {
        let jump = i64::try_from(self.agenda.tape.magnitude(1, WALL_JUMP_MS_MAX)).unwrap_or(0);
        let jump = if self.agenda.tape.chance(500) { -jump } else { jump };
        // Never beyond what any clock shows: the sum of all jumps stays within forty years.
        let clock = &mut self.nodes[node].clock;
        let offset = clock.wall_offset_ms.saturating_add(jump);
        let bound = i64::try_from(2 * WALL_JUMP_MS_MAX).unwrap_or(i64::MAX);
        clock.wall_offset_ms = offset.clamp(-bound, bound);
        self.counters.count("wall clock jumped");
        self.note_fault(node, Fault::WallClock(jump));
    }

    pub(super) fn pause(&mut self, node: NodeId) {
        let longest = match self.plan.servers.are_ensemble() && self.agenda.tape.chance(500) {
            true => self.plan.until_missed() * 2,
            false => self.plan.timeout() * 2,
        };
        let pause = self.agenda.duration(longest);
        self.nodes[node].paused_until = self.agenda.now().after(pause);
        self.counters.count("process paused");
        self.note_fault(node, Fault::Pause);
    }

    /// The process stands still as long as an election takes, and maybe longer.
    pub(super) fn sleep(&mut self, node: NodeId) {
        let election = self.plan.until_elected();
        let sleep = election + self.agenda.duration(election);
        self.nodes[node].paused_until = self.agenda.now().after(sleep);
        self.counters.count("leader put to sleep");
        self.note_fault(node, Fault::Pause);
    }

    /// Somebody sends what no client sends.
    fn send_nonsense(&mut self, node: NodeId) {
        let Some(link) = self.accept(node, None, [10, 9, 9, 9]) else { return };
        let length = self.agenda.tape.range(0, 64);
        let mut bytes: Vec<u8> = match self.agenda.tape.weighted(&[1, 1, 1, 1]) {
            0 => Vec::new(),
            1 => (-1_i32).to_be_bytes().to_vec(),
            2 => i32::MAX.to_be_bytes().to_vec(),
            _ => i32::try_from(length).unwrap_or(0).to_be_bytes().to_vec(),
        };
        bytes.extend((0..length).map(|_| self.agenda.tape.byte()));
        self.counters.count("nonsense sent");
        self.send(link, &bytes);
        if let Some(it) = self.links.get_mut(&link) {
            it.to_server.close(End::Closed);
        }
    }
}
