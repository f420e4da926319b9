use std::fs;
use std::process::Command;

use zab::CloseReason;

use super::*;
use crate::peers::encode;
use crate::peers::limits::STRANGERS_MAX;

/// Both ports, one after the other.
fn ports(station: &Station) -> [SocketAddr; 2] {
    station.run(Errand::Learners(Admission::Admit));
    [station.election, station.quorum]
}

/// A server with a connection on each port, which work.
struct Busy {
    station: Station,
    elector: Stranger,
    election_link: Link,
    learner: Stranger,
    quorum_link: Link,
}

impl Busy {
    fn start() -> Self {
        let station = Station::start(9);
        let mut elector = Stranger::connect(station.election);
        elector.say(&3_i64.to_be_bytes());
        let News::Called { link: election_link, .. } = station.next() else { panic!("no call") };
        let (learner, quorum_link) = Stranger::learner(&station, 3);
        Self { station, elector, election_link, learner, quorum_link }
    }

    #[track_caller]
    fn check(&mut self) {
        let vote = encode::notification(&announcement(5, "version=0"));
        self.elector.say(&vote);
        assert_eq!(round_of(&self.station.next(), self.election_link), 5);
        let ack = of_learner(&[ToLeader::Ack { zxid: zxid(1) }]);
        self.learner.say(&ack);
        assert_eq!(self.station.next_from_learner(self.quorum_link), ack);
    }
}

#[test]
fn who_does_not_say_who_it_is_is_closed_in_time() {
    let mut options = options(9);
    options.hello_timeout = Duration::from_millis(50);
    options.introduction_timeout = Duration::from_millis(50);
    let station = Station::with(options);
    for address in ports(&station) {
        let (mut silent, mut slow) = (Stranger::connect(address), Stranger::connect(address));
        // A part of what it has to say does not buy it time.
        slow.say(&[0xff; 4]);
        assert_eq!((silent.hear_end(), slow.hear_end()), (0, 0));
    }
    station.catch_up();
    assert_eq!(station.peers.stats().closed.strangers.value(), 4);
    assert!(station.stop().is_empty(), "nobody is told of them");
}

#[test]
fn a_crowd_of_strangers_does_not_keep_a_server_out() {
    let mut options = options(9);
    // Nobody is closed because of time.
    options.hello_timeout = 10 * PATIENCE;
    options.introduction_timeout = 10 * PATIENCE;
    let station = Station::with(options);
    let [election, quorum] = ports(&station);
    let crowd = |address| (0..STRANGERS_MAX).map(move |_| Stranger::connect(address));
    let mut at_election: Vec<_> = crowd(election).collect();
    let mut at_quorum: Vec<_> = crowd(quorum).collect();
    let started = std::time::Instant::now();
    while station.peers.stats().accepted.value() < 2 * STRANGERS_MAX as u64 {
        assert!(started.elapsed() < PATIENCE, "they are let in");
        thread::yield_now();
    }
    let mut server = Stranger::connect(election);
    server.say(&3_i64.to_be_bytes());
    assert!(matches!(station.next(), News::Called { from: Sid(3), .. }));
    let (_learner, _) = Stranger::learner(&station, 3);
    // A server that says at once who it is takes nobody's place; one more stranger does.
    let closed = &station.peers.stats().closed.strangers;
    let before = closed.value();
    assert!(before <= 2, "{before}");
    let _more = [Stranger::connect(election), Stranger::connect(election)];
    at_election[0].hear_end();
    let _more = [Stranger::connect(quorum), Stranger::connect(quorum)];
    at_quorum[0].hear_end();
    assert!(closed.value() >= 2);
}

#[test]
fn garbage_ends_its_own_connection_and_no_other() {
    let mut busy = Busy::start();
    let [election, quorum] = ports(&busy.station);
    let hello = 4_i64.to_be_bytes();
    let after_hello = |bytes: &[u8]| [&hello[..], bytes].concat();
    let after_info = |bytes: &[u8]| [&follower_info(4)[..], bytes].concat();
    let long = |version: i64, length: i32| {
        [&version.to_be_bytes()[..], &hello, &length.to_be_bytes()].concat()
    };
    let packet = |kind: i32, length: i32, ids: i32| {
        [&kind.to_be_bytes()[..], &hello, &length.to_be_bytes(), &ids.to_be_bytes()].concat()
    };
    let cases = [
        // No hello: an unknown version, addresses of no bytes, too many, fewer than none.
        (election, (-7_i64).to_be_bytes().to_vec()),
        (election, long(-65_536, 0)),
        (election, long(-65_535, 2049)),
        (election, long(-65_536, -1)),
        (election, [long(-65_536, 3), b"h:x".to_vec()].concat()),
        (election, b"GET / HTTP/1.1\r\n\r\n\xff\xff\xff\xff".iter().map(|b| b | 0x80).collect()),
        // No frame: of no bytes, too many, fewer than none.
        (election, after_hello(&[0; 4])),
        (election, after_hello(&524_289_i32.to_be_bytes())),
        (election, after_hello(&i32::MAX.to_be_bytes())),
        (election, after_hello(&i32::MIN.to_be_bytes())),
        // Nobody introduces itself so, or at such length, or with a packet of the other direction.
        (quorum, packet(99, -1, -1)),
        (quorum, packet(12, -1, -1)),
        (quorum, packet(11, -1, -1)),
        (quorum, packet(11, 1025, -1)),
        (quorum, packet(11, i32::MAX, -1)),
        (quorum, packet(11, -1, i32::MAX)),
        (quorum, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello of TLS".to_vec()),
        // No packet.
        (quorum, after_info(&packet(1, i32::MAX, -1))),
        (quorum, after_info(&packet(5, -1, -1))),
        (quorum, after_info(&packet(6, 0, -1))),
    ];
    let mut expected = 0;
    for (address, bytes) in &cases {
        let mut stranger = Stranger::connect(*address);
        stranger.try_say(bytes);
        assert_eq!(stranger.hear_end(), 0, "{bytes:?}");
        expected += 1;
        assert_eq!(busy.station.peers.stats().closed.malformed.value(), expected, "{bytes:?}");
        // Those that had said who they are were told of.
        let is_introduced = bytes.starts_with(&hello) || bytes.starts_with(&follower_info(4));
        if is_introduced {
            let is_quorum = *address == quorum;
            let opened = busy.station.next();
            assert_eq!(matches!(opened, News::LearnerConnected { .. }), is_quorum, "{opened:?}");
            if is_quorum {
                let packets = busy.station.next();
                assert!(matches!(packets, News::FromLearner { .. }), "{packets:?}");
            }
            let closed = busy.station.next();
            assert_eq!(matches!(closed, News::QuorumLinkClosed { .. }), is_quorum, "{closed:?}");
        }
        busy.check();
    }
}

#[test]
fn noise_harms_nobody() {
    let mut busy = Busy::start();
    for address in ports(&busy.station) {
        for seed in 0..200 {
            let mut stranger = Stranger::connect(address);
            stranger.try_say(&noise(seed, 4000));
            stranger.0.shutdown(std::net::Shutdown::Write).unwrap_or_default();
            stranger.hear_end();
        }
    }
    // Whatever was told of them comes before this.
    drop(busy.station.tell_until_caught_up());
    busy.check();
}

#[test]
fn a_connection_may_be_cut_at_every_byte() {
    let mut busy = Busy::start();
    let hello = encode::hello(Sid(4), &options(4).election);
    let mut at_election = hello.expect("a hello");
    at_election.extend(encode::notification(&announcement(6, "version=0")));
    let at_quorum =
        [follower_info(4), of_learner(&[ToLeader::AckNewLeader { epoch: Epoch(5) }])].concat();
    for (address, bytes) in ports(&busy.station).into_iter().zip([at_election, at_quorum]) {
        for end in 0..bytes.len() {
            let mut stranger = Stranger::connect(address);
            stranger.say(&bytes[..end]);
            stranger.0.shutdown(std::net::Shutdown::Write).expect("open");
            assert_eq!(stranger.hear_end(), 0);
        }
    }
    let told = busy.station.tell_until_caught_up();
    let is_vote = |news: &&News| matches!(news, News::Notified { .. });
    assert_eq!(told.iter().filter(is_vote).count(), 0, "none was whole");
    let packets = told.iter().filter_map(|news| match news {
        News::FromLearner { packets, .. } => Some(packets.packets_of_learner().count()),
        _ => None,
    });
    assert!(packets.into_iter().all(|count| count == 1), "of each learner its name");
    busy.check();
}

/// Runs a test alone in a process, where nobody else has descriptors and threads.
fn alone(name: &str, test: impl FnOnce()) {
    const MARK: &str = "REEFKEEPER_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return test();
    }
    let program = std::env::current_exe().expect("a program");
    let test = format!("peers::tests::strangers::{name}");
    let output = Command::new(program).args([&test, "--exact"]).env(MARK, "1").output();
    let output = output.expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// How many descriptors and threads there are.
fn descriptors_and_threads() -> (usize, usize) {
    let count_in = |directory| fs::read_dir(directory).expect("on Linux").count();
    (count_in("/proc/self/fd"), count_in("/proc/self/task"))
}

/// Waits until there are so many again: a thread that was joined is in the list for a moment longer.
#[track_caller]
fn await_descriptors_and_threads(expected: (usize, usize)) {
    let started = std::time::Instant::now();
    while descriptors_and_threads() != expected {
        assert!(started.elapsed() < PATIENCE, "{:?}", descriptors_and_threads());
        thread::yield_now();
    }
}

#[test]
fn reconnecting_leaves_neither_descriptors_nor_threads() {
    alone("reconnecting_leaves_neither_descriptors_nor_threads", || {
        const TIMES: u64 = 500;
        let mut options = options(1);
        // By name, so that each call has a thread.
        options.resolve = Resolve::new(|_, port| Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]));
        let (caller, called) = (Station::with(options), Station::start(2));
        called.run(Errand::Learners(Admission::Admit));
        let address = format!("name:{}", called.election.port());
        let reconnect = || {
            caller.run(Errand::Call { to: Sid(2), addresses: vec![address.clone()] });
            let News::CallThrough { link, .. } = caller.next() else { panic!("not through") };
            assert!(matches!(called.next(), News::Called { .. }));
            caller.run(Errand::Close { link, reason: CloseReason::Replaced });
            assert!(matches!(caller.next(), News::ElectionLinkClosed { .. }));
            assert!(matches!(called.next(), News::ElectionLinkClosed { .. }));
        };
        reconnect();
        let before = descriptors_and_threads();
        (0..TIMES).for_each(|_| reconnect());
        await_descriptors_and_threads(before);
        assert_eq!(called.peers.stats().accepted.value(), TIMES + 1);
    });
}

#[test]
fn nothing_is_left_of_a_server_that_stops() {
    alone("nothing_is_left_of_a_server_that_stops", || {
        let before = descriptors_and_threads();
        let busy = Busy::start();
        let other = Station::start(10);
        other.call(&busy.station);
        drop((other, busy));
        await_descriptors_and_threads(before);
    });
}
