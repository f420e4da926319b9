use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use zab::CallFailure;

use super::*;
use crate::peers::limits::LEADER_TRIES_MAX;

/// The membership of one server with this host at these ports.
fn membership(sid: i64, hosts: &[&str], quorum: u16) -> Errand {
    let election = if quorum == 1 { 2 } else { 1 };
    let places: Vec<_> = hosts.iter().map(|host| format!("{host}:{quorum}:{election}")).collect();
    let text = format!("server.{sid}={}", places.join("|"));
    Errand::Memberships(Membership::parse(&text).expect("a membership").into())
}

#[track_caller]
fn check_failure(news: &News, server: i64, expected: CallFailure) {
    let News::CallFailed { to, reason } = news else { panic!("{news:?}") };
    assert_eq!((*to, *reason), (Sid(server), expected));
}

#[test]
fn a_call_tells_why_it_failed() {
    let mut options = options(1);
    options.resolve = Resolve::new(|host, _| Err(io::Error::other(format!("no {host}"))));
    let station = Station::with(options);
    let (_deaf, refuses) = deaf_address();
    let call = |addresses: &[String]| {
        station.run(Errand::Call { to: Sid(2), addresses: addresses.to_vec() });
        station.next()
    };
    check_failure(&call(&[refuses.to_string()]), 2, CallFailure::Refused);
    check_failure(&call(&["nowhere:1".to_owned()]), 2, CallFailure::Unknown);
    // What is no address is not taken for one; the membership is not known.
    check_failure(&call(&["no address".to_owned()]), 2, CallFailure::Unknown);
    check_failure(&call(&[]), 2, CallFailure::Unknown);
    // One of the addresses might have been right.
    let some = call(&["255.255.255.255:1".to_owned(), refuses.to_string()]);
    check_failure(&some, 2, CallFailure::Unknown);
    assert_eq!(station.peers.stats().calls_failed.value(), 5);
}

#[test]
fn without_an_address_the_membership_says_where() {
    let (first, second) = (Station::start(1), Station::start(2));
    second.meet(&[&first]);
    second.run(Errand::Call { to: Sid(1), addresses: Vec::new() });
    assert!(matches!(second.next(), News::CallThrough { to: Sid(1), .. }));
    assert!(matches!(first.next(), News::Called { from: Sid(2), .. }));
}

#[test]
fn one_address_of_several_is_enough() {
    let (first, second) = (Station::start(1), Station::start(2));
    let (_deaf, refuses) = deaf_address();
    let addresses = [refuses, first.election, refuses].map(|address| address.to_string()).to_vec();
    second.run(Errand::Call { to: Sid(1), addresses });
    assert!(matches!(second.next(), News::CallThrough { to: Sid(1), .. }));
    assert!(matches!(first.next(), News::Called { from: Sid(2), .. }));
    assert_eq!(first.peers.stats().accepted.value(), 1);
}

#[test]
fn a_name_that_takes_long_delays_only_its_own_server() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let mut options = options(2);
    options.resolve = Resolve::new(move |_, _| {
        assert!(gate.lock().expect("one thread").recv().is_err(), "released below");
        Ok(Vec::new())
    });
    let (first, second) = (Station::start(1), Station::with(options));
    second.run(Errand::Call { to: Sid(3), addresses: vec!["slow:1".to_owned()] });
    second.call(&first);
    drop(release);
    check_failure(&second.next(), 3, CallFailure::Unknown);
    assert!(second.stop().is_empty());
}

#[test]
fn a_name_that_takes_too_long_is_given_up() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let mut options = options(2);
    options.call_timeout = Duration::from_millis(100);
    options.resolve = Resolve::new(move |_, _| {
        assert!(gate.lock().expect("one thread").recv().is_err(), "released by the end");
        Ok(Vec::new())
    });
    let station = Station::with(options);
    // The second time the thread that looks it up is still there, and stays the only one.
    for _ in 0..2 {
        station.run(Errand::Call { to: Sid(3), addresses: vec!["slow:1".to_owned()] });
        check_failure(&station.next(), 3, CallFailure::Unknown);
    }
    drop(release);
    assert!(station.stop().is_empty());
}

#[test]
fn a_call_to_where_a_server_has_moved_takes_the_place_of_the_one_before() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let moved = Station::start(1);
    let (_deaf, refuses) = deaf_address();
    let (good, mut options) = (moved.election, options(2));
    options.resolve = Resolve::new(move |host, _| {
        if host == "new" {
            return Ok(vec![good]);
        }
        assert!(gate.lock().expect("one thread").recv().is_err(), "released below");
        Ok(vec![refuses])
    });
    let caller = Station::with(options);
    for host in ["old:1", "new:1"] {
        caller.run(Errand::Call { to: Sid(1), addresses: vec![host.to_owned()] });
    }
    caller.catch_up();
    drop(release);
    let news = caller.next();
    assert!(matches!(news, News::CallThrough { to: Sid(1), .. }), "{news:?}");
    assert!(matches!(moved.next(), News::Called { from: Sid(2), .. }));
    caller.catch_up();
}

#[test]
fn an_attempt_for_another_leader_is_dropped() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let leader = Station::start(3);
    let mut options = options(1);
    options.resolve = Resolve::new(move |_, _| {
        assert!(gate.lock().expect("one thread").recv().is_err(), "released below");
        let (_deaf, refuses) = deaf_address();
        Ok(vec![refuses])
    });
    let learner = Station::with(options);
    learner.run_all(vec![membership(2, &["slow"], 1), Errand::ConnectToLeader(Sid(2))]);
    learner.meet(&[&leader]);
    learner.run(Errand::ConnectToLeader(Sid(3)));
    assert!(matches!(learner.next(), News::LeaderReached { leader: Sid(3), .. }));
    drop(release);
    learner.catch_up();
    assert!(learner.stop().is_empty(), "nothing is told of the other");
}

#[test]
fn an_attempt_for_the_same_leader_begins_anew() {
    let (leader, learner) = (Station::start(3), Station::start(1));
    learner.meet(&[&leader]);
    learner.run_all(vec![Errand::ConnectToLeader(Sid(3)), Errand::ConnectToLeader(Sid(3))]);
    assert!(matches!(learner.next(), News::LeaderReached { leader: Sid(3), .. }));
    learner.catch_up();
    assert!(learner.stop().is_empty(), "it is told once");
}

#[test]
fn a_leader_is_looked_for_again_and_again_where_its_name_leads() {
    let leader = Station::start(3);
    let (deaf, refuses) = deaf_address();
    let (asked, good) = (Arc::new(AtomicUsize::new(0)), leader.quorum);
    let count = Arc::clone(&asked);
    let mut options = options(1);
    options.resolve = Resolve::new(move |_, _| {
        // The name moves.
        let address = if count.fetch_add(1, Ordering::SeqCst) < 2 { refuses } else { good };
        Ok(vec![address])
    });
    let learner = Station::with(options);
    learner.run_all(vec![membership(3, &["moves"], 1), Errand::ConnectToLeader(Sid(3))]);
    assert!(matches!(learner.next(), News::LeaderReached { leader: Sid(3), .. }));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    drop(deaf);
}

#[test]
fn a_leader_is_given_up_after_some_tries() {
    let (_deaf, refuses) = deaf_address();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut options = options(1);
    options.resolve = Resolve::new(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(vec![refuses])
    });
    let learner = Station::with(options);
    learner.run_all(vec![membership(3, &["h"], 1), Errand::ConnectToLeader(Sid(3))]);
    assert!(matches!(learner.next(), News::LeaderUnreachable { leader: Sid(3) }));
    assert_eq!(asked.load(Ordering::SeqCst), LEADER_TRIES_MAX as usize);
    assert_eq!(learner.peers.stats().leaders_unreachable.value(), 1);
}

#[test]
fn a_leader_is_given_up_in_time() {
    let (_deaf, refuses) = deaf_address();
    let mut options = options(1);
    options.leader_timeout = Duration::from_millis(200);
    options.leader_pause = PATIENCE;
    let learner = Station::with(options);
    let refuses = membership(3, &["127.0.0.1"], refuses.port());
    learner.run_all(vec![refuses, Errand::ConnectToLeader(Sid(3))]);
    assert!(matches!(learner.next(), News::LeaderUnreachable { leader: Sid(3) }));
}

#[test]
fn a_port_in_use_is_tried_until_it_is_free() {
    // On an interface of its own: nobody else gets the port while it is free.
    let taken = TcpListener::bind("127.0.0.2:0").expect("a port");
    let address = taken.local_addr().expect("a port");
    let mut options = options(1);
    options.election[0] = HostPort { host: address.ip().into(), port: address.port() };
    let failure = PeersThread::new(options.clone(), Clock::start()).expect_err("one try");
    let PeersError::Listen { port: Port::Election, place, .. } = failure else {
        panic!("{failure:?}")
    };
    assert_eq!(place, address.to_string());

    options.bind_tries = None;
    check_opened_in_the_end(options, address, Some(taken));
}

/// Starts a thread whose election port can not be opened at once, perhaps because of somebody who
/// then leaves it, and calls it there.
#[track_caller]
fn check_opened_in_the_end(options: Options, address: SocketAddr, taken: Option<TcpListener>) {
    let (peers, thread) = PeersThread::new(options, Clock::start()).expect("to be tried again");
    assert_eq!(thread.addresses(Port::Election), []);
    drop(taken);
    let (deliver, news) = mpsc::channel();
    let thread = thread::spawn(move || {
        thread.run(|news| news.drain(..).for_each(|it| drop(deliver.send(it))), |_| {})
    });
    let started = std::time::Instant::now();
    let mut stranger = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break Stranger::of(stream),
            Err(_) => assert!(started.elapsed() < PATIENCE, "it is opened in the end"),
        }
        thread::yield_now();
    };
    stranger.say(&3_i64.to_be_bytes());
    let called = news.recv_timeout(PATIENCE).expect("news");
    assert!(matches!(called, News::Called { from: Sid(3), .. }));
    peers.stop();
    thread.join().expect("no panic").expect("no failure");
}

#[test]
fn a_port_whose_name_is_not_known_is_opened_when_it_is() {
    let free = TcpListener::bind("127.0.0.3:0").expect("a port");
    let address = free.local_addr().expect("a port");
    drop(free);
    let mut options = options(1);
    options.bind_tries = None;
    options.election[0] =
        HostPort { host: Host::parse("later").expect("a host"), port: address.port() };
    let asked = AtomicUsize::new(0);
    options.resolve = Resolve::new(move |host, port| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Err(io::Error::other(format!("no {host} yet"))),
        // Of several, that of IPv4 is taken, as others may know no other.
        _ => Ok(vec![(std::net::Ipv6Addr::LOCALHOST, port).into(), (address.ip(), port).into()]),
    });
    check_opened_in_the_end(options, address, None);
}

#[test]
fn a_host_may_be_listened_to_as_a_whole() {
    let mut options = options(1);
    options.interfaces = Interfaces::All;
    // Of several addresses with one port there is one door.
    options.election.push(HostPort { host: Host::parse("10.0.0.1").expect("a host"), port: 0 });
    let (_peers, thread) = PeersThread::new(options, Clock::start()).expect("a thread");
    let [address] = thread.addresses(Port::Election)[..] else { panic!("one door") };
    assert!(address.ip().is_unspecified());
    TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).expect("it listens");
}
