//! The numbers of the operations.

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $short:literal;)*) => {
        /// An operation that a client can ask for.
        ///
        /// `check` (13) is none of them: it exists only within a multi, see [`CHECK`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i32)]
        pub enum OpCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl OpCode {
            /// Every operation there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The operation with this number, if a client may ask for it.
            pub const fn from_raw(raw: i32) -> Option<Self> {
                match raw {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The short name that operators read as the last operation (`lop`) of a connection.
            pub const fn short_name(self) -> &'static str {
                match self {
                    $(Self::$name => $short,)*
                }
            }
        }
    };
}

opcodes! {
    /// Creates a znode; answers with its path.
    Create = 1, "CREA";
    /// Deletes a znode.
    Delete = 2, "DELE";
    /// Is there a znode?
    Exists = 3, "EXIS";
    /// A znode's data.
    GetData = 4, "GETD";
    /// Sets a znode's data.
    SetData = 5, "SETD";
    /// A znode's access control list.
    GetAcl = 6, "GETA";
    /// Sets a znode's access control list.
    SetAcl = 7, "SETA";
    /// The names of a znode's children.
    GetChildren = 8, "GETC";
    /// Catches up with the leader.
    Sync = 9, "SYNC";
    /// Keeps the session alive.
    Ping = 11, "PING";
    /// The names of a znode's children, and its numbers.
    GetChildren2 = 12, "GETC";
    /// Several writes, all or none.
    Multi = 14, "MULT";
    /// Creates a znode; answers with its path and numbers.
    Create2 = 15, "CREA";
    /// Changes the membership.
    Reconfig = 16, "RECO";
    /// Is there such a watch?
    CheckWatches = 17, "CHKW";
    /// Removes watches.
    RemoveWatches = 18, "REMW";
    /// Creates a container.
    CreateContainer = 19, "CREA";
    /// Deletes an empty container; the server's own.
    DeleteContainer = 20, "DELE";
    /// Creates a znode with a time to live.
    CreateTtl = 21, "CREA";
    /// Several reads of one state.
    MultiRead = 22, "MLTR";
    /// Presents credentials.
    Auth = 100, "NA";
    /// Sets one-shot watches again after a reconnect.
    SetWatches = 101, "SETW";
    /// A step of a SASL exchange.
    Sasl = 102, "NA";
    /// The session's ephemeral znodes.
    GetEphemerals = 103, "GETE";
    /// How many znodes are below one.
    GetAllChildrenNumber = 104, "GETACN";
    /// Sets watches of all kinds again after a reconnect.
    SetWatches2 = 105, "STW2";
    /// Sets a watch that stays.
    AddWatch = 106, "ADDW";
    /// The identities of the connection.
    WhoAmI = 107, "HOMI";
    /// Opens a session; the server's own.
    CreateSession = -10, "SESS";
    /// Ends the session.
    CloseSession = -11, "CLOS";
}

impl OpCode {
    /// The number that is sent.
    pub const fn raw(self) -> i32 {
        self as i32
    }

    /// Who carries it out. `Sync` counts as a read: it makes no transaction.
    pub const fn class(self) -> Class {
        match self {
            Self::Auth | Self::Sasl => Class::Connection,
            Self::Create
            | Self::Create2
            | Self::CreateContainer
            | Self::CreateTtl
            | Self::Delete
            | Self::DeleteContainer
            | Self::SetData
            | Self::SetAcl
            | Self::Multi
            | Self::Reconfig
            | Self::CreateSession
            | Self::CloseSession => Class::Write,
            Self::Exists
            | Self::GetData
            | Self::GetAcl
            | Self::GetChildren
            | Self::GetChildren2
            | Self::GetAllChildrenNumber
            | Self::GetEphemerals
            | Self::WhoAmI
            | Self::MultiRead
            | Self::AddWatch
            | Self::CheckWatches
            | Self::RemoveWatches
            | Self::SetWatches
            | Self::SetWatches2
            | Self::Sync
            | Self::Ping => Class::Read,
        }
    }
}

/// Who carries an operation out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The connection itself: credentials.
    Connection,
    /// The server that the client is connected to.
    Read,
    /// The leader: it becomes a transaction.
    Write,
}

/// The number of the check within a multi.
pub const CHECK: i32 = 13;

/// The number that stands for a failure: in the results of a multi, and in stored transactions.
pub const ERROR: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for &opcode in OpCode::ALL {
            assert_eq!(OpCode::from_raw(opcode.raw()), Some(opcode));
        }
        for unknown in [-1, 0, 10, CHECK, 23, 99, 108] {
            assert_eq!(OpCode::from_raw(unknown), None, "{unknown}");
        }
    }
}
