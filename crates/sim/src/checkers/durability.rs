//! P5 and P4: what any client was told is still there after every recovery.
//!
//! The ledger is the highest zxid in anything a client received so far. Since histories have no
//! gaps (D3), that one number stands for all of them.

use std::collections::{BTreeMap, BTreeSet};

use types::{ConnId, Sid, Zxid};

use super::{Case, Promise, Reads, Violation};
use crate::history::{Event, Fault};

/// Checks every recovery, and the log at the end, against the ledger.
///
/// # Errors
/// Something that was acknowledged, or only shown, is gone.
pub fn check(case: &Case<'_>) -> Result<(), Violation> {
    let writes: BTreeMap<usize, Zxid> = case
        .operations
        .iter()
        .filter(|operation| operation.is_write())
        .filter_map(|operation| Some((operation.reply?.came.line, operation.zxid()?)))
        .collect();
    // A server without a leader may show what was never committed.
    let aside: BTreeSet<ConnId> = case.aside.iter().map(|operation| operation.conn).collect();
    let mut ledger = Ledger { acknowledged: case.start, shown: case.start };
    for (index, line) in case.history.lines.iter().enumerate() {
        match &line.event {
            Event::Reply { conn, zxid: Some(zxid), .. } if !aside.contains(conn) => {
                if writes.contains_key(&index) {
                    ledger.acknowledged = ledger.acknowledged.max(*zxid);
                }
                ledger.shown = ledger.shown.max(*zxid);
            }
            Event::Watch { zxid: Some(zxid), .. } => ledger.shown = ledger.shown.max(*zxid),
            // One of several may lack what the others have.
            Event::Fault { server, fault: Fault::Recovered(last) }
                if case.reads == Reads::AreFresh =>
            {
                ledger.compare(*last, &format!("server {} recovered", Sid(server.0).0))?;
            }
            Event::Reply { .. }
            | Event::Watch { .. }
            | Event::Invoke { .. }
            | Event::Unknown { .. }
            | Event::Connected { .. }
            | Event::Expired { .. }
            | Event::Lost { .. }
            | Event::Fault { .. } => {}
        }
    }
    ledger.compare(case.last_logged(), "the log ends")
}

#[derive(Debug)]
struct Ledger {
    /// The last write that a client knows to be done.
    acknowledged: Zxid,
    /// The last state that a client has seen.
    shown: Zxid,
}

impl Ledger {
    fn compare(&self, last: Zxid, what: &str) -> Result<(), Violation> {
        if self.acknowledged > last {
            let detail = format!("{what} at {last}, but {} was acknowledged", self.acknowledged);
            return Err(Violation::new(Promise::P5, detail));
        }
        if self.shown > last {
            let detail = format!("{what} at {last}, but {} was shown", self.shown);
            return Err(Violation::new(Promise::P4, detail));
        }
        Ok(())
    }
}
