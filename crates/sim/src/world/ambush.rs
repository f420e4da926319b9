//! Where the nemesis lies in wait: at steps of the protocol, and at what disks do seldom.
//!
//! Whoever chooses a server and waits for it to take a step mostly waits in vain. In runs with ambushes
//! some places are chosen, and whoever comes there is struck with a certain chance, for a few times.

use std::time::Duration;

use storage::{FaultKind, Operation};
use types::{Op, Read, Write};

use super::client::{Client, Phase, Role};
use super::death::Death;
use super::link::{Caller, LinkId};
use super::node::NodeId;
use super::plan::{NemesisIs, Servers};
use super::process::{Admission, Change, LogJob};
use super::steps::Fate;
use super::way::Step;
use super::{Happening, World};
use crate::tape::Tape;

/// What is chosen in a run with ambushes.
#[derive(Clone, Debug, Default)]
pub struct Ambush {
    places: Vec<Place>,
    /// Chance in 1000 that something happens to who comes to one of these.
    permille: u64,
    /// How often at most.
    pub(super) count: u64,
    /// Chance in 1000 that a client stays away for a while that has watches, and has lost its connection.
    absence_permille: u64,
}

/// Where somebody can be waylaid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    At(Step),
    /// Where a log ends and the next one begins.
    Roll,
    Cut,
    /// Where files are removed that nobody needs.
    Purge,
    SyncOfLeader,
    SyncOfOthers,
    /// Where a leader logs what nobody else has: the others turn away from it.
    Branch,
    /// Where a client wants to create something: that comes when the session may be over.
    Expiry,
    /// Where a membership is being changed.
    Change,
}

/// The places at which something happens to any server, alone or not.
const OF_ALL: [Place; 4] = [Place::Roll, Place::Purge, Place::SyncOfOthers, Place::Expiry];

/// The other places at which something happens in ensembles, but for the steps. What mostly comes to
/// nothing is there several times.
const OF_ENSEMBLES: [Place; 11] = [
    Place::SyncOfLeader,
    Place::Branch,
    Place::Branch,
    Place::Expiry,
    Place::Expiry,
    Place::Expiry,
    Place::Expiry,
    Place::At(Step::QuorumFollows),
    Place::At(Step::QuorumFollows),
    Place::At(Step::ClientServed),
    Place::At(Step::ClientServed),
];

/// What the disk does when a log begins.
const OF_NEW_LOG: [Operation; 5] =
    [Operation::Create, Operation::Write, Operation::Sync, Operation::SyncDir, Operation::Rename];

/// What the disk does with a small file that it has written.
const BEHIND_WRITE: [Operation; 3] = [Operation::Sync, Operation::Rename, Operation::SyncDir];

/// What the disk does in a cut.
const OF_CUT: [Operation; 4] =
    [Operation::Unlink, Operation::SetLen, Operation::Sync, Operation::SyncDir];

/// Places of a run at most.
const PLACES_MAX: u64 = 4;

/// In how many of 1000 cases the others turn away from a leader that is about to answer a client, in runs
/// with ambushes.
const DEPOSED_PERMILLE: u64 = 35;

/// How often what happens: the process dies, it stands still, it is alone.
const FATES: [u32; 3] = [12, 1, 2];

/// How many effects a process outlives its step at most.
const EFFECTS_AFTER_MAX: u64 = 1;

impl Ambush {
    /// Draws places, for a nemesis that lies in wait.
    pub(super) fn draw(tape: &mut Tape, servers: Servers) -> Self {
        let mut all = OF_ALL.to_vec();
        if servers.are_ensemble() {
            all.extend(OF_ENSEMBLES);
            all.extend(Step::ALL.map(Place::At));
        }
        let mut places: Vec<Place> =
            (0..tape.range(1, PLACES_MAX)).map(|_| *tape.pick(&all)).collect();
        // There are few of these.
        places.extend(servers.are_ensemble().then_some(Place::Cut));
        places.extend(servers.are_changing().then_some(Place::Change));
        let (permille, count) = (tape.range(200, 800), tape.magnitude(1, 8));
        let absence_permille = if tape.chance(500) { 700 } else { 0 };
        Self { places, permille, count, absence_permille }
    }
}

impl World {
    /// Whether somebody is waylaid who comes to a place.
    fn is_waylaid(&mut self, place: Place) -> bool {
        let is_waylaid = !self.is_peaceful()
            && self.ambushes_left > 0
            && self.plan.ambush.places.contains(&place)
            && self.agenda.tape.chance(self.plan.ambush.permille);
        self.ambushes_left -= u64::from(is_waylaid);
        is_waylaid
    }

    /// A server takes a step.
    pub(super) fn lie_in_wait(&mut self, node: NodeId, step: Step) {
        // What is written and not durable yet is so only while the disk is at work.
        if step == Step::EpochWritten || !self.is_waylaid(Place::At(step)) {
            return;
        }
        match step {
            // The next client is served before there is any effect.
            Step::ClientServed => {
                self.count_fault("crash at a step", node);
                self.die(node, Death::PowerLost);
            }
            _ => self.waylay(node),
        }
    }

    /// Something that a client has sent comes to a leader. Tells whether it does so later now.
    pub(super) fn lie_in_wait_for_leader(&mut self, node: NodeId, link: LinkId) -> bool {
        let may_be_deposed = self.plan.servers.nemesis == NemesisIs::InWait
            && !self.is_peaceful()
            && self.waits_for_read(link);
        if !may_be_deposed || !self.agenda.tape.chance(DEPOSED_PERMILLE) {
            return false;
        }
        if self.agenda.tape.chance(500) {
            self.depose_asleep(node);
        } else {
            self.depose(node);
            let election = self.plan.until_elected();
            let late = election + self.agenda.duration(election);
            self.hold_up(link, late);
        }
        true
    }

    /// Whether what a client waits for next can be answered by a leader alone.
    fn waits_for_read(&self, link: LinkId) -> bool {
        let Some(Caller::Client(client)) = self.links.get(&link).and_then(|link| link.client)
        else {
            return false;
        };
        let next = self.clients[client].pending.front();
        next.is_some_and(|(_, op)| matches!(op, Op::Read(_)))
    }

    /// A leader logs something.
    pub(super) fn lie_in_wait_for_branch(&mut self, node: NodeId) {
        if self.is_waylaid(Place::Branch) {
            self.depose(node);
        }
    }

    /// The others turn away from a leader, which does not know it.
    fn depose(&mut self, node: NodeId) {
        self.count_fault("servers separated", node);
        self.leave_alone(node);
        self.abandon(node);
        self.let_somebody_doubt(node);
    }

    /// A client of a leader that the others have left asks it for a sync and a read when there may be another leader,
    /// which has done more.
    fn let_somebody_doubt(&mut self, node: NodeId) {
        let is_there = |client: &Client| {
            client.phase == Phase::Online
                && client.role == Role::Worker
                && client.server == Some(node)
        };
        let Some(at) = self.clients.iter().position(is_there) else { return };
        let then = self.agenda.now().after(self.plan.until_elected() * 2);
        self.clients[at].silent_until = then;
        self.clients[at].doubts_at = Some(then);
        self.agenda.at(then, Happening::Client(at));
    }

    /// Asks what only a leader can answer that still is one, if a client has reason to.
    pub(super) fn doubt(&mut self, at: usize) -> bool {
        let Some(then) = self.clients[at].doubts_at.filter(|_| !self.is_peaceful()) else {
            return false;
        };
        if self.agenda.now() < then {
            return false;
        }
        self.clients[at].doubts_at = None;
        let server = self.clients[at].server;
        let process = server.and_then(|node| self.nodes[node].process.as_ref());
        if process.is_some_and(|process| process.way.is_deposed()) {
            self.counters.count("deposed leader asked for a sync");
        }
        self.ask(at, Op::Sync { path: "/".into() });
        self.ask(at, Op::Read(Read::GetData { path: "/".into(), watch: false }));
        true
    }

    /// The same, while the leader sleeps: it finds out when it wakes.
    fn depose_asleep(&mut self, node: NodeId) {
        self.count_fault("stands still", node);
        self.sleep(node);
        self.turn_away(node);
    }

    /// A client has lost its connection. It does not come back before others had time to work.
    pub(super) fn lie_in_wait_for_absence(&mut self, at: usize) {
        let client = &self.clients[at];
        let has_watches = client.watches.reset(client.seen).is_some();
        let may_stay_away = has_watches && !self.is_peaceful();
        if may_stay_away && self.agenda.tape.chance(self.plan.ambush.absence_permille) {
            let timeout = self.plan.timeout();
            let absence = timeout / 4 + self.agenda.duration(timeout / 2);
            self.clients[at].silent_until = self.agenda.now().after(absence);
            self.counters.count("client away for a while");
        }
    }

    /// A client has asked for a creation: that is held up, and nothing else is heard of the client, about as
    /// long as a session lasts.
    pub(super) fn lie_in_wait_for_expiry(&mut self, at: usize) {
        let creates = |(_, op): &(_, Op<'_>)| matches!(op, Op::Write(Write::Create(_)));
        let client = &self.clients[at];
        let Some(link) = client.link.filter(|_| client.pending.iter().any(creates)) else { return };
        if self.is_waylaid(Place::Expiry) {
            let late = self.plan.timeout() + self.agenda.duration(self.plan.tick * 3);
            self.hold_up(link, late);
            self.clients[at].silent_until = self.agenda.now().after(late);
            self.counters.count("creation held up");
        }
    }

    /// What a client has sent comes late.
    fn hold_up(&mut self, link: LinkId, late: Duration) {
        let until = self.agenda.now().after(late);
        if let Some(link) = self.links.get_mut(&link) {
            link.held_until = until;
        }
    }

    /// Somebody logs something while the membership changes.
    pub(super) fn lie_in_wait_for_change(&mut self, node: NodeId) {
        if self.is_waylaid(Place::Change) {
            self.waylay(node);
        }
    }

    fn waylay(&mut self, node: NodeId) {
        match self.agenda.tape.weighted(&FATES) {
            0 => {
                let effects = self.agenda.tape.range(0, EFFECTS_AFTER_MAX);
                self.befall(node, Fate::Dies(effects));
            }
            1 => self.befall(node, Fate::StandsStill),
            _ => self.befall(node, Fate::IsAlone),
        }
    }

    /// The log's thread begins with a job.
    pub(super) fn lie_in_wait_for_job(&mut self, node: NodeId, job: &LogJob) {
        let (place, operations): (_, &[Operation]) = match job {
            LogJob::Roll => (Place::Roll, &[Operation::Sync]),
            LogJob::Append(..) if self.is_between_logs(node) => (Place::Roll, &OF_NEW_LOG),
            LogJob::Change(Change::AcceptEpoch(_)) if !self.is_leading(node) => {
                (Place::At(Step::EpochWritten), &BEHIND_WRITE)
            }
            LogJob::Change(Change::Cut(_)) => (Place::Cut, &OF_CUT),
            LogJob::Append(..) | LogJob::Change(_) => return,
        };
        if self.is_waylaid(place) {
            let operation = *self.agenda.tape.pick(operations);
            self.lose_power_in(node, operation, 0);
        }
    }

    /// The log's thread begins to sync.
    pub(super) fn lie_in_wait_for_sync(&mut self, node: NodeId) {
        let place = if self.is_leading(node) { Place::SyncOfLeader } else { Place::SyncOfOthers };
        if self.is_waylaid(place) {
            let kind = *self.agenda.tape.pick(&[FaultKind::Io, FaultKind::PagesDropped]);
            self.fail_sync(node, kind);
        }
    }

    /// A snapshot is about to be finished, and what it replaces to be removed.
    pub(super) fn lie_in_wait_for_purge(&mut self, node: NodeId) {
        if self.is_waylaid(Place::Purge) {
            let after = self.agenda.tape.range(0, 2);
            self.lose_power_in(node, Operation::Unlink, after);
        }
    }

    /// Whether a server leads, or is about to.
    pub(super) fn is_leading(&self, node: NodeId) -> bool {
        let process = self.nodes[node].process.as_ref();
        process.is_some_and(|process| process.admission == Admission::Admit)
    }

    fn is_between_logs(&self, node: NodeId) -> bool {
        self.nodes[node].process.as_ref().is_some_and(|process| process.is_between_logs)
    }
}
