//! Elections with chance: ensembles of three to seven voters and some observers, whose servers
//! crash, start again, and are cut off from each other; then everything heals.
//!
//! What follows an election in a real server is played roughly: a leader that a quorum follows
//! begins an epoch, servers without their leader look for one, and a leader without a quorum gives
//! up.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use types::{Counter, Epoch, Sid, Zxid};
use wire::election::ServerState;
use zab::Candidate;

use crate::election::checks::Way;
use crate::election::ensemble::{Ensemble, Shown};
use crate::election::scripts::membership_of;
use crate::support::chance::Chance;

const SEEDS: u64 = 300;

/// How long a server takes to find out about its leader or its followers.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Within which time an ensemble that is whole again has one leader. Servers that were cut off call
/// each other every five seconds; then there may be a second election.
const HEALING: Duration = Duration::from_secs(20);

#[test]
fn a_whole_ensemble_elects_one_leader_whatever_happened_before() {
    let mut decisions = BTreeMap::new();
    for seed in 0..SEEDS {
        for (way, count) in Campaign::new(seed).run().decisions {
            *decisions.entry(way).or_insert(0) += count;
        }
    }
    // A campaign in which little happened shows little.
    for way in [Way::Voted, Way::Heard] {
        let count = decisions.get(&way).copied().unwrap_or_default();
        assert!(count > 3 * SEEDS, "only {count} decisions: {way:?}");
    }
}

/// One run, which panics if anything is wrong.
#[cfg(feature = "mutants")]
pub(crate) fn run(seed: u64) {
    Campaign::new(seed).run();
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        assert_eq!(Campaign::new(seed).run(), Campaign::new(seed).run(), "seed {seed}");
    }
}

/// What a run came to.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    decisions: BTreeMap<Way, u64>,
    /// Of all that happened.
    hash: u64,
}

struct Campaign {
    seed: u64,
    chance: Chance,
    ensemble: Ensemble,
    voters: Vec<Sid>,
    last_epoch: i32,
    trace: DefaultHasher,
}

impl Campaign {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let delay = Duration::from_micros(chance.pick(&[50, 500, 5_000, 60_000]));
        let mut ensemble = Ensemble::new(seed, delay);
        ensemble.network.jitter = delay * u32::try_from(chance.below(4)).unwrap();
        ensemble.shown = [Shown::Calls, Shown::Votes, Shown::Outcomes].into();
        let voters: Vec<Sid> = (1..=chance.pick(&[3, 4, 5, 7])).map(Sid).collect();
        let first_observer = voters.len() + 1;
        let end = first_observer + usize::try_from(chance.below(3)).unwrap();
        let list = |sids: std::ops::Range<usize>| {
            sids.map(|sid| sid.to_string()).collect::<Vec<_>>().join(",")
        };
        let membership = membership_of(&list(1..first_observer), &list(first_observer..end), "0");
        for member in membership.members() {
            ensemble.add(member.sid, membership.clone());
            let (epoch, counter) = (chance.below(3), chance.below(4));
            let server = ensemble.servers.get_mut(&member.sid).unwrap();
            server.candidate.epoch = Epoch(i32::try_from(epoch).unwrap());
            // Nothing may have been proposed in the last epoch: a later epoch can have a shorter history.
            let logged_in = Epoch(i32::try_from(chance.below(epoch + 1)).unwrap());
            let counter = Counter(u32::try_from(counter).unwrap());
            server.candidate.last_logged = Some(Zxid::new(logged_in, counter));
        }
        if chance.once_in(3) {
            // It lacks some of what another one has.
            let (short, whole) = (voters[0], chance.pick(&voters[1..]));
            let candidate = Candidate { may_lead: false, ..ensemble.servers[&whole].candidate };
            ensemble.servers.get_mut(&short).unwrap().candidate = candidate;
        }
        let trace = DefaultHasher::new();
        Self { seed, chance, ensemble, voters, last_epoch: 3, trace }
    }

    /// Panics if there is no leader in the end, or any decision was wrong.
    fn run(mut self) -> Outcome {
        for sid in self.sids() {
            if self.chance.once_in(4) {
                self.pass(self.chance.clone().below(400));
            }
            self.ensemble.start(sid);
        }
        for _ in 0..8 + self.chance.below(20) {
            self.strike();
            let pause = self.chance.pick(&[1, 20, 150, 700, 3000]);
            self.pass(pause);
        }
        self.ensemble.network.heal();
        for sid in self.sids() {
            if self.ensemble.servers[&sid].process.is_none() {
                self.ensemble.start(sid);
            }
        }
        let end = self.ensemble.network.now.after(HEALING);
        while self.ensemble.network.now < end {
            if self.leader_of_all().is_some() {
                let decisions = self.ensemble.decisions;
                return Outcome { decisions, hash: self.trace.finish() };
            }
            self.pass(100);
        }
        panic!("seed {}: no leader after {HEALING:?}", self.seed);
    }

    fn strike(&mut self) {
        let sids = self.sids();
        let one = self.chance.pick(&sids);
        let other = self.chance.pick(&sids);
        match self.chance.below(8) {
            0 | 1 => self.ensemble.crash(one),
            2 | 3 => {
                if self.ensemble.servers[&one].process.is_none() {
                    self.ensemble.start(one);
                }
            }
            4 if one != other => self.ensemble.network.cut(one, other),
            5 if one != other => self.ensemble.network.silence(one, other),
            6 => self.ensemble.network.heal(),
            _ => {
                // Who leads is struck more often than others.
                if let Some(leader) = self.established().first() {
                    self.ensemble.crash(*leader);
                }
            }
        }
    }

    /// Lets time pass, and the rest of the protocol do its part.
    fn pass(&mut self, ms: u64) {
        let end = self.ensemble.network.now.after(Duration::from_millis(ms));
        while self.ensemble.network.now < end {
            let next = self.ensemble.network.now.after(Duration::from_millis(50)).min(end);
            self.ensemble.run(next, |_| false);
            self.take_roles();
        }
        self.ensemble.take_record().hash(&mut self.trace);
    }

    fn take_roles(&mut self) {
        let now = self.ensemble.network.now;
        for leader in self.established() {
            if !self.has_reign(leader) {
                self.last_epoch += 1;
                self.enter_reign(leader, self.last_epoch);
            }
            let epoch = self.epoch_of(leader);
            for follower in self.followers(leader).collect::<Vec<Sid>>() {
                // It may have followed what the leader was before it crashed.
                if !self.has_reign(follower) || self.epoch_of(follower) != epoch {
                    self.enter_reign(follower, epoch);
                }
            }
        }
        let established = self.established();
        let lost: Vec<Sid> = self
            .ensemble
            .running()
            .filter(|(_, _, process)| {
                let is_without = process.leader.is_some_and(|it| !established.contains(&it));
                process.is_dissolved() || is_without && now.since(process.since) >= PATIENCE
            })
            .map(|(sid, ..)| sid)
            .collect();
        for sid in lost {
            self.ensemble.look(sid);
        }
    }

    /// A server is synchronized. Its history may end with any of the leader's last transactions.
    fn enter_reign(&mut self, sid: Sid, epoch: i32) {
        self.ensemble.establish(sid, Epoch(epoch));
        let counter = Counter(u32::try_from(self.chance.below(2)).unwrap());
        let server = self.ensemble.servers.get_mut(&sid).unwrap();
        server.candidate.last_logged = Some(Zxid::new(Epoch(epoch - 1), counter));
        server.candidate.may_lead = true;
    }

    fn has_reign(&self, sid: Sid) -> bool {
        self.ensemble.servers[&sid].process.as_ref().is_some_and(|process| process.is_established)
    }

    /// Leaders that a quorum follows. That it can reach them is left to chance.
    fn established(&self) -> Vec<Sid> {
        let state = |sid| self.ensemble.servers[&sid].process.as_ref()?.state();
        let leads = |sid: &Sid| state(*sid) == Some(ServerState::Leading);
        let has_quorum = |sid: &Sid| {
            let followers = self.followers(*sid).filter(|it| self.voters.contains(it)).count();
            followers + 1 > self.voters.len() / 2
        };
        self.voters.iter().copied().filter(leads).filter(has_quorum).collect()
    }

    fn followers(&self, leader: Sid) -> impl Iterator<Item = Sid> {
        self.ensemble
            .running()
            .filter(move |(sid, _, process)| process.leader == Some(leader) && *sid != leader)
            .map(|(sid, ..)| sid)
    }

    /// The leader, if all servers run and have the same.
    fn leader_of_all(&self) -> Option<Sid> {
        let leaders: BTreeMap<Option<Sid>, usize> =
            self.ensemble.running().fold(BTreeMap::new(), |mut leaders, (_, _, process)| {
                *leaders.entry(process.leader).or_default() += 1;
                leaders
            });
        let (&leader, &count) = leaders.first_key_value()?;
        let is_whole = leaders.len() == 1 && count == self.ensemble.servers.len();
        leader.filter(|leader| is_whole && self.established().contains(leader))
    }

    fn epoch_of(&self, sid: Sid) -> i32 {
        self.ensemble.servers[&sid].candidate.epoch.0
    }

    fn sids(&self) -> Vec<Sid> {
        self.ensemble.servers.keys().copied().collect()
    }
}
