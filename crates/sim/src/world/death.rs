//! How processes end, and what becomes of what they had.

use std::time::Duration;

use super::invariants::voters;
use super::link::End;
use super::network::far;
use super::node::{Node, NodeId};
use super::process::Process;
use super::steps::Fate;
use super::{Happening, World};
use crate::history::Fault;

/// How a process comes to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Death {
    /// It alone: its files stay as they are.
    Killed,
    /// The whole machine.
    PowerLost,
}

impl World {
    /// A moment at which the process can die; tells whether it did.
    pub(super) fn crash_point(&mut self, node: NodeId, place: &'static str) -> bool {
        if let Some(fate) = self.fate_at(node, place) {
            self.befall(node, fate);
        }
        let it = &mut self.nodes[node];
        let Some((left, fault)) = &mut it.crash_in else { return false };
        if *left > 0 {
            *left -= 1;
            return false;
        }
        let fault = *fault;
        it.crash_in = None;
        self.counters.count(place);
        self.count_fault(fault, node);
        let death = if self.agenda.tape.chance(700) { Death::PowerLost } else { Death::Killed };
        self.die(node, death);
        true
    }

    /// Something happens at a step.
    pub(super) fn befall(&mut self, node: NodeId, fate: Fate) {
        match fate {
            Fate::Dies(effects) => {
                self.nodes[node].crash_in = Some((effects, "crash at a step"));
            }
            Fate::DiskFails => self.fail_disk_soon(node),
            Fate::StandsStill => {
                self.counters.count("stood still at a step");
                self.count_fault("stands still", node);
                self.pause(node);
            }
            Fate::IsAlone => {
                self.counters.count("alone from a step on");
                self.count_fault("servers separated", node);
                self.leave_alone(node);
            }
        }
    }

    /// The process dies, and is started again some time later.
    pub(super) fn die(&mut self, node: NodeId, death: Death) {
        let delay = self.agenda.duration(self.plan.tick * 4);
        self.count_crash(node);
        if self.nodes[node].process.as_ref().is_some_and(Process::is_writing_snapshot) {
            self.counters.count("crash while a snapshot is written");
        }
        match death {
            Death::Killed => {
                self.counters.count("process killed");
                self.note_fault(node, Fault::Crash);
                self.nodes[node].disk.kill();
                self.bury(node, death);
            }
            Death::PowerLost => {
                self.lose_power(node);
                self.nodes[node].is_without_power = true;
            }
        }
        let it = &mut self.nodes[node];
        it.crash_in = None;
        it.doom = None;
        it.take_back_disk_faults();
        it.life = it.life.next();
        let start = self.agenda.now().after(delay + Duration::from_millis(2));
        self.agenda.at(start, Happening::Start(it.life));
        if !self.is_peaceful() && self.agenda.tape.chance(100) {
            self.plan_disk_crash(node, 30);
        }
    }

    /// Counts a crash by the step that was taken last, and by what else is under way.
    fn count_crash(&mut self, node: NodeId) {
        let Some(process) = &self.nodes[node].process else { return };
        let step = process.way.step();
        let is_voter = voters(&self.in_force()).any(|voter| voter == node);
        if let Some(step) = step.filter(|_| is_voter) {
            self.counters.count(step.crash());
        }
        if self.is_changing() {
            self.counters.count("crash while the membership changes");
        }
    }

    pub(super) fn lose_power(&mut self, node: NodeId) {
        self.counters.count("power lost");
        self.note_fault(node, Fault::PowerLoss);
        let Self { nodes, agenda, .. } = self;
        nodes[node].disk.crash(&mut |bound: u64| agenda.tape.range(0, bound - 1));
        self.bury(node, Death::PowerLost);
    }

    /// Removes what is left of the process; its handles of the disk are dead already.
    fn bury(&mut self, node: NodeId, death: Death) {
        let it = &mut self.nodes[node];
        if it.process.as_ref().is_some_and(Process::is_writing_snapshot) {
            // Dropping the writer would still remove its file, which a dead process can not.
            it.disk.faults().add(storage::Fault {
                operation: storage::Operation::Unlink,
                name_prefix: String::new(),
                after: 0,
                kind: storage::FaultKind::Io,
            });
        }
        it.process = None;
        it.take_back_disk_faults();
        let ids = self.links.iter().filter(|(_, link)| link.node == node).map(|(&id, _)| id);
        for id in ids.collect::<Vec<_>>() {
            let Some(link) = self.links.get_mut(&id) else { continue };
            if link.conn.take().is_some() {
                link.to_client.cut(&mut self.agenda.tape, End::Closed);
                self.plan_arrival_at_client(id);
            }
        }
        self.bury_sockets(node, death);
    }

    /// Ends the connections with other servers, after some of what was sent. The system says so to
    /// the others; a machine that has lost its power mostly does not.
    fn bury_sockets(&mut self, node: NodeId, death: Death) {
        let told_permille = match death {
            Death::Killed => 900,
            Death::PowerLost => 400,
        };
        for link in self.network.links_of(node) {
            if let Some(socket) = self.network.socket(far(link)) {
                let is_told = self.agenda.tape.chance(told_permille);
                let end = if is_told { End::Closed } else { End::Silent };
                // What a process has sent outlives it.
                match death == Death::Killed && self.agenda.tape.chance(500) {
                    true => socket.incoming.close(end),
                    false => socket.incoming.cut(&mut self.agenda.tape, end),
                }
            }
            self.network.close(link);
            self.plan_arrival_from_server(far(link));
        }
    }

    /// An orderly stop.
    pub(super) fn stop(&mut self, node: NodeId) {
        let Some(process) = self.nodes[node].process.take() else { return };
        self.counters.count("stopped in order");
        self.note_fault(node, Fault::Exit);
        let closed = process.close();
        if closed.is_err() {
            self.counters.count("failed while stopping");
        }
        self.die(node, Death::Killed);
    }
}

impl Node {
    /// What a planned failure of the disk means for who meets it.
    pub(super) fn death_by_disk(&self) -> Death {
        if self.disk_fault_is_power_loss { Death::PowerLost } else { Death::Killed }
    }
}
