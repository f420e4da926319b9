//! What is sent by who leaves it, while the thread sleeps.

use std::time::Instant;

use zab::LeaderPacket;

use super::*;

fn ping(link: Link, counter: i64) -> Errand {
    Errand::ToLearner { link, packet: LeaderPacket::Ping { last_proposed: zxid(counter) } }
}

#[test]
fn a_little_is_sent_without_the_thread() {
    let (leader, follower) = (Station::start(1), Station::start(2));
    let (ours, theirs) = follower.learn_from(&leader);
    let patience_ends = Instant::now() + PATIENCE;
    // It may have the last news of the connection's beginning, and then it sends by itself.
    for counter in 1.. {
        leader.peers.leave(&mut vec![ping(theirs, counter)]);
        let is_sent = leader.peers.letterbox.is_asleep() && leader.peers.send_now();
        leader.peers.see_to_errands();
        let expected = of_leader(&[ToLearner::Ping { last_proposed: zxid(counter) }]);
        assert_eq!(follower.next_from_leader(ours), expected);
        if is_sent {
            return;
        }
        assert!(Instant::now() < patience_ends, "the thread never sleeps");
    }
}

#[test]
fn what_is_more_than_that_waits_for_the_thread() {
    let station = Station::start(1);
    let calls = || vec![Errand::Call { to: Sid(i64::MAX), addresses: Vec::new() }];
    let pings = || (0..=BRIEF_ERRANDS_MAX).map(|_| ping(Link(7), 1)).collect::<Vec<_>>();
    for mut errands in [calls(), pings()] {
        // Nobody but this thread has the connections.
        let asleep = Poll::new().expect("a poll");
        let letterbox = Arc::new(Letterbox::new(asleep.registry()).expect("a letterbox"));
        let peers = Peers { letterbox: Arc::clone(&letterbox), ..station.peers.clone() };
        let count = errands.len();
        peers.leave(&mut errands);
        assert!(!peers.send_now());
        assert_eq!(letterbox.take().len(), count, "nothing was done about them");
    }
}
