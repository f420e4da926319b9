use wire::election::{Addresses, Hello};
use wire::frame;
use wire::limits::ELECTION_MESSAGE_BYTES_MAX;
use zab::CloseReason;

use super::*;
use crate::peers::encode;

/// The next frame that is heard.
fn hear_frame(stranger: &mut Stranger) -> Vec<u8> {
    let length = stranger.hear(4);
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    stranger.hear(length as usize)
}

#[test]
fn votes_go_both_ways_after_a_hello() {
    let (first, second) = (Station::start(1), Station::start(2));
    let (at_second, at_first) = second.call(&first);
    second.run(Errand::Notify { link: at_second, announcement: announcement(7, "version=0") });
    let news = first.next();
    assert_eq!(round_of(&news, at_first), 7);
    let News::Notified { notification, .. } = &news else { panic!("{news:?}") };
    let heard = notification.notification().expect("a notification");
    assert_eq!((heard.state, heard.leader), (ServerState::Looking, Some(Sid(2))));
    first.run(Errand::Notify { link: at_first, announcement: announcement(8, "version=0") });
    assert_eq!(round_of(&second.next(), at_second), 8);
    let stats = second.peers.stats();
    assert_eq!((stats.calls_through.value(), stats.accepted.value()), (1, 0));
    assert_eq!(stats.bytes_sent.value(), first.peers.stats().bytes_received.value());
}

#[test]
fn who_hangs_up_at_once_has_still_said_who_it_is() {
    let (first, second) = (Station::start(1), Station::start(2));
    for _ in 0..20 {
        let (at_first, at_second) = first.call(&second);
        first.run(Errand::Close { link: at_first, reason: CloseReason::OtherSideCalls });
        let closed = first.next();
        assert!(matches!(closed, News::ElectionLinkClosed { link } if link == at_first));
        let closed = second.next();
        assert!(matches!(closed, News::ElectionLinkClosed { link } if link == at_second));
    }
    assert_eq!(first.peers.stats().closed.told.value(), 20);
    assert_eq!(second.peers.stats().closed.by_other_side.value(), 20);
}

#[test]
fn what_is_said_before_closing_is_heard() {
    let (first, second) = (Station::start(1), Station::start(2));
    let (at_second, at_first) = second.call(&first);
    second.run_all(vec![
        Errand::Notify { link: at_second, announcement: announcement(7, "version=0") },
        Errand::Close { link: at_second, reason: CloseReason::RoleEnded },
    ]);
    assert_eq!(round_of(&first.next(), at_first), 7);
    assert!(matches!(first.next(), News::ElectionLinkClosed { link } if link == at_first));
}

#[test]
fn the_newest_vote_takes_the_place_of_one_that_waits() {
    const VOTES: i64 = 100;
    let station = Station::start(2);
    let (listener, address) = listener();
    station.run(Errand::Call { to: Sid(1), addresses: vec![address] });
    let mut stranger = Stranger::of(listener.accept().expect("a call").0);
    let News::CallThrough { link, .. } = station.next() else { panic!("not through") };
    // Far more than the system keeps for who does not read.
    let config = "c".repeat(ELECTION_MESSAGE_BYTES_MAX - 100);
    for round in 1..=VOTES {
        station.run(Errand::Notify { link, announcement: announcement(round, &config) });
    }
    station.catch_up();
    let hello = stranger.hear(20 + "127.0.0.1:0".len());
    let (hello, _) = Hello::decode(&hello).expect("a hello").expect("whole");
    assert_eq!(hello.sid, Some(Sid(2)));
    assert!(matches!(hello.addresses, Addresses::One(list) if list.as_str() == "127.0.0.1:0"));
    let mut rounds = Vec::new();
    while rounds.last() != Some(&VOTES) {
        let body = hear_frame(&mut stranger);
        let notification = Notification::decode(&body).expect("whole");
        rounds.push(notification.round.0);
    }
    assert!(rounds.is_sorted() && rounds.len() < 50, "{rounds:?}");
    let replaced = station.peers.stats().notifications_replaced.value();
    assert_eq!(rounds.len() as u64 + replaced, VOTES as u64);
}

#[test]
fn every_kind_of_hello_is_understood() {
    let station = Station::start(9);
    let hello = |version: i64, sid: i64, text: &str| {
        let length = i32::try_from(text.len()).expect("short").to_be_bytes();
        [&version.to_be_bytes()[..], &sid.to_be_bytes(), &length, text.as_bytes()].concat()
    };
    let named: &[&str] = &["h:1"];
    for (bytes, sid, addresses) in [
        (hello(-65_536, 3, "h:1"), 3, named),
        (hello(-65_535, 4, "h:1|0.0.0.0:2|[::1]:3"), 4, &["h:1", "[::1]:3"]),
        (5_i64.to_be_bytes().to_vec(), 5, &[]),
        // Those who do not say who they are get ids that nobody has.
        (hello(-65_536, i64::MAX, "h:1"), -1, named),
        (hello(-65_536, i64::MAX, "h:1"), -2, named),
    ] {
        let mut stranger = Stranger::connect(station.election);
        stranger.say(&bytes);
        let news = station.next();
        let News::Called { from, addresses: told, .. } = &news else { panic!("{news:?}") };
        assert_eq!(*from, Sid(sid));
        assert_eq!(told.as_slice(), addresses);
        drop(stranger);
        assert!(matches!(station.next(), News::ElectionLinkClosed { .. }));
    }
}

#[test]
fn votes_in_single_bytes_and_many_at_once_are_the_same_votes() {
    let station = Station::start(9);
    let mut stranger = Stranger::connect(station.election);
    let mut bytes = encode::hello(Sid(3), &options(3).election).expect("a hello");
    for round in 1..=3 {
        bytes.extend(encode::notification(&announcement(round, "version=0")));
    }
    for byte in &bytes {
        stranger.say(&[*byte]);
    }
    let News::Called { link, .. } = station.next() else { panic!("not called") };
    assert_eq!([1, 2, 3], [(); 3].map(|()| round_of(&station.next(), link)));
    let mut all = Vec::new();
    (1..=1000).for_each(|round| {
        all.extend(encode::notification(&announcement(round, "version=0")));
    });
    stranger.say(&all);
    for round in 1..=1000 {
        assert_eq!(round_of(&station.next(), link), round);
    }
}

#[test]
fn a_message_that_is_no_vote_is_passed_over() {
    let station = Station::start(9);
    let mut stranger = Stranger::connect(station.election);
    stranger.say(&3_i64.to_be_bytes());
    let News::Called { link, .. } = station.next() else { panic!("not called") };
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    bytes.extend(b"no vote");
    frame::finish(&mut bytes, start);
    bytes.extend(encode::notification(&announcement(5, "version=0")));
    stranger.say(&bytes);
    assert_eq!(round_of(&station.next(), link), 5);
    assert_eq!(station.peers.stats().passed_over.value(), 1);
}
