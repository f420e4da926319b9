//! Servers that elect, the network between them, and a record of what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use types::membership::Membership;
use types::{Epoch, Instant, Now, Sid, Zxid};
use wire::election::{ElectionRound, LastLogged, Notification, ServerState};
use wire::frame;
use zab::{
    Announcement, CallFailure, Candidate, Effect, Election, ElectionOptions, Link, Memberships,
    Oracle, Quorum, Quorums,
};

use crate::election::checks::{Decision, Way};
use crate::support::network::{Happening, Network, Port};

/// Steps after which an ensemble that does not come to rest is taken for one that never does.
const STEPS_MAX: usize = 200_000;

/// After which time servers repeat what they propose.
const NOTIFY_MIN: Duration = Duration::from_millis(200);

/// See the module.
pub(crate) struct Ensemble {
    pub(crate) network: Network<Vec<u8>>,
    pub(crate) servers: BTreeMap<Sid, Server>,
    /// Times, before the options are those of Apache.
    pub(crate) notify_max: Duration,
    /// Whether servers take over newer memberships.
    pub(crate) adopts: bool,
    /// What to record.
    pub(crate) shown: BTreeSet<Shown>,
    record: String,
    /// How many decisions there were of each kind.
    pub(crate) decisions: BTreeMap<Way, u64>,
}

/// A kind of events that is recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Shown {
    Calls,
    Votes,
    Outcomes,
}

/// One of the servers, as its disk and the test know it.
pub(crate) struct Server {
    pub(crate) candidate: Candidate,
    pub(crate) membership: Membership,
    pub(crate) is_puppet: bool,
    pub(crate) process: Option<Process>,
}

/// One that runs.
pub(crate) struct Process {
    /// `None`: it is a puppet.
    election: Option<Election>,
    pub(crate) leader: Option<Sid>,
    /// Whether an oracle decides, so that there need not be a quorum.
    has_oracle: bool,
    pub(crate) since: Instant,
    /// Whether it was told that the leader reigns.
    pub(crate) is_established: bool,
    /// What came from each server since the election began, and votes that came shortly before.
    heard: Vec<(Instant, Sid, Announcement)>,
    /// Whose connections are whose.
    links: BTreeMap<Link, Sid>,
    last_round: ElectionRound,
}

impl Server {
    pub(crate) fn quorums(&self) -> Quorums {
        Quorum::from(&self.membership).into()
    }

    fn memberships(&self) -> Memberships {
        Memberships::from(self.membership.clone())
    }
}

impl Process {
    pub(crate) fn state(&self) -> Option<ServerState> {
        self.election.as_ref().map(Election::state)
    }

    pub(crate) fn round(&self) -> ElectionRound {
        self.election.as_ref().map_or(ElectionRound(0), Election::round)
    }

    pub(crate) fn is_dissolved(&self) -> bool {
        self.election.as_ref().is_some_and(Election::is_dissolved)
    }

    pub(crate) fn deserters(&self) -> Vec<Sid> {
        self.election.iter().flat_map(|election| election.deserters(self.since)).collect()
    }
}

impl Ensemble {
    /// Servers that do not run yet, without history.
    pub(crate) fn new(seed: u64, delay: Duration) -> Self {
        Self {
            network: Network::new(seed, delay),
            servers: BTreeMap::new(),
            notify_max: Duration::from_secs(60),
            adopts: false,
            shown: BTreeSet::new(),
            record: String::new(),
            decisions: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, sid: Sid, membership: Membership) {
        let candidate =
            Candidate { last_logged: Some(Zxid::ZERO), epoch: Epoch(0), may_lead: true };
        let (is_puppet, process) = (false, None);
        let server = Server { candidate, membership, is_puppet, process };
        self.servers.insert(sid, server);
    }

    /// A server starts and looks for a leader.
    pub(crate) fn start(&mut self, sid: Sid) {
        self.network.start(sid);
        let now = self.network.now;
        let notify_max = self.notify_max;
        let server = self.servers.get_mut(&sid).unwrap();
        let options = ElectionOptions {
            sid,
            notify_min: NOTIFY_MIN,
            notify_max,
            finalize: Duration::from_millis(200),
            seed: sid.0.unsigned_abs(),
        };
        let election = Election::new(options, &server.memberships());
        server.process = Some(Process {
            election: (!server.is_puppet).then_some(election),
            leader: None,
            has_oracle: false,
            since: now,
            is_established: false,
            heard: Vec::new(),
            links: BTreeMap::new(),
            last_round: ElectionRound(0),
        });
        self.look(sid);
    }

    /// A server's process ends.
    pub(crate) fn crash(&mut self, sid: Sid) {
        self.servers.get_mut(&sid).unwrap().process = None;
        self.network.crash(sid);
    }

    /// A server has no leader any longer.
    pub(crate) fn look(&mut self, sid: Sid) {
        let now = self.network.now;
        self.drive(sid, |server, process, effects| {
            let is_recent = |at: &Instant| now.since(*at) < NOTIFY_MIN;
            let is_vote = |said: &Announcement| said.state == ServerState::Looking;
            process.heard.retain(|(at, _, said)| is_recent(at) && is_vote(said));
            process.leader = None;
            process.is_established = false;
            process.since = now;
            let candidate = server.candidate;
            if let Some(election) = &mut process.election {
                election.begin(wall(now), candidate, effects);
            }
        });
    }

    /// A leader reigns, as far as this server knows.
    pub(crate) fn establish(&mut self, sid: Sid, epoch: Epoch) {
        self.servers.get_mut(&sid).unwrap().candidate.epoch = epoch;
        self.drive(sid, |_, process, _| {
            process.is_established = true;
            if let Some(election) = &mut process.election {
                election.established(epoch);
            }
        });
    }

    /// A server is told of a membership.
    pub(crate) fn set_membership(&mut self, sid: Sid, membership: Membership) {
        self.servers.get_mut(&sid).unwrap().membership = membership;
        self.drive(sid, |server, process, _| {
            if let Some(election) = &mut process.election {
                election.set_memberships(&server.memberships());
            }
        });
    }

    /// A server reads what its oracle says.
    pub(crate) fn consult(&mut self, sid: Sid, oracle: Oracle) {
        self.drive(sid, |_, process, _| {
            process.has_oracle = true;
            if let Some(election) = &mut process.election {
                election.on_oracle(Some(oracle));
            }
        });
    }

    /// A puppet ends its connection with a server.
    pub(crate) fn hang_up(&mut self, puppet: Sid, other: Sid) {
        self.network.close(self.link(puppet, other));
    }

    /// A puppet says something.
    pub(crate) fn say(&mut self, puppet: Sid, to: Sid, notification: &Notification<'_>) {
        let link = self.link(puppet, to);
        let mut bytes = Vec::new();
        notification.encode(&mut bytes);
        self.network.send(link, bytes);
    }

    /// Lets everything happen up to a moment, or until a condition holds after a step. Returns
    /// whether it does.
    pub(crate) fn run(&mut self, end: Instant, is_enough: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..STEPS_MAX {
            if is_enough(self) {
                return true;
            }
            if let Some((sid, happening)) = self.network.pop() {
                self.notice(sid, happening);
                continue;
            }
            let due = |process: &Process| process.election.as_ref()?.next_deadline();
            let processes =
                self.servers.iter().filter_map(|(sid, it)| Some((*sid, it.process.as_ref()?)));
            let deadline = processes.filter_map(|(sid, it)| Some((due(it)?, sid))).min();
            let next = deadline.map(|(at, _)| at).into_iter().chain(self.network.next_at()).min();
            let Some(next) = next.filter(|&next| next <= end) else {
                self.network.now = self.network.now.max(end);
                return false;
            };
            self.network.now = self.network.now.max(next);
            if let Some((_, sid)) = deadline.filter(|&(at, _)| at <= self.network.now) {
                self.drive(sid, |_, _, _| {});
            }
        }
        panic!("the servers are busy for ever:\n{}", self.take_record());
    }

    pub(crate) fn take_record(&mut self) -> String {
        std::mem::take(&mut self.record)
    }

    /// Those that run and are no puppets.
    pub(crate) fn running(&self) -> impl Iterator<Item = (Sid, &Server, &Process)> {
        self.servers.iter().filter_map(|(sid, server)| {
            let process = server.process.as_ref()?;
            process.election.is_some().then_some((*sid, server, process))
        })
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.running().all(|(_, _, process)| process.leader.is_some())
    }

    fn notice(&mut self, sid: Sid, happening: Happening<Vec<u8>>) {
        let now = wall(self.network.now);
        if let Happening::CallFailed { to, reason, .. } = &happening {
            let why = match reason {
                CallFailure::Refused => "nobody listens",
                CallFailure::Unknown => "no answer",
            };
            self.record(Shown::Calls, &format!("{} can not reach {}: {why}", sid.0, to.0));
        }
        self.drive(sid, |_, process, effects| {
            match &happening {
                Happening::Called { link, from: other, .. }
                | Happening::CallThrough { link, to: other, .. } => {
                    process.links.insert(*link, *other);
                }
                Happening::Closed { link, .. } => {
                    process.links.remove(link);
                }
                Happening::CallFailed { .. } | Happening::Received { .. } => {}
            }
            let from = match &happening {
                Happening::Received { link, .. } => process.links.get(link).copied(),
                _ => None,
            };
            let Some(election) = &mut process.election else { return };
            match happening {
                Happening::Called { link, from, .. } => {
                    election.on_called(now, link, from, Vec::new(), effects);
                }
                Happening::CallThrough { link, to, .. } => {
                    election.on_call_through(now, link, to, effects);
                }
                Happening::CallFailed { to, reason, .. } => {
                    election.on_call_failed(now, to, reason, effects);
                }
                Happening::Received { link, payload } => {
                    let (body, _) = frame::split(&payload, payload.len()).unwrap().unwrap();
                    let notification = Notification::decode(body).unwrap();
                    election.on_notified(now, link, &notification, effects);
                    let announcement = announcement(&notification);
                    process.heard.extend(from.map(|from| (now.instant, from, announcement)));
                }
                Happening::Closed { link, .. } => election.on_link_closed(now, link),
            }
        });
    }

    /// Does something with a server that runs, settles it and carries out what it wants.
    fn drive(&mut self, sid: Sid, act: impl FnOnce(&Server, &mut Process, &mut Vec<Effect>)) {
        let now = self.network.now;
        let server = self.servers.get_mut(&sid).unwrap();
        let Some(mut process) = server.process.take() else { return };
        let mut effects = Vec::new();
        act(server, &mut process, &mut effects);
        let (mut elected, mut learned) = (None, None);
        if let Some(election) = &mut process.election {
            learned = election.take_learned();
            elected = election.settle(wall(now), &mut effects);
            assert!(election.round() >= process.last_round, "E3: rounds never decrease");
            process.last_round = election.round();
        }
        if let Some(elected) = elected {
            process.leader = Some(elected.leader);
            process.since = now;
        }
        server.process = Some(process);
        for effect in effects {
            self.carry_out(sid, effect);
        }
        if let Some(membership) = &learned {
            let learned = format!("{} learns of membership {}", sid.0, membership.version());
            self.record(Shown::Outcomes, &learned);
        }
        if let Some(elected) = elected {
            self.check_decision(sid, elected.leader);
            let does = match self.servers[&sid].process.as_ref().unwrap().state().unwrap() {
                ServerState::Leading => "leads".to_owned(),
                ServerState::Following => format!("follows {}", elected.leader.0),
                ServerState::Observing => format!("observes {}", elected.leader.0),
                ServerState::Looking => panic!("it has a leader and looks for one"),
            };
            self.record(Shown::Outcomes, &format!("{} {does}", sid.0));
        }
        if let Some(membership) = learned.filter(|_| self.adopts) {
            self.set_membership(sid, membership);
        }
    }

    fn carry_out(&mut self, sid: Sid, effect: Effect) {
        let process = self.servers[&sid].process.as_ref().unwrap();
        let other = |link: &Link| process.links.get(link).copied().unwrap_or(Sid(0)).0;
        match effect {
            Effect::Call { to, .. } => {
                self.record(Shown::Calls, &format!("{} calls {}", sid.0, to.0));
                self.network.call(sid, to, Port::Election);
            }
            Effect::Notify { link, announcement } => {
                let told = format!("{} → {}  {}", sid.0, other(&link), told(&announcement));
                self.record(Shown::Votes, &told);
                let mut bytes = Vec::new();
                announcement.notification().encode(&mut bytes);
                self.network.send(link, bytes);
            }
            Effect::Close { link, reason } => {
                let ended =
                    format!("{} ends a connection with {}: {reason:?}", sid.0, other(&link));
                self.record(Shown::Calls, &ended);
                self.network.close(link);
            }
            effect => panic!("an election does not do that: {effect:?}"),
        }
    }

    /// The latest connection of a puppet with a server.
    fn link(&self, puppet: Sid, other: Sid) -> Link {
        let process = self.servers[&puppet].process.as_ref().unwrap();
        let mut links = process.links.iter().rev();
        *links.find(|(_, sid)| **sid == other).expect("the puppet is connected").0
    }

    fn check_decision(&mut self, sid: Sid, leader: Sid) {
        let server = &self.servers[&sid];
        let process = server.process.as_ref().unwrap();
        if process.has_oracle {
            return;
        }
        let heard = process.heard.iter().map(|(_, from, said)| (*from, said.clone()));
        let decision = Decision {
            me: sid,
            leader,
            quorums: &server.quorums(),
            candidate: server.candidate,
            round: process.round(),
            heard: &heard.collect::<Vec<_>>(),
        };
        *self.decisions.entry(decision.check()).or_default() += 1;
    }

    fn record(&mut self, kind: Shown, what: &str) {
        if self.shown.contains(&kind) {
            writeln!(self.record, "{:>6} ms  {what}", self.network.now.millis()).unwrap();
        }
    }
}

fn wall(instant: Instant) -> Now {
    Now { instant, wall_ms: 0 }
}

fn announcement(notification: &Notification<'_>) -> Announcement {
    let Notification { state, leader, last_logged, round, epoch, .. } = *notification;
    Announcement { state, leader, last_logged, round, epoch, config: Arc::from("") }
}

/// A notification in words.
pub(crate) fn told(announcement: &Announcement) -> String {
    let Announcement { state, leader, last_logged, round, epoch, .. } = announcement;
    let leader = leader.map_or_else(|| "nobody".to_owned(), |leader| leader.0.to_string());
    let epoch = epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.0.to_string());
    let last_logged = match last_logged {
        LastLogged::Nobody => "nobody's".to_owned(),
        LastLogged::NoDatabase => "none".to_owned(),
        LastLogged::Zxid(zxid) => format!("{}/{}", zxid.epoch().0, zxid.counter().0),
    };
    format!("{state:?} leader={leader} epoch={epoch} last_logged={last_logged} round={}", round.0)
}
