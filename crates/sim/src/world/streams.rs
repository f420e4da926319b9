//! The snapshots that leaders send to learners.

use replica::Input;
use tree::SnapshotHead;
use types::Zxid;
use wire::quorum::put_snapshot_signature;
use wire::stored::snapshot::put_end;
use zab::Link;

use super::death::Death;
use super::ledger::Snapshot;
use super::network::Speech;
use super::node::{Life, NodeId};
use super::process::{Change, LogJob};
use super::receiver::{Progress, StreamPart};
use super::way::Step;
use super::{Happening, World, packets};
use crate::checkers::{Promise, Violation};

impl World {
    /// A leader begins to send a snapshot.
    pub(super) fn begin_stream(
        &mut self,
        node: NodeId,
        link: Link,
        last_applied: Zxid,
        head: &SnapshotHead,
    ) -> Result<(), Violation> {
        let process = self.nodes[node].process.as_ref();
        if process.is_some_and(|process| process.ended.contains(&link)) {
            // It waits for somebody to take the parts, and no other learner gets one meanwhile.
            let detail = format!("server {} begins a snapshot for who is gone", node.sid().0);
            return Err(Violation::new(Promise::Liveness, detail));
        }
        self.counters.count("learner sent a snapshot");
        let ledger = &self.nodes[node].ledger;
        let logged = ledger.txns().iter().take_while(|it| it.header.zxid <= last_applied);
        // What others have acknowledged is committed, and may be on its way to this log only. Somebody may
        // have logged more in an earlier epoch, which came to nothing.
        let unlogged = self.record.between(ledger.last(), last_applied);
        let unlogged = unlogged.filter(|it| self.reigns.has_committed(it.header.zxid));
        let txns = logged.chain(unlogged).cloned().collect();
        let snapshot = Snapshot { txns, zxid: last_applied, shows: Zxid::from_raw(i64::MAX) };
        self.streams.insert(link, snapshot);
        let mut bytes = packets::snapshot(last_applied);
        storage::put_head(&mut bytes, head);
        self.go_on_with_stream(link, &bytes);
        self.take_step(node, Step::DirectionSent);
        Ok(())
    }

    /// A leader sends more of a snapshot.
    pub(super) fn go_on_with_stream(&mut self, link: Link, bytes: &[u8]) {
        self.send_to_server(link, bytes);
        if let Some(life) = self.network.socket(link).map(|socket| socket.life) {
            self.agenda.within(self.plan.delays.wire, Happening::StreamSent(life, link));
        }
    }

    /// A leader has sent all of a snapshot.
    pub(super) fn end_stream(&mut self, node: NodeId, link: Link) {
        let last = self.record.last().max(self.nodes[node].ledger.last());
        if let Some(snapshot) = self.streams.get_mut(&link) {
            snapshot.shows = last;
        }
        let mut bytes = Vec::new();
        put_end(&mut bytes);
        put_snapshot_signature(&mut bytes);
        self.send_to_server(link, &bytes);
        let sent = Input::Peer(zab::Input::SnapshotSent { link });
        self.tell_owner(node, sent);
    }

    /// The connection takes more of a snapshot.
    pub(super) fn stream_sent(&mut self, life: Life, link: Link) {
        if self.nodes[life.node].life == life && self.network.socket(link).is_some() {
            self.tell_owner(life.node, Input::StreamTakesMore(link));
        }
    }

    /// The snapshots' thread of a learner takes a part.
    pub(super) fn receive(&mut self, node: NodeId, part: StreamPart) -> Result<(), Violation> {
        if self.crash_point(node, "crash before a part of a leader's snapshot") {
            return Ok(());
        }
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        match process.receive(part) {
            Progress::None => {}
            Progress::TakesMore(link) => {
                self.tell_owner(node, Input::Peer(zab::Input::SnapshotPart { link }));
                self.take_more(link, Speech::Snapshot { is_busy: false })?
            }
            Progress::Whole(link, snapshot, rest) => {
                self.counters.count("leader's snapshot received");
                self.plan_log(node, LogJob::Change(Change::Install(link, snapshot)));
                if let Some(socket) = self.network.socket(link) {
                    socket.inbox.splice(0..0, rest);
                }
                self.take_more(link, Speech::ToLearner)?;
            }
            Progress::GivenUp(link, error) => {
                if let Some(error) = error {
                    if !self.disk_fault_struck(node) {
                        let detail = format!("a leader's snapshot, on a good disk: {error}");
                        return Err(Violation::new(Promise::NoPanic, detail));
                    }
                    if self.nodes[node].death_by_disk() == Death::PowerLost {
                        self.die(node, Death::PowerLost);
                        return Ok(());
                    }
                }
                self.counters.count("leader's snapshot given up");
                self.tell_owner(node, Input::Peer(zab::Input::SnapshotGivenUp { link }));
                self.hang_up(node, link);
            }
        }
        if self.crash_point(node, "crash after a part of a leader's snapshot") {
            return Ok(());
        }
        self.plan_snapshot_work(node);
        Ok(())
    }

    /// The socket is read from again.
    fn take_more(&mut self, link: Link, speech: Speech) -> Result<(), Violation> {
        let Some(socket) = self.network.socket(link) else { return Ok(()) };
        socket.speech = speech;
        self.work_off(link)?;
        self.plan_arrival_from_server(link);
        Ok(())
    }
}
