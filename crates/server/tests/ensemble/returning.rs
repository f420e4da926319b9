//! Members that come back to a leader which has gone on without them.

use std::time::Duration;

use reefkeeper_client::{Client, Error};

use crate::fixture::{Ensemble, Kind};
use crate::{read, three_and_one_away, write};

/// The leader keeps next to nothing in memory, and reads as much of its log as is needed.
const FROM_THE_LOG: &[&str] = &["commitLogBytes=1", "snapshotSizeFactor=0"];

/// Whether its database is still the one that it was started with, and no leader's snapshot.
fn keeps_database(ensemble: &Ensemble, member: usize) -> bool {
    ensemble.files(member).iter().any(|name| name == "snapshot.0")
}

/// Several megabytes, which are more than is read of a log at once.
async fn write_much(client: &Client, parent: &str) {
    let large = "x".repeat(100_000);
    write(client, parent, "").await;
    for number in 0..40 {
        write(client, &format!("{parent}/{number}"), &large).await;
    }
}

#[tokio::test]
async fn a_member_gets_what_it_lacks_from_the_leaders_log() {
    let (mut ensemble, away, client) = three_and_one_away(FROM_THE_LOG).await;
    write_much(&client, "/large").await;

    ensemble.start_again(away);
    let returned = ensemble.client(away).await;
    assert_eq!(read(&returned, "/large/39").await.len(), 100_000);
    assert_eq!(read(&returned, "/large/0").await.len(), 100_000);
    assert_eq!(read(&returned, "/before").await, "1");
    write(&returned, "/after", "2").await;
    assert_eq!(read(&client, "/after").await, "2");
    assert!(keeps_database(&ensemble, away), "{:?}", ensemble.files(away));
}

#[tokio::test]
async fn a_member_that_is_far_behind_gets_a_snapshot_if_the_log_is_long() {
    let (mut ensemble, away, client) = three_and_one_away(&["commitLogBytes=1"]).await;
    write_much(&client, "/large").await;

    ensemble.start_again(away);
    assert_eq!(read(&ensemble.client(away).await, "/large/39").await.len(), 100_000);
    assert!(!keeps_database(&ensemble, away), "{:?}", ensemble.files(away));
}

/// Stops all, lets one log what nobody else has, and the two others go on without it. Returns the
/// one, and who leads the others.
async fn leave_one_with_a_tail(ensemble: &mut Ensemble) -> (usize, usize) {
    let first = ensemble.leader();
    let client = ensemble.client(first).await;
    write(&client, "/before", "1").await;
    let away = (first + 1) % 3;
    for member in 0..3 {
        assert_eq!(read(&ensemble.client(member).await, "/before").await, "1");
    }
    client.close().await.expect("closed");
    ensemble.wait_until_all_have_the_same();
    for member in 0..3 {
        ensemble.stop(member);
    }
    ensemble.log_alone(away, "/phantom");
    for member in (0..3).filter(|&member| member != away) {
        ensemble.start_again(member);
    }
    (away, ensemble.leader())
}

#[tokio::test]
async fn what_only_one_member_logged_is_cut_and_the_rest_comes_from_the_leaders_log() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], FROM_THE_LOG);
    let (away, leader) = leave_one_with_a_tail(&mut ensemble).await;
    write_much(&ensemble.client(leader).await, "/large").await;

    ensemble.start_again(away);
    assert_eq!(ensemble.leader(), leader);
    let returned = ensemble.client(away).await;
    assert_eq!(read(&returned, "/large/39").await.len(), 100_000);
    assert_eq!(read(&returned, "/before").await, "1");
    assert_eq!(returned.exists("/phantom").await.expect("looked"), None);
    assert!(keeps_database(&ensemble, away), "{:?}", ensemble.files(away));
}

#[tokio::test]
async fn a_member_whose_files_can_not_be_cut_gets_a_snapshot() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], FROM_THE_LOG);
    let (away, leader) = leave_one_with_a_tail(&mut ensemble).await;
    // All there is shows what has to go.
    ensemble.leave_only_a_snapshot(away);
    write(&ensemble.client(leader).await, "/between", "2").await;

    ensemble.start_again(away);
    assert_eq!(ensemble.leader(), leader);
    let returned = ensemble.client(away).await;
    assert_eq!(read(&returned, "/between").await, "2");
    assert_eq!(returned.exists("/phantom").await.expect("looked"), None);
    write(&returned, "/after", "3").await;
    ensemble.stop(away);
    ensemble.start_again(away);
    assert_eq!(ensemble.leader(), leader);
    assert_eq!(read(&ensemble.client(away).await, "/after").await, "3");
}

/// F21: the others must serve, and nothing that was acknowledged may be lost.
#[tokio::test]
async fn a_leader_whose_disk_fails_is_replaced() {
    let mut ensemble = Ensemble::start(&[Kind::Voter; 3], &["snapCount=4"]);
    let first = ensemble.leader();
    let client = ensemble.client(first).await;
    write(&client, "/all", "").await;
    ensemble.lose_directory(first);
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let path = format!("/all/{number}");
        match client.create(path.as_str(), "1", reefkeeper_client::CreateMode::Persistent).await {
            Ok(_) => acknowledged.push(path),
            Err(Error::ConnectionLost { .. }) => break,
            Err(failure) => panic!("{failure}"),
        }
    }
    let failed = std::time::Instant::now();
    let last_words = ensemble.last_words(first);
    let expected = "the log can not be written, nothing more is acknowledged: ";
    assert!(last_words.starts_with(expected), "{last_words}");
    let second = ensemble.leader();
    assert_ne!(second, first);
    // Whoever waited for the silence of the first one would do so for half a minute.
    assert!(failed.elapsed() < Duration::from_secs(20), "nobody waits for a timeout");
    let client = ensemble.client(second).await;
    for path in acknowledged {
        assert_eq!(read(&client, &path).await, "1");
    }
    write(&client, "/after", "1").await;
}
