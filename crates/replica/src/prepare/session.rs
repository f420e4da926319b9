//! Decides over the end of a session.

use types::{Txn, path};
use wire::limits::TEXT_BYTES_MIN;

use super::Preparation;

impl Preparation<'_> {
    /// The end of the session: its ephemerals go with it, those whose creation is decided but not
    /// applied too. It can not be refused.
    ///
    /// A list of them that would make the transaction too long is left empty: whoever applies it finds
    /// them in the tree, as with the logs of old servers.
    pub(crate) fn close_session(&mut self, with_paths: bool) -> Txn {
        let paths = self.pending.ephemerals(self.tree, self.session);
        for path in &paths {
            let parent = match path::split(path) {
                None | Some(("", _)) => path::ROOT,
                Some((parent, _)) => parent,
            };
            if let (Ok(before), Ok(parent_before)) = (self.latest(path), self.latest(parent)) {
                self.record_deletion(parent, &parent_before, path, &before);
            }
        }
        let record_bytes = paths.iter().map(|path| path.len() + TEXT_BYTES_MIN).sum();
        let is_listed = with_paths && self.has_room_for(record_bytes);
        Txn::CloseSession { paths: is_listed.then_some(paths) }
    }
}
