//! Requests that no proper client sends.

use types::Id;
use wire::jute;
use wire::opcode::OpCode;

use crate::ask::Ask;
use crate::random::Random;

/// A path that is no path.
pub(super) fn invalid_path(random: &mut Random, base: &str) -> String {
    match random.below(21) {
        0 => String::new(),
        1 => "relative".to_owned(),
        2 => format!("{base}/"),
        3 => "//".to_owned(),
        4 => format!("{base}//a"),
        5 => format!("{base}/./a"),
        6 => format!("{base}/.."),
        7 => format!("{base}/a\0b"),
        8 => format!("{base}/\u{1}"),
        9 => format!("{base}/\u{7f}"),
        10 => format!("{base}/\u{9f}"),
        11 => format!("{base}/\u{f8ff}"),
        12 => format!("{base}/\u{fff0}"),
        13 => format!("{base}/...dots"),
        14 => format!("{base}/ "),
        15 => format!("{base}/\u{d7ff}"),
        16 => format!("{base}/\u{e000}"),
        17 => format!("{base}/\u{f900}"),
        18 => format!("{base}/\u{ffef}"),
        19 => format!("{base}/a/../b"),
        _ => format!("{}/a", base.trim_start_matches('/')),
    }
}

/// A path that is not below the base.
pub(super) fn outer_path(random: &mut Random) -> String {
    random
        .pick(&["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/no/such/znode"])
        .to_owned()
}

/// A znode by which a quota is set and accounted. Java servers end when its data makes no sense to
/// them, so that it is written with care.
pub(super) fn quota_path(random: &mut Random, base: &str) -> String {
    let name = random.pick(&["", "/zookeeper_limits", "/zookeeper_stats", "/a"]);
    format!("/zookeeper/quota{base}{name}")
}

/// An identity that servers may refuse.
pub(super) fn id(random: &mut Random) -> Id {
    let ids = [
        ("world", "bob"),
        ("digest", "nocolon"),
        ("digest", "a:b:c"),
        ("ip", "300.1.1.1"),
        ("ip", "127.0.0.1/33"),
        ("ip", "::1"),
        ("nothing", "x"),
        ("super", "x"),
        ("", ""),
    ];
    let (scheme, id) = random.pick(&ids);
    Id::new(scheme, id)
}

/// A request for an operation that does not exist.
pub(super) fn unknown_operation(random: &mut Random) -> Ask {
    let opcode = random.pick(&[0, 10, 13, 23, 99, 108, -1, -99, i32::MAX]);
    Ask::Raw { what: "unknown operation", opcode, record: vec![0; 8] }
}

/// Bytes after which a server closes the connection.
pub(super) fn broken_frame(random: &mut Random) -> (&'static str, Vec<u8>) {
    match random.below(5) {
        0 => ("negative length", (-1_i32).to_be_bytes().to_vec()),
        1 => ("most negative length", i32::MIN.to_be_bytes().to_vec()),
        2 => ("length above the limit", (0xf_ffff_i32 + 1).to_be_bytes().to_vec()),
        3 => ("largest length", i32::MAX.to_be_bytes().to_vec()),
        _ => ("no room for a header", vec![0, 0, 0, 4, 0, 0, 0, 1]),
    }
}

/// A request whose record is not what its operation takes.
pub(super) fn ask(random: &mut Random, base: &str) -> Ask {
    let path = format!("{base}/{}", random.pick(&["a", "b", "c/d", ".", ""]));
    match random.below(24) {
        0 => read("record missing", OpCode::GetData, Vec::new()),
        1 => read("text longer than the record", OpCode::Exists, vec![0, 0, 0, 99, b'/']),
        2 => read("negative length", OpCode::GetChildren, vec![0xff, 0xff, 0xff, 0xfe, 0]),
        3 => read("unknown watch mode", OpCode::AddWatch, with_int(&path, 7)),
        4 => read("unknown kind of watcher", OpCode::RemoveWatches, with_int(&path, 9)),
        5 => read("bytes after the record", OpCode::Exists, trailing(&path)),
        6 => write("unknown mode", OpCode::Create, create(&path, 77)),
        7 => write("negative mode", OpCode::Create2, create(&path, -1)),
        8 => write("mode with a time to live that is missing", OpCode::Create, create(&path, 5)),
        9 => write("record missing", OpCode::SetData, Vec::new()),
        10 => write("record cut short", OpCode::Delete, vec![0, 0, 0, 1, b'/', 0, 0]),
        11 => read("negative watch mode", OpCode::AddWatch, with_int(&path, -1)),
        12 => read("unknown kind of watcher", OpCode::CheckWatches, with_int(&path, -7)),
        13 => read("text that is no UTF-8", OpCode::Exists, malformed(random, base, &[0])),
        14 => {
            let rest = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
            read("text that is no UTF-8", OpCode::SetData, malformed(random, base, &rest))
        }
        15 => read("ping with a number", OpCode::Ping, Vec::new()),
        16 => read("credentials with a number", OpCode::Auth, credentials()),
        17 => read("watches set again with a number", OpCode::SetWatches, set_watches(random, 3)),
        18 => read("watches set again with a number", OpCode::SetWatches2, set_watches(random, 5)),
        19 | 20 => {
            read("mode of another operation", OpCode::CreateTtl, any_mode(random, &path, true))
        }
        21 => read(
            "mode of another operation",
            OpCode::CreateContainer,
            any_mode(random, &path, false),
        ),
        22 => read("reconfiguration", OpCode::Reconfig, reconfiguration(random)),
        _ => write("operation that no multi takes", OpCode::Multi, multi(random, &path)),
    }
}

fn read(what: &'static str, opcode: OpCode, record: Vec<u8>) -> Ask {
    Ask::Raw { what, opcode: opcode.raw(), record }
}

fn write(what: &'static str, opcode: OpCode, record: Vec<u8>) -> Ask {
    Ask::RawWithoutPlace { what, opcode: opcode.raw(), record }
}

/// A text with bytes that no character has, or with a character that has two in Java, which would not write
/// it as others do.
fn malformed(random: &mut Random, base: &str, rest: &[u8]) -> Vec<u8> {
    let bytes: &[u8] = random.pick(&[
        &[0xff],
        &[0xc0, 0x80],
        &[0xe2, 0x82],
        &[0xed, 0xa0, 0x80],
        &[0xf4, 0x90, 0x80, 0x80],
        &[0xc3, b'a'],
        "\u{1f600}".as_bytes(),
    ]);
    let text = [base.as_bytes(), b"/x", bytes, b"y"].concat();
    let mut record = Vec::new();
    jute::put_buffer(&mut record, Some(&text));
    record.extend_from_slice(rest);
    record
}

fn credentials() -> Vec<u8> {
    let mut record = Vec::new();
    jute::put_int(&mut record, 7);
    jute::put_text(&mut record, "digest");
    jute::put_buffer(&mut record, Some(b"kim:secret"));
    record
}

/// So many lists of paths, which are empty or null.
fn set_watches(random: &mut Random, lists: usize) -> Vec<u8> {
    let mut record = Vec::new();
    jute::put_long(&mut record, random.pick(&[0, i64::MAX, -1]));
    (0..lists).for_each(|_| jute::put_int(&mut record, random.pick(&[0, 0, -1])));
    record
}

/// A create in whatever mode, with a time to live or without that field. A negative one in a mode that has none
/// ends a Java server: it takes the request, and fails when it carries it out.
fn any_mode(random: &mut Random, path: &str, has_ttl: bool) -> Vec<u8> {
    let mode = random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, -1]);
    let mut record = create(path, mode);
    if has_ttl {
        let ttls = [0, 1, 3_600_000, 0xff_ffff_ffff, 0x100_0000_0000, i64::MAX];
        let negative = random.chance(30) && matches!(mode, 5 | 6);
        let ttl = if negative { random.pick(&[-1, -2, i64::MIN]) } else { random.pick(&ttls) };
        jute::put_long(&mut record, ttl);
    }
    record
}

fn reconfiguration(random: &mut Random) -> Vec<u8> {
    let mut record = Vec::new();
    for texts in [[None, Some("server.9=localhost:1:2;3")], [None, Some("9")], [None, Some("x")]] {
        match random.pick(&texts) {
            Some(text) => jute::put_text(&mut record, text),
            None => jute::put_int(&mut record, -1),
        }
    }
    jute::put_long(&mut record, random.pick(&[-1, 0, i64::MAX]));
    record
}

fn with_int(path: &str, int: i32) -> Vec<u8> {
    let mut record = Vec::new();
    jute::put_text(&mut record, path);
    jute::put_int(&mut record, int);
    record
}

fn trailing(path: &str) -> Vec<u8> {
    let mut record = Vec::new();
    jute::put_text(&mut record, path);
    record.extend_from_slice(&[0; 40]);
    record
}

fn create(path: &str, mode: i32) -> Vec<u8> {
    let mut record = Vec::new();
    jute::put_text(&mut record, path);
    jute::put_buffer(&mut record, Some(b"x"));
    jute::put_acls(&mut record, &types::AclList::open());
    jute::put_int(&mut record, mode);
    record
}

/// A multi of one operation that does not belong there, or in an unknown mode, or without an end.
fn multi(random: &mut Random, path: &str) -> Vec<u8> {
    let mut record = Vec::new();
    let mut begin = |opcode: i32| {
        jute::put_int(&mut record, opcode);
        jute::put_bool(&mut record, false);
        jute::put_int(&mut record, -1);
    };
    match random.below(4) {
        0 => {
            begin(OpCode::GetData.raw());
            jute::put_text(&mut record, path);
            jute::put_bool(&mut record, false);
        }
        1 => {
            begin(OpCode::Create.raw());
            record.extend_from_slice(&create(path, 42));
        }
        2 => begin(OpCode::Ping.raw()),
        _ => {
            begin(OpCode::Delete.raw());
            record.extend_from_slice(&with_int(path, -1));
            return record;
        }
    }
    jute::put_int(&mut record, -1);
    jute::put_bool(&mut record, true);
    jute::put_int(&mut record, -1);
    record
}
