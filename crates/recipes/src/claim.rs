//! An ephemeral sequential znode of this session: a place in a line.

use reefkeeper_client::{Client, CreateMode, Created, Error, ErrorCode, Payload};
use tokio::runtime::Handle;
use tracing::debug;

use crate::departure::Pass;
use crate::mutant;
use crate::protected::{NotCreated, Protection};
use crate::tree_path;

/// A place in a line that is given up when it is dropped, at the latest.
///
/// Dropping it starts a task that deletes the znode, also one whose creation was under way. A
/// session that ends does so by itself.
#[derive(Debug)]
pub(crate) struct Claim {
    client: Client,
    directory: String,
    protection: Protection,
    /// `None` while it is being created.
    created: Option<Created>,
    /// Where the deletion runs; the drop may happen outside.
    runtime: Handle,
    /// Whether there may be something to delete.
    is_ours: bool,
    /// Who waits until it is given up.
    pass: Option<Pass>,
}

impl Claim {
    /// Takes the last place of the line in that directory.
    ///
    /// The name of the znode ends with `kind` and the sequence number. Who has given out the pass can wait until
    /// the place is given up.
    pub(crate) async fn stake(
        client: &Client,
        directory: &str,
        kind: &str,
        data: &Payload,
        pass: Option<Pass>,
    ) -> Result<Self, Error> {
        let mut claim = Self {
            client: client.clone(),
            directory: directory.to_owned(),
            protection: Protection::random(),
            created: None,
            runtime: Handle::current(),
            is_ours: true,
            pass,
        };
        let mode = CreateMode::EphemeralSequential;
        match claim.protection.create(client, directory, kind, data, mode).await {
            Ok(created) => {
                claim.created = Some(created);
                Ok(claim)
            }
            Err(NotCreated { error, lost }) => {
                // Who could not look for it now can perhaps a moment later.
                claim.is_ours = lost.is_some();
                Err(error)
            }
        }
    }

    /// From now on nobody but its owner waits until it is given up.
    pub(crate) fn forget_pass(&mut self) {
        self.pass = None;
    }

    /// Whose it is.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Where the line is.
    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// What was created.
    pub(crate) fn created(&self) -> &Created {
        self.created.as_ref().expect("staked before anybody has it")
    }

    /// The last name of its path.
    pub(crate) fn name(&self) -> &str {
        tree_path::name(&self.created().path)
    }

    /// Gives it up, and waits until that is certain. The end of the session is as good.
    pub(crate) async fn release(mut self) -> Result<(), Error> {
        let path = &self.created().path;
        delete(&self.client, path).await?;
        self.is_ours = false;
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_ours || self.client.state().is_over() {
            return;
        }
        let (client, directory) = (self.client.clone(), std::mem::take(&mut self.directory));
        let (protection, created) = (self.protection.clone(), self.created.take());
        let pass = self.pass.take();
        self.runtime.spawn(async move {
            match clean_up(&client, &directory, &protection, created).await {
                // It is as good as given up.
                Err(_) if client.state().is_over() => {}
                Err(error) => {
                    debug!(%error, %directory, "a place in line was left to the end of the session");
                    if let Some(pass) = pass {
                        pass.failed(error);
                    }
                }
                Ok(()) => {}
            }
        });
    }
}

async fn clean_up(
    client: &Client,
    directory: &str,
    protection: &Protection,
    created: Option<Created>,
) -> Result<(), Error> {
    let created = match created {
        Some(created) => Some(created),
        None if mutant::active(21) => None,
        None => protection.find(client, directory).await?,
    };
    match created {
        Some(Created { path, .. }) => delete(client, &path).await,
        None => Ok(()),
    }
}

/// Deletes what only this session creates, whatever becomes of the connection.
async fn delete(client: &Client, path: &str) -> Result<(), Error> {
    match client.insistently(|| client.delete(path, None)).await {
        Err(Error::Refused(ErrorCode::NoNode) | Error::Closed) => Ok(()),
        Err(error) if error.is_session_expired() => Ok(()),
        outcome => outcome,
    }
}
