//! Decides over several writes at once.

use types::{CreateCall, CreateTxn, ErrorCode, MultiOp, Txn};
use wire::limits::TEXT_BYTES_MIN;

use super::{Preparation, acl_bytes};

/// Bytes of a part beside its record: its type and the length.
const BYTES_BESIDE_RECORD: usize = 8;

impl Preparation<'_> {
    /// All of them, each checked against the state that those before it leave; or, if one is
    /// refused, a transaction that records which and changes nothing.
    ///
    /// The part with which the whole would be longer than a transaction may be is refused.
    pub(super) fn multi(&mut self, ops: Vec<MultiOp<'static>>) -> Txn {
        self.pending.begin_multi();
        let mut txns = Vec::with_capacity(ops.len());
        let mut failed = false;
        let mut record_bytes = 0;
        for op in ops {
            let txn = if failed {
                Txn::Error { code: ErrorCode::RuntimeInconsistency.raw() }
            } else {
                let txn = self.multi_op(op).and_then(|txn| {
                    record_bytes += bytes(&txn);
                    match self.has_room_for(record_bytes) {
                        true => Ok(txn),
                        false => Err(ErrorCode::MarshallingError),
                    }
                });
                txn.unwrap_or_else(|code| {
                    failed = true;
                    Txn::Error { code: code.raw() }
                })
            };
            txns.push(txn);
        }
        if failed {
            self.pending.roll_back();
        } else {
            self.pending.keep();
        }
        Txn::Multi(txns)
    }
}

/// Bytes of a part of a multi as it is written.
fn bytes(txn: &Txn) -> usize {
    let of_data = |data: &Option<Box<[u8]>>| 4 + data.as_ref().map_or(0, |data| data.len());
    let of_path = |path: &str| TEXT_BYTES_MIN + path.len();
    BYTES_BESIDE_RECORD
        + match txn {
            Txn::Create(CreateTxn { call, path, data, acl, .. }) => {
                let of_kind = match call {
                    CreateCall::Create | CreateCall::Create2 => 1,
                    CreateCall::Container => 0,
                    CreateCall::Ttl => 8,
                };
                of_path(path) + of_data(data) + 4 + acl_bytes(acl) + 4 + of_kind
            }
            Txn::SetData { path, data, .. } | Txn::Reconfig { path, data, .. } => {
                of_path(path) + of_data(data) + 4
            }
            Txn::SetAcl { path, acl, .. } => of_path(path) + 4 + acl_bytes(acl) + 4,
            Txn::Delete { path } | Txn::DeleteContainer { path } => of_path(path),
            Txn::Check { path, .. } => of_path(path) + 4,
            Txn::CreateSession { .. } | Txn::Error { .. } => 4,
            Txn::CloseSession { paths } => {
                4 + paths.iter().flatten().map(|path| of_path(path)).sum::<usize>()
            }
            Txn::Multi(txns) => 4 + txns.iter().map(bytes).sum::<usize>(),
        }
}

#[cfg(test)]
mod tests {
    use types::{AclList, SessionId, TxnHeader, Xid, Zxid};
    use wire::stored::encode_txn;

    use super::*;

    #[test]
    fn lengths_are_those_of_what_is_written() {
        let create = |call, ttl_ms| {
            let (path, data) = ("/a".into(), Some(vec![7; 9].into()));
            let (acl, parent_cversion) = (AclList::open(), Some(3));
            Txn::Create(CreateTxn {
                call,
                path,
                data,
                acl,
                ephemeral: false,
                parent_cversion,
                ttl_ms,
            })
        };
        let txns = vec![
            create(CreateCall::Create, None),
            create(CreateCall::Create2, None),
            create(CreateCall::Container, None),
            create(CreateCall::Ttl, Some(5)),
            Txn::SetData { path: "/bc".into(), data: None, version: 1 },
            Txn::Delete { path: "/d".into() },
            Txn::Check { path: "/e".into(), version: 1 },
            Txn::Error { code: -1 },
        ];
        let header =
            TxnHeader { session: SessionId(1), cxid: Xid(1), zxid: Zxid::from_raw(1), time_ms: 1 };
        let written = |txn: &Txn| {
            let mut out = Vec::new();
            encode_txn(&mut out, &header, txn, None);
            out.len()
        };
        let before = written(&Txn::Multi(Vec::new()));
        for txn in txns {
            let multi = Txn::Multi(vec![txn.clone()]);
            assert_eq!(written(&multi) - before, bytes(&txn), "{txn:?}");
        }
    }
}
