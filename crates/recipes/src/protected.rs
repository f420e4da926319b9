//! Creating a znode so that its creator recognizes it, whatever became of the answer.
//!
//! The name begins with `_c_`, a GUID and a hyphen, as Curator's do. When the connection is lost
//! before the answer, the session looks for that name: the znode is there or it is not, and it is
//! created once.

use reefkeeper_client::{Client, CreateMode, Created, Error, ErrorCode, Payload};

use crate::guid::Guid;
use crate::mutant;
use crate::passing::is_passing;
use crate::tree_path::child;

/// What a protected name begins with, before the GUID.
const MARK: &str = "_c_";

/// The first part of a protected name: the mark, the GUID and a hyphen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Protection(String);

/// Why there is no znode, as far as anybody knows.
#[derive(Debug)]
pub(crate) struct NotCreated {
    /// What ended it.
    pub(crate) error: Error,
    /// The loss of an answer, if it could not be found out afterwards whether the znode is there.
    pub(crate) lost: Option<Error>,
}

impl NotCreated {
    /// What to say of a znode that outlives its session: that it may be there comes first.
    pub(crate) fn of_persistent(self) -> Error {
        self.lost.unwrap_or(self.error)
    }
}

impl Protection {
    /// One that no znode has.
    pub(crate) fn random() -> Self {
        Self(format!("{MARK}{}-", Guid::random()))
    }

    /// Creates a znode below a directory, which is created as a container if it is missing.
    ///
    /// If this is dropped before it is done, the znode may be there or may still come; see
    /// [`Self::find`].
    ///
    /// # Errors
    /// Those of a create. That an answer was lost is one only where nobody can say what became of it.
    pub(crate) async fn create(
        &self,
        client: &Client,
        directory: &str,
        name: &str,
        data: &Payload,
        mode: CreateMode,
    ) -> Result<Created, NotCreated> {
        let path = child(directory, &[&self.0, name].concat());
        loop {
            let failed = match client.create(&path, data.clone(), mode).await {
                Err(Error::Refused(ErrorCode::NoNode)) => {
                    let ensured = client.ensure(directory, CreateMode::Container).await;
                    ensured.map_err(|error| NotCreated { error, lost: None })?;
                    continue;
                }
                Err(error) if is_passing(&error) => error,
                outcome => return outcome.map_err(|error| NotCreated { error, lost: None }),
            };
            let lost =
                Some(failed).filter(|failed| failed.may_have_happened() && !mutant::active(8));
            let found = async {
                client.writable().await?;
                match lost {
                    Some(_) => self.find(client, directory).await,
                    None => Ok(None),
                }
            };
            match found.await {
                Ok(Some(created)) => return Ok(created),
                Ok(None) => {}
                Err(error) => return Err(NotCreated { error, lost }),
            }
        }
    }

    /// Looks for the znode; everything that this session asked for before is done by then.
    pub(crate) async fn find(
        &self,
        client: &Client,
        directory: &str,
    ) -> Result<Option<Created>, Error> {
        // A request of an earlier connection may be on its way through the ensemble: what this
        // session asks the leader comes after it, and a later one is refused since the session has
        // moved.
        client.patiently(|| client.sync(directory)).await?;
        let children = match client.patiently(|| client.get_children(directory)).await {
            Err(Error::Refused(ErrorCode::NoNode)) => return Ok(None),
            children => children?,
        };
        let Some(name) = children.names.iter().find(|name| name.starts_with(&self.0)) else {
            return Ok(None);
        };
        let path = child(directory, name);
        let of = if mutant::active(5) { directory } else { &path };
        let stat = client.patiently(|| client.exists(of)).await?;
        Ok(stat.map(|stat| Created { path, stat }))
    }
}
