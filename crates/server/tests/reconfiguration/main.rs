//! Ensembles whose memberships change: several servers of one process, with their files and ports.

mod fixture;
#[path = "../ports/mod.rs"]
mod ports;

use fixture::{Change, Ensemble, Ports};
use reefkeeper_client::{Client, CreateMode};

async fn write(client: &Client, path: &str) {
    client.create(path, "data", CreateMode::Persistent).await.expect("created");
}

/// Whether a server has what was written anywhere before.
async fn has(client: &Client, path: &str) -> bool {
    client.sync(path).await.expect("synced");
    client.exists(path).await.expect("read").is_some()
}

/// Writes at one of the servers, and reads it at all that run.
async fn goes_on(ensemble: &Ensemble, path: &str) {
    let leader = ensemble.leader();
    write(&ensemble.client(leader).await, path).await;
    for sid in ensemble.running() {
        assert!(has(&ensemble.client(sid).await, path).await, "{path} at {sid}");
    }
}

#[tokio::test]
async fn servers_join_and_leave_and_move() {
    let mut ensemble = Ensemble::start(3);
    ensemble.leader();
    let client = ensemble.client(1).await;
    write(&client, "/first").await;

    for _ in 0..2 {
        let sid = ensemble.join(&[1, 2], "participant");
        let line = ensemble.member(sid).ports.line(sid, "participant");
        let text = ensemble.reconfigure(1, Change::Join(&line)).await;
        assert!(text.contains(&line), "{text}");
    }
    goes_on(&ensemble, "/five").await;

    let leader = ensemble.leader();
    let other = leader % 5 + 1;
    ensemble.reconfigure(other, Change::Leave(&leader.to_string())).await;
    ensemble.wait("it leads still", |it| it.mode(leader) != "leader");
    goes_on(&ensemble, "/without-its-leader").await;
    ensemble.stop(leader);

    // The new leader moves too, and hands over.
    let mover = ensemble.leader();
    let ports = Ports::free();
    let line = ports.line(mover, "participant");
    let asked = ensemble.running().into_iter().find(|&sid| sid != mover).expect("another");
    ensemble.reconfigure(asked, Change::Join(&line)).await;
    ensemble.member(mover).ports = ports;
    goes_on(&ensemble, "/elsewhere").await;
    assert!(ensemble.ask(mover, "conf").expect("an answer").contains(&line));
}

#[tokio::test]
async fn a_membership_outlives_all_servers() {
    let mut ensemble = Ensemble::start(3);
    ensemble.leader();
    let sid = ensemble.join(&[1, 2, 3], "observer");
    let line = ensemble.member(sid).ports.line(sid, "observer");
    let text = ensemble.reconfigure(2, Change::Join(&line)).await;
    ensemble.wait("it does not observe", |it| it.mode(sid) == "observer");
    let (lines, version) = text.rsplit_once("\nversion=").expect("a version");
    let dynamic = format!("zoo.cfg.dynamic.{version}");
    for sid in 1..=4 {
        // The file that names it is written behind it, and what is proposed goes at last.
        ensemble.wait("it is not stored", |it| {
            let files = it.files(sid);
            files.contains(&dynamic) && !files.contains(&"zoo.cfg.dynamic.next".to_owned())
        });
        assert_eq!(ensemble.read(sid, &dynamic), lines, "at {sid}");
        let main = ensemble.read(sid, "zoo.cfg");
        assert!(main.trim_end().ends_with(&dynamic), "{main}");
        assert!(!main.contains("server."), "{main}");
        assert!(ensemble.read(sid, "zoo.cfg.bak").contains("\nserver.1="));
        assert!(!ensemble.files(sid).contains(&"zoo.cfg.dynamic.next".to_owned()));
    }
    for sid in 1..=4 {
        ensemble.stop(sid);
    }
    for sid in 1..=4 {
        ensemble.start_again(sid);
    }
    goes_on(&ensemble, "/again").await;
    let config = ensemble.client(sid).await.config().await.expect("read");
    assert_eq!(config.bytes(), text.as_bytes());
}

#[tokio::test]
async fn clients_that_are_connected_go_on_when_their_port_moves() {
    let mut ensemble = Ensemble::start(3);
    let leader = ensemble.leader();
    let follower = leader % 3 + 1;
    let client = ensemble.client(follower).await;
    write(&client, "/before").await;
    let old = ensemble.member(follower).ports;
    let new = Ports { client: Ports::free().client, ..old };
    ensemble.reconfigure(leader, Change::Join(&new.line(follower, "participant"))).await;
    ensemble.member(follower).ports = new;
    ensemble.wait("it does not listen there", |it| it.mode(follower) == "follower");
    write(&client, "/over-the-old-connection").await;
    assert!(has(&ensemble.client(follower).await, "/over-the-old-connection").await);
    assert!(std::net::TcpStream::connect(("127.0.0.1", old.client)).is_err(), "still open");
    let conf = ensemble.ask(follower, "conf").expect("an answer");
    assert!(conf.contains(&format!("clientPort={}\n", new.client)), "{conf}");
}

#[tokio::test]
async fn a_server_that_is_alone_becomes_one_of_three_and_one_of_several_kinds() {
    let mut ensemble = Ensemble::start(1);
    assert_eq!(ensemble.leader(), 1);
    for _ in 0..2 {
        let sid = ensemble.join(&[1], "participant");
        let line = ensemble.member(sid).ports.line(sid, "participant");
        ensemble.reconfigure(1, Change::Join(&line)).await;
    }
    goes_on(&ensemble, "/three").await;
    // Votes get weights: two servers of little weight decide nothing.
    let line = |ensemble: &mut Ensemble, sid: usize| {
        ensemble.member(sid).ports.line(sid, "participant") + "\n"
    };
    let lines: String = (1..=3).map(|sid| line(&mut ensemble, sid)).collect();
    let text =
        ensemble.reconfigure(2, Change::Replace(&(lines + "group.1=1:2:3\nweight.1=3"))).await;
    assert!(text.contains("weight.1=3\nweight.2=1\nweight.3=1\n"), "{text}");
    goes_on(&ensemble, "/weights").await;
    for sid in 2..=3 {
        ensemble.stop(sid);
    }
    goes_on(&ensemble, "/alone-again").await;
}

#[tokio::test]
async fn a_removed_server_does_not_come_back_as_a_voter() {
    let mut ensemble = Ensemble::start(3);
    let leader = ensemble.leader();
    let removed = leader % 3 + 1;
    ensemble.stop(removed);
    ensemble.reconfigure(leader, Change::Leave(&removed.to_string())).await;
    ensemble.start_again(removed);
    goes_on(&ensemble, "/two").await;
    let other = 6 - leader - removed;
    ensemble.stop(other);
    ensemble.wait("two are not a quorum", |it| it.mode(leader).is_empty());
}
