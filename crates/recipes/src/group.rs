//! Who is there.

use std::sync::Arc;

use reefkeeper_client::{Payload, Sessions};

use crate::cache::{Cache, CacheEvents, Entry};
use crate::error::Error;
use crate::persistent_ephemeral::{PersistentEphemeral, Presence};
use crate::tree_path::{child, name};

/// Somebody who is in a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The name under which it joined.
    pub id: String,
    /// What it says of itself.
    pub data: Arc<[u8]>,
}

/// Those who are in a group, seen from outside.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Group, GroupMember};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let mut member = GroupMember::join(&sessions, "/workers", "host-7", "port 80");
/// member.joined().await?;
/// let workers = Group::of(&sessions, "/workers");
/// workers.synced().await?;
/// assert_eq!(workers.members()[0].id, "host-7");
/// # Ok(()) });
/// ```
///
/// It is a [`Cache`] of the children of a znode; what happens when things go wrong is told there. The
/// layout is that of Curator's `GroupMember`.
#[derive(Debug)]
pub struct Group {
    cache: Cache,
}

impl Group {
    /// The group at that path, which need not exist.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { cache: Cache::of_children(sessions, path) }
    }

    /// Waits until all members are known, as far as the server knows.
    ///
    /// # Errors
    /// What ended the cache.
    pub async fn synced(&self) -> Result<(), Error> {
        self.cache.synced().await
    }

    /// Who is there, by name.
    pub fn members(&self) -> Vec<Member> {
        self.cache.entries().iter().map(|entry| member(entry)).collect()
    }

    /// Who comes, changes and goes from now on.
    pub fn events(&self) -> CacheEvents {
        self.cache.events()
    }

    /// What this is made of.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }
}

fn member(entry: &Entry) -> Member {
    Member { id: name(&entry.path).to_owned(), data: entry.data.bytes().into() }
}

/// The membership of this program in a group, for as long as it lives; see [`Group`].
///
/// It is a [`PersistentEphemeral`]; what happens when things go wrong is told there. Dropping it leaves
/// in the background.
#[derive(Debug)]
pub struct GroupMember {
    znode: PersistentEphemeral,
}

impl GroupMember {
    /// Joins the group at that path under a name that no other member has.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn join(
        sessions: impl Into<Sessions>,
        path: impl AsRef<str>,
        id: impl AsRef<str>,
        data: impl Into<Payload>,
    ) -> Self {
        let path = child(path.as_ref(), id.as_ref());
        Self { znode: PersistentEphemeral::keep(sessions, path, data) }
    }

    /// Waits until the others can see it.
    ///
    /// # Errors
    /// What ended its membership, if that comes first.
    pub async fn joined(&mut self) -> Result<(), Error> {
        self.znode.present().await
    }

    /// Whether the others can see it; blocked if one of the same name is there.
    pub fn presence(&self) -> Presence {
        self.znode.presence()
    }

    /// Waits until its membership is over, and says why.
    pub(crate) async fn over(&mut self) -> Error {
        self.znode.over().await
    }

    /// What it says of itself from now on.
    pub fn set_data(&self, data: impl Into<Payload>) {
        self.znode.set_data(data);
    }

    /// Leaves, and waits until that is done.
    ///
    /// # Errors
    /// What made that uncertain, or ended its membership before.
    pub async fn leave(self) -> Result<(), Error> {
        self.znode.remove().await
    }
}
