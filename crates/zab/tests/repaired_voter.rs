//! A server that may have lost something takes part in no election, and in the next one as soon as its
//! storage says that it has everything again. If it is known what is missing, it counts with those that have it.

use std::time::Duration;

use types::membership::Membership;
use types::{Counter, Epoch, Instant, Memory, Now, Sid, Zxid};
use wire::election::{ElectionRound, Form, LastLogged, Notification, ServerState};
use wire::quorum::ToLearner;
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
        is_reconfigurable: false,
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

/// Server 1 of three, as it starts.
fn start(memory: Memory, last_logged: Zxid) -> (Peer, Vec<Effect>) {
    let text: String =
        (1..=3).map(|sid| format!("server.{sid}=s{sid}:2888:3888:participant\n")).collect();
    let memberships = Memberships::from(Membership::parse(&text).expect("three voters"));
    let recovered = Recovered {
        accepted_epoch: EPOCH,
        current_epoch: EPOCH,
        last_logged,
        memory,
        is_between_states: false,
        change: None,
    };
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

/// Server 2 has everything that server 1 had, or server 1 finds it leading and can not tell.
#[test]
fn server_tells_how_far_it_goes_whom_it_has_voted_for() {
    let (had, left) = (Zxid::new(EPOCH, Counter(9)), Zxid::new(EPOCH, Counter(7)));
    let next = Epoch(EPOCH.0 + 1);
    for (state, epoch, of_leader, expected) in
        [(ServerState::Looking, EPOCH, had, Some(left)), (ServerState::Leading, next, left, None)]
    {
        let (mut peer, _) = start(Memory::Shortened { had: Some(had) }, left);
        let mut effects = Vec::new();
        for (from, state) in [(Sid(2), state), (Sid(3), state.min(ServerState::Following))] {
            let link = Link(from.0.cast_unsigned());
            peer.take(now(1), Input::Called { link, from, addresses: Vec::new() }, &mut effects);
            let notification = Notification {
                state,
                leader: Some(Sid(2)),
                last_logged: LastLogged::Zxid(of_leader),
                round: ElectionRound(1),
                epoch: Some(epoch),
                form: Form::WithoutVersion,
            };
            peer.take(now(1), Input::Notified { link, notification }, &mut effects);
        }
        peer.settle(now(2), &mut effects);
        let (link, leader) = (Link(9), Sid(2));
        peer.take(now(3), Input::LeaderReached { link, leader }, &mut effects);
        let packet = ToLearner::LeaderInfo { epoch: next };
        peer.take(now(3), Input::FromLeader { link, packet }, &mut effects);
        peer.settle(now(3), &mut effects);
        peer.take(now(4), Input::AcceptedEpochStored(next), &mut effects);
        peer.settle(now(4), &mut effects);
        let packet = LearnerPacket::AckEpoch { last_logged: expected, current_epoch: Some(EPOCH) };
        assert!(effects.contains(&Effect::ToLeader { link, packet }), "{state:?}: {effects:?}");
    }
}
