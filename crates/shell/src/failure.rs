//! Why a command did not do what it should.

use std::io;

use reefkeeper_client::{AddressError, Error as ClientError, ErrorCode, InvalidPath};
use thiserror::Error;

use crate::syntax::Command;

/// A command that failed. Its text is what zkCli prints in the same case.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// Too few or too many words.
    #[error("{}", .0.usage())]
    Usage(&'static Command),
    /// There is no such command.
    #[error("Command not found: Command not found {0}")]
    UnknownCommand(String),
    /// There is no such option.
    #[error("Unrecognized option: {0}")]
    UnknownOption(String),
    /// An option needs a value.
    #[error("Missing argument for option: {0}")]
    NoOptionValue(&'static str),
    /// A number was expected.
    #[error("not a number: {0}")]
    NotANumber(String),
    /// The options do not go together, or a word makes no sense.
    #[error("{0}")]
    Words(&'static str),
    /// An access control list has a letter that stands for nothing.
    #[error("Unknown perm type: {0}")]
    UnknownPermission(char),
    /// The text that names the servers can not be understood.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file that was named can not be read.
    #[error("Error processing {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There can not be such a quota.
    #[error("{0}")]
    Quota(String),
    /// There is no session.
    #[error("Not connected")]
    NotConnected,
    /// The operation failed.
    #[error("{}", client_text(.error, .path.as_deref()))]
    Client {
        /// Why.
        error: ClientError,
        /// The znode it was about.
        path: Option<String>,
    },
    /// Some znodes are left.
    #[error("Failed to delete some node(s) in the subtree!")]
    LeftOver,
    /// There is no such line to repeat.
    #[error("Command index out of range")]
    NoSuchLine,
    /// The output can not be written.
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// Whether the connection broke, or there was none, before an answer came.
    pub(crate) const fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Client { error: ClientError::ConnectionLost { .. }, .. })
    }

    /// The exit code of a shell that was started for one command.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::UnknownCommand(_) => 127,
            Self::Usage(_)
            | Self::UnknownOption(_)
            | Self::NoOptionValue(_)
            | Self::NotANumber(_)
            | Self::Words(_)
            | Self::UnknownPermission(_)
            | Self::Address(_)
            | Self::File { .. }
            | Self::Quota(_)
            | Self::NotConnected
            | Self::Client { .. }
            | Self::LeftOver
            | Self::NoSuchLine
            | Self::Output(_) => 1,
        }
    }
}

/// Puts a path to errors of the client.
pub(crate) trait About<T> {
    /// The same, with the znode that the operation was about.
    fn about(self, path: &str) -> Result<T, Failure>;
}

impl<T> About<T> for Result<T, ClientError> {
    fn about(self, path: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::Client { error, path: Some(path.to_owned()) })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client { error, path: None }
    }
}

fn client_text(error: &ClientError, path: Option<&str>) -> String {
    let shown = path.unwrap_or("null");
    match error {
        ClientError::Refused(code) | ClientError::Aborted { code, .. } => refusal(*code, path),
        ClientError::RefusedUnknown(code) => format!("unknown error {code} for {shown}"),
        ClientError::ConnectionLost { .. } => keeper_text(ErrorCode::ConnectionLoss, path),
        ClientError::TimedOut { .. } => keeper_text(ErrorCode::RequestTimeout, path),
        ClientError::SessionExpired => keeper_text(ErrorCode::SessionExpired, path),
        ClientError::AuthFailed => keeper_text(ErrorCode::AuthFailed, path),
        ClientError::Closed => Failure::NotConnected.to_string(),
        ClientError::InvalidPath { path, reason } => invalid_path(path, *reason),
        error => error.to_string(),
    }
}

/// The codes that have a sentence of their own; the others are shown by name.
fn refusal(code: ErrorCode, path: Option<&str>) -> String {
    let sentence = match code {
        ErrorCode::NoNode => "Node does not exist: ",
        ErrorCode::NoChildrenForEphemerals => "Ephemerals cannot have children: ",
        ErrorCode::NodeExists => "Node already exists: ",
        ErrorCode::NotEmpty => "Node not empty: ",
        ErrorCode::NotReadOnly => "Not a read-only call: ",
        ErrorCode::InvalidAcl => "Acl is not valid : ",
        ErrorCode::NoAuth => "Insufficient permission : ",
        ErrorCode::BadArguments => "Arguments are not valid : ",
        ErrorCode::BadVersion => "version No is not valid : ",
        ErrorCode::QuotaExceeded => "Quota has exceeded : ",
        ErrorCode::ReconfigInProgress => {
            return "Another reconfiguration is in progress -- concurrent reconfigs not supported \
                    (yet)"
                .to_owned();
        }
        ErrorCode::NewConfigNoQuorum => {
            return "No quorum of new config is connected and up-to-date with the leader of last \
                    committed config - try invoking reconfiguration after new servers are \
                    connected and synced"
                .to_owned();
        }
        code => return keeper_text(code, path),
    };
    format!("{sentence}{}", path.unwrap_or("null"))
}

/// What Java's clients say of a path that names no znode; positions count UTF-16 units.
fn invalid_path(path: &str, reason: InvalidPath) -> String {
    let position = |byte: usize| path[..byte].encode_utf16().count();
    let (what, byte) = match reason {
        InvalidPath::Empty => return "Path length must be > 0".to_owned(),
        InvalidPath::NoLeadingSlash => return "Path must start with / character".to_owned(),
        InvalidPath::TrailingSlash => return "Path must not end with / character".to_owned(),
        InvalidPath::EmptyName => {
            ("empty node name specified", path.find("//").map(|slash| slash + 1))
        }
        InvalidPath::RelativeName => ("relative paths not allowed", last_dot_of_relative(path)),
        InvalidPath::Character('\0') => ("null character not allowed", path.find('\0')),
        InvalidPath::Character(character) => ("invalid character", path.find(character)),
    };
    let position = position(byte.unwrap_or(0));
    format!("Invalid path string \"{path}\" caused by {what} @{position}")
}

/// Where the first name that is `.` or `..` ends.
fn last_dot_of_relative(path: &str) -> Option<usize> {
    let mut end = 0;
    for name in path.split('/') {
        end += name.len();
        if name == "." || name == ".." {
            return Some(end - 1);
        }
        end += 1;
    }
    None
}

fn keeper_text(code: ErrorCode, path: Option<&str>) -> String {
    let name = code.text();
    path.filter(|path| !path.is_empty()).map_or_else(
        || format!("KeeperErrorCode = {name}"),
        |path| format!("KeeperErrorCode = {name} for {path}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_zkcli() {
        let check = |error: ClientError, expected: &str| {
            let failure = Err::<(), _>(error).about("/x").expect_err("an error");
            assert_eq!(failure.to_string(), expected);
            assert_eq!(failure.exit_code(), 1);
        };
        let refused = ClientError::Refused;
        check(refused(ErrorCode::NoNode), "Node does not exist: /x");
        check(refused(ErrorCode::BadVersion), "version No is not valid : /x");
        check(refused(ErrorCode::NoAuth), "Insufficient permission : /x");
        check(refused(ErrorCode::NoWatcher), "KeeperErrorCode = No such watcher for /x");
        check(refused(ErrorCode::Unimplemented), "KeeperErrorCode = Unimplemented for /x");
        let lost = ClientError::ConnectionLost { may_have_happened: true };
        check(lost, "KeeperErrorCode = ConnectionLoss for /x");
        check(ClientError::AuthFailed, "KeeperErrorCode = AuthFailed for /x");
        check(ClientError::Closed, "Not connected");
        let invalid =
            |path: &str, reason| ClientError::InvalidPath { path: path.to_owned(), reason };
        check(invalid("x", InvalidPath::NoLeadingSlash), "Path must start with / character");
        let expected = "Invalid path string \"/a//b\" caused by empty node name specified @3";
        check(invalid("/a//b", InvalidPath::EmptyName), expected);
        let expected = "Invalid path string \"/a/../b\" caused by relative paths not allowed @4";
        check(invalid("/a/../b", InvalidPath::RelativeName), expected);
        for (code, expected) in [
            (ErrorCode::BadVersion, "version No is not valid : "),
            (ErrorCode::ReconfigDisabled, "KeeperErrorCode = Reconfig is disabled"),
        ] {
            let about_nothing = Err::<(), _>(refused(code)).about("").expect_err("an error");
            assert_eq!(about_nothing.to_string(), expected);
        }
        let unknown = Failure::UnknownCommand("bogus".to_owned());
        assert_eq!(unknown.to_string(), "Command not found: Command not found bogus");
        assert_eq!(unknown.exit_code(), 127);
    }
}
