//! Decides over the end of a session.

use types::{ErrorCode, Txn, path};

use super::Preparation;

impl Preparation<'_> {
    /// The end of the session: its ephemerals go with it, those whose creation is decided but not
    /// applied too.
    pub(crate) fn close_session(&mut self, with_paths: bool) -> Result<Txn, ErrorCode> {
        let paths = self.pending.ephemerals(self.tree, self.session);
        for path in &paths {
            let before = self.latest(path)?;
            let parent = match path::split(path) {
                None | Some(("", _)) => path::ROOT,
                Some((parent, _)) => parent,
            };
            let parent_before = self.latest(parent)?;
            self.record_deletion(parent, &parent_before, path, &before);
        }
        Ok(Txn::CloseSession { paths: with_paths.then_some(paths) })
    }
}
