//! Servers and clients that do what no correct one does: nobody else suffers from it.

use types::{CreateMode, Op, SessionId, Sid, Txn, TxnHeader, Write, Xid};
use wire::quorum::{Proposal, ToLearner};
use wire::stored::encode_txn;

use crate::world::{Plan, World};
use crate::{create, get, sync};

#[test]
fn a_learner_that_asks_before_a_quorum_follows_is_sent_away_and_comes_back() {
    for impatient in [1, 2] {
        let mut world = World::of(Plan { impatient: Some(Sid(impatient)), ..Plan::plain(3) });
        let client = world.client(impatient);
        assert!(world.ask(client, [create("/a", CreateMode::Persistent)]).contains("/a"));
        for sid in 1..=3 {
            let reader = world.client(sid);
            assert!(world.ask(reader, [sync(), get("/a")]).contains("data"));
        }
    }
}

#[test]
fn a_leader_whose_transactions_can_not_be_read_is_left() {
    const UNKNOWN_TYPE: i32 = 4711;
    let mut world = World::new(3);
    let client = world.client(1);
    world.ask(client, [create("/before", CreateMode::Persistent)]);
    let last = world.state(1).last_applied;
    let mut payload = Vec::new();
    let header = TxnHeader {
        session: SessionId(1),
        cxid: Xid(1),
        zxid: last.next().expect("an epoch has more"),
        time_ms: 1,
    };
    encode_txn(&mut payload, &header, &Txn::Error { code: 0 }, None);
    payload[28..32].copy_from_slice(&UNKNOWN_TYPE.to_be_bytes());
    let proposal = Proposal::new(&payload).expect("it has a zxid");
    world.hear(1, &ToLearner::Proposal(proposal));
    assert!(world.told(client).ends_with("closed\n"), "its server looks for a leader");
    world.wait(std::time::Duration::from_secs(2));
    let again = world.client(1);
    assert!(world.ask(again, [sync(), get("/before")]).contains("data"), "it found one");
    assert!(world.ask(again, [create("/after", CreateMode::Persistent)]).contains("/after"));
    assert_eq!(world.state(1), world.state(3));
}

#[test]
fn no_session_asks_for_a_session() {
    for sid in 1..=3 {
        let mut world = World::new(3);
        let client = world.client(sid);
        let last = world.state(3).last_applied;
        let told = world.ask(client, [Op::Write(Write::CreateSession { timeout_ms: i32::MAX })]);
        assert!(told.contains("Unimplemented") && told.ends_with("closed\n"), "{sid}: {told}");
        assert_eq!(world.state(3).last_applied, last, "nobody decided about it");
    }
}
