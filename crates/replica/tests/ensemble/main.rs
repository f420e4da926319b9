//! What clients of an ensemble see, whichever member they talk to.

mod local;
mod misbehaving;
mod moving;
mod read_only;
mod reconfiguration;
#[path = "../core/world/transcript.rs"]
mod transcript;
mod turns;
mod world;

use std::time::Duration;

use types::{
    Acl, AclList, Create, CreateCall, CreateMode, Id, Op, Perms, Read, Txn, TxnHeader, Write, Xid,
};
use wire::quorum::{Proposal, ToLearner};
use wire::stored::encode_txn;

pub(crate) use world::Ticket;
use world::{Plan, TICK, TIMEOUT, World};

fn create(path: &str, mode: CreateMode) -> Op<'_> {
    Op::Write(Write::Create(Create {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(b"data".into()),
        acl: AclList::open(),
        mode,
    }))
}

fn get(path: &str) -> Op<'_> {
    Op::Read(Read::GetData { path: path.into(), watch: false })
}

fn sync() -> Op<'static> {
    Op::Sync { path: "/".into() }
}

#[test]
fn a_write_at_any_member_is_seen_at_every_member() {
    let mut world = World::new(3);
    for sid in 1..=3 {
        let writer = world.client(sid);
        let path = format!("/of-{sid}");
        let told = world.ask(writer, [create(&path, CreateMode::Persistent)]);
        assert!(told.contains(&path), "{told}");
        for other in 1..=3 {
            let reader = world.client(other);
            let told = world.ask(reader, [sync(), get(&path)]);
            assert!(told.contains("data"), "{sid} to {other}: {told}");
        }
    }
    assert_eq!(world.state(1), world.state(3));
    assert_eq!(world.state(2), world.state(3));
}

#[test]
fn a_request_with_number_0_is_like_any_other_at_every_member() {
    for sid in 1..=3 {
        let mut world = World::new(3);
        let client = world.operator(sid);
        world.number_from_zero(client);
        let acl = AclList::from(vec![Acl { perms: Perms::ALL, id: Id::new("auth", "") }]);
        let Op::Write(Write::Create(create)) = create("/mine", CreateMode::Persistent) else {
            panic!("a write")
        };
        let told = world.ask(client, [Op::Write(Write::Create(Create { acl, ..create }))]);
        assert!(told.contains("#0 ") && told.contains("/mine"), "server {sid}: {told}");
    }
}

#[test]
fn the_end_of_a_session_is_no_answer_to_a_request_with_number_0() {
    let mut world = World::new(3);
    let client = world.client(1);
    world.number_from_zero(client);
    world.isolate(1);
    assert_eq!(world.ask(client, [create("/never", CreateMode::Persistent)]), "");
    let zxid = world.state(1).last_applied.next().expect("an epoch has more");
    let session = world.ticket(client).session;
    let header = TxnHeader { session, cxid: Xid(0), zxid, time_ms: 1 };
    let mut payload = Vec::new();
    encode_txn(&mut payload, &header, &Txn::CloseSession { paths: None }, None);
    world.hear(1, &ToLearner::Proposal(Proposal::new(&payload).expect("it has a zxid")));
    world.hear(1, &ToLearner::Commit { zxid });
    assert_eq!(world.told(client), "closed\n", "the leader has ended the session");
}

#[test]
fn a_follower_counts_the_transactions_after_which_its_tree_is_not_the_leaders() {
    let mut world = World::new(3);
    let writer = world.client(3);
    world.ask(writer, [create("/before", CreateMode::Persistent)]);
    world.mislead(1);
    // A refused write has no digest.
    world.ask(writer, [create("/a", CreateMode::Persistent), create("/a", CreateMode::Persistent)]);
    world.ask(writer, [create("/b", CreateMode::Persistent)]);
    assert_eq!([1, 2, 3].map(|sid| world.digest_mismatches(sid)), [2, 0, 0]);
}

#[test]
fn answers_leave_in_the_order_of_requests_at_every_member() {
    for sid in 1..=3 {
        let mut world = World::new(3);
        let client = world.client(sid);
        let told = world.ask(
            client,
            [
                create("/a", CreateMode::Persistent),
                get("/a"),
                sync(),
                get("/b"),
                create("/b", CreateMode::Persistent),
                get("/b"),
                create("/b", CreateMode::Persistent),
                sync(),
                sync(),
                get("/a"),
            ],
        );
        let numbers: Vec<_> = told.lines().filter_map(|line| line.split(' ').next()).collect();
        let expected = ["#1", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9", "#10"];
        assert_eq!(numbers, expected, "server {sid}: {told}");
    }
}

#[test]
fn a_sync_is_answered_whatever_others_write_meanwhile() {
    for sid in 1..=3 {
        let mut world = World::new(3);
        let (reader, writer) = (world.client(sid), world.client(sid));
        for arrivals in 0..40 {
            let (before, after) = (format!("/before-{arrivals}"), format!("/after-{arrivals}"));
            let write = |path| create(path, CreateMode::Persistent);
            let first = [(writer, write(&before)), (reader, sync())];
            world.ask_amid(first, arrivals, (writer, write(&after)));
            let (told, written) = (world.told(reader), world.told(writer));
            assert!(told.ends_with(" /\n"), "server {sid}, {arrivals} arrivals: {told:?}");
            assert!(written.contains(&after), "server {sid}, {arrivals} arrivals: {written:?}");
        }
    }
}

#[test]
fn a_session_moves_with_its_ephemerals() {
    let mut world = World::new(3);
    let client = world.client(1);
    world.ask(client, [create("/here", CreateMode::Ephemeral)]);
    for sid in [2, 3, 1] {
        let ticket = world.ticket(client);
        let again = world.dial(sid);
        world.greet(again, Some(ticket));
        let told = world.told(again);
        assert!(told.starts_with("session for"), "server {sid}: {told}");
        assert!(world.ask(again, [get("/here")]).contains("data"));
        world.wait_alive(again, TIMEOUT * 3);
        assert!(world.ask(again, [get("/here")]).contains("data"), "it stays alive at {sid}");
    }
}

#[test]
fn a_wrong_password_resumes_nothing_anywhere() {
    let mut world = World::new(3);
    let client = world.client(1);
    let mut ticket = world.ticket(client);
    ticket.password.0[0] ^= 1;
    for sid in 1..=3 {
        let thief = world.dial(sid);
        world.greet(thief, Some(ticket.clone()));
        assert!(world.told(thief).starts_with("session refused"), "server {sid}");
    }
}

#[test]
fn silence_ends_a_session_at_any_member_and_its_ephemerals_with_it() {
    let mut world = World::new(3);
    let quiet = world.client(1);
    world.ask(quiet, [create("/gone", CreateMode::Ephemeral)]);
    let other = world.client(2);
    world.wait_alive(other, TIMEOUT / 2);
    assert!(world.ask(other, [get("/gone")]).contains("data"));
    world.wait_alive(other, TIMEOUT * 2);
    let told = world.ask(other, [sync(), get("/gone")]);
    assert!(told.contains("NoNode"), "{told}");
    let late = world.dial(3);
    world.greet(late, Some(world.ticket(quiet)));
    assert!(world.told(late).starts_with("session refused"));
}

#[test]
fn a_session_closed_at_a_member_is_closed_everywhere() {
    for sid in 1..=3 {
        let mut world = World::new(3);
        let client = world.client(sid);
        let ticket = world.ticket(client);
        let told = world.ask(client, [create("/e", CreateMode::Ephemeral), Op::CloseSession]);
        assert!(told.ends_with("closed\n"), "server {sid}: {told}");
        let other = world.client(sid % 3 + 1);
        assert!(world.ask(other, [sync(), get("/e")]).contains("NoNode"));
        let again = world.dial(3);
        world.greet(again, Some(ticket));
        assert!(world.told(again).starts_with("session refused"));
    }
}

#[test]
fn sessions_and_what_was_acknowledged_outlive_the_leader() {
    let mut world = World::new(3);
    let client = world.client(1);
    world.ask(client, [create("/kept", CreateMode::Ephemeral)]);
    world.kill(3);
    world.wait(Duration::from_millis(600));
    assert!(world.told(client).ends_with("closed\n"), "it has to look for a member that serves");
    let again = world.dial(1);
    world.greet(again, Some(world.ticket(client)));
    assert!(world.told(again).starts_with("session for"));
    assert!(world.ask(again, [sync(), get("/kept")]).contains("data"));
    assert!(world.ask(again, [create("/more", CreateMode::Persistent)]).contains("/more"));
    assert_eq!(world.state(1), world.state(2));
}

/// Of a long history what is committed is applied before all of it is durable.
#[test]
fn a_snapshot_is_given_up_before_it_shows_what_is_not_durable() {
    for (received_bytes_max, goes_on) in [(0, false), (zab::RECEIVED_BYTES_MAX, true)] {
        let mut world = World::of(Plan { received_bytes_max, ..Plan::plain(3) });
        world.begin_snapshot(1);
        world.isolate(1);
        world.wait(TICK * 10);
        let client = world.client(2);
        assert!(world.ask(client, [create("/a", CreateMode::Persistent)]).contains("/a"));
        world.heal();
        world.wait_alive(client, Duration::from_secs(4));
        assert_eq!(world.state(1), world.state(3));
        assert_eq!(world.writes_snapshot(1), goes_on, "{received_bytes_max}");
    }
}

/// All that the next leader has is known to be committed when it is applied.
#[test]
fn a_snapshot_goes_on_when_the_leader_changes() {
    let mut world = World::new(3);
    let client = world.client(2);
    assert!(world.ask(client, [create("/a", CreateMode::Persistent)]).contains("/a"));
    world.begin_snapshot(1);
    world.kill(3);
    world.wait(Duration::from_secs(3));
    let client = world.client(2);
    assert!(world.ask(client, [create("/b", CreateMode::Persistent)]).contains("/b"));
    assert!(world.writes_snapshot(1));
}

#[test]
fn a_leader_that_is_cut_off_answers_no_sync_and_no_write() {
    let mut world = World::new(3);
    let client = world.client(3);
    world.isolate(3);
    assert_eq!(world.ask(client, [sync()]), "");
    assert_eq!(world.ask(client, [create("/lost", CreateMode::Persistent)]), "");
    world.wait(Duration::from_secs(2));
    assert_eq!(world.told(client), "closed\n");
    let other = world.client(1);
    assert!(world.ask(other, [sync(), get("/lost")]).contains("NoNode"));
}

/// Its only follower answers pings, and acknowledges nothing: the leader gives up just as it hears that it is
/// confirmed, and goes on with what has waited for that.
#[test]
fn what_is_decided_when_a_reign_is_over_is_forgotten() {
    let mut world = World::new(3);
    let client = world.client(3);
    world.kill(1);
    world.lose_acks(2);
    assert_eq!(world.ask(client, [create("/logged", CreateMode::Persistent)]), "");
    world.wait(TICK * 4);
    world.ask_late(client, [sync(), create("/late", CreateMode::Persistent)], TICK * 2);
    assert_eq!(world.told(client), "closed\n");
    world.heal();
    world.wait(Duration::from_secs(2));
    let again = world.client(3);
    assert!(world.ask(again, [get("/logged")]).contains("data"));
    assert!(world.ask(again, [get("/late")]).contains("NoNode"));
    assert_eq!(world.state(3), world.state(2));
}

#[test]
fn a_leader_that_serves_nobody_leads_those_who_do() {
    let mut world = World::of(Plan { leader_serves: false, ..Plan::plain(3) });
    let client = world.client(1);
    assert!(world.ask(client, [create("/a", CreateMode::Ephemeral), sync()]).contains("/a"));
    for resume in [None, Some(world.ticket(client))] {
        let refused = world.dial(3);
        world.greet(refused, resume);
        assert_eq!(world.told(refused), "closed\n");
    }
    assert!(world.ask(client, [get("/a")]).contains("data"));
}
