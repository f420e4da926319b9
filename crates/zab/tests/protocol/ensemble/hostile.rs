//! Peers that are told anything, in any order: nothing that comes over a connection makes one panic,
//! and what is stored for it goes one way.

use types::{Counter, Epoch, Sid, Zxid};
use wire::quorum::{Cuts, LearnerInfo, Proposal, ToLeader, ToLearner, Touches};
use zab::{Effect, Input, LearnerPacket, Link, Peer};

use crate::ensemble::world::{Plan, Then, Trap, World};
use crate::support::chance::Chance;
use crate::support::network::Port;

/// Sequences of packets for each server at each moment.
const SEQUENCES: u64 = 60;

/// Packets of a sequence.
const PACKETS: u64 = 25;

/// Where servers are when they begin to be told anything.
const MOMENTS: &[&str] = &[
    "sent:Info",
    "received:LeaderInfo",
    "sent:AckEpoch",
    "received:Diff",
    "received:NewLeader",
    "stored:current",
    "sent:AckNewLeader",
    "follows",
];

#[test]
fn nothing_that_is_said_makes_a_peer_panic() {
    for (index, &moment) in MOMENTS.iter().enumerate() {
        let mut world = World::new(1, Plan::calm());
        let trap = Trap { sid: Sid(1), moment: moment.to_owned(), countdown: 1, then: Then::Stop };
        world.traps.push(trap);
        world.sids().into_iter().for_each(|sid| world.start(sid));
        world.run_for(std::time::Duration::from_secs(1));
        let toward_leader = world.network.link(Sid(1), Sid(3), Port::Quorum).unwrap();
        let from_learner = world.network.other_end(toward_leader).unwrap();
        for sequence in 0..SEQUENCES {
            let chance = Chance::new(sequence * 100 + u64::try_from(index).unwrap());
            for (sid, link) in [(Sid(1), toward_leader), (Sid(3), from_learner)] {
                let peer = world.servers[&sid].process.as_ref().unwrap().peer.clone();
                let awaits_way = sid == Sid(1) && moment == "sent:AckEpoch";
                let chance = chance.clone();
                Victim { peer, link, chance, accepted: 0, current: 0, awaits_way }.suffer(&world);
            }
        }
    }
}

/// One server, and what is stored for it at once.
struct Victim {
    peer: Peer,
    /// Over which it is told something.
    link: Link,
    chance: Chance,
    accepted: i32,
    current: i32,
    /// Whether it has told how far it goes, and heard nothing since: a snapshot that comes now is stored,
    /// whatever it is.
    awaits_way: bool,
}

impl Victim {
    fn suffer(&mut self, world: &World) {
        let now = types::Now { instant: world.network.now, wall_ms: 0 };
        for _ in 0..PACKETS {
            let zxid = self.zxid();
            let payload = [&[0; 12][..], &zxid.raw().to_be_bytes()].concat();
            let link =
                if self.chance.percent(90) { self.link } else { Link(self.chance.below(20)) };
            let input = match self.chance.percent(50) {
                true => Input::FromLeader { link, packet: self.leader_says(zxid, &payload) },
                false if self.chance.percent(10) => Input::LearnerConnected { link: Link(1000) },
                false => Input::FromLearner { link, packet: self.learner_says(zxid) },
            };
            let is_snapshot =
                matches!(input, Input::FromLeader { packet: ToLearner::Snapshot { .. }, .. });
            let awaits_way = link == self.link && std::mem::take(&mut self.awaits_way);
            self.hear(now, input);
            if is_snapshot && awaits_way {
                let last_applied = zxid;
                self.hear(now, Input::SnapshotInstalled { link, last_applied, membership: None });
            }
        }
    }

    /// Takes something in, and what becomes of all that follows from it.
    fn hear(&mut self, now: types::Now, input: Input<'_>) {
        let mut effects = Vec::new();
        self.peer.take(now, input, &mut effects);
        self.peer.settle(now, &mut effects);
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                let Some(input) = self.store(effect) else { continue };
                self.peer.take(now, input, &mut effects);
                self.peer.settle(now, &mut effects);
            }
        }
    }

    fn store(&mut self, effect: Effect) -> Option<Input<'static>> {
        Some(match effect {
            Effect::Append(batch) => Input::LogSynced { zxid: batch.last_zxid().unwrap() },
            Effect::StoreAcceptedEpoch(epoch) => {
                assert!(epoch.0 > self.accepted, "D2: accepted epochs rise");
                self.accepted = epoch.0;
                Input::AcceptedEpochStored(epoch)
            }
            Effect::StoreCurrentEpoch(epoch) => {
                assert!(epoch.0 >= self.current, "D2: current epochs do not fall");
                self.current = epoch.0;
                Input::CurrentEpochStored(epoch)
            }
            Effect::Truncate(last_logged) => Input::Truncated { last_logged },
            Effect::ToLeader { packet: LearnerPacket::AckEpoch { .. }, .. } => {
                self.awaits_way = true;
                return None;
            }
            _ => return None,
        })
    }

    fn zxid(&mut self) -> Zxid {
        let epoch = self.chance.pick(&[0, 1, 1, 1, 2, 3, -1, i32::MAX, i32::MIN]);
        Zxid::new(Epoch(epoch), Counter(self.chance.pick(&[0, 1, 2, 3, u32::MAX])))
    }

    fn leader_says<'a>(&mut self, zxid: Zxid, payload: &'a [u8]) -> ToLearner<'a> {
        let epoch = zxid.epoch();
        let proposal = Proposal::new(payload).unwrap();
        match self.chance.below(10) {
            0 => ToLearner::LeaderInfo { epoch },
            1 => ToLearner::Diff { last_committed: zxid },
            2 => ToLearner::Truncate { keep: zxid },
            3 => ToLearner::Snapshot { last_applied: zxid },
            4 => ToLearner::NewLeader { epoch, config: None },
            5 => ToLearner::UpToDate,
            6 => ToLearner::Inform(proposal),
            7 => ToLearner::Ping { last_proposed: zxid },
            8 => ToLearner::Commit { zxid },
            _ => ToLearner::Proposal(proposal),
        }
    }

    fn learner_says(&mut self, zxid: Zxid) -> ToLeader<'static> {
        let sid = Sid(self.chance.pick(&[-1, 0, 1, 2, 3, 4]));
        let accepted_epoch = zxid.epoch();
        let info =
            LearnerInfo { sid, accepted_epoch, config_version: Some(0), cuts: Cuts::Snapshots };
        let known = |is_known: bool| is_known.then_some(zxid);
        match self.chance.below(7) {
            0 => ToLeader::FollowerInfo(info),
            1 => ToLeader::ObserverInfo(info),
            2 => {
                let last_logged = known(self.chance.percent(80));
                let current_epoch = known(self.chance.percent(80)).map(Zxid::epoch);
                ToLeader::AckEpoch { last_logged, current_epoch }
            }
            3 => ToLeader::AckNewLeader { epoch: zxid.epoch() },
            4 => ToLeader::Ping { last_proposed: zxid, touches: Touches::NONE },
            _ => ToLeader::Ack { zxid },
        }
    }
}
