//! What servers of an ensemble do with each other: connect, talk, and hang up.

use types::{Epoch, Sid, Zxid};
use wire::election::{Hello, LastLogged, Notification};
use wire::frame;
use wire::limits::{ELECTION_MESSAGE_BYTES_MAX, PACKET_BYTES_MAX};
use wire::quorum::{ToLeader, ToLearner};
use zab::{CallFailure, Link};

use super::invariants::Conversation;
use super::network::{Port, Socket, Speech, far};
use super::node::{Life, NodeId};
use super::process::{Admission, Change, KeeperJob, LogJob, News, Process};
use super::receiver::StreamPart;
use super::serve::piece;
use super::way::{Assent, Step};
use super::{Happening, World, packets, steps, trace};
use crate::checkers::{Promise, Violation};
use crate::history::Fault;

/// A connection on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    pub(super) from: Life,
    pub(super) to: NodeId,
    pub(super) port: Port,
    /// Which attempt to reach a leader it is.
    pub(super) attempt: u64,
    /// What happens if the other can not be reached.
    pub(super) patience: Patience,
}

/// Whether somebody who does not answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    Some,
    None,
}

/// In how many of 1000 cases the end of a connection arrives with its last bytes.
const END_WITH_BYTES_PERMILLE: u64 = 300;

impl World {
    /// Does what the protocol between servers wants.
    pub(super) fn carry_out_of_peer(
        &mut self,
        node: NodeId,
        effect: zab::Effect,
    ) -> Result<(), Violation> {
        match effect {
            zab::Effect::Call { to, .. } => self.dial(node, to, Port::Election),
            zab::Effect::ConnectToLeader(leader) => {
                self.turn_back(node);
                self.check_election(node, leader)?;
                self.dial(node, leader, Port::Quorum);
            }
            zab::Effect::Notify { link, announcement } => {
                self.announce(node, link, announcement)?;
            }
            zab::Effect::Close { link, reason } => {
                if let zab::CloseReason::Misbehaved(how) = &reason {
                    self.excuse(node, how)?;
                }
                self.hang_up(node, link);
            }
            zab::Effect::AdmitLearners => {
                self.turn_back(node);
                self.check_election(node, node.sid())?;
                self.set_admission(node, Admission::Admit);
            }
            zab::Effect::RefuseLearners => self.set_admission(node, Admission::Refuse),
            zab::Effect::LetLearnersWait => {
                self.turn_back(node);
                if let Some(process) = &mut self.nodes[node].process {
                    process.heard.look();
                }
                self.set_admission(node, Admission::Wait);
            }
            zab::Effect::ToLeader { link, packet } => self.tell_leader(node, link, packet)?,
            zab::Effect::ToLearner { link, packet } => self.tell_learner(node, link, &packet)?,
            zab::Effect::StoreAcceptedEpoch(epoch) => {
                self.plan_log(node, LogJob::Change(Change::AcceptEpoch(epoch)));
            }
            zab::Effect::StoreCurrentEpoch(epoch) => {
                let history_end = self.network.history_end(node, epoch);
                self.plan_log(node, LogJob::Change(Change::AdoptEpoch(epoch, history_end)));
            }
            zab::Effect::Truncate(keep) => {
                self.plan_log(node, LogJob::Change(Change::Cut(keep)));
            }
            zab::Effect::ReadLog { link, after, up_to } => {
                self.look_in_log(node, link, after, up_to);
            }
            zab::Effect::ReadOn { link } => self.read_on(node, link),
            zab::Effect::StopReading { link } => self.stop_reading(node, link),
            zab::Effect::StoreMemberships(known) => self.learn_memberships(node, known)?,
            // There are no observer masters and no oracle.
            zab::Effect::ConnectToMaster(_)
            | zab::Effect::AdmitObservers
            | zab::Effect::RefuseObservers
            | zab::Effect::AskOracle => {}
            // The replica keeps these to itself.
            zab::Effect::SendSnapshot { .. }
            | zab::Effect::AnswerPing { .. }
            | zab::Effect::Append(_)
            | zab::Effect::Deliver(_)
            | zab::Effect::Look
            | zab::Effect::Lead { .. }
            | zab::Effect::Follow { .. }
            | zab::Effect::LeadershipConfirmed { .. } => {}
        }
        Ok(())
    }

    fn tell_leader(
        &mut self,
        node: NodeId,
        link: Link,
        packet: zab::LearnerPacket,
    ) -> Result<(), Violation> {
        self.note_packet(node, link, || format!("{packet:?}"));
        self.check_promise(node, link, packet)?;
        self.send_to_server(link, &packets::to_leader(node.sid(), packet));
        if let Some(step) = steps::told_leader(packet) {
            self.take_step(node, step);
        }
        Ok(())
    }

    fn tell_learner(
        &mut self,
        node: NodeId,
        link: Link,
        packet: &zab::LeaderPacket,
    ) -> Result<(), Violation> {
        self.note_packet(node, link, || trace::describe(packet));
        self.note_leading(node, packet)?;
        self.network.answer(link);
        self.send_to_server(link, &packets::to_learner(packet));
        match steps::told_learner(packet) {
            Some(step) => self.take_step(node, step),
            None => self.go_on(node),
        }
        Ok(())
    }

    /// What servers may hold against each other though all are correct.
    fn excuse(&self, node: NodeId, how: &zab::PeerMisbehaved) -> Result<(), Violation> {
        match how {
            zab::PeerMisbehaved::LaterHistory { .. }
            | zab::PeerMisbehaved::StaleEpoch { .. }
            | zab::PeerMisbehaved::LaterMembership { .. } => Ok(()),
            _ => {
                let detail = format!("server {} about another: {how}", node.sid().0);
                Err(Violation::new(Promise::Z15, detail))
            }
        }
    }

    /// Lets a vote say something else than its sender meant. But who has forgotten which epochs it has
    /// accepted goes by what others say of whom they follow: to it that is true.
    fn twist(&mut self, link: Link, announcement: &mut zab::Announcement) {
        if self.is_peaceful() || !self.agenda.tape.chance(self.plan.ensemble.lies_permille) {
            return;
        }
        let hearer = self.network.socket(link).map(|socket| socket.other);
        let has_forgotten =
            hearer.is_some_and(|hearer| self.nodes[hearer].forgetful_since.is_some());
        let truth = announcement.leader;
        self.counters.count("vote that lies");
        match self.agenda.tape.index(3) {
            0 => {
                let voter = NodeId(self.agenda.tape.index(self.plan.servers.voters));
                announcement.leader = if has_forgotten { truth } else { Some(voter.sid()) };
            }
            1 => announcement.epoch = Some(Epoch::default()),
            _ => announcement.last_logged = LastLogged::Zxid(Zxid::ZERO),
        }
    }

    /// Z15: a leader listens to one connection of each learner. What still comes over an earlier one was
    /// said before.
    pub(super) fn check_learners(&self, node: NodeId) -> Result<(), Violation> {
        match self.network.doubly_led_by(node) {
            None => Ok(()),
            Some(learner) => {
                let (leader, learner) = (node.sid().0, learner.sid().0);
                let detail = format!("server {leader} listens to two connections of {learner}");
                Err(Violation::new(Promise::Z15, detail))
            }
        }
    }

    /// A server has decided who leads.
    fn check_election(&mut self, node: NodeId, leader: Sid) -> Result<(), Violation> {
        match &mut self.nodes[node].process {
            Some(Process { heard, memberships, .. }) => heard.decide(node, leader, memberships),
            None => Ok(()),
        }
    }

    /// A server says whom it proposes, or has as its leader.
    fn announce(
        &mut self,
        node: NodeId,
        link: Link,
        mut announcement: zab::Announcement,
    ) -> Result<(), Violation> {
        let votes_lie = self.plan.ensemble.lies_permille > 0;
        if let Some(Process { heard, memberships, .. }) = &mut self.nodes[node].process {
            match heard.say(node, &announcement, memberships) {
                // It may have stood with what others have said of it.
                Err(violation) if violation.promise == Promise::E2 && votes_lie => {}
                result => result?,
            }
        }
        self.twist(link, &mut announcement);
        self.note_packet(node, link, || format!("{announcement:?}"));
        self.send_to_server(link, &packets::notification(&announcement));
        Ok(())
    }

    /// Z2, and what else must be true of who leads.
    fn note_leading(&mut self, node: NodeId, packet: &zab::LeaderPacket) -> Result<(), Violation> {
        match packet {
            zab::LeaderPacket::Diff { .. } => self.counters.count("learner sent a difference"),
            zab::LeaderPacket::Truncate { .. } => self.counters.count("learner told to cut"),
            zab::LeaderPacket::NewLeader { epoch, config } => {
                let Some(process) = &self.nodes[node].process else { return Ok(()) };
                if self.record.leads(process.life, *epoch)? {
                    self.check_beginning(node, *epoch, config)?;
                    self.counters.count("epoch begun");
                    self.depose_others(node);
                    self.note_fault(node, Fault::Leads(*epoch));
                    if self.clients.iter().any(|client| client.outstanding() > 0) {
                        self.counters.count("epoch begun with requests under way");
                    }
                }
            }
            zab::LeaderPacket::UpToDate => {
                self.counters.count("learner up to date");
                let Some(process) = &self.nodes[node].process else { return Ok(()) };
                if let Some(epoch) = self.record.epoch_of(process.life) {
                    self.check_reign(epoch)?;
                }
            }
            &zab::LeaderPacket::LeaderInfo(epoch) => self.check_invitation(node, epoch)?,
            &zab::LeaderPacket::Commits { first, last }
            | &zab::LeaderPacket::Informs { first, last, .. } => {
                self.check_commits(node, first, last)?;
            }
            &zab::LeaderPacket::CommitAndActivate { zxid, designated_leader }
            | &zab::LeaderPacket::InformAndActivate { zxid, designated_leader, .. } => {
                self.check_commits(node, zxid, zxid)?;
                if let Some(process) = &mut self.nodes[node].process {
                    process.heard.designate(designated_leader);
                }
                if designated_leader != node.sid() {
                    self.counters.count("learner told of another leader");
                }
            }
            zab::LeaderPacket::Proposals { .. }
            | zab::LeaderPacket::Committed { .. }
            | zab::LeaderPacket::Ping { .. } => {}
        }
        Ok(())
    }

    fn dial(&mut self, node: NodeId, to: Sid, port: Port) {
        let Some(to) = self.nodes.ids().find(|id| id.sid() == to) else { return };
        let Some(process) = &mut self.nodes[node].process else { return };
        if port == Port::Quorum {
            process.attempts += 1;
        }
        let (from, attempt) = (process.life, process.attempts);
        let dial = Dial { from, to, port, attempt, patience: Patience::Some };
        self.agenda.within(self.plan.delays.wire * 2, Happening::Dial(dial));
    }

    /// A connection is there, or can not be had.
    pub(super) fn connect_servers(&mut self, dial: Dial) {
        let Dial { from, to, port, attempt, patience } = dial;
        let now = self.agenda.now();
        let caller = &mut self.nodes[from.node];
        let paused_until = caller.paused_until;
        let Some(process) = caller.living(from) else { return };
        if port == Port::Quorum && process.attempts != attempt {
            return;
        }
        if now < paused_until {
            self.agenda.at(paused_until, Happening::Dial(dial));
            return;
        }
        let is_cut_off =
            self.network.are_apart(from.node, to) || self.network.are_apart(to, from.node);
        let is_off = self.nodes[to].is_without_power;
        if (is_cut_off || is_off) && patience == Patience::Some {
            let again = Dial { patience: Patience::None, ..dial };
            let wait = self.plan.tick * self.plan.ensemble.sync_limit;
            self.agenda.within(wait, Happening::Dial(again));
            return;
        }
        let called = self.nodes[to].process.as_ref().map(|process| process.life);
        let reason = match called {
            _ if is_cut_off || is_off => Some(CallFailure::Unknown),
            None => Some(CallFailure::Refused),
            Some(_) => None,
        };
        if let Some(reason) = reason {
            self.counters.count("call between servers failed");
            let failed = match port {
                Port::Election => zab::Input::CallFailed { to: to.sid(), reason },
                Port::Quorum => zab::Input::LeaderUnreachable { leader: to.sid() },
            };
            return self.tell_news(from.node, News::Of(failed));
        }
        let Some(called) = called else { return };
        let (near, _) = self.network.connect(from, called, port);
        let news = match port {
            Port::Election => {
                self.send_to_server(near, &packets::hello(from.node.sid()));
                zab::Input::CallThrough { link: near, to: to.sid() }
            }
            Port::Quorum => {
                self.take_step(from.node, Step::LeaderCalled);
                zab::Input::LeaderReached { link: near, leader: to.sid() }
            }
        };
        self.tell_news(from.node, News::Of(news));
    }

    /// Sends bytes to the other side of a connection.
    pub(super) fn send_to_server(&mut self, link: Link, bytes: &[u8]) {
        self.network.send(link, bytes);
        self.plan_arrival_from_server(far(link));
        self.plan_arrival_from_server(link);
    }

    /// A piece of bytes, or the end, arrives in a socket.
    pub(super) fn arrive_from_server(&mut self, link: Link) -> Result<(), Violation> {
        let Some(socket) = self.network.socket(link) else { return Ok(()) };
        let (node, other) = (socket.life.node, socket.other);
        let paused_until = self.nodes[node].paused_until;
        if self.agenda.now() < paused_until {
            self.agenda.at(paused_until, Happening::FromServer(link));
            return Ok(());
        }
        socket.incoming.is_due = false;
        let is_over = socket.incoming.is_over();
        let speech = socket.speech;
        if self.network.are_apart(other, node) {
            return Ok(());
        }
        if speech == Speech::Stranger {
            match self.nodes[node].process.as_ref().map(|process| process.admission) {
                Some(Admission::Admit) => {}
                Some(Admission::Wait) => return Ok(()),
                Some(Admission::Refuse) | None => {
                    self.forget_socket(link);
                    return Ok(());
                }
            }
        }
        if is_over {
            self.hang_up(node, link);
            return Ok(());
        }
        let Some(socket) = self.network.socket(link) else { return Ok(()) };
        if matches!(speech, Speech::Snapshot { is_busy: true }) {
            return Ok(());
        }
        let bytes = piece(&mut self.agenda.tape, self.plan.faults.chunks, &mut socket.incoming);
        socket.inbox.extend(bytes);
        if self.network.is_news_of_earlier(link) {
            self.counters.count("late word of an earlier connection between servers");
        }
        self.work_off(link)?;
        let is_over = self.network.socket(link).is_some_and(|socket| socket.incoming.is_over());
        if is_over && self.agenda.tape.chance(END_WITH_BYTES_PERMILLE) {
            self.hang_up(node, link);
        }
        self.plan_arrival_from_server(link);
        Ok(())
    }

    /// Makes news of what has arrived, as far as it is whole.
    pub(super) fn work_off(&mut self, link: Link) -> Result<(), Violation> {
        let Some(socket) = self.network.socket(link) else { return Ok(()) };
        let node = socket.life.node;
        let mut arrived = Arrived::default();
        let inbox = std::mem::take(&mut socket.inbox);
        let mut taken = 0;
        let result = loop {
            match arrived.read(link, socket, &inbox[taken..]) {
                Ok(Some(bytes)) => taken += bytes,
                Ok(None) => break Ok(()),
                Err(error) => {
                    let detail = format!("server {} was sent nonsense: {error}", node.sid().0);
                    break Err(Violation::new(Promise::NoPanic, detail));
                }
            }
        };
        socket.inbox = inbox[taken..].to_vec();
        let result = result.and_then(|()| arrived.violation.map_or(Ok(()), Err));
        for (place, step) in arrived.steps {
            if self.crash_point(node, place) {
                return result;
            }
            self.note_arrival(node, link, step);
        }
        if arrived.has_part {
            self.take_step(node, Step::HistoryPartCame);
        }
        for assent in arrived.assents {
            let learner = self.network.socket(link).map(|socket| socket.other);
            learner.into_iter().for_each(|learner| self.note_assent(node, learner, assent));
        }
        for part in arrived.parts {
            self.plan_keeper(node, KeeperJob::Receive(part));
        }
        for news in arrived.news {
            self.tell_news(node, news);
        }
        result
    }

    /// A packet of its leader has come to a learner.
    fn note_arrival(&mut self, node: NodeId, link: Link, step: Option<Step>) {
        match step {
            Some(step) => self.take_step(node, step),
            None => self.go_on(node),
        }
        if step == Some(Step::NewLeaderCame)
            && let Some(socket) = self.network.socket(link)
        {
            let way = socket.conversation.way();
            self.counters.count(way);
            if self.network.is_read_for(far(link)) {
                self.counters.count("history from a leader's log");
            }
        }
    }

    /// Closes a connection on one side, and tells the process there.
    pub(super) fn hang_up(&mut self, node: NodeId, link: Link) {
        let Some(port) = self.forget_socket(link) else { return };
        let input = match port {
            Port::Election => zab::Input::ElectionLinkClosed { link },
            Port::Quorum => zab::Input::QuorumLinkClosed { link },
        };
        self.tell_news(node, News::Of(input));
    }

    /// Closes a connection on one side.
    fn forget_socket(&mut self, link: Link) -> Option<Port> {
        let socket = self.network.close(link)?;
        if matches!(socket.speech, Speech::Snapshot { .. }) {
            let part = StreamPart::CutOff { link };
            self.plan_keeper(socket.life.node, KeeperJob::Receive(part));
        }
        self.plan_arrival_from_server(far(link));
        Some(socket.port())
    }

    fn set_admission(&mut self, node: NodeId, admission: Admission) {
        let Some(process) = &mut self.nodes[node].process else { return };
        process.admission = admission;
        for link in self.network.links_of(node) {
            self.plan_arrival_from_server(link);
        }
    }

    pub(super) fn tell_news(&mut self, node: NodeId, news: News) {
        if let Some(process) = &mut self.nodes[node].process {
            process.news.push(news);
            self.plan_step_soon(node);
        }
    }

    /// Lets what is on its way to a socket arrive some time.
    pub(super) fn plan_arrival_from_server(&mut self, link: Link) {
        let Some(socket) = self.network.socket(link) else { return };
        if !socket.incoming.is_due && socket.incoming.has_news() {
            socket.incoming.is_due = true;
            self.agenda.within(self.plan.delays.wire, Happening::FromServer(link));
        }
    }
}

/// What was made of the bytes that have arrived.
#[derive(Debug, Default)]
struct Arrived {
    news: Vec<News>,
    parts: Vec<StreamPart>,
    /// What of a leader has come: where somebody can die, and the step that it is.
    steps: Vec<(&'static str, Option<Step>)>,
    /// Whether bytes of a snapshot have.
    has_part: bool,
    /// What a learner has agreed to.
    assents: Vec<Assent>,
    /// What was said out of turn.
    violation: Option<Violation>,
}

impl Arrived {
    /// Reads what comes first, if it is whole; returns its length.
    fn read(
        &mut self,
        link: Link,
        socket: &mut Socket,
        input: &[u8],
    ) -> Result<Option<usize>, String> {
        let speech = &mut socket.speech;
        match *speech {
            Speech::Hello => {
                let hello = Hello::decode(input).map_err(|error| error.to_string())?;
                let Some((hello, bytes)) = hello else { return Ok(None) };
                *speech = Speech::Votes;
                let from = hello.sid.unwrap_or(Sid(-1));
                let called = zab::Input::Called { link, from, addresses: Vec::new() };
                self.news.push(News::Of(called));
                Ok(Some(bytes))
            }
            Speech::Votes => {
                let Some((body, bytes)) = read_vote(input)? else { return Ok(None) };
                self.news.push(News::Vote(link, socket.other.sid(), body));
                Ok(Some(bytes))
            }
            Speech::Stranger => {
                let Some(_) = read_to_leader(input)? else { return Ok(None) };
                *speech = Speech::ToLeader;
                self.news.push(News::Of(zab::Input::LearnerConnected { link }));
                Ok(Some(0))
            }
            Speech::ToLeader => {
                let Some(bytes) = read_to_leader(input)? else { return Ok(None) };
                self.assents.extend(steps::assent(&input[..bytes]));
                self.news.push(News::FromLearner(link, input[..bytes].to_vec()));
                Ok(Some(bytes))
            }
            Speech::ToLearner => {
                let Some((snapshot, bytes)) = self.hear(&mut socket.conversation, input)? else {
                    return Ok(None);
                };
                self.news.push(News::FromLeader(link, input[..bytes].to_vec()));
                if let Some(last_applied) = snapshot {
                    *speech = Speech::Snapshot { is_busy: false };
                    self.parts.push(StreamPart::Head { link, last_applied });
                }
                Ok(Some(bytes))
            }
            Speech::Snapshot { is_busy } if is_busy || input.is_empty() => Ok(None),
            Speech::Snapshot { .. } => {
                *speech = Speech::Snapshot { is_busy: true };
                self.has_part = true;
                self.parts.push(StreamPart::Bytes { link, bytes: input.to_vec() });
                Ok(Some(input.len()))
            }
        }
    }
}

impl Arrived {
    /// The length of the first packet; and what comes behind it is a snapshot, if it says so.
    fn hear(
        &mut self,
        conversation: &mut Conversation,
        input: &[u8],
    ) -> Result<Option<(Option<Zxid>, usize)>, String> {
        let packet = ToLearner::decode(input, PACKET_BYTES_MAX);
        let Some((packet, bytes)) = packet.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        if let Err(violation) = conversation.hear(&packet) {
            self.violation.get_or_insert(violation);
        }
        self.steps.push((steps::after(&packet), steps::heard(&packet, conversation.is_told())));
        let snapshot = match packet {
            ToLearner::Snapshot { last_applied } => Some(last_applied),
            _ => None,
        };
        Ok(Some((snapshot, bytes)))
    }
}

/// The body of the first frame, and the length of the frame.
fn read_vote(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let frame = frame::split(input, ELECTION_MESSAGE_BYTES_MAX).map_err(|it| it.to_string())?;
    let Some((body, bytes)) = frame else { return Ok(None) };
    Notification::decode(body).map_err(|error| error.to_string())?;
    Ok(Some((body.to_vec(), bytes)))
}

/// The length of the first packet.
fn read_to_leader(input: &[u8]) -> Result<Option<usize>, String> {
    let packet = ToLeader::decode(input, PACKET_BYTES_MAX).map_err(|error| error.to_string())?;
    Ok(packet.map(|(_, bytes)| bytes))
}
