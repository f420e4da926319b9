//! Decides over several writes at once.

use types::{CreateTxn, ErrorCode, MultiOp, Txn};

use super::{Preparation, acl_bytes};

/// Bytes of a part beside its texts and its data, at most: type, lengths, numbers.
const BYTES_BESIDE: usize = 40;

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

/// Bytes of a part, or some more.
fn bytes(txn: &Txn) -> usize {
    let of_data = |data: &Option<Box<[u8]>>| data.as_ref().map_or(0, |data| data.len());
    BYTES_BESIDE
        + match txn {
            Txn::Create(CreateTxn { path, data, acl, .. }) => {
                path.len() + of_data(data) + acl_bytes(acl)
            }
            Txn::SetData { path, data, .. } | Txn::Reconfig { path, data, .. } => {
                path.len() + of_data(data)
            }
            Txn::SetAcl { path, acl, .. } => path.len() + acl_bytes(acl),
            Txn::Delete { path } | Txn::DeleteContainer { path } | Txn::Check { path, .. } => {
                path.len()
            }
            Txn::CreateSession { .. } | Txn::Error { .. } => 0,
            Txn::CloseSession { paths } => paths.iter().flatten().map(|path| path.len() + 4).sum(),
            Txn::Multi(txns) => txns.iter().map(bytes).sum(),
        }
}
