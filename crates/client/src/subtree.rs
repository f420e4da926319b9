//! What concerns several znodes, in several requests: paths to create, subtrees to list and to
//! delete.

use std::future::poll_fn;
use std::task::Poll;

use types::{ErrorCode, path};

use crate::client::Client;
use crate::error::Error;
use crate::limits::{DELETE_ROUNDS_MAX, DELETES_MAX, LISTS_MAX};
use crate::written::CreateOptions;

impl Client {
    /// Creates a znode without data, and those above it, unless they are there.
    ///
    /// Safe to repeat, so a connection that is lost meanwhile is waited for. With
    /// [`CreateMode::Container`](crate::CreateMode::Container) the server removes what has become empty
    /// again. All that are created get the same access control list.
    ///
    /// "/" is the znode of the chroot. Those above it are out of reach: a client without a chroot
    /// creates them.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.ensure("/services/mail/workers", CreateMode::Persistent).await?;
    /// client.ensure("/services/mail/workers", CreateMode::Persistent).await?;
    /// assert!(client.exists("/services/mail").await?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::BadArguments`] for an ephemeral or a sequential mode, which can not be that of what
    /// is above others: nothing is asked then. [`ErrorCode::NoAuth`] where one may not be created,
    /// [`ErrorCode::NoChildrenForEphemerals`] below an ephemeral znode, [`ErrorCode::NoNode`] if the
    /// znodes above the chroot are missing, and those of every operation.
    pub async fn ensure(&self, path: &str, options: impl Into<CreateOptions>) -> Result<(), Error> {
        let options = options.into();
        if options.mode.is_ephemeral() || options.mode.is_sequential() {
            return Err(Error::Refused(ErrorCode::BadArguments));
        }
        // From the deepest up as far as they are missing, and down again.
        let mut missing = vec![path];
        while let Some(&deepest) = missing.last() {
            match self.insistently(|| self.create(deepest, "", options.clone())).await {
                Ok(_) | Err(Error::Refused(ErrorCode::NodeExists)) => {
                    missing.pop();
                }
                Err(Error::Refused(ErrorCode::NoNode)) if parent(deepest) != deepest => {
                    missing.push(parent(deepest));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lists a znode and everything below it: a znode comes before its children, and all of one
    /// depth before the next.
    ///
    /// It is not one look: what is created or deleted meanwhile may be in the list or not.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.ensure("/app/log", CreateMode::Persistent).await?;
    /// client.ensure("/app/config", CreateMode::Persistent).await?;
    /// assert_eq!(client.list_subtree("/app").await?, ["/app", "/app/config", "/app/log"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`] if the znode itself is not there, and those of every operation.
    pub async fn list_subtree(&self, path: &str) -> Result<Vec<String>, Error> {
        let mut listed = vec![path.to_owned()];
        let mut level = vec![path.to_owned()];
        let mut is_root = true;
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for some in level.chunks(LISTS_MAX) {
                let reads = some.iter().map(|parent| self.patiently(|| self.get_children(parent)));
                for (parent, children) in some.iter().zip(pipelined(reads).await) {
                    let mut names = match children {
                        Ok(children) => children.names,
                        // It was deleted after its parent was asked.
                        Err(Error::Refused(ErrorCode::NoNode)) if !is_root => continue,
                        Err(error) => return Err(error),
                    };
                    names.sort_unstable();
                    next_level.extend(names.iter().map(|name| child(parent, name)));
                }
            }
            is_root = false;
            listed.extend_from_slice(&next_level);
            level = next_level;
        }
        Ok(listed)
    }

    /// Deletes a znode and everything below it, the deepest first.
    ///
    /// It is several transactions, so that no request grows too long: when it fails, a part may be
    /// gone, and never a znode whose children are there. It goes on where others delete too and
    /// after a lost connection, and starts over where they create.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.ensure("/app/log/today", CreateMode::Persistent).await?;
    /// client.delete_subtree("/app").await?;
    /// assert_eq!(client.exists("/app").await?, None);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`] if the znode itself is not there, [`ErrorCode::BadArguments`] for the
    /// root, [`ErrorCode::NotEmpty`] if others create as fast as this deletes, and those of every
    /// operation.
    pub async fn delete_subtree(&self, path: &str) -> Result<(), Error> {
        if path == path::ROOT {
            return Err(Error::Refused(ErrorCode::BadArguments));
        }
        for round in 0..DELETE_ROUNDS_MAX {
            let listed = match self.list_subtree(path).await {
                Err(Error::Refused(ErrorCode::NoNode)) if round > 0 => return Ok(()),
                listed => listed?,
            };
            if self.delete_listed(&listed).await? == Listed::Gone {
                return Ok(());
            }
        }
        Err(Error::Refused(ErrorCode::NotEmpty))
    }

    async fn delete_listed(&self, listed: &[String]) -> Result<Listed, Error> {
        for some in listed.rchunks(DELETES_MAX) {
            let deletes = some.iter().rev();
            let transaction =
                deletes.clone().fold(self.transaction(), |all, path| all.delete(path, None));
            match transaction.commit().await {
                Ok(_) => {}
                Err(Error::Aborted { code: ErrorCode::NoNode | ErrorCode::NotEmpty, .. }) => {
                    for path in deletes {
                        match self.delete(path, None).await {
                            Ok(()) | Err(Error::Refused(ErrorCode::NoNode)) => {}
                            Err(Error::Refused(ErrorCode::NotEmpty)) => return Ok(Listed::Stale),
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) if error.is_transient() => {
                    self.connected().await?;
                    return Ok(Listed::Stale);
                }
                Err(Error::Refused(ErrorCode::NotReadOnly)) => {
                    self.writable().await?;
                    return Ok(Listed::Stale);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Listed::Gone)
    }
}

/// What became of a list of znodes that were to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Listed {
    Gone,
    /// It was not the whole truth anymore.
    Stale,
}

/// Asks for all at once; the answers are in the order of the questions.
async fn pipelined<T, F>(operations: impl Iterator<Item = F>) -> Vec<T>
where
    F: Future<Output = T>,
{
    let mut running: Vec<_> = operations.map(|operation| (Box::pin(operation), None)).collect();
    poll_fn(|context| {
        let mut is_done = true;
        for (operation, answer) in running.iter_mut().filter(|(_, answer)| answer.is_none()) {
            match operation.as_mut().poll(context) {
                Poll::Ready(given) => *answer = Some(given),
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, answer)| answer).collect()
}

/// The path of a child.
fn child(parent: &str, name: &str) -> String {
    if parent == path::ROOT { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// The path of the znode above; the root's is itself.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => path::ROOT,
        Some(slash) => &path[..slash],
    }
}
