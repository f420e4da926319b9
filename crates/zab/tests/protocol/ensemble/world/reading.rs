//! Reading a server's log for its learners.

use std::sync::Arc;
use std::time::Duration;

use types::{Sid, Zxid};
use wire::quorum::Proposal;
use wire::stored::LogBatch;
use zab::{Input, Link};

use super::World;
use super::packets;
use super::record::{Moment, Shown};
use super::server::Event;

/// Bytes of a transaction in a log, about.
const ENTRY_BYTES: u64 = 50;

/// Transactions that are read at once, at most.
const PART_MAX: u64 = 2;

impl World {
    pub(super) fn read_log(&mut self, sid: Sid, link: Link, after: Zxid, up_to: Zxid) -> Moment {
        self.show(Shown::Storage, || {
            format!("{} looks in its log behind {}", sid.0, packets::at(after))
        });
        let server = self.server(sid);
        let is_durable = server.disk.durable.last_logged() >= up_to;
        assert!(is_durable, "D1: {sid:?} is to read {up_to}, which is not durable");
        let run = server.run;
        if let Some(process) = &mut server.process {
            process.readings.insert(link, (after, up_to));
        }
        let time = self.time_of_job();
        self.schedule(time, Event::LogLooked { sid, run, link });
        Moment::new("looks_in", "log")
    }

    pub(super) fn read_on(&mut self, sid: Sid, link: Link) -> Moment {
        let run = self.server(sid).run;
        let time = self.plan.stream;
        self.schedule(time, Event::LogRead { sid, run, link });
        Moment::new("reads", "log")
    }

    pub(super) fn stop_reading(&mut self, sid: Sid, link: Link) -> Moment {
        if let Some(process) = &mut self.server(sid).process {
            process.readings.remove(&link);
        }
        Moment::new("stops_reading", "log")
    }

    pub(super) fn on_log_looked(&mut self, sid: Sid, link: Link) {
        let is_spoiled = self.is_log_spoiled();
        let server = self.server(sid);
        let Some(process) = &mut server.process else { return };
        let Some((wanted, up_to)) = process.readings.get_mut(&link) else { return };
        let durable = &server.disk.durable;
        let Some(after) = durable.look_up(*wanted).filter(|_| !is_spoiled) else {
            return self.on_log_lacks(sid, link);
        };
        *wanted = after;
        let entries = durable.readable_behind(after).take_while(|it| it.zxid <= *up_to).count();
        let bytes = entries as u64 * ENTRY_BYTES;
        self.show(Shown::Storage, || format!("{} log has {}", sid.0, packets::at(after)));
        let snapshot_bytes = Some(ENTRY_BYTES);
        self.step(sid, "LogFound", Input::LogFound { link, after, bytes, snapshot_bytes });
    }

    pub(super) fn on_log_read(&mut self, sid: Sid, link: Link) {
        let is_spoiled = self.is_log_spoiled();
        let count = match self.plan.faults.crash_in {
            Some(_) => usize::try_from(1 + self.chance.below(PART_MAX)).expect("few"),
            None => 2,
        };
        let server = self.server(sid);
        let Some(process) = &mut server.process else { return };
        let Some((after, up_to)) = process.readings.get_mut(&link) else { return };
        let mut batch = LogBatch::new();
        let entries = server.disk.durable.readable_behind(*after);
        for entry in entries.take_while(|it| it.zxid <= *up_to).take(count) {
            batch.push_proposal(Proposal::new(&entry.payload).expect("long enough"));
        }
        let Some(last) = batch.last_zxid().filter(|_| !is_spoiled) else {
            return self.on_log_lacks(sid, link);
        };
        *after = last;
        self.record.count("log read");
        self.step(sid, "LogRead", Input::LogRead { link, batch: Arc::new(batch) });
    }

    fn on_log_lacks(&mut self, sid: Sid, link: Link) {
        self.show(Shown::Storage, || format!("{} log lacks what is needed", sid.0));
        self.record.count("log lacks");
        self.stop_reading(sid, link);
        self.step(sid, "LogLacks", Input::LogLacks { link });
    }

    fn is_log_spoiled(&mut self) -> bool {
        self.chance.percent(self.plan.faults.spoiled)
    }

    pub(super) fn time_of_job(&mut self) -> Duration {
        let jitter = u64::try_from(self.plan.job_jitter.as_micros()).expect("short");
        self.plan.job + Duration::from_micros(self.chance.below(jitter + 1))
    }
}
