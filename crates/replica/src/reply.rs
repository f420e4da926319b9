//! Answers to writes: from what was applied to what the client reads.

use std::borrow::Cow;

use tree::Applied;
use types::{CreateCall, ErrorCode, Txn, Xid, Zxid};
use wire::reply::{Body, MultiResult, Reply};

/// Appends the answer to the request that became this transaction; `None` stands for a [`Txn::SetData`].
pub(crate) fn to_write(
    xid: Xid,
    zxid: Zxid,
    txn: Option<&Txn>,
    applied: &Applied,
    out: &mut Vec<u8>,
) {
    let results: Vec<MultiResult<'_>>;
    let result = match (txn, applied) {
        (_, Applied::Failed { code }) => Err(known(*code)),
        (Some(Txn::Create(create)), Applied::Created { stat }) => Ok(match create.call {
            CreateCall::Create => Body::Path(&create.path),
            CreateCall::Create2 | CreateCall::Container | CreateCall::Ttl => {
                Body::PathAndStat { path: &create.path, stat }
            }
        }),
        (Some(Txn::Multi(txns)), Applied::Multi(outcomes)) => {
            results = txns.iter().zip(outcomes).map(|(txn, done)| of_part(txn, done)).collect();
            Ok(Body::Multi(&results))
        }
        (Some(Txn::Reconfig { data, .. }), Applied::Set { stat }) => {
            Ok(Body::Data { data: data.as_deref(), stat })
        }
        (_, Applied::Set { stat }) => Ok(Body::Stat(stat)),
        _ => Ok(Body::Empty),
    };
    Reply { xid, zxid, result }.encode(out);
}

/// The result of one operation of a multi.
fn of_part<'a>(txn: &'a Txn, applied: &Applied) -> MultiResult<'a> {
    match (txn, applied) {
        (_, Applied::Failed { code }) => MultiResult::Failed { code: *code },
        (Txn::Create(create), Applied::Created { stat }) => match create.call {
            CreateCall::Create => MultiResult::Created { path: Cow::Borrowed(&create.path) },
            CreateCall::Create2 | CreateCall::Container | CreateCall::Ttl => {
                MultiResult::Created2 { path: Cow::Borrowed(&create.path), stat: *stat }
            }
        },
        (_, Applied::Set { stat }) => MultiResult::DataSet(*stat),
        (Txn::Check { .. }, _) => MultiResult::Checked,
        _ => MultiResult::Deleted,
    }
}

/// The code that a transaction carries; a number that no release knows reads as inconsistency.
fn known(code: i32) -> ErrorCode {
    ErrorCode::from_raw(code).unwrap_or(ErrorCode::RuntimeInconsistency)
}
