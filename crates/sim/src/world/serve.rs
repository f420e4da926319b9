//! The servers' side of the world: connections of clients, and the owner of the replica.

use std::net::IpAddr;

use replica::{Effect, FrontId, Input};
use types::{ConnId, Instant};
use wire::frame;
use wire::limits::FRAME_BYTES_MAX;
use wire::reply::ReplyHeader;

use super::client::Phase;
use super::link::{Caller, End, Link, LinkId, Pipe};
use super::node::{Life, NodeId};
use super::process::{LogJob, Process, SnapshotJob};
use super::{Happening, World, steps};
use crate::checkers::Violation;

impl World {
    /// Accepts a connection of a client.
    pub(super) fn accept(
        &mut self,
        node: NodeId,
        client: Option<Caller>,
        address: [u8; 4],
    ) -> Option<LinkId> {
        let now = self.now(node);
        let fronts = self.plan.fronts;
        let front = FrontId(self.agenda.tape.index(fronts));
        let process = self.nodes[node].process.as_mut()?;
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let conn = Some(process.accept(now, front, IpAddr::from(address), id));
        let (to_server, to_client) = (Pipe::default(), Pipe::default());
        let (held_until, left_by) = (Instant::default(), None);
        let link = Link { client, held_until, left_by, node, front, conn, to_server, to_client };
        self.links.insert(id, link);
        Some(id)
    }

    /// A piece of bytes, or the end, arrives at the server.
    pub(super) fn arrive_at_server(&mut self, id: LinkId) {
        let Some((node, held_until)) = self.links.get(&id).map(|it| (it.node, it.held_until))
        else {
            return;
        };
        let now = self.now(node);
        let due = self.nodes[node].paused_until.max(held_until);
        if self.agenda.now() < due {
            self.agenda.at(due, Happening::ToServer(id));
            return;
        }
        if self.is_serving_leader(node) && self.lie_in_wait_for_leader(node, id) {
            return self.arrive_at_server(id);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.to_server.is_due = false;
        let (front, Some(conn), Some(process)) =
            (link.front, link.conn, &mut self.nodes[node].process)
        else {
            return;
        };
        if link.to_server.is_over() {
            process.fronts[front.0].closed(conn);
            self.forget_server_side(id, front, conn);
            self.forward(node, front);
            return;
        }
        if !process.fronts[front.0].wants_bytes(conn) {
            link.to_server.is_held = true;
            return;
        }
        let bytes = piece(&mut self.agenda.tape, self.plan.faults.chunks, &mut link.to_server);
        if link.left_by.is_some_and(|client| self.clients[client].phase == Phase::Online) {
            link.left_by = None;
            self.counters.count("late word of an earlier connection of a client");
        }
        process.fronts[front.0].receive(now, conn, &bytes);
        self.note_sign_of_life(node, id);
        self.forward(node, front);
        self.flush(node, front);
        self.plan_arrival_at_server(id);
    }

    /// A frontend works off its mail.
    pub(super) fn collect(&mut self, life: Life, front: FrontId) {
        let node = life.node;
        let now = self.now(node);
        if self.agenda.now() < self.nodes[node].paused_until {
            self.agenda.at(self.nodes[node].paused_until, Happening::Collect(life, front));
            return;
        }
        let Some(process) = self.nodes[node].living(life) else {
            return;
        };
        process.fronts[front.0].collect(now);
        self.forward(node, front);
        self.flush(node, front);
        let held: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.node == node && link.front == front && link.to_server.is_held)
            .map(|(&id, _)| id)
            .collect();
        for id in held {
            self.plan_arrival_at_server(id);
        }
    }

    /// The owner works off its inputs.
    pub(super) fn step(&mut self, life: Life) -> Result<(), Violation> {
        let node = life.node;
        let (time, now) = (self.agenda.now(), self.now(node));
        let paused_until = self.nodes[node].paused_until;
        let Some(process) = self.nodes[node].living(life) else { return Ok(()) };
        if process.next_step.is_none_or(|planned| planned > time) {
            // Another entry for the same step came first.
            return Ok(());
        }
        if time < paused_until {
            process.next_step = Some(paused_until);
            self.agenda.at(paused_until, Happening::Step(life));
            return Ok(());
        }
        process.next_step = None;
        process.step(now);
        while let Some(effect) =
            self.nodes[node].process.as_mut().and_then(|it| it.effects.pop_front())
        {
            if self.crash_point(node, steps::before(&effect)) {
                return Ok(());
            }
            self.carry_out(node, effect)?;
        }
        self.check_learners(node)?;
        if let Some(process) = &self.nodes[node].process {
            let deadline = process.replica.next_deadline();
            self.plan_step(node, self.nodes[node].clock.when(deadline));
        }
        Ok(())
    }

    fn carry_out(&mut self, node: NodeId, effect: Effect) -> Result<(), Violation> {
        let instant = self.agenda.now();
        let thread = self.plan.delays.thread;
        let life = self.nodes[node].life;
        match effect {
            Effect::Append(batch) => {
                if self.plan.servers.are_ensemble() {
                    self.record.logs(instant, life, &batch)?;
                }
                self.plan_log(node, LogJob::Append(instant, batch));
                if self.is_leading(node) {
                    self.lie_in_wait_for_branch(node);
                }
                if self.plan.servers.are_changing() && self.is_changing() {
                    self.lie_in_wait_for_change(node);
                }
            }
            Effect::RollLog => self.plan_log(node, LogJob::Roll),
            Effect::BeginSnapshot(head) => self.plan_snapshot(node, SnapshotJob::Begin(head)),
            Effect::SnapshotPart(bytes) => self.plan_snapshot(node, SnapshotJob::Part(bytes)),
            Effect::EndSnapshot { last_applied, digest } => {
                self.plan_snapshot(node, SnapshotJob::End { last_applied, digest });
            }
            Effect::AbandonSnapshot => self.plan_snapshot(node, SnapshotJob::Abandon),
            // Nobody asks to look inside.
            Effect::Inspected(_) => {}
            Effect::Peer(effect) => self.carry_out_of_peer(node, effect)?,
            Effect::Packets { link, bytes } => {
                self.check_signs_of_life(node, link, &bytes)?;
                self.send_to_server(link, &bytes);
            }
            Effect::StreamHead { link, last_applied, head } => {
                self.begin_stream(node, link, last_applied, &head)?;
            }
            Effect::StreamPart { link, bytes } => self.go_on_with_stream(link, &bytes),
            Effect::StreamEnd { link } => self.end_stream(node, link),
            Effect::Wake(front) => self.agenda.within(thread, Happening::Collect(life, front)),
        }
        Ok(())
    }

    /// Sends what a frontend has to send, in one or two pieces.
    fn flush(&mut self, node: NodeId, front: FrontId) {
        let is_leading = self.is_leading(node);
        let Some(process) = &mut self.nodes[node].process else { return };
        let (mut touched, mut is_answering) = (Vec::new(), false);
        process.fronts[front.0].take_touched(&mut touched);
        for conn in touched {
            let Some(process) = &mut self.nodes[node].process else { return };
            let Some(&id) = process.links.get(&(front, conn)) else { continue };
            let Some(link) = self.links.get_mut(&id) else { continue };
            let frontend = &mut process.fronts[front.0];
            if is_leading && link.client.is_some() && has_answers(frontend.output(conn)) {
                is_answering = true;
            }
            let bytes = frontend.output(conn).len();
            link.to_client.push(frontend.output(conn));
            let first = match bytes {
                2.. if self.agenda.tape.chance(self.plan.faults.chunks) => {
                    self.agenda.tape.index(bytes)
                }
                _ => bytes,
            };
            let mut is_over = frontend.sent(conn, first);
            if first < bytes {
                is_over = frontend.sent(conn, bytes - first);
            }
            if is_over {
                frontend.closed(conn);
                link.to_client.close(End::Closed);
                self.forget_server_side(id, front, conn);
                self.forward(node, front);
            }
            self.plan_arrival_at_client(id);
        }
        if is_answering {
            self.note_answers(node);
        }
    }

    fn forget_server_side(&mut self, id: LinkId, front: FrontId, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&id) {
            if let Some(process) = &mut self.nodes[link.node].process {
                process.links.remove(&(front, conn));
            }
            link.conn = None;
            if link.client.is_none() {
                self.links.remove(&id);
            }
        }
    }

    fn forward(&mut self, node: NodeId, front: FrontId) {
        if let Some(process) = &mut self.nodes[node].process {
            process.forward(front);
            self.plan_step_soon(node);
        }
    }

    pub(super) fn tell_owner(&mut self, node: NodeId, input: Input) {
        if let Some(process) = &mut self.nodes[node].process {
            process.inputs.push(input);
            self.plan_step_soon(node);
        }
    }

    pub(super) fn plan_step_soon(&mut self, node: NodeId) {
        let has_work = |process: &Process| !process.inputs.is_empty() || !process.news.is_empty();
        if self.nodes[node].process.as_ref().is_some_and(has_work) {
            let delay = self.agenda.duration(self.plan.delays.thread);
            self.plan_step(node, self.agenda.now().after(delay));
        }
    }

    pub(super) fn plan_step(&mut self, node: NodeId, at: Instant) {
        let now = self.agenda.now();
        let life = self.nodes[node].life;
        let Some(process) = &mut self.nodes[node].process else { return };
        let at = at.max(now);
        if process.next_step.is_none_or(|planned| planned > at) {
            process.next_step = Some(at);
            self.agenda.at(at, Happening::Step(life));
        }
    }

    pub(super) fn plan_arrival_at_server(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.to_server.is_held = false;
        if link.conn.is_some() && !link.to_server.is_due && link.to_server.has_news() {
            link.to_server.is_due = true;
            self.agenda.within(self.plan.delays.wire, Happening::ToServer(id));
        }
    }

    pub(super) fn plan_arrival_at_client(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.client.is_some() && !link.to_client.is_due && link.to_client.has_news() {
            link.to_client.is_due = true;
            self.agenda.within(self.plan.delays.wire, Happening::ToClient(id));
        }
    }
}

/// Whether a client is told what became of a request of its own, and not only that it is heard.
fn has_answers(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Ok(Some((body, length))) = frame::split(rest, FRAME_BYTES_MAX) {
        if ReplyHeader::decode(body).is_ok_and(|(header, _)| header.xid.0 > 0) {
            return true;
        }
        rest = &rest[length..];
    }
    false
}

/// The piece of a stream that arrives next: all of it, or less.
pub(super) fn piece(tape: &mut crate::tape::Tape, chunks: u64, pipe: &mut Pipe) -> Vec<u8> {
    let bytes = pipe.len();
    let taken = if bytes > 1 && tape.chance(chunks) { 1 + tape.index(bytes) } else { bytes };
    pipe.take(taken)
}
