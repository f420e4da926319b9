//! The JSON form of a history's lines.
//!
//! Ids and zxids are hexadecimal texts, since JSON numbers are not 64 bits wide everywhere. Data is
//! text if it is printable ASCII, else hexadecimal behind `0x`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use types::{
    Acl, Create, CreateMode, CreateTxn, EventKind, MultiOp, MultiReadOp, Op, Read, SetWatches,
    Stat, Txn, Write, Zxid,
};

use super::{Answer, Event, Fault, Line, LoggedTxn, PartAnswer};

/// One line.
pub(super) fn line(line: &Line) -> Value {
    let mut fields = event(&line.event);
    if let Value::Object(fields) = &mut fields {
        fields.insert("t".to_owned(), json!(line.at.nanos()));
    }
    fields
}

/// A transaction of the log.
pub(super) fn txn(logged: &LoggedTxn) -> Value {
    let header = &logged.header;
    json!({
        "ev": "txn",
        "t": logged.at.map(types::Instant::nanos),
        "zxid": zxid(header.zxid),
        "hdr": {
            "sess": format!("{:#x}", header.session.0),
            "cxid": header.cxid.0,
            "time": header.time_ms,
        },
        "body": txn_body(&logged.txn),
        "digest": logged.digest.map(|digest| format!("{:x}", digest.tree)),
    })
}

fn event(event: &Event) -> Value {
    match event {
        Event::Invoke { client, session, conn, server, xid, op } => {
            let (name, args) = operation(op);
            json!({
                "ev": "invoke", "p": client.0, "sess": format!("{:#x}", session.0), "conn": conn.0,
                "srv": server.0, "xid": xid.0, "op": name, "args": args,
            })
        }
        Event::Reply { client, conn, xid, zxid: seen, result } => {
            let (word, code, body) = match result {
                Ok(answer) => ("ok", 0, answer_body(answer)),
                Err(code) => ("fail", code.raw(), Value::Null),
            };
            json!({
                "ev": word, "p": client.0, "conn": conn.0, "xid": xid.0,
                "zxid": seen.map(zxid), "err": code, "res": body,
            })
        }
        Event::Unknown { client, conn, xid } => {
            json!({"ev": "unknown", "p": client.0, "conn": conn.0, "xid": xid.0})
        }
        Event::Watch { client, conn, zxid: seen, kind, path } => json!({
            "ev": "watch", "p": client.0, "conn": conn.0, "type": event_kind(*kind), "path": path,
            "zxid": seen.map(zxid),
        }),
        Event::Connected {
            client,
            conn,
            address,
            resumed,
            asked,
            session,
            timeout_ms,
            read_only,
        } => json!({
            "ev": "connected", "p": client.0, "conn": conn.0, "from": address,
            "resumed": resumed.map(|session| format!("{:#x}", session.0)),
            "asked": asked.map(types::Instant::nanos),
            "sess": format!("{:#x}", session.0), "timeout": timeout_ms, "ro": read_only,
        }),
        Event::Expired { client, conn, session } => json!({
            "ev": "expired", "p": client.0, "conn": conn.0, "sess": format!("{:#x}", session.0),
        }),
        Event::Lost { client, conn } => {
            json!({"ev": "lost", "p": client.0, "conn": conn.0})
        }
        Event::Fault { server, fault } => json!({
            "ev": "fault", "kind": fault.name(), "target": server.0, "detail": fault_detail(*fault),
        }),
    }
}

fn fault_detail(fault: Fault) -> Value {
    match fault {
        Fault::WallClock(ms) => json!(ms),
        Fault::Recovered(last) => json!(zxid(last)),
        Fault::Leads(epoch) => json!(epoch.0),
        Fault::Crash
        | Fault::PowerLoss
        | Fault::SyncError
        | Fault::DiskFull
        | Fault::Pause
        | Fault::SlowDisk
        | Fault::Rot
        | Fault::DiskLoss
        | Fault::Exit
        | Fault::SwitchedOn => Value::Null,
    }
}

fn operation(op: &Op<'_>) -> (&'static str, Value) {
    match op {
        Op::Ping => ("ping", Value::Null),
        Op::Auth(packet) => ("auth", json!({"scheme": packet.scheme})),
        Op::Sasl(_) => ("sasl", Value::Null),
        Op::Read(read) => read_operation(read),
        Op::Write(write) => write_operation(write),
        Op::Sync { path } => ("sync", json!({"path": path})),
        Op::CloseSession => ("closeSession", Value::Null),
    }
}

fn read_operation(read: &Read<'_>) -> (&'static str, Value) {
    match read {
        Read::Exists { path, watch } => ("exists", json!({"path": path, "watch": watch})),
        Read::GetData { path, watch } => ("getData", json!({"path": path, "watch": watch})),
        Read::GetAcl { path } => ("getACL", json!({"path": path})),
        Read::GetChildren { path, watch } => ("getChildren", json!({"path": path, "watch": watch})),
        Read::GetChildren2 { path, watch } => {
            ("getChildren2", json!({"path": path, "watch": watch}))
        }
        Read::GetAllChildrenNumber { path } => ("getAllChildrenNumber", json!({"path": path})),
        Read::GetEphemerals { prefix } => ("getEphemerals", json!({"prefix": prefix})),
        Read::WhoAmI => ("whoAmI", Value::Null),
        Read::MultiRead(parts) => ("multiRead", parts.iter().map(read_part).collect()),
        Read::AddWatch { path, mode } => ("addWatch", json!({"path": path, "mode": *mode as i32})),
        Read::CheckWatches { path, kind } => {
            ("checkWatches", json!({"path": path, "type": *kind as i32}))
        }
        Read::RemoveWatches { path, kind } => {
            ("removeWatches", json!({"path": path, "type": *kind as i32}))
        }
        Read::SetWatches(watches) => ("setWatches", set_watches(watches)),
        Read::Rejected(code) => ("invalid", json!({"err": code.raw()})),
    }
}

fn read_part(part: &MultiReadOp<'_>) -> Value {
    match part {
        MultiReadOp::GetData { path } => json!({"op": "getData", "path": path}),
        MultiReadOp::GetChildren { path } => json!({"op": "getChildren", "path": path}),
    }
}

fn set_watches(watches: &SetWatches<'_>) -> Value {
    json!({
        "relative": zxid(watches.relative_zxid), "data": watches.data, "exist": watches.exist,
        "child": watches.child, "persistent": watches.persistent,
        "recursive": watches.persistent_recursive,
    })
}

fn write_operation(write: &Write<'_>) -> (&'static str, Value) {
    match write {
        Write::Create(args) => ("create", create(args)),
        Write::Delete { path, version } => ("delete", json!({"path": path, "version": version})),
        Write::DeleteContainer { path } => ("deleteContainer", json!({"path": path})),
        Write::SetData { path, data: bytes, version } => {
            ("setData", json!({"path": path, "data": borrowed(bytes), "version": version}))
        }
        Write::SetAcl { path, acl, version } => {
            ("setACL", json!({"path": path, "acl": acl_entries(acl), "version": version}))
        }
        Write::Multi(parts) => ("multi", parts.iter().map(write_part).collect()),
        Write::Reconfig(_) => ("reconfig", Value::Null),
        Write::CreateSession { timeout_ms } => ("createSession", json!({"timeout": timeout_ms})),
        Write::Rejected(code) => ("invalid", json!({"err": code.raw()})),
    }
}

fn write_part(part: &MultiOp<'_>) -> Value {
    let (name, mut args) = match part {
        MultiOp::Create(args) => ("create", create(args)),
        MultiOp::Delete { path, version } => ("delete", json!({"path": path, "version": version})),
        MultiOp::SetData { path, data, version } => {
            ("setData", json!({"path": path, "data": borrowed(data), "version": version}))
        }
        MultiOp::Check { path, version } => ("check", json!({"path": path, "version": version})),
    };
    if let Value::Object(args) = &mut args {
        args.insert("op".to_owned(), json!(name));
    }
    args
}

fn create(create: &Create<'_>) -> Value {
    let (mode, ttl_ms) = match create.mode {
        CreateMode::Persistent => ("persistent", None),
        CreateMode::Ephemeral => ("ephemeral", None),
        CreateMode::PersistentSequential => ("persistent-sequential", None),
        CreateMode::EphemeralSequential => ("ephemeral-sequential", None),
        CreateMode::Container => ("container", None),
        CreateMode::PersistentWithTtl(ttl_ms) => ("ttl", Some(ttl_ms)),
        CreateMode::PersistentSequentialWithTtl(ttl_ms) => ("ttl-sequential", Some(ttl_ms)),
    };
    json!({
        "path": create.path, "data": borrowed(&create.data), "acl": acl_entries(&create.acl),
        "mode": mode, "ttl": ttl_ms,
    })
}

fn answer_body(answer: &Answer) -> Value {
    match answer {
        Answer::Done => Value::Null,
        Answer::Path(path) => json!({"path": path}),
        Answer::Created(path, of) => json!({"path": path, "stat": stat(of)}),
        Answer::Stat(of) => json!({"stat": stat(of)}),
        Answer::Data(bytes, of) => json!({"data": data(bytes.as_deref()), "stat": stat(of)}),
        Answer::Acl(acl, of) => json!({"acl": acl_entries(acl), "stat": stat(of)}),
        Answer::Children(names) => json!({"children": names}),
        Answer::ChildrenStat(names, of) => json!({"children": names, "stat": stat(of)}),
        Answer::Count(count) => json!({"count": count}),
        Answer::Ephemerals(paths) => json!({"ephemerals": paths}),
        Answer::Identities(ids) => json!({"ids": ids}),
        Answer::Multi(parts) => parts.iter().map(part_answer).collect(),
    }
}

fn part_answer(part: &PartAnswer) -> Value {
    match part {
        PartAnswer::Path(path) => json!({"path": path}),
        PartAnswer::Created(path, of) => json!({"path": path, "stat": stat(of)}),
        PartAnswer::Deleted => json!({"deleted": true}),
        PartAnswer::Stat(of) => json!({"stat": stat(of)}),
        PartAnswer::Checked => json!({"checked": true}),
        PartAnswer::Data(bytes, of) => json!({"data": data(bytes.as_deref()), "stat": stat(of)}),
        PartAnswer::Children(names) => json!({"children": names}),
        PartAnswer::Error(code) => json!({"err": code}),
    }
}

fn txn_body(txn: &Txn) -> Value {
    match txn {
        Txn::CreateSession { timeout_ms } => {
            json!({"type": "createSession", "timeout": timeout_ms})
        }
        Txn::CloseSession { paths } => json!({"type": "closeSession", "paths": paths}),
        Txn::Create(create) => create_txn(create),
        Txn::Delete { path } => json!({"type": "delete", "path": path}),
        Txn::DeleteContainer { path } => json!({"type": "deleteContainer", "path": path}),
        Txn::SetData { path, data: bytes, version } => json!({
            "type": "setData", "path": path, "data": data(bytes.as_deref()), "version": version,
        }),
        Txn::Reconfig { path, version, .. } => {
            json!({"type": "reconfig", "path": path, "version": version})
        }
        Txn::SetAcl { path, acl, version } => json!({
            "type": "setACL", "path": path, "acl": acl_entries(acl), "version": version,
        }),
        Txn::Error { code } => json!({"type": "error", "err": code}),
        Txn::Check { path, version } => {
            json!({"type": "check", "path": path, "version": version})
        }
        Txn::Multi(parts) => {
            json!({"type": "multi", "parts": parts.iter().map(txn_body).collect::<Vec<_>>()})
        }
    }
}

fn create_txn(create: &CreateTxn) -> Value {
    json!({
        "type": "create", "path": create.path, "data": data(create.data.as_deref()),
        "acl": acl_entries(&create.acl), "ephemeral": create.ephemeral,
        "parentCversion": create.parent_cversion, "ttl": create.ttl_ms,
    })
}

fn stat(stat: &Stat) -> Value {
    let mut fields = Map::new();
    for (name, value) in [
        ("czxid", zxid(stat.czxid)),
        ("mzxid", zxid(stat.mzxid)),
        ("pzxid", zxid(stat.pzxid)),
        ("owner", format!("{:#x}", stat.ephemeral_owner.0)),
    ] {
        fields.insert(name.to_owned(), json!(value));
    }
    for (name, value) in [
        ("ctime", stat.ctime_ms),
        ("mtime", stat.mtime_ms),
        ("version", stat.version.into()),
        ("cversion", stat.cversion.into()),
        ("aversion", stat.aversion.into()),
        ("dataLength", stat.data_length.into()),
        ("numChildren", stat.num_children.into()),
    ] {
        fields.insert(name.to_owned(), json!(value));
    }
    Value::Object(fields)
}

fn acl_entries(acl: &[Acl]) -> Vec<String> {
    acl.iter().map(Acl::to_string).collect()
}

fn borrowed(bytes: &Option<Cow<'_, [u8]>>) -> Value {
    data(bytes.as_deref())
}

fn data(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with("0x") && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            json!(text)
        }
        _ => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(format!("0x{hex}"))
        }
    }
}

const fn event_kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::NodeCreated => "created",
        EventKind::NodeDeleted => "deleted",
        EventKind::NodeDataChanged => "dataChanged",
        EventKind::NodeChildrenChanged => "childrenChanged",
    }
}

fn zxid(zxid: Zxid) -> String {
    format!("0x{zxid:x}")
}

#[cfg(test)]
mod tests {
    use types::{ConnId, ErrorCode, Instant, SessionId, Sid, Xid};

    use super::super::{ClientId, History};
    use super::*;

    #[test]
    fn lines_have_the_documented_fields() {
        let mut history = History::default();
        let at = Instant::from_nanos(7);
        let (client, conn, xid) = (ClientId(1), ConnId(2), Xid(3));
        history.push(
            at,
            Event::Invoke {
                client,
                session: SessionId(16),
                conn,
                server: Sid(1),
                xid,
                op: Op::Write(Write::SetData {
                    path: "/a".into(),
                    data: Some(vec![b'x'].into()),
                    version: None,
                }),
            },
        );
        let zxid = Some(Zxid::from_raw(0x1_0000_0002));
        history
            .push(at, Event::Reply { client, conn, xid, zxid, result: Err(ErrorCode::BadVersion) });
        history.push(at, Event::Unknown { client, conn, xid });
        let mut text = Vec::new();
        history.write(&mut text).expect("memory is writable");
        let lines: Vec<Value> = String::from_utf8(text)
            .expect("JSON is text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("valid JSON"))
            .collect();
        assert_eq!(
            lines,
            [
                json!({"t": 7, "ev": "invoke", "p": 1, "sess": "0x10", "conn": 2, "srv": 1,
                    "xid": 3, "op": "setData",
                    "args": {"path": "/a", "data": "x", "version": null}}),
                json!({"t": 7, "ev": "fail", "p": 1, "conn": 2, "xid": 3, "zxid": "0x100000002",
                    "err": -103, "res": null}),
                json!({"t": 7, "ev": "unknown", "p": 1, "conn": 2, "xid": 3}),
            ]
        );
    }

    #[test]
    fn unprintable_data_is_hexadecimal() {
        assert_eq!(data(Some(b"abc")), json!("abc"));
        assert_eq!(data(Some(b"0x")), json!("0x3078"));
        assert_eq!(data(Some(&[0, 255])), json!("0x00ff"));
        assert_eq!(data(Some(b"")), json!(""));
        assert_eq!(data(None), Value::Null);
    }
}
