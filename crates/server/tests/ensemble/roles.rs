//! Members that do something else than the others: alone by an oracle's word, without a leader,
//! leading without clients; and sessions that only one of them knows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use reefkeeper_client::{Client, CreateMode, Error, ErrorCode, ReconfigRequest};

use crate::fixture::{Ensemble, Kind, PATIENCE};
use crate::ports::free_ports;
use crate::{lives_as_long_as_its_client, read, write};

/// What a server that serves nobody says.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Asks for a session as a client does that is content with reads, or is not; returns the
/// connection and what the server said, up to its end if it closes.
fn handshake(address: SocketAddr, accepts_read_only: bool) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut frame = 45_u32.to_be_bytes().to_vec();
    frame.extend([0; 12]);
    frame.extend(5_000_u32.to_be_bytes());
    frame.extend([0; 8]);
    frame.extend(16_u32.to_be_bytes());
    frame.extend([0; 16]);
    frame.push(u8::from(accepts_read_only));
    stream.write_all(&frame).expect("sent");
    let mut answer = vec![0; 41];
    match stream.read_exact(&mut answer) {
        Ok(()) => (stream, answer),
        Err(_) => (stream, Vec::new()),
    }
}

#[tokio::test]
async fn the_oracle_lets_one_of_two_voters_go_on_and_stops_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let oracle = directory.path().join("oracle");
    let say = |word: &str| fs::write(&oracle, word).expect("written");
    say("0");
    let setting = format!("oraclePath={}", oracle.display());
    let mut ensemble = Ensemble::start(&[Kind::Voter; 2], &[&setting]);
    let leader = ensemble.leader();
    write(&ensemble.client(leader).await, "/both", "1").await;
    say("1");
    ensemble.stop(1 - leader);
    assert_eq!(ensemble.leader(), leader);
    write(&ensemble.client(leader).await, "/alone", "2").await;

    say("0");
    ensemble.wait_until_nobody_serves();
    say("1");
    assert_eq!(ensemble.leader(), leader, "alone from the start");
    let client = ensemble.client(leader).await;
    write(&client, "/alone-again", "3").await;

    // Both read the same file, and must not both be told that they may.
    say("0");
    ensemble.start_again(1 - leader);
    assert_eq!(ensemble.leader(), leader);
    let other = ensemble.client(1 - leader).await;
    for (path, value) in [("/both", "1"), ("/alone", "2"), ("/alone-again", "3")] {
        assert_eq!(read(&other, path).await, value);
    }
}

#[tokio::test]
async fn one_of_two_voters_waits_for_the_other_if_the_oracle_says_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let setting = format!("oraclePath={}", directory.path().join("missing").display());
    let mut ensemble = Ensemble::start(&[Kind::Voter; 2], &[&setting]);
    let leader = ensemble.leader();
    ensemble.stop(1 - leader);
    ensemble.wait_until_nobody_serves();
    ensemble.start_again(1 - leader);
    ensemble.leader();
}

#[tokio::test]
async fn a_server_without_its_ensemble_serves_those_who_only_read() {
    let settings = ["readonlymode.enabled=true", "4lw.commands.whitelist=*"];
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &settings);
    let leader = ensemble.leader();
    let left = (leader + 1) % 3;
    write(&ensemble.client(left).await, "/seen", "1").await;
    ensemble.stop(leader);
    let other = ensemble.leader();
    let (left, other) = if other == left { (left, (leader + 2) % 3) } else { (left, other) };
    ensemble.stop(other);
    ensemble.wait_until_mode(left, "read-only");

    assert_eq!(ensemble.ask(left, "isro"), "ro");
    let answer = ensemble.ask(left, "srvr");
    assert!(answer.contains("\nREAD-ONLY mode; serving only read-only clients\n"), "{answer}");
    assert!(!ensemble.ask(left, "mntr").contains("zk_quorum_size"));
    let configuration = ensemble.ask(left, "conf");
    assert!(configuration.ends_with("\npeerType=0\n"), "{configuration}");
    let (_, refused) = handshake(ensemble.address(left), false);
    assert_eq!(refused, []);
    let (reader, admitted) = handshake(ensemble.address(left), true);
    assert_eq!(admitted.last(), Some(&1));
    assert!(ensemble.ask(left, "dump").contains("\nLocal Session Sets ("));
    assert!(ensemble.ask(left, "mntr").contains("\nzk_local_sessions\t1\n"));

    let client = Client::builder(ensemble.address(left).to_string()).read_only(true);
    let client = client.connect().await.expect("connected");
    assert_eq!(client.get_data("/seen").await.expect("read").bytes(), b"1");
    let refused = client.create("/no", "1", CreateMode::Persistent).await;
    assert!(matches!(refused, Err(Error::Refused(ErrorCode::NotReadOnly))), "{refused:?}");

    ensemble.start_again(other);
    ensemble.leader();
    let mut end = Vec::new();
    (&reader).read_to_end(&mut end).expect("closed");
    assert_eq!(ensemble.ask(left, "isro"), "rw");
    let (_, admitted) = handshake(ensemble.address(left), true);
    assert_eq!(admitted.last(), Some(&0));
    assert_eq!(read(&ensemble.client(left).await, "/seen").await, "1");
}

#[tokio::test]
async fn operators_see_which_sessions_are_local() {
    let settings = [
        "localSessionsEnabled=true",
        "localSessionsUpgradingEnabled=true",
        "4lw.commands.whitelist=*",
    ];
    let ensemble = Ensemble::start(&[Kind::Voter; 3], &settings);
    let leader = ensemble.leader();
    for member in [leader, (leader + 1) % 3] {
        let client = ensemble.client(member).await;
        let sessions = |kind: &str| format!("\nzk_{kind}_sessions\t");
        let count = |kind: &str, count: u32| {
            let answer = ensemble.ask(member, "mntr");
            let line = format!("{}{count}\n", sessions(kind));
            assert!(answer.contains(&line), "{line:?} of {member} in {answer}");
        };
        count("local", 1);
        count("global", 0);
        write(&client, &format!("/by-{member}"), "1").await;
        count("global", 0);
        let dump = ensemble.ask(member, "dump");
        assert!(dump.starts_with("SessionTracker dump:\nLocal Session Sets ("), "{dump}");
        let global =
            if member == leader { "\nGlobal Session Sets (" } else { "\nGlobal Sessions(0):" };
        assert!(dump.contains(global), "{dump}");
        client.create("/mine", "1", CreateMode::Ephemeral).await.expect("created");
        count("local", 0);
        count("global", 1);
        client.close().await.expect("closed");
        count("global", 0);
    }
}

#[tokio::test]
async fn a_local_session_that_is_not_upgraded_creates_no_ephemeral() {
    let ensemble = Ensemble::start(&[Kind::Voter; 3], &["localSessionsEnabled=true"]);
    ensemble.leader();
    for member in 0..3 {
        let client = ensemble.client(member).await;
        let refused = client.create("/mine", "1", CreateMode::Ephemeral).await;
        let Err(Error::Refused(code)) = refused else { panic!("{refused:?} at {member}") };
        assert_eq!(code, ErrorCode::EphemeralOnLocalSession);
        write(&client, &format!("/by-{member}"), "1").await;
    }
}

#[tokio::test]
async fn a_leader_that_is_not_to_serve_has_no_clients() {
    let ensemble = Ensemble::start(&[Kind::Voter; 3], &["leaderServes=no"]);
    let followers = ensemble.wait_for_modes(|modes| {
        modes.iter().filter(|mode| mode.as_deref() == Some("follower")).count() == 2
    });
    let leader = followers.iter().position(Option::is_none).expect("it says nothing");
    assert_eq!(ensemble.ask(leader, "srvr"), NOT_SERVING);
    let (_, refused) = handshake(ensemble.address(leader), true);
    assert_eq!(refused, []);
    let client = ensemble.client((leader + 1) % 3).await;
    write(&client, "/a", "1").await;
    assert_eq!(read(&ensemble.client((leader + 2) % 3).await, "/a").await, "1");
}

/// The server from which the last one of four, an observer, learns.
fn master(ensemble: &Ensemble) -> usize {
    let answer = ensemble.ask(3, "mntr");
    let line = answer.lines().find_map(|line| line.strip_prefix("zk_observer_master_id\t"));
    line.expect("an observer").parse::<usize>().expect("an id") - 1
}

#[tokio::test]
async fn an_observer_learns_from_a_follower_and_from_another_one_if_that_is_gone() {
    let port = format!("observerMasterPort={}", free_ports::<1>()[0]);
    let kinds = [Kind::Voter, Kind::Voter, Kind::Voter, Kind::Observer];
    let mut ensemble = Ensemble::start(&kinds, &[&port, "4lw.commands.whitelist=*"]);
    let leader = ensemble.leader();
    let first = master(&ensemble);
    assert_ne!(first, leader);
    assert!(ensemble.ask(first, "mntr").contains("\nzk_synced_observers\t1\n"));
    assert!(ensemble.ask(leader, "mntr").contains("\nzk_synced_observers\t0\n"));

    let observing = ensemble.client(3).await;
    write(&observing, "/by-the-observer", "1").await;
    write(&ensemble.client(leader).await, "/by-the-leader", "2").await;
    assert_eq!(read(&ensemble.client(first).await, "/by-the-observer").await, "1");
    assert_eq!(read(&observing, "/by-the-leader").await, "2");
    observing.create("/mine", "3", CreateMode::Ephemeral).await.expect("created");

    ensemble.stop(first);
    assert_eq!(ensemble.leader(), leader);
    assert_ne!(master(&ensemble), first);
    assert_ne!(master(&ensemble), leader);
    let again = ensemble.client(3).await;
    write(&again, "/by-the-observer-again", "4").await;
    assert_eq!(read(&ensemble.client(leader).await, "/by-the-observer-again").await, "4");
}

#[tokio::test]
async fn a_session_at_an_observer_of_a_follower_lives_as_long_as_its_client() {
    let port = format!("observerMasterPort={}", free_ports::<1>()[0]);
    let kinds = [Kind::Voter, Kind::Voter, Kind::Voter, Kind::Observer];
    let ensemble = Ensemble::start(&kinds, &[&port, "4lw.commands.whitelist=*"]);
    let leader = ensemble.leader();
    assert_ne!(master(&ensemble), leader);
    // Its client is heard of by the observer only, which has to tell the follower, which tells the leader.
    lives_as_long_as_its_client(&ensemble, 3, leader).await;
}

/// Four servers whose membership may change, of which the last one observes.
fn four_that_change() -> Ensemble {
    let port = format!("observerMasterPort={}", free_ports::<1>()[0]);
    let kinds = [Kind::Voter, Kind::Voter, Kind::Voter, Kind::Observer];
    let settings = ["4lw.commands.whitelist=*", "reconfigEnabled=true", "skipACL=yes"];
    Ensemble::start(&kinds, &[&[port.as_str()], &settings[..]].concat())
}

/// Changes the membership at a server; returns the new one.
async fn reconfigure(client: &Client, change: ReconfigRequest<'_>) -> String {
    let membership = client.reconfig(change).await.expect("changed");
    String::from_utf8(membership.bytes().to_vec()).expect("text")
}

const NO_CHANGE: ReconfigRequest<'_> =
    ReconfigRequest { joining: None, leaving: None, new_members: None, based_on: None };

#[tokio::test]
async fn an_observer_learns_of_another_membership_from_a_follower() {
    let ensemble = four_that_change();
    let leader = ensemble.leader();
    let first = master(&ensemble);
    let observing = ensemble.client(3).await;
    write(&observing, "/before", "1").await;
    let leaving = (first + 1).to_string();
    let change = ReconfigRequest { leaving: Some(leaving.as_str().into()), ..NO_CHANGE };
    let membership = reconfigure(&observing, change).await;
    assert!(!membership.contains(&format!("server.{leaving}=")), "{membership}");

    // It may have lost its master, and have found another one.
    assert_eq!(ensemble.leader(), leader);
    assert_ne!(master(&ensemble), leader);
    let again = ensemble.client(3).await;
    write(&again, "/after", "2").await;
    assert_eq!(read(&ensemble.client(leader).await, "/after").await, "2");
    assert_eq!(again.config().await.expect("read").bytes(), membership.as_bytes());
}

#[tokio::test]
async fn an_observer_of_a_follower_that_is_to_vote_turns_to_the_leader() {
    let mut ensemble = four_that_change();
    let leader = ensemble.leader();
    assert_ne!(master(&ensemble), leader);
    let before = ensemble.membership(3);
    let servers = before.lines().filter(|line| line.starts_with("server."));
    let all = servers.collect::<Vec<_>>().join(",").replace(":observer", ":participant");
    let change = ReconfigRequest { new_members: Some(all.into()), ..NO_CHANGE };
    let client = ensemble.client(leader).await;
    let membership = reconfigure(&client, change).await;
    assert!(!membership.contains(":observer"), "{membership}");
    ensemble.wait_until_mode(3, "follower");

    // It counts: without another one three of four are left.
    ensemble.stop((leader + 1) % 3);
    assert_eq!(ensemble.leader(), leader);
    write(&ensemble.client(3).await, "/by-the-voter", "1").await;
    assert_eq!(read(&client, "/by-the-voter").await, "1");
}

#[tokio::test]
async fn a_follower_that_is_to_observe_sends_its_observers_to_another_one() {
    let ensemble = four_that_change();
    let leader = ensemble.leader();
    let first = master(&ensemble);
    let before = ensemble.membership(3);
    let demoted = |line: &str| match line.starts_with(&format!("server.{}=", first + 1)) {
        true => line.replace(":participant", ":observer"),
        false => line.to_owned(),
    };
    let servers = before.lines().filter(|line| line.starts_with("server."));
    let all = servers.map(demoted).collect::<Vec<_>>().join(",");
    let change = ReconfigRequest { new_members: Some(all.into()), ..NO_CHANGE };
    reconfigure(&ensemble.client(leader).await, change).await;
    ensemble.wait_until_mode(first, "observer");
    let other = 3 - leader - first;
    ensemble.wait_for_modes(|_| ensemble.ask(other, "mntr").contains("\nzk_synced_observers\t2\n"));
    assert_eq!(ensemble.leader(), leader);
    assert_eq!(master(&ensemble), other);
    write(&ensemble.client(3).await, "/by-an-observer", "1").await;
    assert_eq!(read(&ensemble.client(first).await, "/by-an-observer").await, "1");
}
