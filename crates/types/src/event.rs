//! Watches and what they tell.

/// What happened to a znode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum EventKind {
    /// It was created.
    NodeCreated = 1,
    /// It was deleted.
    NodeDeleted = 2,
    /// Its data was set.
    NodeDataChanged = 3,
    /// A child was created or deleted.
    NodeChildrenChanged = 4,
}

impl EventKind {
    /// The kind with this number, if a server sends it.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        Some(match raw {
            1 => Self::NodeCreated,
            2 => Self::NodeDeleted,
            3 => Self::NodeDataChanged,
            4 => Self::NodeChildrenChanged,
            _ => return None,
        })
    }
}

/// The state of the session in an event. Servers always send [`KeeperState::SyncConnected`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum KeeperState {
    /// No connection.
    Disconnected = 0,
    /// Connected to a server that is part of a quorum.
    SyncConnected = 3,
    /// Credentials were refused.
    AuthFailed = 4,
    /// Connected to a server without a quorum.
    ConnectedReadOnly = 5,
    /// Authenticated.
    SaslAuthenticated = 6,
    /// The session was closed by its client.
    Closed = 7,
    /// The session expired.
    Expired = -112,
}

/// The two kinds of watch that `addWatch` sets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum WatchMode {
    /// Stays until it is removed; tells of the znode and its children.
    Persistent = 0,
    /// Stays until it is removed; tells of the znode and everything below it.
    PersistentRecursive = 1,
}

impl WatchMode {
    /// The mode with this number.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        Some(match raw {
            0 => Self::Persistent,
            1 => Self::PersistentRecursive,
            _ => return None,
        })
    }
}

/// Which watches `checkWatches` and `removeWatches` mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum WatcherKind {
    /// One-shot watches on the list of children.
    Children = 1,
    /// One-shot watches on data or existence.
    Data = 2,
    /// All of them.
    Any = 3,
    /// Persistent watches.
    Persistent = 4,
    /// Persistent recursive watches.
    PersistentRecursive = 5,
}

impl WatcherKind {
    /// The kind with this number.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        Some(match raw {
            1 => Self::Children,
            2 => Self::Data,
            3 => Self::Any,
            4 => Self::Persistent,
            5 => Self::PersistentRecursive,
            _ => return None,
        })
    }
}
