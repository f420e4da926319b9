//! What clients ask.
//!
//! An [`Op`] may borrow from the frame it was decoded from, so that a read allocates nothing;
//! [`Write::into_owned`] and [`Read::into_owned`] make it last.

use std::borrow::Cow;

use crate::{AclList, ErrorCode, WatchMode, WatcherKind, Zxid};

/// A request of a client with an established connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op<'a> {
    /// Keeps the session alive.
    Ping,
    /// Presents credentials.
    Auth(AuthPacket<'a>),
    /// One step of a SASL exchange.
    Sasl(Option<Cow<'a, [u8]>>),
    /// Answered from the state of the server the client is connected to.
    Read(Read<'a>),
    /// Ordered by the leader.
    Write(Write<'a>),
    /// Waits until this server has everything that was decided before.
    Sync {
        /// Echoed, never looked at.
        path: Cow<'a, str>,
    },
    /// Ends the session.
    CloseSession,
}

/// Credentials for an authentication scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthPacket<'a> {
    /// The scheme.
    pub scheme: Cow<'a, str>,
    /// Its proof, a secret: never shown in logs.
    pub auth: Option<Cow<'a, [u8]>>,
}

impl std::fmt::Debug for AuthPacket<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthPacket").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// A question about the state, or about the connection's watches.
///
/// Paths are as sent: reads do not validate them, an odd one names no znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read<'a> {
    /// Is there a znode?
    Exists {
        /// Which.
        path: Cow<'a, str>,
        /// Whether to set a one-shot watch, also on a missing znode.
        watch: bool,
    },
    /// A znode's data.
    GetData {
        /// Which.
        path: Cow<'a, str>,
        /// Whether to set a one-shot watch.
        watch: bool,
    },
    /// A znode's access control list.
    GetAcl {
        /// Which.
        path: Cow<'a, str>,
    },
    /// The names of a znode's children.
    GetChildren {
        /// Which.
        path: Cow<'a, str>,
        /// Whether to set a one-shot watch.
        watch: bool,
    },
    /// The names of a znode's children and its [`crate::Stat`].
    GetChildren2 {
        /// Which.
        path: Cow<'a, str>,
        /// Whether to set a one-shot watch.
        watch: bool,
    },
    /// How many znodes there are below one.
    GetAllChildrenNumber {
        /// Which.
        path: Cow<'a, str>,
    },
    /// The session's own ephemeral znodes.
    GetEphemerals {
        /// Only those whose path starts with this text; all if blank or "/".
        prefix: Option<Cow<'a, str>>,
    },
    /// The identities of the connection.
    WhoAmI,
    /// Several reads of one state, each with a result of its own.
    MultiRead(Vec<MultiReadOp<'a>>),
    /// Sets a watch that stays.
    AddWatch {
        /// Where; nothing is checked.
        path: Cow<'a, str>,
        /// Which kind.
        mode: WatchMode,
    },
    /// Is there such a watch?
    CheckWatches {
        /// Where.
        path: Cow<'a, str>,
        /// Which kinds.
        kind: WatcherKind,
    },
    /// Removes watches.
    RemoveWatches {
        /// Where.
        path: Cow<'a, str>,
        /// Which kinds.
        kind: WatcherKind,
    },
    /// Sets a reconnected client's watches again, and tells what it missed.
    SetWatches(Box<SetWatches<'a>>),
    /// Could not be decoded, or asks for something that does not exist; answered with the code.
    Rejected(ErrorCode),
}

/// The watches of a reconnected client.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SetWatches<'a> {
    /// The last zxid the client has seen: what changed later, it missed.
    pub relative_zxid: Zxid,
    /// One-shot data watches.
    pub data: Vec<Cow<'a, str>>,
    /// One-shot watches on znodes that did not exist.
    pub exist: Vec<Cow<'a, str>>,
    /// One-shot watches on children.
    pub child: Vec<Cow<'a, str>>,
    /// Persistent watches.
    pub persistent: Vec<Cow<'a, str>>,
    /// Persistent recursive watches.
    pub persistent_recursive: Vec<Cow<'a, str>>,
}

/// A read within a multiRead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiReadOp<'a> {
    /// As [`Read::GetData`], without a watch.
    GetData {
        /// Which znode.
        path: Cow<'a, str>,
    },
    /// As [`Read::GetChildren`], without a watch.
    GetChildren {
        /// Which znode.
        path: Cow<'a, str>,
    },
}

/// A request that becomes a transaction.
///
/// Versions: `None` means any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write<'a> {
    /// Creates a znode.
    Create(Create<'a>),
    /// Deletes a znode.
    Delete {
        /// Which.
        path: Cow<'a, str>,
        /// The data version it must have.
        version: Option<i32>,
    },
    /// Deletes a znode if it is empty and not ephemeral: the server's own reaping.
    DeleteContainer {
        /// Which.
        path: Cow<'a, str>,
    },
    /// Sets a znode's data.
    SetData {
        /// Which.
        path: Cow<'a, str>,
        /// To what; `None` is null, which is kept apart from empty.
        data: Option<Cow<'a, [u8]>>,
        /// The data version it must have.
        version: Option<i32>,
    },
    /// Sets a znode's access control list.
    SetAcl {
        /// Which.
        path: Cow<'a, str>,
        /// To what.
        acl: AclList,
        /// The version that the list must have.
        version: Option<i32>,
    },
    /// All or nothing.
    Multi(Vec<MultiOp<'a>>),
    /// Changes the membership of the ensemble.
    Reconfig(Box<ReconfigRequest<'a>>),
    /// Opens a session; only raw clients send it, the handshake makes its own.
    CreateSession {
        /// Its timeout in milliseconds.
        timeout_ms: i32,
    },
    /// Could not be decoded or carries arguments that can not be; answered with the code after it
    /// took its place in the order.
    Rejected(ErrorCode),
}

/// The creation of a znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create<'a> {
    /// Which operation was called: they differ in their replies and in the stored transaction.
    pub call: CreateCall,
    /// Where; for a sequential mode the suffix comes on top.
    pub path: Cow<'a, str>,
    /// Its data; `None` is null.
    pub data: Option<Cow<'a, [u8]>>,
    /// Its access control list as sent.
    pub acl: AclList,
    /// What kind of znode.
    pub mode: CreateMode,
}

/// Which of the create operations was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CreateCall {
    /// `create`: the reply is the path.
    Create,
    /// `create2`: the reply is path and stat.
    Create2,
    /// `createContainer`: as `create2`.
    Container,
    /// `createTTL`: as `create2`.
    Ttl,
}

/// What kind of znode to create.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CreateMode {
    /// Lives until deleted.
    Persistent,
    /// Lives until the session ends.
    Ephemeral,
    /// Persistent, with a counter appended to the name.
    PersistentSequential,
    /// Ephemeral, with a counter appended to the name.
    EphemeralSequential,
    /// Reaped when its last child is gone.
    Container,
    /// Reaped when childless and unset for that many milliseconds. The range is checked later.
    PersistentWithTtl(i64),
    /// The same, with a counter appended to the name.
    PersistentSequentialWithTtl(i64),
}

impl CreateMode {
    /// Whether a counter is appended to the name.
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential
                | Self::EphemeralSequential
                | Self::PersistentSequentialWithTtl(_)
        )
    }

    /// Whether it lives with its session.
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Its time to live in milliseconds, as sent.
    pub const fn ttl_ms(self) -> Option<i64> {
        match self {
            Self::PersistentWithTtl(ttl_ms) | Self::PersistentSequentialWithTtl(ttl_ms) => {
                Some(ttl_ms)
            }
            Self::Persistent
            | Self::Ephemeral
            | Self::PersistentSequential
            | Self::EphemeralSequential
            | Self::Container => None,
        }
    }
}

/// A write within a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiOp<'a> {
    /// As [`Write::Create`].
    Create(Create<'a>),
    /// As [`Write::Delete`].
    Delete {
        /// Which znode.
        path: Cow<'a, str>,
        /// The data version it must have.
        version: Option<i32>,
    },
    /// As [`Write::SetData`].
    SetData {
        /// Which znode.
        path: Cow<'a, str>,
        /// To what.
        data: Option<Cow<'a, [u8]>>,
        /// The data version it must have.
        version: Option<i32>,
    },
    /// Does nothing, but fails unless the znode is there with this version.
    Check {
        /// Which znode.
        path: Cow<'a, str>,
        /// The data version it must have.
        version: Option<i32>,
    },
}

/// A change of membership as sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReconfigRequest<'a> {
    /// Servers to add or change, as `server.N=...` texts separated by commas.
    pub joining: Option<Cow<'a, str>>,
    /// Ids of servers to remove, separated by commas.
    pub leaving: Option<Cow<'a, str>>,
    /// A whole new membership instead.
    pub new_members: Option<Cow<'a, str>>,
    /// The version of the membership that this change is based on.
    pub based_on: Option<i64>,
}

fn text<'b>(text: Cow<'_, str>) -> Cow<'b, str> {
    Cow::Owned(text.into_owned())
}

fn bytes<'b>(bytes: Option<Cow<'_, [u8]>>) -> Option<Cow<'b, [u8]>> {
    bytes.map(|bytes| Cow::Owned(bytes.into_owned()))
}

impl Create<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> Create<'b> {
        Create {
            call: self.call,
            path: text(self.path),
            data: bytes(self.data),
            acl: self.acl,
            mode: self.mode,
        }
    }
}

impl MultiOp<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> MultiOp<'b> {
        match self {
            Self::Create(create) => MultiOp::Create(create.into_owned()),
            Self::Delete { path, version } => MultiOp::Delete { path: text(path), version },
            Self::SetData { path, data, version } => {
                MultiOp::SetData { path: text(path), data: bytes(data), version }
            }
            Self::Check { path, version } => MultiOp::Check { path: text(path), version },
        }
    }
}

impl ReconfigRequest<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> ReconfigRequest<'b> {
        ReconfigRequest {
            joining: self.joining.map(text),
            leaving: self.leaving.map(text),
            new_members: self.new_members.map(text),
            based_on: self.based_on,
        }
    }
}

impl Write<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> Write<'b> {
        match self {
            Self::Create(create) => Write::Create(create.into_owned()),
            Self::Delete { path, version } => Write::Delete { path: text(path), version },
            Self::DeleteContainer { path } => Write::DeleteContainer { path: text(path) },
            Self::SetData { path, data, version } => {
                Write::SetData { path: text(path), data: bytes(data), version }
            }
            Self::SetAcl { path, acl, version } => Write::SetAcl { path: text(path), acl, version },
            Self::Multi(ops) => Write::Multi(ops.into_iter().map(MultiOp::into_owned).collect()),
            Self::Reconfig(request) => Write::Reconfig(Box::new(request.into_owned())),
            Self::CreateSession { timeout_ms } => Write::CreateSession { timeout_ms },
            Self::Rejected(code) => Write::Rejected(code),
        }
    }
}

impl MultiReadOp<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> MultiReadOp<'b> {
        match self {
            Self::GetData { path } => MultiReadOp::GetData { path: text(path) },
            Self::GetChildren { path } => MultiReadOp::GetChildren { path: text(path) },
        }
    }
}

impl SetWatches<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> SetWatches<'b> {
        let texts = |paths: Vec<Cow<'_, str>>| paths.into_iter().map(text).collect();
        SetWatches {
            relative_zxid: self.relative_zxid,
            data: texts(self.data),
            exist: texts(self.exist),
            child: texts(self.child),
            persistent: texts(self.persistent),
            persistent_recursive: texts(self.persistent_recursive),
        }
    }
}

impl Read<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> Read<'b> {
        match self {
            Self::Exists { path, watch } => Read::Exists { path: text(path), watch },
            Self::GetData { path, watch } => Read::GetData { path: text(path), watch },
            Self::GetAcl { path } => Read::GetAcl { path: text(path) },
            Self::GetChildren { path, watch } => Read::GetChildren { path: text(path), watch },
            Self::GetChildren2 { path, watch } => Read::GetChildren2 { path: text(path), watch },
            Self::GetAllChildrenNumber { path } => Read::GetAllChildrenNumber { path: text(path) },
            Self::GetEphemerals { prefix } => Read::GetEphemerals { prefix: prefix.map(text) },
            Self::WhoAmI => Read::WhoAmI,
            Self::MultiRead(ops) => {
                Read::MultiRead(ops.into_iter().map(MultiReadOp::into_owned).collect())
            }
            Self::AddWatch { path, mode } => Read::AddWatch { path: text(path), mode },
            Self::CheckWatches { path, kind } => Read::CheckWatches { path: text(path), kind },
            Self::RemoveWatches { path, kind } => Read::RemoveWatches { path: text(path), kind },
            Self::SetWatches(watches) => Read::SetWatches(Box::new(watches.into_owned())),
            Self::Rejected(code) => Read::Rejected(code),
        }
    }
}
