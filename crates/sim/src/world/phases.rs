//! The phases of a run: faults; peace, in which a quorum has to serve everybody; silence, in which all
//! servers come together; and the end, when power is lost and the checkers read the history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::membership::Membership;
use types::{Instant, Zxid};

use super::client::{Client, Phase};
use super::death::Death;
use super::decay::Recollection;
use super::invariants::voters;
use super::node::{Node, NodeId};
use super::plan::MembershipIs;
use super::{Happening, Stage, World, process, rules};
use crate::checkers::{Case, Promise, Reads, Violation};
use crate::history::LoggedTxn;

/// How often in the timeout of a session it is looked whether all is silent.
const LISTENS_PER_TIMEOUT: u32 = 4;

impl World {
    /// Ends the faults once all clients have made their requests.
    pub(super) fn make_peace(&mut self) {
        if self.stage != Stage::Faults {
            return;
        }
        self.stage = Stage::Peace;
        for node in self.nodes.ids() {
            self.nodes[node].crash_in = None;
            self.nodes[node].doom = None;
            self.nodes[node].take_back_disk_faults();
            self.nodes[node].slow_until = Instant::default();
        }
        self.switch_all_on();
        let may_leave = self.plan.servers.are_ensemble() && self.is_every_change_decided();
        if may_leave && self.agenda.tape.chance(300) {
            self.leave_a_quorum();
        }
        self.network.end_silence();
        self.join_all();
        let now = self.agenda.now();
        for client in 0..self.clients.len() {
            self.clients[client].silent_until = now;
            self.agenda.at(now, Happening::Client(client));
        }
        let paused = self.nodes.iter().map(|node| node.paused_until).max();
        let awake = now.max(paused.unwrap_or_default());
        self.calm_from = awake.after(self.plan.tick * self.plan.ensemble.init_limit * 2);
        // A process that died just now is started again by its own entry of the agenda.
        let bound = self.plan.timeout() * 4
            + self.plan.delays.sync * 50
            + self.plan.until_led()
            + Duration::from_secs(10);
        self.agenda.at(now.after(bound), Happening::Judgment);
    }

    /// Some servers stay away while the clients are served, as many as an ensemble can do without.
    fn leave_a_quorum(&mut self) {
        let in_play = self.in_play();
        let is_voter = |id: &NodeId| in_play.iter().flat_map(|it| voters(it)).any(|it| it == *id);
        let remembered: BTreeMap<NodeId, Recollection> =
            self.nodes.ids().filter(is_voter).map(|id| (id, self.recollection(id))).collect();
        let may_vote = |voter: NodeId, away: &[NodeId]| {
            let others = remembered.iter().filter(|(other, _)| !away.contains(other));
            !away.contains(&voter) && remembered[&voter].may_vote(others.map(|(_, &it)| it))
        };
        let sound: Vec<NodeId> =
            remembered.keys().copied().filter(|&voter| may_vote(voter, &[])).collect();
        let mut away: Vec<NodeId> = self.nodes.ids().filter(|id| !sound.contains(id)).collect();
        // How many of the others a membership can do without.
        let spare = |membership: &Membership, away: &[NodeId]| {
            let present = voters(membership).filter(|&voter| may_vote(voter, away)).count();
            present.checked_sub(voters(membership).count() / 2 + 1)
        };
        let dispensable = in_play.iter().filter_map(|it| spare(it, &away)).min().unwrap_or(0);
        for _ in 0..self.agenda.tape.range(0, dispensable as u64) {
            away.push(*self.agenda.tape.pick(&sound));
            if in_play.iter().any(|membership| spare(membership, &away).is_none()) {
                away.pop();
            }
        }
        for node in away {
            self.counters.count("server away in peace");
            self.nodes[node].is_away = true;
            if self.nodes[node].process.is_some() {
                self.die(node, Death::PowerLost);
            }
        }
    }

    /// Who was away in peace comes back.
    fn bring_all_back(&mut self) {
        for node in self.nodes.ids() {
            if std::mem::take(&mut self.nodes[node].is_away) {
                self.agenda.at(self.agenda.now(), Happening::Start(self.nodes[node].life));
            }
        }
    }

    /// Every client must have been served by now.
    pub(super) fn judge(&mut self) -> Result<(), Violation> {
        if self.stage != Stage::Peace {
            return Ok(());
        }
        if self.needs_an_operator() {
            self.counters.count("too few voters remember: an operator decides");
            self.stage = Stage::Over;
            return Ok(());
        }
        let unserved: Vec<String> = self
            .clients
            .iter()
            .filter(|client| client.phase != Phase::Gone)
            .map(|client| {
                let Client { id, phase, farewell, pending, .. } = client;
                format!("client {} {phase:?} {farewell:?} {} pending", id.0, pending.len())
            })
            .collect();
        let detail = format!("not served in peace: {}", unserved.join(", "));
        Err(Violation::new(Promise::Liveness, detail))
    }

    /// Whether too few voters of a membership that decides know all that they have acknowledged, or have somebody who
    /// does. Damaged disks alone never cause that here; but who is interrupted while a leader takes away what is
    /// of its own epoch votes only for who has that.
    pub(super) fn needs_an_operator(&self) -> bool {
        let in_play = self.in_play();
        let present = |voter: &NodeId| !self.nodes[*voter].is_away;
        let everybody: BTreeSet<NodeId> = in_play.iter().flat_map(|it| voters(it)).collect();
        let remembered: Vec<Recollection> =
            everybody.into_iter().filter(present).map(|voter| self.recollection(voter)).collect();
        in_play.iter().any(|membership| {
            let may_vote =
                |voter: &NodeId| self.recollection(*voter).may_vote(remembered.iter().copied());
            let silent = voters(membership).filter(|voter| !may_vote(voter)).count();
            silent > (voters(membership).count() - 1) / 2
        })
    }

    /// Starts to wait for the sessions to end once all clients are gone.
    pub(super) fn client_gone(&mut self) {
        if self.stage == Stage::Peace
            && self.clients.iter().all(|client| client.phase == Phase::Gone)
        {
            self.stage = Stage::Silence;
            self.watch_the_reign();
            self.bring_all_back();
            // Who was separated may have logged what came to nothing.
            self.goal = match self.plan.servers.are_ensemble() {
                true => self.reigns.last_committed(),
                false => self.nodes.iter().map(|node| node.ledger.last()).max().unwrap_or_default(),
            };
            // A handshake that is still on its way may open one more session, and a server that was
            // away may still have to find its leader.
            let bound = self.plan.timeout() * 2
                + self.plan.tick * 4
                + self.plan.delays.wire * 4
                + (self.plan.delays.sync + self.plan.delays.thread) * 20
                + self.plan.until_led()
                + Duration::from_millis(100);
            let paused = self.nodes.iter().map(|node| node.paused_until).max();
            let now = self.agenda.now().max(paused.unwrap_or_default());
            self.silent_by = now.after(bound);
            self.agenda.at(now, Happening::Silence);
        }
    }

    /// Those who come back now find a leader and disturb nobody; unless something went wrong so shortly
    /// before that it still has its effects, or numbers are used up, which ends a reign as well.
    fn watch_the_reign(&mut self) {
        let is_fixed = self.plan.servers.membership == MembershipIs::Fixed;
        let is_calm = self.agenda.now() >= self.calm_from;
        if is_fixed && is_calm && self.plan.start == Zxid::ZERO {
            self.counters.count("reign watched");
            self.last_reign = self.record.last_epoch();
        }
    }

    /// E5: the leader that there was is still there.
    fn check_the_reign(&self) -> Result<(), Violation> {
        let last = self.record.last_epoch();
        if self.last_reign.is_none() || self.last_reign == last {
            return Ok(());
        }
        let detail = format!("nothing went wrong in {:?}, but {last:?} came", self.last_reign);
        Err(Violation::new(Promise::E5, detail))
    }

    /// Ends the run once all is silent; it must be in time.
    pub(super) fn listen(&mut self) -> Result<(), Violation> {
        let now = self.agenda.now();
        match self.require_silence() {
            Ok(()) => {
                self.check_the_reign()?;
                self.stage = Stage::Over;
            }
            Err(violation) if now >= self.silent_by => return Err(violation),
            Err(_) => {
                let again = now.after(self.plan.timeout() / LISTENS_PER_TIMEOUT);
                self.agenda.at(again.min(self.silent_by), Happening::Silence);
            }
        }
        Ok(())
    }

    /// S3, W5, S6: nothing is left of clients that are gone.
    fn require_silence(&self) -> Result<(), Violation> {
        let membership = self.in_force();
        for node in self.nodes.iter() {
            let sid = node.life.node.sid().0;
            if membership.find(node.life.node.sid()).is_none() {
                // Nobody needs it, and maybe it knows only others like itself.
                continue;
            }
            let Some(process) = &node.process else {
                let detail = format!("server {sid} is down in peace");
                return Err(Violation::new(Promise::Liveness, detail));
            };
            if node.ledger.last() < self.goal {
                let (last, goal) = (node.ledger.last(), self.goal);
                let detail = format!("server {sid} is at {last}, others were at {goal} long ago");
                return Err(Violation::new(Promise::Liveness, detail));
            }
            let committed = self.reigns.last_committed().max(self.plan.start);
            if self.plan.servers.are_ensemble() && node.ledger.last() > committed {
                let last = node.ledger.last();
                let detail = format!("server {sid} has {last}, but {committed} is committed");
                return Err(Violation::new(Promise::Liveness, detail));
            }
            let left: Vec<_> =
                process.replica.sessions().into_iter().map(|session| session.id).collect();
            if !left.is_empty() {
                let detail = format!("server {sid}: sessions {left:?} outlive their clients");
                return Err(Violation::new(Promise::P8, detail));
            }
            let watches: usize = process.fronts.iter().map(|front| front.watches().len()).sum();
            if watches > 0 {
                let detail = format!("{watches} watches outlive their connections");
                return Err(Violation::new(Promise::W5, detail));
            }
        }
        Ok(())
    }

    /// The last loss of power, then the checkers.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        for node in self.nodes.ids() {
            self.lose_power(node);
            let (_, found) = process::recover(&self.nodes[node].disk, self.plan.servers, self.seed)
                .map_err(|error| {
                    let detail = format!("refused to start at the end: {error}");
                    Violation::new(Promise::D7, detail)
                })?;
            self.check_recovered(node, &found)?;
        }
        self.history.log = self.longest_log()?;
        self.count_at_the_end();
        let reads = match self.plan.servers.are_ensemble() {
            true => Reads::MayLag,
            false => Reads::AreFresh,
        };
        let rules = rules(self.plan.servers);
        let searches = Case::new(&self.history, rules, self.plan.start, reads)?.check()?;
        self.counters.add("order searched of a znode", searches.made);
        self.counters.add("order searched in vain", searches.given_up);
        Ok(())
    }

    /// Z3, P14: the history that all servers share at the end. Each state that was recovered is the
    /// model's, so that equal histories are equal trees.
    fn longest_log(&self) -> Result<Vec<LoggedTxn>, Violation> {
        // Who is not in the ensemble may still have what was never committed.
        let membership = self.in_force();
        let is_member = |node: &&Node| membership.find(node.life.node.sid()).is_some();
        let members = || self.nodes.iter().filter(is_member);
        let logs = || members().map(|node| (node.life.node.sid().0, node.ledger.txns()));
        let (leading, longest) = logs().max_by_key(|(_, log)| log.len()).unwrap_or_default();
        for (sid, log) in logs() {
            let differs = log.iter().zip(longest).find(|(one, other)| !one.is_same(other));
            if let Some((one, other)) = differs {
                let detail = format!("server {sid} has {one}, server {leading} {other}");
                return Err(Violation::new(Promise::Z3, detail));
            }
        }
        Ok(longest.to_vec())
    }
}
