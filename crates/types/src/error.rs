//! The codes a server answers with instead of a result.

use std::fmt;

/// Why a request was not done. A reply, not a failure of the server.
///
/// The numbers are fixed by the client protocol. Java clients refuse codes that they do not know, so
/// servers have none to add; a client may still meet one of a newer server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// A range mark; never sent.
    SystemError = -1,
    /// Of a multi: not tried, since an operation before it failed.
    RuntimeInconsistency = -2,
    /// Never sent.
    DataInconsistency = -3,
    /// On the client: the connection was lost, the request may have been done.
    ConnectionLoss = -4,
    /// The request could not be decoded.
    MarshallingError = -5,
    /// Unknown operation, or one that this server is not configured for.
    Unimplemented = -6,
    /// On the client: no answer in time.
    OperationTimeout = -7,
    /// An invalid path, mode, time to live or membership text.
    BadArguments = -8,
    /// This server does not track the session.
    UnknownSession = -12,
    /// No quorum of the new membership is connected and in sync.
    NewConfigNoQuorum = -13,
    /// Another change of membership is under way.
    ReconfigInProgress = -14,
    /// A range mark; never sent.
    ApiError = -100,
    /// There is no such znode.
    NoNode = -101,
    /// The access control list does not allow it.
    NoAuth = -102,
    /// The version is not the expected one.
    BadVersion = -103,
    /// An ephemeral znode can not have children.
    NoChildrenForEphemerals = -108,
    /// There is such a znode already.
    NodeExists = -110,
    /// The znode has children.
    NotEmpty = -111,
    /// The session is over.
    SessionExpired = -112,
    /// On the client only.
    InvalidCallback = -113,
    /// The access control list is malformed or empty.
    InvalidAcl = -114,
    /// The credentials were refused.
    AuthFailed = -115,
    /// The session has moved to another server.
    SessionMoved = -118,
    /// A write on a read-only server.
    NotReadOnly = -119,
    /// A local session can not own ephemerals.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// On the client: no answer within its own limit.
    RequestTimeout = -122,
    /// Changes of membership are switched off.
    ReconfigDisabled = -123,
    /// The server demands authentication first.
    SessionClosedRequireSaslAuth = -124,
    /// A hard quota would be exceeded.
    QuotaExceeded = -125,
    /// The request waited too long under load.
    ThrottledOp = -127,
}

impl ErrorCode {
    /// Every code there is.
    pub const ALL: &'static [Self] = &[
        Self::SystemError,
        Self::RuntimeInconsistency,
        Self::DataInconsistency,
        Self::ConnectionLoss,
        Self::MarshallingError,
        Self::Unimplemented,
        Self::OperationTimeout,
        Self::BadArguments,
        Self::UnknownSession,
        Self::NewConfigNoQuorum,
        Self::ReconfigInProgress,
        Self::ApiError,
        Self::NoNode,
        Self::NoAuth,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::NodeExists,
        Self::NotEmpty,
        Self::SessionExpired,
        Self::InvalidCallback,
        Self::InvalidAcl,
        Self::AuthFailed,
        Self::SessionMoved,
        Self::NotReadOnly,
        Self::EphemeralOnLocalSession,
        Self::NoWatcher,
        Self::RequestTimeout,
        Self::ReconfigDisabled,
        Self::SessionClosedRequireSaslAuth,
        Self::QuotaExceeded,
        Self::ThrottledOp,
    ];

    /// The code with this number, if there is one.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        let mut place = 0;
        while place < Self::ALL.len() {
            if Self::ALL[place].raw() == raw {
                return Some(Self::ALL[place]);
            }
            place += 1;
        }
        None
    }

    /// The number that is sent.
    pub const fn raw(self) -> i32 {
        self as i32
    }

    /// The words that Java clients use for it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::SystemError => "SystemError",
            Self::RuntimeInconsistency => "RuntimeInconsistency",
            Self::DataInconsistency => "DataInconsistency",
            Self::ConnectionLoss => "ConnectionLoss",
            Self::MarshallingError => "MarshallingError",
            Self::Unimplemented => "Unimplemented",
            Self::OperationTimeout => "OperationTimeout",
            Self::BadArguments => "BadArguments",
            Self::UnknownSession => "UnknownSession",
            Self::NewConfigNoQuorum => "NewConfigNoQuorum",
            Self::ReconfigInProgress => "ReconfigInProgress",
            Self::ApiError => "APIError",
            Self::NoNode => "NoNode",
            Self::NoAuth => "NoAuth",
            Self::BadVersion => "BadVersion",
            Self::NoChildrenForEphemerals => "NoChildrenForEphemerals",
            Self::NodeExists => "NodeExists",
            Self::NotEmpty => "Directory not empty",
            Self::SessionExpired => "Session expired",
            Self::InvalidCallback => "Invalid callback",
            Self::InvalidAcl => "InvalidACL",
            Self::AuthFailed => "AuthFailed",
            Self::SessionMoved => "Session moved",
            Self::NotReadOnly => "Not a read-only call",
            Self::EphemeralOnLocalSession => "Ephemeral node on local session",
            Self::NoWatcher => "No such watcher",
            Self::RequestTimeout => "Request timeout",
            Self::ReconfigDisabled => "Reconfig is disabled",
            Self::SessionClosedRequireSaslAuth => {
                "Session closed because client failed to authenticate"
            }
            Self::QuotaExceeded => "Quota has exceeded",
            Self::ThrottledOp => "Op throttled due to high load",
        }
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
    fn every_code_is_listed() {
        // One that is not would be unknown when a server sends it.
        let last = ErrorCode::ThrottledOp;
        assert_eq!(ErrorCode::ALL.last(), Some(&last));
        assert_eq!(ErrorCode::ALL.len(), 31);
        assert!(ErrorCode::ALL.is_sorted_by(|code, next| code > next), "in the order of the enum");
    }

    #[test]
    fn numbers_survive() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_raw(code.raw()), Some(code));
        }
        assert_eq!(ErrorCode::from_raw(0), None);
        assert_eq!(ErrorCode::from_raw(-126), None);
    }
}
