//! Some servers without I/O, joined by connections on which everything arrives at once and in order;
//! their clients; and a clock that the test moves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use replica::access::{AccessOptions, DigestAlgorithm, Secret};
use replica::view::TreeSummary;
use replica::{
    Effect, EnsembleOptions, FrontId, Frontend, FrontendOptions, Input, LONG_ANSWER_BYTES,
    LocalSessions, Options, Outstanding, PrepareOptions, ReapOptions, Replica,
    RequestThrottleOptions, SNAPSHOT_PART_BYTES, SnapshotOptions, first_session,
};
use tree::Tree;
use types::membership::Membership;
use types::{
    AuthPacket, ConnId, ExtendedTypes, Instant, Memory, Now, Op, SessionId, SessionPassword, Sid,
    Write, Xid, Zxid,
};
use wire::connect::ConnectRequest;
use wire::election::Notification;
use wire::limits::PACKET_BYTES_MAX;
use wire::quorum::{AuthInfo, ForwardedRequest, ToLeader, ToLearner};
use wire::request::Request;
use zab::{
    CallFailure, ElectionOptions, HistoryBounds, LeaderPacket, LearnerPacket, Link, LogReading,
    Memberships, ObserverMasters, ObserverPauses, Recovered, SynchronizationsMax,
};

use crate::transcript::Transcript;
use crate::turns::Turns;

/// Sessions end at multiples of this.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// What clients ask for as their timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1000);

/// One of the clients of a [`World`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client(usize);

/// What proves that a session is the client's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) session: SessionId,
    pub(crate) password: SessionPassword,
}

struct Server {
    memberships: Memberships,
    replica: Replica,
    front: Frontend,
    inputs: Vec<Input>,
    is_up: bool,
    is_open_to_learners: bool,
    waiting: Vec<Link>,
}

struct Remote {
    sid: Sid,
    conn: ConnId,
    last_xid: Xid,
    transcript: Transcript,
}

/// What is on its way to a server.
enum Arrival {
    News(zab::Input<'static>),
    Notification(Link, Vec<u8>),
    FromLeader(Link, Vec<u8>),
    FromLearner(Link, Vec<u8>),
    Input(Input),
}

/// Servers and their clients.
pub(crate) struct World {
    servers: BTreeMap<Sid, Server>,
    remotes: Vec<Remote>,
    now: Now,
    arrivals: VecDeque<(Sid, Arrival)>,
    /// The ends of the connections between servers: whose, and the other end.
    ends: BTreeMap<Link, (Sid, Link)>,
    last_link: u64,
    turns: Turns,
    /// Of each learner its end of the connection over which it learns.
    teachers: BTreeMap<Sid, Link>,
    impatient: Option<Sid>,
    /// Learners that heard what their leader did not say, or that did not say what it heard.
    forged: BTreeSet<Sid>,
    /// What leaves this server is lost, and what is sent to it.
    isolated: Option<Sid>,
    /// What this learner acknowledges is lost.
    unheard: Option<Sid>,
    /// The digests of proposals that arrive at this server are wrong.
    misled: Option<Sid>,
    /// This server's log can not be cut, and ends with this transaction.
    uncuttable: Option<(Sid, Zxid)>,
    /// This server's disk stands still.
    stuck: Option<Sid>,
    /// What that will have done when it goes on.
    undone: Vec<(Sid, Arrival)>,
    /// Who writes a snapshot. Nobody ever comes to an end with that.
    writing: BTreeSet<Sid>,
}

/// What servers are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Servers 1 to this one vote.
    pub(crate) voters: i64,
    /// So many behind them are not in the membership.
    pub(crate) spares: i64,
    pub(crate) local_sessions: LocalSessions,
    pub(crate) leader_serves: bool,
    pub(crate) read_only_after: Option<Duration>,
    /// This one asks right behind its word that it has the history, before a quorum follows.
    pub(crate) impatient: Option<Sid>,
    /// What leaves this one is lost from the beginning, and what is sent to it.
    pub(crate) isolated: Option<Sid>,
    /// The servers' trees, read from disk, have been written by members that were listed like this by hand.
    pub(crate) listed_before: &'static str,
    /// Whether everything that servers have acknowledged is on their disks.
    pub(crate) memory: Memory,
    /// Whether their trees came with a leader's snapshot and nothing behind it.
    pub(crate) is_between_states: bool,
    /// How much of a leader's history is in memory before what is committed of it is applied.
    pub(crate) received_bytes_max: usize,
}

impl Plan {
    /// Servers without anything special.
    pub(crate) fn plain(voters: i64) -> Self {
        let local_sessions = LocalSessions::Off;
        Self {
            voters,
            spares: 0,
            local_sessions,
            leader_serves: true,
            read_only_after: None,
            impatient: None,
            isolated: None,
            listed_before: "",
            memory: Memory::Whole,
            is_between_states: false,
            received_bytes_max: zab::RECEIVED_BYTES_MAX,
        }
    }
}

impl World {
    /// Servers 1 to `voters`, which have elected the last one.
    pub(crate) fn new(voters: i64) -> Self {
        Self::of(Plan::plain(voters))
    }

    /// ... and behind them some that the membership does not have.
    pub(crate) fn with_spares(voters: i64, spares: i64) -> Self {
        Self::of(Plan { spares, ..Plan::plain(voters) })
    }

    /// Servers of which the last one is elected.
    pub(crate) fn of(plan: Plan) -> Self {
        let now = Now { instant: Instant::default(), wall_ms: 1_000_000 };
        let mut world = Self {
            servers: BTreeMap::new(),
            remotes: Vec::new(),
            now,
            arrivals: VecDeque::new(),
            ends: BTreeMap::new(),
            last_link: 0,
            turns: Turns::default(),
            teachers: BTreeMap::new(),
            impatient: plan.impatient,
            forged: BTreeSet::new(),
            isolated: plan.isolated,
            unheard: None,
            misled: None,
            uncuttable: None,
            stuck: None,
            undone: Vec::new(),
            writing: BTreeSet::new(),
        };
        let sids = || (1..=plan.voters + plan.spares).map(Sid);
        for sid in sids() {
            let server = server(sid, plan, now);
            world.servers.insert(sid, server);
        }
        for sid in sids() {
            world.step(sid);
        }
        world.run();
        world.wait(Duration::from_secs(1));
        world
    }

    /// A client with a new session at a server; what it was told so far is forgotten.
    pub(crate) fn client(&mut self, sid: i64) -> Client {
        let client = self.dial(sid);
        self.greet(client, None);
        let told = self.told(client);
        assert!(told.starts_with("session for"), "server {sid}: {told:?}");
        client
    }

    /// A client that may do everything.
    pub(crate) fn operator(&mut self, sid: i64) -> Client {
        let client = self.client(sid);
        let auth = Some(b"super:test".into());
        let told = self.ask(client, [Op::Auth(AuthPacket { scheme: "digest".into(), auth })]);
        assert!(!told.contains("AuthFailed"), "{told}");
        client
    }

    /// A connection without a session.
    pub(crate) fn dial(&mut self, sid: i64) -> Client {
        let sid = Sid(sid);
        let now = self.now;
        let conn = self.server(sid).front.open(now, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let transcript = Transcript::default();
        self.remotes.push(Remote { sid, conn, last_xid: Xid(0), transcript });
        Client(self.remotes.len() - 1)
    }

    /// Sends the first frame of a connection.
    pub(crate) fn greet(&mut self, client: Client, resume: Option<Ticket>) {
        self.greet_as(client, resume, Some(false));
    }

    /// Sends the first frame of a connection, which says whether a server will do that serves reads
    /// only.
    pub(crate) fn greet_as(
        &mut self,
        client: Client,
        resume: Option<Ticket>,
        read_only: Option<bool>,
    ) {
        self.send(client, &greeting(resume, read_only, TIMEOUT));
    }

    /// Resumes a session with another timeout.
    pub(crate) fn resume_for(&mut self, client: Client, ticket: Ticket, timeout: Duration) {
        self.send(client, &greeting(Some(ticket), Some(false), timeout));
    }

    /// A session comes back over another connection, and right behind that the one that it had there sends
    /// a request that was late.
    pub(crate) fn come_back_amid(&mut self, client: Client, (late, op): (Client, Op<'_>)) {
        self.receive(client, &greeting(Some(self.ticket(late)), Some(false), TIMEOUT));
        self.put(late, op);
        self.run();
    }

    /// Some clients send requests, and right behind that a session comes back over another connection.
    pub(crate) fn come_back_behind<const N: usize>(
        &mut self,
        first: [(Client, Op<'_>); N],
        (client, ticket): (Client, Ticket),
    ) {
        for (client, op) in first {
            self.put(client, op);
        }
        self.greet(client, Some(ticket));
    }

    /// A session is resumed with a learner that is told that it is alive, before the leader is asked.
    pub(crate) fn resume_amid(&mut self, client: Client, ticket: Ticket, word: &ToLearner<'_>) {
        self.receive(client, &greeting(Some(ticket), Some(false), TIMEOUT));
        let sid = self.remotes[client.0].sid;
        self.hear(sid.0, word);
    }

    /// What a client needs to resume its session.
    pub(crate) fn ticket(&self, client: Client) -> Ticket {
        self.remotes[client.0].transcript.ticket.clone().expect("a session")
    }

    /// The next request of a client has number 0, as the first one of some clients.
    pub(crate) fn number_from_zero(&mut self, client: Client) {
        self.remotes[client.0].last_xid = Xid(-1);
    }

    /// Sends some requests in one go, and tells what came of them.
    pub(crate) fn ask<'a>(
        &mut self,
        client: Client,
        ops: impl IntoIterator<Item = Op<'a>>,
    ) -> String {
        let mut bytes = Vec::new();
        for op in ops {
            bytes.extend(self.encode(client, op));
        }
        self.send(client, &bytes);
        self.told(client)
    }

    /// Sends some requests of several clients, and one more when so much of what follows from them has
    /// arrived; everything arrives in the end.
    pub(crate) fn ask_amid<const N: usize>(
        &mut self,
        first: [(Client, Op<'_>); N],
        arrivals: usize,
        (client, op): (Client, Op<'_>),
    ) {
        for (client, op) in first {
            self.put(client, op);
        }
        for _ in 0..arrivals {
            let Some((sid, arrival)) = self.arrivals.pop_front() else { break };
            self.arrive(sid, arrival);
        }
        self.put(client, op);
        self.run();
    }

    /// Sends a request of a client, and lets the session come to another connection when so much of
    /// what follows from it has arrived; everything arrives in the end.
    pub(crate) fn move_amid(
        &mut self,
        (before, op): (Client, Op<'_>),
        arrivals: usize,
        after: Client,
    ) {
        let ticket = self.ticket(before);
        self.put(before, op);
        for _ in 0..arrivals {
            let Some((sid, arrival)) = self.arrivals.pop_front() else { break };
            self.arrive(sid, arrival);
        }
        self.greet(after, Some(ticket));
    }

    /// Sends some requests in one go. What comes back to the client's server because of them arrives late.
    pub(crate) fn ask_late<'a>(
        &mut self,
        client: Client,
        ops: impl IntoIterator<Item = Op<'a>>,
        late: Duration,
    ) {
        for op in ops {
            self.put(client, op);
        }
        let server = self.remotes[client.0].sid;
        let mut back = VecDeque::new();
        while let Some((sid, arrival)) = self.arrivals.pop_front() {
            match sid == server {
                true => back.push_back((sid, arrival)),
                false => self.arrive(sid, arrival),
            }
        }
        self.arrivals = back;
        self.now.instant = self.now.instant.after(late);
        self.run();
    }

    /// What a client was told since the last call.
    pub(crate) fn told(&mut self, client: Client) -> String {
        self.read(client);
        self.remotes[client.0].transcript.take()
    }

    /// Time passes, in steps of a fraction of a tick.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now.instant.after(time);
        while self.now.instant < end {
            self.now.instant = self.now.instant.after(TICK / 10);
            for sid in self.servers.keys().copied().collect::<Vec<_>>() {
                let server = &self.servers[&sid];
                if server.is_up && server.replica.next_deadline() <= self.now.instant {
                    self.step(sid);
                }
            }
            self.run();
        }
    }

    /// Time passes while a client pings.
    pub(crate) fn wait_alive(&mut self, client: Client, time: Duration) {
        let step = TIMEOUT / 4;
        let mut passed = Duration::ZERO;
        while passed < time {
            self.ask(client, [Op::Ping]);
            self.wait(step);
            passed += step;
        }
    }

    /// A server is gone for good.
    pub(crate) fn kill(&mut self, sid: i64) {
        self.take_down(Sid(sid));
        self.run();
    }

    /// Nothing that a server sends arrives any longer, nor anything that is sent to it.
    pub(crate) fn isolate(&mut self, sid: i64) {
        self.isolated = Some(Sid(sid));
    }

    /// What a server sends arrives again, and what is sent to it.
    pub(crate) fn heal(&mut self) {
        self.isolated = None;
        self.unheard = None;
    }

    /// What a learner acknowledges is lost from now on, until everything is healed.
    pub(crate) fn lose_acks(&mut self, sid: i64) {
        self.unheard = Some(Sid(sid));
    }

    /// A learner hears this from its leader, whatever that has really said.
    pub(crate) fn hear(&mut self, sid: i64, packet: &ToLearner<'_>) {
        let link = self.teachers[&Sid(sid)];
        self.forged.insert(Sid(sid));
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        self.arrive(Sid(sid), Arrival::FromLeader(link, bytes));
        self.run();
    }

    /// A leader hears this from a learner, whatever that has really said.
    pub(crate) fn overhear(&mut self, sid: i64, packet: &ToLeader<'_>) {
        let link = self.teachers[&Sid(sid)];
        let Some(&(_, far)) = self.ends.get(&link) else { return };
        let Some(&(leader, _)) = self.ends.get(&far) else { return };
        self.forged.insert(Sid(sid));
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        self.arrive(leader, Arrival::FromLearner(far, bytes));
        self.run();
    }

    /// The memberships that a server was told to store last.
    pub(crate) fn memberships(&self, sid: i64) -> &Memberships {
        &self.servers[&Sid(sid)].memberships
    }

    /// From now on the digests of proposals that arrive at a server are wrong.
    pub(crate) fn mislead(&mut self, sid: i64) {
        self.misled = Some(Sid(sid));
    }

    /// A server's log, which ends with this transaction, can not be cut. Whoever is told that is isolated.
    pub(crate) fn refuse_cut(&mut self, sid: i64, last_logged: Zxid) {
        self.uncuttable = Some((Sid(sid), last_logged));
    }

    /// A server's disk stands still, until it [goes on](Self::unstick).
    pub(crate) fn stick(&mut self, sid: i64) {
        self.stuck = Some(Sid(sid));
    }

    /// It goes on.
    pub(crate) fn unstick(&mut self) {
        self.stuck = None;
        self.arrivals.extend(std::mem::take(&mut self.undone));
        self.run();
    }

    /// A server begins to write a snapshot.
    pub(crate) fn begin_snapshot(&mut self, sid: i64) {
        self.server(Sid(sid)).inputs.push(Input::TakeSnapshot);
        self.step(Sid(sid));
        assert!(self.writes_snapshot(sid), "it is due");
    }

    /// Whether a server writes a snapshot.
    pub(crate) fn writes_snapshot(&self, sid: i64) -> bool {
        self.writing.contains(&Sid(sid))
    }

    /// After how many transactions a server found its tree to be another one than the leader's.
    pub(crate) fn digest_mismatches(&self, sid: i64) -> u64 {
        self.servers[&Sid(sid)].replica.stats().digest_mismatches.value()
    }

    /// How many sessions a server tracks.
    pub(crate) fn tracked(&self, sid: i64) -> usize {
        self.servers[&Sid(sid)].replica.sessions().len()
    }

    /// What a server's tree is like.
    pub(crate) fn state(&self, sid: i64) -> TreeSummary {
        self.servers[&Sid(sid)].replica.tree_view().summary()
    }

    fn server(&mut self, sid: Sid) -> &mut Server {
        self.servers.get_mut(&sid).expect("one of ours")
    }

    fn encode(&mut self, client: Client, op: Op<'_>) -> Vec<u8> {
        let remote = &mut self.remotes[client.0];
        let xid = if op == Op::Ping { Xid::PING } else { Xid(remote.last_xid.0 + 1) };
        let xid = if matches!(op, Op::Auth(_)) { Xid::AUTH } else { xid };
        if xid.0 >= 0 {
            remote.last_xid = xid;
        }
        remote.transcript.asked(xid, &op);
        let mut bytes = Vec::new();
        Request { xid, op }.encode(&mut bytes);
        bytes
    }

    fn send(&mut self, client: Client, bytes: &[u8]) {
        self.receive(client, bytes);
        self.run();
    }

    /// A request reaches its server, and nobody else does anything yet.
    fn put(&mut self, client: Client, op: Op<'_>) {
        let bytes = self.encode(client, op);
        self.receive(client, &bytes);
    }

    fn receive(&mut self, client: Client, bytes: &[u8]) {
        let Remote { sid, conn, .. } = self.remotes[client.0];
        let now = self.now;
        let server = self.server(sid);
        server.front.receive(now, conn, bytes);
        server.inputs.append(server.front.inputs());
        self.step(sid);
    }

    fn read(&mut self, client: Client) {
        let remote = &mut self.remotes[client.0];
        let Some(server) = self.servers.get_mut(&remote.sid) else { return };
        let output = server.front.output(remote.conn).to_vec();
        remote.transcript.received(&output);
        if server.front.sent(remote.conn, output.len()) {
            server.front.closed(remote.conn);
            server.inputs.append(server.front.inputs());
            remote.transcript.closed();
        }
    }

    /// Everything that is on its way arrives, and what follows from it.
    fn run(&mut self) {
        while let Some((sid, arrival)) = self.arrivals.pop_front() {
            self.arrive(sid, arrival);
        }
    }

    fn arrive(&mut self, sid: Sid, arrival: Arrival) {
        let now = self.now;
        if !self.servers[&sid].is_up {
            return;
        }
        let mut effects = Vec::new();
        let is_misled = self.misled == Some(sid);
        let server = self.server(sid);
        match arrival {
            Arrival::News(input) => server.replica.take(now, input, &mut effects),
            Arrival::Notification(link, frame) => {
                let notification = Notification::decode(&frame[4..]).expect("ours");
                let input = zab::Input::Notified { link, notification };
                server.replica.take(now, input, &mut effects);
            }
            Arrival::FromLeader(link, mut bytes) => {
                if is_misled {
                    spoil_digests(&mut bytes);
                }
                let mut rest = &bytes[..];
                while let Some((packet, taken)) = ToLearner::decode(rest, 1 << 20).expect("ours") {
                    let input = zab::Input::FromLeader { link, packet };
                    server.replica.take(now, input, &mut effects);
                    rest = &rest[taken..];
                }
            }
            Arrival::FromLearner(link, bytes) => {
                let mut rest = &bytes[..];
                while let Some((packet, taken)) = ToLeader::decode(rest, 1 << 20).expect("ours") {
                    let input = zab::Input::FromLearner { link, packet };
                    server.replica.take(now, input, &mut effects);
                    rest = &rest[taken..];
                }
            }
            Arrival::Input(input) => server.inputs.push(input),
        }
        self.carry_out(sid, effects);
        self.step(sid);
    }

    fn step(&mut self, sid: Sid) {
        let now = self.now;
        let server = self.server(sid);
        if !server.is_up {
            return;
        }
        let mut effects = Vec::new();
        server.inputs.append(server.front.inputs());
        server.replica.step(now, &mut server.inputs, &mut effects);
        self.carry_out(sid, effects);
        let server = self.server(sid);
        if !server.inputs.is_empty() || !server.front.inputs().is_empty() {
            self.step(sid);
        }
    }

    fn carry_out(&mut self, sid: Sid, effects: Vec<Effect>) {
        let now = self.now;
        for effect in effects {
            match effect {
                Effect::Append(batch) => {
                    let zxid = batch.last_zxid().expect("no batch is empty");
                    let synced = Arrival::Input(Input::LogSynced { zxid, spare: None });
                    match self.stuck == Some(sid) {
                        true => self.undone.push((sid, synced)),
                        false => self.later(sid, synced),
                    }
                }
                Effect::Wake(_) => self.server(sid).front.collect(now),
                Effect::Peer(effect) => self.carry_out_for_peer(sid, effect),
                Effect::Packets { link, bytes } => self.tell(link, bytes),
                Effect::StreamHead { .. }
                | Effect::StreamPart { .. }
                | Effect::StreamEnd { .. } => {
                    panic!("nobody comes so late that it needs a snapshot");
                }
                Effect::BeginSnapshot(_) => {
                    self.writing.insert(sid);
                }
                Effect::AbandonSnapshot => {
                    self.writing.remove(&sid);
                }
                Effect::RollLog
                | Effect::SnapshotPart(_)
                | Effect::EndSnapshot { .. }
                | Effect::Inspected(_) => {}
            }
        }
    }

    fn carry_out_for_peer(&mut self, sid: Sid, effect: zab::Effect) {
        match effect {
            zab::Effect::Call { to, .. } => self.call(sid, to),
            zab::Effect::ConnectToLeader(leader) => self.connect(sid, leader),
            zab::Effect::Notify { link, announcement } => {
                let mut frame = Vec::new();
                announcement.notification().encode(&mut frame);
                self.send_across(link, |far| Arrival::Notification(far, frame));
            }
            zab::Effect::Close { link, .. } => self.close(link),
            zab::Effect::AdmitLearners => {
                self.server(sid).is_open_to_learners = true;
                for link in std::mem::take(&mut self.server(sid).waiting) {
                    self.later(sid, Arrival::News(zab::Input::LearnerConnected { link }));
                }
            }
            zab::Effect::RefuseLearners | zab::Effect::LetLearnersWait => {
                self.server(sid).is_open_to_learners = false;
            }
            zab::Effect::ToLeader { packet: LearnerPacket::Acks { .. }, .. }
                if self.unheard == Some(sid) => {}
            zab::Effect::ToLeader { link, packet } => {
                let is_done = matches!(packet, LearnerPacket::AckNewLeader(_));
                self.tell(link, to_leader(sid, packet));
                if is_done && self.impatient.take_if(|impatient| *impatient == sid).is_some() {
                    self.ask_too_early(link);
                }
            }
            zab::Effect::ToLearner { link, packet } => self.tell(link, to_learner(&packet)),
            zab::Effect::StoreAcceptedEpoch(epoch) => {
                let stored = zab::Input::AcceptedEpochStored(epoch);
                self.later(sid, Arrival::Input(Input::Peer(stored)));
            }
            zab::Effect::StoreCurrentEpoch(epoch) => {
                let stored = zab::Input::CurrentEpochStored(epoch);
                self.later(sid, Arrival::Input(Input::Peer(stored)));
            }
            zab::Effect::StoreMemberships(memberships) => {
                self.server(sid).memberships = memberships;
            }
            zab::Effect::Truncate(_) if self.uncuttable.is_some_and(|it| it.0 == sid) => {
                let (_, last_logged) = self.uncuttable.take().expect("it is there");
                self.isolated = Some(sid);
                assert!(!self.writing.contains(&sid), "of what is cut nothing is written");
                let refused = zab::Input::NotTruncated { last_logged };
                self.later(sid, Arrival::Input(Input::Peer(refused)));
            }
            // It was lied to, and logged what nobody had proposed. Nothing is kept of logs here.
            zab::Effect::Truncate(_) if self.forged.contains(&sid) => self.take_down(sid),
            other => panic!("{other:?} is not needed here"),
        }
    }

    fn take_down(&mut self, sid: Sid) {
        self.server(sid).is_up = false;
        let ends: Vec<_> =
            self.ends.iter().filter(|(_, end)| end.0 == sid).map(|it| *it.0).collect();
        for link in ends {
            self.close(link);
        }
    }

    fn later(&mut self, sid: Sid, arrival: Arrival) {
        self.arrivals.push_back((sid, arrival));
    }

    /// Sends packets to the other end, whichever side that is.
    fn tell(&mut self, link: Link, bytes: Vec<u8>) {
        // The caller's ends have odd numbers, and callers are learners.
        let is_learner = link.0 % 2 == 1;
        match is_learner {
            _ if !self.forged.is_empty() => {}
            true => self.turns.ask(link, &bytes),
            false => self.turns.tell(Link(link.0 - 1), &bytes),
        }
        self.send_across(link, |far| match is_learner {
            true => Arrival::FromLearner(far, bytes),
            false => Arrival::FromLeader(far, bytes),
        });
    }

    fn send_across(&mut self, link: Link, arrival: impl FnOnce(Link) -> Arrival) {
        let Some(&(near_sid, far)) = self.ends.get(&link) else { return };
        let Some(&(far_sid, _)) = self.ends.get(&far) else { return };
        if self.isolated.is_none_or(|sid| sid != near_sid && sid != far_sid) {
            self.later(far_sid, arrival(far));
        }
    }

    fn join(&mut self, from: Sid, to: Sid) -> Option<(Link, Link)> {
        let is_reachable = self.isolated.is_none_or(|sid| sid != from && sid != to);
        if !self.servers[&to].is_up || !is_reachable {
            return None;
        }
        let (near, far) = (Link(self.last_link + 1), Link(self.last_link + 2));
        self.last_link += 2;
        self.ends.insert(near, (from, far));
        self.ends.insert(far, (to, near));
        Some((near, far))
    }

    fn call(&mut self, from: Sid, to: Sid) {
        let Some((near, far)) = self.join(from, to) else {
            let failed = zab::Input::CallFailed { to, reason: CallFailure::Refused };
            return self.later(from, Arrival::News(failed));
        };
        self.later(from, Arrival::News(zab::Input::CallThrough { link: near, to }));
        let called = zab::Input::Called { link: far, from, addresses: Vec::new() };
        self.later(to, Arrival::News(called));
    }

    fn connect(&mut self, from: Sid, leader: Sid) {
        let Some((near, far)) = self.join(from, leader) else {
            let failed = zab::Input::LeaderUnreachable { leader };
            return self.later(from, Arrival::News(failed));
        };
        if self.servers[&leader].is_open_to_learners {
            self.later(leader, Arrival::News(zab::Input::LearnerConnected { link: far }));
        } else {
            self.server(leader).waiting.push(far);
        }
        self.teachers.insert(from, near);
        self.later(from, Arrival::News(zab::Input::LeaderReached { link: near, leader }));
    }

    /// Sends a leader what only learners send with which a quorum follows, in one piece with what was
    /// sent before.
    fn ask_too_early(&mut self, link: Link) {
        let mut frame = Vec::new();
        Request { xid: Xid(1), op: Op::Write(Write::CreateSession { timeout_ms: 1000 }) }
            .encode(&mut frame);
        let session = SessionId(0x77);
        let (body, auth) = (&frame[4..], AuthInfo::NULL);
        let mut packet = Vec::new();
        ToLeader::Request(ForwardedRequest { session, body, auth }).encode(&mut packet);
        match self.arrivals.back_mut() {
            Some((_, Arrival::FromLearner(_, bytes))) => bytes.append(&mut packet),
            _ => panic!("{link:?}: something was sent before"),
        }
    }

    fn close(&mut self, link: Link) {
        let Some((sid, far)) = self.ends.remove(&link) else { return };
        for (sid, link) in [(Some(sid), link), (self.ends.remove(&far).map(|end| end.0), far)] {
            let Some(sid) = sid else { continue };
            self.later(sid, Arrival::News(zab::Input::ElectionLinkClosed { link }));
            self.later(sid, Arrival::News(zab::Input::QuorumLinkClosed { link }));
        }
    }
}

/// Servers 1 to `voters`.
fn membership(voters: i64) -> Membership {
    let line = |sid: i64| format!("server.{sid}={}\n", place(sid));
    Membership::parse(&(1..=voters).map(line).collect::<String>()).expect("members")
}

/// The first frame of a connection.
fn greeting(resume: Option<Ticket>, read_only: Option<bool>, timeout: Duration) -> Vec<u8> {
    let none = Ticket { session: SessionId::NONE, password: SessionPassword([0; 16]) };
    let Ticket { session, password } = resume.unwrap_or(none);
    let mut bytes = Vec::new();
    ConnectRequest {
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: i32::try_from(timeout.as_millis()).expect("a short timeout"),
        session,
        password: &password.0,
        read_only,
    }
    .encode(&mut bytes);
    bytes
}

/// Where a server is found.
pub(crate) fn place(sid: i64) -> String {
    format!("s{sid}:2888:3888:participant;2181")
}

fn server(sid: Sid, plan: Plan, now: Now) -> Server {
    let mut tree = Tree::new(tree::Options {
        extended_types: ExtendedTypes::Enabled,
        digest: true,
        hash_seed: 7,
    });
    tree.write_config(plan.listed_before.as_bytes(), Zxid::ZERO, now.wall_ms);
    let access = AccessOptions {
        digest: Some(DigestAlgorithm::Sha1),
        // The password is "test".
        super_digest: Some(Secret("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into())),
        ..AccessOptions::default()
    };
    let peer = zab::Options {
        sid,
        tick: TICK,
        init_limit: 10,
        sync_limit: 5,
        history: HistoryBounds { txns_min: 500, bytes_max: 1 << 20 },
        log_reading: LogReading::Off,
        snapshots_only: false,
        has_oracle: false,
        epoch_wait_max: None,
        observer_pauses: ObserverPauses::default(),
        observer_masters: ObserverMasters::Leader,
        synchronizations_max: SynchronizationsMax { snapshots: 10, diffs: 100 },
        received_bytes_max: plan.received_bytes_max,
        is_reconfigurable: true,
        election: ElectionOptions {
            sid,
            notify_min: Duration::from_millis(200),
            notify_max: Duration::from_secs(2),
            finalize: Duration::from_millis(200),
            seed: 1,
        },
    };
    let memberships = Memberships::from(membership(plan.voters));
    let stored = memberships.clone();
    let recovered = Recovered {
        accepted_epoch: types::Epoch(0),
        current_epoch: types::Epoch(0),
        last_logged: Zxid::ZERO,
        memory: plan.memory,
        is_between_states: plan.is_between_states,
        change: None,
    };
    let options = Options {
        sid,
        tick: TICK,
        session_timeouts: TICK * 2..=TICK * 200,
        access: access.clone(),
        prepare: PrepareOptions {
            extended_types: ExtendedTypes::Enabled,
            enforce_quota: false,
            reconfig_enabled: true,
            voters_min: 1,
            several_addresses: false,
            txn_bytes_max: PACKET_BYTES_MAX,
        },
        close_session_paths: true,
        snapshot: SnapshotOptions {
            txns: 1_000_000,
            log_bytes: None,
            part_bytes: SNAPSHOT_PART_BYTES,
        },
        reap: ReapOptions {
            interval: Duration::from_secs(60),
            pause: TICK,
            never_used_max_ms: None,
        },
        connection_throttle: None,
        request_throttle: RequestThrottleOptions::OFF,
        fronts: 1,
        first_session: first_session(sid, 0, &tree),
        seed: 5,
        ensemble: Some(EnsembleOptions {
            peer,
            memberships,
            recovered,
            local_sessions: plan.local_sessions,
            leader_serves: plan.leader_serves,
            read_only_after: plan.read_only_after,
        }),
    };
    let replica = Replica::new(options, tree, now);
    let front = Frontend::new(
        FrontendOptions {
            access,
            frame_bytes_max: 1 << 20,
            outstanding: Arc::new(Outstanding::new(1000)),
            long_answer_bytes: LONG_ANSWER_BYTES,
            large_requests: None,
            eager_acl_check: false,
            seed: 5,
        },
        replica.reader(FrontId(0)),
    );
    Server {
        memberships: stored,
        replica,
        front,
        inputs: Vec::new(),
        is_up: true,
        is_open_to_learners: false,
        waiting: Vec::new(),
    }
}

fn to_learner(packet: &LeaderPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.unfold(|packet| packet.encode(&mut out));
    out
}

fn to_leader(sid: Sid, packet: LearnerPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.unfold(sid, |packet| packet.encode(&mut out));
    out
}

/// Changes the digests of all proposals among some packets of a leader.
fn spoil_digests(packets: &mut [u8]) {
    let mut at = 0;
    while let Some((packet, taken)) = ToLearner::decode(&packets[at..], 1 << 20).expect("ours") {
        let is_proposal = matches!(packet, ToLearner::Proposal(_));
        at += taken;
        if is_proposal {
            // Behind the digest is the count of identities, four bytes.
            packets[at - 5] ^= 1;
        }
    }
}
