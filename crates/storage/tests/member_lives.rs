//! Random lives of a member: it logs, is set back, gets snapshots from leaders, promises epochs, and
//! loses power at any point of all that.
//!
//! After every crash its history is one of those that the interruption allows, without a gap; its
//! epochs are at least what was promised; and what it reads back for others is what it has.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::collections::BTreeMap;

use common::{Dice, History, options, tree_options};
use storage::{
    Compression, DataDir, Directories, Error, Fault, FaultKind, Log, LogOptions, MissingDirectory,
    Operation, SimulatedDisk, put_head, write_tree,
};
use tree::SliceEnd;
use types::{Epoch, Memory, Zxid};
use wire::quorum::put_snapshot_signature;
use wire::stored::snapshot::{AclId, put_end, put_node};

const LIVES: u64 = 120;
const CRASHES_PER_LIFE: usize = 6;

/// What the campaign met, so that a green run can be trusted.
#[derive(Default, Debug)]
struct Seen {
    rewinds: usize,
    rewinds_interrupted: usize,
    installs: usize,
    installs_interrupted: usize,
    old_after_interruption: usize,
    new_after_interruption: usize,
    epochs: usize,
    shortened: usize,
    history_served: usize,
    history_refused: usize,
}

struct Member {
    disk: SimulatedDisk,
    directories: Directories,
    dice: Dice,
    history: History,
    /// What was logged, for comparison with what is read back.
    payloads: BTreeMap<Zxid, Vec<u8>>,
    /// The last transaction that may not be lost.
    promised: Zxid,
    /// A leader's history whose installation was interrupted: it may have taken place.
    rival: Option<History>,
    accepted: Epoch,
    current: Epoch,
}

type Running = (DataDir<SimulatedDisk>, Log<SimulatedDisk>);

/// Half of the members keep their logs apart from their snapshots.
fn directories(seed: u64) -> Directories {
    match seed % 2 {
        0 => Directories::shared("/data"),
        _ => Directories { snapshots: "/snapshots".into(), logs: "/logs".into() },
    }
}

impl Member {
    fn new(seed: u64) -> Self {
        Self {
            disk: SimulatedDisk::new(),
            directories: directories(seed),
            dice: Dice(seed),
            history: History::default(),
            payloads: BTreeMap::new(),
            promised: Zxid::ZERO,
            rival: None,
            accepted: Epoch(0),
            current: Epoch(0),
        }
    }

    fn open(&self, disk: &SimulatedDisk) -> DataDir<SimulatedDisk> {
        DataDir::open(disk.clone(), self.directories.clone(), MissingDirectory::Create).unwrap()
    }

    fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(bound as u64)).unwrap()
    }

    /// Lives until it fails or has done enough.
    fn run(&mut self, (data_dir, mut log): Running, seen: &mut Seen) -> Result<(), Error> {
        for _ in 0..self.dice.below(20) {
            match self.dice.below(12) {
                0..=3 => self.append(&mut log)?,
                4 | 5 => self.promised = log.sync()?.zxid(),
                6 => self.promised = log.roll()?.zxid(),
                7 => {
                    self.promised = log.roll()?.zxid();
                    let compression = [Compression::None, Compression::Snappy][self.pick(2)];
                    let writer = data_dir.start_snapshot(self.history.last(), compression)?;
                    write_tree(writer, &mut self.history.tree)?;
                    data_dir.purge(3)?;
                }
                8 => {
                    self.promised = log.sync()?.zxid();
                    self.begin_epoch(&data_dir)?;
                    seen.epochs += 1;
                }
                9 => self.read_back(&data_dir, &log, seen)?,
                10 => log = self.rewind(&data_dir, log, seen)?,
                _ => log = self.install(&data_dir, log, seen)?,
            }
        }
        Ok(())
    }

    fn append(&mut self, log: &mut Log<SimulatedDisk>) -> Result<(), Error> {
        let (count, data_bytes) = (1 + self.pick(6), self.pick(500));
        let batch = self.history.batch(count, data_bytes);
        let logged = batch.proposals().map(|it| (it.zxid(), it.payload().to_vec()));
        self.payloads.extend(logged);
        log.append(&batch)
    }

    /// The next leader's reign, whose history is this server's.
    fn begin_epoch(&mut self, data_dir: &DataDir<SimulatedDisk>) -> Result<(), Error> {
        let epoch = Epoch(self.accepted.0 + 1);
        self.accepted = data_dir.store_accepted_epoch(epoch)?.epoch();
        self.current = data_dir.store_current_epoch(epoch)?.epoch();
        self.history.start_epoch(epoch.0);
        Ok(())
    }

    /// A leader asks for a cut of the last few transactions.
    fn rewind(
        &mut self,
        data_dir: &DataDir<SimulatedDisk>,
        log: Log<SimulatedDisk>,
        seen: &mut Seen,
    ) -> Result<Log<SimulatedDisk>, Error> {
        let back = self.pick(9);
        let target = self.payloads.keys().rev().nth(back).copied().unwrap_or(Zxid::ZERO);
        self.plan_fault();
        self.promised = self.promised.min(target);
        let result = data_dir.rewind(log, target, &options());
        self.disk.faults().clear();
        seen.rewinds += usize::from(result.is_ok());
        seen.rewinds_interrupted += usize::from(matches!(result, Err(Error::Io { .. })));
        let (log, recovered) = result?;
        self.history = self.history.at(target);
        self.promised = target;
        self.payloads.retain(|&zxid, _| zxid <= target);
        assert_eq!(recovered.tree.difference(&self.history.tree), None);
        self.begin_epoch(data_dir)?;
        Ok(log)
    }

    /// A leader sends its snapshot: of another history that has this one's beginning.
    fn install(
        &mut self,
        data_dir: &DataDir<SimulatedDisk>,
        log: Log<SimulatedDisk>,
        seen: &mut Seen,
    ) -> Result<Log<SimulatedDisk>, Error> {
        let back = self.pick(12);
        let common = self.payloads.keys().rev().nth(back).copied();
        let mut leader = self.history.at(common.unwrap_or(Zxid::ZERO));
        // The leader that it has followed, which may want something back, or the next one.
        let is_next = self.dice.below(2) == 0;
        let epoch = Epoch(self.accepted.0 + i32::from(is_next));
        if is_next && self.dice.below(2) == 0 {
            leader.start_epoch(epoch.0);
        }
        leader.batch(1 + self.pick(8), 80);
        let zxid = leader.last();
        self.accepted = data_dir.store_accepted_epoch(epoch)?.epoch();
        let bytes = stream(&mut leader);
        self.plan_fault();
        seen.installs_interrupted += 1;
        let piece_bytes = 1 + self.pick(300);
        let compression = [Compression::None, Compression::Gzip][self.pick(2)];
        self.rival = Some(leader);
        let before = self.history.prefix(zxid).last_applied();
        self.promised = self.promised.min(before);
        let mut receiving = data_dir.start_receiving(zxid, compression, tree_options())?;
        for piece in bytes.chunks(piece_bytes) {
            receiving.take(piece)?;
        }
        let (log, tree) = data_dir.install(log, receiving.finish()?)?;
        self.disk.faults().clear();
        seen.installs += 1;
        seen.installs_interrupted -= 1;
        self.history = self.rival.take().unwrap();
        assert_eq!(tree.difference(&self.history.tree), None);
        self.promised = zxid;
        self.payloads.clear();
        if data_dir.epochs(zxid)?.memory != Memory::Whole {
            seen.shortened += 1;
        }
        self.current = data_dir.store_current_epoch(self.accepted)?.epoch();
        self.go_on_in_the_last_epoch();
        Ok(log)
    }

    /// Everything that is handed out is what was logged, in its order.
    fn read_back(
        &mut self,
        data_dir: &DataDir<SimulatedDisk>,
        log: &Log<SimulatedDisk>,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let synced = log.last_synced();
        let index = self.pick(30);
        let Some(&after) = self.payloads.keys().nth(index).filter(|&&zxid| zxid <= synced) else {
            return Ok(());
        };
        let Some(mut history) = data_dir.history(after, synced)? else {
            seen.history_refused += 1;
            return Ok(());
        };
        let served = |zxid: &Zxid| *zxid > after && *zxid <= synced;
        let mut expected = self.payloads.iter().filter(|(zxid, _)| served(zxid));
        while let Some(batch) = history.next_batch(400)? {
            for proposal in batch.proposals() {
                let (&zxid, payload) = expected.next().unwrap();
                assert_eq!((proposal.zxid(), proposal.payload()), (zxid, &payload[..]));
            }
        }
        assert_eq!(expected.next(), None);
        seen.history_served += 1;
        Ok(())
    }

    fn go_on_in_the_last_epoch(&mut self) {
        if self.history.last().epoch() < self.accepted {
            self.history.start_epoch(self.accepted.0);
        }
    }

    /// Lets one of the next operations fail, sometimes.
    fn plan_fault(&mut self) {
        if self.dice.below(2) == 0 {
            let operation = Operation::ALL[self.pick(Operation::ALL.len())];
            let after = self.dice.below(5);
            let name_prefix = String::new();
            self.disk.faults().add(Fault { operation, name_prefix, after, kind: FaultKind::Io });
        }
    }

    fn crash(&mut self) {
        self.disk.faults().clear();
        if self.dice.below(4) == 0 {
            self.disk.kill();
        } else {
            let dice = &mut self.dice;
            self.disk.crash(&mut |bound| dice.below(bound));
        }
    }

    /// Recovers, checks the result, and goes on from it.
    fn recover(&mut self, seen: &mut Seen) -> Running {
        let again = self.disk.fork();
        let data_dir = self.open(&self.disk);
        let recovered = data_dir.recover_member(&options()).unwrap();
        assert!(recovered.loss.is_none(), "{:?}", recovered.loss);
        let recovered = recovered.recovered;
        let last = recovered.last_logged;
        assert_eq!(recovered.digest_mismatches, 0);
        let rival = self.rival.take().filter(|rival| {
            rival.last() == last && rival.tree.difference(&recovered.tree).is_none()
        });
        if let Some(rival) = rival {
            seen.new_after_interruption += 1;
            self.history = rival;
            self.payloads.clear();
        } else {
            assert!(last >= self.promised, "{last} recovered, {} promised", self.promised);
            assert!(last <= self.history.last(), "{last} was never written");
            let expected = self.history.prefix(last);
            assert_eq!(recovered.tree.difference(&expected), None);
            if last < self.history.last() {
                self.history = self.history.at(last);
            }
            self.payloads.retain(|&zxid, _| zxid <= last);
            seen.old_after_interruption += 1;
        }
        self.promised = last;
        let twice = self.open(&again).recover(&options()).unwrap();
        assert_eq!(twice.tree.difference(&recovered.tree), None);

        let epochs = data_dir.epochs(last).unwrap();
        assert!(epochs.accepted >= self.accepted && epochs.current >= self.current, "{epochs:?}");
        assert!(epochs.accepted >= epochs.current && epochs.accepted >= last.epoch());
        (self.accepted, self.current) = (epochs.accepted, epochs.current);
        self.go_on_in_the_last_epoch();
        let options = LogOptions { space_step_bytes: 1024, ..LogOptions::default() };
        let log = data_dir.log(options, last).unwrap();
        (data_dir, log)
    }
}

fn stream(history: &mut History) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_head(&mut bytes, &history.tree.begin_snapshot());
    let end = history.tree.snapshot_slice(usize::MAX, &mut |path, data, acl, stat| {
        put_node(&mut bytes, path, data, AclId(acl), stat);
    });
    assert_eq!(end, SliceEnd::Done);
    put_end(&mut bytes);
    put_snapshot_signature(&mut bytes);
    bytes
}

#[test]
fn member_never_ends_up_with_a_mixture_of_histories() {
    let mut seen = Seen::default();
    for seed in 0..LIVES {
        let mut member = Member::new(seed);
        for _ in 0..CRASHES_PER_LIFE {
            let running = member.recover(&mut seen);
            // However it ends, what is on the disk has to be one of what may be.
            match member.run(running, &mut seen) {
                Err(Error::Poisoned | Error::BehindDamage | Error::OtherBranch { .. }) => {
                    panic!("seed {seed}: it went on after a failure");
                }
                Ok(()) | Err(_) => member.crash(),
            }
        }
        member.recover(&mut seen);
    }
    println!("{seen:?}");
    assert!(seen.rewinds > 100 && seen.rewinds_interrupted > 40, "{seen:?}");
    assert!(seen.installs > 100 && seen.installs_interrupted > 40, "{seen:?}");
    assert!(seen.new_after_interruption > 5 && seen.old_after_interruption > 300, "{seen:?}");
    assert!(seen.epochs > 100 && seen.shortened > 20, "{seen:?}");
    assert!(seen.history_served > 50 && seen.history_refused > 2, "{seen:?}");
}
