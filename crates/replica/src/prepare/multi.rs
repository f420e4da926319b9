//! Decides over several writes at once.

use types::{ErrorCode, MultiOp, Txn};

use super::Preparation;

impl Preparation<'_> {
    /// All of them, each checked against the state that those before it leave; or, if one is
    /// refused, a transaction that records which and changes nothing.
    pub(super) fn multi(&mut self, ops: Vec<MultiOp<'static>>) -> Txn {
        self.pending.begin_multi();
        let mut txns = Vec::with_capacity(ops.len());
        let mut failed = false;
        for op in ops {
            let txn = if failed {
                Txn::Error { code: ErrorCode::RuntimeInconsistency.raw() }
            } else {
                self.multi_op(op).unwrap_or_else(|code| {
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
