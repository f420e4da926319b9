//! The subtree that a client takes for the whole tree.

use std::borrow::Cow;

use types::path::{self, InvalidPath};
use types::{MultiOp, MultiReadOp, Op, Read, Write};

use crate::error::Error;

/// A prefix for every path a client sends, hidden from every path it gets.
///
/// Purely a matter of the client: servers know nothing of it, and the znode need not exist.
///
/// ```
/// use reefkeeper_client::session::Chroot;
///
/// let chroot = Chroot::new("/app")?;
/// assert_eq!(chroot.strip("/app/config"), "/config");
/// assert_eq!(chroot.strip("/app"), "/");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chroot {
    /// Empty, or a valid path other than "/".
    prefix: Box<str>,
}

impl Chroot {
    /// A chroot from its path; the empty text and "/" mean none.
    ///
    /// # Errors
    /// If the path names no znode.
    pub fn new(path: &str) -> Result<Self, InvalidPath> {
        if path.is_empty() || path == path::ROOT {
            return Ok(Self::default());
        }
        path::validate(path)?;
        Ok(Self { prefix: path.into() })
    }

    /// The prefix; empty if there is none.
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// The client's name for a path of the server. One outside the chroot (the ensemble's own
    /// configuration) stays as it is.
    pub fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&*self.prefix) {
            Some("") => path::ROOT,
            Some(rest) if rest.starts_with('/') => rest,
            Some(_) | None => path,
        }
    }

    /// Checks the paths of an operation and turns them into the server's.
    ///
    /// # Errors
    /// [`Error::InvalidPath`] for the first one that names no znode.
    pub(super) fn enter(&self, op: &mut Op<'static>) -> Result<(), Error> {
        match op {
            Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::CloseSession => Ok(()),
            Op::Sync { path } => self.enter_path(path),
            Op::Read(read) => self.enter_read(read),
            Op::Write(write) => self.enter_write(write),
        }
    }

    fn enter_read(&self, read: &mut Read<'static>) -> Result<(), Error> {
        match read {
            // The configuration of the ensemble has one place, whatever the chroot.
            Read::GetData { path, .. } if path == path::CONFIG => Ok(()),
            Read::Exists { path, .. }
            | Read::GetData { path, .. }
            | Read::GetAcl { path }
            | Read::GetChildren { path, .. }
            | Read::GetChildren2 { path, .. }
            | Read::GetAllChildrenNumber { path }
            | Read::AddWatch { path, .. }
            | Read::CheckWatches { path, .. }
            | Read::RemoveWatches { path, .. } => self.enter_path(path),
            Read::GetEphemerals { prefix } => {
                let prefix = prefix.get_or_insert(Cow::Borrowed(path::ROOT));
                self.enter_path(prefix)
            }
            Read::MultiRead(ops) => ops.iter_mut().try_for_each(|op| match op {
                MultiReadOp::GetData { path } | MultiReadOp::GetChildren { path } => {
                    self.enter_path(path)
                }
            }),
            Read::WhoAmI | Read::SetWatches(_) | Read::Rejected(_) => Ok(()),
        }
    }

    fn enter_write(&self, write: &mut Write<'static>) -> Result<(), Error> {
        match write {
            Write::Create(create) => {
                self.enter_created_path(&mut create.path, create.mode.is_sequential())
            }
            Write::Delete { path, .. }
            | Write::DeleteContainer { path }
            | Write::SetData { path, .. }
            | Write::SetAcl { path, .. } => self.enter_path(path),
            Write::Multi(ops) => ops.iter_mut().try_for_each(|op| match op {
                MultiOp::Create(create) => {
                    self.enter_created_path(&mut create.path, create.mode.is_sequential())
                }
                MultiOp::Delete { path, .. }
                | MultiOp::SetData { path, .. }
                | MultiOp::Check { path, .. } => self.enter_path(path),
            }),
            Write::Reconfig(_) | Write::CreateSession { .. } | Write::Rejected(_) => Ok(()),
        }
    }

    /// As [`Self::enter_path`]. A sequential path is checked with a digit behind it, since it may
    /// end in a slash: the whole name is then the counter.
    fn enter_created_path(
        &self,
        path: &mut Cow<'static, str>,
        is_sequential: bool,
    ) -> Result<(), Error> {
        if !is_sequential {
            return self.enter_path(path);
        }
        match path::validate(&format!("{path}1")) {
            Ok(()) => {
                // Also "/" keeps its slash here: its counter is a name inside the chroot.
                if !self.prefix.is_empty() {
                    *path = Cow::Owned([&self.prefix, &**path].concat());
                }
                Ok(())
            }
            Err(reason) => Err(Error::InvalidPath { path: path.to_string(), reason }),
        }
    }

    fn enter_path(&self, path: &mut Cow<'static, str>) -> Result<(), Error> {
        match path::validate(path) {
            Ok(()) => {
                self.prepend(path);
                Ok(())
            }
            Err(reason) => Err(Error::InvalidPath { path: path.to_string(), reason }),
        }
    }

    fn prepend(&self, path: &mut Cow<'static, str>) {
        if self.prefix.is_empty() {
            return;
        }
        let entered = if path == path::ROOT {
            self.prefix.to_string()
        } else {
            [&self.prefix, &**path].concat()
        };
        *path = Cow::Owned(entered);
    }
}

#[cfg(test)]
mod tests {
    use types::{AclList, Create, CreateCall, CreateMode};

    use super::*;

    fn read(path: &str) -> Op<'static> {
        Op::Read(Read::GetAcl { path: path.to_owned().into() })
    }

    fn create(path: &str, mode: CreateMode) -> Op<'static> {
        Op::Write(Write::Create(Create {
            call: CreateCall::Create2,
            path: path.to_owned().into(),
            data: None,
            acl: AclList::open(),
            mode,
        }))
    }

    #[test]
    fn enters_and_strips() {
        let chroot = Chroot::new("/app").expect("valid");
        for (inside, outside) in [("/", "/app"), ("/a", "/app/a"), ("/a/b", "/app/a/b")] {
            let mut op = read(inside);
            chroot.enter(&mut op).expect("valid");
            assert_eq!(op, read(outside));
            assert_eq!(chroot.strip(outside), inside);
        }
        assert_eq!(chroot.strip("/zookeeper/config"), "/zookeeper/config");
        assert_eq!(chroot.strip("/apple"), "/apple");
    }

    #[test]
    fn none_changes_nothing() {
        for text in ["", "/"] {
            let chroot = Chroot::new(text).expect("valid");
            let mut op = read("/a");
            chroot.enter(&mut op).expect("valid");
            assert_eq!(op, read("/a"));
            assert_eq!(chroot.strip("/a"), "/a");
        }
    }

    #[test]
    fn the_configuration_is_outside_of_every_chroot() {
        let chroot = Chroot::new("/app").expect("valid");
        let config = || Op::Read(Read::GetData { path: path::CONFIG.into(), watch: false });
        let mut op = config();
        chroot.enter(&mut op).expect("valid");
        assert_eq!(op, config());
    }

    #[test]
    fn refuses_paths_that_name_no_znode() {
        let chroot = Chroot::default();
        let trailing = |path: &str| Error::InvalidPath {
            path: path.to_owned(),
            reason: InvalidPath::TrailingSlash,
        };
        assert_eq!(chroot.enter(&mut read("/a/")), Err(trailing("/a/")));
        assert_eq!(chroot.enter(&mut create("/a/", CreateMode::Persistent)), Err(trailing("/a/")));
        let mut nameless = create("/a/", CreateMode::PersistentSequential);
        assert_eq!(chroot.enter(&mut nameless), Ok(()));
        assert_eq!(nameless, create("/a/", CreateMode::PersistentSequential));
    }

    #[test]
    fn a_nameless_sequential_znode_of_the_root_is_inside_the_chroot() {
        let chroot = Chroot::new("/app").expect("valid");
        let mut op = create("/", CreateMode::PersistentSequential);
        chroot.enter(&mut op).expect("valid");
        assert_eq!(op, create("/app/", CreateMode::PersistentSequential));
    }
}
