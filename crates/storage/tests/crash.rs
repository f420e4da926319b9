//! Random lives of a server that loses power again and again.
//!
//! After every crash: what was synced is there, the history has no gap and is the one that was
//! written, and a second recovery finds the same as the first.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use common::{DIR, Dice, History, open, options, recover_simulated};
use storage::{
    Compression, DataDir, Fault, FaultKind, Log, LogOptions, Operation, SimulatedDisk, write_tree,
};
use types::Zxid;

const LIVES: u64 = 200;
const CRASHES_PER_LIFE: usize = 6;

/// What the campaign met, so that a green run can be trusted.
#[derive(Default, Debug)]
struct Seen {
    crashes: usize,
    lost_unsynced: usize,
    kept_unsynced: usize,
    trimmed: usize,
    crashes_in_recovery: usize,
    snapshots: usize,
    purges_that_removed: usize,
    truncations: usize,
    failed_syncs: usize,
}

struct Server {
    disk: SimulatedDisk,
    dice: Dice,
    history: History,
    /// The last transaction that may not be lost.
    promised: Zxid,
}

impl Server {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::new();
        Self { disk, dice: Dice(seed), history: History::default(), promised: Zxid::ZERO }
    }

    fn run(
        &mut self,
        data_dir: &DataDir<SimulatedDisk>,
        mut log: Log<SimulatedDisk>,
        seen: &mut Seen,
    ) {
        for _ in 0..self.dice.below(25) {
            match self.dice.below(13) {
                0..=4 => {
                    let count = usize::try_from(1 + self.dice.below(6)).unwrap();
                    let data_bytes = usize::try_from(self.dice.below(700)).unwrap();
                    log.append(&self.history.batch(count, data_bytes)).unwrap();
                }
                5..=7 => self.promised = log.sync().unwrap().zxid(),
                8 => self.promised = log.roll().unwrap().zxid(),
                9 => {
                    self.promised = log.sync().unwrap().zxid();
                    log.prepare().unwrap();
                }
                10 => {
                    // A snapshot holds only what is durable in the log.
                    self.promised = log.roll().unwrap().zxid();
                    let compressions = [Compression::None, Compression::Gzip, Compression::Snappy];
                    let compression = compressions[usize::try_from(self.dice.below(3)).unwrap()];
                    let writer = data_dir.start_snapshot(self.history.last(), compression).unwrap();
                    if self.dice.below(4) > 0 {
                        write_tree(writer, &mut self.history.tree).unwrap();
                        seen.snapshots += 1;
                    }
                }
                11 => {
                    let (operation, kind) = (Operation::Sync, FaultKind::PagesDropped);
                    let name_prefix = "log.".to_owned();
                    self.disk.faults().add(Fault { operation, name_prefix, after: 0, kind });
                    log.append(&self.history.batch(1, 100)).unwrap();
                    assert!(log.sync().is_err());
                    seen.failed_syncs += 1;
                    return;
                }
                _ => {
                    let purged = data_dir.purge(3).unwrap();
                    seen.purges_that_removed += usize::from(!purged.snapshots.is_empty());
                }
            }
        }
        if self.dice.below(8) == 0 {
            self.promised = log.close().unwrap().zxid();
        }
    }

    fn crash(&mut self, seen: &mut Seen) {
        let dice = &mut self.dice;
        if dice.below(4) == 0 {
            self.disk.kill();
            return;
        }
        self.disk.crash(&mut |bound| dice.below(bound));
        seen.crashes += 1;
    }

    /// Recovers, sometimes crashing on the way; checks the result and goes on from it.
    fn recover(&mut self, seen: &mut Seen) -> (DataDir<SimulatedDisk>, Log<SimulatedDisk>) {
        while self.dice.below(3) == 0 {
            let operations =
                [Operation::SetLen, Operation::Sync, Operation::Unlink, Operation::Read];
            let operation = operations[usize::try_from(self.dice.below(4)).unwrap()];
            let after = self.dice.below(4);
            let name_prefix = String::new();
            self.disk.faults().add(Fault { operation, name_prefix, after, kind: FaultKind::Io });
            let failed = recover_simulated(&self.disk).is_err();
            self.disk.faults().clear();
            seen.crashes_in_recovery += usize::from(failed);
            self.crash(seen);
        }
        let again = self.disk.fork();
        let data_dir = open(&self.disk, DIR).unwrap();
        let recovered = data_dir.recover(&options()).unwrap();
        let last = recovered.last_logged;
        assert!(last >= self.promised, "{last} recovered, {} promised", self.promised);
        assert!(last <= self.history.last(), "{last} was never written");
        seen.lost_unsynced += usize::from(last < self.history.last());
        seen.kept_unsynced += usize::from(last > self.promised);
        seen.trimmed += usize::from(recovered.trimmed.is_some());
        if last < self.history.last() {
            self.history = self.history.at(last);
        }
        assert_eq!(recovered.tree.difference(&self.history.tree), None);
        assert_eq!(recovered.digest_mismatches, 0);
        let twice = recover_simulated(&again).unwrap();
        assert_eq!(twice.tree.difference(&recovered.tree), None);
        self.promised = last;
        let options = LogOptions { space_step_bytes: 1024, ..LogOptions::default() };
        let log = data_dir.log(options, last).unwrap();
        (data_dir, log)
    }

    /// Cuts the history as a leader would ask, with a crash at some point or none.
    fn truncate(&mut self, seen: &mut Seen) {
        let back = i64::try_from(self.dice.below(6)).unwrap();
        let target = Zxid::from_raw((self.history.last().raw() - back).max(0));
        let data_dir = open(&self.disk, DIR).unwrap();
        if self.dice.below(2) == 0 {
            let operations =
                [Operation::SetLen, Operation::Sync, Operation::Unlink, Operation::SyncDir];
            let operation = operations[usize::try_from(self.dice.below(4)).unwrap()];
            let after = self.dice.below(3);
            let name_prefix = String::new();
            self.disk.faults().add(Fault { operation, name_prefix, after, kind: FaultKind::Io });
        }
        let result = data_dir.truncate(target);
        self.disk.faults().clear();
        drop(data_dir);
        match result {
            Ok(()) => {
                seen.truncations += 1;
                self.history = self.history.at(target);
            }
            Err(storage::Error::NotCut { .. }) => {}
            Err(_) => self.promised = target,
        }
        self.promised = self.promised.min(target);
        self.crash(seen);
    }
}

#[test]
fn what_was_synced_survives_any_crash_and_nothing_else_appears() {
    let mut seen = Seen::default();
    for seed in 0..LIVES {
        let mut server = Server::new(seed);
        for _ in 0..CRASHES_PER_LIFE {
            let (data_dir, log) = server.recover(&mut seen);
            server.run(&data_dir, log, &mut seen);
            drop(data_dir);
            server.crash(&mut seen);
            if server.dice.below(3) == 0 {
                drop(server.recover(&mut seen));
                server.truncate(&mut seen);
            }
        }
        server.recover(&mut seen);
    }
    println!("{seen:?}");
    assert!(seen.crashes > 300, "{seen:?}");
    assert!(seen.lost_unsynced > 40 && seen.kept_unsynced > 30, "{seen:?}");
    assert!(seen.trimmed > 20 && seen.crashes_in_recovery > 20, "{seen:?}");
    assert!(seen.snapshots > 100 && seen.purges_that_removed > 5, "{seen:?}");
    assert!(seen.truncations > 30 && seen.failed_syncs > 50, "{seen:?}");
}
