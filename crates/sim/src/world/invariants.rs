//! What must hold inside an ensemble after every step, whatever clients see of it.
//!
//! The names are those of the specifications of Zab that are published with ZooKeeper (`Z`, `M`), and
//! of the table in `docs/design/0002-simulator.md` (`D`, `E`). Everything here is found out from
//! packets on the wire and from what the disks have reported, not by asking the servers.

mod committed_history;
mod conversation;
mod durable_promises;
mod elections;
mod memberships;
mod signs_of_life;

pub(super) use committed_history::Reigns;
pub(super) use conversation::{Conversation, is_next};
pub(super) use elections::Heard;
pub(super) use memberships::voters;
pub(super) use signs_of_life::SignsOfLife;
