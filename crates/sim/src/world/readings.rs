//! The logs that leaders read for their learners, as the thread for that does.

use std::sync::Arc;

use storage::{DataDir, Error, History, SimulatedDisk};
use types::Zxid;
use zab::Link;

use super::death::Death;
use super::node::{Life, NodeId};
use super::process::News;
use super::{Happening, World};
use crate::checkers::{Promise, Violation};

/// A log that is read for one learner.
#[derive(Debug)]
pub(super) enum Reading {
    /// The place is still to be found.
    Wanted { after: Zxid, up_to: Zxid },
    /// The next part is still to be read.
    Open(Box<History<SimulatedDisk>>),
}

impl Reading {
    /// Finds the place, or reads a part. Returns what the owner is told, and how it goes on.
    pub(super) fn advance(
        self,
        data_dir: &DataDir<SimulatedDisk>,
        link: Link,
        part_bytes: usize,
    ) -> Result<(zab::Input<'static>, Option<Self>), Error> {
        let lacks = (zab::Input::LogLacks { link }, None);
        match self {
            Self::Wanted { after, up_to } => {
                let history = data_dir.history_beside(after, up_to)?;
                let snapshot_bytes = data_dir.newest_snapshot_bytes()?;
                let Some(history) = history.map(Box::new) else { return Ok(lacks) };
                let (after, bytes) = (history.after(), history.bytes());
                let found = zab::Input::LogFound { link, after, bytes, snapshot_bytes };
                Ok((found, Some(Self::Open(history))))
            }
            Self::Open(mut history) => match history.next_batch(part_bytes)?.map(Arc::new) {
                Some(batch) => Ok((zab::Input::LogRead { link, batch }, Some(Self::Open(history)))),
                None => Ok(lacks),
            },
        }
    }
}

impl World {
    /// A leader has its log looked at for a learner.
    pub(super) fn look_in_log(&mut self, node: NodeId, link: Link, after: Zxid, up_to: Zxid) {
        if let Some(process) = &mut self.nodes[node].process {
            process.readings.insert(link, Reading::Wanted { after, up_to });
            self.read_on(node, link);
        }
    }

    /// A leader has its log read on, when the learner's connection has taken what was sent.
    pub(super) fn read_on(&mut self, node: NodeId, link: Link) {
        let life = self.nodes[node].life;
        let delay = self.plan.delays.wire + self.plan.delays.thread;
        self.agenda.within(delay, Happening::ReadLog(life, link));
    }

    /// Nothing more is read for a learner.
    pub(super) fn stop_reading(&mut self, node: NodeId, link: Link) {
        if let Some(process) = &mut self.nodes[node].process
            && process.readings.remove(&link).is_some()
        {
            self.counters.count("log no longer read for a learner");
        }
    }

    /// The thread that reads the log does so once.
    pub(super) fn read_log(&mut self, life: Life, link: Link) -> Result<(), Violation> {
        let node = life.node;
        if self.agenda.now() < self.nodes[node].paused_until {
            self.agenda.at(self.nodes[node].paused_until, Happening::ReadLog(life, link));
            return Ok(());
        }
        if self.nodes[node].living(life).is_none()
            || self.crash_point(node, "crash before the log is read for a learner")
        {
            return Ok(());
        }
        let part_bytes = self.plan.snapshot_part_bytes;
        let Some(process) = self.nodes[node].living(life) else { return Ok(()) };
        let input = match process.read_for(link, part_bytes) {
            None => return Ok(()),
            Some(Ok(input)) => input,
            Some(Err(_)) if self.disk_fault_struck(node) => {
                if self.nodes[node].death_by_disk() == Death::PowerLost {
                    self.die(node, Death::PowerLost);
                    return Ok(());
                }
                self.counters.count("log could not be read for a learner");
                zab::Input::LogLacks { link }
            }
            Some(Err(_)) if self.nodes[node].has_rotted => {
                self.counters.count("log that rotted was not read for a learner");
                zab::Input::LogLacks { link }
            }
            Some(Err(error)) => {
                let detail = format!("the log for a learner, on a good disk: {error}");
                return Err(Violation::new(Promise::NoPanic, detail));
            }
        };
        if matches!(input, zab::Input::LogRead { .. }) {
            self.network.read_for(link);
        }
        self.counters.count(match &input {
            zab::Input::LogFound { .. } => "log found for a learner",
            zab::Input::LogRead { .. } => "log read for a learner",
            _ => "log lacks what a learner needs",
        });
        self.tell_news(node, News::Of(input));
        Ok(())
    }
}
