//! Decides over the end of a session.

use types::{Txn, path};

use super::Preparation;

impl Preparation<'_> {
    /// The end of the session: its ephemerals go with it, those whose creation is decided but not
    /// applied too. It can not be refused.
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
        Txn::CloseSession { paths: with_paths.then_some(paths) }
    }
}
