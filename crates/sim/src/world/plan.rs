//! What exists in a run at all: drawn first, so that runs differ in kind and not only in order.
//!
//! Each kind of fault and each part of the workload is there or not with even chances; sizes are
//! drawn so that every doubling is equally likely. A run with everything in it finds less than many
//! runs with some of it.

use std::collections::BTreeSet;
use std::time::Duration;

use replica::{LONG_ANSWER_BYTES, LocalSessions};
use types::membership::{Membership, Role};
use types::{Counter, Epoch, Zxid};
use zab::LogReading;

use super::ambush::Ambush;
use super::matrix::Kind;
use super::node::NodeId;
use crate::model::Sessions;
use crate::tape::Tape;

/// The largest deviation of a machine's clock: ten in a hundred.
const CLOCK_DRIFT_PERMILLE_MAX: u64 = 100;
/// Servers that are not in an ensemble at first.
const SPARES_MAX: usize = 2;
/// Requests for other memberships.
const CHANGES_MAX: u64 = 12;

/// The shape of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many servers there are.
    pub servers: Servers,
    /// How those of an ensemble deal with each other.
    pub ensemble: Ensemble,
    /// Clients that keep a history.
    pub clients: u32,
    /// Requests of each, before the faults end.
    pub requests: u64,
    /// Requests of an operator to change the membership, where it changes.
    pub changes: u64,
    /// Requests that a client may have on the wire.
    pub window: usize,
    /// Frontends of the server.
    pub fronts: usize,
    /// The unit in which sessions expire.
    pub tick: Duration,
    /// Ticks of a session's timeout.
    pub timeout_ticks: u32,
    /// Where the numbers of transactions start.
    pub start: Zxid,
    /// Transactions between snapshots.
    pub snapshot_txns: u64,
    /// Bytes of znodes in one part of a snapshot.
    pub snapshot_part_bytes: usize,
    /// Bytes of log between snapshots.
    pub snapshot_log_bytes: Option<u64>,
    /// Bytes of a log file.
    pub log_file_bytes: Option<u64>,
    /// Zeros written ahead in a log.
    pub log_space_bytes: usize,
    /// Interval between looks for unused containers.
    pub reap_interval: Duration,
    /// Requests with the replica beyond which connections are not read from.
    pub outstanding_max: u64,
    /// Bytes of an answer that make it a long one.
    pub long_answer_bytes: usize,
    /// Thousandths by which the clocks of machines may be too fast or too slow.
    pub clock_drift_permille: u64,
    /// How long anything takes.
    pub delays: Delays,
    /// How often what goes wrong.
    pub faults: Faults,
    /// Where the nemesis lies in wait.
    pub ambush: Ambush,
    /// What clients do.
    pub workload: Workload,
}

/// The servers of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Servers {
    /// Those that vote. One is no ensemble: it is alone.
    pub voters: usize,
    /// Those of an ensemble that do not vote.
    pub observers: usize,
    /// Those that are not in it at first, and not even switched on.
    pub spares: usize,
    /// Whether it changes who is in the ensemble, and who votes.
    pub membership: MembershipIs,
    /// How it is decided when something goes wrong.
    pub nemesis: NemesisIs,
    /// Who knows of sessions.
    pub sessions: Sessions,
}

/// How it is decided when something goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NemesisIs {
    /// Now and then, wherever servers are.
    Roaming,
    /// So, and at chosen places when servers come there.
    InWait,
}

/// Whether the membership changes in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MembershipIs {
    /// Nobody changes it, and nobody may.
    Fixed,
    /// An operator does.
    Changing,
}

/// How servers deal with each other.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Ticks that a server may be silent.
    pub sync_limit: u32,
    /// Ticks that a learner may take to get the leader's history.
    pub init_limit: u32,
    /// Committed transactions that are kept for learners.
    pub history_min: usize,
    /// ... and how many bytes those may have.
    pub history_bytes: usize,
    /// What the log is read for.
    pub log_reading: LogReading,
    /// Whether every learner is sent a snapshot.
    pub snapshots_only: bool,
    /// Bytes of a history that a learner has received when it begins to deliver it.
    pub received_bytes_max: usize,
    /// The longest time after which a vote is told again.
    pub notify_max: Duration,
    /// How long an election is kept open for a better candidate.
    pub finalize: Duration,
    /// How long a server has no leader before it serves clients that are content with reads.
    pub read_only_after: Option<Duration>,
    /// Whether sessions are known only to the server of their client.
    pub local_sessions: LocalSessions,
    /// Chance in 1000 that a vote says something else than its sender meant, so that anybody may be
    /// elected: what is committed must not depend on who is.
    pub lies_permille: u64,
}

/// Longest durations; each is drawn anew each time.
#[derive(Clone, Debug)]
pub struct Delays {
    /// Of bytes on the wire.
    pub wire: Duration,
    /// Between two looks of a thread at its queue.
    pub thread: Duration,
    /// Of a sync.
    pub sync: Duration,
    /// Between two requests of a client.
    pub think: Duration,
    /// Between two spells of work of a client.
    pub rest: Duration,
}

/// Chances in 1000 of each kind of fault when the nemesis wakes; zero for kinds that are not part
/// of the run.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Time between two wakings.
    pub interval: Duration,
    /// How many there are at most.
    pub count: u64,
    /// Chance in 1000 that nothing more goes wrong for a while, in which servers find a leader.
    pub quiet_permille: u64,
    /// Weight of: the process dies at once.
    pub kill: u32,
    /// Weight of: power is lost at once.
    pub power_loss: u32,
    /// Weight of: the process dies, or power is lost, some effects later.
    pub crash_at_effect: u32,
    /// Weight of: power is lost in the middle of an operation of the disk.
    pub crash_in_disk: u32,
    /// Weight of: a sync fails.
    pub sync_error: u32,
    /// Weight of: a write finds no space, or is short.
    pub disk_full: u32,
    /// Weight of: an operation on a snapshot's file fails.
    pub snapshot_error: u32,
    /// Weight of: a connection is cut, on one or both sides.
    pub cut: u32,
    /// Weight of: a client falls silent, long enough for its session to end.
    pub silence: u32,
    /// Weight of: the wall clock jumps.
    pub wall_clock: u32,
    /// Weight of: the process stands still.
    pub pause: u32,
    /// Weight of: an operator asks for a snapshot.
    pub snapshot: u32,
    /// Weight of: somebody sends nonsense.
    pub nonsense: u32,
    /// Weight of: the server is stopped in an orderly way.
    pub stop: u32,
    /// Weight of: a connection between servers is cut, on one or both sides.
    pub cut_peers: u32,
    /// Weight of: nothing arrives any longer between some servers, one way or both; until the next
    /// of these.
    pub partition: u32,
    /// Weight of: some bits of a durable file change.
    pub rot: u32,
    /// Weight of: a machine gets an empty disk in place of its own.
    pub disk_loss: u32,
    /// Weight of: a process dies at a step of the protocol between servers, or soon after it.
    pub crash_at_step: u32,
    /// Chance in 1000 that the same happens at a step that is seldom taken, without being chosen before.
    pub rare_step_permille: u64,
    /// Weight of: all machines lose power at once.
    pub blackout: u32,
    /// Weight of: a disk takes many times longer than others, for a while.
    pub slow_disk: u32,
    /// Chance in 1000 that bytes arrive in pieces.
    pub chunks: u64,
}

/// Weights of what clients do.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Reads and conditional writes of a few znodes.
    pub registers: u32,
    /// Creations with a counter, deletions.
    pub sequences: u32,
    /// Ephemeral znodes.
    pub ephemerals: u32,
    /// Several operations at once.
    pub multis: u32,
    /// Watches of all kinds.
    pub watches: u32,
    /// Credentials and access control lists.
    pub access: u32,
    /// Containers and znodes with a time to live.
    pub reaped: u32,
    /// Subtrees that come and go.
    pub trees: u32,
    /// Requests that must be refused.
    pub mistakes: u32,
    /// Ends of sessions by their clients.
    pub closes: u32,
    /// Syncs among the reads and writes of a few znodes.
    pub syncs: u32,
    /// Names per kind of znode: few make conflicts.
    pub names: u64,
    /// Bytes of data at most.
    pub data_bytes_max: u64,
}

impl Plan {
    /// Draws a plan for so many servers.
    pub fn draw(tape: &mut Tape, servers: Servers) -> Self {
        let millis = |tape: &mut Tape, low, high| Duration::from_millis(tape.magnitude(low, high));
        let micros = |tape: &mut Tape, low, high| Duration::from_micros(tape.magnitude(low, high));
        let mut plan = Self {
            servers,
            ensemble: Ensemble::none(),
            clients: u32::try_from(tape.range(1, 6)).unwrap_or(1),
            requests: tape.magnitude(4, 64),
            changes: 0,
            window: tape.magnitude(1, 16).try_into().unwrap_or(1),
            fronts: tape.range(1, 3).try_into().unwrap_or(1),
            tick: millis(tape, 20, 500),
            timeout_ticks: u32::try_from(tape.range(2, 10)).unwrap_or(2),
            start: draw_start(tape),
            snapshot_txns: tape.magnitude(2, 200),
            snapshot_part_bytes: tape.magnitude(64, 64 << 10).try_into().unwrap_or(64),
            snapshot_log_bytes: tape.chance(200).then(|| tape.magnitude(256, 16 << 10)),
            log_file_bytes: tape.chance(200).then(|| tape.magnitude(256, 16 << 10)),
            log_space_bytes: *tape.pick(&[4096, 0, 64, 512, 1024]),
            reap_interval: millis(tape, 50, 5000),
            outstanding_max: if tape.chance(150) { tape.range(1, 8) } else { 1000 },
            long_answer_bytes: if tape.chance(300) { tape.index(64) } else { LONG_ANSWER_BYTES },
            clock_drift_permille: 0,
            delays: Delays {
                wire: micros(tape, 1, 20_000),
                thread: micros(tape, 1, 2_000),
                sync: micros(tape, 1, 50_000),
                think: micros(tape, 1, 100_000),
                rest: Duration::ZERO,
            },
            faults: Faults::draw(tape),
            ambush: Ambush::default(),
            workload: Workload::draw(tape),
        };
        if servers.are_ensemble() {
            plan.ensemble = Ensemble::draw(tape, plan.tick, plan.delays.round_trip());
            plan.faults.draw_of_ensemble(tape, plan.tick);
            plan.take_time(tape);
            plan.ensemble.local_sessions = match servers.sessions {
                Sessions::Global => LocalSessions::Off,
                Sessions::Local => LocalSessions::Upgradable,
            };
            plan.clock_drift_permille =
                if tape.chance(500) { tape.magnitude(1, CLOCK_DRIFT_PERMILLE_MAX) } else { 0 };
        }
        if servers.are_changing() {
            plan.changes = tape.magnitude(1, CHANGES_MAX);
            plan.faults.spare_disks();
        }
        if servers.nemesis == NemesisIs::InWait {
            plan.ambush = Ambush::draw(tape, servers);
            if !servers.are_ensemble() && tape.chance(500) {
                plan.faults.slow_disk = tape_weight(tape, 8);
            }
            if tape.chance(350) {
                // Those who watch, and those who change what is watched meanwhile.
                plan.workload.watches += 20;
                plan.clients = plan.clients.max(2);
                plan.workload.names = plan.workload.names.min(2);
                plan.requests = plan.requests.min(48);
            }
        }
        plan
    }

    /// Draws how long clients are at work: leaders come and go meanwhile. Most files are short, so that
    /// what is cut off, or sent to a learner, lies in several.
    fn take_time(&mut self, tape: &mut Tape) {
        self.requests = tape.magnitude(8, 128);
        if tape.chance(500) {
            // Long enough for a client to wait for a server that is paused while others elect another leader.
            self.timeout_ticks = u32::try_from(tape.range(8, 20)).unwrap_or(8);
        }
        self.workload.syncs = u32::try_from(tape.magnitude(1, 16)).unwrap_or(1);
        self.delays.think = self.tick * u32::try_from(tape.magnitude(1, 32)).unwrap_or(1) / 16;
        self.delays.rest = self.until_missed();
        if tape.chance(500) {
            self.log_file_bytes = Some(tape.magnitude(256, 4 << 10));
        }
    }

    /// About the time in which servers notice that another one is gone, and have another leader.
    pub fn until_missed(&self) -> Duration {
        let Ensemble { sync_limit, notify_max, finalize, .. } = &self.ensemble;
        self.tick * *sync_limit + *notify_max / 4 + *finalize
    }

    /// About the time in which servers that know that they have no leader have one.
    pub(super) fn until_elected(&self) -> Duration {
        self.ensemble.finalize + self.delays.round_trip() * 2
    }

    /// The timeout that clients ask for: time for more than one round trip, since else no session
    /// would last.
    pub fn timeout(&self) -> Duration {
        let round_trips = if self.servers.are_ensemble() { 6 } else { 2 };
        (self.tick * self.timeout_ticks).max(self.delays.round_trip() * round_trips)
    }

    /// Without faults, the longest time until an ensemble has a leader that all follow.
    pub fn until_led(&self) -> Duration {
        if !self.servers.are_ensemble() {
            return Duration::ZERO;
        }
        let Ensemble { sync_limit, init_limit, notify_max, finalize, .. } = &self.ensemble;
        // Two rounds that fail, as somebody follows who had just given up, and one that does not; and
        // before all that, those who could not reach each other have to try again.
        (self.tick * (*sync_limit + *init_limit) + *notify_max + *finalize) * 4
            + zab::CALL_DELAY_MAX * 2
    }
}

impl Servers {
    /// What a campaign can be restricted to.
    pub const VOTERS: [usize; 3] = [1, 3, 5];

    /// So many voters and nobody else, which stays so.
    pub const fn fixed(voters: usize) -> Self {
        let (membership, nemesis) = (MembershipIs::Fixed, NemesisIs::Roaming);
        Self { voters, observers: 0, spares: 0, membership, nemesis, sessions: Sessions::Global }
    }

    /// Draws: mostly one server. The higher half of the first byte says how many vote, the lower one
    /// whether that changes, whether the nemesis lies in wait, and whether sessions are local.
    pub fn draw(tape: &mut Tape) -> Self {
        let (voters, membership, nemesis, sessions) = Self::read(tape.byte());
        let observers = usize::from(voters > 1 && tape.chance(250));
        let spares = match membership {
            MembershipIs::Fixed => 0,
            MembershipIs::Changing => tape.index(SPARES_MAX + 1),
        };
        Self { voters, observers, spares, membership, nemesis, sessions }
    }

    /// The first byte of the tapes of runs like these; `None` if there are none.
    pub fn first_byte(
        voters: usize,
        membership: MembershipIs,
        nemesis: NemesisIs,
        sessions: Sessions,
    ) -> Option<u8> {
        (0..=u8::MAX).find(|&byte| Self::read(byte) == (voters, membership, nemesis, sessions))
    }

    const fn read(byte: u8) -> (usize, MembershipIs, NemesisIs, Sessions) {
        let voters = match byte >> 4 {
            0..=11 => 1,
            12..=14 => 3,
            _ => 5,
        };
        let membership = match byte & 0xf {
            12.. if voters > 1 => MembershipIs::Changing,
            _ => MembershipIs::Fixed,
        };
        let nemesis = match byte & 0xf {
            6..=11 | 14.. => NemesisIs::InWait,
            _ => NemesisIs::Roaming,
        };
        let sessions = match byte & 0xf {
            5 | 11 if voters > 1 => Sessions::Local,
            _ => Sessions::Global,
        };
        (voters, membership, nemesis, sessions)
    }

    /// All of them.
    pub const fn count(self) -> usize {
        self.voters + self.observers + self.spares
    }

    /// Who is in the ensemble, as it was written by hand for one of its servers: the voters come first. A
    /// spare lists itself as well.
    pub(super) fn membership(self, of: NodeId) -> Membership {
        let line = |index: usize| {
            let role = if index < self.voters { Role::Voter } else { Role::Observer };
            let role = if index < self.voters + self.observers { role } else { Role::Voter };
            let sid = NodeId(index).sid().0;
            format!("server.{sid}=s{sid}:2888:3888:{role}\n")
        };
        let listed = (0..self.voters + self.observers).chain(Some(of.0));
        let text: String = listed.collect::<BTreeSet<_>>().into_iter().map(line).collect();
        Membership::parse(&text).expect("somebody votes")
    }

    /// What can go wrong with them.
    pub(super) const fn kind(self) -> Kind {
        if self.are_ensemble() { Kind::Ensemble } else { Kind::Alone }
    }

    /// Whether the membership changes.
    pub fn are_changing(self) -> bool {
        self.membership == MembershipIs::Changing
    }

    /// Whether there is more than one.
    pub const fn are_ensemble(self) -> bool {
        self.count() > 1
    }
}

impl Ensemble {
    fn none() -> Self {
        Self {
            sync_limit: 0,
            init_limit: 0,
            history_min: 0,
            history_bytes: 0,
            log_reading: LogReading::Off,
            snapshots_only: false,
            received_bytes_max: 0,
            notify_max: Duration::ZERO,
            finalize: Duration::ZERO,
            read_only_after: None,
            local_sessions: LocalSessions::Off,
            lies_permille: 0,
        }
    }

    /// Limits that no server reaches merely because everything takes as long as it may.
    fn draw(tape: &mut Tape, tick: Duration, round_trip: Duration) -> Self {
        let shortest = (round_trip * 4).as_micros().div_ceil(tick.as_micros().max(1));
        let sync_limit = u32::try_from(tape.range(2, 6)).unwrap_or(2);
        let sync_limit = sync_limit.max(u32::try_from(shortest).unwrap_or(u32::MAX));
        Self {
            sync_limit,
            init_limit: sync_limit * u32::try_from(tape.range(2, 4)).unwrap_or(2),
            history_min: tape.magnitude(0, 500).try_into().unwrap_or(0),
            history_bytes: tape.magnitude(1_000, 1_000_000).try_into().unwrap_or(0),
            log_reading: match tape.range(0, 3) {
                0 => LogReading::Off,
                1 => LogReading::Share(0.33),
                _ => LogReading::Unlimited,
            },
            snapshots_only: tape.chance(100),
            received_bytes_max: match tape.chance(500) {
                true => tape.index(2_000),
                false => zab::RECEIVED_BYTES_MAX,
            },
            notify_max: Duration::from_millis(tape.magnitude(400, 4_000)),
            finalize: Duration::from_millis(tape.magnitude(1, 200)),
            lies_permille: if tape.chance(300) { tape.range(50, 500) } else { 0 },
            read_only_after: tape
                .chance(300)
                .then(|| tick * u32::try_from(tape.range(1, 12)).unwrap_or(1)),
            local_sessions: LocalSessions::Off,
        }
    }
}

impl Delays {
    /// The longest time from a request to its answer, if one disk is asked.
    fn round_trip(&self) -> Duration {
        (self.wire + self.sync) * 2 + self.thread * 8
    }
}

/// Mostly the beginning; else close to the end of an epoch.
fn draw_start(tape: &mut Tape) -> Zxid {
    if tape.chance(80) {
        let left = u32::try_from(tape.range(0, 60)).unwrap_or(0);
        Zxid::new(Epoch(i32::try_from(tape.range(0, 3)).unwrap_or(0)), Counter(u32::MAX - left))
    } else {
        Zxid::ZERO
    }
}

impl Faults {
    fn draw(tape: &mut Tape) -> Self {
        let mut weight = |of: u64| if tape.chance(500) { tape_weight(tape, of) } else { 0 };
        Self {
            kill: weight(8),
            power_loss: weight(8),
            crash_at_effect: weight(16),
            crash_in_disk: weight(16),
            sync_error: weight(8),
            disk_full: weight(8),
            snapshot_error: weight(8),
            cut: weight(16),
            silence: weight(8),
            wall_clock: weight(8),
            pause: weight(8),
            snapshot: weight(16),
            nonsense: weight(8),
            stop: weight(4),
            cut_peers: 0,
            partition: 0,
            rot: 0,
            disk_loss: 0,
            crash_at_step: 0,
            rare_step_permille: 0,
            blackout: 0,
            slow_disk: 0,
            chunks: if tape.chance(500) { tape.range(1, 500) } else { 0 },
            interval: Duration::from_millis(tape.magnitude(5, 500)),
            count: tape.magnitude(0, 60),
            quiet_permille: 0,
        }
    }

    /// Draws what can only go wrong between servers, who notice it after some ticks.
    fn draw_of_ensemble(&mut self, tape: &mut Tape, tick: Duration) {
        let mut weight = |of: u64| if tape.chance(500) { tape_weight(tape, of) } else { 0 };
        self.cut_peers = weight(24);
        self.partition = weight(40);
        self.rot = weight(12);
        self.disk_loss = weight(6);
        self.crash_at_step = weight(48);
        self.blackout = weight(6);
        self.slow_disk = weight(8);
        self.interval = tick * u32::try_from(tape.magnitude(1, 32)).unwrap_or(1) / 4;
        self.count = tape.magnitude(1, 60);
        self.rare_step_permille = if tape.chance(500) { tape.range(10, 400) } else { 0 };
        self.quiet_permille = if tape.chance(500) { tape.range(100, 900) } else { 0 };
        if self.disk_loss > 0 {
            // The ids of sessions come from the wall clock, once the file is lost that remembers them.
            self.wall_clock = 0;
        }
    }

    /// Leaves what was durable on all disks: who may forget it depends on who votes, now and later.
    pub(super) fn spare_disks(&mut self) {
        self.rot = 0;
        self.disk_loss = 0;
    }

    /// All weights, in the order of the fields.
    pub(super) fn weights(&self) -> [u32; 21] {
        [
            self.kill,
            self.power_loss,
            self.crash_at_effect,
            self.crash_in_disk,
            self.sync_error,
            self.disk_full,
            self.snapshot_error,
            self.cut,
            self.silence,
            self.wall_clock,
            self.pause,
            self.snapshot,
            self.nonsense,
            self.stop,
            self.cut_peers,
            self.partition,
            self.rot,
            self.disk_loss,
            self.crash_at_step,
            self.blackout,
            self.slow_disk,
        ]
    }
}

fn tape_weight(tape: &mut Tape, of: u64) -> u32 {
    u32::try_from(tape.range(1, of)).unwrap_or(1)
}

impl Workload {
    fn draw(tape: &mut Tape) -> Self {
        let mut weight = |of: u64| if tape.chance(500) { tape_weight(tape, of) } else { 0 };
        Self {
            registers: 1 + weight(20),
            sequences: weight(10),
            ephemerals: weight(10),
            multis: weight(10),
            watches: weight(15),
            access: weight(6),
            reaped: weight(6),
            trees: weight(10),
            mistakes: weight(4),
            closes: weight(2),
            syncs: 1,
            names: tape.range(1, 4),
            data_bytes_max: tape.magnitude(0, 2000),
        }
    }

    /// All weights, in the order of the fields.
    pub(super) fn weights(&self) -> [u32; 10] {
        [
            self.registers,
            self.sequences,
            self.ephemerals,
            self.multis,
            self.watches,
            self.access,
            self.reaped,
            self.trees,
            self.mistakes,
            self.closes,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tapes_from_before_there_were_ambushes_have_none() {
        let (fixed, changing) = (MembershipIs::Fixed, MembershipIs::Changing);
        for (byte, voters, membership) in
            [(0, 1, fixed), (0xc0, 3, fixed), (0xcc, 3, changing), (0xf0, 5, fixed)]
        {
            let roaming = NemesisIs::Roaming;
            let global = Sessions::Global;
            assert_eq!(Servers::read(byte), (voters, membership, roaming, global));
            assert_eq!(Servers::first_byte(voters, membership, roaming, global), Some(byte));
        }
    }

    #[test]
    fn every_kind_of_ensemble_may_be_lain_in_wait_for() {
        for voters in Servers::VOTERS {
            let first = |membership, sessions| {
                Servers::first_byte(voters, membership, NemesisIs::InWait, sessions)
            };
            assert!(first(MembershipIs::Fixed, Sessions::Global).is_some());
            assert_eq!(first(MembershipIs::Fixed, Sessions::Local).is_some(), voters > 1);
            assert_eq!(first(MembershipIs::Changing, Sessions::Global).is_some(), voters > 1);
        }
    }
}
