//! Who changes the membership: an operator, who switches servers on and off, and asks for others to be
//! in the ensemble, or for other roles.
//!
//! The operator is a client like any other, with a session, requests that can get lost, and answers that
//! the checkers look at. What can not be done is asked for as well.

use types::membership::{Member, Membership, Role};
use types::{ErrorCode, Op, ReconfigRequest, Write};

use super::client::{Client, Role as Work};
use super::node::NodeId;
use super::{Happening, World};
use crate::history::Fault;

/// The quorum ports that servers have, in turn: one that gets another has moved.
const QUORUM_PORTS: [u16; 2] = [2888, 2889];

impl World {
    /// Whether the operator has heard what became of each request: otherwise there may still be another
    /// membership.
    pub(super) fn is_every_change_decided(&self) -> bool {
        let is_open = |client: &Client| {
            client.role == Work::Operator && (client.is_in_doubt || client.outstanding() > 0)
        };
        !self.clients.iter().any(is_open)
    }

    /// The operator does something, unless an answer is due.
    pub(super) fn operate(&mut self, at: usize) {
        let client = &self.clients[at];
        if client.outstanding() > 0 {
            return;
        }
        if client.made >= self.plan.changes {
            self.ping_if_idle(at);
            return;
        }
        match self.agenda.tape.weighted(&[6, 2, 1]) {
            0 => {
                self.ask_for_change(at);
                if self.agenda.tape.chance(150) {
                    self.ask_for_change(at);
                }
            }
            1 => self.switch_on_some(),
            _ => self.switch_off_some(),
        }
    }

    /// Everybody who was ever in the ensemble, or is to be, runs.
    pub(super) fn switch_all_on(&mut self) {
        for node in self.off() {
            self.switch_on(node);
        }
    }

    fn switch_on_some(&mut self) {
        let off = self.off();
        if !off.is_empty() {
            let node = *self.agenda.tape.pick(&off);
            self.switch_on(node);
        }
    }

    fn off(&self) -> Vec<NodeId> {
        self.nodes.ids().filter(|&node| self.nodes[node].is_off).collect()
    }

    fn switch_on(&mut self, node: NodeId) {
        if !self.nodes[node].is_prepared() {
            self.found_spare(node);
        }
        self.counters.count("server switched on");
        self.note_fault(node, Fault::SwitchedOn);
        self.nodes[node].is_off = false;
        let life = self.nodes[node].life;
        self.agenda.at(self.agenda.now(), Happening::Start(life));
    }

    /// Switches off somebody who is no member, as far as the operator knows.
    fn switch_off_some(&mut self) {
        let membership = self.in_force();
        let is_idle = |&node: &NodeId| {
            self.nodes[node].process.is_some() && membership.find(node.sid()).is_none()
        };
        let idle: Vec<_> = self.nodes.ids().filter(is_idle).collect();
        if idle.is_empty() {
            return;
        }
        let node = *self.agenda.tape.pick(&idle);
        self.counters.count("server switched off");
        self.stop(node);
        self.nodes[node].is_off = true;
    }

    fn ask_for_change(&mut self, at: usize) {
        let membership = self.in_force();
        let request = match self.agenda.tape.weighted(&[5, 4, 3, 2, 2, 1]) {
            0 => self.joining(&membership),
            1 => self.leaving(&membership),
            2 => self.role_change(&membership),
            3 => self.moving(&membership),
            4 => {
                let ReconfigRequest { joining, .. } = self.joining(&membership);
                ReconfigRequest { joining, ..self.leaving(&membership) }
            }
            _ => self.whole(),
        };
        let based_on = match self.agenda.tape.weighted(&[7, 2, 1]) {
            0 => None,
            1 => Some(membership.version().0).filter(|&version| version != 0),
            _ => Some(1),
        };
        self.counters.count("change of the membership asked for");
        self.clients[at].made += 1;
        self.ask(at, Op::Write(Write::Reconfig(Box::new(ReconfigRequest { based_on, ..request }))));
    }

    fn joining(&mut self, membership: &Membership) -> ReconfigRequest<'static> {
        let is_stranger = |node: &NodeId| membership.find(node.sid()).is_none();
        let strangers: Vec<_> = self.nodes.ids().filter(is_stranger).collect();
        let running = |node: &NodeId| self.nodes[*node].process.is_some();
        // Mostly somebody who can follow.
        let mut able: Vec<_> = strangers.iter().copied().filter(running).collect();
        if able.is_empty() || self.agenda.tape.chance(100) {
            able = strangers;
        }
        if able.is_empty() {
            return self.role_change(membership);
        }
        let node = *self.agenda.tape.pick(&able);
        let role = *self.agenda.tape.pick(&[Role::Voter, Role::Voter, Role::Observer]);
        join(node, role, QUORUM_PORTS[0])
    }

    fn leaving(&mut self, membership: &Membership) -> ReconfigRequest<'static> {
        let member = self.some_member(membership);
        ReconfigRequest { leaving: Some(member.sid.0.to_string().into()), ..nothing() }
    }

    fn role_change(&mut self, membership: &Membership) -> ReconfigRequest<'static> {
        let member = self.some_member(membership);
        let role = match member.role {
            Role::Voter => Role::Observer,
            Role::Observer => Role::Voter,
        };
        join(NodeId::of(member.sid), role, port(&member))
    }

    fn moving(&mut self, membership: &Membership) -> ReconfigRequest<'static> {
        let member = self.some_member(membership);
        let other = QUORUM_PORTS.into_iter().find(|&it| it != port(&member));
        join(NodeId::of(member.sid), member.role, other.unwrap_or(QUORUM_PORTS[0]))
    }

    /// Anybody, in any role.
    fn whole(&mut self) -> ReconfigRequest<'static> {
        let mut lines = Vec::new();
        for node in self.nodes.ids() {
            match self.agenda.tape.weighted(&[3, 1, 1]) {
                0 => lines.push(line(node, Role::Voter, QUORUM_PORTS[0])),
                1 => lines.push(line(node, Role::Observer, QUORUM_PORTS[0])),
                _ => {}
            }
        }
        ReconfigRequest { new_members: Some(lines.join(",").into()), ..nothing() }
    }

    /// Some member; more often the one that has led last.
    fn some_member(&mut self, membership: &Membership) -> Member {
        let leader = self.record.last_leader().and_then(|life| membership.find(life.node.sid()));
        match leader {
            Some(leader) if self.agenda.tape.chance(400) => leader.clone(),
            _ => {
                let members: Vec<_> = membership.members().cloned().collect();
                self.agenda.tape.pick(&members).clone()
            }
        }
    }
}

/// What an answer to a request for another membership is counted as.
pub(super) fn outcome(refusal: Option<ErrorCode>) -> &'static str {
    match refusal {
        None => "change of the membership answered well",
        Some(ErrorCode::NewConfigNoQuorum) => "change refused: no quorum follows",
        Some(ErrorCode::ReconfigInProgress) => "change refused: one is under way",
        Some(ErrorCode::BadVersion) => "change refused: of another version",
        Some(ErrorCode::BadArguments) => "change refused: too few voters",
        Some(ErrorCode::NoAuth) => "change refused: of somebody else",
        Some(_) => "change refused otherwise",
    }
}

fn nothing() -> ReconfigRequest<'static> {
    ReconfigRequest { joining: None, leaving: None, new_members: None, based_on: None }
}

fn join(node: NodeId, role: Role, port: u16) -> ReconfigRequest<'static> {
    ReconfigRequest { joining: Some(line(node, role, port).into()), ..nothing() }
}

fn line(node: NodeId, role: Role, port: u16) -> String {
    let sid = node.sid().0;
    format!("server.{sid}=s{sid}:{port}:3888:{role};2181")
}

fn port(member: &Member) -> u16 {
    member.addresses().first().map_or(QUORUM_PORTS[0], |address| address.quorum_port)
}
