//! What a server makes of what its storage has recovered: it takes no part in votes while it may have lost something,
//! or as if it had what is missing; and it minds the changes of its membership that are in its history.

use std::sync::Arc;
use std::time::Duration;

use types::membership::{ConfigVersion, Membership};
use types::{Counter, Epoch, Instant, Memory, Now, Sid, Zxid};
use wire::election::{ElectionRound, Form, LastLogged, Notification, ServerState};
use wire::quorum::{Proposal, ToLearner};
use zab::{
    Effect, ElectionOptions, HistoryBounds, Input, LearnerPacket, Link, LogReading, Memberships,
    ObserverMasters, ObserverPauses, Options, Peer, Recovered, SynchronizationsMax,
};

const LINK: Link = Link(1);
const EPOCH: Epoch = Epoch(4);

fn options(sid: Sid) -> Options {
    Options {
        sid,
        tick: Duration::from_secs(2),
        init_limit: 10,
        sync_limit: 5,
        history: HistoryBounds { txns_min: 500, bytes_max: 1 << 20 },
        log_reading: LogReading::Off,
        snapshots_only: false,
        has_oracle: false,
        epoch_wait_max: None,
        observer_pauses: ObserverPauses::default(),
        observer_masters: ObserverMasters::Leader,
        synchronizations_max: SynchronizationsMax { snapshots: 10, diffs: 100 },
        received_bytes_max: zab::RECEIVED_BYTES_MAX,
        is_reconfigurable: true,
        election: ElectionOptions {
            sid,
            notify_min: Duration::from_millis(200),
            notify_max: Duration::from_secs(2),
            finalize: Duration::from_millis(200),
            seed: 1,
        },
    }
}

/// What the server says of its own history in the votes among the effects.
fn told(effects: &[Effect]) -> Vec<LastLogged> {
    let vote = |effect: &Effect| match effect {
        Effect::Notify { announcement, .. } => Some(announcement.last_logged),
        _ => None,
    };
    effects.iter().filter_map(vote).collect()
}

/// Voters 1 to the last one, in a membership of this version.
fn membership(last: i64, version: Zxid) -> Membership {
    let text: String =
        (1..=last).map(|sid| format!("server.{sid}=s{sid}:2888:3888:participant\n")).collect();
    Membership::parse(&text).expect("voters").with_version(ConfigVersion(version.raw()))
}

/// Server 1 of three, as it starts.
fn start(memory: Memory, last_logged: Zxid) -> (Peer, Vec<Effect>) {
    start_with(Recovered {
        accepted_epoch: EPOCH,
        current_epoch: EPOCH,
        last_logged,
        memory,
        is_between_states: false,
        change: None,
    })
}

fn start_with(recovered: Recovered) -> (Peer, Vec<Effect>) {
    let memberships = Memberships::from(membership(3, Zxid::ZERO));
    let mut effects = Vec::new();
    let peer = Peer::new(options(Sid(1)), memberships, recovered, now(0), &mut effects);
    (peer, effects)
}

fn now(ms: u64) -> Now {
    let since_start = Duration::from_secs(1) + Duration::from_millis(ms);
    Now { instant: Instant::from_start(since_start), wall_ms: 0 }
}

/// It had adopted the epoch with a leader's whole history when it lost that leader, and heard of it
/// only when it was looking for another one.
#[test]
fn server_takes_part_once_the_storage_says_that_it_has_everything() {
    let (now, last_logged) = (now(0), Zxid::new(EPOCH, Counter(7)));
    let (mut peer, mut effects) = start(Memory::Shortened { had: None }, last_logged);
    peer.take(now, Input::Called { link: LINK, from: Sid(2), addresses: Vec::new() }, &mut effects);
    peer.settle(now, &mut effects);
    let before = told(&effects);
    assert!(!before.is_empty());
    assert!(before.iter().all(|told| *told == LastLogged::NoDatabase), "{before:?}");

    effects.clear();
    peer.take(now, Input::CurrentEpochStored(EPOCH), &mut effects);
    peer.settle(now, &mut effects);
    assert!(effects.contains(&Effect::Look), "the election begins again");
    assert_eq!(told(&effects), [LastLogged::Zxid(last_logged)]);
}

/// Server 1, when it has elected server 2, which goes as far as `theirs`.
fn elect_another(memory: Memory, last_logged: Zxid, theirs: Zxid) -> (Peer, Vec<Effect>) {
    let (mut peer, mut effects) = start(memory, last_logged);
    for from in [Sid(2), Sid(3)] {
        let link = Link(from.0.cast_unsigned());
        peer.take(now(1), Input::Called { link, from, addresses: Vec::new() }, &mut effects);
        for state in [ServerState::Looking, ServerState::Following, ServerState::Leading] {
            let notification = Notification {
                state: if from == Sid(2) { state } else { state.min(ServerState::Following) },
                leader: Some(Sid(2)),
                last_logged: LastLogged::Zxid(theirs),
                round: ElectionRound(1),
                epoch: Some(EPOCH),
                form: Form::WithoutVersion,
            };
            peer.take(now(1), Input::Notified { link, notification }, &mut effects);
        }
    }
    peer.settle(now(2), &mut effects);
    (peer, effects)
}

/// It reaches server 2, which names an epoch.
fn meet_leader(peer: &mut Peer, link: Link, epoch: Epoch, effects: &mut Vec<Effect>) {
    peer.take(now(3), Input::LeaderReached { link, leader: Sid(2) }, effects);
    let packet = ToLearner::LeaderInfo { epoch };
    peer.take(now(3), Input::FromLeader { link, packet }, effects);
    peer.settle(now(3), effects);
    peer.take(now(4), Input::AcceptedEpochStored(epoch), effects);
    peer.settle(now(4), effects);
}

/// Leaders of release 3.5 and older count everybody who names a current epoch.
#[test]
fn server_that_may_have_lost_anything_agrees_to_nothing() {
    let left = Zxid::new(EPOCH, Counter(7));
    let (mut peer, mut effects) = elect_another(Memory::Shortened { had: None }, left, left);
    meet_leader(&mut peer, LINK, Epoch(EPOCH.0 + 1), &mut effects);
    let packet = LearnerPacket::AckEpoch { last_logged: None, current_epoch: None };
    assert!(effects.contains(&Effect::ToLeader { link: LINK, packet }), "{effects:?}");
}

/// What has a hole is replaced by a snapshot, unless the leader begins another reign meanwhile.
#[test]
fn server_that_was_sent_a_hole_asks_for_a_snapshot_in_the_same_epoch() {
    let (left, next) = (Zxid::new(EPOCH, Counter(7)), Epoch(EPOCH.0 + 1));
    let later = Epoch(EPOCH.0 + 2);
    for (again, last_logged, current_epoch) in
        [(next, None, None), (later, Some(left), Some(EPOCH))]
    {
        let (mut peer, mut effects) = elect_another(Memory::Whole, left, left);
        meet_leader(&mut peer, Link(8), next, &mut effects);
        let far = Zxid::new(EPOCH, Counter(20));
        let way = ToLearner::Diff { last_committed: far };
        peer.take(now(5), Input::FromLeader { link: Link(8), packet: way }, &mut effects);
        let mut payload = vec![0; 12];
        payload.extend_from_slice(&far.raw().to_be_bytes());
        let hole = ToLearner::Proposal(Proposal::new(&payload).unwrap());
        peer.take(now(5), Input::FromLeader { link: Link(8), packet: hole }, &mut effects);
        peer.settle(now(5), &mut effects);
        meet_leader(&mut peer, LINK, again, &mut effects);
        let packet = LearnerPacket::AckEpoch { last_logged, current_epoch };
        assert!(effects.contains(&Effect::ToLeader { link: LINK, packet }), "{effects:?}");
    }
}

/// It agrees to the epoch of a leader as if it had what it had, which the leader compares with its own history; and says
/// then what it has.
#[test]
fn server_says_what_it_had_to_agree_and_what_it_has_to_be_sent_the_rest() {
    let (had, left) = (Zxid::new(EPOCH, Counter(9)), Zxid::new(EPOCH, Counter(7)));
    let (next, leader) = (Epoch(EPOCH.0 + 1), Sid(2));
    let (mut peer, mut effects) = elect_another(Memory::Shortened { had: Some(had) }, left, had);
    for (link, last_logged, current_epoch) in
        [(Link(8), Some(had), Some(EPOCH)), (Link(9), Some(left), None)]
    {
        assert!(effects.contains(&Effect::ConnectToLeader(leader)), "{effects:?}");
        effects.clear();
        meet_leader(&mut peer, link, next, &mut effects);
        let packet = LearnerPacket::AckEpoch { last_logged, current_epoch };
        assert!(effects.contains(&Effect::ToLeader { link, packet }), "{effects:?}");
        effects.clear();
        let packet = ToLearner::Diff { last_committed: had };
        peer.take(now(5), Input::FromLeader { link, packet }, &mut effects);
        peer.settle(now(5), &mut effects);
    }
    assert!(effects.is_empty(), "it waits for the rest: {effects:?}");
}

/// Server 1 has the membership that was written by hand and maybe a change that it was told of, and hears of one in force.
fn hear_of(in_force: &Membership, pending: Option<Membership>, change: &Arc<Membership>) -> Peer {
    let committed = Arc::new(membership(3, Zxid::ZERO));
    let memberships = Memberships::new(committed, pending.map(Arc::new));
    let last_logged = Zxid::new(EPOCH, Counter(7));
    let recovered = Recovered {
        accepted_epoch: EPOCH,
        current_epoch: EPOCH,
        last_logged,
        memory: Memory::Whole,
        is_between_states: false,
        change: Some(Arc::clone(change)),
    };
    let mut effects = Vec::new();
    let mut peer = Peer::new(options(Sid(1)), memberships, recovered, now(0), &mut effects);
    let called = Input::Called { link: LINK, from: Sid(2), addresses: Vec::new() };
    peer.take(now(1), called, &mut effects);
    let notification = Notification {
        state: ServerState::Looking,
        leader: Some(Sid(2)),
        last_logged: LastLogged::Zxid(last_logged),
        round: ElectionRound(1),
        epoch: Some(EPOCH),
        form: Form::WithConfig { config: in_force.to_string().into() },
    };
    peer.take(now(1), Input::Notified { link: LINK, notification }, &mut effects);
    peer.settle(now(1), &mut effects);
    peer
}

/// The membership was written by hand, and the history has a change of which others do not know that it is committed.
#[test]
fn change_in_the_history_is_pending_when_what_was_written_by_hand_is_over() {
    let change = Arc::new(membership(4, Zxid::new(EPOCH, Counter(5))));
    let first = membership(3, Zxid::new(EPOCH, Counter(0)));
    let second = membership(3, Zxid::new(EPOCH, Counter(3)));
    for (pending, in_force) in [
        (None, &first),
        (None, &second),
        // It was told of an earlier change, which is over.
        (Some(second.clone()), &first),
        (Some(second.clone()), &second),
    ] {
        let peer = hear_of(in_force, pending, &change);
        assert_eq!(*peer.memberships().committed, *in_force);
        assert_eq!(peer.memberships().pending(), Some(&change));
    }
    let later = membership(5, Zxid::new(EPOCH, Counter(6)));
    let peer = hear_of(&later, None, &change);
    assert_eq!((&*peer.memberships().committed, peer.memberships().pending()), (&later, None));
}
