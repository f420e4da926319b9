//! Starts of servers: what is recovered, and what it must be.

use replica::Input;
use storage::{Compression, DataDir, MissingDirectory, Origin, RecoveredMember, write_tree};
use types::Zxid;

use super::World;
use super::membership_file;
use super::node::{Life, NodeId};
use super::process::{self, Process};
use crate::checkers::{Promise, Violation};
use crate::history::Fault;

impl World {
    /// Makes the directory that the first start finds: with a state, where numbers do not start at
    /// zero; else with the word that it is meant to be empty, for a member of an ensemble.
    pub(super) fn found(&mut self, node: NodeId) -> Result<(), Violation> {
        let servers = self.plan.servers;
        if servers.are_changing() {
            membership_file::plant(&self.nodes[node].disk, &servers.membership(node));
        }
        if self.plan.start == Zxid::ZERO {
            if servers.are_ensemble() {
                self.nodes[node].disk.plant(&process::marker(), b"");
            }
            return Ok(());
        }
        let founded = DataDir::open(
            self.nodes[node].disk.clone(),
            process::directories(),
            MissingDirectory::Create,
        )
        .and_then(|data_dir| {
            let writer = data_dir.start_snapshot(self.plan.start, Compression::None)?;
            let mut tree = tree::Tree::new(process::tree_options(self.seed));
            write_tree(writer, &mut tree)
        });
        match founded {
            Ok(_) => Ok(()),
            Err(error) => Err(Violation::new(Promise::Liveness, error.to_string())),
        }
    }

    /// Makes the directory of a server that is to join: an empty one, whether it is known to be meant to
    /// be so or might have been lost.
    pub(super) fn found_spare(&mut self, node: NodeId) {
        let it = &mut self.nodes[node];
        membership_file::plant(&it.disk, &self.plan.servers.membership(node));
        let is_first = self.plan.start == Zxid::ZERO;
        if is_first && self.agenda.tape.chance(500) {
            it.disk.plant(&process::marker(), b"");
        } else {
            it.ledger.lost_all();
        }
    }

    /// Starts the process; recovery may fail if the disk was told to.
    pub(super) fn start(&mut self, life: Life) -> Result<(), Violation> {
        let node = life.node;
        let it = &self.nodes[node];
        let is_awaited = life == it.life && !it.is_away && !it.is_off;
        if !is_awaited || self.nodes[node].process.is_some() {
            return Ok(());
        }
        self.recover_twice(node)?;
        let (now, seed) = (self.now(node), self.seed ^ u64::from(life.number));
        let disk = self.nodes[node].disk.clone();
        let started =
            process::recover(&disk, self.plan.servers, seed).and_then(|(data_dir, found)| {
                let facts = self.check_recovered(node, &found);
                let recovered = found.recovered;
                let disk = disk.clone();
                let found = (data_dir, recovered);
                let process = Process::start(life, &self.plan, seed, now, disk, found)?;
                Ok((process, facts))
            });
        match started {
            Ok((process, facts)) => {
                facts?;
                if let Some(recalled) = process.recalled.clone() {
                    self.check_epochs(node, &recalled)?;
                }
                self.nodes[node].process = Some(process);
                self.nodes[node].is_without_power = false;
                if self.agenda.tape.chance(300) {
                    self.tell_owner(node, Input::TakeSnapshot);
                }
                self.plan_step(node, self.agenda.now());
                Ok(())
            }
            Err(_) if self.disk_fault_struck(node) => {
                self.counters.count("crash in recovery");
                self.die(node, self.nodes[node].death_by_disk());
                Ok(())
            }
            Err(error) => {
                let detail = format!("refused to start after a crash: {error}");
                Err(Violation::new(Promise::D7, detail))
            }
        }
    }

    /// D5: recovering is a function of what is on the disk.
    fn recover_twice(&mut self, node: NodeId) -> Result<(), Violation> {
        if !self.agenda.tape.chance(100) {
            return Ok(());
        }
        let fork = self.nodes[node].disk.fork();
        let servers = self.plan.servers;
        let recover =
            || process::recover(&fork, servers, self.seed).map(|(_, found)| found.recovered);
        if let (Ok(first), Ok(second)) = (recover(), recover())
            && (first.last_logged != second.last_logged
                || first.tree.difference(&second.tree).is_some())
        {
            let detail =
                format!("recovered up to {}, then up to {}", first.last_logged, second.last_logged);
            return Err(Violation::new(Promise::D5, detail));
        }
        Ok(())
    }

    /// Compares what was recovered with what was logged.
    pub(super) fn check_recovered(
        &mut self,
        node: NodeId,
        found: &RecoveredMember,
    ) -> Result<(), Violation> {
        if let Origin::Snapshot(zxid) = found.recovered.origin
            && let Some(last) = self.nodes[node].ledger.end_before(zxid)
        {
            let between = self.record.between(last, zxid);
            let applied = between.filter(|it| self.reigns.has_committed(it.header.zxid));
            let applied = applied.cloned().collect();
            self.nodes[node].ledger.has_in_snapshot(applied);
        }
        let lost = self.nodes[node].ledger.recovered(found)?;
        let recovered = &found.recovered;
        self.counters.add("member started with a part of its history", found.loss.is_some().into());
        self.counters.add("unsynced transactions lost", lost as u64);
        self.counters.add("torn log trimmed", u64::from(recovered.trimmed.is_some()));
        if recovered.txns_replayed > 0 && recovered.origin != Origin::Created {
            self.counters.count("recovered from a snapshot and logs");
        }
        self.note_fault(node, Fault::Recovered(recovered.last_logged));
        Ok(())
    }
}
