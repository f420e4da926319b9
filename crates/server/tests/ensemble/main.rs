//! What clients see of an ensemble: several servers of one process, over the loopback interface.

mod fixture;
#[path = "../ports/mod.rs"]
mod ports;
mod returning;
mod roles;

use std::collections::BTreeSet;
use std::time::Duration;

use fixture::{Ensemble, Kind, PATIENCE};
use reefkeeper_client::{Client, CreateMode, Error};

/// The session timeouts that are tried, up to the longest one that a server grants.
const TIMEOUTS: [Duration; 3] =
    [Duration::from_secs(3), Duration::from_secs(6), Duration::from_secs(10)];

async fn write(client: &Client, path: &str, value: &str) {
    client.create(path, value, CreateMode::Persistent).await.expect("created");
}

/// What is there, once the server knows everything that was written anywhere before.
async fn read(client: &Client, path: &str) -> String {
    client.sync(path).await.expect("synced");
    let data = client.get_data(path).await.expect("read");
    String::from_utf8(data.bytes().to_vec()).expect("text")
}

/// Three voters, one of which has what is at `/before` and was stopped then: its number, and a client of
/// the leader.
async fn three_and_one_away(settings: &[&str]) -> (Ensemble, usize, Client) {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], settings);
    let leader = ensemble.leader();
    let away = (leader + 1) % 3;
    let client = ensemble.client(leader).await;
    write(&client, "/before", "1").await;
    assert_eq!(read(&ensemble.client(away).await, "/before").await, "1");
    ensemble.stop(away);
    (ensemble, away, client)
}

#[tokio::test]
async fn what_is_written_at_one_member_is_read_at_every_other() {
    let ensemble = Ensemble::start(&[Kind::Voter; 3], &[]);
    ensemble.leader();
    let mut clients = Vec::new();
    for member in 0..3 {
        clients.push(ensemble.client(member).await);
    }
    for (member, client) in clients.iter().enumerate() {
        let path = format!("/by-{member}");
        write(client, &path, &path).await;
        for reader in &clients {
            assert_eq!(read(reader, &path).await, path);
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_its_leader() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &[]);
    let first = ensemble.leader();
    write(&ensemble.client(first).await, "/before", "1").await;
    ensemble.stop(first);

    let second = ensemble.leader();
    assert_ne!(second, first);
    let client = ensemble.client(second).await;
    assert_eq!(read(&client, "/before").await, "1");
    write(&client, "/between", "2").await;

    ensemble.start_again(first);
    assert_eq!(ensemble.leader(), second, "who comes back follows");
    let client = ensemble.client(first).await;
    assert_eq!(read(&client, "/before").await, "1");
    assert_eq!(read(&client, "/between").await, "2");
    write(&client, "/after", "3").await;
    assert!(ensemble.files(first).iter().any(|name| name == "log.100000001"), "it kept its log");
}

#[tokio::test]
async fn a_member_that_is_sent_a_snapshot_has_what_the_others_have() {
    let (mut ensemble, away, client) = three_and_one_away(&["forceSnapshotSync=true"]).await;
    let large = "x".repeat(100_000);
    for number in 0..40 {
        write(&client, &format!("/large-{number}"), &large).await;
    }

    ensemble.start_again(away);
    let client = ensemble.client(away).await;
    assert_eq!(read(&client, "/large-39").await, large);
    assert_eq!(read(&client, "/before").await, "1");
    write(&client, "/after", "2").await;
    let files = ensemble.files(away);
    assert!(!files.iter().any(|name| name == "snapshot.0"), "{files:?}");
}

#[tokio::test]
async fn a_member_with_a_damaged_log_is_repaired_by_its_leader() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &[]);
    let leader = ensemble.leader();
    let damaged = (leader + 1) % 3;
    let client = ensemble.client(leader).await;
    for number in 0..20 {
        write(&client, &format!("/{number}"), "1").await;
    }
    assert_eq!(read(&ensemble.client(damaged).await, "/19").await, "1");
    ensemble.stop(damaged);
    ensemble.damage(damaged, "log.100000001", 300);

    // It must not make a quorum: what it has acknowledged is not there.
    ensemble.stop(leader);
    ensemble.start_again(damaged);
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensemble.wait_until_nobody_serves();

    ensemble.start_again(leader);
    assert_ne!(ensemble.leader(), damaged);
    let client = ensemble.client(damaged).await;
    assert_eq!(read(&client, "/19").await, "1");
    write(&client, "/after", "2").await;
    let files = ensemble.files(damaged);
    let is_old = |name: &String| name == "log.100000001" || name == "shortened";
    assert!(!files.iter().any(is_old), "{files:?}");
}

#[tokio::test]
async fn clients_find_the_membership_at_every_member() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &["forceSnapshotSync=true"]);
    let leader = ensemble.leader();
    // One of them has its tree from a leader.
    ensemble.stop((leader + 1) % 3);
    ensemble.start_again((leader + 1) % 3);
    ensemble.leader();
    for member in 0..3 {
        let config = ensemble.client(member).await.config().await.expect("read");
        let text = String::from_utf8(config.bytes().to_vec()).expect("text");
        assert_eq!(text, ensemble.membership(member), "at {member}");
    }
}

#[tokio::test]
async fn an_observer_serves_and_does_not_vote() {
    let mut ensemble = Ensemble::start(&[Kind::Voter, Kind::Voter, Kind::Observer], &[]);
    let leader = ensemble.leader();
    assert_ne!(leader, 2);
    let client = ensemble.client(2).await;
    write(&client, "/at-the-observer", "1").await;
    assert_eq!(read(&ensemble.client(leader).await, "/at-the-observer").await, "1");
    ensemble.stop(1 - leader);
    ensemble.wait_until_nobody_serves();
}

#[tokio::test]
async fn a_session_goes_on_at_another_member() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &[]);
    let leader = ensemble.leader();
    let (first, second) = ((leader + 1) % 3, (leader + 2) % 3);
    let addresses = format!("{},{}", ensemble.address(first), ensemble.address(second));
    let client = Client::connect(addresses).await.expect("connected");
    client.create("/mine", "1", CreateMode::Ephemeral).await.expect("created");
    let ticket = client.ticket().expect("a session");

    // Whichever it is connected to.
    ensemble.stop(first);
    assert_eq!(ensemble.leader(), leader);
    let value = loop {
        match client.get_data("/mine").await {
            Ok(data) => break data,
            Err(Error::ConnectionLost { .. }) => {}
            Err(failure) => panic!("{failure}"),
        }
    };
    assert_eq!(value.stat.ephemeral_owner, ticket.id);
    client.close().await.expect("closed");
    let other = ensemble.client(leader).await;
    assert_eq!(other.exists("/mine").await.expect("looked"), None);
}

#[tokio::test]
async fn a_session_at_a_follower_lives_as_long_as_its_client() {
    let ensemble = Ensemble::start(&[Kind::Voter; 3], &[]);
    let leader = ensemble.leader();
    // Its client is heard of by the follower only, which has to tell the leader.
    lives_as_long_as_its_client(&ensemble, (leader + 1) % 3, leader).await;
}

/// Opens a session at one member that outlives its timeout with its client and not without; this is seen at
/// another one.
///
/// On a machine that is busy a client may come too late for a short timeout, so that longer ones are tried: a
/// session that nobody tells the leader of outlives none.
async fn lives_as_long_as_its_client(ensemble: &Ensemble, member: usize, seen_at: usize) {
    let observer = ensemble.client(seen_at).await;
    for timeout in TIMEOUTS {
        let builder = Client::builder(ensemble.address(member).to_string());
        let builder = builder.session_timeout(timeout).connect_timeout(PATIENCE);
        let client = builder.connect().await.expect("connected");
        assert_eq!(client.session_timeout(), timeout);
        let path = format!("/mine-{}", timeout.as_secs());
        client.create(path.as_str(), "1", CreateMode::Ephemeral).await.expect("created");
        tokio::time::sleep(2 * timeout).await;
        let (stat, watch) = observer.exists_and_watch(path.as_str()).await.expect("looked");
        client.detach();
        if stat.is_some() {
            let change = tokio::time::timeout(PATIENCE, watch).await.expect("the session expires");
            assert!(change.is_ok(), "{change:?}");
            assert_eq!(observer.exists(path.as_str()).await.expect("looked"), None);
            return;
        }
    }
    panic!("no session outlives its timeout");
}

#[tokio::test]
async fn a_voter_may_be_alone() {
    let mut ensemble = Ensemble::start(&[Kind::Voter], &["standaloneEnabled=false"]);
    for round in 0..2 {
        assert_eq!(ensemble.leader(), 0);
        let client = ensemble.client(0).await;
        write(&client, &format!("/{round}"), "1").await;
        assert_eq!(read(&client, "/0").await, "1");
        ensemble.stop(0);
        ensemble.start_again(0);
    }
}

#[tokio::test]
async fn writes_at_all_members_at_once_are_all_there() {
    const WRITES: usize = 200;
    let ensemble = Ensemble::start(&[Kind::Voter; 3], &[]);
    let leader = ensemble.leader();
    write(&ensemble.client(leader).await, "/all", "").await;
    let mut writers = Vec::new();
    for member in 0..3 {
        let client = ensemble.client(member).await;
        writers.push(tokio::spawn(async move {
            let paths = (0..WRITES).map(|number| format!("/all/{member}-{number}"));
            let created: Vec<_> = paths
                .map(|path| {
                    let client = client.clone();
                    tokio::spawn(async move { write(&client, &path, "1").await })
                })
                .collect();
            for created in created {
                created.await.expect("written");
            }
            client
        }));
    }
    let mut clients = Vec::new();
    for writer in writers {
        clients.push(writer.await.expect("no panic"));
    }
    for client in clients {
        client.sync("/all").await.expect("synced");
        let children = client.get_children("/all").await.expect("listed");
        assert_eq!(children.names.iter().collect::<BTreeSet<_>>().len(), 3 * WRITES);
    }
}

#[test]
fn operators_are_told_what_a_member_does() {
    let kinds = [Kind::Voter, Kind::Voter, Kind::Voter, Kind::Observer];
    let ensemble = Ensemble::start(&kinds, &["4lw.commands.whitelist=*"]);
    let leader = ensemble.leader();
    let lines = |index: usize, word: &str, keys: &[&str]| -> String {
        let answer = ensemble.ask(index, word);
        let is_meant = |line: &&str| keys.iter().any(|key| line.starts_with(key));
        answer.lines().filter(is_meant).map(|line| format!("{line}\n")).collect()
    };
    let keys = ["zk_server_state", "zk_peer_state", "zk_quorum_size", "zk_learners", "zk_synced_"];
    assert_eq!(
        lines(leader, "mntr", &keys),
        "zk_server_state\tleader\nzk_peer_state\tleading - broadcast\nzk_quorum_size\t3\n\
         zk_learners\t3\nzk_synced_followers\t2\nzk_synced_non_voting_followers\t0\n\
         zk_synced_observers\t1\n"
    );
    assert_eq!(
        lines((leader + 1) % 3, "mntr", &keys),
        "zk_server_state\tfollower\nzk_peer_state\tfollowing - broadcast\nzk_quorum_size\t3\n"
    );
    assert_eq!(
        lines(3, "mntr", &keys),
        "zk_server_state\tobserver\nzk_peer_state\tobserving - broadcast\nzk_quorum_size\t3\n"
    );
    let master = format!("zk_observer_master_id\t{}\n", leader + 1);
    assert_eq!(lines(3, "mntr", &["zk_observer_master_id"]), master);
    assert!(ensemble.ask(leader, "srvr").ends_with("Proposal sizes last/min/max: -1/-1/-1\n"));
    assert_eq!(lines(leader, "srvr", &["Zxid"]), "Zxid: 0x100000000\n");
    assert_eq!(lines((leader + 1) % 3, "srvr", &["Zxid"]), "Zxid: 0x0\n");
    assert_eq!(
        lines(3, "conf", &["serverId", "initLimit", "syncLimit", "electionAlg", "peerType"]),
        "serverId=4\ninitLimit=60\nsyncLimit=60\nelectionAlg=3\npeerType=1\n"
    );
    assert!(ensemble.ask(leader, "dump").starts_with("SessionTracker dump:\nSession Sets ("));
    assert!(ensemble.ask(3, "dump").starts_with("SessionTracker dump:\nGlobal Sessions(0):\n"));
    let membership = ensemble.membership(3);
    assert!(ensemble.ask(3, "conf").ends_with(&format!("\nmembership: \n{membership}")));
    for (index, answer) in [(leader, "rw"), (3, "rw")] {
        assert_eq!(ensemble.ask(index, "isro"), answer);
    }
}

#[test]
fn a_member_without_a_leader_serves_nobody_and_says_so() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &["4lw.commands.whitelist=*"]);
    ensemble.leader();
    ensemble.stop(0);
    ensemble.stop(1);
    ensemble.wait_until_nobody_serves();
    let not_serving = "This ZooKeeper instance is not currently serving requests\n";
    for (word, answer) in
        [("srvr", not_serving), ("mntr", not_serving), ("isro", "null"), ("ruok", "imok")]
    {
        assert_eq!(ensemble.ask(2, word), answer, "{word}");
    }
}
