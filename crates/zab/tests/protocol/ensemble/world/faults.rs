//! What goes wrong, by chance.

use std::time::Duration;

use types::membership::Membership;
use types::{Epoch, Instant, Sid, Zxid};
use wire::election::LastLogged;
use zab::{Announcement, LogReading, ObserverMasters, SynchronizationsMax};

use super::server::Event;
use super::{Plan, World, membership};
use crate::support::chance::Chance;

/// How much goes wrong: percentages, of a strike each tenth of a second at the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// A process ends.
    pub(crate) crashes: u64,
    /// ... at any moment of the protocol, once in so many.
    pub(crate) crash_in: Option<u64>,
    /// All processes end.
    pub(crate) outages: u64,
    /// Two servers are disconnected, and may be so for a while.
    pub(crate) cuts: u64,
    /// A server is cut off from all others for a while.
    pub(crate) isolations: u64,
    /// Nothing arrives from one server at another for a while, in one direction or both.
    pub(crate) silences: u64,
    /// A disk does nothing for a while.
    pub(crate) stalls: u64,
    /// A process does nothing for a while.
    pub(crate) pauses: u64,
    /// A vote says something else than it should: whatever an election comes to, no data is lost.
    pub(crate) lies: u64,
    /// How often a peer takes in several things before it settles.
    pub(crate) batches: u64,
    /// How often a part of a log can not be read for a learner.
    pub(crate) spoiled: u64,
    /// How often a log can not be cut where a leader wants it.
    pub(crate) uncuttable: u64,
    /// Whether what is on its way to the disk may be there after a crash, in part.
    pub(crate) tears: bool,
    /// The membership is changed into any other. No fault, but it finds some.
    pub(crate) changes: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        crashes: 0,
        crash_in: None,
        outages: 0,
        cuts: 0,
        isolations: 0,
        silences: 0,
        stalls: 0,
        pauses: 0,
        lies: 0,
        batches: 0,
        spoiled: 0,
        uncuttable: 0,
        tears: false,
        changes: 0,
    };

    /// Each kind of fault exists in half of the runs.
    fn wild(chance: &mut Chance) -> Self {
        let mut weight = |most: u64| match chance.percent(50) {
            true => chance.below(most) + 1,
            false => 0,
        };
        let (crashes, outages, cuts, isolations) = (weight(25), weight(4), weight(40), weight(10));
        let (silences, stalls, pauses, batches) = (weight(30), weight(30), weight(20), weight(60));
        let lies = weight(40);
        let crash_in = match chance.percent(75) {
            true => Some(chance.pick(&[15, 60, 300])),
            false => None,
        };
        let tears = true;
        Self {
            crashes,
            crash_in,
            outages,
            cuts,
            isolations,
            silences,
            stalls,
            pauses,
            lies,
            batches,
            spoiled: 0,
            uncuttable: 0,
            tears,
            changes: 0,
        }
    }
}

impl Plan {
    /// Many faults of some kinds.
    pub(crate) fn wild(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5eed);
        let faults = Faults {
            spoiled: Chance::new(seed ^ 0x5b01).pick(&[0, 3, 10]),
            uncuttable: Chance::new(seed ^ 0x0c07).pick(&[0, 80]),
            ..Faults::wild(&mut chance)
        };
        let ms = Duration::from_millis;
        Self {
            history_min: chance.pick(&[0, 1, 5, 20, 500]),
            snapshots_only: chance.percent(10),
            log_reading: Chance::new(seed ^ 0x0109).pick(&[
                LogReading::Off,
                LogReading::Off,
                LogReading::Unlimited,
            ]),
            has_oracle: false,
            observer_masters: match Chance::new(seed ^ 0x0b5e).percent(30) {
                true => ObserverMasters::Followers,
                false => ObserverMasters::Leader,
            },
            synchronizations_max: SynchronizationsMax {
                snapshots: Chance::new(seed ^ 0x1135).pick(&[1, 2, 10]),
                diffs: Chance::new(seed ^ 0x1d1f).pick(&[1, 2, 100]),
            },
            delay: Duration::from_micros(20),
            jitter: ms(chance.pick(&[1, 5, 20, 80])),
            closing: Duration::from_micros(20),
            job: Duration::from_micros(20),
            job_jitter: ms(chance.pick(&[1, 5, 20, 80, 200])),
            stream: ms(chance.pick(&[1, 20, 200])),
            faults,
            ..Self::calm()
        }
    }
}

impl World {
    /// Some server has accepted an epoch of a leader that came to nothing long ago.
    pub(crate) fn begin_uneven(&mut self) {
        if self.chance.percent(30) {
            let sid =
                Sid(1 + self.chance.clone().number().cast_signed().rem_euclid(self.plan.voters));
            let epoch = i32::try_from(self.chance.below(5000)).expect("small");
            self.server(sid).disk.durable.accepted = Epoch(epoch);
        }
    }

    /// Makes a vote say something else, now and then.
    pub(super) fn twist(&mut self, announcement: &mut Announcement) {
        if !self.chance.percent(self.plan.faults.lies) {
            return;
        }
        let voter = 1 + self.chance.below(self.plan.voters.unsigned_abs());
        match self.chance.below(3) {
            0 => announcement.leader = Some(Sid(voter.cast_signed())),
            1 => announcement.epoch = Some(Epoch(0)),
            _ => announcement.last_logged = LastLogged::Zxid(Zxid::ZERO),
        }
    }

    /// Lets time pass with faults, proposals and questions.
    pub(crate) fn run_wild(&mut self, time: Duration) {
        let end = self.network.now.after(time);
        while self.network.now < end {
            let pause = Duration::from_millis(self.chance.below(100));
            self.run_for(pause);
            self.strike();
            for leader in self.leaders() {
                if self.chance.percent(50) {
                    self.ask(leader);
                }
                if self.chance.percent(self.plan.faults.changes) {
                    let membership = self.any_membership();
                    self.reconfigure(leader, membership);
                }
                if self.chance.percent(70) {
                    let count = self.chance.below(4);
                    self.propose(leader, count);
                }
            }
        }
    }

    /// Ends all faults. Histories are not sent so slowly any more that it takes all the time there is.
    pub(crate) fn heal(&mut self) {
        self.plan.faults = Faults::NONE;
        self.plan.stream = self.plan.stream.min(Duration::from_millis(20));
        self.network.heal();
        for sid in self.sids() {
            let server = self.server(sid);
            server.stalled_until = Instant::default();
            if let Some(process) = &mut server.process {
                process.paused_until = Instant::default();
            }
            self.pause(sid, Duration::ZERO);
            self.start(sid);
        }
    }

    /// A process stands still for so long.
    pub(crate) fn pause(&mut self, sid: Sid, time: Duration) {
        let until = self.network.now.after(time);
        let server = self.server(sid);
        let run = server.run;
        if let Some(process) = &mut server.process {
            process.paused_until = process.paused_until.max(until);
            self.schedule(time, Event::Wake { sid, run });
        }
    }

    /// A disk stands still for so long.
    pub(crate) fn stall(&mut self, sid: Sid, time: Duration) {
        let until = self.network.now.after(time);
        self.server(sid).stalled_until = until;
    }

    pub(super) fn start_later(&mut self, sid: Sid) {
        let time = self.up_to(3000);
        self.schedule(time, Event::Start { sid });
    }

    /// Some of the servers, most of which vote; some may be found elsewhere than before.
    fn any_membership(&mut self) -> Membership {
        let sids = self.sids();
        let sure = self.chance.pick(&sids);
        let mut members = vec![sure.0.to_string()];
        for sid in sids.into_iter().filter(|&sid| sid != sure) {
            let place = self.chance.below(2);
            match self.chance.below(10) {
                0..6 => members.push(format!("{}@{place}", sid.0)),
                6..8 => members.push(format!("{}@{place}:observer", sid.0)),
                _ => {}
            }
        }
        membership(members)
    }

    fn strike(&mut self) {
        let sids = self.sids();
        let (mut one, other) = (self.chance.pick(&sids), self.chance.pick(&sids));
        if let Some(&leader) = self.leaders().last()
            && self.chance.percent(30)
        {
            one = leader;
        }
        let faults = self.plan.faults;
        if self.chance.percent(faults.crashes) {
            self.crash(one);
            self.start_later(one);
        }
        if self.chance.percent(faults.outages) {
            for &sid in &sids {
                self.crash(sid);
                self.start_later(sid);
            }
        }
        if self.chance.percent(faults.cuts) && one != other {
            self.cut(one, other);
        }
        if self.chance.percent(faults.isolations) {
            let until = self.up_to(3000);
            for &other in sids.iter().filter(|&&other| other != one) {
                self.network.cut(one, other);
                self.schedule(until, Event::Mend { one, other });
            }
        }
        if self.chance.percent(faults.silences) && one != other {
            let time = self.up_to(1500);
            self.network.mute(one, other);
            self.schedule(time, Event::Speak { from: one, to: other });
            if self.chance.percent(50) {
                self.network.mute(other, one);
                self.schedule(time, Event::Speak { from: other, to: one });
            }
        }
        if self.chance.percent(faults.stalls) {
            let time = self.up_to(1000);
            self.stall(one, time);
        }
        if self.chance.percent(faults.pauses) {
            let time = self.up_to(2000);
            self.pause(one, time);
        }
    }

    fn cut(&mut self, one: Sid, other: Sid) {
        if self.chance.percent(40) {
            self.network.disconnect(one, other);
            return;
        }
        self.network.cut(one, other);
        let time = self.up_to(3000);
        self.schedule(time, Event::Mend { one, other });
    }

    fn up_to(&mut self, longest_ms: u64) -> Duration {
        Duration::from_micros(self.chance.below(longest_ms * 1000))
    }
}
