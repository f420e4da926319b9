//! D1, D2: whoever promises something has it on its disk, and the epochs there never decrease.

use types::{Epoch, Zxid};
use zab::{LearnerPacket, Link};

use crate::checkers::{Promise, Violation};
use crate::world::World;
use crate::world::node::NodeId;

impl World {
    /// What a learner says is true of its disk.
    pub(in crate::world) fn check_promise(
        &mut self,
        node: NodeId,
        link: Link,
        packet: LearnerPacket,
    ) -> Result<(), Violation> {
        let it = &self.nodes[node];
        let (accepted, current) = (it.accepted_epoch, it.current_epoch);
        let durable = it.ledger.last_durable();
        let Some(socket) = self.network.socket(link) else { return Ok(()) };
        socket.conversation.say(packet)?;
        let (epoch, end) = (socket.conversation.epoch, socket.conversation.history_end);
        let is_true = match packet {
            LearnerPacket::Info { .. } => true,
            LearnerPacket::AckEpoch { last_logged, current_epoch } => {
                // Who agrees to an epoch goes as far as before its leader took something away.
                let had = current_epoch.and_then(|_| self.had_before(node)).unwrap_or(durable);
                last_logged.is_none_or(|it| it == had.max(durable))
                    && epoch.is_some_and(|epoch| accepted >= epoch)
            }
            LearnerPacket::AckNewLeader(epoch) => {
                current >= epoch && end.is_some_and(|end| durable >= end)
            }
            LearnerPacket::Acks { first, last } => {
                let ledger = &self.nodes[node].ledger;
                ledger.is_durable(first) && ledger.is_durable(last)
            }
        };
        if is_true {
            return Ok(());
        }
        let detail = format!(
            "server {} says {packet:?}, but has accepted {accepted:?}, adopted {current:?} and \
             {durable} on its disk; its history ends with {end:?}",
            node.sid().0
        );
        Err(Violation::new(Promise::D1, detail))
    }

    /// A learner has the history on its disk with which an epoch began before it adopts that.
    pub(in crate::world) fn check_adoption(
        &self,
        node: NodeId,
        epoch: Epoch,
        history_end: Option<Zxid>,
    ) -> Result<(), Violation> {
        let durable = self.nodes[node].ledger.last_durable();
        if history_end.is_none_or(|end| durable >= end) {
            return Ok(());
        }
        let sid = node.sid().0;
        let detail = format!(
            "server {sid} has adopted {epoch:?}, whose history ends with {history_end:?}, and has \
             {durable} on its disk"
        );
        Err(Violation::new(Promise::D1, detail))
    }

    /// A leader has accepted the epoch itself that it invites learners to.
    pub(in crate::world) fn check_invitation(
        &self,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<(), Violation> {
        let accepted = self.nodes[node].accepted_epoch;
        if accepted >= epoch {
            return Ok(());
        }
        let sid = node.sid().0;
        let detail = format!("server {sid} begins {epoch:?}, but has accepted {accepted:?}");
        Err(Violation::new(Promise::D1, detail))
    }

    /// The epochs that a start has found are at least those that were stored.
    pub(in crate::world) fn check_epochs(
        &mut self,
        node: NodeId,
        found: &zab::Recovered,
    ) -> Result<(), Violation> {
        let it = &mut self.nodes[node];
        let (accepted, current) = (found.accepted_epoch, found.current_epoch);
        if accepted < it.accepted_epoch || current < it.current_epoch || current > accepted {
            let detail = format!(
                "server {} had accepted {:?} and adopted {:?}, and finds {accepted:?} and {current:?}",
                node.sid().0,
                it.accepted_epoch,
                it.current_epoch
            );
            return Err(Violation::new(Promise::D2, detail));
        }
        (it.accepted_epoch, it.current_epoch) = (accepted, current);
        Ok(())
    }
}
