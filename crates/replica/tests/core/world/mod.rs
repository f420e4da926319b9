//! A server without I/O: a replica, its frontends, a log that is durable when the test says so, and
//! clients whose frames are read back as lines of text.
//!
//! Every transaction that is logged is also applied to a second tree, whose digest has to be the
//! one in the log: each test checks that.

mod ask;
mod transcript;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use replica::access::{AccessOptions, DigestAlgorithm};
use replica::view::Stats;
use replica::{
    Effect, FrontId, Frontend, FrontendOptions, Input, LONG_ANSWER_BYTES, Options, Outstanding,
    PrepareOptions, ReapOptions, Replica, RequestThrottleOptions, SnapshotOptions, first_session,
};
use tree::Tree;
use types::{
    ConnId, ExtendedTypes, Instant, Now, Op, SessionId, SessionPassword, Sid, Txn, TxnDigest,
    TxnHeader, Xid, Zxid,
};
use wire::connect::ConnectRequest;
use wire::limits::{PACKET_BYTES_MAX, STORED_BYTES_MAX};
use wire::request::Request;
use wire::stored::{LogBatch, NextEntry, decode_txn, next_entry};

pub(crate) use ask::*;
use transcript::Transcript;

/// Sessions end at multiples of this.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// What clients ask for as their timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(1000);
/// Between two rounds of reaping.
pub(crate) const REAP_INTERVAL: Duration = Duration::from_secs(60);
/// Answers that are handed out by whoever has them.
const FEW: usize = 4;
/// The longest frame a client may send, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;

/// One of the clients of a [`World`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client(usize);

/// What proves that a session is the client's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    pub(crate) session: SessionId,
    pub(crate) password: SessionPassword,
}

/// A client as it sees itself.
struct Peer {
    front: usize,
    conn: ConnId,
    last_xid: Xid,
    /// Whether it takes what is sent to it.
    reads: bool,
    transcript: Transcript,
}

/// A server and its clients. See the module.
pub(crate) struct World {
    pub(crate) replica: Replica,
    fronts: Vec<Frontend>,
    peers: Vec<Peer>,
    now: Now,
    unsynced: VecDeque<Arc<LogBatch>>,
    /// Everything that was logged, durable or not.
    pub(crate) log: Vec<(TxnHeader, Txn, Option<TxnDigest>)>,
    /// What the log leads to.
    mirror: Tree,
    /// Effects that concern snapshots and the rolling of logs, by name.
    pub(crate) snapshots: Vec<String>,
}

/// The options of the trees here.
pub(crate) const TREE: tree::Options =
    tree::Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 7 };

impl World {
    /// An empty database and one frontend.
    pub(crate) fn new() -> Self {
        Self::with_fronts(1)
    }

    /// An empty database and some frontends.
    pub(crate) fn with_fronts(fronts: usize) -> Self {
        Self::replay(&[], fronts)
    }

    /// An empty database and one frontend, whose options the test changes.
    pub(crate) fn with_options(change: impl FnOnce(&mut Options, &mut FrontendOptions)) -> Self {
        let (mut options, mut front_options) = (options(1), front_options());
        change(&mut options, &mut front_options);
        Self::of(&[], options, &front_options)
    }

    /// The database that some transactions lead to, and some frontends.
    pub(crate) fn replay(log: &[(TxnHeader, Txn)], fronts: usize) -> Self {
        Self::of(log, options(fronts), &front_options())
    }

    fn of(log: &[(TxnHeader, Txn)], options: Options, front_options: &FrontendOptions) -> Self {
        let fronts = options.fronts;
        let now = Now { instant: Instant::default(), wall_ms: 1_000_000 };
        let [mut tree, mut mirror] = [Tree::new(TREE), Tree::new(TREE)];
        for (header, txn) in log {
            tree.apply(header, txn, &mut |_| {});
            mirror.apply(header, txn, &mut |_| {});
        }
        let first_session = first_session(options.sid, 0, &tree);
        let replica = Replica::new(Options { first_session, ..options }, tree, now);
        let frontends = (0..fronts)
            .map(|number| Frontend::new(front_options.clone(), replica.reader(FrontId(number))))
            .collect();
        Self {
            replica,
            fronts: frontends,
            peers: Vec::new(),
            now,
            unsynced: VecDeque::new(),
            log: Vec::new(),
            mirror,
            snapshots: Vec::new(),
        }
    }

    /// A client with a new session, which is durable; what it was told so far is forgotten.
    pub(crate) fn client(&mut self) -> Client {
        self.client_at(0)
    }

    /// The same at a certain frontend.
    pub(crate) fn client_at(&mut self, front: usize) -> Client {
        let client = self.dial(front);
        self.greet(client, None, TIMEOUT);
        self.sync();
        self.told(client);
        client
    }

    /// A round of reaping; the client stays alive.
    pub(crate) fn reap(&mut self, client: Client) {
        let step = TIMEOUT / 2;
        let mut passed = Duration::ZERO;
        while passed < REAP_INTERVAL + step {
            self.wait(step);
            self.ask(client, Op::Ping);
            passed += step;
        }
        self.sync();
        self.told(client);
    }

    /// The same server after a restart, from what was logged; without its clients.
    pub(crate) fn recovered(self) -> Self {
        let log: Vec<_> = self.log.into_iter().map(|(header, txn, _)| (header, txn)).collect();
        Self::replay(&log, self.fronts.len())
    }

    /// A connection without a session.
    pub(crate) fn dial(&mut self, front: usize) -> Client {
        let conn = self.fronts[front].open(self.now, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let transcript = Transcript::default();
        self.peers.push(Peer { front, conn, last_xid: Xid(0), reads: true, transcript });
        Client(self.peers.len() - 1)
    }

    /// Sends the first frame of a connection.
    pub(crate) fn greet(&mut self, client: Client, resume: Option<Ticket>, timeout: Duration) {
        let none = Ticket { session: SessionId::NONE, password: SessionPassword([0; 16]) };
        let Ticket { session, password } = resume.unwrap_or(none);
        let mut bytes = Vec::new();
        ConnectRequest {
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: i32::try_from(timeout.as_millis()).expect("a short timeout"),
            session,
            password: &password.0,
            read_only: Some(false),
        }
        .encode(&mut bytes);
        self.send(client, &bytes);
    }

    /// A second connection for a session, at a frontend. Nothing is synced.
    pub(crate) fn resume(&mut self, front: usize, ticket: Ticket) -> Client {
        let client = self.dial(front);
        self.greet(client, Some(ticket), TIMEOUT);
        client
    }

    /// What a client needs to resume its session.
    pub(crate) fn ticket(&self, client: Client) -> Ticket {
        self.peers[client.0].transcript.ticket.clone().expect("a session")
    }

    /// The frame of a client's next request.
    pub(crate) fn frame(&mut self, client: Client, op: Op<'_>) -> Vec<u8> {
        let peer = &mut self.peers[client.0];
        let xid = match &op {
            Op::Ping => Xid::PING,
            Op::Auth(_) => Xid::AUTH,
            Op::Read(types::Read::SetWatches(_)) => Xid::SET_WATCHES,
            _ => {
                peer.last_xid = Xid(peer.last_xid.0 + 1);
                peer.last_xid
            }
        };
        peer.transcript.asked(xid, &op);
        let mut bytes = Vec::new();
        Request { xid, op }.encode(&mut bytes);
        bytes
    }

    /// Sends one request.
    pub(crate) fn ask(&mut self, client: Client, op: Op<'_>) {
        self.ask_all(client, [op]);
    }

    /// Sends several requests in one go.
    pub(crate) fn ask_all<'a>(&mut self, client: Client, ops: impl IntoIterator<Item = Op<'a>>) {
        let mut bytes = Vec::new();
        for op in ops {
            bytes.extend(self.frame(client, op));
        }
        self.send(client, &bytes);
    }

    /// Lets bytes of a client arrive, and everything happen that does not need the disk.
    pub(crate) fn send(&mut self, client: Client, bytes: &[u8]) {
        let Peer { front, conn, .. } = self.peers[client.0];
        self.fronts[front].receive(self.now, conn, bytes);
        self.run(Vec::new());
    }

    /// One request and what came of it, durable.
    pub(crate) fn tell(&mut self, client: Client, op: Op<'_>) -> String {
        self.ask(client, op);
        self.sync();
        self.told(client)
    }

    /// The log becomes durable, all of it.
    pub(crate) fn sync(&mut self) {
        while !self.unsynced.is_empty() {
            self.sync_one();
        }
    }

    /// The oldest batch of the log that is not durable becomes so.
    pub(crate) fn sync_one(&mut self) {
        let batch = self.unsynced.pop_front().expect("something was logged");
        let zxid = batch.last_zxid().expect("no batch is empty");
        let spare = Arc::into_inner(batch);
        self.run(vec![Input::LogSynced { zxid, spare }]);
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now.instant = self.now.instant.after(time);
        self.now.wall_ms += i64::try_from(time.as_millis()).expect("a short time");
        self.run(vec![Input::Deadline]);
    }

    /// When the replica wants to be called, from now.
    pub(crate) fn until_deadline(&self) -> Duration {
        self.replica.next_deadline().since(self.now.instant)
    }

    /// The network ends a connection.
    pub(crate) fn cut(&mut self, client: Client) {
        let Peer { front, conn, .. } = self.peers[client.0];
        self.fronts[front].closed(conn);
        self.run(Vec::new());
    }

    /// A client stops to take what is sent to it, or goes on.
    pub(crate) fn lets_read(&mut self, client: Client, reads: bool) {
        self.peers[client.0].reads = reads;
        self.deliver();
        self.run(Vec::new());
    }

    /// Whether the server reads from the client.
    pub(crate) fn is_heard(&self, client: Client) -> bool {
        let peer = &self.peers[client.0];
        self.fronts[peer.front].wants_bytes(peer.conn)
    }

    /// How many bytes wait for a client that does not read.
    pub(crate) fn unsent(&self, client: Client) -> usize {
        let peer = &self.peers[client.0];
        self.fronts[peer.front].output(peer.conn).len()
    }

    /// What the client was told since it was last asked, one line each.
    pub(crate) fn told(&mut self, client: Client) -> String {
        self.peers[client.0].transcript.take()
    }

    /// The digest that the log leads to.
    pub(crate) fn mirror_digest(&self) -> Option<u64> {
        self.mirror.digest()
    }

    /// The same, summed up over all znodes.
    pub(crate) fn recomputed_digest(&self) -> Option<u64> {
        Some(self.mirror.recomputed_digest())
    }

    /// A frontend.
    pub(crate) fn front(&self, number: usize) -> &Frontend {
        &self.fronts[number]
    }

    /// What the replica counts.
    pub(crate) fn stats(&self) -> Arc<Stats> {
        self.replica.stats()
    }

    /// Gives inputs to the replica, and lets everything follow from them that does not need the
    /// disk.
    pub(crate) fn run(&mut self, mut inputs: Vec<Input>) {
        let mut effects = Vec::new();
        loop {
            for front in &mut self.fronts {
                inputs.append(front.inputs());
            }
            if inputs.is_empty() {
                break;
            }
            self.replica.step(self.now, &mut inputs, &mut effects);
            for effect in effects.drain(..) {
                inputs.extend(self.carry_out(effect));
            }
            self.deliver();
        }
        self.deliver();
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Append(batch) => {
                self.note(&batch);
                self.unsynced.push_back(batch);
            }
            // As a server does: a few answers leave at once, and what follows from them is seen to later.
            Effect::Wake(FrontId(front)) => {
                let front = &mut self.fronts[front];
                if front.has_only_replies(FEW) {
                    front.collect_mail(self.now);
                } else {
                    front.collect(self.now);
                }
            }
            Effect::Inspected(_)
            | Effect::AbandonSnapshot
            | Effect::Peer(_)
            | Effect::Packets { .. }
            | Effect::StreamHead { .. }
            | Effect::StreamPart { .. }
            | Effect::StreamEnd { .. } => {}
            Effect::RollLog => self.snapshots.push("roll".to_owned()),
            Effect::BeginSnapshot(head) => {
                self.snapshots.push(format!("begin {}", head.zxid));
                return Some(Input::SnapshotTakesMore);
            }
            Effect::SnapshotPart(_) => {
                self.snapshots.push("part".to_owned());
                return Some(Input::SnapshotTakesMore);
            }
            Effect::EndSnapshot { last_applied, .. } => {
                self.snapshots.push(format!("end {last_applied}"));
                return Some(Input::SnapshotOver);
            }
        }
        None
    }

    /// Reads back what is logged, and checks the digests in it.
    fn note(&mut self, batch: &LogBatch) {
        let mut rest = batch.as_bytes();
        while let NextEntry::Entry(entry) = next_entry(rest, STORED_BYTES_MAX).expect("sound") {
            rest = &rest[entry.consumed..];
            assert!(entry.payload.len() <= PACKET_BYTES_MAX, "no learner takes this");
            let (header, txn, digest) = decode_txn(entry.payload).expect("a transaction");
            self.mirror.apply(&header, &txn, &mut |_| {});
            if let Some(digest) = digest {
                assert_eq!(Some(digest.tree), self.mirror.digest(), "after {header:?} {txn:?}");
            }
            self.log.push((header, txn, digest));
        }
    }

    /// Moves what is ready to the clients that read.
    fn deliver(&mut self) {
        for front in &mut self.fronts {
            while front.has_work() {
                front.collect(self.now);
            }
        }
        for peer in &mut self.peers {
            let front = &mut self.fronts[peer.front];
            while peer.reads && !front.output(peer.conn).is_empty() {
                let output = front.output(peer.conn);
                let bytes = output.len();
                peer.transcript.received(output);
                if front.sent(peer.conn, bytes) {
                    front.closed(peer.conn);
                }
                front.collect(self.now);
            }
        }
        self.close_finished();
    }

    /// Closes what has to be closed without a last word, and tells the clients.
    fn close_finished(&mut self) {
        for (number, front) in self.fronts.iter_mut().enumerate() {
            let mut touched = Vec::new();
            front.take_touched(&mut touched);
            for conn in touched {
                if front.output(conn).is_empty() && front.sent(conn, 0) {
                    front.closed(conn);
                }
            }
            for peer in self.peers.iter_mut().filter(|peer| peer.front == number) {
                if front.connection_stats(peer.conn).is_none() {
                    peer.transcript.closed();
                }
            }
        }
    }
}

fn options(fronts: usize) -> Options {
    Options {
        sid: Sid(1),
        tick: TICK,
        session_timeouts: Duration::from_millis(200)..=Duration::from_secs(20),
        access: access(),
        prepare: PrepareOptions {
            extended_types: ExtendedTypes::Enabled,
            enforce_quota: true,
            reconfig_enabled: false,
            voters_min: 2,
            several_addresses: false,
            txn_bytes_max: PACKET_BYTES_MAX,
        },
        close_session_paths: true,
        snapshot: SnapshotOptions {
            txns: 1_000_000,
            log_bytes: None,
            part_bytes: replica::SNAPSHOT_PART_BYTES,
        },
        reap: ReapOptions {
            interval: REAP_INTERVAL,
            pause: Duration::from_millis(10),
            never_used_max_ms: None,
        },
        connection_throttle: None,
        request_throttle: RequestThrottleOptions::OFF,
        fronts,
        first_session: SessionId::NONE,
        seed: 5,
        ensemble: None,
    }
}

fn front_options() -> FrontendOptions {
    FrontendOptions {
        access: access(),
        frame_bytes_max: FRAME_BYTES_MAX,
        outstanding: Arc::new(Outstanding::new(1000)),
        long_answer_bytes: LONG_ANSWER_BYTES,
        large_requests: None,
        eager_acl_check: false,
        seed: 5,
    }
}

fn access() -> AccessOptions {
    AccessOptions { digest: Some(DigestAlgorithm::Sha1), ..AccessOptions::default() }
}
