//! Disks that do not keep what they were given: bits that change while a machine is off, and disks
//! that are replaced by empty ones.
//!
//! Nothing can be promised once the last copies of a transaction are gone. So before anything is
//! damaged, a quorum of voters is left that remembers all it has acknowledged. Damage that a server has
//! to notice (D7) is done to any of the others. Damage that looks like the end of what a crash has
//! torn, which nobody can tell from it, is done only if enough others have what it takes away.

use storage::{Disk, Epochs, Origin, RecoveredMember, SECTOR_BYTES, SimulatedDisk};
use tree::Tree;
use types::{Epoch, Memory, Zxid};

use super::World;
use super::death::Death;
use super::disk_matrix::DiskFailure;
use super::ledger::CONFIG_PATH;
use super::log_image::{LogImage, watermark};
use super::matrix;
use super::node::{Life, Node, NodeId};
use super::process::{directories, recover};
use crate::checkers::{Promise, Violation};
use crate::history::Fault;

/// A change of a file.
#[derive(Debug)]
struct Damage {
    path: std::path::PathBuf,
    /// What the file holds then.
    bytes: Vec<u8>,
    /// Whether this can not be taken for the end of what a crash has torn.
    is_evident: bool,
}

/// What a server remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recollection {
    memory: Memory,
    current: Epoch,
    last_logged: Zxid,
}

/// Of who has lost something, and nobody knows what.
const NOTHING: Recollection = Recollection {
    memory: Memory::Shortened { had: None },
    current: Epoch(0),
    last_logged: Zxid::ZERO,
};

impl Recollection {
    /// Whether it may vote for one of these: it has lost nothing, or one of them has what it had.
    pub(super) fn may_vote(&self, mut others: impl Iterator<Item = Self>) -> bool {
        match self.memory {
            Memory::Whole => true,
            Memory::Shortened { had: None } => false,
            Memory::Shortened { had: Some(had) } => others.any(|other| {
                let is_no_worse = (other.current, other.last_logged) >= (self.current, had);
                other.memory == Memory::Whole && is_no_worse
            }),
        }
    }
}

impl World {
    /// Bits change while the machine is off.
    ///
    /// # Errors
    /// D7: something is cut that can not be a torn end.
    pub(super) fn rot(&mut self, node: NodeId) -> Result<(), Violation> {
        if !self.may_forget(node) {
            return Ok(());
        }
        let doing = matrix::doing(&self.nodes[node]);
        self.cut_off_power(node);
        let sound = self.nodes[node].disk.fork();
        let Some(before) = self.look_at(&sound).filter(|found| found.loss.is_none()) else {
            return Ok(());
        };
        let Some(Damage { path, bytes, is_evident }) = self.draw_damage(&sound) else {
            return Ok(());
        };
        let damaged = sound.fork();
        damaged.plant(&path, &bytes);
        let Some(after) = self.look_at(&damaged) else { return Ok(()) };
        let (had, left) = (before.recovered.last_logged, after.recovered.last_logged);
        let is_noticed = after.loss.is_some() || after.recovered.origin == Origin::Unknown;
        let difference = first_difference(&before.recovered.tree, &after.recovered.tree);
        if !is_noticed && (left < had || difference.is_some()) {
            // Two changes together may look like what neither does.
            let is_first = !self.nodes[node].ledger.is_damaged();
            if is_first && is_evident || watermark(&damaged) > left {
                let detail = format!(
                    "{} was damaged, and what ended with {had} ends with {left}, {difference:?}; {:?}, \
                     {:?}",
                    path.display(),
                    after.recovered.origin,
                    after.recovered.unreadable_snapshots
                );
                return Err(Violation::new(Promise::D7, detail));
            }
            if left == had {
                self.counters.count("rot that nobody can tell");
                return Ok(());
            }
            if !self.others_have(node, left, had) {
                return Ok(());
            }
            self.counters.count("rot that looks like a torn end");
            self.nodes[node].ledger.lost_behind(left);
        }
        self.counters.count(match is_noticed {
            true => "rot that takes something away",
            false => "rot that takes nothing away",
        });
        self.count_fault_while("file rots", doing);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.counters.count_disk_failure(DiskFailure::rot(&name), doing);
        self.note_fault(node, Fault::Rot);
        self.nodes[node].disk.plant(&path, &bytes);
        self.nodes[node].ledger.damaged();
        self.nodes[node].rotten.push(path);
        self.nodes[node].has_rotted = true;
        self.nodes[node].forgetful_since = Some(self.nodes[node].life.number);
        Ok(())
    }

    /// The machine comes back with an empty disk.
    pub(super) fn lose_disk(&mut self, node: NodeId) -> Result<(), Violation> {
        // Who loses its disk twice in a few hours, and starts more than once a minute, may hand out ids of
        // sessions again.
        if self.nodes[node].has_lost_disk || !self.may_forget(node) {
            return Ok(());
        }
        self.nodes[node].has_lost_disk = true;
        let doing = matrix::doing(&self.nodes[node]);
        self.cut_off_power(node);
        self.count_fault_while("disk lost", doing);
        self.counters.count("disk lost");
        self.note_fault(node, Fault::DiskLoss);
        let it = &mut self.nodes[node];
        it.take_back_disk_faults();
        it.disk = SimulatedDisk::new();
        it.rotten.clear();
        it.has_rotted = false;
        it.ledger.lost_all();
        (it.accepted_epoch, it.current_epoch) = (Epoch::default(), Epoch::default());
        it.forgetful_since = Some(it.life.number);
        Ok(())
    }

    /// Lets a server find less than it had, if others remember what it has acknowledged: a part of a
    /// file that a start can not read is lost to a member. Tells whether it may.
    pub(super) fn give_up(&mut self, node: NodeId) -> bool {
        let may_forget = self.may_forget(node);
        if may_forget {
            let it = &mut self.nodes[node];
            it.ledger.damaged();
            it.forgetful_since = Some(it.life.number + u32::from(it.process.is_some()));
        }
        may_forget
    }

    /// A leader has brought this server to its history.
    pub(super) fn is_repaired(&mut self, life: Life) {
        let Node { forgetful_since, rotten, disk, .. } = &mut self.nodes[life.node];
        rotten.retain(|path| disk.contents(path).is_ok());
        let is_over = |since: &mut u32| *since <= life.number && rotten.is_empty();
        if forgetful_since.take_if(is_over).is_some() {
            self.counters.count("member repaired by a leader");
        }
    }

    fn cut_off_power(&mut self, node: NodeId) {
        if self.nodes[node].process.is_some() {
            self.die(node, Death::PowerLost);
        } else {
            self.lose_power(node);
            self.nodes[node].is_without_power = true;
        }
    }

    /// Whether a server may lose what it has acknowledged: others remember.
    fn may_forget(&self, node: NodeId) -> bool {
        if self.plan.servers.are_changing() {
            return false;
        }
        let voters = self.plan.servers.voters;
        if node.0 >= voters {
            return true;
        }
        let others = self.nodes.ids().take(voters).filter(|&other| other != node);
        let forgetful = others.filter(|&other| self.is_forgetful(other)).count();
        forgetful < (voters - 1) / 2
    }

    /// Whether a server does not remember all that it has acknowledged, or would not if power were lost now:
    /// that it was repaired is not durable at once.
    pub(super) fn is_forgetful(&self, node: NodeId) -> bool {
        self.recollection(node).memory != Memory::Whole
    }

    /// How far a server's history went before a leader took away a part that it has not got back.
    pub(super) fn had_before(&self, node: NodeId) -> Option<Zxid> {
        let note = directories().snapshot_dir().join("shortened");
        if !self.nodes[node].disk.exists(&note).unwrap_or(true) {
            return None;
        }
        match self.on_disk(node).memory {
            Memory::Whole => None,
            Memory::Shortened { had } => had,
        }
    }

    /// What a server remembers, on a disk that may have lost something.
    pub(super) fn recollection(&self, node: NodeId) -> Recollection {
        match self.nodes[node].forgetful_since {
            Some(_) => NOTHING,
            None => self.on_disk(node),
        }
    }

    /// What a server would find if power were lost now.
    fn on_disk(&self, node: NodeId) -> Recollection {
        let durable = self.nodes[node].disk.fork();
        durable.crash(&mut |_: u64| 0);
        let Ok((data_dir, found)) = recover(&durable, self.plan.servers, self.seed) else {
            return NOTHING;
        };
        let is_lost = found.loss.is_some() || found.recovered.origin == Origin::Unknown;
        let last_logged = found.recovered.last_logged;
        if is_lost {
            return NOTHING;
        }
        match data_dir.epochs(last_logged) {
            Ok(Epochs { current, memory, .. }) => Recollection { memory, current, last_logged },
            // It is to start, with all that it has.
            Err(_) => Recollection { memory: Memory::Whole, current: Epoch(0), last_logged },
        }
    }

    /// Whether all that a server has behind one transaction, up to another, is on the disks of so many
    /// other voters that every quorum has one of them. Those count that are of no earlier epoch: a server
    /// whose history has lost its end, and whose epoch has not, is preferred to any of an earlier epoch.
    fn others_have(&self, node: NodeId, behind: Zxid, last: Zxid) -> bool {
        let voters = self.plan.servers.voters;
        if node.0 >= voters {
            return true;
        }
        let Some((epoch, _)) = self.durable_end(node) else { return false };
        let has = |other: &NodeId| {
            self.durable_end(*other).is_some_and(|end| end.0 >= epoch && end.1 >= last)
                && self.nodes[*other].ledger.has_all_of(&self.nodes[node].ledger, behind, last)
        };
        let others = self.nodes.ids().take(voters).filter(|&other| other != node);
        others.filter(has).count() > voters / 2
    }

    /// The epoch and the end of the history that a server would find if power were lost now.
    fn durable_end(&self, node: NodeId) -> Option<(Epoch, Zxid)> {
        let durable = self.nodes[node].disk.fork();
        durable.crash(&mut |_: u64| 0);
        let (data_dir, found) = recover(&durable, self.plan.servers, self.seed).ok()?;
        let last = found.recovered.last_logged;
        data_dir.epochs(last).ok().map(|epochs| (epochs.current, last))
    }

    fn look_at(&self, disk: &SimulatedDisk) -> Option<RecoveredMember> {
        recover(&disk.fork(), self.plan.servers, self.seed).ok().map(|(_, found)| found)
    }

    /// A bit of a log or a snapshot, or a sector.
    fn draw_damage(&mut self, disk: &SimulatedDisk) -> Option<Damage> {
        let tape = &mut self.agenda.tape;
        let logs = LogImage::all(disk);
        if tape.chance(300) {
            let dir = directories().snapshot_dir();
            let mut snapshots = disk.list(&dir).ok()?;
            snapshots.retain(|name| name.starts_with("snapshot."));
            let path = dir.join(snapshots.get(tape.index(snapshots.len().max(1)))?);
            let mut bytes = disk.contents(&path).ok()?;
            let at = tape.index(bytes.len().max(1));
            *bytes.get_mut(at)? ^= 1 << tape.range(0, 7);
            return Some(Damage { path, bytes, is_evident: true });
        }
        let filled: Vec<_> = logs.iter().filter(|log| !log.entries.is_empty()).collect();
        let which = tape.index(filled.len().max(1));
        let log = filled.get(which)?;
        let is_newest = which + 1 == filled.len();
        let index = tape.index(log.entries.len());
        let entry = &log.entries[index];
        let at = entry.bytes.start + tape.index(entry.bytes.len());
        let mut bytes = log.bytes.clone();
        let is_bit = tape.chance(700);
        let start_of_change = if is_bit { at } else { at / SECTOR_BYTES * SECTOR_BYTES };
        if is_bit {
            bytes[at] ^= 1 << tape.range(0, 7);
        } else {
            let end = (start_of_change + SECTOR_BYTES).min(bytes.len());
            bytes[start_of_change..end].fill(0);
        }
        let is_evident = match is_newest {
            true => is_bit && log.is_surely_written(index),
            // Zeros up to its end may always have been there: the next epoch's log follows any other.
            false => log.is_written_behind(start_of_change, &bytes),
        };
        Some(Damage { path: log.path.clone(), bytes, is_evident })
    }
}

/// A path with which something is wrong in one of two trees of a member, or a session, if there is one.
fn first_difference(one: &Tree, other: &Tree) -> Option<String> {
    // What only opens or ends a session leaves no trace in the digests either.
    if !one.sessions().eq(other.sessions()) {
        return Some("the sessions".to_owned());
    }
    let lacks = |of: &Tree, path: &str| of.find(path).is_none();
    let differs = |path: &String| {
        let (Some(node), Some(twin)) = (one.find(path), other.find(path)) else { return true };
        node.stored_stat() != twin.stored_stat() || node.data() != twin.data()
    };
    let paths = one.nodes().map(|node| node.path()).filter(|path| path != CONFIG_PATH);
    let additional = other.nodes().map(|node| node.path()).find(|path| lacks(one, path));
    paths.into_iter().find(differs).or(additional)
}
