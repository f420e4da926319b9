//! Threads with real sockets on the loopback interface, among themselves and with whoever comes.

mod brief;
mod captures;
mod elections;
mod learning;
mod moving;
mod reaching;
mod snapshots;
mod strangers;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use types::membership::{Host, HostPort, Membership};
use types::{Epoch, Sid, Zxid};
use wire::election::{ElectionRound, LastLogged, Notification, ServerState};
use wire::limits::PACKET_BYTES_MAX;
use wire::quorum::{Cuts, LearnerInfo, ToLeader, ToLearner};
use zab::{Announcement, LearnerKind, LearnerPacket, Link};

use super::doors::Port;
use super::errand::{Admission, Errand};
use super::limits::BACKLOG_BYTES_MAX;
use super::limits::BRIEF_ERRANDS_MAX;
use super::news::{News, StreamPart};
use super::options::{Interfaces, Options, Resolve};
use super::{Peers, PeersError, PeersThread};
use crate::clock::Clock;
use crate::fixture::PATIENCE;
use crate::letterbox::Letterbox;
use mio::Poll;

/// A server's connections, and what they have told.
struct Station {
    sid: Sid,
    peers: Peers,
    election: SocketAddr,
    quorum: SocketAddr,
    news: mpsc::Receiver<News>,
    parts: mpsc::Receiver<StreamPart>,
    thread: Option<JoinHandle<Result<(), PeersError>>>,
}

/// Settings with which nothing is over before the test is.
fn options(sid: i64) -> Options {
    let local = vec![HostPort { host: Host::parse("127.0.0.1").expect("a host"), port: 0 }];
    Options {
        sid: Sid(sid),
        election: local.clone(),
        quorum: local,
        observer_master: Vec::new(),
        observer_master_port: None,
        interfaces: Interfaces::Own,
        bind_tries: Some(1),
        keep_alive: true,
        call_timeout: PATIENCE,
        hello_timeout: PATIENCE,
        introduction_timeout: PATIENCE,
        leader_timeout: PATIENCE,
        leader_pause: Duration::from_millis(1),
        packet_bytes_max: PACKET_BYTES_MAX,
        backlog_bytes_max: BACKLOG_BYTES_MAX,
        resolve: Resolve::system(),
    }
}

impl Station {
    fn start(sid: i64) -> Self {
        Self::with(options(sid))
    }

    fn with(options: Options) -> Self {
        let sid = options.sid;
        let (peers, thread) = PeersThread::new(options, Clock::start()).expect("a thread");
        let (election, quorum) = (thread.addresses(Port::Election), thread.addresses(Port::Quorum));
        let (deliver, news) = mpsc::channel();
        let (receive, parts) = mpsc::channel();
        let run = move || {
            // A test that has ended wants no more.
            let tell = |news: &mut Vec<News>| news.drain(..).for_each(|it| drop(deliver.send(it)));
            thread.run(tell, |part| drop(receive.send(part)))
        };
        let thread = Some(thread::spawn(run));
        Self { sid, peers, election: election[0], quorum: quorum[0], news, parts, thread }
    }

    fn run(&self, errand: Errand) {
        self.run_all(vec![errand]);
    }

    fn run_all(&self, mut errands: Vec<Errand>) {
        self.peers.run(&mut errands);
        assert!(errands.is_empty());
    }

    /// What it tells next.
    #[track_caller]
    fn next(&self) -> News {
        self.news.recv_timeout(PATIENCE).expect("news")
    }

    #[track_caller]
    fn next_part(&self) -> StreamPart {
        self.parts.recv_timeout(PATIENCE).expect("a part of a snapshot")
    }

    /// How much it has received in all.
    fn received_bytes(&self) -> usize {
        usize::try_from(self.peers.stats().bytes_received.value()).expect("little")
    }

    /// Lets it know where others are.
    fn meet(&self, others: &[&Self]) {
        let lines = others.iter().map(|it| {
            let (quorum, election) = (it.quorum.port(), it.election.port());
            format!("server.{}=127.0.0.1:{quorum}:{election}\n", it.sid.0)
        });
        let membership = Membership::parse(&lines.collect::<String>()).expect("a membership");
        self.run(Errand::Memberships(membership.into()));
    }

    /// Calls another; tells the number of the connection at either end.
    #[track_caller]
    fn call(&self, other: &Self) -> (Link, Link) {
        let addresses = vec![other.election.to_string()];
        self.run(Errand::Call { to: other.sid, addresses });
        let News::CallThrough { link: ours, to } = self.next() else { panic!("not through") };
        let News::Called { link: theirs, from, addresses } = other.next() else {
            panic!("not called")
        };
        assert_eq!((to, from), (other.sid, self.sid));
        assert_eq!(addresses, ["127.0.0.1:0"], "as configured");
        (ours, theirs)
    }

    /// Learns from another; tells the number of the connection at either end.
    #[track_caller]
    fn learn_from(&self, leader: &Self) -> (Link, Link) {
        self.meet(&[leader]);
        leader.run(Errand::Learners(Admission::Admit));
        self.run(Errand::ConnectToLeader(leader.sid));
        let News::LeaderReached { link: ours, .. } = self.next() else { panic!("not reached") };
        self.run(Errand::ToLeader { link: ours, packet: info(LearnerKind::Follower) });
        let News::LearnerConnected { link: theirs } = leader.next() else { panic!("no learner") };
        let expected = LearnerInfo {
            sid: self.sid,
            accepted_epoch: Epoch(4),
            config_version: Some(0),
            cuts: Cuts::Snapshots,
        };
        let packets = leader.next_from_learner(theirs);
        let mut expected_bytes = Vec::new();
        ToLeader::FollowerInfo(expected).encode(&mut expected_bytes);
        assert_eq!(packets, expected_bytes);
        (ours, theirs)
    }

    /// What came next over this connection, encoded again.
    #[track_caller]
    fn next_from_learner(&self, from: Link) -> Vec<u8> {
        let News::FromLearner { link, packets } = self.next() else { panic!("no packets") };
        assert_eq!(link, from);
        let mut out = Vec::new();
        packets.packets_of_learner().for_each(|packet| packet.encode(&mut out));
        out
    }

    /// As [`Self::next_from_learner`].
    #[track_caller]
    fn next_from_leader(&self, from: Link) -> Vec<u8> {
        let News::FromLeader { link, packets } = self.next() else { panic!("no packets") };
        assert_eq!(link, from);
        let mut out = Vec::new();
        packets.packets_of_leader().for_each(|packet| packet.encode(&mut out));
        out
    }

    /// Gathers what a leader sends until there are so many bytes.
    #[track_caller]
    fn gather_from_leader(&self, from: Link, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < bytes {
            out.extend(self.next_from_leader(from));
        }
        out
    }

    /// Gathers what a learner sends until there are so many bytes.
    #[track_caller]
    fn gather_from_learner(&self, from: Link, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < bytes {
            out.extend(self.next_from_learner(from));
        }
        out
    }

    /// Makes sure that everything left before this was carried out: a call that fails at once.
    #[track_caller]
    fn catch_up(&self) {
        let told = self.tell_until_caught_up();
        assert!(told.is_empty(), "{told:?}");
    }

    /// As [`Self::catch_up`]; returns what it told meanwhile.
    #[track_caller]
    fn tell_until_caught_up(&self) -> Vec<News> {
        self.run(Errand::Call { to: Sid(i64::MAX), addresses: Vec::new() });
        let mut told = Vec::new();
        loop {
            match self.next() {
                News::CallFailed { to: Sid(i64::MAX), .. } => return told,
                news => told.push(news),
            }
        }
    }

    /// Ends it; tells what it had still to tell.
    fn stop(mut self) -> Vec<News> {
        self.end();
        self.news.try_iter().collect()
    }

    fn end(&mut self) {
        self.peers.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("no panic").expect("no failure");
            }
        }
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.end();
    }
}

/// Somebody without a station.
struct Stranger(TcpStream);

impl Stranger {
    fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("a port"))
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self(stream)
    }

    /// A learner that has said who it is; and its number.
    fn learner(leader: &Station, sid: i64) -> (Self, Link) {
        leader.run(Errand::Learners(Admission::Admit));
        let mut stranger = Self::connect(leader.quorum);
        stranger.say(&follower_info(sid));
        let News::LearnerConnected { link } = leader.next() else { panic!("no learner") };
        assert_eq!(leader.next_from_learner(link), follower_info(sid));
        (stranger, link)
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("listened to");
    }

    /// Says something to somebody who may not listen to the end.
    fn try_say(&mut self, bytes: &[u8]) {
        if let Err(failure) = self.0.write_all(bytes) {
            let is_over =
                matches!(failure.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            assert!(is_over, "{failure}");
        }
    }

    fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        self.0.read_exact(&mut heard).expect("talked to");
        heard
    }

    /// Waits until the other side ends it; tells how many bytes came before.
    #[track_caller]
    fn hear_end(&mut self) -> usize {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(bytes) => bytes,
            Err(failure) if failure.kind() == ErrorKind::ConnectionReset => rest.len(),
            Err(failure) => panic!("the connection does not end: {failure}"),
        }
    }
}

/// Somebody to be called, or to learn from.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("a port").to_string();
    (listener, address)
}

/// An address at which nobody listens, as long as this socket is kept.
fn deaf_address() -> (socket2::Socket, SocketAddr) {
    let kind = socket2::Type::STREAM;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
    let address = socket.local_addr().expect("a port").as_socket().expect("an address");
    (socket, address)
}

fn zxid(counter: i64) -> Zxid {
    Zxid::from_raw(0x5_0000_0000 | counter)
}

fn info(kind: LearnerKind) -> LearnerPacket {
    LearnerPacket::Info { accepted_epoch: Epoch(4), config_version: 0, kind, cuts: Cuts::Snapshots }
}

fn follower_info(sid: i64) -> Vec<u8> {
    let info = LearnerInfo {
        sid: Sid(sid),
        accepted_epoch: Epoch(4),
        config_version: Some(0),
        cuts: Cuts::Snapshots,
    };
    let mut out = Vec::new();
    ToLeader::FollowerInfo(info).encode(&mut out);
    out
}

/// Packets of a leader, encoded.
fn of_leader(packets: &[ToLearner<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    packets.iter().for_each(|packet| packet.encode(&mut out));
    out
}

/// Packets of a learner, encoded.
fn of_learner(packets: &[ToLeader<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    packets.iter().for_each(|packet| packet.encode(&mut out));
    out
}

fn announcement(round: i64, config: &str) -> Announcement {
    Announcement {
        state: ServerState::Looking,
        leader: Some(Sid(2)),
        last_logged: LastLogged::Zxid(zxid(1)),
        round: ElectionRound(round),
        epoch: Some(Epoch(5)),
        config: config.into(),
    }
}

/// The round of a notification that came over this connection.
#[track_caller]
fn round_of(news: &News, from: Link) -> i64 {
    let News::Notified { link, notification } = news else { panic!("not notified: {news:?}") };
    assert_eq!(*link, from);
    let Notification { round, .. } = notification.notification().expect("a notification");
    round.0
}

/// Bytes that look like none in particular, the same for each seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(bytes)
    .collect()
}
