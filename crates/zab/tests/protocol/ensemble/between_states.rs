//! What a learner logs behind a snapshot that its leader wrote while transactions went on.

use std::sync::Arc;
use std::time::Duration;

use types::membership::{ConfigVersion, Membership};
use types::{Counter, Epoch, Now, SessionId, Sid, Txn, TxnDigest, TxnHeader, Xid, Zxid};
use wire::quorum::{Proposal, ToLearner};
use wire::stored::{decode_txn, encode_txn};
use zab::{Effect, Input, Link, Memberships};

use crate::ensemble::world::disk::Entry;
use crate::ensemble::world::{Plan, Then, Trap, World, membership};
use crate::support::network::Port;

const EPOCH: Epoch = Epoch(1);

fn zxid(counter: u32) -> Zxid {
    Zxid::new(EPOCH, Counter(counter))
}

fn payload(counter: u32) -> Vec<u8> {
    encoded(zxid(counter), &Txn::CreateSession { timeout_ms: 4000 })
}

fn encoded(zxid: Zxid, txn: &Txn) -> Vec<u8> {
    let header = TxnHeader { session: SessionId(7), cxid: Xid(1), zxid, time_ms: 1000 };
    let digest = TxnDigest { version: TxnDigest::VERSION, tree: 5 };
    let mut payload = Vec::new();
    encode_txn(&mut payload, &header, txn, Some(digest));
    payload
}

/// A transaction that brings a membership.
fn change(membership: &Membership) -> Vec<u8> {
    let data = Some(membership.to_string().into_bytes().into());
    let txn = Txn::Reconfig { path: "/zookeeper/config".into(), data, version: -1 };
    encoded(membership.version().zxid(), &txn)
}

/// A server that has accepted the epoch of its leader, and what leads to its peer.
fn joining(is_between_states: bool) -> (World, Link) {
    let mut world = World::new(1, Plan::calm());
    world.servers.get_mut(&Sid(1)).unwrap().disk.durable.is_between_states = is_between_states;
    join(world)
}

fn join(mut world: World) -> (World, Link) {
    let moment = "sent:AckEpoch".to_owned();
    world.traps.push(Trap { sid: Sid(1), moment, countdown: 1, then: Then::Stop });
    world.sids().into_iter().for_each(|sid| world.start(sid));
    world.run_for(Duration::from_secs(1));
    let link = world.network.link(Sid(1), Sid(3), Port::Quorum).unwrap();
    (world, link)
}

/// An Apache server that starts from these files compares every digest in the log, behind a snapshot
/// without one as well, and counts each that is not that of the tree between two states.
#[test]
pub(crate) fn what_a_snapshot_may_have_is_logged_without_digests() {
    let payloads: Vec<_> = (1..=3).map(payload).collect();
    let proposal = |index: usize| ToLearner::Proposal(Proposal::new(&payloads[index]).unwrap());
    let last_applied = Zxid::ZERO;
    let ways = [
        (false, ToLearner::Snapshot { last_applied }),
        (true, ToLearner::Diff { last_committed: zxid(2) }),
    ];
    for (was_between_states, way) in ways {
        let (mut world, link) = joining(was_between_states);
        let now = Now { instant: world.network.now, wall_ms: 0 };
        let peer = &mut world.servers.get_mut(&Sid(1)).unwrap().process.as_mut().unwrap().peer;
        assert_eq!(peer.has_a_state(), !was_between_states);
        let says = |packet| Input::FromLeader { link, packet };
        let is_snapshot = matches!(way, ToLearner::Snapshot { .. });
        let mut inputs = vec![says(way)];
        if is_snapshot {
            inputs.push(Input::SnapshotInstalled { link, last_applied, membership: None });
        }
        inputs.extend([
            says(proposal(0)),
            says(ToLearner::Commit { zxid: zxid(1) }),
            says(proposal(1)),
            says(ToLearner::NewLeader { epoch: EPOCH, config: None }),
            says(proposal(2)),
            Input::LogSynced { zxid: zxid(2) },
            Input::CurrentEpochStored(EPOCH),
        ]);
        let mut effects = Vec::new();
        let mut take = |input| {
            peer.take(now, input, &mut effects);
            peer.settle(now, &mut effects);
            peer.has_a_state()
        };
        for input in inputs {
            assert!(!take(input), "the tree has something that is to come");
        }
        assert!(take(says(ToLearner::UpToDate)), "all of the leader's history is delivered");
        let expected = [(zxid(1), false), (zxid(2), false), (zxid(3), true)];
        assert_eq!(logged(&effects), expected, "{was_between_states}");
    }
}

/// Who proposes a change has the one before it in force, and so has who hears of both, from a history that it can
/// not deliver yet. Otherwise it could be elected by the voters of the membership before those two.
#[test]
pub(crate) fn of_two_changes_the_first_is_in_force_between_states() {
    let brought = |sids: &[&str], version: Zxid| {
        let membership = membership(sids.iter().map(|sid| (*sid).to_owned()));
        Arc::new(membership.with_version(ConfigVersion(version.raw())))
    };
    let early = |counter: u32| Zxid::new(Epoch(0), Counter(counter));
    let before = brought(&["1", "2", "3"], early(1));
    let first = brought(&["1", "2", "3", "4:observer"], early(2));
    let second = brought(&["1", "2", "3", "5:observer"], zxid(1));
    let changed = change(&second);
    let last_applied = early(2);
    // The first one is in the log already, or comes in a snapshot that is installed before so many inputs more.
    for installed_before in [None, Some(1), Some(0)] {
        let mut world = World::new(1, Plan { is_reconfigurable: true, ..Plan::calm() });
        let entry = |it: &Arc<Membership>| Entry { zxid: it.version().zxid(), payload: change(it) };
        [&before, &first].into_iter().for_each(|it| world.ledger.proposes(entry(it)));
        for server in world.servers.values_mut() {
            let durable = &mut server.disk.durable;
            let logged = [&before, &first].into_iter().take(2 - installed_before.iter().count());
            durable.log = logged.map(entry).collect();
            durable.memberships = Memberships::new(Arc::clone(&before), None);
            durable.is_between_states = installed_before.is_none();
        }
        let (mut world, link) = join(world);
        let now = Now { instant: world.network.now, wall_ms: 0 };
        let peer = &mut world.servers.get_mut(&Sid(1)).unwrap().process.as_mut().unwrap().peer;
        let says = |packet| Input::FromLeader { link, packet };
        let way = match installed_before {
            Some(_) => ToLearner::Snapshot { last_applied },
            None => ToLearner::Diff { last_committed: zxid(0) },
        };
        let proposed = ToLearner::Proposal(Proposal::new(&changed).unwrap());
        let mut inputs = vec![says(way), says(proposed)];
        if let Some(others) = installed_before {
            let membership = Some(Arc::clone(&first));
            let installed = Input::SnapshotInstalled { link, last_applied, membership };
            inputs.insert(inputs.len() - others, installed);
        }
        let mut effects = Vec::new();
        for input in inputs {
            peer.take(now, input, &mut effects);
            peer.settle(now, &mut effects);
        }
        let expected = Memberships::new(Arc::clone(&first), Some(Arc::clone(&second)));
        assert_eq!(peer.memberships(), &expected, "{installed_before:?}");
    }
}

/// What goes into the log: which transactions, and whether each has a digest.
fn logged(effects: &[Effect]) -> Vec<(Zxid, bool)> {
    let batches = effects.iter().filter_map(|effect| match effect {
        Effect::Append(batch) => Some(batch),
        _ => None,
    });
    let entry = |proposal: Proposal<'_>| {
        let (header, _, digest) = decode_txn(proposal.payload()).unwrap();
        (header.zxid, digest.is_some())
    };
    batches.flat_map(|batch| batch.proposals().map(entry)).collect()
}
