//! Servers and clients that do what no correct one does: nobody else suffers from it.

use types::{CreateMode, Op, SessionId, Sid, Txn, TxnHeader, Write, Xid, Zxid};
use wire::quorum::{
    AuthInfo, ForwardedRequest, Proposal, SessionTouch, ToLeader, ToLearner, Touches,
};
use wire::request::Request;
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

/// Lets server 1 log what nobody has proposed. It is told to cut that off, and can not.
fn forge_a_transaction(world: &mut World) -> Zxid {
    world.client(3);
    let last = world.state(1).last_applied;
    let zxid = last.next().expect("an epoch has more");
    let header = TxnHeader { session: SessionId(1), cxid: Xid(1), zxid, time_ms: 1 };
    let mut payload = Vec::new();
    encode_txn(&mut payload, &header, &Txn::CreateSession { timeout_ms: 1000 }, None);
    world.refuse_cut(1, zxid);
    world.hear(1, &ToLearner::Proposal(Proposal::new(&payload).expect("it has a zxid")));
    zxid
}

#[test]
fn a_snapshot_of_what_is_to_be_cut_is_given_up_first() {
    let mut world = World::new(3);
    world.begin_snapshot(1);
    forge_a_transaction(&mut world);
    assert!(!world.writes_snapshot(1));
}

#[test]
fn what_can_not_be_cut_off_is_not_forgotten() {
    let mut world = World::new(3);
    let zxid = forge_a_transaction(&mut world);
    // It has to be ready to lead with all that is in its log, or to send that.
    assert_eq!(world.state(1).last_applied, zxid);
    assert_eq!(world.state(1).sessions, world.state(3).sessions + 1);
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

/// Requests as learners forward them, and some that no client sends.
fn request(chance: &mut Chance) -> Vec<u8> {
    let path = chance.pick(&["/a", "/b", "", "nonsense", "/zookeeper/config"]);
    let op = match chance.below(7) {
        0 => create(path, CreateMode::Ephemeral),
        1 => get(path),
        2 => sync(),
        3 => Op::CloseSession,
        4 => Op::Ping,
        5 => Op::Write(Write::CreateSession { timeout_ms: chance.pick(&[-1, 0, 500, i32::MAX]) }),
        _ => Op::Write(Write::Delete { path: path.into(), version: None }),
    };
    let mut frame = Vec::new();
    let xid = Xid(chance.pick(&[0, 1, 2, -1, i32::MIN]));
    Request { xid, op }.encode(&mut frame);
    let mut body = frame.split_off(4);
    if chance.below(4) == 0 {
        body.truncate(chance.pick(&[8, 9, 12, 16]));
    }
    body
}

fn say_to_leader(world: &mut World, chance: &mut Chance, sessions: &[SessionId], zxid: Zxid) {
    let session = chance.pick(sessions);
    let (body, auth) = (&request(chance)[..], AuthInfo::NULL);
    let touch = SessionTouch { session, timeout_ms: chance.pick(&[-1, 0, 700]) };
    let mut buffer = Vec::new();
    let touches = Touches::encode(&mut buffer, [touch]);
    world.overhear(
        1,
        &match chance.below(6) {
            0 => ToLeader::Revalidate { session, timeout_ms: -1 },
            1 => ToLeader::Ping { last_proposed: zxid, touches },
            2 => ToLeader::AckNewLeader { epoch: zxid.epoch() },
            3 => ToLeader::Ack { zxid },
            _ => ToLeader::Request(ForwardedRequest { session, body, auth }),
        },
    );
}

fn say_to_learner(world: &mut World, chance: &mut Chance, sessions: &[SessionId], zxid: Zxid) {
    let session = chance.pick(sessions);
    let cxid = Xid(chance.pick(&[0, 1, 2]));
    let header = TxnHeader { session, cxid, zxid, time_ms: 1 };
    let mut payload = Vec::new();
    let txn = match chance.below(3) {
        0 => Txn::CreateSession { timeout_ms: -1 },
        1 => Txn::CloseSession { paths: None },
        _ => Txn::Error { code: chance.pick(&[0, -118, 1]) },
    };
    encode_txn(&mut payload, &header, &txn, None);
    if chance.below(4) == 0 {
        payload.truncate(28);
    }
    let proposal = Proposal::new(&payload).expect("it has a zxid");
    world.hear(
        1,
        &match chance.below(6) {
            0 => ToLearner::Sync,
            1 => ToLearner::Revalidated { session, is_valid: chance.below(2) == 0 },
            2 => ToLearner::Commit { zxid },
            3 => ToLearner::Ping { last_proposed: zxid },
            4 => ToLearner::Inform(proposal),
            _ => ToLearner::Proposal(proposal),
        },
    );
}

#[test]
fn whatever_is_said_nobody_panics_and_the_others_go_on() {
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut world = World::new(3);
        let (near, far) = (world.client(1), world.client(2));
        let sessions = [near, far]
            .map(|client| world.ticket(client).session)
            .into_iter()
            .chain([SessionId(0)]);
        let sessions: Vec<_> = sessions.collect();
        let is_about_leader = chance.below(2) == 0;
        for _ in 0..40 {
            let last = world.state(1).last_applied;
            let next = last.next().expect("an epoch has more");
            let zxid = chance.pick(&[last, next, next, Zxid::ZERO]);
            match is_about_leader {
                true => say_to_leader(&mut world, &mut chance, &sessions, zxid),
                false => say_to_learner(&mut world, &mut chance, &sessions, zxid),
            }
            if chance.below(4) == 0 {
                world.ask(near, [create("/near", CreateMode::PersistentSequential), sync()]);
            }
        }
        world.wait(std::time::Duration::from_secs(2));
        let after = world.client(2);
        assert!(world.ask(after, [create("/after", CreateMode::Persistent)]).contains("/after"));
    }
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).expect("few")]
    }
}
