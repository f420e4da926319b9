//! Which failure of a disk struck which file, and what its server did then.

use std::fmt;

use storage::{FaultKind, Operation, Struck};

/// A failure of one kind, for the matrix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct DiskFailure {
    file: &'static str,
    operation: &'static str,
    failure: &'static str,
}

impl DiskFailure {
    /// What has struck, which may have taken the power with it.
    pub(super) fn new(struck: &Struck, is_power_loss: bool) -> Self {
        let failure = match struck.kind {
            _ if is_power_loss => "power lost",
            FaultKind::Io => "error",
            FaultKind::NoSpace => "no space",
            FaultKind::Short(_) => "a part only",
            FaultKind::PagesDropped => "error, dropped",
        };
        let operation = name_of(struck.operation);
        Self { file: class_of(&struck.name), operation, failure }
    }

    /// Bits of a file that have changed on their own.
    pub(super) fn rot(name: &str) -> Self {
        Self { file: class_of(name), operation: "rest", failure: "rot" }
    }
}

impl fmt::Display for DiskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, operation, failure } = self;
        write!(f, "{file}, {operation}, {failure}")
    }
}

const fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Open => "open",
        Operation::Read => "read",
        Operation::Write => "write",
        Operation::SetLen => "set length",
        Operation::Sync | Operation::SyncDir => "sync",
        Operation::Rename => "rename",
        Operation::Unlink => "remove",
        Operation::List => "list",
    }
}

/// What a file is for, finished or not.
fn class_of(name: &str) -> &'static str {
    let name = name.strip_prefix("unfinished-").unwrap_or(name);
    let classes = [
        ("log", "log"),
        ("snapshot", "snapshot"),
        ("received", "received snapshot"),
        ("acceptedEpoch", "epochs"),
        ("currentEpoch", "epochs"),
        ("synced", "watermark"),
        ("session-ids", "session ids"),
        ("zoo.cfg", "membership"),
        ("version-2", "directory"),
    ];
    let class = classes.into_iter().find(|(prefix, _)| name.starts_with(prefix));
    class.map_or("marks and others", |(_, class)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_what_they_are_for() {
        for (name, class) in [
            ("log.100000001", "log"),
            ("unfinished-log", "log"),
            ("unfinished-snapshot.5", "snapshot"),
            ("unfinished-received-1", "received snapshot"),
            ("acceptedEpoch", "epochs"),
            ("version-2", "directory"),
            ("shortened", "marks and others"),
        ] {
            assert_eq!(class_of(name), class, "{name}");
        }
    }

    #[test]
    fn what_takes_the_power_is_no_error() {
        let (operation, kind) = (Operation::Sync, FaultKind::Io);
        let struck = Struck { operation, name: "log.1".to_owned(), kind };
        assert_eq!(DiskFailure::new(&struck, false).to_string(), "log, sync, error");
        assert_eq!(DiskFailure::new(&struck, true).to_string(), "log, sync, power lost");
        assert_eq!(DiskFailure::rot("snapshot.0").to_string(), "snapshot, rest, rot");
    }
}
