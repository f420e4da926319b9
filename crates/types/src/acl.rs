//! Access control lists.

use std::fmt;
use std::ops::{BitOr, Deref};
use std::sync::{Arc, LazyLock};

/// A set of permissions. Unknown bits are kept, as clients may store them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Perms(pub i32);

impl Perms {
    /// May read data and list children.
    pub const READ: Self = Self(1);
    /// May set data.
    pub const WRITE: Self = Self(2);
    /// May create children.
    pub const CREATE: Self = Self(4);
    /// May delete children.
    pub const DELETE: Self = Self(8);
    /// May set the access control list.
    pub const ADMIN: Self = Self(16);
    /// All five.
    pub const ALL: Self = Self(31);

    /// Whether any permission of `other` is among these.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Who: an identity within an authentication scheme.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Id {
    /// `world`, `auth`, `digest`, `ip`, `sasl`, `x509`, `super`.
    pub scheme: Box<str>,
    /// The identity in the syntax of its scheme.
    pub id: Box<str>,
}

impl Id {
    /// An identity from its parts.
    pub fn new(scheme: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Self {
        Self { scheme: scheme.into(), id: id.into() }
    }

    /// `world:anyone`.
    pub fn anyone() -> Self {
        Self::new("world", "anyone")
    }

    /// Every identity, but that of its address, that whoever sets the list has presented at the time:
    /// the server puts these in its place.
    pub fn authenticated() -> Self {
        Self::new("auth", "")
    }

    /// Whoever connects from that address; with a slash and a number of bits, from that network:
    /// `10.0.0.0/8`. A server refuses a list with an address that it can not read.
    pub fn ip(address: impl fmt::Display) -> Self {
        Self::new("ip", address.to_string())
    }

    /// An entry that permits it so much.
    pub const fn may(self, perms: Perms) -> Acl {
        Acl { perms, id: self }
    }

    /// Whether this is `world:anyone`.
    pub fn is_anyone(&self) -> bool {
        &*self.scheme == "world" && &*self.id == "anyone"
    }
}

/// One entry: who may do what.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Acl {
    /// What.
    pub perms: Perms,
    /// Who.
    pub id: Id,
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.id.scheme, self.id.id, self.perms.0)
    }
}

/// A whole list, shared and cheap to clone. A null list is an empty one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AclList(Arc<[Acl]>);

impl AclList {
    /// `world:anyone` with all permissions: what most znodes have.
    pub fn open() -> Self {
        static OPEN: LazyLock<AclList> =
            LazyLock::new(|| AclList::from(Id::anyone().may(Perms::ALL)));
        OPEN.clone()
    }

    /// `world:anyone` may read, and nobody may do anything else.
    pub fn read_only() -> Self {
        Self::from(Id::anyone().may(Perms::READ))
    }

    /// All permissions to whoever sets the list, and nobody else; see [`Id::authenticated`].
    pub fn creator() -> Self {
        Self::from(Id::authenticated().may(Perms::ALL))
    }

    /// A list without entries.
    pub fn empty() -> Self {
        static EMPTY: LazyLock<AclList> = LazyLock::new(|| AclList::from(Vec::new()));
        EMPTY.clone()
    }
}

impl From<Vec<Acl>> for AclList {
    fn from(entries: Vec<Acl>) -> Self {
        Self(entries.into())
    }
}

impl<const N: usize> From<[Acl; N]> for AclList {
    fn from(entries: [Acl; N]) -> Self {
        Self(entries.into())
    }
}

impl From<Acl> for AclList {
    fn from(only: Acl) -> Self {
        Self::from([only])
    }
}

impl Deref for AclList {
    type Target = [Acl];

    fn deref(&self) -> &[Acl] {
        &self.0
    }
}
