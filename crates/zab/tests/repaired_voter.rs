//! A server that may have lost something takes part in no election, and in the next one as soon as its
//! storage says that it has everything again.

use std::time::Duration;

use types::membership::Membership;
use types::{Counter, Epoch, Instant, Now, Sid, Zxid};
use wire::election::LastLogged;
use zab::{
    Effect, ElectionOptions, HistoryBounds, Input, Link, LogReading, Memberships, ObserverMasters,
    ObserverPauses, Options, Peer, Recovered, SynchronizationsMax,
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

/// It had adopted the epoch with a leader's whole history when it lost that leader, and heard of it
/// only when it was looking for another one.
#[test]
fn server_takes_part_once_the_storage_says_that_it_has_everything() {
    let now = Now { instant: Instant::from_start(Duration::from_secs(1)), wall_ms: 0 };
    let text: String =
        (1..=3).map(|sid| format!("server.{sid}=s{sid}:2888:3888:participant\n")).collect();
    let memberships = Memberships::from(Membership::parse(&text).unwrap());
    let last_logged = Zxid::new(EPOCH, Counter(7));
    let recovered = Recovered {
        accepted_epoch: EPOCH,
        current_epoch: EPOCH,
        last_logged,
        is_whole: false,
        is_between_states: false,
        change: None,
    };
    let mut effects = Vec::new();
    let mut peer = Peer::new(options(Sid(1)), memberships, recovered, now, &mut effects);
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
