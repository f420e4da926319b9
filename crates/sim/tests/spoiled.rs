//! The checkers accept an honest history and reject every way of spoiling it, for the right reason.

#[path = "spoiled/scenario.rs"]
mod scenario;

use scenario::{ALICE, Scenario, create, good, local, long_sync, rules, rules_where, set};
use sim::checkers::{Case, Promise, Reads, Violation, linearizability};
use sim::history::{Answer, ClientId, Event, Fault, PartAnswer};
use sim::model::Sessions;
use types::{
    ConnId, CreateMode, ErrorCode, EventKind, Op, Read, SessionId, Sid, Stat, Txn, TxnDigest, Xid,
    Zxid,
};

fn check(scenario: &Scenario) -> Result<(), Violation> {
    let case = Case::new(&scenario.history, rules(), Zxid::ZERO, Reads::AreFresh)?;
    let searches = case.check()?;
    assert!(searches.made > 0 && searches.given_up == 0, "{searches:?}");
    Ok(())
}

/// One way of lying.
struct Lie {
    name: &'static str,
    breaks: Promise,
    spoil: fn(&mut Scenario),
}

fn reject(lies: &[Lie]) {
    let honest = good();
    let mut wrong = Vec::new();
    for lie in lies {
        let mut spoiled = honest.clone();
        (lie.spoil)(&mut spoiled);
        match check(&spoiled) {
            Ok(()) => wrong.push(format!("{}: accepted", lie.name)),
            Err(violation) if violation.promise != lie.breaks => {
                wrong.push(format!("{}: rejected as {violation}", lie.name));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! lies {
    ($($name:literal breaks $promise:ident: $spoil:expr;)*) => {
        &[$(Lie { name: $name, breaks: Promise::$promise, spoil: $spoil },)*]
    };
}

fn stat_of(answer: &mut Answer) -> &mut Stat {
    match answer {
        Answer::Stat(stat)
        | Answer::Created(_, stat)
        | Answer::Data(_, stat)
        | Answer::Acl(_, stat)
        | Answer::ChildrenStat(_, stat) => stat,
        other => panic!("{other:?} has no numbers"),
    }
}

fn data_of(answer: &mut Answer) -> &mut Option<Vec<u8>> {
    match answer {
        Answer::Data(data, _) => data,
        other => panic!("{other:?} has no data"),
    }
}

fn before(zxid: Zxid) -> Zxid {
    Zxid::from_raw(zxid.raw() - 1)
}

#[test]
fn accepts_the_honest_history() {
    assert_eq!(check(&good()), Ok(()));
}

#[test]
fn accepts_both_outcomes_of_an_operation_left_open() {
    let mut undone = good();
    let (client, conn, session) = (ClientId(2), ConnId(2), undone.session_of(2));
    let (server, xid, op) = (Sid(1), Xid(994), set("/r", "open", None));
    undone.insert_line_after_reply("last", Event::Unknown { client, conn, xid });
    let invoke = Event::Invoke { client, session, conn, server, xid, op };
    undone.insert_line_after_reply("last", invoke);
    let mut done = undone.clone();
    let mut logged = done.history.log.last().expect("not empty").clone();
    logged.header.zxid = logged.header.zxid.successor();
    logged.header.cxid = xid;
    logged.digest = None;
    if let Txn::SetData { data, version, .. } = &mut logged.txn {
        (*data, *version) = (Some(Box::from(*b"open")), *version + 1);
    }
    done.history.log.push(logged);
    assert_eq!(check(&undone), Ok(()));
    assert_eq!(check(&done), Ok(()));
}

/// After a pause, what waited is done at one time: a read may be answered once the end of its
/// session is decided.
#[test]
fn accepts_an_end_decided_at_the_time_of_an_answer() {
    let mut scenario = good();
    let answered = scenario.time_of_reply("carol pings");
    scenario.txn_mut("carol expires").at = answered;
    assert_eq!(check(&scenario), Ok(()));
}

#[test]
fn rejects_answers_that_are_not_the_model_s() {
    reject(lies! {
        "stale data under a new zxid" breaks P0: |s| {
            *data_of(s.answer_mut("bob gets r again")) = Some(b"1".to_vec());
        };
        "data that nobody wrote" breaks P0: |s| {
            *data_of(s.answer_mut("bob gets r")) = Some(b"7".to_vec());
        };
        "null for empty" breaks P0: |s| *data_of(s.answer_mut("get after sync")) = None;
        "new data under an old zxid" breaks P12: |s| {
            let zxid = before(s.zxid("set r 2"));
            *s.reply_mut("bob gets r again").0 = Some(zxid);
        };
        "stale data under no zxid" breaks P0: |s| {
            *data_of(s.answer_mut("bob gets r again")) = Some(b"1".to_vec());
            *s.reply_mut("bob gets r again").0 = None;
        };
        "write done under no zxid" breaks P0: |s| *s.reply_mut("set r 1").0 = None;
        "sync done under no zxid" breaks P0: |s| *s.reply_mut("sync").0 = None;
        "session ended under no zxid" breaks P0: |s| *s.reply_mut("alice ends").0 = None;
        "version off by one" breaks P0: |s| {
            stat_of(s.answer_mut("bob gets r again")).version += 1;
        };
        "czxid of another transaction" breaks P0: |s| {
            stat_of(s.answer_mut("bob gets r")).czxid = s_zxid(2);
        };
        "mzxid not raised" breaks P0: |s| {
            let zxid = s.zxid("create r");
            stat_of(s.answer_mut("bob gets r")).mzxid = zxid;
        };
        "pzxid not raised by a deletion" breaks P0: |s| {
            stat_of(s.answer_mut("list q")).pzxid = s_zxid(1);
        };
        "cversion of the stored form" breaks P0: |s| {
            stat_of(s.answer_mut("list q")).cversion = 3;
        };
        "child count wrong" breaks P0: |s| {
            stat_of(s.answer_mut("list root")).num_children += 1;
        };
        "deleted child still listed" breaks P0: |s| match s.answer_mut("list q") {
            Answer::ChildrenStat(names, _) => names.insert(0, "n-0000000000".to_owned()),
            other => panic!("{other:?}"),
        };
        "owner hidden" breaks P0: |s| {
            *s.answer_mut("own ephemerals") = Answer::Ephemerals(vec![]);
        };
        "znode of the future" breaks P0: |s| {
            *s.reply_mut("exists nothing").1 = Ok(Answer::Stat(Stat::default()));
        };
        "list of access shown wrong" breaks P0: |s| match s.answer_mut("acl of m") {
            Answer::Acl(acl, _) => acl.clear(),
            other => panic!("{other:?}"),
        };
        "identity forgotten" breaks P0: |s| match s.answer_mut("who") {
            Answer::Identities(ids) => drop(ids.pop()),
            other => panic!("{other:?}"),
        };
        "read of what the reader may not see" breaks P0: |s| {
            let seen = s.answer_mut("get m").clone();
            *s.reply_mut("bob refused").1 = Ok(seen);
        };
        "sync answered with another path" breaks P0: |s| {
            *s.answer_mut("sync") = Answer::Path("/x".to_owned());
        };
        "write answered with the wrong version" breaks P1: |s| {
            stat_of(s.answer_mut("set r 1")).version = 2;
        };
        "write refused for the wrong reason" breaks P1: |s| {
            *s.reply_mut("set r refused").1 = Err(ErrorCode::NoNode);
        };
        "refusal reported as done" breaks P1: |s| {
            *s.reply_mut("set r refused").1 = Ok(Answer::Stat(Stat::default()));
        };
        "done reported as refusal" breaks P7: |s| {
            *s.reply_mut("set r 2").1 = Err(ErrorCode::BadVersion);
        };
    });
}

const fn s_zxid(raw: i64) -> Zxid {
    Zxid::from_raw(raw)
}

#[test]
fn rejects_transactions_that_are_not_the_model_s() {
    reject(lies! {
        "condition not looked at" breaks P1: |s| {
            s.txn_mut("set r refused").txn =
                Txn::SetData { path: "/r".into(), data: None, version: 3 };
        };
        "write dropped from the log" breaks P2: |s| s.drop_txn("set r 1");
        "session dropped from the log" breaks D3: |s| s.drop_txn("carol again");
        "gap in the log" breaks D3: |s| {
            let last = s.history.log.last_mut().expect("not empty");
            last.header.zxid = last.header.zxid.successor();
            let zxid = last.header.zxid;
            *s.reply_mut("last").0 = Some(zxid);
        };
        "counter spilled into the epoch" breaks D3: |s| {
            let last = s.history.log.last_mut().expect("not empty");
            last.header.zxid = Zxid::from_raw(0x1_0000_0002);
            *s.reply_mut("last").0 = Some(Zxid::from_raw(0x1_0000_0002));
        };
        "digest wrong" breaks P14: |s| {
            s.txn_mut("set r 1").digest = Some(TxnDigest { version: 2, tree: 1 });
        };
        "data changed on its way to the log" breaks P1: |s| {
            s.txn_mut("set r 1").txn =
                Txn::SetData { path: "/r".into(), data: Some(Box::from(*b"9")), version: 1 };
        };
        "version in the log wrong" breaks P1: |s| {
            s.txn_mut("set r 1").txn =
                Txn::SetData { path: "/r".into(), data: Some(Box::from(*b"1")), version: 2 };
        };
        "sequence number used twice" breaks P15: |s| {
            if let Txn::Create(create) = &mut s.txn_mut("seq 2").txn {
                create.path = "/q/n-0000000001".into();
            }
        };
        "sequence number from the count of children" breaks P15: |s| {
            if let Txn::Create(create) = &mut s.txn_mut("seq 2").txn {
                create.parent_cversion = Some(2);
            }
        };
        "sequence number in the reply differs" breaks P15: |s| {
            if let Answer::Created(path, _) = s.answer_mut("seq 2") {
                *path = "/q/n-0000000001".to_owned();
            }
        };
        "half a multi" breaks P6: |s| {
            if let Txn::Multi(parts) = &mut s.txn_mut("multi").txn {
                parts.remove(1);
            }
        };
        "refused multi done in part" breaks P6: |s| {
            if let Txn::Multi(parts) = &mut s.txn_mut("multi refused").txn {
                parts.truncate(1);
            }
        };
        "refused multi without the failing part" breaks P6: |s| {
            if let Answer::Multi(parts) = s.answer_mut("multi refused") {
                parts[1] = PartAnswer::Error(0);
            }
        };
        "multi answered without one part" breaks P6: |s| {
            if let Answer::Multi(parts) = s.answer_mut("multi") {
                parts.pop();
            }
        };
        "parts of a multi do not see each other" breaks P6: |s| {
            if let Txn::Multi(parts) = &mut s.txn_mut("multi").txn {
                parts[1] = Txn::Error { code: ErrorCode::NoNode.raw() };
            }
        };
        "transaction of nobody" breaks P7: |s| {
            let session = s.session_of(2);
            s.insert_txn("create q", session, Xid(999), Txn::Delete { path: "/r".into() });
        };
        "request done twice" breaks P7: |s| {
            let session = s.session_of(1);
            let (_, xid) = s.xid("set r refused");
            let code = ErrorCode::BadVersion.raw();
            s.insert_txn("piped set", session, xid, Txn::Error { code });
        };
        "container reaped that has children" breaks P1: |s| {
            let txn = Txn::DeleteContainer { path: "/q".into() };
            s.insert_txn("multi", SessionId::NONE, Xid::INTERNAL, txn);
        };
    });
}

#[test]
fn rejects_lost_and_unseen_state() {
    reject(lies! {
        "acknowledged write lost at the end" breaks P5: |s| s.cut_log_before("last");
        "acknowledged write lost in a recovery" breaks P5: |s| {
            let zxid = before(s.zxid("bob makes q/z"));
            set_fault(s, Fault::Recovered(zxid));
        };
        "shown but never acknowledged, lost in a recovery" breaks P4: |s| {
            let zxid = s.zxid("bob makes q/z");
            set_fault(s, Fault::Recovered(zxid));
        };
        "server starts empty" breaks P5: |s| set_fault(s, Fault::Recovered(Zxid::ZERO));
        "event of a transaction that is lost" breaks P4: |s| {
            if let Event::Watch { zxid, .. } = s.event_mut("e gone") {
                *zxid = Some(Zxid::from_raw(900));
            }
        };
        "zxid of another transaction in the reply" breaks P0: |s| {
            let zxid = s.zxid("last");
            *s.reply_mut("last").0 = Some(before(zxid));
            let fresh = s.zxid("carol again");
            assert_eq!(before(zxid), fresh);
        };
        "reply of a state beyond the log" breaks P4: |s| {
            *s.reply_mut("no e").0 = Some(Zxid::from_raw(900));
        };
    });
}

fn set_fault(s: &mut Scenario, fault: Fault) {
    match s.event_mut("recovered") {
        Event::Fault { fault: old, .. } => *old = fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rejects_broken_orders() {
    reject(lies! {
        "replies swapped" breaks S5: |s| s.swap_replies("piped set", "piped get");
        "reply to nothing" breaks S5: |s| {
            let event = Event::Reply {
                client: ClientId(ALICE),
                conn: ConnId(1),
                xid: Xid(998),
                zxid: None,
                result: Ok(Answer::Done),
            };
            s.insert_line_after_reply("set r 1", event);
        };
        "reply given twice" breaks S5: |s| {
            let (conn, xid) = s.xid("set r 1");
            let (zxid, result) = s.reply_mut("set r 1");
            let (zxid, result) = (*zxid, result.clone());
            let event = Event::Reply { client: ClientId(ALICE), conn, xid, zxid, result };
            s.insert_line_after_reply("set r 1", event);
        };
        "reply left out" breaks S5: |s| {
            let (conn, xid) = s.xid("piped set");
            s.history.lines.retain(|line| {
                !matches!(&line.event, Event::Reply { conn: c, xid: x, .. } if (*c, *x) == (conn, xid))
            });
        };
        "read before the session's own write" breaks P3: |s| {
            let zxid = before(s.zxid("piped set"));
            *s.reply_mut("piped get").0 = Some(zxid);
        };
        "back in time on another connection" breaks P3: |s| {
            let zxid = s.zxid("set r 1");
            *s.reply_mut("alice reads on").0 = Some(zxid);
        };
        "ping from the past" breaks P3: |s| {
            *s.reply_mut("bob pings").0 = Some(s_zxid(2));
        };
        "pipeline cut in the middle" breaks P2: |s| {
            let (_, first) = s.xid("cut set");
            let (_, second) = s.xid("cut delete");
            let txn = s.txn_mut("cut set");
            assert_eq!(txn.header.cxid, first);
            txn.header.cxid = second;
        };
        "two writes at one zxid" breaks P2: |s| {
            let zxid = s.zxid("create r");
            *s.reply_mut("set r 1").0 = Some(zxid);
        };
        "write before one that was acknowledged" breaks P1: |s| {
            s.swap_txns("seq 1", "delete seq 0");
        };
        "sync that misses an acknowledged write" breaks P12: |s| {
            // Bob's earlier replies do not stand in the way: he saw nothing newer.
            let zxid = before(s.zxid("piped set"));
            for name in ["exists nothing", "sync", "get after sync"] {
                *s.reply_mut(name).0 = Some(zxid);
            }
        };
    });
}

#[test]
fn rejects_broken_watches() {
    reject(lies! {
        "event lost" breaks P10: |s| s.drop_event("r changed");
        "event twice" breaks P11: |s| s.repeat_event("r changed");
        "event after the reply that shows the change" breaks P10: |s| {
            s.delay_event("r changed", "bob gets r again");
        };
        "events swapped" breaks P10: |s| s.swap_events("w created", "w set");
        "event of another znode" breaks P11: |s| {
            if let Event::Watch { path, .. } = s.event_mut("r changed") {
                *path = "/w".to_owned();
            }
        };
        "event of another kind" breaks P11: |s| {
            if let Event::Watch { kind, .. } = s.event_mut("w set") {
                *kind = EventKind::NodeCreated;
            }
        };
        "event with another transaction's zxid" breaks P11: |s| {
            let zxid = s.zxid("set r 1");
            if let Event::Watch { zxid: told, .. } = s.event_mut("r changed") {
                *told = Some(zxid);
            }
        };
        "one-shot watch fires again" breaks P11: |s| {
            let zxid = s.zxid("create q/y");
            let event = Event::Watch {
                client: ClientId(ALICE),
                conn: ConnId(1),
                zxid: Some(zxid),
                kind: EventKind::NodeChildrenChanged,
                path: "/q".to_owned(),
            };
            s.insert_line_after_reply("create q/y", event);
        };
        "recursive watch hears of children" breaks P11: |s| {
            if let Event::Watch { kind, path, .. } = s.event_mut("q/x created") {
                (*kind, *path) = (EventKind::NodeChildrenChanged, "/q".to_owned());
            }
        };
        "persistent watch fires once only" breaks P10: |s| s.drop_event("w set");
        "removed watch fires" breaks P11: |s| {
            let zxid = s.zxid("bob makes z");
            let event = Event::Watch {
                client: ClientId(2),
                conn: ConnId(2),
                zxid: Some(zxid),
                kind: EventKind::NodeCreated,
                path: "/z".to_owned(),
            };
            s.insert_line_after_reply("bob makes z", event);
        };
        "watch not found though set" breaks P11: |s| {
            *s.reply_mut("bob removes").1 = Err(ErrorCode::NoWatcher);
        };
        "event for a reader without permission" breaks W6: |s| {
            let zxid = s.zxid("alice sets m");
            let event = Event::Watch {
                client: ClientId(2),
                conn: ConnId(2),
                zxid: Some(zxid),
                kind: EventKind::NodeDataChanged,
                path: "/m".to_owned(),
            };
            s.insert_line_after_reply("alice sets m", event);
        };
        "missed change not caught up" breaks P11: |s| s.drop_event("missed z");
        "catching up with what did not change" breaks P11: |s| {
            if let Event::Watch { kind, path, .. } = s.event_mut("missed q") {
                (*kind, *path) = (EventKind::NodeDataChanged, "/m".to_owned());
            }
        };
        "deletion missed by the end of a session" breaks P10: |s| s.drop_event("e gone");
    });
}

#[test]
fn rejects_broken_sessions_and_ephemerals() {
    reject(lies! {
        "session id used again" breaks P8: |s| {
            let session = s.session_of(3);
            s.txn_mut("carol again").header.session = session;
        };
        "session resurrected" breaks P8: |s| {
            let session = s.session_of(3);
            if let Event::Connected { session: got, .. } = s.event_mut("carol again") {
                *got = session;
            }
        };
        "another session instead of the one asked for" breaks P8: |s| {
            let session = s.session_of(2);
            if let Event::Connected { resumed, .. } = s.event_mut("carol again") {
                *resumed = Some(session);
            }
        };
        "session expired early" breaks P8: |s| {
            let end = s.txn_mut("alice ends").at;
            s.txn_mut("carol expires").at = end;
        };
        "session ends twice" breaks P8: |s| {
            let session = s.session_of(1);
            let txn = Txn::CloseSession { paths: Some(vec![]) };
            s.insert_txn("carol again", session, Xid::INTERNAL, txn);
        };
        "session without a start" breaks P8: |s| {
            s.txn_mut("bob").header.session = SessionId(77);
        };
        "write after the end of its session" breaks P8: |s| {
            let session = s.session_of(1);
            let txn = Txn::Delete { path: "/z".into() };
            s.insert_txn("carol again", session, Xid(997), txn);
        };
        "served after the end" breaks P8: |s| {
            let (client, conn, session) = (ClientId(ALICE), ConnId(4), s.session_of(4));
            let (server, xid, op) = (Sid(1), Xid(995), Op::Read(Read::WhoAmI));
            let zxid = Some(s.zxid("last"));
            let result = Ok(Answer::Identities(vec![]));
            s.insert_line_after_reply("last", Event::Reply { client, conn, xid, zxid, result });
            let invoke = Event::Invoke { client, session, conn, server, xid, op };
            s.insert_line_after_reply("last", invoke);
        };
        "ephemeral left out of the end" breaks P9: |s| {
            s.txn_mut("alice ends").txn = Txn::CloseSession { paths: Some(vec![]) };
        };
        "znode of another session taken along" breaks P9: |s| {
            s.txn_mut("alice ends").txn =
                Txn::CloseSession { paths: Some(vec!["/e".into(), "/q".into()]) };
        };
        "ephemeral of a session that is over" breaks P8: |s| {
            let session = s.session_of(3);
            let create = create("/late", CreateMode::Ephemeral, "");
            let txn = types::CreateTxn {
                call: create.call,
                path: "/late".into(),
                data: None,
                acl: create.acl,
                ephemeral: true,
                parent_cversion: Some(9),
                ttl_ms: None,
            };
            s.insert_txn("carol again", session, Xid(996), Txn::Create(txn));
        };
    });
}

#[test]
fn rejects_servers_without_a_leader_that_do_something() {
    reject(lies! {
        "a write is answered" breaks P13: |s| {
            *s.reply_mut("dave creates").1 = Ok(Answer::Path("/d".to_owned()));
        };
        "a write is done and refused" breaks P7: |s| {
            let (session, (_, xid)) = (SessionId(0x0200_0000_0000_0009), s.xid("dave creates"));
            s.insert_txn("carol again", session, xid, Txn::Error { code: ErrorCode::NoNode.raw() });
        };
        "a sync is answered" breaks P13: |s| {
            *s.reply_mut("dave syncs").1 = Ok(Answer::Path("/".to_owned()));
        };
        "an earlier state than before" breaks P13: |s| {
            let zxid = before(s.zxid("set r 2"));
            *s.reply_mut("dave gets r").0 = Some(zxid);
        };
        "data that nobody wrote" breaks P0: |s| {
            *data_of(s.answer_mut("dave gets r")) = Some(b"7".to_vec());
        };
    });
}

/// What was logged before a start and never committed can be seen there, and nowhere else.
#[test]
fn what_is_never_committed_may_be_shown_where_nobody_leads() {
    let mut scenario = good();
    let beyond = Zxid::from_raw(i64::MAX - 1);
    *scenario.reply_mut("dave gets r").0 = Some(beyond);
    assert_eq!(check(&scenario), Ok(()));
    *scenario.reply_mut("bob gets r again").0 = Some(beyond);
    assert!(check(&scenario).is_err());
}

#[test]
fn the_search_finds_lies_without_trusting_zxids() {
    let honest = good();
    type Spoil = fn(&mut Scenario);
    let lies: &[(&str, Spoil)] = &[
        ("stale read", |s| {
            *data_of(s.answer_mut("bob gets r again")) = Some(b"1".to_vec());
            stat_of(s.answer_mut("bob gets r again")).version = 1;
        }),
        ("lost update", |s| stat_of(s.answer_mut("set r 2")).version = 1),
        ("value from nowhere", |s| *data_of(s.answer_mut("get after sync")) = Some(vec![9])),
        ("refused without a cause", |s| {
            *s.reply_mut("set r 1").1 = Err(ErrorCode::BadVersion);
        }),
        ("missing though created", |s| *s.reply_mut("bob gets r").1 = Err(ErrorCode::NoNode)),
        ("open write undone", |s| {
            let Answer::Data(data, stat) = s.answer_mut("alice reads on") else { panic!() };
            *data = Some(b"p".to_vec());
            stat.version += 1;
        }),
    ];
    for (name, spoil) in lies {
        let mut spoiled = honest.clone();
        spoil(&mut spoiled);
        let case = Case::new(&spoiled.history, rules(), Zxid::ZERO, Reads::AreFresh)
            .expect("replies are in place");
        let verdict = linearizability::check(&case);
        assert_eq!(verdict.map_err(|broken| broken.promise), Err(Promise::P1), "{name}");
    }
}

#[test]
fn a_read_may_be_as_old_as_the_sync_before_it() {
    for (value, version, is_fine) in [("3", 3, true), ("1", 1, true), ("1", 2, false)] {
        let mut scenario = long_sync();
        *data_of(scenario.answer_mut("get after sync")) = Some(value.into());
        stat_of(scenario.answer_mut("get after sync")).version = version;
        let case = Case::new(&scenario.history, rules(), Zxid::ZERO, Reads::MayLag)
            .expect("replies are in place");
        assert_eq!(linearizability::check(&case).is_ok(), is_fine, "{value} at {version}");
    }
}

#[test]
fn local_sessions_write_until_all_know_that_they_are_over() {
    let check = |scenario: &Scenario, sessions| {
        let case = Case::new(&scenario.history, rules_where(sessions), Zxid::ZERO, Reads::MayLag)?;
        case.check().map(drop)
    };
    let broken = |scenario: &Scenario, sessions| {
        check(scenario, sessions).expect_err("a broken promise").promise
    };
    let honest = local();
    check(&honest, Sessions::Local).expect("nothing is wrong");
    // Where there are none, nobody writes in a session that no transaction has opened.
    assert_eq!(broken(&honest, Sessions::Global), Promise::P8);

    let set_late = |scenario: &mut Scenario, session| {
        let xid = Xid(1_000);
        let event = Event::Invoke {
            client: ClientId(3),
            session,
            // Over a connection of which nothing more was heard.
            conn: ConnId(3),
            server: Sid(1),
            xid,
            op: set("/r", "2", None),
        };
        scenario.insert_line_after_reply("create e", event);
        let txn = Txn::SetData { path: "/r".into(), data: Some((*b"2").into()), version: 2 };
        scenario.add_txn(session, xid, txn);
    };
    let stranger = SessionId(0x0300_0000_0000_0001);
    let mut fine = honest.clone();
    set_late(&mut fine, stranger);
    check(&fine, Sessions::Local).expect("it was never known, so it is not known to be over");
    let mut after_the_end = honest.clone();
    set_late(&mut after_the_end, honest.session_of(1));
    assert_eq!(broken(&after_the_end, Sessions::Local), Promise::P8);

    let mut elsewhere = honest.clone();
    for line in &mut elsewhere.history.lines {
        if let Event::Invoke { conn: ConnId(2), server, .. } = &mut line.event {
            *server = Sid(2);
        }
    }
    assert_eq!(broken(&elsewhere, Sessions::Local), Promise::P8);

    let mut given_twice = honest.clone();
    let event = Event::Connected {
        client: ClientId(3),
        conn: ConnId(3),
        address: "10.0.0.3".to_owned(),
        resumed: None,
        asked: None,
        session: honest.session_of(2),
        timeout_ms: 4000,
        read_only: false,
    };
    given_twice.insert_line_after_reply("create e", event);
    assert_eq!(broken(&given_twice, Sessions::Local), Promise::P8);

    let mut refused = honest.clone();
    refused.txn_mut("bob sets r").txn = Txn::Error { code: ErrorCode::SessionExpired.raw() };
    *refused.reply_mut("bob sets r").1 = Err(ErrorCode::SessionExpired);
    assert_eq!(broken(&refused, Sessions::Local), Promise::P8);

    let mut for_nothing = honest.clone();
    for_nothing.txn_mut("alice is known").header.session = honest.session_of(2);
    assert_eq!(broken(&for_nothing, Sessions::Local), Promise::P8);

    let mut owned_by_nobody = honest.clone();
    for name in ["alice is known", "alice expires"] {
        owned_by_nobody.txn_mut(name).txn = Txn::Error { code: ErrorCode::NoNode.raw() };
    }
    assert_eq!(broken(&owned_by_nobody, Sessions::Local), Promise::P9);
}
