//! R3: the memberships that there are, and which of them decide.

use std::sync::Arc;

use types::membership::{ConfigVersion, Membership};
use zab::Memberships;

use crate::checkers::Violation;
use crate::world::node::NodeId;
use crate::world::process::{Change, LogJob};
use crate::world::{World, membership_file};

/// Those who vote.
pub(in crate::world) fn voters(membership: &Membership) -> impl Iterator<Item = NodeId> {
    membership.voters().map(|member| NodeId::of(member.sid))
}

impl World {
    /// The membership that came in force last.
    pub(in crate::world) fn in_force(&self) -> Arc<Membership> {
        Arc::clone(self.reigns.memberships().next().expect("there is one from the start"))
    }

    /// Whether another membership is logged somewhere, and not committed yet.
    pub(in crate::world) fn is_changing(&self) -> bool {
        self.record.changes_behind(self.reigns.last_committed())
    }

    /// Every membership with which some server may decide something from now on: the one in force; that
    /// before it, which counts for who does not know that it is over; and those that somebody takes for
    /// pending.
    pub(in crate::world) fn in_play(&self) -> Vec<Arc<Membership>> {
        let mut in_play: Vec<_> = self.reigns.memberships().take(2).cloned().collect();
        if !self.plan.servers.are_changing() {
            return in_play;
        }
        let on = self.nodes.iter().filter(|node| node.is_prepared());
        let known = on.flat_map(|node| {
            let in_memory = node.process.as_ref().map(|process| process.memberships.clone());
            in_memory.into_iter().chain([membership_file::load(&node.disk)])
        });
        let newest = in_play[0].version();
        let pending = known.filter_map(|memberships| memberships.pending().cloned());
        in_play.extend(pending.filter(|pending| pending.version() > newest));
        in_play
    }

    /// A server knows of other memberships. R3: each version is one text.
    pub(in crate::world) fn learn_memberships(
        &mut self,
        node: NodeId,
        memberships: Memberships,
    ) -> Result<(), Violation> {
        let known = [&memberships.committed].into_iter().chain(memberships.pending());
        for membership in known.filter(|it| it.version() != ConfigVersion::default()) {
            self.record.sees(node, membership)?;
        }
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let before = std::mem::replace(&mut process.memberships, memberships.clone());
        if before.committed != memberships.committed {
            process.heard.leave_behind(before.committed);
        }
        self.counters.count("memberships stored");
        self.plan_log(node, LogJob::Change(Change::KeepMemberships(memberships)));
        Ok(())
    }
}
