//! Requests that no well-behaved client sends, and what becomes of them.

use std::borrow::Cow;

use types::{
    Acl, AclList, Create, CreateCall, CreateMode, ErrorCode, Id, MultiOp, Op, Perms, Read, Write,
    Xid,
};
use wire::jute::{put_acls, put_bool, put_buffer, put_int, put_long, put_text};
use wire::request::{Request, RequestError};

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET_DATA: i32 = 4;
const GET_CHILDREN: i32 = 8;
const SYNC: i32 = 9;
const CHECK: i32 = 13;
const MULTI: i32 = 14;
const CREATE2: i32 = 15;
const CHECK_WATCHES: i32 = 17;
const CREATE_CONTAINER: i32 = 19;
const CREATE_TTL: i32 = 21;
const MULTI_READ: i32 = 22;
const AUTH: i32 = 100;
const SET_WATCHES: i32 = 101;
const ADD_WATCH: i32 = 106;

const REJECTED_WRITE: Op<'_> = Op::Write(Write::Rejected(ErrorCode::MarshallingError));
const REJECTED_READ: Op<'_> = Op::Read(Read::Rejected(ErrorCode::MarshallingError));
const BAD_ARGUMENTS: Op<'_> = Op::Write(Write::Rejected(ErrorCode::BadArguments));

fn body(opcode: i32, record: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    put_int(&mut body, 7);
    put_int(&mut body, opcode);
    record(&mut body);
    body
}

fn decode(opcode: i32, record: impl FnOnce(&mut Vec<u8>)) -> Op<'static> {
    let body = body(opcode, record);
    let request = Request::decode(&body).expect("a request");
    assert_eq!(request.xid, Xid(7));
    match request.op {
        Op::Read(read) => Op::Read(read.into_owned()),
        Op::Write(write) => Op::Write(write.into_owned()),
        Op::Sync { path } => Op::Sync { path: path.into_owned().into() },
        other => panic!("neither read nor write: {other:?}"),
    }
}

fn put_create(out: &mut Vec<u8>, flags: i32) {
    put_text(out, "/a");
    put_buffer(out, None);
    put_acls(out, &AclList::open());
    put_int(out, flags);
}

fn put_create_ttl(out: &mut Vec<u8>, flags: i32, ttl_ms: i64) {
    put_create(out, flags);
    put_long(out, ttl_ms);
}

fn created(call: CreateCall, mode: CreateMode) -> Create<'static> {
    Create { call, path: "/a".into(), data: None, acl: AclList::open(), mode }
}

/// The mark before an operation of a multi.
fn put_mark(out: &mut Vec<u8>, kind: i32, done: bool) {
    put_int(out, kind);
    put_bool(out, done);
    put_int(out, -1);
}

fn decode_multi_of(kind: i32, record: impl FnOnce(&mut Vec<u8>)) -> Op<'static> {
    decode(MULTI, |out| {
        put_mark(out, kind, false);
        record(out);
        put_mark(out, -1, true);
    })
}

#[test]
fn operations_that_do_not_exist_are_told_from_frames_without_a_header() {
    for opcode in [-1, 0, 10, CHECK, 23, 99, 108, i32::MIN] {
        let body = body(opcode, |out| put_text(out, "/a"));
        let expected = RequestError::UnknownOpcode { xid: Xid(7), opcode };
        assert_eq!(Request::decode(&body), Err(expected));
    }
    assert!(matches!(Request::decode(&[0; 7]), Err(RequestError::Header(_))));
    assert!(matches!(Request::decode(&[]), Err(RequestError::Header(_))));
}

#[test]
fn a_record_that_ends_too_early_is_rejected_in_its_class() {
    assert_eq!(decode(GET_DATA, |_| {}), REJECTED_READ);
    assert_eq!(decode(SYNC, |_| {}), REJECTED_READ);
    assert_eq!(decode(DELETE, |out| put_text(out, "/a")), REJECTED_WRITE);
    let body = body(AUTH, |out| put_int(out, 0));
    let error = Request::decode(&body).expect_err("unreadable");
    assert!(matches!(error, RequestError::Credentials { xid: Xid(7), .. }), "{error}");
}

#[test]
fn paths_must_not_be_null() {
    let null = |out: &mut Vec<u8>| put_buffer(out, None);
    for opcode in [EXISTS, GET_DATA, GET_CHILDREN] {
        let op = decode(opcode, |out| {
            null(out);
            put_bool(out, false);
        });
        assert_eq!(op, REJECTED_READ);
    }
    let op = decode(DELETE, |out| {
        null(out);
        put_int(out, 0);
    });
    assert_eq!(op, REJECTED_WRITE);
    assert_eq!(decode(SYNC, null), Op::Sync { path: "".into() });
}

#[test]
fn lists_of_watches_may_be_negative_but_not_null() {
    let set_watches = |count: i32| {
        decode(SET_WATCHES, |out| {
            put_long(out, 1);
            put_int(out, 0);
            put_int(out, count);
            put_int(out, 0);
        })
    };
    assert!(
        matches!(set_watches(-2), Op::Read(Read::SetWatches(watches)) if watches.exist.is_empty())
    );
    assert_eq!(set_watches(-1), REJECTED_READ);
    assert_eq!(set_watches(i32::MAX), REJECTED_READ);
}

#[test]
fn watches_of_unknown_kinds_are_rejected() {
    for (opcode, bad) in [(ADD_WATCH, [-1, 2]), (CHECK_WATCHES, [0, 6])] {
        for kind in bad {
            let op = decode(opcode, |out| {
                put_text(out, "/a");
                put_int(out, kind);
            });
            assert_eq!(op, REJECTED_READ, "{opcode} {kind}");
        }
    }
}

#[test]
fn access_control_lists_may_have_holes() {
    let decode_acl = |put: fn(&mut Vec<u8>)| {
        let op = decode(CREATE, |out| {
            put_text(out, "/a");
            put_buffer(out, None);
            put(out);
            put_int(out, 0);
        });
        match op {
            Op::Write(Write::Create(create)) => create.acl,
            other => panic!("no create: {other:?}"),
        }
    };
    assert_eq!(decode_acl(|out| put_int(out, -1)), AclList::empty());
    assert_eq!(decode_acl(|out| put_int(out, -7)), AclList::empty());
    let nameless = decode_acl(|out| {
        put_int(out, 1);
        put_int(out, 31);
        put_buffer(out, None);
        put_buffer(out, None);
    });
    assert_eq!(*nameless, [Acl { perms: Perms::ALL, id: Id::new("", "") }]);
}

#[test]
fn what_is_usual_borrows_from_the_frame() {
    let body = body(CREATE, |out| {
        put_text(out, "/a");
        put_buffer(out, Some(b"x"));
        put_acls(out, &AclList::open());
        put_int(out, 0);
    });
    let request = Request::decode(&body).expect("a request");
    let Op::Write(Write::Create(create)) = request.op else { panic!("no create") };
    assert!(matches!(create.path, Cow::Borrowed(_)));
    assert!(matches!(create.data, Some(Cow::Borrowed(_))));
    assert!(std::ptr::eq(&*create.acl, &*AclList::open()), "the open list is shared");
}

#[test]
fn modes_of_creates() {
    for (opcode, call) in [
        (CREATE, CreateCall::Create),
        (CREATE2, CreateCall::Create2),
        (CREATE_CONTAINER, CreateCall::Container),
    ] {
        let with = |flags| decode(opcode, |out| put_create(out, flags));
        let expect = |mode| Op::Write(Write::Create(created(call, mode)));
        assert_eq!(with(0), expect(CreateMode::Persistent));
        assert_eq!(with(3), expect(CreateMode::EphemeralSequential));
        assert_eq!(with(4), expect(CreateMode::Container));
        // There is no field for the time to live, and so it can not be right.
        assert_eq!(with(5), expect(CreateMode::PersistentWithTtl(-1)));
        assert_eq!(with(6), expect(CreateMode::PersistentSequentialWithTtl(-1)));
        assert_eq!(with(7), BAD_ARGUMENTS);
        assert_eq!(with(-1), BAD_ARGUMENTS);
    }
}

#[test]
fn modes_of_creates_with_a_time_to_live() {
    let with = |flags, ttl_ms| decode(CREATE_TTL, |out| put_create_ttl(out, flags, ttl_ms));
    let expect = |call, mode| Op::Write(Write::Create(created(call, mode)));
    for ttl_ms in [-5, 0, 1, i64::MAX] {
        let mode = CreateMode::PersistentWithTtl(ttl_ms);
        assert_eq!(with(5, ttl_ms), expect(CreateCall::Ttl, mode));
    }
    assert_eq!(with(0, -1), expect(CreateCall::Create2, CreateMode::Persistent));
    assert_eq!(with(4, -1), expect(CreateCall::Container, CreateMode::Container));
    assert_eq!(with(0, 0), BAD_ARGUMENTS);
    assert_eq!(with(1, 5000), BAD_ARGUMENTS);
    assert_eq!(with(9, 5000), BAD_ARGUMENTS);
    assert_eq!(decode(CREATE_TTL, |out| put_create(out, 5)), REJECTED_WRITE);
}

#[test]
fn creates_within_a_multi_take_their_kind_from_the_mode() {
    let expect = |call, mode| Op::Write(Write::Multi(vec![MultiOp::Create(created(call, mode))]));
    for (kind, call) in [
        (CREATE, CreateCall::Create),
        (CREATE2, CreateCall::Create2),
        (CREATE_CONTAINER, CreateCall::Container),
    ] {
        let with = |flags| decode_multi_of(kind, |out| put_create(out, flags));
        assert_eq!(with(2), expect(call, CreateMode::PersistentSequential));
        assert_eq!(with(4), expect(CreateCall::Container, CreateMode::Container));
        for flags in [-1, 5, 6, 7] {
            assert_eq!(with(flags), REJECTED_WRITE, "{kind} {flags}");
        }
    }
    let with = |flags, ttl| decode_multi_of(CREATE_TTL, |out| put_create_ttl(out, flags, ttl));
    let mode = CreateMode::PersistentSequentialWithTtl(9);
    assert_eq!(with(6, 9), expect(CreateCall::Ttl, mode));
    assert_eq!(with(1, 9), expect(CreateCall::Create, CreateMode::Ephemeral));
    assert_eq!(with(4, 9), expect(CreateCall::Container, CreateMode::Container));
    assert_eq!(with(7, 9), REJECTED_WRITE);
}

#[test]
fn a_multi_is_spoiled_by_what_can_not_be_part_of_it() {
    let path_and_int = |out: &mut Vec<u8>| {
        put_text(out, "/a");
        put_int(out, 0);
    };
    assert!(matches!(decode_multi_of(CHECK, path_and_int), Op::Write(Write::Multi(_))));
    for kind in [-1, 0, EXISTS, 7, GET_DATA, GET_CHILDREN, MULTI, 99] {
        assert_eq!(decode_multi_of(kind, path_and_int), REJECTED_WRITE, "{kind}");
    }
    let mixed = decode(MULTI_READ, |out| {
        put_mark(out, GET_DATA, false);
        put_text(out, "/a");
        put_bool(out, true);
        put_mark(out, DELETE, false);
        path_and_int(out);
        put_mark(out, -1, true);
    });
    assert_eq!(mixed, REJECTED_READ);
    let endless = decode(MULTI, |out| put_mark(out, DELETE, false));
    assert_eq!(endless, REJECTED_WRITE);
}

#[test]
fn reads_within_a_multi_set_no_watch() {
    let op = decode(MULTI_READ, |out| {
        put_mark(out, GET_CHILDREN, false);
        put_text(out, "/a");
        put_bool(out, true);
        put_mark(out, -1, true);
    });
    let expected = types::MultiReadOp::GetChildren { path: "/a".into() };
    assert_eq!(op, Op::Read(Read::MultiRead(vec![expected])));
}
