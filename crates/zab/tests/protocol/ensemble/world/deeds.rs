//! What servers do: effects, carried out.

use std::time::Duration;

use types::{Epoch, Sid, Zxid};
use wire::quorum::{ToLeader, Touches};
use wire::stored::LogBatch;
use zab::{Announcement, CloseReason, Effect, LeaderPacket, LearnerPacket, Link, PeerMisbehaved};

use super::World;
use super::disk::{Job, entries};
use super::packets;
use super::record::{Moment, Shown};
use super::server::{Conversation, Door, Event, Item, Role};
use crate::support::network::Port;

/// After which time another part of a snapshot is sent.
const STREAM_PART_TIME: Duration = Duration::from_millis(400);

impl World {
    /// Carries out an effect. `begins`: the one that follows begins a reign.
    pub(super) fn carry_out(&mut self, sid: Sid, effect: Effect, begins: bool) -> Moment {
        match effect {
            Effect::Call { to, .. } => {
                self.network.call(sid, to, Port::Election);
                Moment::new("called", "")
            }
            Effect::ConnectToLeader(to) => {
                self.show(Shown::Roles, || format!("{} elects {}", sid.0, to.0));
                self.network.call(sid, to, Port::Quorum);
                Moment::new("dialled", "")
            }
            Effect::ConnectToMaster(to) => {
                self.show(Shown::Roles, || format!("{} is to learn from {}", sid.0, to.0));
                self.network.call(sid, to, Port::ObserverMaster);
                Moment::new("dialled", "master")
            }
            Effect::AdmitObservers | Effect::RefuseObservers => {
                let admits = effect == Effect::AdmitObservers;
                if let Some(process) = &mut self.server(sid).process {
                    process.admits_observers = admits;
                }
                Moment::new("admits", "observers")
            }
            Effect::Notify { link, mut announcement } => {
                self.twist(&mut announcement);
                self.network.send(link, Item::Notification(encoded(&announcement)));
                Moment::new("sent", "Notification")
            }
            Effect::Close { link, reason } => {
                self.on_close(sid, link, &reason);
                Moment::new("closed", "")
            }
            Effect::AdmitLearners | Effect::RefuseLearners | Effect::LetLearnersWait => {
                self.open_or_shut(sid, &effect)
            }
            Effect::ToLeader { link, packet } => self.send_to_leader(sid, link, packet),
            Effect::ToLearner { link, packet } => self.send_to_learner(sid, link, &packet),
            Effect::SendSnapshot { link, last_applied } => self.stream(sid, link, last_applied),
            Effect::ReadLog { link, after, up_to } => self.read_log(sid, link, after, up_to),
            Effect::ReadOn { link } => self.read_on(sid, link),
            Effect::StopReading { link } => self.stop_reading(sid, link),
            Effect::AnswerPing { link, last_proposed } => {
                let mut bytes = Vec::new();
                ToLeader::Ping { last_proposed, touches: Touches::NONE }.encode(&mut bytes);
                let to = self.other(link);
                self.show(Shown::Pings, || {
                    format!("{} → {to} Ping {}", sid.0, packets::at(last_proposed))
                });
                self.network.send(link, Item::ToLeader(bytes));
                Moment::new("sent", "Ping")
            }
            Effect::Append(_)
            | Effect::StoreAcceptedEpoch(_)
            | Effect::StoreCurrentEpoch(_)
            | Effect::Truncate(_)
            | Effect::StoreMemberships(_) => self.store(sid, effect),
            Effect::Deliver(zxid) => {
                self.deliver(sid, zxid, begins);
                Moment::new("delivers", "")
            }
            Effect::Look | Effect::Lead { .. } | Effect::Follow { .. } => {
                self.take_role(sid, &effect)
            }
            Effect::LeadershipConfirmed { count } => {
                self.confirmed(sid, count);
                Moment::new("confirmed", "")
            }
            Effect::AskOracle => {
                let run = self.servers[&sid].run;
                if let Some(&oracle) = self.oracles.get(&sid) {
                    self.schedule(self.plan.job, Event::OracleSays { sid, run, oracle });
                }
                Moment::new("asks", "oracle")
            }
        }
    }

    fn store(&mut self, sid: Sid, effect: Effect) -> Moment {
        let (job, text) = match effect {
            Effect::Append(batch) => {
                let ends = batch.first_zxid().zip(batch.last_zxid()).expect("not empty");
                self.log(sid, &batch);
                (Job::Append(batch), format!("logs {}", packets::range(ends.0, ends.1)))
            }
            Effect::StoreAcceptedEpoch(epoch) => {
                self.check_epoch(sid, epoch);
                (Job::Accept(epoch), format!("accepts epoch {}", epoch.0))
            }
            Effect::StoreCurrentEpoch(epoch) => {
                (Job::Adopt(epoch), format!("adopts epoch {}", epoch.0))
            }
            Effect::Truncate(keep) => {
                if let Some(process) = &mut self.server(sid).process {
                    process.log.retain(|entry| entry.zxid <= keep);
                    process.delivered = process.delivered.min(keep);
                }
                (Job::Truncate(keep), format!("cuts behind {}", packets::at(keep)))
            }
            Effect::StoreMemberships(memberships) => {
                self.check_memberships(sid, &memberships);
                let text = packets::memberships(&memberships);
                (Job::Memberships(memberships), format!("stores {text}"))
            }
            effect => panic!("nothing to store: {effect:?}"),
        };
        self.show(Shown::Storage, || format!("{} {text}", sid.0));
        let moment = Moment::new("stores", job.name());
        self.submit(sid, job);
        moment
    }

    fn log(&mut self, sid: Sid, batch: &LogBatch) {
        for entry in entries(batch) {
            let disk_end = self.servers[&sid].disk.durable.snapshot;
            let Some(process) = &self.servers[&sid].process else { return };
            let last = process.log.last().map_or(Zxid::ZERO, |it| it.zxid).max(disk_end);
            self.ledger.logs(sid, last, &entry);
            if let Some(process) = &mut self.server(sid).process {
                process.log.push(entry);
            }
        }
    }

    fn open_or_shut(&mut self, sid: Sid, effect: &Effect) -> Moment {
        let server = self.server(sid);
        let run = server.run;
        let Some(process) = &mut server.process else { return Moment::new("admits", "") };
        match effect {
            Effect::AdmitLearners => {
                process.door = Door::Admit;
                process.conversation = Conversation::default();
                process.accepted_by_others = Epoch::default();
                self.schedule(Duration::ZERO, Event::Admit { sid, run });
            }
            Effect::RefuseLearners => {
                process.door = Door::Refuse;
                for link in std::mem::take(&mut process.backlog).into_keys() {
                    self.network.close(link);
                }
            }
            _ => process.door = Door::Wait,
        }
        Moment::new("admits", "")
    }

    fn stream(&mut self, sid: Sid, link: Link, last_applied: Zxid) -> Moment {
        let to = self.other(link);
        self.show(Shown::Packets, || {
            format!("{} → {to} Snapshot at={}", sid.0, packets::at(last_applied))
        });
        self.record.count("way Snapshot");
        let server = &self.servers[&sid];
        let run = server.run;
        let Some(process) = &server.process else { return Moment::new("sent", "Snapshot") };
        let has_all = process.delivered >= last_applied || last_applied <= self.recovered(sid);
        assert!(has_all, "Z13: the snapshot of {sid:?} is to have what it has not delivered");
        let entries = process.log.iter().filter(|it| it.zxid <= last_applied).cloned().collect();
        self.network.send(link, Item::ToLearner(packets::snapshot(last_applied)));
        let mut part_sent = STREAM_PART_TIME;
        while part_sent < self.plan.stream {
            self.schedule(part_sent, Event::StreamPartSent { sid, run, link });
            part_sent += STREAM_PART_TIME;
        }
        let event = Event::StreamSent { sid, run, link, last_applied, entries };
        self.schedule(self.plan.stream, event);
        Moment::new("sent", "Snapshot")
    }

    fn take_role(&mut self, sid: Sid, effect: &Effect) -> Moment {
        let Some(process) = &mut self.server(sid).process else {
            return Moment::new("looks", "");
        };
        let (role, moment, text) = match *effect {
            Effect::Lead { epoch } => {
                let text = format!("{} leads epoch {}", sid.0, epoch.0);
                (Role::Leading(epoch), Moment::new("leads", ""), text)
            }
            Effect::Follow { leader, epoch, .. } => {
                let text = format!("{} follows {} epoch {}", sid.0, leader.0, epoch.0);
                (Role::Following(leader, epoch), Moment::new("follows", ""), text)
            }
            _ => (Role::Looking, Moment::new("looks", ""), format!("{} looks", sid.0)),
        };
        process.role = role;
        match role {
            Role::Looking => {
                process.asked.clear();
                process.synchronizes = None;
            }
            Role::Leading(epoch) => {
                self.check_lead(sid, epoch);
                self.record.count("reign");
            }
            Role::Following(..) => {}
        }
        self.show(Shown::Roles, || text);
        moment
    }

    fn send_to_leader(&mut self, sid: Sid, link: Link, packet: LearnerPacket) -> Moment {
        let to = self.other(link);
        self.show(Shown::Packets, || {
            format!("{} → {to} {}", sid.0, packets::learner_packet(&packet))
        });
        self.check_promise(sid, link, &packet);
        for bytes in packets::to_leader(sid, packet) {
            self.network.send(link, Item::ToLeader(bytes));
        }
        Moment::new("sent", packets::learner_packet_name(&packet))
    }

    fn send_to_learner(&mut self, sid: Sid, link: Link, packet: &LeaderPacket) -> Moment {
        let to = self.other(link);
        let kind = match packet {
            LeaderPacket::Ping { .. } => Shown::Pings,
            _ => Shown::Packets,
        };
        self.show(kind, || format!("{} → {to} {}", sid.0, packets::leader_packet(packet)));
        let server = &self.servers[&sid];
        match packet {
            LeaderPacket::LeaderInfo(epoch) => {
                assert!(server.disk.durable.accepted >= *epoch, "D1: LeaderInfo of {sid:?}");
            }
            LeaderPacket::NewLeader { epoch, .. } => {
                assert!(server.disk.durable.current >= *epoch, "D1: NewLeader of {sid:?}");
                let leads = self.network.port(link) == Some(Port::Quorum);
                if let Some(process) = self.server(sid).process.as_mut().filter(|_| leads) {
                    process.synchronizes = Some(*epoch);
                    let log = process.log.clone();
                    self.ledger.synchronizes(sid, *epoch, &log);
                }
            }
            LeaderPacket::Diff { .. } => self.record.count("way Diff"),
            LeaderPacket::Truncate { .. } => self.record.count("way Truncate"),
            _ => {}
        }
        for bytes in packets::to_learner(packet) {
            self.network.send(link, Item::ToLearner(bytes));
        }
        Moment::new("sent", packets::leader_packet_name(packet))
    }

    fn on_close(&mut self, sid: Sid, link: Link, reason: &CloseReason) {
        let to = self.other(link);
        if self.network.port(link).is_some_and(|port| port != Port::Election) {
            self.show(Shown::Roles, || match reason {
                CloseReason::Misbehaved(why) => format!("{} leaves {to}: {why}", sid.0),
                reason => format!("{} leaves {to}: {reason:?}", sid.0),
            });
        }
        if let CloseReason::Misbehaved(misbehaved) = reason {
            let may_happen = matches!(
                misbehaved,
                PeerMisbehaved::LaterHistory { .. }
                    | PeerMisbehaved::StaleEpoch { .. }
                    | PeerMisbehaved::LaterMembership { .. }
            );
            let is_forged = self.forged.contains(&link);
            assert!(may_happen || is_forged, "Z15: {sid:?} about a correct server: {misbehaved}");
        }
        self.network.close(link);
    }
}

fn encoded(announcement: &Announcement) -> Vec<u8> {
    let mut bytes = Vec::new();
    announcement.notification().encode(&mut bytes);
    bytes
}
