//! What a server must have done before it says something.

use types::membership::Membership;
use types::{Epoch, Memory, Sid, Zxid};
use wire::quorum::ToLearner;
use zab::{LearnerPacket, Link, Memberships, Oracle, Quorum};

use super::World;
use super::disk::{Durable, Job};
use super::packets;
use super::record::Shown;
use super::server::{Conversation, Door, Process, Role};

impl World {
    pub(super) fn deliver(&mut self, sid: Sid, zxid: Zxid, begins: bool) {
        self.show(Shown::Deliveries, || format!("{} delivers {}", sid.0, packets::at(zxid)));
        let Some(process) = &mut self.server(sid).process else { return };
        assert!(zxid >= process.delivered, "Z13: {sid:?} delivers {zxid} too late");
        process.delivered = zxid;
        if process.role == Role::Looking && !begins {
            // It has taken its own history for committed, as if it had just been started.
            return;
        }
        let end = process.log.partition_point(|entry| entry.zxid <= zxid);
        let log = process.log[..end].to_vec();
        let news = self.ledger.delivered(sid, &log).to_vec();
        for entry in news {
            for membership in self.ledger.memberships_for(entry.zxid) {
                let is_safe = self.are_quorum(membership, |it| it.has(entry.zxid));
                assert!(is_safe, "D4: {} is lost", entry.zxid);
            }
        }
    }

    pub(super) fn confirmed(&mut self, sid: Sid, count: usize) {
        self.show(Shown::Roles, || format!("{} is confirmed: {count}", sid.0));
        self.record.count("confirmation");
        for _ in 0..count {
            let Some(process) = &mut self.server(sid).process else { return };
            let committed = process.asked.pop_front().expect("it was asked");
            let delivered = process.delivered;
            let zxid = committed
                .checked_sub(1)
                .map_or(Zxid::ZERO, |last| self.ledger.committed[last].zxid);
            assert!(delivered >= zxid, "P12: {sid:?} is confirmed and does not have {zxid}");
        }
    }

    /// Whether enough voters of a membership have it, durably. Whom an oracle lets do alone is enough.
    pub(super) fn are_quorum(
        &self,
        membership: &Membership,
        has: impl Fn(&Durable) -> bool,
    ) -> bool {
        let has = |sid| self.servers.get(&sid).is_some_and(|server| has(&server.disk.durable));
        let is_let = |sid| self.oracles.get(&sid) == Some(&Oracle::MayDecideAlone);
        let quorum = Quorum::from(membership);
        quorum.is_quorum(has) || quorum.voters().any(|sid| is_let(sid) && has(sid))
    }

    /// What a server holds for who decides was proposed, by one leader, and is in force only if enough
    /// of the old and of the new voters know of it.
    pub(super) fn check_memberships(&mut self, sid: Sid, memberships: &Memberships) {
        let known = self.servers[&sid].disk.durable.memberships.clone();
        let is_newer = memberships.committed.version() >= known.committed.version();
        assert!(is_newer, "R3: {sid:?} goes back to an older membership");
        for membership in
            [Some(&memberships.committed), memberships.pending()].into_iter().flatten()
        {
            self.ledger.membership_seen(sid, membership);
        }
        let Some(before) = self.ledger.in_force(&memberships.committed) else { return };
        let version = memberships.committed.version();
        for membership in [&before, &*memberships.committed] {
            // The transaction may be lost, if a new leader had seen the membership without it.
            let know = |it: &Durable| it.memberships.newest().version() >= version;
            assert!(self.are_quorum(membership, know), "R2: {version} is in force at {sid:?}");
        }
    }

    pub(super) fn check_lead(&mut self, sid: Sid, epoch: Epoch) {
        let durable = &self.servers[&sid].disk.durable;
        assert_eq!(durable.current, epoch, "D1: {sid:?} leads and has not adopted the epoch");
        let newest = self.ledger.newest_membership();
        let has_quorum = self.are_quorum(newest, |it| it.current >= epoch);
        assert!(has_quorum, "D1: {sid:?} leads without a quorum");
        assert!(self.ledger.may_lead(sid), "R4: {sid:?} leads and does not vote");
        let Some(process) = &self.servers[&sid].process else { return };
        let log = process.log.clone();
        assert_eq!(durable.log, log, "D1: {sid:?} leads and has not all of its history");
        self.ledger.leads(sid, epoch, &log);
    }

    pub(super) fn check_promise(&mut self, sid: Sid, link: Link, packet: &LearnerPacket) {
        let server = &self.servers[&sid];
        let durable = &server.disk.durable;
        let Some(process) = &server.process else { return };
        let talk = process.conversation;
        match *packet {
            LearnerPacket::Info { .. } => {
                let conversation = Conversation { link: Some(link), ..Conversation::default() };
                if let Some(process) = &mut self.server(sid).process {
                    process.conversation = conversation;
                }
            }
            LearnerPacket::AckEpoch { last_logged, current_epoch } => {
                let memory = durable.memory.of_history(durable.last_logged(), durable.current);
                let claim = match memory {
                    Memory::Shortened { had: Some(had) } if current_epoch.is_some() => had,
                    Memory::Shortened { .. } | Memory::Whole => durable.last_logged(),
                };
                let is_true = last_logged.is_none_or(|it| it == claim);
                assert!(is_true, "D1: AckEpoch of {sid:?}");
                assert!(durable.accepted >= talk.epoch, "D1: AckEpoch of {sid:?}");
                let received = last_logged.unwrap_or_else(|| durable.last_logged());
                if let Some(process) = &mut self.server(sid).process {
                    process.conversation.received = received;
                }
            }
            LearnerPacket::AckNewLeader(epoch) => {
                assert_eq!(durable.current, epoch, "D1: AckNewLeader of {sid:?}");
                let end = talk.history_end.expect("Z11: NewLeader came before");
                assert!(durable.last_logged() >= end, "D1: AckNewLeader of {sid:?} before {end}");
                self.check_prefix(sid, epoch);
                if let Some(process) = &mut self.server(sid).process {
                    process.conversation.has_acknowledged = true;
                }
            }
            LearnerPacket::Acks { first, last } => {
                assert!(talk.has_acknowledged, "Z14: {sid:?} acknowledges before AckNewLeader");
                let follows = talk.acknowledged.is_none_or(|it| it.next() == Some(first));
                assert!(follows, "Z14: {first} after {:?}", talk.acknowledged);
                assert!(durable.has(first) && durable.has(last), "D1: Ack of {sid:?}");
                if let Some(process) = &mut self.server(sid).process {
                    process.conversation.acknowledged = Some(last);
                }
            }
        }
    }

    /// A leader begins an epoch that is later than all it has heard of.
    pub(super) fn check_epoch(&self, sid: Sid, epoch: Epoch) {
        let Some(process) = &self.servers[&sid].process else { return };
        let is_leader = process.door == Door::Admit;
        let is_later = epoch > process.accepted_by_others;
        assert!(!is_leader || is_later, "Z2: {sid:?} begins {epoch:?} once more");
    }

    /// What the disk is given to do may be done.
    pub(super) fn check_job(&self, sid: Sid, job: &Job) {
        let server = &self.servers[&sid];
        let durable = &server.disk.durable;
        match job {
            Job::Adopt(epoch) => {
                let Some(process) = &server.process else { return };
                let talk = process.conversation;
                if talk.epoch == *epoch {
                    let has_all = talk.history_end.is_some_and(|end| durable.last_logged() >= end);
                    assert!(has_all, "D1: {sid:?} adopts an epoch without its history");
                }
            }
            Job::Truncate(keep) => {
                let is_needed = durable.log.last().is_some_and(|entry| entry.zxid > *keep);
                assert!(is_needed, "Z12: {sid:?} is to cut what is not there");
            }
            Job::Append(_) | Job::Accept(_) | Job::Install { .. } | Job::Memberships(_) => {}
        }
        if let (Job::Truncate(_) | Job::Install { .. }, Some(process)) = (job, &server.process) {
            assert!(process.readings.is_empty(), "Z12: {sid:?} changes a log that is read");
        }
    }

    /// What a learner has is what its leader has, as far as it goes.
    fn check_prefix(&self, sid: Sid, epoch: Epoch) {
        let Some(leader) = self.ledger.leaders.get(&epoch) else { return };
        let Some(process) = &self.servers[leader].process else { return };
        if process.synchronizes != Some(epoch) {
            return;
        }
        let log = &self.servers[&sid].disk.durable.log;
        assert!(process.log.starts_with(log), "M2: {sid:?} has not the history of {leader:?}");
    }

    pub(super) fn recovered(&self, sid: Sid) -> Zxid {
        self.servers[&sid].process.as_ref().map_or(Zxid::ZERO, |process| process.recovered)
    }

    pub(super) fn other(&self, link: Link) -> String {
        let name = |sid: Sid| sid.0.to_string();
        self.network.other_side(link).map_or_else(|| "?".to_owned(), name)
    }
}

impl Process {
    /// Takes down what a leader says.
    pub(super) fn hear(&mut self, link: Link, packet: &ToLearner<'_>) {
        let talk = &mut self.conversation;
        if talk.link != Some(link) {
            return;
        }
        match packet {
            ToLearner::LeaderInfo { epoch } => talk.epoch = *epoch,
            ToLearner::Truncate { keep: base } | ToLearner::Snapshot { last_applied: base } => {
                talk.received = *base;
            }
            ToLearner::Proposal(proposal) | ToLearner::Inform(proposal) => {
                talk.received = proposal.zxid().max(talk.received);
            }
            ToLearner::NewLeader { .. } => talk.history_end = Some(talk.received),
            _ => {}
        }
    }
}
