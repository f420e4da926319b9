//! A server that is one of several: what its peer says, done; and what it is told, passed on.

use std::sync::Arc;

use tracing::{debug, info, warn};
use tree::Tree;
use types::membership::Membership;
use types::{Counter, Epoch, Now, Zxid, mutant, path};
use wire::quorum::{SessionTouch, ToLeader, ToLearner, Touches};
use wire::stored::LogBatch;
use zab::{LeaderPacket, LearnerKind, Learners, Link, Peer, PeerMisbehaved};

use super::{Core, Intake, Replica};
use crate::asked::{Synced, SyncedFor};
use crate::behind_syncs::Held;
use crate::effect::Effect;
use crate::ensemble::{
    Asker, EnsembleOptions, LearnerAnswer, LocalSessions, ReadTxn, Standing, Unconfirmed,
};
use crate::pending::Pending;
use crate::published::Mail;
use crate::request::{Committed, Content, Logged};
use crate::view::Role;

/// The protocol between servers, and what it wants.
#[derive(Debug)]
pub(super) struct Member {
    peer: Peer,
    effects: Vec<zab::Effect>,
}

/// The newest membership that is in a tree, whether committed or not; `None` without one that can be read, or if
/// a client has written something there.
pub fn membership_in(tree: &Tree) -> Option<Arc<Membership>> {
    let node = tree.find(path::CONFIG)?;
    let text = std::str::from_utf8(node.data()?).ok()?;
    let membership = Membership::parse(text).ok()?;
    let is_brought = node.stored_stat().mzxid.raw() == membership.version().0;
    is_brought.then(|| Arc::new(membership))
}

/// The version of the membership that is in a tree.
fn written_version(tree: &Tree) -> Option<Zxid> {
    tree.find(path::CONFIG).map(|node| node.stored_stat().mzxid)
}

impl Member {
    pub(super) fn new(options: EnsembleOptions, now: Now) -> Self {
        let EnsembleOptions { peer, memberships, recovered, .. } = options;
        let mut effects = Vec::new();
        let peer = Peer::new(peer, memberships, recovered, now, &mut effects);
        Self { peer, effects }
    }

    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Writes the membership in force into the tree, where clients read it. As with Apache's servers, that is
    /// no transaction. A newer one stays: a transaction has brought it that
    /// is not known to be committed, and who recovers from a snapshot of this tree has to learn of it.
    pub(super) fn write_config(&self, tree: &mut Tree, now: Now) {
        let membership = &self.peer.memberships().committed;
        let version = membership.version().zxid();
        let is_newer = written_version(tree).is_some_and(|written| written > version);
        if !(is_newer && self.peer.is_reconfigurable()) {
            tree.write_config(membership.to_string().as_bytes(), version, now.wall_ms);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<types::Instant> {
        self.peer.next_deadline()
    }
}

impl Replica {
    /// Takes in what another server said, or what became of a connection to one. [`Self::step`] has
    /// to follow, after one or after many. Of no effect on a server that is alone.
    pub fn take(&mut self, now: Now, input: zab::Input<'_>, effects: &mut Vec<Effect>) {
        match &input {
            // Half of what learners send, and nothing to the sessions.
            zab::Input::FromLearner { packet: ToLeader::Ack { .. }, .. } => {}
            zab::Input::FromLearner { link, packet } if self.has_learner(*link) => {
                self.hear_learner(now, *link, packet);
            }
            zab::Input::FromLeader { link, packet } => {
                if let Err(how) = self.core.read_ahead(packet) {
                    return self.take(
                        now,
                        zab::Input::LeaderUnreadable { link: *link, how },
                        effects,
                    );
                }
                if let ToLearner::Snapshot { .. } = packet {
                    self.core.snapshots.abandon(effects);
                }
                self.hear_leader(now, *link, packet, effects);
            }
            zab::Input::QuorumLinkClosed { link } => {
                self.core.ensemble.behind_syncs.forget(*link);
                self.stop_stream(*link);
            }
            _ => {}
        }
        if let Some(Member { peer, effects, .. }) = &mut self.member {
            peer.take(now, input, effects);
        }
    }

    /// Proposes what was decided, and does what the peer wants, until nothing more follows.
    pub(super) fn settle_member(&mut self, now: Now, effects: &mut Vec<Effect>) {
        loop {
            let Some(member) = &mut self.member else { return };
            if !self.core.batch.is_empty() {
                let batch = Arc::new(self.core.batch.take());
                self.core.proposals.logged(&batch);
                let sizes = batch.proposals().map(|proposal| proposal.payload().len());
                self.core.stats.leadership.proposed(sizes);
                member.peer.take(now, zab::Input::Propose(batch), &mut member.effects);
            }
            for _ in 0..std::mem::take(&mut self.core.ensemble.unconfirmed) {
                member.peer.take(now, zab::Input::ConfirmLeadership, &mut member.effects);
            }
            if self.core.is_epoch_nearly_used_up() {
                member.peer.take(now, zab::Input::EpochUsedUp, &mut member.effects);
            }
            self.settle_peer(now, effects);
            self.core.answer_learners();
            self.go_on_behind_syncs(now, effects);
            let is_done = self.core.batch.is_empty() && self.core.ensemble.unconfirmed == 0;
            if is_done {
                break;
            }
        }
        self.core.ensemble.take_outgoing(effects);
        self.show_leadership();
    }

    /// Decides what learners asked behind syncs that are answered now. The answers are sent first.
    fn go_on_behind_syncs(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((link, held)) = self.core.ensemble.behind_syncs.take_released() {
            self.core.ensemble.take_outgoing(effects);
            let (tree, mut post) = self.publisher.read();
            let mut section = Intake::new(&mut self.core, self.member.as_ref(), &tree, &mut post);
            let mut buffer = Vec::new();
            for held in held {
                match held {
                    Held::Request(held) => {
                        section.on_forwarded(now, link, &held.request(&mut buffer));
                    }
                    Held::Revalidate { session, timeout_ms } => {
                        section.on_revalidate(now, link, session, timeout_ms);
                    }
                }
            }
        }
    }

    /// Tells operators who learns from this server.
    fn show_leadership(&self) {
        let Some(Member { peer, .. }) = &self.member else { return };
        self.core.stats.observers.set(i64::try_from(peer.observers()).unwrap_or(i64::MAX));
        let learners = peer.learners();
        let Some(Learners { connected, voters, others, observers }) = learners else { return };
        let leadership = &self.core.stats.leadership;
        let ensemble = &self.core.ensemble;
        let in_turn = ensemble.learner_answers.iter();
        let in_turn = in_turn.filter(|(.., answer)| *answer == LearnerAnswer::Sync).count();
        let unconfirmed = ensemble.confirming.iter();
        let unconfirmed = unconfirmed.filter(|it| matches!(it, Unconfirmed::Sync(_))).count();
        let pending_syncs = unconfirmed + in_turn;
        for (gauge, value) in [
            (&leadership.learners, connected),
            (&leadership.voters, voters),
            (&leadership.others, others),
            (&leadership.observers, observers),
            (&leadership.pending_syncs, pending_syncs),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    fn settle_peer(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(member) = &mut self.member else { return };
        member.peer.settle(now, &mut member.effects);
        for effect in std::mem::take(&mut member.effects) {
            self.carry_out(now, effect, effects);
        }
    }

    /// The log has to be cut. A snapshot that is being written is given up before that: whoever writes it may come to it
    /// only when the log is another one.
    fn begin_cut(&mut self, keep: Zxid, effects: &mut Vec<Effect>) {
        if mutant::active(145) {
            self.core.proposals.cut(keep);
            self.core.last_logged = keep;
        }
        self.core.snapshots.abandon(effects);
        effects.push(Effect::Peer(zab::Effect::Truncate(keep)));
    }

    /// The log was cut behind a transaction, to which `tree` leads.
    pub(super) fn on_cut(
        &mut self,
        now: Now,
        last_logged: Zxid,
        tree: Tree,
        effects: &mut Vec<Effect>,
    ) {
        self.core.proposals.cut(last_logged);
        self.core.last_logged = last_logged;
        if self.publisher.access().hold().last_applied() > last_logged {
            self.replace_tree(now, tree, effects);
        }
        self.take(now, zab::Input::Truncated { last_logged }, effects);
    }

    /// A leader's snapshot has replaced the database.
    pub(super) fn on_replaced(
        &mut self,
        now: Now,
        link: Link,
        last_applied: Zxid,
        tree: Tree,
        effects: &mut Vec<Effect>,
    ) {
        self.core.last_logged = last_applied;
        self.core.digests.replaced();
        let membership = membership_in(&tree);
        self.replace_tree(now, tree, effects);
        let installed = zab::Input::SnapshotInstalled { link, last_applied, membership };
        self.take(now, installed, effects);
    }

    fn replace_tree(&mut self, now: Now, mut new: Tree, effects: &mut Vec<Effect>) {
        if let Some(member) = &self.member {
            member.write_config(&mut new, now);
        }
        self.core.snapshots.abandon(effects);
        self.core.proposals.clear();
        if self.core.ensemble.standing == Standing::ReadOnly {
            // What its clients have seen goes.
            self.look(now);
        }
        let mut section = self.publisher.write();
        let (tree, _) = section.parts();
        *tree = new;
    }

    /// A learner is gone: nothing is sent to it, nor anything begun that the peer has asked for before.
    fn stop_stream(&mut self, learner: Link) {
        self.core.snapshots.stop_stream(learner);
        self.core.ensemble.between_states.forget(learner);
        if let Some(Member { effects, .. }) = &mut self.member
            && !mutant::active(140)
        {
            let is_for_learner = |effect: &zab::Effect| matches!(effect, zab::Effect::SendSnapshot { link, .. } if *link == learner);
            effects.retain(|effect| !is_for_learner(effect));
        }
    }

    fn has_learner(&self, link: Link) -> bool {
        self.member.as_ref().is_some_and(|member| member.peer.has_learner(link))
    }

    /// Applies what a quorum has. Before a quorum follows that may not be so, nor may it be durable here: no file is to
    /// show it.
    fn deliver_for_peer(&mut self, now: Now, zxid: Zxid, effects: &mut Vec<Effect>) {
        if self.member.as_ref().is_none_or(|member| member.peer.reign().is_none()) {
            self.core.snapshots.abandon_file(effects);
        }
        self.deliver(now, Committed::by_quorum(zxid));
    }

    fn carry_out(&mut self, now: Now, effect: zab::Effect, effects: &mut Vec<Effect>) {
        match effect {
            zab::Effect::Append(batch) => {
                self.core.append(&batch);
                effects.push(Effect::Append(batch));
            }
            zab::Effect::Truncate(keep) => self.begin_cut(keep, effects),
            zab::Effect::Deliver(zxid) => self.deliver_for_peer(now, zxid, effects),
            zab::Effect::Look => {
                self.core.ensemble.outage.look(now.instant, &self.core.stats.outages);
                self.look(now);
            }
            zab::Effect::Lead { epoch } => self.lead(now, epoch),
            zab::Effect::Follow { link, leader, teacher, epoch } => {
                let (leader, teacher) = (leader.0, teacher.0);
                info!(leader, teacher, epoch = epoch.0, "serving as a learner");
                self.core.stats.teacher.set(teacher);
                let role = match self.member.as_ref().map(|it| it.peer.kind()) {
                    Some(LearnerKind::Observer) => Role::Observing,
                    Some(LearnerKind::Follower) | None => Role::Following,
                };
                self.core.serves_as(now, role);
                self.core.ensemble.standing = Standing::Following(link);
                self.core.ensemble.touched_until = now.instant;
            }
            zab::Effect::SendSnapshot { link, last_applied } => {
                self.core.stats.snapshots_sent.add(1);
                self.core.snapshots.want_stream(link, last_applied);
            }
            zab::Effect::AnswerPing { link, last_proposed } => {
                self.core.answer_ping(now, link, last_proposed);
            }
            zab::Effect::LeadershipConfirmed { count } => self.confirmed(now, count),
            zab::Effect::StoreMemberships(_) => {
                self.write_config(now);
                effects.push(Effect::Peer(effect));
            }
            zab::Effect::AdmitLearners | zab::Effect::RefuseLearners => {
                self.end_read_only(now);
                self.core.ensemble.outage.elected(now.instant, &self.core.stats.outages);
                effects.push(Effect::Peer(effect));
            }
            zab::Effect::ToLearner { link, ref packet } => {
                let is_diff = matches!(packet, LeaderPacket::Diff { .. });
                self.core.stats.diffs_sent.add(u64::from(is_diff));
                effects.push(match self.core.ensemble.between_states.encode(link, packet) {
                    Some(bytes) => Effect::Packets { link, bytes },
                    None => Effect::Peer(effect),
                });
            }
            zab::Effect::Call { .. }
            | zab::Effect::Notify { .. }
            | zab::Effect::Close { .. }
            | zab::Effect::ConnectToLeader(_)
            | zab::Effect::ConnectToMaster(_)
            | zab::Effect::AdmitObservers
            | zab::Effect::RefuseObservers
            | zab::Effect::LetLearnersWait
            | zab::Effect::ToLeader { .. }
            | zab::Effect::StoreAcceptedEpoch(_)
            | zab::Effect::StoreCurrentEpoch(_)
            | zab::Effect::AskOracle
            | zab::Effect::ReadLog { .. }
            | zab::Effect::ReadOn { .. }
            | zab::Effect::StopReading { .. } => effects.push(Effect::Peer(effect)),
        }
    }

    /// Writes the membership in force into the tree, if it is another one than there.
    fn write_config(&mut self, now: Now) {
        let Some(member) = &self.member else { return };
        let version = member.peer.memberships().committed.version().zxid();
        let mut section = self.publisher.write();
        let (tree, _) = section.parts();
        if written_version(tree) != Some(version) {
            member.write_config(tree, now);
        }
    }

    /// There is no leader, or nothing more to be read without one: every client has to find a server that has one.
    /// Sessions of the read-only mode end with it, unless this server has local ones in any case.
    pub(super) fn look(&mut self, now: Now) {
        let before = self.core.ensemble.standing;
        self.core.ensemble.look(now.instant);
        self.core.stats.set_role(Role::Looking);
        let mut section = self.publisher.write();
        let (_, mut post) = section.parts();
        for address in self.core.disconnect_all(now) {
            post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
        }
        match (before, &self.member) {
            (Standing::Leading, Some(member)) => {
                self.core.forget_behind(member.peer.last_logged());
            }
            (Standing::ReadOnly, _) if self.core.ensemble.local_sessions == LocalSessions::Off => {
                self.core.sessions.clear();
            }
            _ => {}
        }
    }

    /// This server leads: it tracks all sessions, each with its whole timeout ahead.
    fn lead(&mut self, now: Now, epoch: Epoch) {
        let core = &mut self.core;
        let tree = self.publisher.access();
        let tree = tree.hold();
        assert_eq!(core.proposals.len(), 0, "all of the history is delivered before it leads");
        core.ensemble.standing = Standing::Leading;
        let start = Zxid::new(epoch, Counter(0));
        core.stats.leadership.begin(now.instant, start);
        core.serves_as(now, Role::Leading);
        core.last_logged = core.last_logged.max(start);
        core.pending = Pending::new(tree.digest().unwrap_or_default(), core.options.seed);
        core.sessions.keep_local(now.instant);
        core.ensemble.ended.clear();
        let heard = match mutant::active(47) {
            true => Now { instant: types::Instant::default(), ..now },
            false => now,
        };
        core.track_all(heard, &tree);
    }

    fn hear_learner(&mut self, now: Now, link: Link, packet: &ToLeader<'_>) {
        let (tree, mut post) = self.publisher.read();
        let mut section = Intake::new(&mut self.core, self.member.as_ref(), &tree, &mut post);
        if let Standing::Following(leader) = section.core.ensemble.standing {
            return section.relay(leader, link, packet);
        }
        match packet {
            ToLeader::Request(request) => section.on_forwarded(now, link, request),
            &ToLeader::Revalidate { session, timeout_ms } => {
                section.on_revalidate(now, link, session, timeout_ms);
            }
            ToLeader::Ping { touches, .. } => section.core.touch(now, link, *touches),
            ToLeader::FollowerInfo(_)
            | ToLeader::ObserverInfo(_)
            | ToLeader::AckEpoch { .. }
            | ToLeader::AckNewLeader { .. }
            | ToLeader::Ack { .. } => {}
        }
    }

    fn hear_leader(
        &mut self,
        now: Now,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if self.core.ensemble.standing != Standing::Following(link) {
            return;
        }
        match packet {
            ToLearner::Sync => {
                // Everything that came before it is delivered first.
                if !mutant::active(161) {
                    self.settle_peer(now, effects);
                }
                self.answer_sync(now);
            }
            ToLearner::Revalidated { session, is_valid } => {
                // What the session asked elsewhere came before it, and is seen here from now on.
                self.settle_peer(now, effects);
                let (tree, mut post) = self.publisher.read();
                let mut section =
                    Intake::new(&mut self.core, self.member.as_ref(), &tree, &mut post);
                match section.core.ensemble.relayed.revalidated(*session) {
                    Some(Asker::Here) => section.on_revalidated(now, *session, *is_valid),
                    Some(Asker::Learner(link)) => {
                        section.core.ensemble.tell_learner(link, packet);
                    }
                    None => debug!(%session, "a word that nobody waits for"),
                }
            }
            _ => {}
        }
    }

    /// A quorum says that this server led when it was asked: so much of what waits for that may be said.
    fn confirmed(&mut self, now: Now, count: usize) {
        for _ in 0..count {
            match self.core.ensemble.confirming.pop_front() {
                None => warn!("a confirmation that nobody asked for"),
                Some(Unconfirmed::Sync(Asker::Here)) => self.answer_sync(now),
                Some(Unconfirmed::Sync(Asker::Learner(link))) => {
                    self.core.answer_learner_in_turn(link, LearnerAnswer::Sync);
                }
                Some(Unconfirmed::Revalidation(link, answer)) => {
                    // What the session asked elsewhere may be under way; it sees that where it is now.
                    self.core.answer_learner_in_turn(link, answer);
                }
                Some(Unconfirmed::Resumption(waiting)) => {
                    self.intake(|section| section.queue(*waiting));
                }
                Some(Unconfirmed::Refusal(address)) => {
                    self.intake(|section| section.refuse_session(address));
                }
            }
        }
    }

    /// Takes something in beside the inputs.
    fn intake(&mut self, take: impl FnOnce(&mut Intake<'_, '_>)) {
        let (tree, mut post) = self.publisher.read();
        take(&mut Intake::new(&mut self.core, self.member.as_ref(), &tree, &mut post));
    }

    /// Answers the oldest sync, when all that was decided before is applied. If a session here asked for
    /// it, goes on with what that asked behind it; if an observer did, that gets the word.
    fn answer_sync(&mut self, now: Now) {
        let Synced { sync, behind } = match self.core.ensemble.asked.synced() {
            Some(SyncedFor::Session(synced)) => *synced,
            Some(SyncedFor::Observer(link)) => {
                return self.core.ensemble.answer_learner(link, LearnerAnswer::Sync);
            }
            None => return,
        };
        let (tree, mut post) = self.publisher.read();
        let mut section = Intake::new(&mut self.core, self.member.as_ref(), &tree, &mut post);
        section.answer_in_turn(now, sync);
        for waiting in behind {
            section.answer_in_turn(now, waiting);
        }
    }
}

impl Core {
    /// It has a leader again, or is one.
    fn serves_as(&mut self, now: Now, role: Role) {
        self.stats.set_role(role);
        self.ensemble.outage.end(now.instant, role, &self.stats.outages);
    }

    /// Reads the transaction that a leader has sent, if it is one, before anybody relies on it.
    fn read_ahead(&mut self, packet: &ToLearner<'_>) -> Result<(), PeerMisbehaved> {
        let (ToLearner::Proposal(proposal)
        | ToLearner::Inform(proposal)
        | ToLearner::InformAndActivate { proposal, .. }) = *packet
        else {
            return Ok(());
        };
        let read = ReadTxn::read(proposal.payload())
            .map_err(|problem| PeerMisbehaved::UnreadableTxn { zxid: proposal.zxid(), problem })?;
        // Before it follows, much may come that is not logged soon, or at all: that is read again.
        if let Standing::Following(_) = self.ensemble.standing {
            self.ensemble.read_ahead.push_back(read);
        }
        Ok(())
    }

    /// Notes what is being logged. On a learner it was not known before, and waits to be committed.
    fn append(&mut self, batch: &Arc<LogBatch>) {
        self.snapshots.logged(batch.count(), batch.as_bytes().len());
        if self.ensemble.standing == Standing::Leading {
            return;
        }
        self.stats.proposals_learned.add(batch.count() as u64);
        for (payload, proposal) in batch.entries() {
            let is_it = |read: &mut ReadTxn| read.header.zxid == proposal.zxid();
            let ReadTxn { header, txn, digest } = match self.ensemble.read_ahead.pop_front_if(is_it)
            {
                Some(read) => read,
                None => ReadTxn::read(proposal.payload()).expect("it could be read as it arrived"),
            };
            let in_place = || Content::SetData(Logged { batch: Some(Arc::clone(batch)), payload });
            self.last_logged = header.zxid;
            self.proposals.learn(header, txn.map_or_else(in_place, Content::Txn), digest);
        }
    }

    /// Forgets what was decided when the reign was over already, as far as its last effects made something go on that
    /// had waited: nobody has logged that.
    fn forget_behind(&mut self, last_logged: Zxid) {
        self.batch.clear();
        self.proposals.cut(last_logged);
        self.last_logged = last_logged;
    }

    /// Forgets all clients. Returns their connections.
    fn disconnect_all(&mut self, now: Now) -> Vec<crate::Address> {
        let mut addresses: Vec<_> = self.speakers.drain().map(|(address, _)| address).collect();
        addresses.extend(self.proposals.orphan());
        addresses.extend(self.ensemble.forget());
        addresses.sort_unstable();
        addresses.dedup();
        self.sessions.keep_local(now.instant);
        addresses
    }

    fn answer_ping(&mut self, now: Now, link: Link, last_proposed: Zxid) {
        let since = std::mem::replace(&mut self.ensemble.touched_until, now.instant);
        let heard = self.sessions.heard_since(since).map(|(session, timeout)| SessionTouch {
            session,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        });
        let relayed = self.ensemble.relayed.take_touches();
        let mut buffer = Vec::new();
        let touches = Touches::encode(&mut buffer, heard.chain(relayed));
        self.ensemble.tell_leader(link, &ToLeader::Ping { last_proposed, touches });
    }

    /// A learner has heard of these sessions' clients.
    fn touch(&mut self, now: Now, learner: Link, touches: Touches<'_>) {
        for SessionTouch { session, timeout_ms } in touches.iter() {
            self.sessions.heard_of(now.instant, learner, session, timeout_ms);
        }
    }

    /// Tells a learner something when all that is decided now is delivered.
    pub(super) fn answer_learner_in_turn(&mut self, link: Link, answer: LearnerAnswer) {
        match self.proposals.last() {
            None => self.ensemble.answer_learner(link, answer),
            Some(last) => self.ensemble.learner_answers.push_back((last, link, answer)),
        }
    }

    fn answer_learners(&mut self) {
        while let Some(&(position, link, answer)) = self.ensemble.learner_answers.front()
            && self.proposals.at(position).is_none()
        {
            self.ensemble.learner_answers.pop_front();
            self.ensemble.answer_learner(link, answer);
        }
    }
}
