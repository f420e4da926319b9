//! What every crash in a cut of the history leaves.
//!
//! Cuts are rare, and short: the nemesis seldom strikes in one, and still less often where it hurts. So
//! each is made beforehand on copies of the disk, with a loss of power in every operation that changes
//! something, and once to its end. There a snapshot shows all that is cut off: one may that was still being
//! written while a learner delivered what no quorum had, or that is an Apache server's.

use storage::{Compression, Fault, FaultKind, Operation, write_tree};
use types::Zxid;

use super::World;
use super::node::NodeId;
use super::process::{log_options, recover, recover_options};
use crate::checkers::{Promise, Violation};

/// What a cut does to a disk.
const OPERATIONS: [Operation; 4] =
    [Operation::Unlink, Operation::SetLen, Operation::Sync, Operation::SyncDir];
/// How often it does any of that, at most as far as is looked.
const OPERATIONS_MAX: u64 = 8;

/// How a cut on a copy of a disk has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Power was lost in it.
    Interrupted,
    /// It came to its end, or was refused.
    Over,
}

impl World {
    /// D3, D6: a cut leaves the old history, a part of it that goes at least as far as was asked for, or,
    /// when it is done, just that; and that is durable.
    pub(super) fn check_crashes_of_cut(
        &mut self,
        node: NodeId,
        keep: Zxid,
    ) -> Result<(), Violation> {
        if self.nodes[node].ledger.is_damaged() {
            return Ok(());
        }
        self.cut_copy(node, keep, None)?;
        for operation in OPERATIONS {
            for after in 0..OPERATIONS_MAX {
                let fault =
                    Fault { operation, name_prefix: String::new(), after, kind: FaultKind::Io };
                if self.cut_copy(node, keep, Some(fault))? == Ending::Over {
                    break;
                }
                self.counters.count("crash in a cut, on a copy");
            }
        }
        Ok(())
    }

    /// Cuts the history on a copy of the disk.
    fn cut_copy(
        &self,
        node: NodeId,
        keep: Zxid,
        fault: Option<Fault>,
    ) -> Result<Ending, Violation> {
        let (servers, seed) = (self.plan.servers, self.seed);
        let disk = self.nodes[node].disk.fork();
        let Ok((data_dir, mut found)) = recover(&disk, servers, seed) else {
            return Ok(Ending::Over);
        };
        let had = found.recovered.last_logged;
        let shown = data_dir
            .start_snapshot(had, Compression::None)
            .and_then(|writer| write_tree(writer, &mut found.recovered.tree));
        if shown.is_err() {
            return Ok(Ending::Over);
        }
        let is_possible = matches!(data_dir.cut_refusal(keep), Ok(None));
        let log = data_dir.log(log_options(&self.plan), had);
        let (true, Ok(log)) = (is_possible, log) else { return Ok(Ending::Over) };
        let planned = usize::from(fault.is_some());
        fault.into_iter().for_each(|fault| disk.faults().add(fault));
        let is_done = data_dir.rewind(log, keep, &recover_options(servers, seed)).is_ok();
        let has_struck = disk.faults().clear() < planned;
        disk.crash(&mut |_: u64| 0);
        let left = match recover(&disk, servers, seed) {
            Ok((_, found)) if found.loss.is_none() => found.recovered.last_logged,
            Ok((_, found)) => return Err(left_behind(keep, &format!("{:?}", found.loss))),
            Err(error) => return Err(left_behind(keep, &error.to_string())),
        };
        if is_done && left != keep {
            let detail = format!("what was cut behind {keep} goes on to {left} after a crash");
            return Err(Violation::new(Promise::D6, detail));
        }
        if left < keep || left > had {
            return Err(left_behind(keep, &format!("a history up to {left}")));
        }
        Ok(if has_struck { Ending::Interrupted } else { Ending::Over })
    }
}

fn left_behind(keep: Zxid, what: &str) -> Violation {
    Violation::new(Promise::D3, format!("a crash in a cut behind {keep} leaves {what}"))
}
