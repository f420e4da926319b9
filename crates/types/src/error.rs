//! The codes a server answers with instead of a result.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a request was not done. A reply, not a failure of the server.
        ///
        /// The numbers are fixed by the client protocol; clients refuse codes they do not know, so
        /// none is ever added.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i32)]
        pub enum ErrorCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code with this number, if there is one.
            pub const fn from_raw(raw: i32) -> Option<Self> {
                match raw {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The words that Java clients use for it.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

error_codes! {
    /// A range mark; never sent.
    SystemError = -1, "SystemError";
    /// Of a multi: not tried, since an operation before it failed.
    RuntimeInconsistency = -2, "RuntimeInconsistency";
    /// Never sent.
    DataInconsistency = -3, "DataInconsistency";
    /// On the client: the connection was lost, the request may have been done.
    ConnectionLoss = -4, "ConnectionLoss";
    /// The request could not be decoded.
    MarshallingError = -5, "MarshallingError";
    /// Unknown operation, or one that this server is not configured for.
    Unimplemented = -6, "Unimplemented";
    /// On the client: no answer in time.
    OperationTimeout = -7, "OperationTimeout";
    /// An invalid path, mode, time to live or membership text.
    BadArguments = -8, "BadArguments";
    /// This server does not track the session.
    UnknownSession = -12, "UnknownSession";
    /// No quorum of the new membership is connected and in sync.
    NewConfigNoQuorum = -13, "NewConfigNoQuorum";
    /// Another change of membership is under way.
    ReconfigInProgress = -14, "ReconfigInProgress";
    /// A range mark; never sent.
    ApiError = -100, "APIError";
    /// There is no such znode.
    NoNode = -101, "NoNode";
    /// The access control list does not allow it.
    NoAuth = -102, "NoAuth";
    /// The version is not the expected one.
    BadVersion = -103, "BadVersion";
    /// An ephemeral znode can not have children.
    NoChildrenForEphemerals = -108, "NoChildrenForEphemerals";
    /// There is such a znode already.
    NodeExists = -110, "NodeExists";
    /// The znode has children.
    NotEmpty = -111, "Directory not empty";
    /// The session is over.
    SessionExpired = -112, "Session expired";
    /// On the client only.
    InvalidCallback = -113, "Invalid callback";
    /// The access control list is malformed or empty.
    InvalidAcl = -114, "InvalidACL";
    /// The credentials were refused.
    AuthFailed = -115, "AuthFailed";
    /// The session has moved to another server.
    SessionMoved = -118, "Session moved";
    /// A write on a read-only server.
    NotReadOnly = -119, "Not a read-only call";
    /// A local session can not own ephemerals.
    EphemeralOnLocalSession = -120, "Ephemeral node on local session";
    /// There is no such watch.
    NoWatcher = -121, "No such watcher";
    /// On the client: no answer within its own limit.
    RequestTimeout = -122, "Request timeout";
    /// Changes of membership are switched off.
    ReconfigDisabled = -123, "Reconfig is disabled";
    /// The server demands authentication first.
    SessionClosedRequireSaslAuth = -124, "Session closed because client failed to authenticate";
    /// A hard quota would be exceeded.
    QuotaExceeded = -125, "Quota has exceeded";
    /// The request waited too long under load.
    ThrottledOp = -127, "Op throttled due to high load";
}

impl ErrorCode {
    /// The number that is sent.
    pub const fn raw(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_raw(code.raw()), Some(code));
        }
        assert_eq!(ErrorCode::from_raw(0), None);
        assert_eq!(ErrorCode::from_raw(-126), None);
    }
}
